"""A GPT of one head on names; a class with slots, local gradients and its own backward pass."""
import math
import random

from micrograd.engine import Value


class Scalar(Value):
    __slots__ = ("_children", "_local_grads")
    def __init__(self, data, children=(), local_grads=()):
        self.data, self.grad = data, 0
        self._children, self._local_grads = children, local_grads

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, n): return Scalar(self.data**n, (self,), (n * self.data**(n - 1),))
    def log(self): return Scalar(math.log(self.data), (self,), (1 / self.data,))
    def exp(self): return Scalar(math.exp(self.data), (self,), (math.exp(self.data),))

    def backward(self):
        self.build(topo := [], set())
        self.grad = 1
        for v in reversed(topo):
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * v.grad

    def build(self, topo, visited):
        if self not in visited:
            visited.add(self)
            for child in self._children:
                child.build(topo, visited)
            topo.append(self)


random.seed(42)
names, C = ["anna", "nina", "hanna"], 4
chars = sorted(set("".join(names))) + ["."]
w = [[[Scalar(random.gauss(0, 0.3)) for _ in range(C)] for _ in range(rows)]
     for rows in (5, 5, C, C, C, 7)]
params = [p for matrix in w for row in matrix for p in row]
linear = lambda x, rows: [sum((a * b for a, b in zip(row, x)), Scalar(0.0)) for row in rows]
for step in range(30):
    tokens, keys, values, loss = ([chars.index(c) for c in f".{names[step % 3]}."], [], [],
                                  Scalar(0.0))
    for t, token in enumerate(tokens[:-1]):
        x = [a + b for a, b in zip(w[0][token], w[5][t])]
        query, key, value = (linear(x, matrix) for matrix in w[2:5])
        keys.append(key), values.append(value)
        scores = [score.exp() for score in linear(query, keys)]
        logits = [v.exp() for v in linear(linear([s / sum(scores) for s in scores], zip(*values)),
                                          w[1])]
        loss -= (logits[tokens[t + 1]] / sum(logits)).log()
    loss.backward()
    print(step, f"{loss.data:.6f}", f"{sum(abs(p.grad) for p in params):.6f}")
    for p in params:
        p.data, p.grad = p.data - 0.02 * p.grad, 0
