"""Comparisons of a subclass's or a program's own, and activations that are any truth value."""
import functools
import operator

import numpy as np

from micrograd import nn
from micrograd.engine import Value


def show(a, b):
    print(a == b, a != b, b != a, a < b, a > b, b > a, max(a, b).data, min(a, b).data,
          [v.data for v in sorted([a, b])], a in [b])


class Equal(Value):
    def __eq__(self, other): return isinstance(other, Value) and self.data == other.data

    def __hash__(self): return hash(self.data)


class Less(Value):
    def __lt__(self, other): return self.grad < other.grad


@functools.total_ordering
class Ordered(Value):
    def __lt__(self, other): return self.grad < other.grad

    def __eq__(self, other): return self.grad == other.grad

    __hash__ = Value.__hash__


class ByData(Value):
    def __lt__(self, other): return self.data < getattr(other, "data", other)


class ByDataOrEqual(Value):
    def __ge__(self, other): return self.data >= getattr(other, "data", other)


class Bound(float):
    """A number that says of a Value more than whether it is the greater."""

    def __gt__(self, other): return f"{other.data} is below {float(self)}"

    def __le__(self, other): return f"{other.data} is not"


print(Value(1.0) < Bound(2), Bound(2) > Value(1.0), Value(3) >= Bound(2), Bound(2) <= Value(3))
print(Equal(1.0) == Equal(1.0), Equal(1.0) != Equal(1.0), Equal(1.0) != Equal(2.0),
      Value(1.0) == Equal(1.0), Value(1.0) != Equal(1.0), Equal(1.0) in [Value(1.0)],
      len({Equal(1.0), Equal(1.0)}))
for cls in (Less, Ordered):
    for grads in ((5, 3), (3, 5), (4, 4)):
        a, b = cls(1.0), cls(2.0)
        a.grad, b.grad = grads
        show(a, b)
a, b = Value(1.0), Value(1.0)
print(a.__eq__(a), a.__eq__(b), a.__ne__(a), a.__ne__(b), a != a, a != b, a == 1.0, a != 1.0)
a, b = Ordered(1.0), Ordered(2.0)
a.grad = 1
print(a <= b, a >= b, b <= a, a <= a, a >= a)


def compare(a, b):
    """Each comparison, or the error, where a class has not all of them."""
    for name in ("lt", "le", "gt", "ge"):
        try:
            print(name, getattr(operator, name)(a, b), end=" ")
        except TypeError as error:
            print(error, end=" ")
    print()


# Of equal data, and of nan, one that total_ordering completes chooses another than one it does not.
for undecorated in (ByData, ByDataOrEqual):
    for cls in (undecorated, functools.total_ordering(type("Total", (undecorated,), {}))):
        for data in ((1.0, 2.0), (2.0, 2.0), (2.0, float("nan")), (float("nan"), 2.0)):
            a, b = values = [cls(x) for x in data]
            compare(a, b)
            compare(a, 2)
            compare(Value(2.0), b)
            try:
                print([values.index(f(values)) for f in (max, min)],
                      [values.index(v) for v in sorted(values)])
                max(a * 2, b * 2, key=lambda v: cls(v.data)).backward()
            except TypeError as error:
                print(error)
            print(a, b)
try:
    functools.total_ordering(type("Undefined", (Value,), {}))
except ValueError as error:
    print(error)
Value.__eq__ = lambda self, other: self.data == other.data
print(Value(1) == Value(1), Value(1) != Value(1), Value(1) != Value(2))
Value.__lt__ = lambda self, other: self.grad < other.grad
a, b = Value(1.0), Value(2.0)
a.grad, b.grad = 5, 3
show(a, b)
compare(a, b)
functools.total_ordering(Value)
compare(a, b)
compare(a, a)
for nonlin in (1, 0, 2.5, None, "", [], np.True_, np.False_, np.int64(1)):
    neuron = nn.Neuron(1, nonlin=nonlin)
    neuron.w[0].data = -1.0
    print(neuron, neuron([2.0]))


# Of nodes that are equal, and have one hash, backward() goes through the first only.
class Alike(Value):
    def __mul__(self, other):
        out = Alike(self.data * other, (self,), "*")

        def backward():
            self.grad += other * out.grad

        out._backward = backward
        return out

    def __eq__(self, other): return isinstance(other, Alike)

    def __hash__(self): return 1


x = Alike(2.0)
y, z = x * 3, x * 4
w = z * 5
w._prev = [y, z]
w.backward()
print(x, y, z, w)
(w + 1).backward()
print(x, y, z, w)
