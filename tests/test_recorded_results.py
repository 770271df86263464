"""The results of recordings, which are Values of a graph: their gradients, edits and copies; and
parameters, which are read at each call."""
import copy
import gc
import math
import pickle
import random
import sys
import weakref
from collections import namedtuple
from fractions import Fraction

import pytest

from graphs import nodes_under
from micrograd import draw, engine
from together import swept

np = pytest.importorskip("numpy")
Point = namedtuple("Point", "x y")


def test_the_node_of_a_result(twin):
    w, a, unused = twin.values([2, 3, 4])

    @twin.record
    def error(x, t, u):
        return (w * x - t) ** 2

    for _ in range(3):
        for y in (error(a, 1.0, unused), error.sum([a, 1], [1.0, 2.0], [0, unused]),
                  error.map([a], [1.0], [unused])[0]):
            assert (type(y), y._op, y._prev, y.grad) == (twin.Value, "error", {w, a}, 0)


def test_the_operands_of_rows(twin):
    w, a, b = twin.values([2, 3, 4])
    f = twin.record(lambda x: w * x)
    assert [y._prev for y in f.map([a, 1.0, b])] == [{w, a}, {w}, {w, b}]
    assert f.sum([a, 1.0, b])._prev == {w, a, b}


def test_a_sweep_of_a_row_leaves_the_others_alone(twin):
    """What lies below the Values of another row has had its gradients already."""
    w, a, b = twin.values([2, 3, 5])
    f = twin.record(lambda x: w * x)
    first, second = f.map([f(a), b])
    first.backward()
    assert (w.grad, a.grad, b.grad) == (6 + 6, 4, 0)
    second.backward()
    assert (w.grad, a.grad, b.grad) == (6 + 6 + 5, 4, 2)


def test_structures_of_results(twin):
    f = twin.record(lambda x, y: [x * y, (x + y,), Point(x, [y])])
    for _ in range(5):
        product, (total,), point = f(2, 3)
        assert (product.data, total.data, point.x.data, point.y[0].data) == (6, 5, 2, 3)
        assert type(point) is Point
    assert ([[product.data, total.data] for product, (total,), _ in f.map([1, 2], [3, 4])]
            == [[3, 4], [8, 6]])
    for how in ("sum", "mean"):
        with pytest.raises(TypeError,
                           match=f"{how} takes a function that gives one Value.*take map"):
            getattr(f, how)([1, 2], [3, 4])


@pytest.mark.parametrize("wrong", [None, 1.0, {"a": 1}, [1.0], "text"])
def test_other_results(twin, wrong):
    f = twin.record(lambda x: wrong)
    for _ in range(2):
        with pytest.raises(TypeError,
                           match="a recorded function gives a Value, or lists and tuples"):
            f(1.0)


def test_each_of_several_results_has_its_gradients(twin):
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: [w * x, w + x, w, x, x])
    for _ in range(3):
        ys = f(a)
        assert [swept(y, w, a) for y in ys] == [(6, 3, 2), (5, 1, 1), (2, 1, 0), (3, 0, 1),
                                                (3, 0, 1)]
        assert (swept(sum(k * y for k, y in enumerate(f(a))), w, a)
                == (5 + 4 + 9 + 12, 1 + 2, 1 + 3 + 4))
    assert swept(f.map([a, 5])[1][0], w, a) == (10, 5, 0)


def test_a_result_that_is_an_input_a_parameter_or_a_constant(twin):
    w, a = twin.values([2, 3])
    for _ in range(3):
        assert swept(twin.record(lambda x: x)(a), a) == (3, 1)
        assert swept(twin.record(lambda x: w)(a), w, a) == (2, 1, 0)
        assert swept(twin.record(lambda x: twin.Value(5))(a), a) == (5, 0)
        assert swept(twin.record(lambda x: w).sum([1, 2, 3]), w) == (6, 3)
        assert swept(twin.record(lambda x: twin.Value(5)).mean([1, 2])) == (5,)
    assert twin.record(lambda x: w)(a) is not w


def test_gradients_are_floats(twin):
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: x + w)
    for make in (lambda: f(a), lambda: f.sum([a]), lambda: f.map([a, 1.0])[0]):
        w.grad = a.grad = 0
        make().backward()
        assert repr((w.grad, a.grad)) == "(1.0, 1.0)"


def test_recorded_and_eager_nodes_mix(twin):
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: w * x)
    for _ in range(4):
        assert swept(f(f(a) * a + w) * a, w, a) == (120, 120, 112)    # w*w*(a**3 + a)


def test_a_second_sweep_begins_anew_inside(twin):
    p = twin.Value(2.0)
    y = twin.record(lambda x: (p * 3) * x)(2.0)
    assert swept(y, p) == (12, 6)
    y.backward()
    assert (p.grad, y.grad) == (12, 1)


def test_two_roots_add_up(twin):
    p = twin.Value(2.0)
    y = twin.record(lambda x: (p * 3) * x)(2.0)
    (y * 2).backward()
    (y * 5).backward()
    assert p.grad == 2 * 6 + (2 + 5) * 6       # y.grad adds up, as that of any node


@pytest.mark.parametrize("made", [
    lambda f, a: f(a), lambda f, a: f.map([a, 1.0])[0], lambda f, a: f.sum([a])])
def test_a_callback_on_a_result(twin, made):
    """A result whose `_backward` a program replaces is a plain node from then on."""
    w, a = twin.values([2, 3])
    y, seen = made(twin.record(lambda x: w * x), a), []
    own = y._backward
    y._backward = lambda: (seen.append(y.grad), own())
    for _ in range(2):
        assert swept(y * 5, w, a) == (30, 15 * len(seen), 10 * len(seen)) and y._prev == {w, a}
    assert seen == [5, 10]


@pytest.mark.parametrize("change", [
    lambda y, a: setattr(y, "_prev", {a}), lambda y, a: setattr(y, "_op", "op"),
    lambda y, a: y.__init__(6.0), lambda y, a: setattr(y, "label", "y"),
    lambda y, a: setattr(y, "grad", 5), lambda y, a: copy.copy(y)],
    ids=["_prev", "_op", "__init__", "label", "grad", "copy"])
def test_edits_of_a_result(twin, change):
    """They leave the other results of the call alone."""
    w, a = twin.values([2, 3])
    y, z = twin.record(lambda x: [w * x, w + x])(a)
    change(y, a)
    assert (y.data, z.data, z._prev) == (6, 5, {w, a})
    assert swept(z, w, a) == (5, 1, 1) and swept(y * 1, a)[0] == 6


@pytest.mark.parametrize("number", [7, 0.5, np.float64(2), np.float32(2), Fraction(1, 2), True])
def test_data_of_a_result_may_be_set(twin, number):
    """As dropout by hand does; its derivatives stay those of the call."""
    w, a = twin.values([2, 3])
    y = twin.record(lambda x: w * x)(a)
    y.data = number
    assert swept(y * 2, w, a) == (2 * number, 6, 4)


def test_a_graph_below_a_parameter(twin):
    a, b = twin.values([2, 3])
    p = a * b
    f = twin.record(lambda x: p * x)
    for _ in range(3):
        assert swept(f.sum([5, 7]), p, a, b) == (72, 12, 36, 24)


def test_sweeps_read_the_numbers_of_the_call(twin):
    """Parameters and inputs that change between a call and its sweep."""
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: w * x)
    for _ in range(3):
        w.data, a.data = 2.0, 3.0
        y = f(a)
        w.data, a.data = 20.0, 30.0
        assert swept(y, w, a) == (6, 3, 2)


def test_nan_reaches_only_what_a_result_is_computed_from(twin):
    unused, x = twin.Value(-1.25), twin.Value(0.5)
    ys = twin.record(lambda unused, x: [x, x.relu()])(unused, x)
    (unused ** (ys[0] / ys[1])).backward()      # log(-1.25) is nan
    assert unused.grad == 1 and math.isnan(x.grad)


def test_a_parameter_of_another_result_is_left_alone(twin):
    """Where its gradient is no number; to one that is, 0.0 is added."""
    w, other, chosen, x = twin.values([2.0, 3.0, 4.0, 5.0])
    layer = twin.nn.Layer(2, 2, nonlin=False)
    f = twin.record(
        lambda x: [x * w, x * other, twin.pick([chosen, x], twin.Value(0.0)), *layer([x, x])])
    for p in (other, chosen, *layer.parameters()):
        p.grad = "no number"
    f(x)[0].backward()
    assert {p.grad for p in (other, chosen, *layer.parameters())} == {"no number"}
    assert (w.grad, x.grad) == (5, 2)
    for p in layer.parameters():
        p.grad = 0
    f(x)[3].backward()
    assert (other.grad, layer.neurons[0].b.grad, layer.neurons[1].b.grad) == ("no number", 1, 0)


def test_a_result_keeps_its_own_name(twin):
    """Also when it is made the result of local gradients."""
    y = twin.record(lambda x: x * 2)(twin.Value(1.0))
    assert y._op == "<lambda>"
    y._op, z = "own", y * 3
    y._backward = y._backward
    z.backward()
    assert y._op == "own"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda y: pickle.loads(pickle.dumps(y))],
                         ids=["deepcopy", "pickle"])
def test_copies_of_a_graph(twin, copied):
    """They have gradients and leaves of their own, like copies of other graphs."""
    if copied is not copy.deepcopy and twin.core is not engine.__core__:
        pytest.skip("pickle knows the Value of one engine")
    w, a = twin.values([2, 3])
    y = copied(twin.record(lambda x: w * x)(a) + a)
    leaves = sorted([v for v in nodes_under(y) if not v._prev], key=lambda v: v.data)
    assert swept(y, *leaves) == (9, 3, 3)
    assert [v.data for v in leaves] == [2, 3] and (w.grad, a.grad) == (0, 0)


def test_a_copy_of_a_result(twin):
    w, a = twin.values([2, 3])
    y = copy.copy(twin.record(lambda x: w * x)(a))
    assert (y.data, y._op, y._prev) == (6, "<lambda>", {w, a})


def test_the_picture(twin, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    w = twin.Value(2.0)

    @twin.record
    def error(x):
        return (w * x - 1) ** 2

    y = error(twin.Value(3.0))
    text = draw.draw_dot(y)
    assert text.count("_op [label=") == 1 and '[label="error"]' in text
    assert draw.trace(y) == ({y, *y._prev}, {(v, y) for v in y._prev})


# Parameters are live.

def test_changed_parameters(twin):
    w = twin.Value(2.0)
    f = twin.record(lambda x: w * x)
    for i in range(10):
        w.data = [0.5 * i, i, np.float64(i)][i % 3]
        assert f(3.0).data == w.data * 3 and f.sum([1, 2]).data == w.data * 3


def test_training(twin):
    losses = []
    for recorded in (False, True):
        random.seed(1)
        model = twin.nn.MLP(2, [4, 1], nonlin="tanh")
        optimizer = twin.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        f = lambda x, t: (model(x) - t) ** 2
        of_all = twin.record(f).sum if recorded else lambda X, T: sum(map(f, X, T))
        losses.append([])
        for k in range(20):
            optimizer.lr = 0.1 - 0.004 * k
            loss = of_all([[0.5, -1.0], [2.0, 0.25]], [1.0, -1.0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.data)
    assert losses[1] == pytest.approx(losses[0], rel=1e-9) and losses[1][-1] < losses[1][0]


def test_load_state_dict(twin):
    model, other = twin.nn.MLP(2, [3, 1]), twin.nn.MLP(2, [3, 1])
    f = twin.record(lambda x: model(x))
    for _ in range(3):
        model, other = model, other
        state, model_state = other.state_dict(), model.state_dict()
        model.load_state_dict(state)
        assert f([1.0, 2.0]).data == other([1.0, 2.0]).data
        other.load_state_dict(model_state)


def test_a_parameter_that_is_an_argument_too(twin):
    w = twin.Value(3.0)
    f = twin.record(lambda x: w * x)
    for _ in range(5):
        assert swept(f(w), w) == (9, 6) and swept(f.sum([w, 1.0]), w) == (12, 7)


def test_an_argument_without_a_gradient_is_left_alone(twin):
    unused, index, x = twin.Value(1.0), twin.Value(0.0), twin.Value(2.0)
    f = twin.record(lambda x, unused, i: twin.pick([x, x * 2], i) + unused.detach())
    unused.grad = index.grad = "no number"
    f(x, unused, index).backward()
    assert (unused.grad, index.grad, x.grad) == ("no number", "no number", 1)


def test_second_derivatives(twin):
    """Of what a recording gives, for one row and for all; the operations are the recorded ones."""
    grad = twin.gradients.grad
    w, a, b = twin.values([2, 3, 5])
    f = twin.record(lambda x: w * x * x)
    slope, = grad(f(a), [a])
    assert (slope.data, grad(slope, [a, w])[0].data, grad(slope, [a, w])[1].data) == (12, 4, 6)
    slope, = grad(f.mean([a, b, a]), [a])
    assert (slope.data, grad(slope, [a])[0].data) == (pytest.approx(8), pytest.approx(8 / 3))
    assert grad(f.map([a, b])[1], [a, b])[1].data == 20


def test_rows_are_added_up_as_values_are(twin):
    """In order; Python's own sum of floats compensates for rounding, from 3.12 on."""
    double, rows = twin.record(lambda x: 2 * x), [1e16, 1.0, 1.0, -1e16, 0.1]
    eager = sum(2 * x for x in twin.values(rows)).data
    assert (double.sum(rows).data, double.mean(rows).data) == (eager, eager * (1.0 / 5))


def test_gradients_through_what_arguments_are_computed_from(twin):
    grad = twin.gradients.grad
    x, w = twin.values([2, 3])
    square = twin.record(lambda v: v * v)
    assert [g.data for g in grad(square(x * 3), [x])] == [36]
    assert [g.data for g in grad(square(square(square(x))), [x])] == [8 * 2 ** 7]
    product, fourth = w * x, w ** 2 * x ** 2
    below = twin.record(lambda v: v * product * product)      # a parameter with a graph of its own
    for y in (below(5.0), below.sum([2.0, 3.0]), sum(below.map([2.0, 3.0])),
              5 * below.mean([1.0, 1.0])):
        slopes = grad(y, [x, w, product])
        assert [g.data for g in slopes] == [180, 120, 60]
        assert [g.data for g in grad(slopes[0], [x, w])] == [90, 120]
        assert [g.data for g in grad(y + 5 * fourth, [x])] == [360]


def test_hessian_by_what_is_used_without_being_given(twin):
    gradients = twin.gradients
    model = twin.nn.MLP(2, [3, 1], nonlin="tanh")
    w = twin.Value(0.5)
    square = w * w
    for f, xs in ((lambda _: (model([1.0, 2.0]) - 1) ** 2, model.parameters()),
                  (lambda _: square ** 2 * w, [w]), (lambda x: square * x[0], [w])):
        recorded, v = twin.record(f), [0.1 + i for i in range(len(xs))]
        for name, *more in (("jacobian",), ("hessian",), ("hvp", v)):
            derive = getattr(gradients, name)
            assert np.allclose(derive(recorded, xs, *more), derive(f, xs, *more), 1e-12, 1e-12)


def test_the_hessian_of_a_method_is_recorded_once(twin):
    """For each instance, which it does not keep."""
    class Cubic:
        runs = 0

        def __init__(self, w):
            self.w = twin.Value(w)

        @twin.record
        def at(self, x):
            self.runs += 1
            return self.w * x[0] ** 3

    a, b = Cubic(1.0), Cubic(2.0)
    for _ in range(9):
        assert (twin.gradients.hessian(a.at, [2.0]), twin.gradients.hessian(b.at, [2.0])) == (
            [[12.0]], [[24.0]])
    assert a.runs == b.runs == 8        # of each of the two recordings, the calls 1, 2, 4 and 8
    a.w = twin.Value(5.0)
    with pytest.raises(twin.RecordingError, match="at is no longer what was recorded"):
        for _ in range(8):
            twin.gradients.hessian(a.at, [2.0])
    assert twin.gradients.hessian(a.at, [2.0]) == [[60.0]]
    reference = weakref.ref(a)
    del a
    gc.collect()
    assert reference() is None


def test_second_derivatives_of_several_results(twin):
    """The results of a row share its operations. Each passes its gradient on to its own operands,
    of which the sort of the nodes may come to some later, as to the first result here."""
    grad = twin.gradients.grad
    w, a, b, c = twin.values([2, 3, 5, 7])

    def f(x, y, z, i):
        product = y * z
        return twin.pick([x * w, product], i), product.sin(), product.detach() * x, product, x

    recorded = twin.record(f)
    for i in (0.0, 1.0):
        found = []
        for g in (f, recorded):
            results = g(a * b, b * c, c, twin.Value(i))
            y = sum([results[k] * (k + 1) for k in (0, 3, 1, 4, 2)])
            slopes = grad(y, [a, b, c, w])
            found.append([x.data for x in slopes + grad(slopes[2], [a, b, c, w])])
        assert found[1] == pytest.approx(found[0], rel=1e-12)


def test_the_gradient_of_many_results(twin):
    """In time that grows with their number: the steps of a row are gone through once."""
    def f(x):
        ys = [x]
        for _ in range(1000):
            ys.append((ys[-1] * w).tanh())
        return ys

    x, w = twin.values([0.3, 1.5])
    slopes = [twin.gradients.grad(sum(g(x)), [x, w]) for g in (f, twin.record(f))]
    assert [g.data for g in slopes[1]] == pytest.approx([g.data for g in slopes[0]], rel=1e-12)


def test_derivatives_of_powers_at_0(twin):
    grad = twin.gradients.grad

    def derivatives(x, n):
        y = x ** n
        for _ in range(n + 1):
            y, = grad(y, [x])
        return y

    recorded = twin.record(static=("n",))(derivatives)
    for n in range(4):
        assert [recorded(x, n).data for x in (1.0, 0.0, 2.0)] == [0, 0, 0]


def test_derivatives_within_a_recording(twin):
    grad = twin.gradients.grad
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: grad(w * x * x, [x])[0])
    for _ in range(3):
        assert swept(f(a), w, a) == (12, 6, 4)


def test_jacobians_and_hessians_of_a_recording(twin):
    """Those of its function, at several points: also of a method, and where an x is a parameter."""
    G, (w,) = twin.gradients, twin.values([0.5])

    def f(x):
        return (x[0] * x[1]).sin() * w + (x[2].exp() - x[0] * x[2]) ** 2

    def both(x):
        return [f(x), x[0] * x[1]]

    class Holder:
        method = twin.record(lambda self, x: f(x))

    for xs in ([1.0, 2.0, 3.0], [0.5, -1.0, 0.25], [1.0, w, 3.0]):
        for recorded in (twin.record(f), twin.record(f, threads=2), Holder().method):
            assert_rows(G.hessian(recorded, xs), G.hessian(f, xs))
            assert_rows([G.jacobian(recorded, xs), G.hvp(recorded, xs, [1.0, -2.0, 0.5])],
                        [G.jacobian(f, xs), G.hvp(f, xs, [1.0, -2.0, 0.5])])
        assert_rows(G.jacobian(twin.record(both), xs), G.jacobian(both, xs))


def test_a_jacobian_with_an_infinite_slope(twin):
    """It is infinite by one input, and finite by the others."""
    G = twin.gradients

    def f(x):
        return [x[0].sqrt() + x[1], x[0] + x[1] * x[2], x[2].abs()]

    for xs in ([0.0, 2.0, 3.0], [1.0, math.inf, 3.0], [4.0, 2.0, 3.0]):
        assert_rows(G.jacobian(twin.record(f), xs), G.jacobian(f, xs))


def assert_rows(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-12)


def test_parameters_wherever_they_are(twin):
    """In a global, a closure, a default, an attribute, a list, a dict and an eager graph."""
    a, b, c, d, e = values = twin.values([1, 2, 3, 4, 5])

    class Holder:
        attribute = c

    def f(x, default=b, *, key="e"):
        return a * x + [default][0] + Holder.attribute * {"d": d}["d"] + e

    recorded = twin.record(f)
    for _ in range(4):
        assert swept(recorded(10.0), *values) == (10 + 2 + 12 + 5, 10, 1, 4, 3, 1)


def test_attributes_of_an_argument_of_a_subclass(twin):
    class Scaled(twin.Value):
        __slots__ = ("scale", "unset")

        def __init__(self, data, scale):
            super().__init__(data)
            self.scale, self.shift = scale, 1

    f = twin.record(lambda x: x * x.scale + x.shift)
    a = Scaled(3.0, 5)
    for _ in range(3):
        assert swept(f(a), a) == (16, 5)
        assert swept(f.sum([a, a]), a) == (32, 10)
