"""Neuron, Layer and MLP, and the two-moons problem of the original's notebook."""
import random

import pytest

from micrograd import nn
from micrograd.engine import Value


def test_hidden_layers_of_one_neuron():
    random.seed(4)
    model = nn.MLP(2, [3, 1, 1])
    out = model([1.0, -2.0])
    out.backward()
    x = [1.0, -2.0]
    for layer in model.layers:
        x = layer(x)
        x = x if isinstance(x, list) else [x]
    assert out.data == x[0].data


def test_a_weight_that_is_no_number():
    n = nn.Neuron(2)
    n.w[0] = None
    with pytest.raises(TypeError):
        n([1.0, 2.0])
    n.w[0] = Value(None)
    with pytest.raises(TypeError, match="unsupported operand"):
        n([1.0, 2.0])


def notebook(steps):
    np = pytest.importorskip("numpy")
    random.seed(1337)
    np.random.seed(1337)
    # sklearn's make_moons(n_samples=100, noise=0.1), with the same draws
    t = np.linspace(0, np.pi, 50)
    X = np.vstack([np.append(np.cos(t), 1 - np.cos(t)), np.append(np.sin(t), 1 - np.sin(t) - 0.5)]).T
    y = np.hstack([np.zeros(50, dtype=np.intp), np.ones(50, dtype=np.intp)])
    order = np.arange(100)
    np.random.shuffle(order)
    X, y = X[order], y[order] * 2 - 1
    X = X + np.random.normal(scale=0.1, size=X.shape)
    model = nn.MLP(2, [16, 16, 1])
    for k in range(steps):
        scores = list(map(model, [list(map(Value, row)) for row in X]))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        accuracy = sum((yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)) / 100
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
        yield total.data, accuracy


def test_the_notebook_prints_its_numbers():
    (first, half), (second, _), *rest = notebook(100)
    assert (first, half) == (0.8958441028683222, 0.5)
    assert second == pytest.approx(1.7235905336972022, rel=1e-12)
    assert rest[-1][1] == 1.0 and rest[-1][0] == pytest.approx(0.010978, abs=1e-4)


def test_every_arithmetic_gives_the_same_bits():
    from micrograd import engine
    if engine.__engine__ != "c":
        pytest.skip("about the compiled engine")
    from micrograd import _core
    texts = set()
    for name in _core._arithmetics():
        former = _core._choose_arithmetic(name)
        try:
            random.seed(7)
            model = nn.MLP(5, [37, 18, 7, 3])       # no multiple of any vector's length
            inputs = [Value(random.uniform(-1, 1)) for _ in range(5)]
            out = model(inputs)
            sum(o * o for o in out).backward()
            texts.add(repr([out, inputs, model.parameters()]))
        finally:
            _core._choose_arithmetic(former)
    assert len(texts) == 1
