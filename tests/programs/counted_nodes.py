"""Counters in the class, which change it at every node; a change that matters is still noticed."""
import random

from micrograd.engine import Value
from micrograd.nn import MLP

random.seed(3)
model = MLP(2, [4, 1])
shipped = {name: getattr(Value, name) for name in ("__init__", "__add__", "relu")}
Value.count = 0


def counting_init(self, *arguments):
    Value.count += 1
    shipped["__init__"](self, *arguments)


def add_one_more(self, other):
    return shipped["__add__"](shipped["__add__"](self, other), 1)


def relu_of_twice(self):
    return shipped["relu"](self * 2)


class Numbered(Value):
    made = 0

    def __init__(self, data, _children=(), _op=""):
        super().__init__(data, _children, _op)
        self.number, Numbered.made = Numbered.made, Numbered.made + 1

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Numbered(other)
        return Numbered(self.data * other.data, (self, other), "*")


def step(times):
    for _ in range(times):
        out = model([1.0, -2.0]) * 0.5
        model.zero_grad()
        out.backward()
    print(out, [round(p.grad, 12) for p in model.parameters()], Value.count)


def change(times):
    for i in range(times):
        Value.other = i


step(2)
Value.__init__ = counting_init
step(40)        # from 3.13 on, CPython gives a class a thousand versions at most
y = Numbered(3.0) * 2 * Numbered(4)
print(y, y.number, Numbered.made, y + 1, Value.count)
Value.__add__ = add_one_more
step(1)
Value.__add__ = shipped["__add__"]
Value.__init__ = shipped["__init__"]
step(1)
change(2000)
step(1)
Value.relu = relu_of_twice
step(1)
change(1)
Value.relu = shipped["relu"]
step(1)
Value.data = property(lambda self: 7.0, lambda self, new: None)
print(Value(1.0) * 2)
del Value.data
