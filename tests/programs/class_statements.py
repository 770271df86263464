"""Classes as programs make them of Value and of the modules, and what they replace on these."""
import functools
import threading
from fractions import Fraction

from micrograd.engine import Value
from micrograd.nn import MLP, Layer, Module, Neuron


def show(call):
    try:
        print(call())
    except TypeError as error:
        print("TypeError:", error)


class Hooks:
    b = 0.5

    def __init__(self):
        self.hooks = []

    @property
    def w(self):
        return "a property"


class Hooked(Module, Hooks):
    def __init__(self):
        super().__init__()
        self._parameters = [Value(1.0)]

    def parameters(self):
        return self._parameters


class Thread(Module, threading.Thread):
    def __init__(self):
        super().__init__()

    def run(self):
        print("runs")


class Plain(Module):
    pass


class Single(Module):
    def __new__(cls, *args):
        return super().__new__(cls)


class Wrong(Module):
    def __init__(self):
        super().__init__(1)


net = Hooked()
print(net.hooks, net.b, net.w, net.parameters(), sorted(vars(net)))
thread = Thread()
thread.start()
thread.join()
print(type(Single(3)).__name__)
for call in (lambda: Plain("name"), lambda: Plain(name=1), lambda: Module(1),
             lambda: Module.__new__(Module, 1), Wrong):
    show(call)
bare = object.__new__(MLP)
bare.layers = [object.__new__(Layer)]
bare.layers[0].neurons = [Neuron(2)]
print(bare, len(bare.parameters()), hasattr(object.__new__(Neuron), "w"), hasattr(Neuron, "w"))


class Asked(MLP):
    @property
    def layers(self):
        print("layers")
        return self.all

    @layers.setter
    def layers(self, layers):
        self.all = layers


asked = Asked(1, [1])
asked([Fraction(1, 2)])
print(len(asked.parameters()))


# Subclasses of Value.

for name in ("__lt__", "__gt__", "__le__", "__ge__"):
    def order(a, b, name=name):
        return getattr(float, name)(float(a.data), float(getattr(b, "data", b)))

    cls = functools.total_ordering(type("Ordered", (Value,), {name: order}))
    a, b = cls(1.0), cls(2.0)
    print(a < b, a <= b, a > b, a >= b, a < 2, a <= 2, a > 2, a >= 2, 2 > a, 2 <= a)


class Slots(Value):
    __slots__ = ("data", "grad", "_prev", "_op", "_backward")


a = Value(2.0)
own = Slots(4.0, (a,), "id")


def backward():
    a.grad += own.grad


own._backward = backward
(own * 2).backward()
print(a.grad)


class Dict(Value):
    def __setattr__(self, name, value):
        self.__dict__[name] = value


print(Dict(5.0) + 1, (Dict(5.0) * 2)._op)


class Duck:
    relu, backward = Value.relu, Value.backward

    def __init__(self, data):
        self.data, self.grad, self._prev, self._backward = data, 0, set(), lambda: None


ducks = [Duck(float(i - 5)) for i in range(10)]
for y in [duck.relu() for duck in ducks]:
    y.backward()
ducks[0].backward()
print([duck.grad for duck in ducks])

try:
    a = Value(1.0)
    del a.grad
    del a.grad
except AttributeError:
    print("AttributeError")


# Values that leave no graph, by a constructor put on the class.

constructor, recording = Value.__init__, True


def init(self, data, _children=(), _op=""):
    constructor(self, data, _children if recording else (), _op.upper() if recording else "")


Value.__init__ = init
x, w, model = Value(2.0), Value(5.0), MLP(2, [3, 1])
recording = False
h, y = x * 3 * 2, model([x, 1.0])
recording = True
(h * w + y).backward()
print(x.grad, w.grad, h._prev, repr(h._op), y._prev, {p.grad for p in model.parameters()},
      (x.relu() * w)._op)
r = (x**2).relu()
print(r._op, len(r._prev), [c._op for c in r._prev])
Value.__init__ = constructor

Value.__eq__, Value.__hash__ = lambda a, b: a.data == b.data, lambda a: hash(a.data)
a, b = Value(2.0), Value(2.0)
(a * 3 + b * 3).backward()
print(a.grad + b.grad)
