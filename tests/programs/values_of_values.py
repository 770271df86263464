"""Values whose data is a Value, made by mistake: they add and multiply, and have no order."""
from micrograd import nn
from micrograd.engine import Value


class Wrapped(Value):
    """Its operators wrap what is not of its own class, other Values too."""

    def __add__(self, other):
        other = other if isinstance(other, Wrapped) else Wrapped(other)
        return Wrapped(self.data + other.data, (self, other), "+")

    def __mul__(self, other):
        other = other if isinstance(other, Wrapped) else Wrapped(other)
        return Wrapped(self.data * other.data, (self, other), "*")

    __radd__, __rmul__ = __add__, __mul__


class Ordered(Value):
    def __lt__(self, other):
        return self.data < other


def attempt(function):
    try:
        print(function())
    except TypeError as error:
        print(error)


nested = Value(Value(-2.0))
attempt(lambda: nested * 3 + 1)
attempt(lambda: nested.relu())
attempt(lambda: (nested * 3 + 1).relu())
attempt(lambda: Value(Wrapped(2.0)).relu())
attempt(lambda: Value(Ordered(-2.0)).relu())
attempt(lambda: Value(Ordered(2.0)).relu())
attempt(lambda: nn.Neuron(2)([Wrapped(1.0), Wrapped(2.0)]))
attempt(lambda: nn.MLP(2, [2, 1])([Wrapped(1.0), Wrapped(2.0)]))
attempt(lambda: nn.MLP(2, [2, 1])([nested, 2.0]))
