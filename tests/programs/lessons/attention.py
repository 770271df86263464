"""One head of attention whose softmax and dot product are single nodes, each with a closure."""
import math
import random

from micrograd.engine import Value


def dot(a, b):
    out = Value(sum(x.data * y.data for x, y in zip(a, b)), (*a, *b), "dot")

    def _backward():
        for x, y in zip(a, b):
            x.grad += y.data * out.grad
            y.grad += x.data * out.grad

    out._backward = _backward
    return out


def softmax(row):
    top = max(v.data for v in row)
    exps = [math.exp(v.data - top) for v in row]
    outs = [Value(e / sum(exps), tuple(row), "softmax") for e in exps]

    def closure(i, out):
        def _backward():
            for j, v in enumerate(row):
                v.grad += out.data * ((i == j) - outs[j].data) * out.grad
        return _backward

    for i, out in enumerate(outs):
        out._backward = closure(i, out)
    return outs


random.seed(3)
T, C = 6, 4
make = lambda rows: [[Value(random.uniform(-1, 1)) for _ in range(C)] for _ in range(rows)]
x, Wq, Wk, Wv = make(T), make(C), make(C), make(C)
target = [[math.sin(t + c) for c in range(C)] for t in range(T)]
params = [p for rows in (Wq, Wk, Wv) for row in rows for p in row]
for step in range(100):
    q, k, v = ([[dot(row, xt) for row in W] for xt in x] for W in (Wq, Wk, Wv))
    loss = Value(0.0)
    for t in range(T):
        weights = softmax([dot(q[t], k[s]) for s in range(t + 1)])
        for c in range(C):
            loss += (dot(weights, [v[s][c] for s in range(t + 1)]) - target[t][c]) ** 2
    loss = loss / (T * C)
    for p in params:
        p.grad = 0
    loss.backward()
    for p in params:
        p.data -= 0.3 * p.grad
    if step % 25 == 24:
        print(step, f"{loss.data:.8f}", f"{params[0].grad:.8f}", f"{params[-1].data:.8f}")
print([f"{p.data:.8f}" for p in params[:6]], [w._op for w in weights][:2])
