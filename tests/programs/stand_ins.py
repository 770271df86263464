"""What isinstance takes for Values, or for the numbers of a power: mocks and proxies."""
import weakref
from unittest import mock

from micrograd import nn
from micrograd.engine import Value


class PassiveProxy:
    """All it is asked for it takes from a Value; the operators it leaves to the Value beside."""
    __class__ = property(lambda self: Value)

    def __init__(self, value): self.__dict__["value"] = value

    def __getattr__(self, name): return getattr(self.value, name)

    def __setattr__(self, name, new): setattr(self.value, name, new)

    def __repr__(self): return f"Proxy of {self.value}"


class Proxy(PassiveProxy):
    def __add__(self, other): return self.value + other

    def __mul__(self, other): return self.value * other

    __radd__, __rmul__ = __add__, __mul__


class Power:
    """It says to be what it holds."""

    def __init__(self, number): self.number = number

    @property
    def __class__(self): return type(self.number)

    def __rpow__(self, base): return base**self.number

    def __sub__(self, other): return self.number - other

    def __mul__(self, other): return self.number * other

    def __str__(self): return f"Power of {self.number}"


class Counted(Value):
    made = 0

    def __init__(self, *arguments):
        Counted.made += 1
        super().__init__(*arguments)


def attempt(function):
    try:
        print(function())
    except (TypeError, AssertionError) as error:
        print(type(error).__name__, error)


def show(root, *leaves):
    for leaf in leaves:
        leaf.grad = 0
    root.backward()
    print(root, root._op, len(root._prev), *leaves)


a, v = Value(2.0), Value(3.0)
p = Proxy(v)
show(a * p, a, v)
show(a + p, a, v)
show(p * a + p, a, v)
show(a * p * p + 1, a, v)
show(a * 2 + p, a, v)
passive = PassiveProxy(v)
show(passive * a, a, v)
show(passive + a, a, v)
show(passive - a, a, v)
show(passive / a, a, v)
show(passive * Counted(4.0) + a * passive, a, v)
show(Counted(4.0) * p, v)
print(Counted.made, sum([a, p, p], p))
twin = mock.Mock(spec=Value, data=5.0, grad=0, _prev=set(), _backward=mock.Mock())
show(a * twin + twin, a)
show(twin * a, a)
print(twin.grad, twin._backward.call_count)
attempt(lambda: a * weakref.proxy(v))
attempt(lambda: a + weakref.proxy(v))
attempt(lambda: weakref.proxy(a) + v)
neuron = nn.Neuron(2)
layer = nn.Layer(2, 2)
for i, w in enumerate(neuron.parameters() + layer.parameters()):
    w.data = i / 4
show(neuron([p, 3]), v, *neuron.w)
show(sum(layer([p, 3])), v, *layer.parameters())
neuron.w[0] = p
show(neuron([2.0, 3]), v)
neuron.b = p
show(neuron([2.0, a]), a, v)

for number in 3, 2.5, True:
    show(a ** Power(number), a)
attempt(lambda: a ** Power("3"))
attempt(lambda: a ** Power(None))
