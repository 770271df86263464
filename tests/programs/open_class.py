"""Subclasses and patches that override reads and writes of data, grad, _prev, _op, _backward."""
import abc
import random

from micrograd import nn
from micrograd.engine import Value


def show(*things):
    for thing in things:
        try:
            print(thing(), end=" ")
        except Exception as error:
            print(type(error).__name__, error, end=" ")
    print()


class Clipped(Value):
    """A gradient that is at most 1."""

    @property
    def grad(self): return self._grad

    @grad.setter
    def grad(self, new): self._grad = max(-1, min(1, new))


class Frozen(Value):
    def __setattr__(self, name, value):
        if name != "grad" or value == 0:
            super().__setattr__(name, value)


class FrozenByObject(Value):
    def __setattr__(self, name, value):
        if name != "grad" or value == 0:
            object.__setattr__(self, name, value)


class Doubled(Value):
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return found * 2 if name == "data" else found


class Slotted(Value):
    __slots__ = ("grad",)


class SlottedData(Value):
    __slots__ = ("data", "_op")


class Logged(Value):
    log = []

    def __setattr__(self, name, value):
        self.log.append(name)
        super().__setattr__(name, value)


class Lazy(Value):
    """No number until somebody asks."""

    @property
    def data(self): return self.compute()

    @data.setter
    def data(self, new): self.compute = new if callable(new) else lambda: new


class Fallback(Value):
    def __getattr__(self, name):
        return f"no {name}"


class Undeletable(Value):
    def __delattr__(self, name):
        print("kept", name, end=" ")


class Childless(Value):
    @property
    def _prev(self): return set()

    @_prev.setter
    def _prev(self, new): pass


class Shouting(Value):
    @property
    def _op(self): return self._name.upper()

    @_op.setter
    def _op(self, new): self._name = new


class Counting(Value):
    swept = 0

    @property
    def _backward(self):
        Counting.swept += 1
        return self._own

    @_backward.setter
    def _backward(self, new): self._own = new


class Abstract(Value, abc.ABC):
    pass


def use(make):
    w, x = make(2.0), Value(3.0)
    y = (w * 50.0 + x).relu() * w
    y.backward()
    show(lambda: y.data, lambda: w.data, lambda: w.grad, lambda: x.grad, lambda: repr(w),
         lambda: w._op)
    y.backward()
    show(lambda: w.grad, lambda: x.grad, lambda: (w - 1).data, lambda: (1 / w).data,
         lambda: (-w).data, lambda: (w ** 2).data, lambda: sum([w, w]).data, lambda: w.relu().data,
         lambda: len(y._prev))
    own = make(1.0)
    out = Value(7.0, (own,), "own")

    def backward():
        own.grad += 5 * out.grad

    out._backward = backward
    (out * 2).backward()
    show(lambda: own.grad, lambda: out.grad)
    node = type(w)(4.0, (x, w), "made")
    node.backward()
    show(lambda: node.grad, lambda: node._op, lambda: len(node._prev), lambda: node._backward())
    random.seed(2)
    model = nn.MLP(2, [2, 1])
    model.layers[0].neurons[0].w[0] = w
    score = model([1.0, own])
    score.backward()
    show(lambda: score.data, lambda: w.grad, lambda: own.grad)
    model.zero_grad()
    show(lambda: w.grad)


for cls in (Clipped, Frozen, FrozenByObject, Doubled, Slotted, SlottedData, Logged, Lazy, Fallback,
            Undeletable, Childless, Shouting, Counting, Abstract):
    print(cls.__name__)
    use(cls)
print(len(Logged.log), Logged.log[:5], Counting.swept)

# Overridden after nodes were made, and put back.
Plain = type("Plain", (Value,), {})
w = Plain(2.0)
y = w * 3
Plain.grad = property(lambda self: self.__dict__.get("g", 10),
                      lambda self, new: self.__dict__.update(g=new + 1))
y.backward()
print(w.grad, w.__dict__.get("g"))
del Plain.grad
y = w * 4
y.backward()
print(w.grad)

shipped = {name: Value.__dict__.get(name) for name in ("grad", "data", "_op")}
a, b = Value(2.0), Value(3.0)
c = a * b + a
Value.grad = property(lambda self: self.__dict__.get("g", 0),
                      lambda self, new: self.__dict__.update(g=min(new, 2)))
c.backward()
d = a * b + a
d.backward()
print(a.grad, b.grad, (a + 1).grad, Value(1.0).grad)
random.seed(1)
model = nn.MLP(2, [3, 1])
model([1.0, 2.0]).backward()
print([p.grad for p in model.parameters()])
model.zero_grad()
print([p.grad for p in model.parameters()])
if shipped["grad"] is None:
    del Value.grad
else:
    Value.grad = shipped["grad"]
x = Value(2.0)
(x * 3).backward()
print(x.grad)

# Attributes of any kind, and none.
v = Value(1.0, (), None)
show(lambda: v._op)
v._op = 5
show(lambda: v._op)
del v._op
show(lambda: v._op)
v = Value(1.0, (Value(2.0),), "name")
del v._op
show(lambda: v._op, lambda: v.backward())
v = Value(1.0) * 2
del v._backward
show(lambda: v._backward, lambda: v.backward())
v = Value(1.0) * 2
del v._prev
show(lambda: v._prev, lambda: v.backward())
v = Value(1.0) * 2
del v.grad
show(lambda: v.grad, lambda: v.backward(), lambda: v.grad)
del v.data
show(lambda: v.data, lambda: v + 1)
v._backward = None
show(lambda: v._backward, lambda: v.backward())
for prev in ([Value(1.0)], (), {1: 2}, "ab", frozenset(), 7, None):
    v = Value(1.0) * 2
    v._prev = prev
    show(lambda: v._prev is prev, lambda: v.backward())
show(lambda: Value(1.0, {2}).backward(), lambda: Value(1.0, "ab")._op,
     lambda: Value(1.0, (None,)).backward())
