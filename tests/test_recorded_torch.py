"""Recordings as modules of PyTorch: their results and gradients against the recording's own."""
import copy
import math
import random

import pytest

from micrograd import losses, nn
from micrograd._functions import FUNCTIONS
from micrograd.engine import Value
from micrograd.pytorch import from_torch_parameters, to_torch
from micrograd.recording import pick, record

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

UNARY = ["relu", "detach",
         *[name for name in FUNCTIONS if name not in ("**", "maximum", "minimum")]]
NEAR = dict(rel=1e-12, abs=1e-12)


def values(x):
    """A nesting of lists with Values for numbers."""
    return [values(item) for item in x] if isinstance(x, list) else Value(float(x))


def doubles(x, **keywords):
    return torch.tensor(x, dtype=torch.double, **keywords)


def flat(x):
    return [y for item in x for y in flat(item)] if isinstance(x, (list, tuple)) else [x]


def check(f, *columns, parameters=()):
    """All rows' results, and the gradients by columns and parameters of a mixture of them."""
    recording, leaves = record(f), values(list(columns))
    ours = flat(recording.map(*leaves))
    module, tensors = (to_torch(recording),
                       [doubles(column, requires_grad=True) for column in columns])
    theirs = torch.stack(flat([module(*tensors)]), 1).flatten()
    assert [y.data for y in ours] == pytest.approx(theirs.tolist(), **NEAR)
    mixture = [random.uniform(-1, 1) for _ in ours]
    for p in parameters:
        p.grad = 0
    sum(c * y for c, y in zip(mixture, ours)).backward()
    (theirs * doubles(mixture)).sum().backward()
    for column, tensor in zip(leaves, tensors):
        expected = [0.0] * tensor.numel() if tensor.grad is None else tensor.grad.flatten().tolist()
        assert [v.grad for v in flat(column)] == pytest.approx(expected, **NEAR)
    assert (sorted(p.grad for p in parameters)
            == pytest.approx(sorted(gradients(module, parameters)), **NEAR))
    return module


def gradients(module, parameters):
    found = [] if module.weights.grad is None else module.weights.grad.tolist()
    return found + [0.0] * (len(parameters) - len(found))       # of those that do not take part


def uniform(*shape, low=-1.0, high=1.0):
    if not shape:
        return random.uniform(low, high)
    return [uniform(*shape[1:], low=low, high=high) for _ in range(shape[0])]


@pytest.mark.parametrize("name", UNARY)
def test_functions(name):
    random.seed(3)
    low = 0.1 if name in ("log", "sqrt") else -0.9
    w = Value(1.5)
    check(lambda x: w * getattr(x, name)() + x, uniform(7, low=low), parameters=[w])


def test_operations():
    random.seed(4)
    a, b = Value(0.7), Value(-1.2)
    check(lambda x, y: [x + y, x - a, x * b, x / y, x ** 3, x ** y, 2 ** (a * x), a ** y,
                        x.maximum(y), (x.minimum(a), y.clamp(0.2, 0.6)), x + 0, a + b, a * b],
          uniform(9, low=0.1), uniform(9, low=0.1), parameters=[a, b])
    check(lambda x, y: x.maximum(y) * x.minimum(y), [1.0, 2.0], [1.0, 2.0])       # at the kink
    check(lambda x: x.relu() + x.abs() + (0 * x).sqrt().detach(), [0.0, -0.0, 1.0])


def test_results_that_are_no_operation():
    w = Value(2.0)
    check(lambda x: [x, w, Value(3.0), x], [1.0, 2.0], parameters=[w])
    check(lambda x: [x, 0 + Value(0.0) + 0], [1.0, 2.0])


def grown(seed):
    """A function of random operations, that stay finite."""
    def f(xs):
        rng, nodes = random.Random(seed), [*xs, *parameters]
        for _ in range(60):
            kind = rng.choice(
                ["tanh", "sin", "sigmoid", "+", "*", "dot", "layer", "sum", "pick", "maximum"])
            a, b = rng.choices(nodes, k=2)
            us, vs = (rng.choices(nodes, k=rng.randint(1, 5)) for _ in range(2))
            if kind in ("tanh", "sin", "sigmoid"):
                nodes.append(getattr(a, kind)())
            elif kind in ("+", "*", "maximum"):
                nodes.append(
                    (a + b if kind == "+" else a * b if kind == "*" else a.maximum(b)).tanh())
            elif kind == "layer":
                nodes += [
                    sum((w * v for w, v in zip(rng.choices(parameters, k=len(vs)), vs)), b).tanh()
                    for _ in range(3)]
            elif kind == "pick":
                nodes.append(pick(us, rng.choice([0, -1, Value(len(us) - 1)])))
            else:
                nodes.append(sum((u * v for u, v in zip(us, vs)) if kind == "dot" else us).tanh())
        return nodes[-8:]

    random.seed(seed)
    parameters = [Value(x) for x in uniform(6)]
    return f, parameters


@pytest.mark.parametrize("seed", range(40))
def test_functions_at_random(seed):
    f, parameters = grown(seed)
    check(f, uniform(1 + seed % 5, 4), parameters=parameters)


def test_a_network_is_a_product_of_matrices():
    random.seed(5)
    model = nn.MLP(3, [8, 8, 2])
    module = check(lambda x: model(x), uniform(6, 3), parameters=model.parameters())
    assert [(g.kind, g.size) for g in module.groups] == [
        ("layer", 8), ("ReLU", 8), ("layer", 8), ("ReLU", 8), ("layer", 2)]


def test_losses():
    random.seed(6)
    model = nn.MLP(3, [5, 4], nonlin="tanh")
    p = model.parameters()
    recording = record(lambda x, k: losses.cross_entropy(model(x), k, 0.1))
    X, classes = uniform(6, 3), [0, 1, 2, 3, 3, 0]
    total = recording.mean(X, classes)
    total.backward()
    module = to_torch(recording)
    out = module(doubles(X), torch.tensor(classes)).mean()
    out.backward()
    assert total.data == pytest.approx(out.item(), **NEAR)
    assert sorted(v.grad for v in p) == pytest.approx(sorted(module.weights.grad.tolist()), **NEAR)


def test_pick_is_an_index():
    random.seed(7)
    table = [[Value(x) for x in row] for row in uniform(5, 3)]
    parameters = [v for row in table for v in row]
    places = [0, 4, 2, 2, -1, -5]
    check(lambda i, x: [a * x for a in pick(table, i.detach())], places, uniform(6),
          parameters=parameters)
    recording = record(lambda i: pick(table, i)[1])
    recording(1)
    with pytest.raises((IndexError, RuntimeError)):
        to_torch(recording)(torch.tensor([5]))
    assert repr(to_torch(recording)(torch.tensor([1.0, 0.5, -0.1])).tolist()) == repr(
        [table[1][1].data, math.nan, math.nan])


def check_alone(f, parameters):
    """A function without arguments, which gives one Value."""
    recording = record(f)
    y = recording()
    y.backward()
    module = to_torch(recording)
    out = module()
    out.sum().backward()
    assert out.tolist() == pytest.approx([y.data], **NEAR)
    assert module.weights.grad.tolist() == pytest.approx([p.grad for p in parameters], **NEAR)


def test_no_arguments_and_nested_ones():
    w, others = Value(3.0), [Value(x) for x in uniform(20)]
    check_alone(lambda: w * w, [w])
    check_alone(lambda: losses.l2(others, 0.1), others)
    nested = record(lambda a, b, verbose, **more: a["x"] * b[0][1] + b[1] * more["c"] * w)
    y = nested({"x": 1.0, "y": 2.0}, [(3.0, 4.0), 5.0], None, c=6.0)
    out = to_torch(nested)(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0, 5.0]]),
                           torch.tensor([6.0]))
    assert out.tolist() == [y.data]


def small():
    random.seed(8)
    model = nn.MLP(2, [4, 1], nonlin="tanh")
    recording = record(lambda x, t: (model(x) - t) ** 2)
    recording([1.0, 2.0], 1.0)
    return model, recording


def test_training_in_torch_and_back():
    model, recording = small()
    module, X, t = to_torch(recording), uniform(8, 2), uniform(8)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    before = recording.mean(X, t).data
    for _ in range(20):
        optimizer.zero_grad()
        module(doubles(X), doubles(t)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = module(doubles(X), doubles(t)).mean().item()
    assert recording.mean(X, t).data == before
    from_torch_parameters(module, recording)
    assert recording.mean(X, t).data == pytest.approx(after, **NEAR) and after < before
    assert sorted(p.data for p in model.parameters()) == sorted(module.weights.tolist())


def test_what_torch_does_with_modules():
    _, recording = small()
    module = to_torch(recording)
    X, t = doubles(uniform(5, 2)), doubles(uniform(5))
    expected = module(X, t)
    for other in (copy.deepcopy(module), torch.compile(module, backend="aot_eager", fullgraph=True),
                  torch.export.export(module, (X, t)).module()):
        assert other(X, t).tolist() == pytest.approx(expected.tolist(), **NEAR)
    assert list(module.state_dict()) == ["weights"]
    assert module.float()(X, t).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_columns_that_are_no_tensors():
    """Lists of floats are not rounded to PyTorch's usual float32."""
    _, recording = small()
    X, t = uniform(4, 2), uniform(4)
    expected = [y.data for y in recording.map(X, t)]
    assert to_torch(recording)(X, t).tolist() == pytest.approx(expected, **NEAR)


def test_errors():
    _, recording = small()
    module, other = to_torch(recording), record(lambda x: x * 2)
    with pytest.raises(ValueError, match="one structure; it has recordings for 0"):
        to_torch(other)
    one = record(lambda xs: sum(xs))
    one([1.0])
    one([1.0, 2.0])
    with pytest.raises(ValueError, match="one structure; it has recordings for 2"):
        to_torch(one)
    other(1.0)
    with pytest.raises(ValueError, match="the recording has 0 parameters, the module 17"):
        from_torch_parameters(module, other)
    with pytest.raises(TypeError, match="weights must be real, not torch.complex64"):
        from_torch_parameters(torch.nn.Linear(16, 1, dtype=torch.complex64), small()[1])
    for shapes in [[(3, 2)], [(3, 2), (2,)], [(3,), (3,)], [(3, 2), ()], [(0, 2), (0,)]]:
        with pytest.raises(ValueError,
                           match="must have the same number of rows, of 2, 1 numbers each"):
            module(*map(torch.zeros, shapes))
    for column, name in [(torch.zeros(3, dtype=torch.complex64), "torch.complex64"),
                         (numpy.zeros(3, "complex64"), "complex64")]:
        with pytest.raises(TypeError, match=f"columns must be real, not {name}"):
            module(torch.zeros(3, 2), column)


def test_where_micrograd_raises_an_error():
    recording = record(lambda x: x.log())
    recording(1.0)
    assert to_torch(recording)(torch.tensor([1.0, 0.0])).tolist() == [0.0, -math.inf]
