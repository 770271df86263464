"""Classes that log the reads and writes of a Value's attributes, or answer each read anew."""
import random

from micrograd.engine import Value
from micrograd.nn import Neuron

ACCESS = ("data", "grad", "_prev", "_op", "_backward")
seen = []


class Logged(Value):
    def __getattribute__(self, name):
        if name in ACCESS:
            seen.append(name)
        return super().__getattribute__(name)

    def __setattr__(self, name, new):
        seen.append(f"{name}=")
        super().__setattr__(name, new)


class Noisy(Value):
    """A weight with a new noise at every read."""
    reads = 0

    @property
    def data(self):
        Noisy.reads += 1
        return self.mean + random.gauss(0, 0.1)

    @data.setter
    def data(self, new):
        self.mean = new


def log(name, call):
    seen.clear()
    result = call()
    print(name, *seen)
    return result


a, b = Logged(2.0), Logged(3.0)
results = {"a + b": lambda: a + b, "a * b": lambda: a * b, "a ** 2": lambda: a ** 2,
           "a.relu()": lambda: a.relu(), "-a": lambda: -a, "a - b": lambda: a - b,
           "a / b": lambda: a / b, "1 - a": lambda: 1 - a, "a * a": lambda: a * a,
           "1 / a": lambda: 1 / a, "sum": lambda: sum([a, b])}
log("Logged(1)", lambda: Logged(1))
log("repr", lambda: repr(a))
for name, expression in results.items():
    out = log(name, expression)
    log(f"{name}, _backward", out._backward)
zero = Logged(0.0)
out = zero ** 0.5
try:
    log("never", out._backward)
except ZeroDivisionError as error:
    print(error, *seen)

random.seed(1)
w = Noisy(2.0)
out = (((w * w) ** 3).relu() * w - 1) / 2
out.backward()
print(Noisy.reads, f"{out.data:.9f} {w.grad:.9f}")
lone = Noisy(2.0).relu()
print(Noisy.reads, f"{lone.data:.9f}")
neuron = Neuron(1)
neuron.w = [Noisy(1.0)]
out = neuron([2.0])
out.backward()
print(Noisy.reads, f"{out.data:.9f}", [f"{p.grad:.9f}" for p in neuron.parameters()])

# The same on the class itself.
Value.__getattribute__ = lambda self, name: (seen.append(name),
                                             object.__getattribute__(self, name))[1]
x = Value(1.0)
y = log("x + 2", lambda: x + 2)
log("x * 2 and relu", lambda: (x * 2).relu())
seen.clear()
y.backward()
print(*sorted(seen))
