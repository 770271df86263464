"""A forked child uses, extends and drops the graphs of its parent; so does the parent."""
import gc
import os
import random

from growth import values_alive

from micrograd.engine import Value
from micrograd.nn import MLP

random.seed(1)      # one that uses both inputs
model = MLP(2, [3, 1])
x = start = Value(1.0)
for _ in range(100_000):
    x = x * 1.0
out = model([x, 2.0])
x.me = x


def use():
    global x, start, out, model
    out.backward()
    (out + model([1.0, 2.0])).backward()
    assert start.grad != 0
    del x, start, out, model
    gc.collect()
    assert values_alive() == 0, values_alive()


for _ in range(3):
    child = os.fork()
    if child == 0:
        try:
            use()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
use()
