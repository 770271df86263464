"""A lesson's engine, all put on the class: constructor, operators, log, softmax, backward pass."""
import math

from micrograd.engine import Value


class Lesson:
    def __init__(self, data, _children=(), _op=""):
        self.data, self.grad = data, 0
        self._backward, self._prev, self._op = lambda: None, set(_children), _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return made(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return made(self.data * other.data, (self, other), (other.data, self.data), "*")

    def __pow__(self, n): return made(self.data**n, (self,), (n * self.data**(n - 1),), f"**{n}")
    def exp(self): return made(math.exp(self.data), (self,), (math.exp(self.data),), "exp")
    def log(self): return made(math.log(self.data), (self,), (1 / self.data,), "log")
    def softmax(row): return [v.exp() / sum(w.exp() for w in row) for v in row]

    def backward(self):
        self.build(topo := [], set())
        self.grad = 1
        for v in reversed(topo):
            v._backward()

    def build(self, topo, seen):
        if self not in seen:
            seen.add(self)
            for child in self._prev:
                child.build(topo, seen)
            topo.append(self)


def made(y, parents, slopes, op):
    out = Value(y, parents, op)

    def _backward():
        for parent, slope in zip(parents, slopes):
            parent.grad += slope * out.grad

    out._backward = _backward
    return out


[setattr(Value, name, method) for name, method in vars(Lesson).items() if callable(method)]
W = [[Value(math.sin(4 * j + i)) for i in range(4)] for j in range(3)]
rows = [([math.cos(4 * k + i) for i in range(4)], k % 3) for k in range(9)]
for _ in range(80):
    logits = [[sum(w * xi for w, xi in zip(row, x)) for row in W] for x, k in rows]
    loss = sum(-Value.softmax(line)[k].log() for line, (_, k) in zip(logits, rows)) / len(rows)
    loss.backward()
    for w in sum(W, []):
        w.data, w.grad = w.data - 0.5 * w.grad, 0
print(f"{loss.data:.8f}", loss._op, len(loss._prev), [[f"{w.data:.8f}" for w in row] for row in W])
