"""A Hessian by differences of gradients, and Newton's steps; a subclass with sin, exp, a slot."""
import math

from micrograd.engine import Value


class Dual(Value):
    __slots__ = ("depth",)

    def __init__(self, data, _children=(), _op=""):
        super().__init__(data, _children, _op)
        self.depth = 1 + max((getattr(child, "depth", 0) for child in _children), default=-1)

    def binary(self, other, y, da, db, op):
        out = Dual(y, (self, other), op)

        def _backward():
            self.grad += da * out.grad
            other.grad += db * out.grad

        out._backward = _backward
        return out

    def __add__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        return self.binary(other, self.data + other.data, 1, 1, "+")

    def __mul__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        return self.binary(other, self.data * other.data, other.data, self.data, "*")

    def sin(self): return self.binary(Dual(0.0), math.sin(self.data), math.cos(self.data), 0, "sin")
    def exp(self): return self.binary(Dual(0.0), math.exp(self.data), math.exp(self.data), 0, "exp")


def gradient(numbers):
    x = [Dual(n) for n in numbers]
    terms = [(a * b).sin() + (a - b) * (a - b) * 2 + (a * 0.5).exp() for a, b in zip(x, x[1:])]
    y = sum(terms, Dual(0.0))
    y.backward()
    return y, [v.grad for v in x]


def hessian(numbers, h=1e-5):
    rows = []
    for i in range(len(numbers)):
        (_, up), (_, down) = (gradient([n + s * h * (i == j) for j, n in enumerate(numbers)])
                              for s in (1, -1))
        rows.append([(u - d) / (2 * h) for u, d in zip(up, down)])
    return rows


point = [0.3, -0.2, 0.5, 0.1, -0.4]
for step in range(37):
    H = hessian(point)
    y, g = gradient(point)
    point = [p - gi / (abs(H[i][i]) + 1) for i, (p, gi) in enumerate(zip(point, g))]
    if step % 6 == 0:
        print(step, y.depth, f"{y.data:.8f}", [f"{gi:.6f}" for gi in g],
              [f"{h:.2f}" for h in H[0][:2]])
print(f"{max(abs(H[i][j] - H[j][i]) for i in range(5) for j in range(5)) < 1e-6}",
      [f"{p:.6f}" for p in point])
