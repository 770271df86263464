"""Numbers into Values and back, and predictions."""
import random
from array import array
from fractions import Fraction

import pytest

import processes
from micrograd import arrays, engine, nn
from micrograd.arrays import data, grads, leaves, predict
from micrograd.engine import Value

np = pytest.importorskip("numpy")


def test_leaves_of_numbers_and_lists():
    v = leaves(3)
    assert (type(v), v.data, type(v.data)) == (Value, 3, int)
    nested = leaves([[1.0, 2], (3.5,), [], Fraction(1, 2), [[1j]]])
    assert data(nested) == [[1.0, 2], [3.5], [], Fraction(1, 2), [[1j]]]
    assert type(nested[1]) is list


def test_leaves_of_arrays():
    for X in (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1, 2], [3, 4]])):
        assert data(leaves(X)) == X.tolist()
        assert type(leaves(X)[0][0].data) is type(X.tolist()[0][0])
    assert data(leaves(np.float64(2.5))) == 2.5 and type(leaves(np.float32(2.5)).data) is float
    assert data(leaves(array("d", [1.0, 2.0]))) == [1.0, 2.0]
    assert data(leaves([np.array([1.0]), np.float64(2.0)])) == [[1.0], 2.0]


@pytest.mark.parametrize("bad", ["1", None, [1.0, "x"], [Value], {1: 2}, np.array(["x"])])
def test_what_makes_no_leaves(bad):
    with pytest.raises(TypeError, match="leaves are made of numbers, lists and arrays, not "):
        leaves(bad)


def test_times_make_no_leaves():
    for kind in ("M8[ns]", "m8[ns]"):
        for x in (np.array([1], kind), np.array(1, kind)[()]):
            with pytest.raises(TypeError, match="dates and durations are no numbers: "):
                leaves(x)


def test_data_and_gradients_come_back(Value):
    x = [[Value(1.0), Value(2)], [Value(3.0)]]
    (x[0][0] * x[0][1] + x[1][0]).backward()
    assert data(x) == [[1.0, 2], [3.0]] and grads(x) == [[2, 1.0], [1]]
    assert grads(x[0][0]) == 2
    assert data(np.array(x[0])) == [1.0, 2] and grads([np.array([x[1]])]) == [[[1]]]
    for back in (data, grads):
        with pytest.raises(TypeError, match="must be Values in nested lists, not float: 1.0"):
            back([x[0], 1.0])


def model(*shape, **arguments):
    random.seed(6)
    return nn.MLP(shape[0], list(shape[1:]), **arguments)


def by_hand(module, X):
    return [arrays.mapped(lambda v: float(v.data), module(row)) for row in X]


SHORT_CUT = engine.__core__._predict


@pytest.fixture(params=["engine", "by hand"], autouse=True)
def hook(request, monkeypatch):
    """predict with the engine's short cut, and without."""
    if request.param == "by hand":
        monkeypatch.setattr(arrays.__core__, "_predict", lambda *_: None)


@pytest.mark.skipif(engine.__engine__ != "c", reason="about the compiled engine")
def test_the_short_cut_is_taken():
    m = model(2, 3, 1)
    rows = array("d", [1.0, 2.0, 3.0, 4.0])
    outputs = memoryview(SHORT_CUT(m.layers, rows, 2)).cast("d").tolist()
    assert outputs == by_hand(m, [[1.0, 2.0], [3.0, 4.0]])
    for nin, text in ((3, "rows of 3 doubles"), (0, "rows of 0"), (-1, "rows of -1")):
        with pytest.raises(ValueError, match=text):
            SHORT_CUT(m.layers, rows, nin)
    with pytest.raises(ValueError, match="rows of 2 doubles or floats"):
        SHORT_CUT(m.layers, array("i", [1, 2]), 2)


@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 4, 2), (1, 1, 1, 1), (2, 16, 16, 1)])
@pytest.mark.parametrize("nonlin", [True, False, "tanh"])
@pytest.mark.parametrize("rows", [arrays.ROWS, 7])
def test_predictions_are_the_outputs(shape, nonlin, rows, monkeypatch):
    monkeypatch.setattr(arrays, "ROWS", rows)
    m = model(*shape, nonlin=nonlin)
    X = np.random.default_rng(1).normal(size=(20, shape[0])) * 100
    expected = by_hand(m, X.tolist())
    assert repr(m.predict(X.tolist())) == repr(expected)
    assert repr(predict(m.layers[0], X.tolist())) == repr(by_hand(m.layers[0], X.tolist()))
    out = m.predict(X)
    assert (type(out), out.dtype, out.tolist()) == (np.ndarray, np.float64, expected)
    assert out.shape == ((20,) if shape[-1] == 1 else (20, shape[-1]))
    out += 1        # the caller's own


def test_arrays_of_every_layout():
    m = model(3, 2, 2)
    X = np.random.default_rng(1).normal(size=(6, 6))
    for part in (X[:, :3], X[::2, ::2], X.T[:, 1:4], X[:0, :3], np.asfortranarray(X[:, 3:])):
        assert m.predict(part).tolist() == by_hand(m, part)
        assert m.predict(part).shape == (len(part), 2)
    swapped = X[:, :3].astype(">f8")
    assert m.predict(swapped).tolist() == by_hand(m, swapped)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.uint8, bool])
def test_arrays_of_other_numbers(kind):
    m = model(2, 3, 1)
    X = np.array([[0, 1], [1, 1], [1, 0]]).astype(kind)
    for layout in (X, np.asfortranarray(X), X[::2], np.vstack([X, X]).T.T):
        assert m.predict(layout).tolist() == by_hand(m, layout)
    assert m.predict(X).dtype == np.float64


@pytest.mark.parametrize("X", [
    [[1, 2], [3, 4]], [(1.0, 2), [3.0, True]], ((1.0, 2.0),), [[2**60 + 1, 1]], [],
    [[Fraction(1, 3), 1.0]], [np.array([1.0, 2.0])], [np.float32([0.1, 0.2])], [array("d", [1, 2])],
    [[float("inf"), float("nan")]], [{1.0: 0, 2.0: 0}]], ids=repr)
def test_lists_of_every_kind(X):
    m = model(2, 3, 1)
    assert repr(m.predict(X)) == repr(by_hand(m, X))


def test_rows_of_values():
    m = model(2, 3, 2)
    assert m.predict([[Value(1.0), 2.0]]) == by_hand(m, [[1.0, 2.0]])


@pytest.mark.parametrize("width", [0, 1, 3])
def test_rows_of_another_width(width):
    m, long = model(2, 3, 2), [1.0] * width
    for module in (m, m.layers[0], m.layers[0].neurons[0]):
        for X in ([[1.0, 2.0], long], [(1.0, 2.0), tuple(long)], [[1, 2], np.ones(width)],
                  [iter([1.0, 2.0]), iter(long)], [[1.0, Value(2.0)], long]):
            message = f"^row 1 has {width} numbers?, where the model takes 2$"
            with pytest.raises(ValueError, match=message):
                predict(module, X)
        for kind in (float, int, object):
            message = f"^the rows of X have {width} numbers?, where the model takes 2$"
            with pytest.raises(ValueError, match=message):
                predict(module, np.ones((4, width), dtype=kind))


def test_generators_are_rows():
    m = model(2, 3, 2)
    assert m.predict([iter([1.0, 2.0])]) == by_hand(m, [[1.0, 2.0]])


def test_modules_that_may_take_any_row():
    """A call of one's own, and neurons that differ."""
    class Padded(nn.Neuron):
        def __call__(self, x):
            return super().__call__([*x, 0.0])

    m = model(3, 1)
    m.layers[0].neurons = [Padded(3)]
    assert m.predict([[1.0, 2.0]]) == by_hand(m, [[1.0, 2.0]])
    assert predict(Padded(3), [[1.0], [1.0, 2.0]]) != []
    m.layers[0].neurons = [nn.Neuron(2), nn.Neuron(3)]
    assert m.predict([[1.0, 2.0]]) == by_hand(m, [[1.0, 2.0]])
    assert nn.MLP(2, []).predict([[Value(1.0)]]) == [[1.0]]


def test_a_whole_batch_of_ints_too_large():
    with pytest.raises(OverflowError):
        model(2, 3, 1).predict([[10**400, 1]])


def test_modules_of_ones_own():
    class Doubled(nn.MLP):
        def __call__(self, x):
            return super().__call__(x) * 2

    class Sum(nn.Module):
        def __call__(self, x):
            return Value(0) + float(x[0])

    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    random.seed(6)
    doubled = Doubled(2, [3, 1])
    assert doubled.predict(X).tolist() == by_hand(doubled, X)
    assert Sum().predict(X).tolist() == Sum().predict(X.tolist()) == [1.0, 3.0]
    neuron = nn.Neuron(2)
    assert neuron.predict(X).tolist() == by_hand(neuron, X)


def test_a_patched_call_is_used(monkeypatch):
    monkeypatch.setattr(nn.MLP, "__call__", lambda self, x: Value(7.0))
    assert model(2, 3, 1).predict([[1.0, 2.0]]) == [7.0]


def test_a_network_taken_apart():
    m = model(2, 3, 1)
    m.layers[0].neurons = m.layers[0].neurons[:2]
    assert m.predict([[1.0, 2.0]]) == by_hand(m, [[1.0, 2.0]])
    m.layers[0].neurons[0].w = None
    with pytest.raises(TypeError):
        m.predict([[1.0, 2.0]])


@pytest.mark.parametrize("X, error, message", [
    ([1.0, 2.0], TypeError, "list of rows, but row 0 is float: 1.0"),
    ([[1.0, 2.0], "ab"], TypeError, "list of rows, but row 1 is str: 'ab'"),
    (1.0, TypeError, "X must be a list of rows or an array, not float: 1.0"),
    ({1: 2}, TypeError, "X must be a list of rows or an array, not dict"),
    (np.ones((1, 2), complex), TypeError, "X must be an array of real numbers, not of complex128"),
    (np.array([["a", "b"]]), TypeError, "X must be an array of real numbers, not of <U1"),
    (np.ones(2), ValueError, r"X must be an array of shape \(n, nin\), not \(2,\)"),
    (np.ones((1, 2, 3)), ValueError, r"not \(1, 2, 3\)")], ids=range(8))
def test_what_has_no_rows(X, error, message):
    with pytest.raises(error, match=message):
        model(2, 3, 1).predict(X)


def test_numpy_is_not_imported():
    code = ("import sys; from micrograd.nn import MLP; from micrograd.arrays import leaves, data;"
            "MLP(2, [1]).predict([[1.0, 2.0]]); data(leaves([1.0])); print('numpy' in sys.modules)")
    assert processes.run("-c", code, MICROGRAD_ENGINE=engine.__engine__).stdout == "False\n"


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int8", "uint8", "uint64", "bool"])
@pytest.mark.parametrize("weight", [float, np.float32, np.float64, "trained"])
@pytest.mark.parametrize("shape", [(2, 3, 2), (2, 1), (3, 20, 4, 1), (2, 2, 2, 2)])
def test_arrays_of_any_numbers(dtype, weight, shape):
    """To the last bit, in blocks and in rows left over, also where a layer's neurons all give 0."""
    m = model(*shape)
    for i, p in enumerate(m.parameters()):
        if weight == "trained":
            p.data = [float, np.float32, np.float64][i % 3](p.data)
        else:
            p.data = weight(p.data)
    X = np.random.RandomState(3).uniform(-3, 3, (70, shape[0]))
    X = (abs(X) if "u" in dtype else X).astype(dtype)
    assert m.predict(X).tolist() == np.array(by_hand(m, X)).tolist()


def test_a_nonlin_for_each_neuron():
    m = model(2, 3, 1)
    m.layers[0].neurons[1].nonlin = False
    X = np.array([[0.5, -1.5], [-2.0, 1.0]], "float32")
    assert m.predict(X).tolist() == by_hand(m, X)


def test_layers_in_a_tuple():
    m = model(2, 3, 1)
    m.layers = tuple(m.layers)
    assert m.predict([[1.0, 2.0]]) == by_hand(m, [[1.0, 2.0]])


@pytest.mark.parametrize("weight", [1e39, 1e300, float("inf")])
def test_rows_of_zeros_and_large_weights(weight):
    """Beyond numpy.float32, which the products of zeros are not."""
    m = model(2, 2, 1)
    for p in m.parameters():
        p.data = weight
    X = np.zeros((3, 2), "float32")
    assert repr(m.predict(X).tolist()) == repr(by_hand(m, X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_predictions_of_an_array_that_is_not_aligned(dtype):
    model = nn.MLP(2, [3, 1])
    X = np.array([[0.5, -1.0], [2.0, 0.25]], dtype)
    odd = np.frombuffer(b"x" + X.tobytes(), dtype, offset=1).reshape(X.shape)
    assert not odd.flags.aligned and list(predict(model, odd)) == list(predict(model, X))
