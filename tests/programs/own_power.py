"""A `__pow__` of the program's own and no `__rpow__`: number ** Value is an error, as without."""
import math

from micrograd.engine import Value


def power(self, k):
    out = Value(self.data**k, (self,), f"to the {k}")

    def backward():
        self.grad += k * self.data**(k - 1) * out.grad
    out._backward = backward
    return out


class Own(Value):
    __pow__ = power


class Heir(Own):
    pass


class Reflected(Own):
    def __rpow__(self, base):
        return f"{base} to the {self.data}"


def tried(function):
    try:
        print(function())
    except TypeError as error:
        print("TypeError", error)


def run(a, b):
    tried(lambda: a ** 2)
    tried(lambda: 1 / a)
    tried(lambda: a ** b)
    for base in 2, 2.0, True, 1j, math.e, "2", None:
        tried(lambda: base ** a)
    tried(lambda: pow(2, a))
    root = a ** 2 / 3 + 1 / a
    root.backward()
    print(root, a)


for cls in Own, Heir, Reflected:
    run(cls(2.0), cls(3.0))
Value.__pow__ = power
for cls in Value, Own, Reflected:
    run(cls(2.0), cls(3.0))
