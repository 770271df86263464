"""Reflected operators, called by Python, by subclasses and by hand."""
from micrograd.engine import Value


class Sum(Value):
    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value.__add__(other, self)

    __radd__ = __add__


for f in (lambda: Sum(2) + 1, lambda: 1 + Sum(2), lambda: Value(1) + Sum(2),
          lambda: Sum(2) + Value(1), lambda: sum([Value(1), Sum(2)])):
    print(f())


class Logged(Value):
    def __mul__(self, other):
        print("*", end=" ")
        return Value.__mul__(self, other)

    def __rmul__(self, other):
        print("reflected *", end=" ")
        return Value.__mul__(Value(other), self)


print(3 * Logged(2), Logged(2) * 3)


class Counted(Value):
    def __add__(self, other):
        print("+", end=" ")
        return super().__add__(other)


print(1 + Counted(3), Value(1) + Counted(4), Counted(4) + Value(1))


class Plain(Value):
    pass


class Told(Plain):
    def __rmul__(self, other):
        print("reflected *", end=" ")
        return super().__rmul__(other)


class Refusing(Value):
    def __rmul__(self, other):
        print("refused", end=" ")
        return NotImplemented


class Bare(Value):
    def __init__(self, data):
        self.data, self.grad = data, 0


for make in (lambda: Plain("a") * Told(2), lambda: Told(3) * Plain("b"),
             lambda: Value("x") * Told(3), lambda: Value("a") + Plain("b"),
             lambda: Plain("a") + Value("b"), lambda: 2 * Plain(3), lambda: Value("a") + Bare("b"),
             lambda: Bare("a") + Value("b"), lambda: Bare("c") + "d",
             lambda: Value(2) * Refusing(3), lambda: Value("a").__radd__(Value("b")),
             lambda: Plain(2).__rmul__(3), lambda: Value.__radd__(1, 2)):
    print(make())

shipped = Value.__add__
Value.__add__ = lambda self, other: shipped(self, other)
print(Value(1) + 2, 2 + Value(1), Plain(1) + Plain(2), Plain("a") + Value("b"))
Value.__add__ = shipped
print(Value(1) + 2, 2 + Value(1), Plain(1) + Plain(2), Plain("a") + Value("b"))
Plain.__add__ = lambda self, other: Value(99)
print(Plain(1) + 2, 2 + Plain(1), Value(1) + Plain(2), Plain(1) + Value(2))
del Plain.__add__
print(Plain(1) + 2, 2 + Plain(1), Value("a") + Plain("b"), Plain(1) + Value(2))


class Equal(Value):
    __eq__ = staticmethod(lambda other: True)
    __hash__ = Value.__hash__


print(Equal(1) == Equal(2), Equal(1) != Equal(2), Value(1) != Value(1), Value(1) != 3)
print(Value.__radd__.__name__, Value.__rmul__.__qualname__)
