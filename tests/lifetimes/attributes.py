"""Attributes that lead back: through plain nodes, lists, layers, data, and `_prev`."""
from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])


def step(i):
    leaf = Value(1.0)
    root = (leaf * 2 + 1) * leaf
    leaf.root = root
    leaf.held = [model, {"out": model([leaf, root])}]
    root._prev = {leaf, *root._prev}
    holder = Value(2.0)
    holder.data = [holder * 2]
    holder.grad = holder.data
    middle = Value(0.0, (leaf, root, holder), "three")
    middle.keep = middle._backward


check(step, 50_000)
