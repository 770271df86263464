"""Classes that derive from Value and, after it, from others, which define what Value has here and
not in the original."""
import functools
import numbers
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Generic, TypeVar

from micrograd.engine import Value

T = TypeVar("T")


def show(compute):
    try:
        print(compute())
    except TypeError as error:
        print(type(error).__name__, error)


class Functions:
    grad, data = "grad of the class", "data of the class"

    def __init_subclass__(cls, **keywords):
        print(cls.__name__, keywords)
        super().__init_subclass__()

    def tanh(self): return "tanh"

    def exp(self): return "exp"

    def relu(self): return "relu"

    def __add__(self, other): return "+"

    def __abs__(self): return "abs"

    def __lt__(self, other): return "<"

    def __eq__(self, other): return "=="

    def __hash__(self): return 5

    def __format__(self, spec): return "format"

    def __round__(self, digits=None): return "round"

    def __reduce__(self): return "reduced"


class V(Value, Functions, key=1):
    pass


class Below(V):
    def tanh(self): return f"{super().tanh()} below"


class Before(Functions, Value):
    pass


for cls in V, Below, Before:
    v = cls(2.0)
    show(lambda: (v.tanh(), v.exp(), v.relu(), v + 1, abs(v), v < 3, v == 3, hash(v)))
    show(lambda: (f"{v:x}", round(v), v.grad, v.data, v.__reduce__()))
    show(lambda: v > 3)


class Abstract(Value, ABC):
    @abstractmethod
    def f(self): pass


class Typed(Value, Generic[T]):
    pass


class Hashed(Value, Hashable):
    pass


class Number(Value, numbers.Number):
    pass


show(lambda: Abstract(1.0))
show(lambda: Typed[int](2.0) * 3)
show(lambda: Hashed(1.0))
show(lambda: hash(Number(1.0)))


class Reversed:
    def __lt__(self, other): return self.data > other.data


@functools.total_ordering
class Ordered(Value, Reversed):
    pass


a, b = Ordered(1.0), Ordered(2.0)
print(a < b, a > b, a <= b, a >= b, a <= a, max(a, b))


class Own(Value):
    def exp(self): return "own exp"


class Mixed(Own, Functions):
    pass


class Frozen(type):
    def __setattr__(cls, name, x): raise TypeError("frozen")


class Kept(Value, Functions, metaclass=Frozen):
    pass


for cls in Mixed, Kept:
    show(lambda: (cls(1.0).tanh(), cls(1.0).exp(), cls(1.0) < 1))
show(lambda: type("Bad", (Value,), {}, key=3))
Value.tanh = lambda self: "patched"
show(lambda: (type("Late", (Value, Functions), {})(1.0).tanh(), V(1.0).exp()))
