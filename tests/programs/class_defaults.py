"""Classes with defaults for data and gradients, copies of their instances, and operators of a
subclass."""
import copy

from micrograd import nn
from micrograd.engine import Value


class Parameter(Value):
    data = 0.0
    grad = 0.0
    _op = "?"


class Kept(Value):
    @property
    def data(self):
        return self.__dict__["data"]

    @data.setter
    def data(self, x):
        self.__dict__["data"] = x


p = Parameter(3.0, (Value(1),), "x")
p.grad = 2.0
for twin in (copy.copy(p), copy.deepcopy(p), copy.deepcopy([p])[0]):
    print(twin, twin._op, len(twin._prev), vars(twin).get("grad"))
k = Kept(4.0)
k.grad = 1.5
print(copy.copy(k), copy.deepcopy(k), k * 2)

neuron = nn.Neuron(2)
neuron.w = [Parameter(1.0), Parameter(-2.0)]
neuron.b = Parameter(0.5)
print(copy.deepcopy(neuron)([3.0, 1.0]))


class Named(Value):
    def __add__(self, other):
        return Named(super().__add__(other).data + 0.5)

    __radd__ = __add__

    def __mul__(self, other):
        return Named(super().__mul__(other).data + 0.25)

    def __rmul__(self, other):
        return super().__rmul__(other)


class Deeper(Named):
    pass


class Counted(Value):
    calls = 0

    def __add__(self, other):
        Counted.calls += 1
        return super().__add__(other)

    def __radd__(self, other):
        Counted.calls += 1
        return super().__radd__(other)


w = Named(3.0)
for y in (sum([Named(2.0), w]), Value(5.0) + w, Value(5.0) - w, Value(5.0) * w, 2 * w, w * 2,
          Value(4.0) / w, w + Deeper(1.0), Deeper(1.0) * w, w * Deeper(2.0),
          Value(3.0) + Deeper(1.0),
          sum([Counted(1.0), Counted(2.0), Value(3.0), Counted(4.0)]), Counted(1.0) + Value(2.0),
          Value(2.0) + Counted(1.0), 1 + Counted(2.0) + Counted(3.0)):
    print(type(y).__name__, y, y._op, len(y._prev), Counted.calls)
for x in (p, k, v := Value(1.0)):
    x._own = {"a": 1}
    print(copy.copy(x)._own, copy.deepcopy(x)._own, copy.copy(x), vars(copy.copy(x)).get("a"))


class Borrows(nn.Module):
    def __init__(self, nin):
        nn.Neuron.__init__(self, nin)


print(len(Borrows(3).w))

v = Value(2.0) * 3
for name in ("_prev", "_op", "_backward"):
    delattr(v, name)
    try:
        delattr(v, name)
    except AttributeError:
        print(f"no {name}")

Value.__len__ = lambda self: len(self._prev)
print(bool(Value(1.0)), bool(Value(1.0) + 1))
del Value.__len__
print(bool(Value(1.0)))

old = nn.Neuron
nn.Neuron = lambda nin, nonlin=True: old(nin, nonlin)
print(len(nn.MLP(2, [3, 1]).parameters()))
