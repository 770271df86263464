"""The reference: what a Value is and does, in plain Python.

It specifies the compiled engine, stands in where that is missing, and is what the benchmarks compare
with. Operands may be anything Python can add and multiply; its errors are Python's own.
"""


def check_child(child):
    if not isinstance(child, Value):
        raise TypeError(
            f"the operands of a node must be Values, not {type(child).__name__}: {child!r:.60}")


class Value:
    """ stores a single scalar value and its gradient """

    def __init__(self, data, _children=(), _op=''):
        self.data = data
        self.grad = 0
        self._backward = lambda: None   # adds this node's share to the gradients of its operands
        self._prev = set(_children)     # the operands
        self._op = _op                  # the operation this node is the result of
        for child in self._prev:
            check_child(child)

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, other):
        if not isinstance(other, (int, float)):
            raise AssertionError("only supporting int/float powers for now")
        out = Value(self.data**other, (self,), f'**{other}')

        def _backward():
            self.grad += (other * self.data**(other - 1)) * out.grad

        out._backward = _backward
        return out

    def relu(self):
        out = Value(0 if self.data < 0 else self.data, (self,), 'ReLU')

        def _backward():
            self.grad += (out.data > 0) * out.grad

        out._backward = _backward
        return out

    def backward(self):
        """ set the gradients of all nodes under this one: the chain rule, results before operands """
        order, seen, stack = [], set(), [(self, False)]
        while stack:                    # no recursion: a graph may be of any depth
            node, operands_done = stack.pop()
            if operands_done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                for child in node._prev:
                    check_child(child)
                    stack.append((child, False))
        self.grad = 1
        for node in reversed(order):
            node._backward()

    def __radd__(self, other):          # other + self
        return self + other

    def __rmul__(self, other):          # other * self
        return self * other

    def __neg__(self):                  # -self
        return self * -1

    def __sub__(self, other):           # self - other
        return self + (-other)

    def __rsub__(self, other):          # other - self
        return other + (-self)

    def __truediv__(self, other):       # self / other
        return self * other**-1

    def __rtruediv__(self, other):      # other / self
        return other * self**-1

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"


Value.__module__ = "micrograd.engine"
