"""A constructor that leaves out the children, where a program overrides access to attributes."""
from micrograd.engine import Value

shipped = Value.__init__


def step():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = (c + 1) ** 2
    print(len(c._prev), repr(c._op), len(d._prev), d)
    d.backward()
    print(a.grad, b.grad, c.grad)


def without_children(self, data, _children=(), _op=""):
    shipped(self, data)


def with_a_name(self, data, _children=(), _op=""):
    shipped(self, data, _children, _op.upper() or "leaf")


for init in (shipped, without_children, with_a_name):
    Value.__init__ = init
    Value.__setattr__ = lambda self, name, x: object.__setattr__(self, name, x)
    step()
    del Value.__setattr__
    Value.__getattribute__ = lambda self, name: object.__getattribute__(self, name)
    step()
    del Value.__getattribute__
    step()

Value.__init__ = shipped
Value.__getattribute__ = lambda self, name: (
    object.__getattribute__(self, name) * (10 if name == "data" else 1))
for y in (Value(2.0) ** 2, Value(2.0) / 4, 4 / Value(2.0)):
    print(y._op, y)
del Value.__getattribute__
Value.data = property(lambda self: self._d, lambda self, x: setattr(self, "_d", float(x)))
a = Value(3)
for y in (a ** 2, 1 / a, a / Value(2.0), a ** -0.5):
    y.backward()
    print(y._op, y, a)
