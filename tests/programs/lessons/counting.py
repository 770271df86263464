"""A subclass that counts its operations and remembers the numbers it had."""
import collections
import random

from micrograd.engine import Value


class Counted(Value):
    counts = collections.Counter()

    def __init__(self, data, _children=(), _op=""):
        super().__init__(data, _children, _op)
        self.history = [data]
        Counted.counts[_op or "leaf"] += 1

    def __add__(self, other):
        other = other if isinstance(other, Value) else Counted(other)
        out = Counted(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Counted(other)
        out = Counted(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def move(self, rate):
        self.data -= rate * self.grad
        self.history.append(self.data)
        self.grad = 0


random.seed(8)
rows = [[random.gauss(0, 1) for _ in range(3)] for _ in range(20)]
targets = [2 * a - 3 * b + 0.5 * c + 1 for a, b, c in rows]
weights = [Counted(0.0) for _ in range(4)]
for step in range(160):
    loss = Counted(0.0)
    for row, y in zip(rows, targets):
        error = sum((w * x for w, x in zip(weights, row)), weights[3]) - y
        loss = loss + error * error
    loss = loss * (1 / len(rows))
    loss.backward()
    for w in weights:
        w.move(0.1)
    if step % 40 == 39:
        print(step, f"{loss.data:.8f}", [f"{w.data:.6f}" for w in weights])
print(sorted(Counted.counts.items()), [f"{x:.6f}" for x in weights[0].history[:40:8]])
