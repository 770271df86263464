"""Random graphs made by Hypothesis: values and gradients against PyTorch in double precision, and
gradients against finite differences. MICROGRAD_EXAMPLES sets how many are tried, 60 if unset."""
import math
import os

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from conftest import ENGINES

EXAMPLES = int(os.environ.get("MICROGRAD_EXAMPLES", 60))
LARGE = 1e3         # beyond, differences say little
SMOOTH = ["tanh", "sigmoid", "sin", "cos", "softplus", "exp", "relu", "leaky_relu", "abs"]

place = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.sampled_from(["+", "-", "*", "/", "maximum", "minimum"]), place, place),
    st.tuples(st.just("**"), place, st.sampled_from([2, 3, -1, 0.5, 1.5])),
    st.tuples(st.sampled_from(["+ number", "number -", "number /"]), place, st.integers(-3, 3)),
    st.tuples(st.sampled_from(SMOOTH), place, st.just(0)),
)
programs = st.lists(step, min_size=1, max_size=25)
inputs = st.lists(st.integers(-30, 30).map(lambda i: i / 8 + 0.01), min_size=2, max_size=4)
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


def apply(name, a, b, number):
    if name in ("maximum", "minimum"):
        return function(name, a, b)
    if name in SMOOTH:
        return function(name, a)
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
            "**": lambda: a ** number, "+ number": lambda: a + number, "number -": lambda: number - a,
            "number /": lambda: number / a}[name]()


def data(x):
    return x if isinstance(x, float) else float(x.data)


def run(program, leaves):
    """The last result, over everything before it that was of a reasonable size."""
    values = list(leaves)
    for name, i, j in program:
        a, b = values[i % len(values)], values[int(j) % len(values)]
        if name in ("/", "number /", "**") and not 0.1 < data(b if name == "/" else a) < LARGE:
            continue
        if name == "exp" and data(a) > 5:
            continue
        y = apply(name, a, b, j)
        if abs(data(y)) < LARGE:
            values.append(y)
    total = values[0] * 0.5
    for value in values[1:]:
        total = total + value * 0.5
    return total


def known(Value, program):
    assume(all(hasattr(Value, name) for name, _, _ in program if name.isalpha()))


@pytest.fixture(params=ENGINES, scope="module")
def Engine(request):
    return ENGINES[request.param].Value


@settled
@given(program=programs, numbers=inputs)
def test_like_pytorch(Engine, program, numbers):
    torch = pytest.importorskip("torch")
    known(Engine, program)
    leaves = [Engine(x) for x in numbers]
    tensors = [torch.tensor(x, dtype=torch.double, requires_grad=True) for x in numbers]
    y, expected = run(program, leaves), run(program, tensors)
    y.backward()
    expected.backward()
    assert math.isclose(y.data, expected.item(), rel_tol=1e-9, abs_tol=1e-9)
    scale = max(abs(t.grad.item()) for t in tensors if t.grad is not None)
    for leaf, tensor in zip(leaves, tensors):
        grad = 0.0 if tensor.grad is None else tensor.grad.item()
        assert math.isclose(leaf.grad, grad, rel_tol=1e-7, abs_tol=1e-9 * (1 + scale))


@settled
@given(program=programs, numbers=inputs)
def test_like_finite_differences(Engine, program, numbers):
    known(Engine, program)
    leaves = [Engine(x) for x in numbers]
    run(program, leaves).backward()
    for i, leaf in enumerate(leaves):
        left, right = slope(program, numbers, i, -1e-6), slope(program, numbers, i, 1e-6)
        scale = 1 + abs(left)
        if abs(left - right) < 1e-4 * scale and scale < 1e6:    # no kink, no cliff
            assert abs(leaf.grad - right) < 1e-3 * scale, (leaf.grad, left, right)


def slope(program, numbers, i, h):
    moved = [x + (j == i) * h for j, x in enumerate(numbers)]
    return (run(program, moved) - run(program, numbers)) / h
