"""Cycles through a layer's output, in memory that was used before and is full of ones.

Chunks of the pool come and go: at times more Values are alive than its spare chunks have room for.
"""
import gc

from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])
alive = []


def fill_free_memory():
    """The first free tells malloc to take such blocks from its heap, not from the system."""
    for _ in range(2):
        b"\xff" * 24_000_000


def step(i):
    leaf = Value(1.0)
    root = (leaf * 2 + 1) * leaf
    leaf.root = root
    leaf.held = [model, {"out": model([leaf, root])}]
    alive.append(leaf)
    if i % 30_000 == 0:
        alive.clear()
        gc.collect()
        fill_free_memory()


check(step, 30_000, settle=alive.clear)
