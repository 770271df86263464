"""An LSTM cell that learns to remember the first number; sigmoid and tanh by closures."""
import math
import random

from micrograd.engine import Value
from micrograd.nn import Module


def unary(v, y, slope, name):
    out = Value(y, (v,), name)

    def _backward():
        v.grad += slope * out.grad

    out._backward = _backward
    return out


def tanh(v): return unary(v, math.tanh(v.data), 1 - math.tanh(v.data)**2, "tanh")
def sigmoid(v): return tanh(v * 0.5) * 0.5 + 0.5


class Gate(Module):
    def __init__(self, nin):
        self.w, self.b = [Value(random.gauss(0, 0.4)) for _ in range(nin)], Value(0.1)

    def __call__(self, x): return sum((w * xi for w, xi in zip(self.w, x)), self.b)
    def parameters(self): return self.w + [self.b]


class LSTM(Module):
    def __init__(self, size):
        self.gates = [[Gate(size + 1) for _ in range(4)] for _ in range(size)]
        self.head = Gate(size)

    def __call__(self, xs):
        h = c = [Value(0.0)] * len(self.gates)
        for x in xs:
            h, c = zip(*[self.cell(gates, [x, *h], ci) for gates, ci in zip(self.gates, c)])
        return self.head(h)

    def cell(self, gates, x, c):
        i, f, o, g = (gate(x) for gate in gates)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def parameters(self): return [p for g in [*sum(self.gates, []), self.head]
                                  for p in g.parameters()]


random.seed(6)
model = LSTM(3)
rows = [[random.uniform(-1, 1) for _ in range(4)] for _ in range(4)]
for step in range(12):
    loss = sum((model([Value(x) for x in row]) - row[0]) ** 2 for row in rows)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= 0.1 * p.grad
    print(step, f"{loss.data:.8f}", f"{model.gates[0][0].b.grad:.8f}")
