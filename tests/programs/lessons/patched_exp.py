"""exp, log and tanh put on the class, and a classifier of three classes with them."""
import math
import random

from micrograd.engine import Value
from micrograd.nn import MLP


def exp(self):
    out = Value(math.exp(self.data), (self,), "exp")

    def _backward():
        self.grad += out.data * out.grad

    out._backward = _backward
    return out


def log(self):
    out = Value(math.log(self.data), (self,), "log")

    def _backward():
        self.grad += out.grad / self.data

    out._backward = _backward
    return out


def tanh(self):
    e = (self * 2).exp()
    return (e - 1) / (e + 1)


Value.exp, Value.log, Value.tanh = exp, log, tanh
random.seed(11)
rows = []
for kind in range(3):
    for _ in range(6):
        angle = 2 * math.pi * kind / 3 + random.uniform(-0.5, 0.5)
        rows.append(([math.cos(angle), math.sin(angle)], kind))
model = MLP(2, [5, 3])
for step in range(40):
    losses, right = [], 0
    for x, kind in rows:
        scores = [s.tanh() for s in model([Value(xi) for xi in x])]
        exps = [s.exp() for s in scores]
        losses.append((sum(exps) / exps[kind]).log())
        right += max(range(3), key=lambda i: scores[i].data) == kind
    loss = sum(losses) / len(losses)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= 0.5 * p.grad
    if step % 5 == 0:
        print(step, f"{loss.data:.8f}", right)
print([f"{p.grad:.8f}" for p in model.parameters()][:6], exps[0]._op, loss._op)
