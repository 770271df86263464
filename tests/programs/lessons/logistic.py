"""Logistic regression, with powers of e by a patched __pow__."""
import math
import random

from micrograd.engine import Value

plain_pow = Value.__pow__


def power(self, other):
    """Any exponent; 1 and 2 are written out, as the gradient of 0**0 is a trap."""
    if other == 1:
        return self + 0
    if other == 2:
        return self * self
    if isinstance(other, Value):
        out = Value(self.data**other.data, (self, other), "**")

        def _backward():
            self.grad += other.data * self.data ** (other.data - 1) * out.grad
            other.grad += math.log(self.data) * out.data * out.grad

        out._backward = _backward
        return out
    return plain_pow(self, other)


Value.__pow__ = power
Value.__rpow__ = lambda self, other: Value(other) ** self
Value.sigmoid = lambda self: 1 / (1 + math.e ** -self)
Value.softplus = lambda self: log(1 + math.e ** self)


def log(v):
    out = Value(math.log(v.data), (v,), "log")

    def _backward():
        v.grad += out.grad * (1 / v.data)

    out._backward = _backward
    return out


random.seed(4)
rows = [[random.gauss(0, 1), random.gauss(0, 1)] for _ in range(30)]
labels = [a - 2 * b + random.gauss(0, 0.3) > 0.2 for a, b in rows]
w, b = [Value(0.0), Value(0.0)], Value(0.0)
for step in range(40):
    scores = [w[0] * x + w[1] * y + b for x, y in rows]
    data = sum((-s if label else s).softplus() for s, label in zip(scores, labels)) / len(rows)
    loss = data + 0.01 * sum(wi ** 2 for wi in w)
    loss.backward()
    for p in (*w, b):
        p.data, p.grad = p.data - p.grad, 0
    right = sum((s.sigmoid().data > 0.5) == label for s, label in zip(scores, labels))
    if step % 8 == 7:
        print(step, f"{loss.data:.8f}", right, [f"{p.data:.8f}" for p in (*w, b)])
print((w[0] ** 1)._op, (w[0] ** 2)._op, (w[0] ** 3)._op, f"{(2 ** Value(3.0)).data:.6f}")
