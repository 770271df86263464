"""Copies of nodes, graphs and models, and weak references to them."""
import copy
import weakref

from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])


def step(i):
    out = model([Value(1.0), 2.0]) ** 2
    copy.copy(out).backward()
    copy.deepcopy(out).backward()
    twin = copy.deepcopy(model)
    died = []
    reference = weakref.ref(twin([1.0, out]), died.append)
    del reference
    model.zero_grad()


check(step, 20_000)
