"""Every function of the table: PyTorch, finite differences, Python's arithmetic; both engines."""
import math
import random
from fractions import Fraction

import pytest

import processes
from conftest import ENGINES
from micrograd import engine
from micrograd._functions import FUNCTIONS

inf, nan = math.inf, math.nan

# For each function: how to apply it, to Values and to tensors alike; points for its operands; and
# those where a slope is one-sided or infinite, so that there are no finite differences.
UNARY = {
    "exp": (lambda x: x.exp(), [0.5, -2.0, 0.0, -0.0, -1000.0, 700.0], []),
    "log": (lambda x: x.log(), [0.5, 3.0, 1.0, 1e-300], []),
    "log1p": (lambda x: x.log1p(), [0.5, -0.5, 0.0, 1e-12, 1000.0], []),
    "tan": (lambda x: x.tan(), [0.5, -1.0, 0.0, -0.0, 3.0], []),
    "erf": (lambda x: x.erf(), [0.5, -2.0, 0.0, 10.0], []),
    "tanh": (lambda x: x.tanh(), [0.5, -2.0, 0.0, -0.0, 1000.0, -1000.0, 1e-9], []),
    "sigmoid": (lambda x: x.sigmoid(), [0.5, -2.0, 0.0, -0.0, 1000.0, -1000.0, 30.0], []),
    "sin": (lambda x: x.sin(), [0.5, -2.0, 0.0, -0.0, 1000.0], []),
    "cos": (lambda x: x.cos(), [0.5, -2.0, 0.0, -0.0, 1000.0], []),
    "sqrt": (lambda x: x.sqrt(), [0.5, 9.0, 1e-300], [0.0]),
    "abs": (lambda x: x.abs(), [0.5, -2.0, 1000.0], [0.0, -0.0]),
}
THEIRS = {      # what has another name in PyTorch
    "softplus": lambda F, x: F.softplus(x, threshold=800),
    "gelu": lambda F, x: F.gelu(x),
    "leaky_relu": lambda F, x: F.leaky_relu(x, 0.01),
}
OTHERS = {
    "gelu": (lambda x: x.gelu(), [0.5, -1.5, 0.0, 10.0, -0.0], []),
    "softplus": (lambda x: x.softplus(), [0.5, -2.0, 0.0, -0.0, 1000.0, -1000.0, 36.0], []),
    "leaky_relu": (lambda x: x.leaky_relu(), [0.5, -2.0, 1000.0, -1000.0], [0.0, -0.0]),
}
BINARY = {
    "maximum": (lambda a, b: a.maximum(b), [(1.0, 2.0), (2.0, -1.0), (-3.0, -4.0)],
                [(1.0, 1.0), (0.0, -0.0), (-0.0, 0.0)]),
    "minimum": (lambda a, b: a.minimum(b), [(1.0, 2.0), (2.0, -1.0), (-3.0, -4.0)],
                [(1.0, 1.0), (0.0, -0.0), (-0.0, 0.0)]),
    "**": (lambda a, b: a ** b, [(2.0, 3.0), (0.5, -1.5), (9.0, 0.5), (1.0, 7.0), (3.0, 0.0)],
           [(0.0, 2.0), (0.0, 0.0), (-2.0, 3.0), (-2.0, 2.0), (-2.0, 0.0), (0.0, 1.0)]),
}
CASES = [(name, f, (x,)) for table in (UNARY, OTHERS) for name, (f, usual, edges) in table.items()
         for x in usual + edges]
CASES += [(name, f, point) for name, (f, usual, edges) in BINARY.items() for point in usual + edges]
SMOOTH = [(name, f, (x,)) for table in (UNARY, OTHERS) for name, (f, usual, _) in table.items()
          for x in usual]
SMOOTH += [(name, f, point) for name, (f, usual, _) in BINARY.items() for point in usual]
ids = lambda x: x if isinstance(x, str) else repr(x) if isinstance(x, tuple) else ""
METHODS = {"**": "__pow__"}


def test_every_function_has_a_method_and_cases(Value):
    for name in FUNCTIONS:
        assert callable(getattr(Value, METHODS.get(name, name), None)), f"Value has no {name}"
    assert {*UNARY, *OTHERS, *BINARY} == {*FUNCTIONS}


@pytest.mark.parametrize("name, f, point", CASES, ids=ids)
def test_pytorch(Value, name, f, point):
    torch = pytest.importorskip("torch")
    values = [Value(x) for x in point]
    tensors = [torch.tensor(x, dtype=torch.double, requires_grad=True) for x in point]
    y = f(*values)
    y.backward()
    expected = THEIRS[name](torch.nn.functional, *tensors) if name in THEIRS else f(*tensors)
    expected.backward()
    assert y.data == pytest.approx(expected.item(), rel=1e-14, abs=1e-300)
    assert [v.grad for v in values] == pytest.approx([t.grad.item() for t in tensors], rel=1e-13,
                                                     abs=1e-300, nan_ok=True)


@pytest.mark.parametrize("name, f, point", SMOOTH, ids=ids)
def test_finite_differences(Value, name, f, point):
    values = [Value(x) for x in point]
    f(*values).backward()
    for i, x in enumerate(point):
        h = 1e-6 * (abs(x) or 1)
        at = lambda x: f(*[Value(x if j == i else other) for j, other in enumerate(point)]).data
        slope = (at(x + h) - at(x - h)) / (2 * h)
        assert values[i].grad == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_edges_by_hand(Value):
    def slope(f, *point):
        values = [Value(x) for x in point]
        f(*values).backward()
        return [v.grad for v in values]

    assert slope(lambda x: x.sqrt(), 0.0) == slope(lambda x: x.sqrt(), -0.0) == [inf]
    assert slope(lambda x: x.abs(), 0.0) == slope(abs, -0.0) == [0]
    assert slope(lambda x: x.leaky_relu(0.2), 0.0) == [0.2]
    assert slope(lambda a, b: a.maximum(b), 2.0, 2.0) == [0.5, 0.5]
    assert slope(lambda a: a.maximum(a), 2.0) == [1]
    assert slope(lambda a: a ** a, 1.0) == [1]
    assert slope(lambda a, b: a ** b, 0.0, 0.0) == [0, 0]
    down = slope(lambda a, b: a ** b, -2.0, 3.0)
    assert down[0] == 12 and math.isnan(down[1])
    assert slope(lambda b: 2 ** b, 3.0) == [8 * math.log(2)]


@pytest.mark.parametrize("f, error, message", [
    (lambda V: V(0.0).log(), ValueError, (math.log, 0.0)),
    (lambda V: V(0).log(), ValueError, (math.log, 0)),
    (lambda V: V(-1.0).log(), ValueError, (math.log, -1.0)),
    (lambda V: V(-1.0).sqrt(), ValueError, (math.sqrt, -1.0)),
    (lambda V: V(1000.0).exp(), OverflowError, (math.exp, 1000.0)),
    (lambda V: V(inf).sin(), ValueError, (math.sin, inf)),
    (lambda V: V(-inf).cos(), ValueError, (math.cos, -inf)),
    (lambda V: V(0.0) ** V(-1.0), ZeroDivisionError, (lambda x: x ** -1.0, 0.0)),
    (lambda V: V(1e200) ** V(2.0), OverflowError, (lambda x: x ** 2.0, 1e200)),
    (lambda V: V("1").exp(), TypeError, (math.exp, "1")),
    (lambda V: V(1j).sqrt(), TypeError, (math.sqrt, 1j)),
    (lambda V: V(None).abs(), TypeError, (abs, None)),
    (lambda V: V(10**400).tanh(), OverflowError, (math.tanh, 10**400)),
], ids=range(13))
def test_errors_are_those_of_math(Value, f, error, message):
    function, x = message
    with pytest.raises(error) as expected:
        function(x)
    with pytest.raises(error) as caught:
        f(Value)
    assert str(caught.value).endswith(str(expected.value))     # after the function and the number


def test_errors_name_the_operation_and_the_number(Value):
    for f, text in ((lambda: Value("1").exp(), "exp of '1'"),
                    (lambda: Value(1j).tanh(), "tanh of 1j"),
                    (lambda: Value(1e200) ** Value(2.0), r"1e\+200 \*\* 2.0"),
                    (lambda: 0.0 ** Value(-1.0), r"0.0 \*\* -1.0"),
                    (lambda: Value(10**400).gelu(), "gelu of 10+"),
                    (lambda: Value(10**400).softplus(), "softplus of 10+"),
                    (lambda: Value(1.0).maximum("a"), "maximum of 1.0 and 'a'"),
                    (lambda: Value(1.0).clamp(0, None), "minimum of 1.0 and None")):
        with pytest.raises((TypeError, ArithmeticError), match=f"^{text}: "):
            f()


def test_no_number_for_a_slope(Value):
    for bad in ("1", None, 1j):
        with pytest.raises(TypeError, match="negative_slope must be an int or a float, not "):
            Value(1.0).leaky_relu(bad)


def numbers():
    """Operands of every kind."""
    made = [0, 1, -1, 2, 3, True, False, 2**53 + 1, 3**40, 10**400, 0.0, -0.0, 0.5, -1.5, 1.0,
            2.0, 1e-5, 1e308, -1e308, 5e-324, 700.0, 710.0, -745.5, inf, -inf, nan,
            Fraction(1, 3), Fraction(-2), Fraction(0)]
    try:
        import numpy as np
    except ImportError:
        return made
    return made + [np.float64(0.3), np.float64(-1.0), np.float32(0.3), np.int64(3)]


def outcome(Value, f, point):
    """What a function gives at a point: text that shows every bit and type; and the gradients."""
    values = [Value(x) for x in point]
    try:
        y = f(*values)
    except Exception as error:
        return (type(error).__name__, str(error)), []
    forward = typed(y.data), y._op, len(y._prev)
    try:
        y.backward()
    except Exception as error:
        return (forward, type(error).__name__, str(error)), []
    return forward, [v.grad for v in values]


def alike(a, b):
    """Whether two gradients have one type, and are equal to rounding."""
    if typed(a) == typed(b):
        return True
    return type(a) is type(b) and a == pytest.approx(b, rel=1e-13, abs=1e-300)


def typed(x):
    return type(x).__name__, repr(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_engines_agree_in_every_bit_and_type(name):
    """Results to the last bit; gradients to rounding."""
    if len(ENGINES) < 2:
        pytest.skip("needs both engines")
    binary = name in BINARY
    f = {**UNARY, **OTHERS, **BINARY}[name][0]
    rng = random.Random(7)
    points = [(a, b) for a in numbers() for b in numbers()] if binary else [(a,) for a in numbers()]
    points += [tuple(rng.uniform(-9, 9) for _ in range(1 + binary)) for _ in range(500)]
    for point in points:
        if name == "**" and any(isinstance(x, int) and abs(x) > 10**6 for x in point):
            continue        # a power that would not end
        (c, c_grads), (p, p_grads) = [outcome(e.Value, f, point) for e in ENGINES.values()]
        assert c == p, point
        assert all(alike(a, b) for a, b in zip(c_grads, p_grads, strict=True)), point


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_in_single_precision_under_a_double_gradient(name):
    """A slope is rounded to numpy.float32 as numpy does it, and then multiplied."""
    np = pytest.importorskip("numpy")
    if len(ENGINES) < 2:
        pytest.skip("needs both engines")
    f = {**UNARY, **OTHERS, **BINARY}[name][0]
    x, others = np.float32(0.3), [np.float32(1.7), np.float64(1.7), 1.7, 2]
    pairs = [pair for y in others for pair in ((x, y), (y, x))]
    for point in pairs if name in BINARY else [(x,), (np.float32(3.1),)]:
        found = []
        for e in ENGINES.values():
            values = [e.Value(a) for a in point]
            (f(*values) * np.float64(0.7)).backward()
            found.append([typed(v.grad) for v in values])
        assert found[0] == found[-1], point


@pytest.mark.parametrize("exponent", [3, -1, 0.5])
def test_a_power_in_single_precision_under_a_double_gradient(Value, exponent):
    np = pytest.importorskip("numpy")
    x, g = np.float32(0.3), np.float64(0.7)
    a = Value(x)
    (a ** exponent * g).backward()
    assert typed(a.grad) == typed(0 + exponent * x ** (exponent - 1) * (0 + g * 1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_functions(Value, name):
    """A gradient that comes from above, and one that is added to."""
    f = {**UNARY, **OTHERS, **BINARY}[name][0]
    point = [0.7, 1.3][:1 + (name in BINARY)]
    single, double = [Value(x) for x in point], [Value(x) for x in point]
    f(*single).backward()
    y = f(*double) * 3 + double[0]
    y.backward()
    y = f(*double)
    y.backward()
    expected = [4 * v.grad + (i == 0) for i, v in enumerate(single)]
    assert [v.grad for v in double] == pytest.approx(expected, rel=1e-14)


def test_types_that_come_out(Value):
    np = pytest.importorskip("numpy")
    assert typed(Value(-3).abs().data) == ("int", "3")
    assert typed(Value(3).maximum(4.0).data) == ("float", "4.0")
    assert typed((Value(2) ** Value(3)).data) == ("int", "8")
    assert typed(Value(0).exp().data) == ("float", "1.0")
    assert typed(Value(Fraction(-1, 3)).abs().data) == ("Fraction", "Fraction(1, 3)")
    assert type(Value(np.float64(0.5)).tanh().data) is float
    assert typed((Value(2) ** Value(100)).data) == ("int", str(2**100))


def test_operators(Value):
    a = Value(2.0)
    assert (abs(Value(-3.0)).data, (3 ** a).data, (a ** a).data) == (3.0, 9.0, 4.0)
    assert (a.maximum(5).data, a.minimum(5).data) == (5, 2.0)
    assert ((a ** 2)._op, (a ** a)._op) == ("**2", "**")
    with pytest.raises(AssertionError, match="only supporting int/float powers"):
        a ** "2"


@pytest.mark.parametrize("kind", ["int64", "int8", "uint8", "uint64"])
def test_division_by_an_integer_of_numpy(Value, kind):
    np = pytest.importorskip("numpy")
    a = Value(3.0)
    y = a / getattr(np, kind)(4)
    y.backward()
    assert (y.data, a.grad) == (0.75, 0.25)
    assert (Value(3) / np.int64(2)).data == 1.5


LABELS = """
from micrograd.engine import Value
a = Value(1.0)
print(hasattr(a, "label"), hasattr(Value, "label"))
b = Value(2.0, label="b")
c = a * b
print(repr(b.label), repr(a.label), repr(c.label), sorted(v.label for v in c._prev))
c.label = "c"
print(c.label, repr(a.label), c)
"""


@pytest.mark.parametrize("name", ENGINES)
def test_labels(name):
    """In a process of its own: the first label gives all Values one."""
    run = processes.run("-c", LABELS, MICROGRAD_ENGINE=name)
    assert run.stdout.splitlines() == ["False False", "'b' '' '' ['', 'b']",
                                       "c '' Value(data=2.0, grad=0)"], run.stderr


def test_a_label_is_a_keyword(Value):
    with pytest.raises(TypeError):
        Value(1.0, (), "", "label")


@pytest.mark.skipif(engine.__engine__ != "c", reason="nn over the compiled engine")
@pytest.mark.parametrize("nonlin", [True, False, *UNARY, *OTHERS])
def test_activations_on_both_engines(nonlin):
    import twins
    texts = []
    for twin in (twins.COMPILED, twins.REFERENCE):
        random.seed(4)
        model = twin.nn.MLP(2, [3, 1], nonlin=nonlin)
        for p in model.parameters():
            p.data = random.uniform(0.1, 1)
        out = model([0.5, 0.25])
        out.backward()
        texts.append([repr(model), out.data] + [p.grad for p in model.parameters()])
    assert texts[0][:2] == texts[1][:2]
    assert texts[0][2:] == pytest.approx(texts[1][2:], rel=1e-13)


@pytest.mark.parametrize("bad", ["silu", "data", "no such"])
def test_an_activation_that_there_is_not(bad):
    from micrograd.nn import MLP
    with pytest.raises(ValueError, match=f"name of a function of Value, not {bad!r}"):
        MLP(2, [2, 1], nonlin=bad)


@pytest.mark.parametrize("name, x, text",
                         [("log", 0.0, "log of 0.0: "), ("sqrt", -1.0, "sqrt of -1.0: "),
                          ("exp", 1e4, "exp of 10000.0: math range error"),
                          ("log1p", -2.0, "log1p of -2.0: ")])
def test_errors_name_the_function_and_the_number(Value, name, x, text):
    with pytest.raises((ValueError, OverflowError), match=text):
        getattr(Value(x), name)()


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "softplus", "sin", "erf"])
@pytest.mark.parametrize("kind", ["complex", "complex128", "complex64"])
def test_no_part_of_a_complex_number_is_lost(Value, name, kind):
    number = complex if kind == "complex" else getattr(pytest.importorskip("numpy"), kind)
    with pytest.raises(TypeError):
        getattr(Value(number(1j)), name)()


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "softplus", "abs", "exp"])
def test_errors_of_other_kinds_name_the_function(name):
    for cls in [module.Value for module in ENGINES.values()]:
        for data in "a", None:
            with pytest.raises((TypeError, ValueError), match=f"^{name} of {data!r}: "):
                getattr(cls(data), name)()
