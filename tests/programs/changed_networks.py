"""Networks that are changed between two calls in ways that nobody announces, and what a backward
reads only when it runs."""
import copy
import random
from fractions import Fraction

from micrograd import nn
from micrograd.engine import Value

random.seed(5)


def layer(nin=1, nout=2, nonlin=False):
    made = nn.Layer(nin, nout, nonlin=nonlin)
    for i, p in enumerate(made.parameters()):
        p.data = 0.5 + i / 4
    made([1.0] * nin), made([1.0] * nin)     # by now it is known to be as it is
    return made


# The gradient of an input before the sweep

for grad in [True, Fraction(1, 2), 10**20, 1j, 0.5, -0.0, None, "text"]:
    x, y = Value(1.0), Value(2.0)
    x.grad = grad
    try:
        sum(layer(2)([x, y])).backward()
    except TypeError as error:
        print("TypeError", error)
    print(x, type(x.grad).__name__)

x = Value(1)
(x * (2**53 - 1)).backward()
one = layer(1, 1)
w = one.neurons[0].w[0]
(w * (2**53 - 1)).backward()
for _ in range(3):
    one([1]).backward()
print(w)


# The data of an output after the forward

many = layer(2, 3, nonlin=True)
out = many([1.0, 2.0])
out[0].data, out[1].data = 0.0, -1.0
sum(out).backward()
print(many.parameters())


# Classes and their attributes

class Other(nn.Neuron):
    def __call__(self, x):
        return Value(42)


some = layer()
neuron = some.neurons[0]
some([1.0])
neuron.__class__ = Other
print(some([1.0]))
neuron.__class__ = nn.Neuron
print(some([1.0]))

model, others = nn.MLP(1, [1]), layer()
for p in model.parameters() + others.parameters():
    p.grad = 7
nn.MLP.layers = property(lambda self: [others])
model.zero_grad()
print([p.grad for p in others.parameters()])
del nn.MLP.layers

shipped = nn.Neuron.__call__
for _ in range(1200):
    nn.Neuron.__call__ = lambda self, x: Value(1)
    some([1.0])
    nn.Neuron.__call__ = shipped
    some([1.0])
nn.Neuron.__call__ = lambda self, x: Value(1)
print(some([1.0]))
nn.Neuron.__call__ = shipped

try:
    print(nn.Module(1))
except TypeError as error:
    print("TypeError", error)


# The dict that copy and pickle get

some = layer()
neuron = some.neurons[0]
some([1.0])
state = neuron.__reduce_ex__(2)[2]
state["w"][0] = Value(100.0)
print(some([1.0]))


class OneSlot(nn.Neuron):
    __slots__ = "abc"


class Private(nn.Neuron):
    __slots__ = ("__x",)

    def x(self, *new):
        if new:
            self.__x, = new
        return self.__x


one, private = OneSlot(1), Private(1)
one.abc = 5
private.x(6)
print(copy.copy(one).abc, copy.copy(private).x())


# Weights that get names, as for a drawing

named = nn.MLP(2, [3, 2])
named([1.0, -2.0])
before = [p.data for p in named.parameters()]
for i, p in enumerate(named.parameters()):
    p._op = f"w{i}"
print([p.data for p in named.parameters()] == before, [p._op for p in named.parameters()])
sum(named([1.0, -2.0])).backward()
print([p.data for p in named.parameters()] == before, [p.grad for p in named.parameters()])
