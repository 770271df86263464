"""Data of any kind: numpy, Fraction, complex, big ints, nested Values."""
import copy
import random
import warnings
from fractions import Fraction

import numpy as np

from micrograd.engine import Value
from micrograd.nn import MLP, Layer, Neuron

warnings.simplefilter("ignore")
rng = np.random.RandomState(0)
X, y = rng.randn(8, 2), rng.randint(0, 2, 8) * 2 - 1
random.seed(1)
model = MLP(2, [4, 1])
for k in range(3):
    scores = [model(list(map(Value, row))) for row in X]
    losses = [(1 + -yi * s).relu() for yi, s in zip(y, scores)]
    loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= 0.1 * p.grad
    print(k, f"{loss.data:.12f}", type(loss.data).__name__,
          type(model.parameters()[0].grad).__name__)
print([f"{p.data:.10f}" for p in model.parameters()],
      [type(p.data).__name__ for p in model.parameters()])

a = np.array([Value(1.5), Value(-2.0), Value(3)], dtype=object)
w = np.array([0.5, 2.0, -1.0])
s = (a * w).sum() + np.dot(a, a) + (w @ a) * 2
s.backward()
print(s, list(a))
print(np.float64(2.0) * a[0], np.int64(3) - a[0], np.float32(0.5) / a[1], a[0] + np.float64(1),
      a[2] * np.int64(4))
print([type(v.data).__name__
       for v in (np.float64(2.0) * a[0], a[0] + np.float64(1), a[2] * np.int64(4))])
for left in (np.float64(0.1), np.float32(0.1), np.int32(3), 3, 2.5, True, Fraction(1, 3), 1j):
    v = Value(0.7)
    out = left * v + left
    out = out - left
    out.backward()
    print(type(left).__name__, out, v, type(out.data).__name__, type(v.grad).__name__)

f = Value(Fraction(1, 3))
g = (f * Fraction(3, 5) + 1) ** 2
g.backward()
print(g, f)
i = Value(2**60)
j = (i + 1) * i - 3
j.backward()
print(j, i, Value(2**53) + 1, Value(2**53 - 1) + Value(1), Value(3**33) * Value(3**33))
c = Value(1 + 2j)
d = c * c + c
d.backward()
print(d, c)
n = Value(Value(2.0)) * 3
n.backward()
print(n, n.data)
arr = Value(np.arange(3.0))
t = (arr * 2 + 1) * arr
t.backward()
print(t, arr)
print(Value(np.float64(1e308)) * 10, Value(np.float64(0.0)) ** -1, Value(np.float64(-8.0)) ** 0.5)
z = Value(np.float64(0.0))
u = z ** 0.5
u.backward()
print(u, z)
q = Value(5.0).relu()
q.grad = np.int64(2)
q._backward()
print(q, q._prev, type(list(q._prev)[0].grad).__name__)

twin = copy.deepcopy(model)
twin.parameters()[0].data = 7
print(model.parameters()[0].data != 7, twin([1, 2]).data == model([1, 2]).data, copy.copy(Value(3)),
      copy.deepcopy(Value(4.0)))
print(Layer(2, 1)([1, 2])._op, Neuron(3), len(MLP(3, [4, 4, 2]).parameters()),
      f"{model([True, 2.0]).data:.9f}")
print(Value(3) - 1, 1 - Value(3), Value(3) / 2, 2 / Value(3), -Value(0), -Value(0.0),
      Value(-0.0) * 0, Value(0) * -1.0)
print([Value(v).relu() for v in (-1, 0, -0.0, 2.5, float("nan"), -float("inf"), True)])
