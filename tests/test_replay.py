"""The numbers of recordings: data to the last bit those of the function itself, gradients to
rounding, equal bits for any number of threads and any arithmetic; PyTorch agrees.

MICROGRAD_EXAMPLES sets how many functions are tried, 100 if unset.
"""
import math
import os
import random
from contextlib import contextmanager

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings, strategies as st

import random_functions
from graphs import nodes_under

EXAMPLES = int(os.environ.get("MICROGRAD_EXAMPLES", 100))
ROWS = [1, 2, 7, 8, 9, 16, 65, 100]
tried = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def arithmetic(core, name):
    """The compiled engine with one of its arithmetics."""
    if name is None:
        yield
        return
    former = core._choose_arithmetic(name)
    try:
        yield
    finally:
        core._choose_arithmetic(former)


def arithmetics(core):
    return core._arithmetics() if hasattr(core, "_arithmetics") else [None]


def bits(x, zeros_have_signs=True):
    if isinstance(x, (list, tuple)):
        return [bits(item, zeros_have_signs) for item in x]
    return repr(float(x) if zeros_have_signs else x + 0.0)


class Example:
    """A function, its parameters, and rows, some inputs of which are Values."""

    def __init__(self, twin, steps, seed, count):
        self.twin, self.steps = twin, steps
        rng = random.Random(seed)
        number = lambda: rng.choice([round(rng.uniform(-2, 2), 3), rng.gauss(0, 1), 0.0, -0.0, 1.0])
        self.parameters = twin.values(number() for _ in range(random_functions.PARAMETERS))
        self.rows = [[float(rng.randrange(3)), number(), number()] for _ in range(count)]
        self.values = [twin.Value(x) for x in self.rows[count // 2]]
        self.operations = random_functions.Operations(twin.Value, twin.pick)

    def function(self, x):
        return random_functions.compute(self.operations, self.steps, x, self.parameters)

    def last(self, x):
        return self.function(x)[-1]

    def bits(self, x):
        """The ReLU's 0 is an int as written, and recorded a float, whose negative has a sign."""
        return bits(x, zeros_have_signs=all(name != "relu" for name, *_ in self.steps))

    def columns(self):
        """Rows of numbers, and in the middle one of Values."""
        rows = list(self.rows)
        rows[len(rows) // 2] = self.values
        return rows

    def eager(self, function):
        return [function([x if isinstance(x, self.twin.Value) else self.twin.Value(x) for x in row])
                for row in self.columns()]

    def gradients(self, total):
        """Those of the parameters and of the inputs that are Values; and their scale."""
        leaves = self.parameters + self.values
        for leaf in leaves:
            leaf.grad = 0
        total.backward()
        nodes = nodes_under(total)
        scale = max(1, *(abs(v.grad) for v in nodes)) * max(1, *(abs(v.data) for v in nodes))
        return [leaf.grad for leaf in leaves], scale

    def weighted(self, outputs):
        """A sum of all outputs of all rows, each with its weight."""
        return sum((1 + (k % 7) / 4) * y for k, y in enumerate(sum(outputs, [])))


def outcome(do):
    """What it gives, or the kind of its error."""
    try:
        return do()
    except (ArithmeticError, ValueError, LookupError) as error:
        return type(error)


def check_close(a, b, scale):
    if math.isfinite(scale):
        for x, y in zip(a, b, strict=True):
            assert math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-12 * scale), (x, y, scale)


@tried
@given(steps=random_functions.steps, seed=st.integers(0, 99), count=st.sampled_from(ROWS),
       threads=st.sampled_from([1, 2, 3]), choice=st.integers(0, 9))
def test_as_the_function_itself(twin, steps, seed, count, threads, choice):
    example = Example(twin, steps, seed, count)
    names = arithmetics(twin.core)
    recorded = twin.record(example.function, threads=threads)
    of_last = twin.record(example.last, threads=threads)
    with arithmetic(twin.core, names[choice % len(names)]):
        eager = outcome(lambda: example.eager(example.function))
        replayed = outcome(lambda: recorded.map(example.columns()))
        again = outcome(lambda: recorded.map(example.columns()))
        if isinstance(eager, type):
            assert eager is replayed is again
            return
        data = [example.bits([y.data for y in ys]) for ys in eager]
        for outputs in (replayed, again, [recorded(row) for row in example.columns()]):
            assert [example.bits([y.data for y in ys]) for ys in outputs] == data
        total = sum(ys[-1] for ys in eager).data     # sum() of floats rounds differently since 3.12
        assert example.bits(of_last.sum(example.columns()).data) == example.bits(total)
        assert (example.bits(of_last.mean(example.columns()).data)
                == example.bits(total * (1.0 / count)))
        for a, b in ((example.weighted(eager), example.weighted(replayed)),
                     (sum(example.eager(example.last)), of_last.sum(example.columns())),
                     (sum(example.eager(example.last)) * (1.0 / count),
                      of_last.mean(example.columns()))):
            expected = outcome(lambda: example.gradients(a))
            got = outcome(lambda: example.gradients(b))
            if isinstance(expected, type):
                assert isinstance(got, type), (expected, got)
            else:
                check_close(expected[0], got[0], expected[1])


@tried
@given(steps=random_functions.steps, seed=st.integers(0, 99), count=st.sampled_from(ROWS))
def test_equal_bits_for_any_threads_and_arithmetic(twin, steps, seed, count):
    example = Example(twin, steps, seed, count)

    def numbers(name, threads):
        with arithmetic(twin.core, name):
            of_last = twin.record(example.last, threads=threads)
            total = of_last.sum(example.columns())
            return bits([total.data, *example.gradients(total)[0]])

    seen = [outcome(lambda: numbers(name, threads))
            for name in arithmetics(twin.core) for threads in (1, 2, 3)]
    assert all(each == seen[0] for each in seen)


@tried
@given(steps=random_functions.steps, seed=st.integers(0, 99), count=st.sampled_from(ROWS))
def test_as_pytorch(twin, steps, seed, count):
    torch = pytest.importorskip("torch")
    example = Example(twin, steps, seed, count)
    total = outcome(lambda: twin.record(example.last).mean(example.rows))
    if isinstance(total, type) or not abs(total.data) < 1e6:
        return
    parameters = [torch.tensor(p.data, dtype=torch.double, requires_grad=True)
                  for p in example.parameters]
    inputs = torch.tensor(example.rows, dtype=torch.double).T
    theirs = random_functions.compute(random_functions.TensorOperations(torch), steps, inputs,
                                      parameters)[-1]
    expected = theirs.expand(count).mean()
    eager = outcome(lambda: example.gradients(sum(example.eager(example.last))))
    if isinstance(eager, type) or not eager[1] < 1e12:
        return
    scale, ours = eager[1], example.gradients(total)[0]
    assert total.data == pytest.approx(expected.item(), rel=1e-9, abs=1e-12 * scale)
    if expected.requires_grad:
        expected.backward()
    for x, p in zip(ours, parameters):
        assert x == pytest.approx(0.0 if p.grad is None else p.grad.item(), rel=1e-9,
                                  abs=1e-12 * scale)


# By hand.

@pytest.mark.parametrize("f", [
    lambda x, w: w[0] * x[0] + w[1] * x[1], lambda x, w: w[0] * x[0] + w[1] * x[1] + w[2] * x[2],
    lambda x, w: (x[0] + x[1]) + x[2], lambda x, w: x[0] * x[1] + x[0] * x[0],
    lambda x, w: w[0] * x[0], lambda x, w: (w[0] * x[0] + w[1] * x[1]).maximum(x[2]),
    lambda x, w: x[0].relu(),
    lambda x, w: x[0] * -0.0 + x[1] * 1.0, lambda x, w: sum(a * b for a, b in zip(w, x))])
def test_the_sign_of_zero(twin, f):
    w = twin.values([1, 1, -1])
    rows = [[a, b, c] for a in (0.0, -0.0) for b in (0.0, -0.0) for c in (0.0, -0.0)]
    recorded = twin.record(lambda x: f(x, w))
    for _ in range(3):
        assert (bits([y.data for y in recorded.map(rows)])
                == bits([f(twin.values(x), w).data for x in rows]))
        assert bits(recorded(rows[-1]).data) == bits(f(twin.values(rows[-1]), w).data)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 24])
def test_layers_in_all_orders(twin, count):
    """Neurons that share weights, inputs and biases, in other orders than nn has them."""
    rng = random.Random(count)
    w, b = twin.values(rng.gauss(0, 1) for _ in range(count)), twin.values([0.5, -0.5])

    def f(x):
        first = [sum((w[(i + k) % count] * y for k, y in enumerate(x)), b[i % 2])
                 for i in range(count)]
        again = [sum((y * w[i % count] for y in reversed(first)), first[0]) for i in range(2)]
        other = first[0] * w[0] + first[0] * w[0] + first[-1] * w[-1]
        return [*again, other, first[-1]]

    rows = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(20)]
    recorded = twin.record(f, threads=2)
    eager, replayed = [f(twin.values(x)) for x in rows], recorded.map(rows)
    assert (bits([[y.data for y in ys] for ys in replayed])
            == bits([[y.data for y in ys] for ys in eager]))
    gradients = []
    for ys in (eager, replayed):
        for p in w + b:
            p.grad = 0
        sum(sum(y) for y in ys).backward()
        gradients.append([p.grad for p in w + b])
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-11)

def test_the_sum_is_in_the_order_of_rows(twin):
    rng = random.Random(1)
    column = [rng.gauss(0, 1) * 10 ** rng.randrange(9) for _ in range(1000)]
    f = twin.record(lambda x: x * 1.0)
    total = sum(twin.values(column)).data
    assert f.sum(column).data == total and f.mean(column).data == total * (1.0 / 1000)


@pytest.mark.parametrize("count", [2, 7, 8, 9, 17])
def test_an_infinite_slope_in_the_last_row(twin, count):
    """The lanes that are left over have a gradient of 0; times infinity, that would be nan."""
    w = twin.Value(1.0)
    root = twin.record(lambda x: (w + x).sqrt())
    root.sum([0.0] * (count - 1) + [-1.0]).backward()
    assert w.grad == math.inf


@pytest.mark.parametrize("nonlin", [True, "tanh", "gelu", "sigmoid", "leaky_relu", False])
def test_a_network(twin, nonlin):
    random.seed(4)
    model = twin.nn.MLP(5, [9, 17, 3], nonlin=nonlin)
    count = 70 if twin.name == "c" else 10      # the compiled engine takes them in blocks
    rows = [[random.gauss(0, 1) for _ in range(5)] for _ in range(count)]
    recorded = twin.record(lambda x: model(x), threads=2)
    for _ in range(3):
        assert [[y.data for y in ys] for ys in recorded.map(rows)] == [
            [y.data for y in model(twin.values(row))] for row in rows]
    of_sum = twin.record(lambda x: sum(y * y for y in model(x)))
    model.zero_grad()
    of_sum.sum(rows).backward()
    ours = [p.grad for p in model.parameters()]
    model.zero_grad()
    sum(sum(y * y for y in model(twin.values(row))) for row in rows).backward()
    assert ours == pytest.approx([p.grad for p in model.parameters()], rel=1e-11, abs=1e-11)


def test_a_long_chain(twin):
    """A million nodes, in the compiled engine."""
    w, length = twin.Value(0.5), 500_000 if twin.name == "c" else 5_000

    def f(x):
        for _ in range(length):
            x = x * w + 1
        return x

    recorded, eager = twin.record(f), f(twin.Value(3.0))
    for _ in range(2):
        y = recorded(3.0)
        assert y.data == eager.data
        w.grad = 0
        y.backward()
        ours, w.grad = w.grad, 0
        eager.backward()
        assert ours == pytest.approx(w.grad, rel=1e-12)
        eager = f(twin.Value(3.0))


def test_a_penalty_of_parameters_alone(twin):
    p = twin.values(0.25 * i for i in range(50))
    penalty = twin.record(lambda: 1e-4 * sum(x * x for x in p))
    for _ in range(3):
        for x in p:
            x.data, x.grad = x.data + 1, 0
        y = penalty()
        y.backward()
        assert y.data == (1e-4 * sum(x * x for x in p)).data
        assert [x.grad for x in p] == pytest.approx([2e-4 * x.data for x in p], rel=1e-12)


def test_ints_are_floats(twin):
    """As if all numbers were given as floats, those that do not fit among them."""
    f = twin.record(lambda x, n: x * x + n)
    for x, n in ((3, 2 ** 53 + 1), (2 ** 40, 1), (-7, 0)):
        for y in (f(x, n), f.sum([x], [n])):
            assert repr(y.data) == repr(float(x) * float(x) + float(n))
    with pytest.raises(OverflowError):
        f(10 ** 400, 1)
    assert f(2, 1).data == 5


# Losses.

LOSSES = {
    "max_margin": lambda losses, z, t: losses.max_margin(z, [1, -1, t[0]]),
    "mse": lambda losses, z, t: losses.mse(z, [0.5, t[0], t[1]]),
    "binary_cross_entropy": lambda losses, z, t: losses.binary_cross_entropy(z, [1, 0, 0.25]),
    "binary_cross_entropy of targets": lambda losses, z, t: losses.binary_cross_entropy(
        z, [t[2], 1, t[2]]),
    "cross_entropy": lambda losses, z, t: losses.cross_entropy(z, 1),
    "cross_entropy of a target": lambda losses, z, t: losses.cross_entropy(z, t[2]),
    "cross_entropy of rows": lambda losses, z, t: losses.cross_entropy([z, z[::-1]], [0, t[2]]),
    "cross_entropy, smoothed": lambda losses, z, t: losses.cross_entropy(z, t[2], 0.1),
    "softmax": lambda losses, z, t: sum(k * p for k, p in enumerate(losses.softmax(z))),
    "log_softmax": lambda losses, z, t: sum(k * p for k, p in enumerate(losses.log_softmax(z))),
    "l2": lambda losses, z, t: losses.l2(z, 0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(twin, name):
    """Their bits are those of the loss itself, of ints as classes."""
    loss = LOSSES[name]
    rows = [[0.3, -1.7, 2.5], [30.0, -30.0, 0.0], [1.0, 1.0, 1.0], [-0.0, 0.0, 700.0]]
    targets = [[1, -1, 1], [-1.0, 0.5, 0], [1.0, 1, 1.0], [0.25, 1, 0]]
    recorded = twin.record(lambda z, t: loss(twin.losses, z, t))
    for _ in range(3):
        for z, t, y in zip(rows, targets, recorded.map(rows, targets)):
            values, again = twin.values(z), twin.values(z)
            expected = loss(twin.losses, values, [*t[:2], int(t[2])])
            expected.backward()
            assert repr(y.data) == repr(float(expected.data))
            recorded(again, t).backward()
            assert ([v.grad for v in again]
                    == pytest.approx([v.grad for v in values], rel=1e-12, abs=1e-15))
