"""numpy scalars on the left, where the program has told numpy of its class."""
import numpy as np

from micrograd.engine import Value

NUMBERS = np.float64(2), np.float32(0.1), np.float16(0.1), np.int64(3), np.int8(100), np.True_


def show(values):
    for x in NUMBERS:
        for v in values:
            for f in (lambda: x + v, lambda: x * v, lambda: x - v, lambda: x / v):
                y = f()
                print(type(y).__name__, y, type(getattr(y, "data", None)).__name__, end="; ")
        print()
    print(np.array([1.0, 2.0]) * values[0], np.int64(3) == values[0])


class Own(Value):
    pass


class Sequence(Value):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return [5.0, 6.0][i]


np.seterr(all="ignore")
show([Value(3), Own(0.1)])
for name, told in (("__array_ufunc__", None), ("__array_priority__", 1000.0),
                   ("__array_priority__", -5.0)):
    for cls in (Own, Value):
        setattr(cls, name, told)
        show([Own(0.1), Value(3)])
        delattr(cls, name)
# Or where numpy can make a number or an array of it.
print(np.float64(2) + Sequence(3), np.float64(2) * Sequence(3))
Value.__array__ = lambda self, dtype=None, copy=None: np.array(self.data, dtype=dtype)
print(np.float64(2) * Value(3), np.int64(3) == Value(3), np.float64(2) * Own(3))
