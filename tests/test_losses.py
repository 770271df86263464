"""Losses against PyTorch in double precision, and the notebook's own lines."""
import math
import random

import pytest

from micrograd import engine, losses
from micrograd.recording import record

np = pytest.importorskip("numpy")
LOGITS = [0.3, -1.7, 2.5, 0.0, -0.0, 30.0, -30.0, 1000.0, -1000.0]


def both(Value, torch, numbers, ours, theirs):
    """A loss of ours and of PyTorch's, and the gradients."""
    values = [Value(x) for x in numbers]
    tensor = torch.tensor(numbers, dtype=torch.double, requires_grad=True)
    loss, expected = ours(values), theirs(tensor)
    loss.backward()
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    assert [v.grad for v in values] == pytest.approx(tensor.grad.tolist(), rel=1e-12, abs=1e-12)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_mse(Value, torch):
    targets = [random.Random(1).uniform(-2, 2) for _ in LOGITS]
    expected = torch.tensor(targets, dtype=torch.double)
    both(Value, torch, LOGITS, lambda o: losses.mse(o, targets),
         lambda o: torch.nn.functional.mse_loss(o, expected))


def test_binary_cross_entropy(Value, torch):
    F = torch.nn.functional
    for targets in ([0] * 9, [1] * 9, [i / 8 for i in range(9)]):
        expected = torch.tensor(targets, dtype=torch.double)
        both(Value, torch, LOGITS, lambda z: losses.binary_cross_entropy(z, targets),
             lambda z: F.binary_cross_entropy_with_logits(z, expected))


@pytest.mark.parametrize("z", [1.0, 20.0, 40.0, 700.0])
def test_small_losses_are_exact(Value, z):
    """Of a logit that is right, on either side."""
    for logit, target in ((z, 1), (-z, 0)):
        v = Value(logit)
        loss = losses.binary_cross_entropy([v], [target])
        loss.backward()
        assert loss.data == pytest.approx(math.log1p(math.exp(-z)), rel=1e-14, abs=0)
        slope = math.exp(-z) / (1 + math.exp(-z))
        assert v.grad == pytest.approx(-slope if target else slope, rel=1e-14, abs=0)


def test_infinite_logits(Value):
    for logit, target in ((math.inf, 0), (-math.inf, 1)):
        assert losses.binary_cross_entropy([Value(logit)], [target]).data == math.inf


def test_cross_entropy(Value, torch):
    F = torch.nn.functional
    for k in range(len(LOGITS)):
        both(Value, torch, LOGITS, lambda z: losses.cross_entropy(z, k),
             lambda z: F.cross_entropy(z, torch.tensor(k)))
    classes = [2, 0, 1]
    both(Value, torch, LOGITS, lambda z: losses.cross_entropy([z[:3], z[3:6], z[6:]], classes),
         lambda z: F.cross_entropy(z.reshape(3, 3), torch.tensor(classes)))


def test_softmax(Value, torch):
    """A combination of the outputs, so that every gradient is told from the others."""
    for ours, theirs in ((losses.softmax, torch.softmax), (losses.log_softmax, torch.log_softmax)):
        numbers = LOGITS[:7] if ours is losses.softmax else LOGITS
        weights = [random.Random(4).uniform(-1, 1) for _ in numbers]
        both(Value, torch, numbers, lambda z: sum(w * p for w, p in zip(weights, ours(iter(z)))),
             lambda z: (theirs(z, 0) * torch.tensor(weights, dtype=torch.double)).sum())


def test_softmax_of_large_numbers(Value):
    p = losses.softmax([Value(1000.0), Value(1000.0), Value(-1000.0)])
    assert [x.data for x in p] == [0.5, 0.5, 0.0]
    assert [x.data for x in losses.log_softmax([Value(1000.0), Value(0.0)])] == [0.0, -1000.0]
    assert [x.data for x in losses.softmax([Value(3)])] == [1.0]


def test_errors_of_softmax(Value):
    for f in (losses.softmax, losses.log_softmax):
        with pytest.raises(ValueError, match="there are no outputs"):
            f([])
        with pytest.raises(TypeError, match="output 1 must be a Value, not float: 1.0"):
            f([Value(1.0), 1.0])
        with pytest.raises(TypeError, match="logits must be a list of Values, not Value"):
            f(Value(1.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1, 1.0])
def test_label_smoothing(Value, torch, smoothing):
    F = torch.nn.functional
    classes = [2, 0, 1]
    expected, share = torch.tensor(classes), dict(label_smoothing=smoothing)
    both(Value, torch, LOGITS,
         lambda z: losses.cross_entropy([z[:3], z[3:6], z[6:]], classes, **share),
         lambda z: F.cross_entropy(z.reshape(3, 3), expected, **share))
    both(Value, torch, LOGITS[:3], lambda z: losses.cross_entropy(z, 1, smoothing),
         lambda z: F.cross_entropy(z, torch.tensor(1), label_smoothing=smoothing))


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, math.nan, "0.1", None])
def test_label_smoothing_is_a_share(Value, smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in 0\.\.1, not"):
        losses.cross_entropy([Value(1.0)], 0, smoothing)


def test_max_margin_is_the_notebooks(Value):
    rng = random.Random(2)
    data = [rng.uniform(-3, 3) for _ in range(50)]
    targets = [rng.choice([-1, 1]) for _ in range(50)]
    scores, again = [list(map(Value, data)) for _ in range(2)]
    terms = [(1 + -yi * scorei).relu() for yi, scorei in zip(targets, scores)]
    expected = sum(terms) * (1.0 / len(terms))
    loss = losses.max_margin(again, targets)
    for each in (loss, expected):
        each.backward()
    assert repr(loss) == repr(expected) and repr(again) == repr(scores)


def test_l2_is_the_notebooks(Value):
    a, b = [[Value(0.1 * i) for i in range(9)] for _ in range(2)]
    expected, loss = 1e-4 * sum(p * p for p in a), losses.l2((p for p in b), 1e-4)
    expected.backward()
    loss.backward()
    assert repr(loss) == repr(expected) and repr(a) == repr(b)


@pytest.mark.parametrize("kind", [
    list, tuple, iter, np.array, lambda t: np.array(t, dtype=np.uint8),
    lambda t: [np.int8(x) for x in t]])
def test_targets_of_every_kind(Value, kind):
    targets = [0, 1, 1]
    for loss in (losses.mse, losses.binary_cross_entropy, losses.max_margin):
        outputs = [[Value(x) for x in (0.3, -0.7, 2.0)] for _ in range(3)]
        expected = loss(outputs[0], targets).data
        assert loss(outputs[1], kind(targets)).data == expected
        assert loss(iter(outputs[2]), map(Value, targets)).data == expected


def test_classes_of_every_kind(Value):
    logits = [Value(x) for x in (0.3, -0.7, 2.0)]
    expected = losses.cross_entropy(logits, 2).data
    for k in (np.int64(2), np.uint8(2), np.array(2), Value(2)):
        assert losses.cross_entropy(logits, k).data == expected
        assert losses.cross_entropy([logits], [k]).data == expected
    assert losses.cross_entropy((tuple(logits),), np.array([2])).data == expected


def test_targets_that_are_values_get_gradients(Value):
    o, t = Value(1.0), Value(3.0)
    losses.mse([o], [t]).backward()
    assert (o.grad, t.grad) == (-4.0, 4.0)


@pytest.mark.parametrize("loss", [losses.mse, losses.binary_cross_entropy, losses.max_margin])
def test_lengths(Value, loss):
    with pytest.raises(ValueError, match="one target for each output, not 2 outputs and 1 targets"):
        loss([Value(1.0)] * 2, [1])
    with pytest.raises(ValueError, match="there are no outputs"):
        loss([], [])
    with pytest.raises(TypeError, match="output 1 must be a Value, not list"):
        loss([Value(1.0), [Value(1.0)]], [1, 1])


def test_errors_of_cross_entropy(Value):
    z = [Value(1.0), Value(2.0)]
    for k in (2, -1):
        with pytest.raises(ValueError, match=rf"class must be in 0\.\.1, .*, not {k}"):
            losses.cross_entropy(z, k)
    for k in (1.0, "1", None, np.array([0, 1])):
        with pytest.raises(TypeError, match=f"class must be an int, not {type(k).__name__}"):
            losses.cross_entropy([z], [k])
    with pytest.raises(ValueError, match="not 2 outputs and 1 targets"):
        losses.cross_entropy([z, z], [1])
    for nothing in ([], [[]]):
        with pytest.raises(ValueError, match="there are no outputs"):
            losses.cross_entropy(nothing, [0])
    with pytest.raises(TypeError, match="output 1 must be a Value, not float"):
        losses.cross_entropy([z[0], 1.0], 0)


def test_what_is_no_list_of_values(Value):
    z = Value(1.0)
    with pytest.raises(TypeError, match="output 0 must be a Value, not float: 1.0"):
        losses.cross_entropy([1.0, 2.0, 3.0], 1)
    with pytest.raises(TypeError, match="a row of logits must be a list of Values, not float"):
        losses.cross_entropy([[z], 1.0], [0, 0])
    with pytest.raises(TypeError, match="targets must be a list with one for each .* int: 0"):
        losses.cross_entropy([[z]], 0)
    with pytest.raises(TypeError, match="logits must be a list of Values, not Value"):
        losses.cross_entropy(z, 0)
    for loss in (losses.mse, losses.binary_cross_entropy, losses.max_margin):
        with pytest.raises(TypeError, match="outputs must be a list of Values, not Value"):
            loss(z, [1])
        with pytest.raises(TypeError, match="targets must be a list with one for each .* int: 1"):
            loss([z], 1)
        for bad in ({0: 1.0}, {1.0}, frozenset([1.0])):     # a dict gives keys, a set has no order
            message = f"targets must be a list with one for each .*, not {type(bad).__name__}: "
            with pytest.raises(TypeError, match=message):
                loss([z], bad)
        with pytest.raises(TypeError, match="outputs must be a list of Values, not set: "):
            loss({z}, [1])


def test_labels_of_the_other_kind(Value):
    for t in (-1, 2, math.nan, Value(-1)):
        with pytest.raises(ValueError, match=r"a target must be in 0\.\.1, not"):
            losses.binary_cross_entropy([Value(1.0)], [t])


@pytest.mark.parametrize("loss", [losses.mse, losses.binary_cross_entropy, losses.max_margin])
@pytest.mark.parametrize("bad", ["a", None, [1.0], 1j, np.zeros(2)])
def test_targets_are_numbers(Value, loss, bad):
    with pytest.raises(TypeError,
                       match=f"target 1 must be a number or a Value, not {type(bad).__name__}"):
        loss([Value(1.0), Value(2.0)], [1, bad])


@pytest.mark.parametrize("kind", ["M8[ns]", "M8[D]", "m8[ns]", "m8[s]"])
def test_times_are_no_targets(Value, kind):
    times = np.array([1], kind)
    for loss, outputs in ((losses.mse, [Value(1.0)]), (losses.cross_entropy, [[Value(1.0)] * 3])):
        for targets in (times, list(times)):
            with pytest.raises(TypeError, match="a target must be a number, not (date|timedel)"):
                loss(outputs, targets)


def test_a_class_of_numpy_in_a_value(Value):
    z = [Value(1.0), Value(2.0)]
    assert losses.cross_entropy(z, Value(np.int64(1))).data == losses.cross_entropy(z, 1).data


def test_no_parameters(Value):
    with pytest.raises(ValueError, match="there are no parameters"):
        losses.l2([], 0.1)
    with pytest.raises(TypeError, match="parameter 1 must be a Value, not float: 1.0"):
        losses.l2([Value(1.0), 1.0], 0.1)
    with pytest.raises(TypeError, match="parameters must be a list of Values, not Value"):
        losses.l2(Value(1.0), 0.1)
    with pytest.raises(TypeError, match="alpha must be a number or a Value, not str: '0.1'"):
        losses.l2([Value(1.0)], "0.1")


# Recorded: the engine's own Values, and targets that differ from row to row.

ROWS = [[0.3, -0.7, 2.0], [1000.0, -1000.0, 0.0], [-0.0, 0.0, -0.0], [2.5, 2.5, -30.0]]
CLASSES = [2, 1, 0, 1]


def answers(f, *rows):
    """The results of f, one for each row, and the gradients of the Values it is given first."""
    for values, *targets in zip(*rows):
        values = [engine.Value(float(x)) for x in values]
        y = f(values, *targets)
        y.backward()
        yield repr(y.data), [v.grad for v in values]


def both_ways(f, rows, targets):
    """A function as it is written and recorded: equal data to the last bit, equal gradients."""
    written, recorded = (list(answers(g, rows, targets)) for g in (f, record(f)))
    assert [y for y, _ in recorded] == [y for y, _ in written]
    for (_, ours), (_, theirs) in zip(recorded, written):
        assert ours == pytest.approx(theirs, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_recorded_cross_entropy(smoothing):
    both_ways(lambda z, k: losses.cross_entropy(z, k, smoothing), ROWS, CLASSES)
    both_ways(lambda z, ks: losses.cross_entropy([z, z[::-1]], ks, smoothing), ROWS,
              [[k, 2 - k] for k in CLASSES])


@pytest.mark.parametrize("softmax", [losses.softmax, losses.log_softmax])
def test_recorded_softmax(softmax):
    both_ways(lambda z, weights: sum(w * p for w, p in zip(weights, softmax(z))), ROWS,
              [[0.3, -0.2, 1.5]] * len(ROWS))


def test_recorded_losses_of_pairs():
    signs = [[1, -1, 1], [-1, 1, 1], [-1, -1, -1], [1, 1, -1]]
    both_ways(losses.max_margin, ROWS, signs)
    both_ways(losses.mse, ROWS, signs)
    both_ways(losses.binary_cross_entropy, ROWS,
              [[t > 0 and 1.0 or 0.25 for t in row] for row in signs])
    both_ways(losses.binary_cross_entropy, ROWS, [[0, 1, -0.0]] * len(ROWS))


def test_recorded_rows_at_once():
    loss = record(losses.cross_entropy)
    expected = [losses.cross_entropy([engine.Value(x) for x in z], k).data
                for z, k in zip(ROWS, CLASSES)]
    assert [y.data for y in loss.map(ROWS, CLASSES)] == expected
    assert loss.mean(ROWS, CLASSES).data == sum(expected) * (1.0 / len(ROWS))


def test_errors_of_recorded_losses():
    """At the first call and later ones: what is an error as written does not go unnoticed."""
    for bad in (-1, 3, -4):
        loss = record(losses.cross_entropy)
        for _ in range(2):
            with pytest.raises(IndexError, match="pick has 3 values and none at"):
                loss(ROWS[0], bad)
            loss(ROWS[0], 2)
    for bad in (-1e-9, -2e-9, -0.5, 0.5, math.nan):
        loss = record(losses.cross_entropy)
        for _ in range(2):
            with pytest.raises(TypeError, match="pick takes an int for the place, not"):
                loss(ROWS[0], bad)
            loss(ROWS[0], 2)
    for bad in (-1, 2, 1.0000000000000002, -5e-324, math.inf):
        loss = record(losses.binary_cross_entropy)
        for _ in range(2):
            with pytest.raises(ValueError, match="sqrt of -.*: "):
                loss(ROWS[0], [0, 1, bad])
            loss(ROWS[0], [0, 1, 1])


def test_a_share_that_is_no_static_argument():
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in 0\.\.1, not Value"):
        record(losses.cross_entropy)(ROWS[0], 1, 0.1)


def test_eager_graphs_are_no_larger():
    """Of 3 logits: 3 shifted, 3 exp, their sum of 3 + 1, log, minus and its sum."""
    from micrograd.draw import trace
    nodes, _ = trace(losses.cross_entropy([engine.Value(x) for x in ROWS[0]], 2))
    assert (sorted(node._op for node in nodes if node._op)
            == ["*"] + ["+"] * 7 + ["exp"] * 3 + ["log"])
