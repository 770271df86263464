"""Numbers of the program's own that are Integral: a Value is divided by their power of -1."""
import numbers
from fractions import Fraction

import numpy as np

from micrograd.engine import Value


class Exact(int):
    def __pow__(self, exponent): return Fraction(self) ** exponent


class Whole:
    """As sympy.Integer, it is no int."""

    def __init__(self, number): self.number = number

    def __pow__(self, exponent): return Fraction(self.number) ** exponent

    def __int__(self): return self.number

    def __index__(self): return self.number


class Counter(Value):
    pass


numbers.Integral.register(Whole)
numbers.Integral.register(Counter)
for divisor in Exact(3), Whole(3), True:
    v = Value(Fraction(2, 5))
    root = v / divisor
    root.backward()
    print(repr(root), repr(v))
a, b = Value(6.0), Counter(2.0)
root = a / b
root.backward()
print(root, a, b)
print(b / 2, 3 / b, b / b)
try:
    print(Value(6.0) / np.timedelta64(2, "s"))
except TypeError as error:
    print("TypeError", error)
