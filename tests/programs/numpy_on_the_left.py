"""numpy's scalars on the left of a class with reflected methods and comparisons of its own."""
import operator

import numpy as np

from micrograd.engine import Value

SCALARS = (np.float64(2.5), np.float32(0.1), np.float16(1.5), np.int64(2**62), np.uint8(200),
           np.bool_(True), np.longdouble(0.5))
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and",
             "or", "xor")


def show(compute, *arguments):
    try:
        y = compute(*arguments)
        print(type(y).__name__, repr(y.data) if isinstance(y, Value) else y, end=" ")
    except (ArithmeticError, AssertionError, AttributeError, TypeError) as error:
        print(type(error).__name__, error)


def reflected(name):
    def method(self, other):
        return Value(f"{name} {type(other).__name__} {other}")
    return method


for name in OPERATORS:
    cls = type("Own", (Value,), {f"__r{name}__": reflected(name)})
    for x in SCALARS:
        show(getattr(operator, f"__{name}__"), x, cls(3.0))
    print()
cls = type("Own", (Value,), {"__rdivmod__": reflected("divmod")})
show(divmod, SCALARS[0], cls(3.0))
for name in ("lt", "le", "gt", "ge"):
    cls = type("Own", (Value,), {
        f"__{name}__": lambda self, other: print(end=type(other).__name__ + " ") or True})
    for x in SCALARS:
        for compare in (operator.lt, operator.le, operator.gt, operator.ge):
            show(compare, x, cls(3.0))
    print()


class Scaled(Value):
    def __rmul__(self, other): return self * other

    def __rtruediv__(self, other): return Value(other / self.data, (self,), "/")


for x in SCALARS:
    for compute in (operator.mul, operator.truediv, operator.add, operator.sub):
        for data in (0.3, 2, 0.0, np.float32(0.1)):
            show(compute, x, Scaled(data))
    print()
print([(x * Scaled(2.0)).data for x in np.array([1.5, 2.5])])
print(np.array([1.5, 2.5]) * Scaled(2.0), sum(np.array([1, 2]) * Scaled(2.0)).data)

before = np.float64(2.0) * Value(3.0)
print(before, np.float64(2.0) - Value(np.float64(3.0)))
Value.__rsub__ = lambda self, other: Value(other) + (-self)
print(np.uint8(200) - Value(-100), np.float64(2.5) * Value(2.0), np.float64(2.5) * Scaled(2.0))
Value.__radd__ = lambda self, other: Value(other + self.data, (self,), "own +")
Value.__rmul__ = lambda self, other: Value(other * self.data, (self,), "own *")
y = sum([x * Value(2.0) for x in np.array([1.5, 2.5])])
print(y, y._op, np.float64(2.5) + Value(2), type((np.float64(2.5) + Value(2)).data).__name__)
