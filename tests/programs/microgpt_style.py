"""Own operations in microgpt's style: closures, or local gradients where ours are imported."""
import math
import random

from micrograd.engine import Value


def tanh(a):
    t = math.tanh(a.data)
    out = Value(t, (a,), "tanh")

    def backward():
        a.grad += (1 - t * t) * out.grad

    out._backward = backward
    return out


def mean(values):
    out = Value(sum(v.data for v in values) / len(values), tuple(values), "mean")

    def backward():
        for v in values:
            v.grad += out.grad / len(values)

    out._backward = backward
    return out


class Scalar(Value):
    """A class of its own, as programs of this kind have it."""

    def __init__(self, data, children=(), op="", label=""):
        super().__init__(data, children, op)
        self.label = label

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        out = Scalar(self.data + other.data, (self, other), "+")

        def backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        out = Scalar(self.data * other.data, (self, other), "*")

        def backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = backward
        return out

    def exp(self):
        out = Scalar(math.exp(self.data), (self,), "exp")

        def backward():
            self.grad += out.data * out.grad

        out._backward = backward
        return out


random.seed(5)
for make in (Value, Scalar):
    w = [[make(random.uniform(-1, 1)) for _ in range(3)] for _ in range(2)]
    for _ in range(3):
        x = [make(0.5), make(-1.0), make(2.0)]
        rows = [tanh(sum((wi * xi for wi, xi in zip(row, x)), make(0.0))) for row in w]
        loss = mean([(r + -0.5) * (r + -0.5) for r in rows])
        loss.backward()
        print(f"{loss.data:.12f}", type(loss).__name__, loss._op, sorted(c._op for c in loss._prev))
        print(*[f"{v.grad:.10f}" for row in w for v in row + x])
        for row in w:
            for v in row:
                v.data -= 0.1 * v.grad
                v.grad = 0
print(Scalar(1.0, label="a").label, (Scalar(2.0) * 3 + 1).exp()._op, Scalar(2.0) - 1,
      3 - Scalar(2.0))
