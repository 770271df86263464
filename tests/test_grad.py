"""micrograd.gradients by hand: what it takes and leaves alone, and its errors."""
import copy
import doctest
import math
import os
import pathlib
import pickle
import random
from fractions import Fraction
from functools import partial

import pytest

import micrograd
from conftest import ENGINES, TWINS
from micrograd import MLP, Value, grad, record
from micrograd._functions import FUNCTIONS
from micrograd.gradients import hessian, hvp, jacobian
from micrograd.recording import pick
from processes import python

METHODS = {"**": "__pow__"}


@pytest.fixture
def G(twin):
    """micrograd.gradients over each engine; G.Value is that engine's."""
    return twin.gradients


def numbers(values):
    return [v.data for v in values]


def test_by_hand(G):
    x, y = G.Value(3.0), G.Value(2.0)
    z = x * x * y + x
    dx, dy = G.grad(z, [x, y])
    assert (dx.data, dy.data) == (13, 9)
    assert numbers(G.grad(dx, [x, y])) == [4, 6]
    assert numbers(G.grad(dy, [x, y])) == [6, 0]
    assert (x.grad, y.grad, z.grad, dx.grad) == (0, 0, 0, 0)
    dx.backward()
    assert (x.grad, y.grad) == (4, 6)


def test_nodes_of_all_kinds_as_x(G):
    a, other = G.Value(3.0), G.Value(1.0)
    b = a * 2
    c = b * a
    assert numbers(G.grad(c, [a, b, c, a, other])) == [12, 3, 1, 12, 0]
    assert G.grad(c, []) == []
    first, second = G.grad(c, [other, other])
    assert isinstance(first, G.Value) and first.data == second.data == 0
    assert numbers(G.grad(a, iter([a]))) == [1]


def test_what_is_under_the_only_x_is_not_listed(G):
    """Or a loop of gradients would take quadratic time."""
    a = G.Value(2.0)
    x = a * a + 1
    operations = G.__core__._operations([(x * x).tanh(), x], x)
    assert [name for _, name, _, _ in operations] == ["*", "tanh"]
    assert len(G.__core__._operations([x * x])) == 3
    assert numbers(G.grad(x * x, [x, x])) == [10, 10]
    assert numbers(G.grad(x * x, [x, a])) == [10, 40]
    (x * x).backward()                  # it is visited again
    assert a.grad == 40


def test_equal_operands_count_twice(G):
    a = G.Value(3.0)
    for f, slope in [(a * a, 6), (a + a, 2), (a.maximum(a), 1), (a.minimum(a), 1), (a - a, 0),
                     (a ** a, 27 * (1 + math.log(3)))]:
        assert numbers(G.grad(f, [a])) == [pytest.approx(slope, rel=1e-15)]


def test_grads_stay_alone(G):
    """Of every node, whatever is called, and after an error too."""
    a, b = G.Value(0.5), G.Value(-1.5)
    y = (a * b).tanh() + (a ** 2).relu() + b.exp() * a
    nodes = G.nodes_under(y)
    for i, node in enumerate(nodes):
        node.grad = i + 0.25
    before = [(node.data, node.grad) for node in nodes]

    def f(xs):
        return (a * xs[0] + y * 0).exp() * b

    g = G.grad(y, [a, b])
    G.grad(g[0] + g[1], [a, b])
    for function in (G.jacobian, G.hessian, G.check_grad):
        function(f, [2.0])
    G.jacobian(lambda _: y, [a, b])
    G.hvp(lambda _: y, [a, b], [1.0, 2.0])
    G.check_grad(lambda _: a.exp() * b, [a, b])
    with pytest.raises(AssertionError):
        G.check_grad(lambda _: y, [a, b])       # which is not computed anew
    assert [(node.data, node.grad) for node in nodes] == before


def test_data_are_read_when_grad_is_called(G):
    """As backward() does: those of the operands, and those that the result was computed with."""
    a, b = G.Value(2.0), G.Value(3.0)
    y = a * b + a.exp()
    a.data = b.data = 10.0
    y.backward()
    assert numbers(G.grad(y, [a, b])) == [a.grad, b.grad] == [10 + math.exp(2), 10]


def test_numbers_of_other_types(G):
    x = G.Value(3)
    slope, = G.grad(x ** 3 - 2 * x, [x])
    assert (repr(slope.data), repr(G.grad(slope, [x])[0].data)) == ("25", "18")
    x = G.Value(Fraction(1, 3))
    slope, = G.grad(x ** 3 * Fraction(1, 2), [x])
    assert (slope.data, G.grad(slope, [x])[0].data) == (Fraction(1, 6), 1)
    x = G.Value(2 + 1j)
    slope, = G.grad(x * x * x, [x])
    assert (slope.data, G.grad(slope, [x])[0].data) == (3 * (2 + 1j) ** 2, 6 * (2 + 1j))
    x = G.Value(2 ** 60 + 1)
    assert numbers(G.grad(x * x, [x])) == [2 ** 61 + 2]


def test_arrays(G):
    numpy = pytest.importorskip("numpy")
    x = G.Value(numpy.array([1.0, 0.0, -2.0]))
    slope, = G.grad(x ** 3 + x * x, [x])
    assert slope.data.tolist() == [5, 0, 8] and G.grad(slope, [x])[0].data.tolist() == [8, 2, -10]
    x = G.Value(numpy.array([1.0, 2.0]))
    slope, = G.grad(1 / x, [x])
    assert slope.data.tolist() == [-1, -0.25] and G.grad(slope, [x])[0].data.tolist() == [2, 0.25]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nested_values(G, name):
    """A Value in a Value: what backward() of the outer one gives depends on the inner one."""
    binary = name in ("maximum", "minimum", "**")

    def f(a, b):
        return getattr(a * b, METHODS.get(name, name))(*[b] * binary) * a

    for point in [(0.7, 1.9), (-1.9, -0.7),
                  (0.7, -1.9)][:2 if name in ("log", "log1p", "sqrt", "**") else 3]:
        flat = [G.Value(x) for x in point]
        inner = [G.Value(x) for x in point]
        nested = [G.Value(x) for x in inner]
        y, z = f(*flat), f(*nested)
        z.backward()
        assert z.data.data == y.data
        for slope, x, same in zip(G.grad(y, flat), nested, G.grad(z, nested)):
            assert x.grad.data == same.data.data == pytest.approx(slope.data, rel=1e-14)
            second = numbers(G.grad(slope, flat))
            assert numbers(G.grad(x.grad, inner)) == pytest.approx(second, rel=1e-13, abs=1e-15)
            assert numbers(G.grad(same.data, inner)) == pytest.approx(second, rel=1e-13, abs=1e-15)


def test_a_closure_is_an_error(G):
    a, b = G.Value(2.0), G.Value(3.0)
    out = G.Value(a.data * b.data, (a, b), "times")

    def backward():
        a.grad += b.data * out.grad

    out._backward = backward
    for x in (a, b):
        with pytest.raises(ValueError, match="the operation 'times' has a _backward of its own"):
            G.grad(out + 1, [x])
    many = G.Value(1.0, [G.Value(i) for i in range(3)] + [a], "many")
    many._backward = partial(print, a, many)
    with pytest.raises(ValueError, match="'many'"):
        G.grad(many, [a])
    replaced = a + b
    replaced._backward = lambda: None
    with pytest.raises(ValueError, match=r"'\+'"):
        G.grad(replaced * 2, [a])


def test_a_closure_off_the_way_is_none(G):
    a, b = G.Value(2.0), G.Value(3.0)
    out = G.Value(a.data, (a,), "other")
    out._backward = lambda: None
    b._backward = lambda: None                  # of a leaf
    assert numbers(G.grad(out * b, [b, out])) == [2, 3]


def test_children_without_a_backward_get_nothing(G):
    """As from backward()."""
    a = G.Value(2.0)
    y = G.Value(5.0, (a,), "?") * a
    assert numbers(G.grad(y, [a])) == [5]


def test_copies_have_gradients_of_their_own(G):
    a = G.Value(2.0)
    y = (a ** 3 + a.leaky_relu()) * a.maximum(1)
    twins = [copy.deepcopy((a, y))]
    if G.Value is micrograd.Value:
        twins.append(pickle.loads(pickle.dumps((a, y))))
    for x, z in twins:
        assert numbers(G.grad(z, [x])) == numbers(G.grad(y, [a]))
        assert numbers(G.grad(z, [a])) == [0]
    with pytest.raises(ValueError, match="_backward of its own"):
        G.grad(copy.copy(y), [a])               # it feeds the gradient of y on


def test_subclasses_take_part(G):
    class Loud(G.Value):
        pass

    x = Loud(2.0)
    assert numbers(G.grad(G.grad(x ** 3, [x])[0], [x])) == [12]


def test_depth(G):
    depth = 3_000 if G.Value is ENGINES["python"].Value else 50_000
    x = G.Value(0.5)
    y = x
    for _ in range(depth):
        y = (y * 0.5 + x).sin()
    slope, = G.grad(y, [x])
    y.backward()
    assert slope.data == pytest.approx(x.grad, rel=1e-12)
    second, = G.grad(slope, [x])
    assert math.isfinite(second.data) and second.data != 0


def test_a_chain_of_a_million_nodes():
    if "c" not in TWINS:
        pytest.skip("the reference takes too long")
    G = TWINS["c"].gradients
    x = G.Value(0.5)
    y = x
    for _ in range(500_000 // int(os.environ.get("MICROGRAD_SMALLER", 1))):
        y = y * 0.5 + x
    assert numbers(G.grad(y, [x])) == [2]


def test_newton_on_rosenbrock(G):
    """Two steps a dimension, and it is there to the last bits."""
    def f(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    x = [-1.2, 1.0]
    for _ in range(8):
        (a, b), (c, d) = G.hessian(f, x)
        g, h = G.jacobian(f, x)
        scale = a * d - b * c
        x = [x[0] - (d * g - b * h) / scale, x[1] - (a * h - c * g) / scale]
    assert x == pytest.approx([1, 1], abs=1e-12)


def test_jacobians(G):
    assert G.jacobian(lambda x: x[0] * x[1] + 1, [2, 3]) == [3, 2]
    assert G.jacobian(lambda x: [x[0] * x[1], x[1] + 1, x[0]], [2, 3]) == [[3, 2], [0, 1], [1, 0]]
    assert G.jacobian(lambda x: [], [2, 3]) == []
    assert G.jacobian(lambda x: x[0] * 2, (x for x in [1.0])) == [2]
    same = G.Value(2.0)
    assert G.jacobian(lambda x: same * x[0] * x[1], [same, 3.0, same]) == [12, 4, 12]


def test_a_recording_of_a_static_list(twin):
    """It has no inputs to take gradients by; plain nodes have."""
    w = twin.Value(2.0)
    for f in lambda xs: w * len(xs), lambda xs: w * xs[0] ** 2:
        recorded = twin.record(f, static="xs")
        for of in twin.gradients.jacobian, twin.gradients.hessian:
            assert of(recorded, [3.0, 1]) == of(f, [3.0, 1])


def test_hessians(G):
    assert G.hessian(lambda x: x[0] ** 2 * x[1], [2, 3]) == [[6, 4], [4, 0]]
    assert G.hessian(lambda x: x[0] * 2 + x[1], [2, 3]) == [[0, 0], [0, 0]]
    assert G.hessian(lambda x: x[0].relu() + x[0].abs(), [2.0]) == [[0]]
    assert G.hvp(lambda x: x[0] ** 2 * x[1], [2, 3], [1, 10]) == [46, 4]
    assert G.hvp(lambda x: x[0] + x[1], [2, 3], [1, 10]) == [0, 0]


def test_check_grad_finds_what_is_off(G):
    def square(a, slope):
        out = G.Value(a.data * a.data, (a,), "square")

        def backward():
            a.grad += slope(a) * out.grad

        out._backward = backward
        return out

    G.check_grad(lambda x: square(x[0], lambda a: 2 * a.data) * x[1].exp(), [3.0, -1.0])
    with pytest.raises(AssertionError) as error:
        G.check_grad(lambda x: x[0] * x[2] + square(x[1], lambda a: a.data), [1.0, 3.0, 2.0])
    assert str(error.value).startswith("by input 1, which is 3.0, the gradient is 3.0, finite dif")
    assert "input 0" not in str(error.value) and "input 2" not in str(error.value)
    with pytest.raises(AssertionError, match="by input 0, which is 3.0, the gradient is nan"):
        G.check_grad(lambda x: square(x[0], lambda a: math.nan), [3.0])
    leaf = G.Value(3.0)
    G.check_grad(lambda _: square(leaf, lambda a: 2 * a.data), [leaf])


def test_zero_grad(G):
    p = G.Value(3.0)
    q = p * 3
    r = q * 2
    r.backward()
    r.backward()
    assert (p.grad, q.grad, r.grad) == (18, 4, 1)
    G.zero_grad(r)
    assert (p.grad, q.grad, r.grad) == (0, 0, 0)
    r.backward()
    assert (p.grad, q.grad, r.grad) == (6, 2, 1)


def test_zero_grad_of_a_network():
    G = micrograd.gradients
    model = micrograd.MLP(2, [3, 1], nonlin="tanh")
    x = G.Value(0.5)
    y = model([x, 1.0]) ** 2
    y.backward()
    first = [p.grad for p in model.parameters()]
    G.zero_grad(y)
    assert x.grad == 0 and all(node.grad == 0 for node in [*G.nodes_under(y), *model.parameters()])
    y.backward()
    assert [p.grad for p in model.parameters()] == first


ERRORS = [
    (lambda G, x: G.grad(2.0, [x]), "y must be a Value, not float: 2.0"),
    (lambda G, x: G.grad(x, x), "xs must be a list of Values, not Value: Value(data="),
    (lambda G, x: G.grad(x, 3), "xs must be a list of Values, not int: 3"),
    (lambda G, x: G.grad(x, [x, "a"]), "item 1 of xs must be a Value, not str: 'a'"),
    (lambda G, x: G.jacobian(lambda x: 2.0, [1.0]),
     "what f returns must be a list of Values, not float"),
    (lambda G, x: G.jacobian(lambda x: [1], [1.0]),
     "item 0 of what f returns must be a Value, not int"),
    (lambda G, x: G.jacobian(len, 1.0), "xs must be a list of numbers or Values, not float: 1.0"),
    (lambda G, x: G.jacobian(len, x), "xs must be a list of numbers or Values, not Value"),
    (lambda G, x: G.jacobian(len, [[1.0]]), "input 0 must be a number or a Value, not list: [1.0]"),
    (lambda G, x: G.jacobian(len, [pytest.importorskip("numpy").timedelta64(1, "ns")]),
     "input 0 must be a number or a Value, not timedelta64"),
    (lambda G, x: G.hessian(lambda x: x, [1.0]), "what f returns must be a Value, not list"),
    (lambda G, x: G.check_grad(lambda x: None, [1.0]),
     "what f returns must be a Value, not NoneType"),
    (lambda G, x: G.zero_grad([x]), "root must be a Value, not list"),
]


@pytest.mark.parametrize("call, message", ERRORS)
def test_errors(G, call, message):
    with pytest.raises(TypeError) as raised:
        call(G, G.Value(1.0))
    assert str(raised.value).startswith(message)


def test_a_recording_that_gives_nested_lists():
    """They would become one row each, as those of no other function do."""
    for f in (lambda x: [x[0], [x[1]]], lambda x: [[x[0]], [x[1]]]):
        for g in (f, record(f)):
            with pytest.raises(TypeError,
                               match=r"item \d of what f returns must be a Value, not list"):
                jacobian(g, [1.0, 2.0])


def test_a_vector_of_another_length(G):
    with pytest.raises(ValueError, match="v must have one number for each x, not 2 for 1"):
        G.hvp(lambda x: x[0], [1.0], [1, 2])


@pytest.mark.parametrize("v, message", [
    (1.0, "v must be a list of numbers, not float: 1.0"),
    ([1.0, None], "item 1 of v must be a number, not NoneType: None"),
    (["1.0", 2.0], "item 0 of v must be a number, not str: '1.0'")])
def test_a_vector_that_is_none(G, v, message):
    """None among the gradients stands for no gradient, and float() takes a text."""
    for f in (lambda x: x[0] * x[1], record(lambda x: x[0] * x[1])):
        with pytest.raises(TypeError, match=message):
            G.hvp(f, [1.0, 2.0], v)


@pytest.mark.parametrize("step", [0, -1e-6, math.nan, math.inf])
def test_check_grad_takes_a_step(G, step):
    with pytest.raises(ValueError, match=f"step must be above 0 and finite, not {step}"):
        G.check_grad(lambda x: x[0] ** 2, [3.0], step=step)


@pytest.mark.parametrize("tolerance", [-1, math.nan])
def test_check_grad_takes_a_tolerance(G, tolerance):
    with pytest.raises(ValueError, match=f"tolerance must be at least 0, not {tolerance}"):
        G.check_grad(lambda x: x[0] ** 2, [3.0], tolerance=tolerance)


def test_check_grad_in_single_precision(G):
    numpy = pytest.importorskip("numpy")
    xs = [G.Value(numpy.float32(1.5)), G.Value(numpy.float32(-0.3))]
    G.check_grad(lambda xs: xs[0] ** 2 * xs[1], xs, step=1e-2, tolerance=1e-2)
    with pytest.raises(AssertionError, match="by input 0, which is "):
        G.check_grad(lambda xs: xs[0] ** 2 * xs[1], xs)


@pytest.mark.parametrize("bad", ["1e-6", None, 1j])
@pytest.mark.parametrize("setting", ["step", "tolerance"])
def test_check_grad_takes_real_numbers(G, setting, bad):
    message = f"{setting} must be a real number, not {type(bad).__name__}"
    with pytest.raises(TypeError, match=message):
        G.check_grad(lambda x: x[0] ** 2, [3.0], **{setting: bad})


def test_errors_of_the_functions_reach_the_program(G):
    """They leave nothing behind: conftest counts the nodes."""
    x = G.Value(1e-200)
    with pytest.raises(OverflowError):
        G.grad(G.grad(x.log(), [x])[0], [x])


def test_the_docs():
    page = pathlib.Path(__file__).parent.parent / "docs" / "gradients.md"
    assert doctest.testmod(micrograd.gradients).attempted >= 13
    assert doctest.testmod(micrograd.gradients).failed == 0
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 20 and failed == 0


def test_grad_is_imported_when_asked_for():
    program = ("import sys, micrograd; assert 'micrograd.gradients' not in sys.modules; "
               "from micrograd import grad, gradients; assert grad is gradients.grad; "
               "assert 'grad' in dir(micrograd)")
    python("-c", program)


def test_local_gradients(G):
    """As numbers they are right once; as Values always."""
    Value, grad = G.Value, G.grad
    a, b = Value(3.0), Value(5.0)
    y = Value(a.data * b.data + a.data, (a, b, a), (b.data, a.data, 1.0))
    z = y * y
    ga, gb = grad(z, [a, b])
    assert (ga.data, gb.data) == (2 * 18.0 * 6.0, 2 * 18.0 * 3.0)
    z.backward()
    assert (a.grad, b.grad) == (ga.data, gb.data)
    with pytest.raises(ValueError, match="a local gradient that is a number"):
        grad(ga, [a])
    x = Value(0.5)
    cube = Value(x.data ** 3, (x,), (3 * x * x,))
    slope, = grad(cube, [x])
    assert (slope.data, grad(slope, [x])[0].data) == (0.75, 3.0)


SINGULAR = {
    "x ** Value": (lambda x: x[0] ** x[1], [0.0, 2.0]), "0 ** x": (lambda x: 0.0 ** x[0], [2.0]),
    "x ** 0": (lambda x: x[0] ** 0, [0.0]), "x ** 1": (lambda x: x[0] ** 1, [0.0]),
    "x ** 0.5": (lambda x: x[0] ** 0.5, [0.0]),
    "x ** Value 0": (lambda x: x[0] ** Value(0.0), [0.0]), "sqrt": (lambda x: x[0].sqrt(), [0.0]),
    "sqrt of a square": (lambda x: (x[0] ** 2).sqrt(), [0.0]),
    "negative": (lambda x: x[0] ** x[1], [-2.0, 2.0]),
    "what pick leaves": (lambda x: pick([x[0].sqrt(), x[0] ** 2], Value(1.0)), [0.0])}


def flat(found):
    return [x for row in found for x in (row if isinstance(row, list) else [row])]


@pytest.mark.parametrize("name", SINGULAR)
def test_recorded_where_a_slope_is_infinite(name):
    """The same as without a recording, which may branch."""
    f, at = SINGULAR[name]
    for how in (jacobian, hessian, lambda f, xs: hvp(f, xs, [2.0] * len(xs))):
        recorded = record(f)
        for _ in range(2):
            assert flat(how(recorded, at)) == pytest.approx(flat(how(f, at)), nan_ok=True)
        usual = [3.0] * len(at)
        assert how(recorded, usual) == how(f, usual)


def test_recorded_where_xs_depend_on_each_other():
    """An x that is there twice, or that another x was computed from: as without a recording."""
    def f(x):
        return x[0] ** 2 * x[1]

    a, b = Value(2.0), Value(3.0)
    for xs, first, second in (([a, a], [12, 12], [[12, 12], [12, 12]]),
                              ([a, b], [12, 4], [[6, 4], [4, 0]]),
                              ([b, b * 2], [54, 9], [[36, 6], [6, 0]])):
        for g in (f, record(f)):
            assert jacobian(g, xs) == first
            assert hessian(g, xs) == second
            assert hvp(g, xs, [1, 0]) == [row[0] for row in second]


def test_jacobians_of_every_step():
    """In forward mode: a layer, a choice, what has no gradient."""
    random.seed(3)
    model = MLP(2, [4, 4], nonlin="tanh")

    def f(v):
        x, i = v
        return [*model([x, x * i]), pick([x * x, i, 2.0], i), x.detach() * x, abs(x).sin(),
                x.detach()]

    for row in ([0.5, 0.0], [-2.0, 1.0], [3.0, 2.0]):
        v = [Value(x) for x in row]
        for found, y in zip(jacobian(record(f), row), f(v), strict=True):
            assert found == pytest.approx(numbers(grad(y, v)), rel=1e-12)


def test_gradients_taken_while_recording():
    """Through what has nodes in recordings only: pick, detach, the sign in the slope of abs."""
    def f(x, i):
        y = pick([x * x, x * 3, x], i) + abs(x) * x.detach() + x.detach() * x
        slope, = grad(y, [x])
        return [slope, *grad(slope * x, [x])]

    recorded = record(f)
    for x, i in ((-2.0, 0), (0.5, 1), (3.0, 2), (-1.5, 1)):
        assert numbers(recorded(x, i)) == numbers(f(Value(x), Value(i)))
