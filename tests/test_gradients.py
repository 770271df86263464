"""Random graphs made by Hypothesis, with models and custom operations in them: values and gradients
against PyTorch in double precision, and gradients against finite differences. All of them away from
the kinks, where a rounding decides, or a convention; test_functions.py is about those.

MICROGRAD_EXAMPLES sets how many are tried, 60 if unset.
"""
import math
import os
import random

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, assume, given, settings, strategies as st

EXAMPLES = int(os.environ.get("MICROGRAD_EXAMPLES", 60))
LARGE = 987.6       # beyond, differences say little (no bound is a number that sums and products
                    # hit: there, a rounding would decide what a program does)
KINKED = ["relu", "leaky_relu", "abs"]          # at 0
UNARY = ["tanh", "sigmoid", "sin", "cos", "softplus", "exp"] + KINKED

place = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.sampled_from(["+", "-", "*", "/", "maximum", "minimum"]), place, place),
    st.tuples(st.sampled_from(["a ** b", "custom", "model", "model of numbers"]), place, place),
    st.tuples(st.just("**"), place, st.sampled_from([2, 3, -1, 0.5, 1.5])),
    st.tuples(st.sampled_from(["+ number", "number -", "number /"]), place, st.integers(-3, 3)),
    st.tuples(st.sampled_from(UNARY), place, st.just(0)),
)
programs = st.lists(step, min_size=1, max_size=25)
inputs = st.lists(st.integers(-30, 30).map(lambda i: i / 8 + 0.01), min_size=2, max_size=4)
models = st.tuples(st.sampled_from([(1, 1), (2, 1), (2, 3, 1), (3, 2, 2), (1, 4, 4, 1)]),
                   st.sampled_from(
                       ["relu", "tanh", "sigmoid", "sin", "softplus", "leaky_relu", "abs"]),
                   st.integers(0, 99))
settled = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


class Floats:
    """The same functions of Python's floats."""
    relu = staticmethod(lambda x: max(x, 0.0))
    leaky_relu = staticmethod(lambda x: x if x > 0 else 0.01 * x)
    sigmoid = staticmethod(lambda x: 1 / (1 + math.exp(-x)))
    softplus = staticmethod(lambda x: math.log1p(math.exp(-abs(x))) + max(x, 0.0))
    tanh, sin, cos, exp, abs = map(staticmethod, (math.tanh, math.sin, math.cos, math.exp, abs))
    maximum, minimum = staticmethod(max), staticmethod(min)


def function(name, x, *more):
    if isinstance(x, float):
        return getattr(Floats, name)(x, *more)
    if hasattr(x, name):
        return getattr(x, name)(*more)
    import torch
    return getattr(torch.nn.functional, name)(x)


def custom(a, b):
    """A function that a program adds, with a callback where there is a graph of Values."""
    if not hasattr(a, "_prev"):
        return a * 0.5 + b
    out = type(a)(a.data * 0.5 + b.data, (a, b), "custom")

    def backward():
        a.grad += 0.5 * out.grad
        b.grad += out.grad

    out._backward = backward
    return out


def apply(name, a, b, number):
    if name in ("maximum", "minimum"):
        return function(name, a, b)
    if name in UNARY:
        return function(name, a)
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
            "**": lambda: a ** number, "a ** b": lambda: a ** b, "custom": lambda: custom(a, b),
            "+ number": lambda: a + number, "number -": lambda: number - a,
            "number /": lambda: number / a}[name]()


class ByHand:
    """A model of floats or tensors."""

    def __init__(self, model, parameters):
        self.shape, self.nonlin, _ = model
        self.numbers = parameters

    def __call__(self, x):
        left = iter(self.numbers)
        for layer, count in enumerate(self.shape[1:], start=2):
            x = [sum([next(left) * xi for xi in x]) + next(left) for _ in range(count)]
            if layer < len(self.shape):
                assume(not any(is_at_kink(self.nonlin, data(y)) for y in x))
                x = [function(self.nonlin, y) for y in x]
        return x


def parameters(model):
    """Of a model: numbers, weights and bias of each neuron in turn."""
    shape, _, seed = model
    count = sum((nin + 1) * nout for nin, nout in zip(shape, shape[1:]))
    return [random.Random(seed + i).randint(-16, 16) / 8 + 0.01 for i in range(count)]


def made(twin, model):
    (nin, *nouts), nonlin, _ = model
    network = twin.nn.MLP(nin, nouts, nonlin=nonlin)
    for p, number in zip(network.parameters(), parameters(model), strict=True):
        p.data = number
    return network


def data(x):
    return x if isinstance(x, float) else float(x.data)


def operands(name, i, j, values, count):
    """What the model is called with."""
    places = [i + j * k for k in range(count)]
    return [float(place % 5 - 2) if name == "model of numbers" else values[place % len(values)]
            for place in places]


def is_at_kink(name, a, b=0.0):
    return name in ["maximum", "minimum"] + KINKED and abs(a - b) < 1e-5


def sensible(name, a, b):
    """Close to no pole and no kink, and not too large."""
    if is_at_kink(name, data(a), 0.0 if name in KINKED else data(b)):
        return False
    if (name in ("/", "number /", "**", "a ** b")
            and not 0.0987 < data(b if name == "/" else a) < LARGE):
        return False
    return not (name == "exp" and data(a) > 4.987 or name == "a ** b" and abs(data(b)) > 2.987)


def run(program, leaves, network, nin):
    """The last result, over everything before it that was of a reasonable size."""
    values = list(leaves)
    for name, i, j in program:
        a, b = values[i % len(values)], values[int(j) % len(values)]
        if name.startswith("model"):
            x = operands(name, i, j, values, nin)
            results = network(x) if all(abs(data(xi)) < 9.87 for xi in x) else []
        else:
            results = apply(name, a, b, j) if sensible(name, a, b) else []
        values += [y for y in (results if isinstance(results, list) else [results])
                   if abs(data(y)) < LARGE]
    total = values[0] * 0.5
    for value in values[1:]:
        total = total + value * 0.5
    return total


def swept(twin, program, numbers, model):
    """The result, and the leaves: inputs and parameters."""
    inputs, network = [twin.Value(x) for x in numbers], made(twin, model)
    y = run(program, inputs, network, model[0][0])
    y.backward()
    return y, inputs + network.parameters()


@settled
@given(program=programs, numbers=inputs, model=models)
def test_like_pytorch(twin, program, numbers, model):
    torch = pytest.importorskip("torch")
    y, leaves = swept(twin, program, numbers, model)
    tensors = [torch.tensor(x, dtype=torch.double, requires_grad=True)
               for x in numbers + parameters(model)]
    inputs, weights = tensors[:len(numbers)], tensors[len(numbers):]
    expected = run(program, inputs, ByHand(model, weights), model[0][0])
    expected.backward()
    assert math.isclose(y.data, expected.item(), rel_tol=1e-9, abs_tol=1e-9)
    scale = max(abs(t.grad.item()) for t in tensors if t.grad is not None)
    for leaf, tensor in zip(leaves, tensors, strict=True):
        grad = 0.0 if tensor.grad is None else tensor.grad.item()
        assert math.isclose(leaf.grad, grad, rel_tol=1e-7, abs_tol=1e-9 * (1 + scale))


@settled
@given(program=programs, numbers=inputs, model=models)
def test_like_finite_differences(twin, program, numbers, model):
    _, leaves = swept(twin, program, numbers, model)
    numbers, count = numbers + parameters(model), len(numbers)

    def f(numbers):
        return run(program, numbers[:count], ByHand(model, numbers[count:]), model[0][0])

    for i, leaf in enumerate(leaves):
        left, right = slope(f, numbers, i, -1e-6), slope(f, numbers, i, 1e-6)
        scale = 1 + abs(left)
        if abs(left - right) < 1e-4 * scale and scale < 1e6:    # no kink, no cliff
            assert abs(leaf.grad - right) < 1e-3 * scale, (leaf.grad, left, right)


def slope(f, numbers, i, h):
    moved = [x + (j == i) * h for j, x in enumerate(numbers)]
    return (f(moved) - f(numbers)) / h
