"""Functions that programs add: each result refers to itself through its `_backward`."""
from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])


def half(v):
    out = Value(v.data * 0.5, (v,), "half")

    def backward():
        v.grad += 0.5 * out.grad

    out._backward = backward
    return out


def step(i):
    out = half(model([half(Value(1.0)), i % 3])) * 2
    out.backward()
    model.zero_grad()


check(step, 100_000)
