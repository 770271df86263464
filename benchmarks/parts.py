"""Where the time of the two-moons step goes, statement by statement, and how low it could be.

    python benchmarks/parts.py

The floor of a statement is the same statement over plain numbers, with no graph at all: what Python
and numpy take for the notebook's own words.
"""
import collections
import statistics
import time
import types

import numpy as np

import moons
from micrograd.engine import Value

ROUNDS = 300


class Clock:
    """Collects the microseconds between its calls."""

    def __init__(self):
        self.parts, self.last = collections.defaultdict(list), None

    def start(self):
        self.last = time.perf_counter()

    def __call__(self, part):
        now = time.perf_counter()
        self.parts[part].append((now - self.last) * 1e6)
        self.last = time.perf_counter()

    def medians(self):
        return {part: statistics.median(times) for part, times in self.parts.items()}


def with_graph(clock, X, y, model, k):
    clock.start()
    inputs = [list(map(Value, xrow)) for xrow in X]
    clock("inputs")
    scores = list(map(model, inputs))
    clock("forward")
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    clock("losses")
    total = data_loss + 1e-4 * sum(p * p for p in model.parameters())
    clock("regularisation")
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)]
    sum(accuracy) / len(accuracy)
    clock("accuracy")
    model.zero_grad()
    clock("zero_grad")
    total.backward()
    clock("backward")
    for p in model.parameters():
        p.data -= (1.0 - 0.9 * k / 100) * p.grad
    clock("update")
    del inputs, scores, losses, data_loss, total
    clock("release")


def on_numbers(clock, X, y, scores, parameters, k):
    clock.start()
    [list(xrow) for xrow in X]
    clock("inputs")
    losses = [max(1 + -yi * scorei, 0) for yi, scorei in zip(y, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    clock("losses")
    data_loss + 1e-4 * sum(p.data * p.data for p in parameters)
    clock("regularisation")
    accuracy = [(yi > 0) == (scorei > 0) for yi, scorei in zip(y, scores)]
    sum(accuracy) / len(accuracy)
    clock("accuracy")
    for p in parameters:
        p.grad = 0
    clock("zero_grad")
    for p in parameters:
        p.grad = np.float64(0.5)
    clock.start()
    for p in parameters:
        p.data -= (1.0 - 0.9 * k / 100) * p.grad
    clock("update")


def measured():
    """The microseconds of each statement, with a graph and on plain numbers."""
    X, y, model = moons.problem()
    graph, floor = Clock(), Clock()
    scores = [np.float64(s) for s in np.linspace(-1, 1, len(X))]
    parameters = [types.SimpleNamespace(data=np.float64(0.5), grad=0) for _ in model.parameters()]
    for k in range(ROUNDS):
        with_graph(graph, X, y, model, k % 100)
        on_numbers(floor, X, y, scores, parameters, k % 100)
    return graph.medians(), floor.medians()


def main():
    graph, floor = measured()
    print(f"{'µs a step':16}{'here':>8}{'floor':>8}")
    for part, microseconds in graph.items():
        print(f"{part:16}{microseconds:8.1f}{floor.get(part, 0):8.1f}")
    print(f"{'together':16}{sum(graph.values()):8.1f}{sum(floor.values()):8.1f}")


if __name__ == "__main__":
    main()
