"""The columns of a recording: its arguments for many rows."""
import array
from collections import namedtuple
from fractions import Fraction

import pytest

from together import swept

np = pytest.importorskip("numpy")
Point = namedtuple("Point", "x y")

NUMBERS = [3, 1, 2, 0, 1, 1, 2, 3, 1, 2, 5]
KINDS = "bBhHiIqQefd?"
COLUMNS = {
    "list": NUMBERS,
    "tuple": tuple(map(float, NUMBERS)),
    "range": range(11),
    "array.array": array.array("h", NUMBERS),
    "memoryview": memoryview(array.array("f", NUMBERS)),
    "bytes of an array": memoryview(bytes(NUMBERS)),
    "bytearray": bytearray(NUMBERS),
    **{f"array of {kind}": np.array(NUMBERS).astype(kind) for kind in KINDS},
    **{f"big-endian {kind}": np.array(NUMBERS).astype(">" + kind) for kind in KINDS},
    "every second": np.array(NUMBERS * 2, "f")[::2],
    "backwards": np.array(NUMBERS)[::-1],
    "array of objects": np.array(NUMBERS, object),
    "scalars of numpy": list(np.array(NUMBERS, "f")),
    "floats of numpy": [np.float64(x) for x in NUMBERS],
    "ints of numpy": [np.int64(x) for x in NUMBERS],
    "all kinds": [kind(x) for kind, x in zip(
        [int, float, np.float64, np.float32, np.int8, Fraction, np.longdouble, int, np.uint64,
         float, np.float16], NUMBERS)],
    "a view of every second": memoryview(array.array("d", NUMBERS))[::2],
}


def listed(column):
    return column.tolist() if hasattr(column, "tolist") else list(column)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_numbers(twin, name):
    column, w = COLUMNS[name], twin.Value(0.5)
    f = twin.record(lambda x: w * x)
    rows = [float(x) for x in listed(column)]
    for _ in range(3):
        total = f.sum(column)
        assert swept(total, w) == (sum(rows) / 2, sum(rows))
    assert [y.data for y in f.map(column)] == [x / 2 for x in rows]
    assert f.mean(column).data == (sum(rows) / 2) * (1.0 / len(rows))


@pytest.mark.parametrize("layout", [
    np.asarray, np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2],
    lambda a: np.repeat(a, 2, 1)[:, ::2], lambda a: a[::-1][::-1], lambda a: a.astype(">f4"),
    lambda a: a.astype("i1"), lambda a: a.tolist(), lambda a: list(a),
    lambda a: memoryview(np.ascontiguousarray(a)), lambda a: list(map(tuple, a))],
    ids=["C", "Fortran", "strided rows", "strided columns", "reversed", "big-endian", "int8",
         "lists", "list of arrays", "memoryview", "tuples"])
def test_columns_of_rows_of_numbers(twin, layout):
    column = np.arange(30.0).reshape(10, 3)
    w = twin.values([1, 10, 100])
    f = twin.record(lambda x: sum((a * b for a, b in zip(w, x)), twin.Value(0.0)))
    for _ in range(3):
        assert swept(f.sum(layout(column)), *w) == ((column @ [1, 10, 100]).sum(), *column.sum(0))


@pytest.mark.parametrize("row", [
    lambda x, t: (x, t), lambda x, t: [x, t], Point, lambda x, t: (np.array(x), t),
    lambda x, t: [[x, (t,)], []], lambda x, t: (tuple(x), np.float64(t)),
    lambda x, t: {"x": x, "t": t}, lambda x, t: (np.array(x, ">f4"), int(t)),
    lambda x, t: (np.array([x, x])[:, ::-1][:, ::-1], t)])
def test_columns_of_nested_rows(twin, row):
    """One by one they give the same. A row of another structure is run by itself."""
    w = twin.values([2, 3])

    def numbers(x):
        if isinstance(x, (list, tuple, dict, np.ndarray)):
            return [n for item in (x.values() if isinstance(x, dict) else x) for n in numbers(item)]
        return [x]

    f = twin.record(lambda row, n=1: sum((x * k * w[k % 2] for k, x in enumerate(numbers(row), n)),
                                         twin.Value(0.0)), static="n")
    column = [row([i * 0.5, i - 3.0], float(i)) for i in range(20)]
    for more in ((), (5,)):
        expected = [f(x, *more).data for x in column]
        assert [y.data for y in f.map(column, *more)] == expected
        assert swept(f.sum(column, *more), *w) == swept(sum(f(x, *more) for x in column), *w)
        odd = [*column, 3.0, row([1.0, 2.0, 3.0], 4.0), [twin.Value(1.0), 2.0]]
        assert [y.data for y in f.map(odd, *more)] == [f(x, *more).data for x in odd]


def test_the_same_for_all_rows_beside_columns(twin):
    f = twin.record(lambda x, n, how, *, t, m: x * n * len(how) + t * m, static=("n", "m"))
    for n, how, m in ((2, "a", 1), (3, "ab", 1), (2, "a", 4), (2, "a", 1)):
        for x, t in (([1.0, 2.0], [3.0, 4.0]), (np.array([1.0, 2.0]), (3, 4))):
            assert [y.data for y in f.map(x, n, how, t=t, m=m)] == [
                a * n * len(how) + b * m for a, b in zip([1.0, 2.0], [3.0, 4.0])]
    with pytest.raises(ValueError, match="of one length"):
        f.map([1.0, 2.0], 2, "a", t=[1.0], m=1)


def test_rows_of_arrays_arrive_as_arrays(twin):
    f = twin.record(lambda x: (x @ x).sum())
    cube = np.arange(27.0).reshape(3, 3, 3)
    for layout in (cube, np.asfortranarray(cube), cube.astype("i2")):
        assert [y.data for y in f.map(layout)] == [(a @ a).sum() for a in cube]


def test_columns_that_are_of_another_kind_than_the_last(twin):
    f = twin.record(lambda x: (x * 2)[0])       # twice the first of an array; of a list, the first
    a = np.array([[1.0, 5.0], [2.0, 5.0]])
    for _ in range(3):
        assert f.sum(a).data == 6
        assert f.sum(memoryview(a)).data == f.sum(a.tolist()).data == 3


@pytest.mark.parametrize("kind", [bool, "i1", "f4"])
def test_columns_within_another_recording(twin, kind):
    column = np.array([1, 0, 1], kind)
    double = twin.record(lambda x: 2 * x.relu())
    double.mean(column)
    f = twin.record(lambda z: z * double.mean(column))
    assert [f(3.0).data for _ in range(3)] == [3 * (4 * (1.0 / 3))] * 3


def test_columns_of_values(twin):
    w, *values = twin.values([2, 3, 4])
    f = twin.record(lambda x: w * x)
    for column in (values, tuple(values), np.array(values)):
        assert swept(f.sum(column), w, *values) == (14, 7, 2, 2)
    g = twin.record(lambda x: x[0] * x[1])
    assert swept(g.sum(np.array([values, values])), *values) == (24, 8, 6)


def test_rows_of_different_structures(twin):
    """Those of one structure run at once; the results come in the order of the rows."""
    w, a = twin.values([2, 3])
    written = []

    @twin.record
    def f(xs):
        written.append(len(xs))
        return w * sum(xs[1:], xs[0])

    rows = [[1], [2, 3], [4], [5, a], [6, 7.5], [8]]
    for _ in range(5):
        assert [y.data for y in f.map(rows)] == [2, 10, 8, 16, 27, 16]
        assert swept(f.sum(rows), w, a) == (79, 39.5, 2)
        assert f.mean(rows).data == 79 * (1.0 / 6)
    assert len(written) == 8            # at calls 1, 2, 4 and 8 of the 15 of each structure


def test_rows_of_different_structures_within_a_recording(twin):
    w = twin.Value(2.0)
    f = twin.record(lambda xs: w * sum(xs[1:], xs[0]))
    g = twin.record(lambda x: f.sum([[x], [x, 1.0], [3.0]]) + 0 * sum(f.map([[x], [x, 1.0]])))
    for _ in range(3):
        assert swept(g(5.0), w) == (28, 14)


def test_columns_of_dicts(twin):
    """Of one order of keys or not, with numbers and Values."""
    w, a, b = twin.values([2, 3, 4])
    f = twin.record(lambda row, t: w * row["x"] * row["y"][0] - t)
    for rows in ([{"x": 1.0, "y": [a]}, {"x": b, "y": [2]}], [{"x": b, "y": [2]}] + [
                 {"y": [a], "x": 1.0}], [{"x": 1.0, "y": (a,)}, {"x": b, "y": [2.0]}]):
        for _ in range(2):
            assert swept(f.sum(rows, [1, 2]), w, a, b) == (2 * (3 + 8) - 3, 11, 2, 4)
            assert [y.data for y in f.map(rows, [0, 0])] in ([6, 16], [16, 6])
    with pytest.raises(KeyError):
        f.sum([{"x": 1.0, "y": [1.0]}, {"x": 1.0, "z": [1.0]}], [1, 2])
    numbered = twin.record(lambda row: row[0] * row[1])
    assert numbered.sum([{0: 1.0, 1: 2.0}, {0: a, 1: 3.0}]).data == 11


def test_several_columns(twin):
    a, w = twin.Value(3.0), twin.Value(2.0)
    f = twin.record(lambda x, t, how=None: w * x[0] * x[1] - t)
    x, t = [[1.0, a], [2, 5]], np.array([1, 2], "u1")
    for _ in range(3):
        assert swept(f.sum(x, t), w, a) == (2 * 13 - 3, 13, 2)
        assert swept(f.sum(x, t=t, how="text"), w, a) == (2 * 13 - 3, 13, 2)
        assert swept(f.mean(t=t, x=x), w, a) == ((2 * 13 - 3) / 2, 6.5, 1)


def test_the_same_value_in_many_rows(twin):
    a = twin.Value(3.0)
    f = twin.record(lambda x, y: x * y)
    assert swept(f.sum([a] * 9, range(9)), a) == (108, 36)
    assert swept(f.sum([a] * 9, [a] * 9), a) == (81, 54)
    y = f.sum([a, 1.0], [2.0, a])
    assert swept(y, a) == (9, 3) and y._prev == {a}


def test_columns_that_are_the_same_for_all_rows(twin):
    @twin.record(static="n")
    def f(x, n, flag, text=None):
        return x * n if flag and text == "text" else x

    assert f.sum([1.0, 2.0], 3, True, "text").data == 9
    assert f.sum([1.0, 2.0], [3], None).data == 3


def test_columns_unlike_those_of_the_last_call(twin):
    """In what is the same for all rows, in lengths, widths, kinds and layouts."""
    @twin.record(static="n")
    def f(mode, x, n, t=0.0):
        total = (sum(x) if isinstance(x, (list, tuple)) else x.sum() if isinstance(x, np.ndarray)
                 else x)
        return (total * n if mode == "times" else total + n) + t

    a, ones = twin.Value(1.0), np.ones((8, 2))
    calls = [
        (["times", [1.0, 2.0], 3], 9), (["times", [1.0, 2.0], 5], 15),
        (["plus", [1.0, 2.0], 5], 13), (["plus", [1, 2.0, 3], 5], 21),
        (["plus", [[1, 2.0], [3, 4]], 5], 20), (["plus", [(1, 2.0)], 5], 8),
        (["plus", [[1, 2.0, 5], [3, 4, 5]], 5], 30), (["plus", [[1, 2.0], [3, 4, 5]], 5], 25),
        (["times", [[], []], 5, [1, 2]], 3), (["times", ones[:2, 0], 5, [1, 2]], 13),
        (["plus", ones[:4, 0].copy(), 5], 24), (["plus", ones[:4], 5], 28),
        (["plus", ones[:4].astype("f"), 5], 28),
        (["plus", ones.T, 5], 26), (["plus", ones[::2], 5], 28),
        (["times", ones[:2, 0].copy(), 5], 10),
        (["times", [a, 1.0], 5], 10), (["times", [1.0, 2], 5, [a, 1]], 17),
        (["times", [True, True], 5, [1, 2]], 13), (["times", range(3), 5], 15)]
    for _ in range(2):
        for columns, expected in [*calls, *reversed(calls)]:
            for _ in range(2):
                assert f.sum(*columns).data == expected, columns


@pytest.mark.parametrize("columns, error", [
    (([1.0],), ValueError), (([1.0, 2.0], [1.0]), ValueError), (([], []), ValueError),
    (([1.0], [None]), TypeError),
    ((1.0, [1.0]), TypeError), (([1.0],) * 3, TypeError), ((np.ones(2), np.ones(3)), ValueError),
    ((np.ones(()), np.ones(1)), TypeError), (([1.0], "text"), TypeError),
    ((b"ab", [1.0, 2.0]), TypeError), ((np.ma.array([1.0, 2], mask=[0, 1]), [1.0, 2.0]), TypeError),
    ((memoryview(bytearray(2)).cast("?"), memoryview(bytearray(2)).cast("?")), TypeError)])
def test_wrong_columns_after_right_ones(twin, columns, error):
    f = twin.record(lambda x, t: x * t)
    for right in (([1.0, 2.0], [3.0, 4.0]), (np.ones(2), np.ones(2)), ([1.0], [2.0])):
        expected = f.sum(*right).data
        if len(columns) == 1:
            error = (TypeError, ValueError)     # there is an argument missing
        with pytest.raises(error):
            f.sum(*columns)
        assert f.sum(*right).data == expected


def test_an_array_of_a_class_of_the_programs_own(twin):
    class Doubled(np.ndarray):
        def tolist(self):
            return (2 * self.view(np.ndarray)).tolist()

    f = twin.record(lambda x: x * 1)
    for _ in range(2):
        assert f.sum(np.ones(3).view(Doubled)).data == 6
        assert f.sum(np.ones(3)).data == f.sum([1, 1, 1]).data == 3


def test_rows_of_different_structure(twin):
    a = twin.Value(3.0)
    f = twin.record(lambda v: sum(v, twin.Value(0.0)))
    for _ in range(3):
        rows = [[1.0], [1, a, 2.0], [a]]
        assert swept(f.sum(rows), a) == (10, 2)
        assert swept(f.mean(rows), a) == (10 * (1.0 / 3), 2 * (1.0 / 3))
        assert [y.data for y in f.map([*rows, []])] == [1, 6, 3, 0]


@pytest.mark.parametrize("columns, lengths", [
    (([],), "0"), ((np.empty(0),), "0"), (([1.0], [1.0, 2.0]), "1, 2"),
    (([1.0, 2.0], np.ones(3)), "2, 3"), ((np.empty((0, 3)), []), "0, 0"), ((None,), "none")])
@pytest.mark.parametrize("how", ["sum", "mean", "map"])
def test_columns_are_of_one_length(twin, how, columns, lengths):
    f = twin.record(lambda *v: twin.Value(0.0))
    with pytest.raises(ValueError, match=f"of one length, of at least one row, not of {lengths}"):
        getattr(f, how)(*columns)


@pytest.mark.parametrize("column",
                         [1.0, np.array(1.0), {"a": 1}, {1.0, 2.0}, iter([1.0]), object()])
def test_what_is_no_column(twin, column):
    with pytest.raises(TypeError, match="a column must be a list or an array, not"):
        twin.record(lambda x: x).sum(column)


def test_a_value_is_no_column(twin):
    with pytest.raises(TypeError, match="a column must be a list or an array, not Value"):
        twin.record(lambda x: x).sum(twin.Value(1.0))
