"""Instances of subclasses, their attributes, and their classes."""
from growth import check

from micrograd.engine import Value


class Named(Value):
    def __init__(self, data, children=(), op=""):
        super().__init__(data, children, op)
        self.name = "named"
        self.me = self


class Slotted(Value):
    __slots__ = ("other",)


class Dying(Value):
    deaths = 0

    def __del__(self):
        Dying.deaths += 1


def step(i):
    a, b, c = Named(1.0), Slotted(2.0), Dying(3.0)
    b.other = a * b
    out = Named((a + b).data, (a, b), "sum") * c
    out.backward()
    if i % 100 == 0:
        class Local(Value):
            pass
        Local(1.0).me = Local(2.0)


check(step, 100_000)
