"""Operations that a program writes itself, as lessons and microgpt do."""
import math

from micrograd import engine
from micrograd.engine import Value


def tanh(v):
    """A node with a closure."""
    t = math.tanh(v.data)
    out = Value(t, (v,), "tanh")

    def _backward():
        v.grad += (1 - t * t) * out.grad

    out._backward = _backward
    return out


def operators(cls):
    """A lesson's `__add__` and `__mul__` for Value or a subclass."""
    def add(self, other):
        other = other if isinstance(other, cls) else cls(other)
        out = cls(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def mul(self, other):
        other = other if isinstance(other, cls) else cls(other)
        out = cls(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    return {"__add__": add, "__mul__": mul}


class Scalar(Value):
    """A subclass; its operators follow."""

    def __init__(self, data, _children=(), _op=""):
        super().__init__(data, _children, _op)


def init(self, data, _children=(), _op=""):
    """A lesson's `__init__`."""
    self.data = data
    self.grad = 0
    self._backward = lambda: None
    self._prev = set(_children)
    self._op = _op


shipped_init = Value.__init__


def counting_init(self, *arguments):
    """An `__init__` that counts the nodes in the class."""
    Value.count += 1
    shipped_init(self, *arguments)


def backward(self):
    """A lesson's backward pass."""
    order, seen = [], set()

    def visit(v):
        if v not in seen:
            seen.add(v)
            for child in v._prev:
                visit(child)
            order.append(v)

    visit(self)
    self.grad = 1
    for v in reversed(order):
        v._backward()


def patch(cls, methods):
    """Put methods on a class."""
    for name, method in methods.items():
        setattr(cls, name, method)


patch(Scalar, operators(Scalar))
COUNTING = {"count": 0, "__init__": counting_init}
LESSON = {"__init__": init, **operators(Value), "backward": backward}


def by_closure(data, operands, gradients):
    """A node by its local gradients, where the constructor takes none."""
    out = Value(data, operands)

    def _backward():
        for operand, gradient in zip(operands, gradients):
            operand.grad += gradient * out.grad

    out._backward = _backward
    return out


# micrograd 0.1.0 has no local gradients.
node = Value if hasattr(engine, "__engine__") else by_closure


def plain_step(x, a, b):
    return x * a + b


def local_step(x, a, b):
    """x*a + b, by local gradients."""
    y = node(x.data * a.data, (x, a), (a.data, x.data))
    return node(y.data + b.data, (y, b), (1.0, 1.0))
