"""Graphs that live until the interpreter ends: in cycles, with finalizers, in layers, threads."""
import atexit
import sys
import threading

from micrograd.engine import Value
from micrograd.nn import MLP


class Last(Value):
    def __del__(self):
        (self * 2).backward()


model = MLP(2, [3, 1])
x = Value(1.0)
for _ in range(100_000):
    x = x * 1.0
x.me = x
y = model([x, Last(2.0)])
y._backward = lambda: y
last = Last(3.0) * y
sys.last_graph = last                       # outlives this module
sys.modules["kept"] = type(sys)("kept")
sys.modules["kept"].out = model([1.0, x])


@atexit.register
def use_it_once_more():
    model([1.0, last]).backward()


local = threading.local()
local.graph = x + last
threading.Thread(target=lambda: setattr(local, "graph", x + last)).start()
