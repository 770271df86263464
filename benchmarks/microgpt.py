"""A small GPT trained one step at a time on Values, with Python loops and nothing else.

Token and position embeddings, then one block (causal attention with four heads, and a two-layer
network, each behind an rmsnorm and around a residual), then the logits of the next token.
"""
import math
import random

from micrograd.engine import Value

VOCABULARY, WIDTH, HEADS, LENGTH = 27, 16, 4, 10
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


def arrange(flat):
    """The matrices of SHAPES, by name, out of their elements."""
    flat = iter(flat)
    return {name: [[next(flat) for _ in range(columns)] for _ in range(rows)]
            for name, (rows, columns) in SHAPES.items()}


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


def attend(query, keys, values):
    """One head: the values, weighted by how well their keys fit the query."""
    weights = softmax([dot(query, key) * HEAD ** -0.5 for key in keys])
    return [dot(weights, column) for column in zip(*values)]


def attention(w, x, keys, values):
    query = linear(w["query"], x)
    keys.append(linear(w["key"], x))        # of this position; the earlier ones are there
    values.append(linear(w["value"], x))
    heads = []
    for h in range(0, WIDTH, HEAD):
        part = slice(h, h + HEAD)
        heads += attend(query[part], [k[part] for k in keys], [v[part] for v in values])
    return linear(w["mix"], heads)


def network(w, x):
    return linear(w["down"], [h.relu() for h in linear(w["up"], x)])


def loss(w, text):
    """The mean cross-entropy of each next token."""
    keys, values, losses = [], [], []
    for position, (token, target) in enumerate(zip(text, text[1:])):
        x = add(w["token"][token], w["position"][position])
        x = add(x, attention(w, rmsnorm(x), keys, values))
        x = add(x, network(w, rmsnorm(x)))
        losses.append(-log(softmax(linear(w["logits"], rmsnorm(x)))[target]))
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


def step(w, parameters, adam, text):
    out = loss(w, text)
    for p in parameters:
        p.grad = 0
    out.backward()
    for p, change in zip(parameters, adam.changes([p.grad for p in parameters])):
        p.data += change
    return out.data
