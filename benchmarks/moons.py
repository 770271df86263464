"""The two-moons demo of micrograd's own notebook, as a workload.

The statements between the two lines of dashes are the notebook's; they run unchanged on every
engine. They are in examples/moons.py too, which is one file to read and run; a test compares them.
"""
import random

import numpy as np
from sklearn.datasets import make_moons

from micrograd.engine import Value
from micrograd.nn import MLP

STEPS = 100


def problem():
    """The 100 points, their labels -1 and 1, and the fresh model."""
    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    return X, y * 2 - 1, MLP(2, [16, 16, 1])


def loss(model, Xb, yb):
    # ---------------------------------------------------------------------------------------------
    inputs = [list(map(Value, xrow)) for xrow in Xb]
    scores = list(map(model, inputs))

    # svm "max-margin" loss
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(yb, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    # L2 regularization
    alpha = 1e-4
    reg_loss = alpha * sum((p * p for p in model.parameters()))
    total_loss = data_loss + reg_loss

    # also get accuracy
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores)]
    return total_loss, sum(accuracy) / len(accuracy)


def step(model, X, y, k):
    total_loss, acc = loss(model, X, y)

    model.zero_grad()
    total_loss.backward()

    learning_rate = 1.0 - 0.9 * k / 100
    for p in model.parameters():
        p.data -= learning_rate * p.grad
    # ---------------------------------------------------------------------------------------------
    return total_loss.data, acc
