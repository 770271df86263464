"""The workloads of recordings.py in Values, as a person writes them.

A workload gives a step to time: a function of its number k, which returns the loss and, unless it
trains, the model, for its gradients.
"""
from functools import partial

import microgpt
from micrograd.engine import Value
from micrograd.gradients import hessian
from micrograd.losses import cross_entropy
from micrograd.optim import SGD
from micrograd.recording import pick, record

WIDTHS = 4, 6, 4, 1         # of the network of the hessian


def rate(k):
    """The notebook's, of 100 steps."""
    return 1.0 - 0.9 * k / 100


class Recorded:
    """micrograd, recorded."""

    def __init__(self, kept=record):
        self.record = kept

    def moons(self, model, X, y):
        optimizer = SGD(model.parameters(), lr=1.0)

        @self.record
        def loss(x, t):
            return (1 - t * model(x)).relu()

        @self.record
        def penalty():
            return 1e-4 * sum(p * p for p in model.parameters())

        def step(k):
            optimizer.lr = rate(k)
            optimizer.zero_grad()
            total = loss.mean(X, y) + penalty()
            total.backward()
            optimizer.step()
            return total.data
        return step

    def microgpt(self, numbers, text):
        model = RecordableGPT(map(Value, numbers))
        optimizer = SGD(model.parameters())
        loss = self.record(model.loss)

        def step(k):
            optimizer.zero_grad()
            total = loss(text)
            total.backward()
            return total.data, model
        return step

    def classifier(self, model, X, t):
        @self.record
        def loss(x, t):
            return cross_entropy(model(x), t)

        def step(k):
            model.zero_grad()
            total = loss.mean(X, t)
            total.backward()
            return total.data, model
        return step

    def hessian(self, p, X, y):
        @self.record
        def loss(p):
            return sum((network(p, x) - t) ** 2 for x, t in zip(X, y))
        return lambda k: hessian(loss, p)


class Eager:
    """What Recorded takes for `record`: a function whose graph is made in every call."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)

    def mean(self, *columns):
        results = [self.function(*row) for row in zip(*columns)]
        return sum(results) * (1.0 / len(results))


def network(p, x):
    """For each neuron, p has its weights and then its bias."""
    p = iter(p)
    for outputs in WIDTHS[1:]:
        x = [(sum(next(p) * xi for xi in x) + next(p)).tanh() for _ in range(outputs)]
    return x[0]


class RecordableGPT(microgpt.GPT):
    """The suite's, as it can be recorded: no branch and no index depends on a number."""

    pick = staticmethod(pick)

    @staticmethod
    def softmax(x):
        top = x[0]
        for xi in x[1:]:
            top = top.maximum(xi)
        return microgpt.softmax([xi - top.detach() for xi in x])


ENGINES = {"recorded": Recorded, "threads": partial(Recorded, partial(record, threads=2)),
           "eager": partial(Recorded, Eager)}
