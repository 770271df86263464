"""Exceptions: in `_backward`, in arithmetic, where layers are called, and while nodes are made."""
from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])


class Bad:
    def __mul__(self, other):
        raise ZeroDivisionError

    __rmul__ = __add__ = __radd__ = __mul__


def fails(function):
    try:
        function()
    except (ZeroDivisionError, TypeError, AssertionError, AttributeError, OverflowError):
        return
    raise AssertionError("should have failed")


def step(i):
    x = Value(0.0)
    y = model([x, 1.0])
    out = Value(1.0, (y,), "custom")
    out._backward = lambda: 1 / 0
    fails((model([out, y]) + out).backward)
    fails(lambda: x ** -1)
    fails(lambda: x + Bad())
    fails(lambda: model([x, None]))
    fails(lambda: x ** "2")
    fails(lambda: Value(1.0, (x, y, 3)).backward())
    z = Value(2.0) * y
    z._prev.pop().grad = Bad()
    fails(z.backward)


check(step, 50_000)
