"""Graphs that are made in one thread and dropped by another."""
import queue
import threading

from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])
graphs = queue.Queue(maxsize=100)


def drop():
    while graphs.get() is not None:
        graphs.task_done()


def step(i):
    x = model([Value(1.0), 2.0])
    for _ in range(10):
        x = x * 0.5 + 1
    x.me = x if i % 7 == 0 else None
    graphs.put(x)
    del x
    if i % 200 == 0:
        graphs.join()       # all are dropped
        made = []
        thread = threading.Thread(target=lambda: made.append(model([1.0, Value(2.0)]) * 2))
        thread.start()
        thread.join()
        made[0].backward()


dropping = threading.Thread(target=drop)
dropping.start()
try:
    check(step, 20_000, settle=graphs.join)
finally:
    graphs.put(None)
    dropping.join()
