"""A small GPT trained one step at a time on Values, with Python loops and nothing else.

Token and position embeddings, then one block (causal attention with four heads, and a two-layer
network, each behind an rmsnorm and around a residual), then the logits of the next token.
"""
import math
import random
from operator import getitem

from micrograd.engine import Value
from micrograd.nn import Module

VOCABULARY, WIDTH, HEADS, LENGTH = 27, 16, 4, 9
HEAD = WIDTH // HEADS
SHAPES = {
    "token": (VOCABULARY, WIDTH), "position": (LENGTH, WIDTH),
    "query": (WIDTH, WIDTH), "key": (WIDTH, WIDTH), "value": (WIDTH, WIDTH),
    "mix": (WIDTH, WIDTH), "up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH),
    "logits": (VOCABULARY, WIDTH),
}
RATE, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.99, 1e-8


def exp(v):
    if hasattr(Value, "exp"):
        return v.exp()
    y = math.exp(v.data)
    return custom(v, y, y, "exp")


def log(v):
    if hasattr(Value, "log"):
        return v.log()
    return custom(v, math.log(v.data), 1 / v.data, "log")


def custom(v, data, slope, name):
    """An operation that micrograd does not have, the way its users add one."""
    out = Value(data, (v,), name)

    def _backward():
        v.grad += slope * out.grad

    out._backward = _backward
    return out


def tokens():
    """A fixed text of LENGTH tokens and the one after."""
    draw = random.Random(7)
    return [draw.randrange(VOCABULARY) for _ in range(LENGTH + 1)]


def initial():
    """The weights to start from, as numbers, in the order of `parameters`."""
    draw = random.Random(42)
    return [draw.gauss(0, 0.2) for rows, columns in SHAPES.values() for _ in range(rows * columns)]


def dot(u, v):
    return sum(ui * vi for ui, vi in zip(u, v))


def linear(matrix, x):
    return [dot(row, x) for row in matrix]


def add(u, v):
    return [ui + vi for ui, vi in zip(u, v)]


def rmsnorm(x):
    scale = (dot(x, x) * (1 / len(x)) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(x):
    exps = [exp(xi) for xi in x]
    scale = sum(exps) ** -1
    return [e * scale for e in exps]


def attend(query, keys, values, softmax):
    """One head: the values, weighted by how well their keys fit the query."""
    weights = softmax([dot(query, key) * HEAD ** -0.5 for key in keys])
    return [dot(weights, column) for column in zip(*values)]


class GPT(Module):
    """The model: a matrix for each of SHAPES, out of its parameters in that order."""

    pick, softmax = staticmethod(getitem), staticmethod(softmax)    # recorded.py has others

    def __init__(self, parameters):
        flat = iter(parameters)
        self.w = {name: [[next(flat) for _ in range(columns)] for _ in range(rows)]
                  for name, (rows, columns) in SHAPES.items()}

    def parameters(self):
        return [p for matrix in self.w.values() for row in matrix for p in row]

    def attention(self, x, keys, values):
        query = linear(self.w["query"], x)
        keys.append(linear(self.w["key"], x))       # of this position; the earlier ones are there
        values.append(linear(self.w["value"], x))
        heads = []
        for h in range(0, WIDTH, HEAD):
            part = slice(h, h + HEAD)
            heads += attend(query[part], [k[part] for k in keys], [v[part] for v in values],
                            self.softmax)
        return linear(self.w["mix"], heads)

    def network(self, x):
        return linear(self.w["down"], [h.relu() for h in linear(self.w["up"], x)])

    def logits(self, token, position, keys, values):
        x = add(self.pick(self.w["token"], token), self.w["position"][position])
        x = add(x, self.attention(rmsnorm(x), keys, values))
        x = add(x, self.network(rmsnorm(x)))
        return linear(self.w["logits"], rmsnorm(x))

    def loss(self, text):
        """The mean cross-entropy of each next token."""
        keys, values, losses = [], [], []
        for position, (token, target) in enumerate(zip(text, text[1:])):
            chances = self.softmax(self.logits(token, position, keys, values))
            losses.append(-log(self.pick(chances, target)))
        return sum(losses) * (1 / len(losses))


class Adam:
    """The change of each parameter, from its gradients so far."""

    def __init__(self, count):
        self.first, self.second, self.steps = [0.0] * count, [0.0] * count, 0

    def changes(self, gradients):
        self.steps += 1
        one, two = 1 - BETA1 ** self.steps, 1 - BETA2 ** self.steps
        for i, g in enumerate(gradients):
            self.first[i] = m = BETA1 * self.first[i] + (1 - BETA1) * g
            self.second[i] = v = BETA2 * self.second[i] + (1 - BETA2) * g * g
            yield -RATE * (m / one) / ((v / two) ** 0.5 + EPSILON)


def step(model, adam, text):
    out = model.loss(text)
    model.zero_grad()
    out.backward()
    parameters = model.parameters()
    for p, change in zip(parameters, adam.changes([float(p.grad) for p in parameters])):
        p.data += change
    return out.data
