"""A model in training: fused layers, plain nodes of them that are looked at, new models."""
import random

from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [3, 1])


def step(i):
    global model
    if i % 100 == 0:
        model = MLP(2, [3, 1])
    x = [random.random(), Value(i % 3)]
    loss = (model(x) - 1) ** 2 + sum(p * p for p in model.parameters()[:2])
    model.zero_grad()
    loss.backward()
    if i % 10 == 0:
        loss._prev.pop()._prev
    for p in model.parameters():
        p.data -= 0.01 * p.grad


check(step, 100_000)
