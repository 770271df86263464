"""Recordings: what they take and give, live parameters, pick and detach. What they refuse: see
test_recording_errors; their numbers: test_replay.

A recording runs its function at calls 1, 2, 4, 8, ...; tests count its runs to see a replay.
"""
import array
import copy
import functools
import gc
import linecache
import math
import pickle
import random
import sys
import weakref
from collections import ChainMap, Counter, OrderedDict, defaultdict, namedtuple
from fractions import Fraction

import pytest

from graphs import nodes_under
from micrograd import draw, engine
from together import swept

np = pytest.importorskip("numpy")
Point = namedtuple("Point", "x y")


def counted(f):
    """f, which counts its runs."""
    @functools.wraps(f)
    def count(*arguments, **keywords):
        count.runs += 1
        return f(*arguments, **keywords)

    count.runs = 0
    return count


# Arguments.

ARGUMENTS = {       # all are 2 * 3 + 5
    "numbers": (lambda a, b, c: a * b + c, [2, 3.0, 5]),
    "numbers of numpy": (lambda a, b, c: a * b + c, [np.float32(2), np.int8(3), np.uint64(5)]),
    "numbers of other classes": (lambda a, b, c: a * b + c, [Fraction(2), np.array(3.0), 5]),
    "a list": (lambda v: v[0] * v[1] + v[2], [[2, 3, 5]]),
    "a tuple": (lambda v: v[0] * v[1] + v[2], [(2, 3, 5)]),
    "a list in a list": (lambda v: v[0][0] * v[0][1][0] + v[1], [[(2, [3]), 5]]),
    "a dict": (lambda v: v["a"] * v["b"][0] + v["b"][1], [{"a": 2, "b": [3, 5]}]),
    "a namedtuple": (lambda p, c: p.x * p.y + c, [Point(2, y=3), 5]),
    "an array": (lambda v: v[0] * v[1] + v[2], [np.array([2, 3, 5])]),
    "a matrix": (lambda v: v[0, 0] * v[0, 1] + v[1, 0], [np.array([[2, 3], [5, 7]], order="F")]),
    "arithmetic of arrays": (lambda v, w: (v * w).sum(), [np.array([2.0, 1]), np.array([3.0, 5])]),
    "an array.array": (lambda v: v[0] * v[1] + v[2], [array.array("i", [2, 3, 5])]),
    "a memoryview": (lambda v: v[0] * v[1] + v[2], [memoryview(array.array("f", [2, 3, 5]))]),
    "an empty list": (lambda v, a, b, c: a * b + c, [[], 2, 3, 5]),
}


def leaves(x):
    if isinstance(x, dict):
        x = list(x.values())
    return ([leaf for item in x for leaf in leaves(item)]
            if isinstance(x, (list, tuple, np.ndarray)) else [x])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_arrive_as_values(twin, name):
    f, arguments = ARGUMENTS[name]

    @counted
    def of_values(*arguments):
        assert {(type(x), type(x.data)) for x in seen(leaves(arguments))} == {(twin.Value, float)}
        return f(*arguments)

    def seen(values):
        """As a recording is made, data is not to be read: constants are."""
        return [twin.Value(1.0) if type(x) is twin.Value else x for x in values]

    recorded = twin.record(of_values)
    assert [recorded(*arguments).data for _ in range(9)] == [11.0] * 9
    assert of_values.runs == 4      # calls 1, 2, 4 and 8


def test_containers_arrive_as_they_are(twin):
    def f(point, numbers, table):
        assert type(point) is Point and type(numbers) is tuple and list(table) == ["b", "a"]
        return point.x + numbers[0] + table["a"]

    assert twin.record(f)(Point(1, 2), (3,), {"b": 4, "a": 5}).data == 9


@pytest.mark.parametrize("made", [
    dict, OrderedDict, Counter, lambda items: defaultdict(float, items),
    lambda items: ChainMap(dict(items))])
def test_dicts_of_other_classes(twin, made):
    """They arrive as what they are, or not at all."""
    f = twin.record(lambda x: x["a"] * x["b"])
    for _ in range(3):
        try:
            assert f(made({"a": 2, "b": 3.0})).data == 6
        except TypeError as error:
            assert "an argument of a recording must be" in str(error)


def test_values_get_gradients_wherever_they_are(twin):
    a, b, c = twin.values([2, 3, 5])
    f = twin.record(lambda x, d: x[0] * x[1][0] + 4 * d["c"])
    for _ in range(5):
        assert swept(f((a, [b]), {"c": c}), a, b, c) == (26, 3, 2, 4)
    assert swept(f((a, [a]), {"c": a}), a) == (12, 8)


def test_values_in_an_array(twin):
    a, b = twin.values([2, 3])
    f = twin.record(lambda x: (x * x).sum())
    for _ in range(5):
        assert swept(f(np.array([a, b])), a, b) == (13, 4, 6)


def test_a_value_that_holds_an_int(twin):
    a = twin.Value(3)
    y = twin.record(lambda x: x ** 2)(a)
    assert (repr(y.data), swept(y, a)) == ("9.0", (9, 6))


def test_what_arrives_as_it_is_selects_a_recording(twin):
    @counted
    def f(x, mode=None):
        return x * {None: 2, True: 3, "ten": 10, b"b": 5}[mode]

    recorded = twin.record(f)
    for _ in range(3):
        assert [recorded(2.0, mode).data for mode in (None, True, "ten", b"b")] == [4, 6, 20, 10]
    assert f.runs == 8      # two of each


def test_static_arguments(twin):
    seen = []

    @twin.record(static=("n", "how"))
    def f(x, n, *, how=()):
        seen.append((n, how))
        return x * n

    for n in (2, 3, 2.0, 2):
        assert f(5.0, n).data == 5 * n
    assert f(5.0, n=2, how=("a", 1)).data == 10
    assert set(map(type, [n for n, _ in seen])) == {int, float} and seen[-1] == (2, ("a", 1))
    assert twin.record(static="n")(lambda x, n: x * n)(2.0, 3).data == 6


@pytest.mark.parametrize("first, second", [
    (2, 3), ("a", "b"), ((1, [2]), (1, [3])), ({"a": 1}, {"a": 2}), (0.0, -0.0), (1, True),
    (len, max)])
def test_equal_static_arguments_share_a_recording(twin, first, second):
    @counted
    def f(x, n):
        return (x * (1 if n == first else 2) if type(n) is type(first) and repr(n) == repr(first)
                else x * 3)

    recorded = twin.record(f, static="n")
    for _ in range(3):
        assert [recorded(1.0, copy.deepcopy(n)).data for n in (first, second)] == [1, 3]
    assert f.runs == 4


def test_static_names_an_argument(twin):
    with pytest.raises(ValueError, match="static names no single argument of f: m"):
        @twin.record(static="m")
        def f(x, n):
            return x


@pytest.mark.parametrize("static", [3, [3], ["n", None]])
def test_static_is_a_list_of_names(twin, static):
    with pytest.raises(TypeError, match="static must be a list of names of arguments, not "):
        twin.record(lambda n: n, static=static)


def test_a_new_structure_records_anew(twin):
    @counted
    def f(v):
        return sum(v, twin.Value(0.0))

    recorded = twin.record(f)
    for _ in range(3):
        assert [recorded([1] * n).data for n in range(5)] == [0, 1, 2, 3, 4]
    assert f.runs == 10     # two of each


@pytest.mark.parametrize("call", [
    lambda f, row: f(row), lambda f, row: f.map([row]), lambda f, row: f.mean([row]),
    lambda f, row: f.map([row, [1.0]])])
def test_ten_recordings_are_many(twin, recwarn, call):
    f = twin.record(lambda v: v[0])
    for n in range(1, 10):
        call(f, [1.0] * n)
    assert not recwarn
    with pytest.warns(RuntimeWarning, match="10 recordings now") as caught:
        call(f, [1.0] * 10)
    assert caught[0].filename == __file__
    assert "lambda f, row" in linecache.getline(__file__, caught[0].lineno)
    call(f, [1.0] * 11)


def test_keywords_and_defaults(twin):
    @counted
    def f(x, y=2.0, *, z=1):
        return x * y + z

    recorded = twin.record(f)
    for _ in range(3):
        assert recorded(3.0).data == 7
        assert recorded(3.0, 5.0).data == recorded(y=5.0, x=3.0).data == 16
        assert recorded(3.0, z=5).data == 11
    with pytest.raises(TypeError):
        recorded(w=1)


def test_variable_arguments(twin):
    f = twin.record(lambda *v, **d: v[0] * v[1] + d["a"])
    assert [f(2, 3, a=5).data for _ in range(4)] == [11] * 4


@pytest.mark.parametrize("wrong", [object(), {1}, 1j, {"a": 1j}, [object()], np.array([1j]), len])
def test_other_arguments(twin, wrong):
    with pytest.raises(TypeError, match="an argument of a recording must be|computes with floats"):
        twin.record(lambda x: twin.Value(1.0))(wrong)


@pytest.mark.parametrize("unit", ["ns", "D"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_dates_and_durations_of_numpy(twin, kind, unit):
    """Those in nanoseconds have ints for Python objects, which are no numbers to compute with."""
    times = np.array([1, 2], f"{kind}[{unit}]")
    f = twin.record(lambda x: x * 2)
    assert f.mean(np.array([1.0, 2.0])).data == 3
    for wrong in times, list(times):
        with pytest.raises(TypeError, match="an argument of a recording must be"):
            f.mean(wrong)
    for wrong in times, times[0]:
        with pytest.raises(TypeError, match="an argument of a recording must be"):
            f(wrong)


def test_other_uses_of_record(twin):
    with pytest.raises(TypeError, match="record takes a function, not int"):
        twin.record(5)
    for threads in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="threads must be an int from 1, not"):
            twin.record(threads=threads)(len)


def test_a_recording_looks_like_its_function(twin):
    @twin.record
    def error(x):
        "How wrong."
        return x

    assert ((error.__name__, error.__doc__, repr(error))
            == ("error", "How wrong.", "<recording of error>"))


def test_what_is_called_like_a_function(twin):
    """A model, a partial function, an object."""
    class Twice:
        def __call__(self, x):
            return x * 2

    model = twin.nn.MLP(2, [2, 1])
    expected = model([1.0, 2.0]).data
    recorded = (twin.record(model), twin.record(functools.partial(lambda n, x: x * n, 3)),
                twin.record(Twice()))
    for _ in range(3):
        assert [f(x).data for f, x in zip(recorded, ([1.0, 2.0], 5.0, 5.0))] == [expected, 15, 10]
    assert ([f(x)._op for f, x in zip(recorded, ([1.0, 2.0], 5.0, 5.0))]
            == ["MLP", "partial", "Twice"])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_of_a_recording(twin, copied):
    """They record anew: their function may have been copied with its parameters."""
    model = twin.nn.MLP(2, [2, 1])
    model.f = twin.record(model.__call__)
    model.f([1.0, 2.0])
    other = copied(model)
    for p in other.parameters():
        p.data += 1.0
    for _ in range(5):
        assert other.f([1.0, 2.0]).data == other([1.0, 2.0]).data
        assert model.f([1.0, 2.0]).data == model([1.0, 2.0]).data


# Methods.

def scaled(twin):
    """A class with recorded methods."""
    class Scaled:
        def __init__(self, w):
            self.w = twin.Value(w)
            self.runs = 0

        @twin.record
        def times(self, x):
            self.runs += 1
            return self.w * x

        def plus(self, x):
            return self.w + x

        @twin.record(static="n")
        def power(self, x, n):
            return self.w * x ** n

    return Scaled


def test_methods_have_a_recording_for_each_instance(twin):
    a, b = map(scaled(twin), (2.0, 3.0))
    for _ in range(3):
        assert (a.times(5.0).data, b.times(5.0).data, a.power(2.0, 3).data) == (10, 15, 16)
        assert (a.times.sum([1.0, 2.0]).data, b.times.map([1.0])[0].data) == (6, 3)
    assert a.runs == b.runs < 6
    total = a.times(5.0)
    assert swept(total, a.w, b.w) == (10, 5, 0)


def test_bound_methods(twin):
    a = scaled(twin)(2.0)
    plus = twin.record(a.plus)
    assert [plus(5.0).data for _ in range(3)] == [7] * 3 and plus(5.0)._op == "plus"


def test_recorded_methods_do_not_keep_instances(twin):
    cls, dead = scaled(twin), []
    for _ in range(20):
        a = cls(2.0)
        a.times(1.0), a.power(2.0, 3)
        dead.append(weakref.ref(a))
    del a
    gc.collect()
    assert not any(reference() for reference in dead)


def test_methods_of_a_class_without_hash(twin):
    class Equal:
        __eq__ = lambda self, other: True

        @twin.record
        def times(self, x):
            return self.w * x

    a, b = Equal(), Equal()
    a.w, b.w = twin.values([2, 3])
    assert [(a.times(5.0).data, b.times(5.0).data) for _ in range(3)] == [(10, 15)] * 3


# Columns.

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


# Results.

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


# pick and detach.

def test_pick_of_values(twin):
    a = twin.values([2, 3, 5])
    f = twin.record(lambda i, v: twin.pick(v, i) * twin.pick(a, i))
    for i in (0, 2, -1, -3, 1, 0):
        factor = [7, 11, 13][i]
        expected = [factor if value is a[i] else 0 for value in a]
        assert swept(f(i, [7, 11, 13]), *a) == (a[i].data * factor, *expected)


def test_pick_of_rows(twin):
    table = [twin.values([1, 2]), twin.values([3, 4]), twin.values([5, 6])]
    f = twin.record(lambda i: [2 * x for x in twin.pick(table, i)])
    for i in (0, 1, 2, -1):
        assert [y.data for y in f(i)] == [2 * x.data for x in table[i]]
    ys = f.map(np.array([1, 1, 0], "u1"))
    assert swept(ys[0][1] + ys[2][0], *sum(table, [])) == (10, 2, 0, 0, 2, 0, 0)


def test_pick_of_rows_of_an_array(twin):
    picked = twin.record(lambda table, i: twin.pick(table, i)[1])
    assert [picked(np.array([[1.0, 2.0], [3.0, 4.0]]), i).data for i in (0, 1, -1)] == [2, 4, 4]


def test_pick_outside_of_a_recording(twin):
    a = twin.values([2, 3, 5])
    assert twin.pick(a, twin.Value(1)) is a[1] and twin.pick(a, -1) is a[2]
    assert twin.pick([1, 2], twin.Value(1)).data == 2 and twin.pick("text", 2) == "x"
    assert twin.pick([a, a[::-1]], twin.Value(1)) == a[::-1]


def test_pick_of_numbers(twin):
    f = twin.record(lambda i: twin.pick([10, 20.5], i) + twin.pick([[1], [2.0]], i)[0])
    assert [f(i).data for i in (0, 1, 0, 1, -2)] == [11, 22.5, 11, 22.5, 11]


def test_pick_by_a_computed_place(twin):
    a, one = twin.values([2, 3, 5]), twin.Value(1.0)
    f = twin.record(lambda x, y: twin.pick(a, x * y + one) * x)
    x = twin.Value(1.0)
    for _ in range(3):
        assert swept(f(x, 1.0), x, one, *a) == (5, 5, 0, 0, 0, 1)
    assert [y.data for y in f.map([1.0, -1.0], [1.0, 2.0])] == [5, -5]


@pytest.mark.parametrize("i", [3, -4, 1e300])
def test_pick_out_of_range(twin, i):
    a = twin.values([2, 3, 5])
    f = twin.record(lambda i: twin.pick(a, i))
    for how in (lambda: f(i), lambda: f(0) and f(i), lambda: f.sum([0, i]),
                lambda: f.sum([0, 1, i, 2])):
        with pytest.raises(IndexError, match="pick has 3 values and none at"):
            how()
    assert [f(1).data for _ in range(3)] == [3] * 3


@pytest.mark.parametrize("i", [0.5, float("nan"), float("inf")])
def test_pick_takes_an_int(twin, i):
    a = twin.values([2, 3, 5])
    f = twin.record(lambda i: twin.pick(a, i))
    for how in (lambda: f(i), lambda: f(0) and f(i), lambda: f.map([0] * 20 + [i]),
                lambda: twin.pick(a, twin.Value(i))):
        with pytest.raises(TypeError, match="pick takes an int for the place, not"):
            how()


@pytest.mark.parametrize("kind", [dict, ChainMap, lambda numbered: set(numbered.values())])
def test_pick_takes_a_list(twin, kind):
    values = kind(dict(enumerate(twin.values([2, 3]))))
    for f in (lambda: twin.pick(values, twin.Value(1)),
              lambda: twin.record(lambda i: twin.pick(values, i))(1)):
        with pytest.raises(TypeError,
                           match="pick takes a list of values where the place is a Value, not"):
            f()


@pytest.mark.parametrize("values", [3, "ab", None])
def test_pick_takes_no_single_thing(twin, values):
    with pytest.raises(TypeError, match="pick takes a list of values .*, not (int|str|NoneType): "):
        twin.pick(values, twin.Value(0))


@pytest.mark.parametrize("values", [[[1.0, 2.0], 3.0], [1.0, None], ["a"]])
def test_pick_takes_values_and_numbers(twin, values):
    """A Value would hold the list."""
    for f in (lambda i: twin.pick(values, i), twin.record(lambda i: twin.pick(values, i))):
        with pytest.raises(TypeError,
                           match="pick takes Values or numbers .*, not (list|NoneType|str): "):
            f(twin.Value(0))


def test_pick_of_rows_of_different_lengths(twin):
    for f in (twin.pick, twin.record(lambda rows, i: twin.pick(rows, i))):
        with pytest.raises(ValueError, match="pick takes rows of one length"):
            f([[1], [2, 3]], twin.Value(0))


def test_pick_adds_up_gradients(twin):
    a = twin.values([2, 3])
    f = twin.record(lambda i, j: twin.pick(a, i) * twin.pick(a, j))
    assert swept(f.sum([0, 1, 1, 0], [0, 0, 1, 1]), *a) == (25, 10, 10)


def test_what_a_pick_has_not_taken_gets_nothing_when_the_graph_is_plain(twin):
    """0 times the infinite gradient that arrives would be nan."""
    w, (a, b) = twin.values([1, 2]), twin.values([3, 4])
    for f, args in ((lambda i: twin.pick(w, i) * 2, [0]),
                    (lambda a, b, i: twin.pick([a, b], i) * 2, [a, b, 0])):
        y = twin.record(f)(*args)
        root = twin.Value(0.0, (y,), "own")
        root._backward = lambda y=y: setattr(y, "grad", float("inf"))
        root.backward()
    assert [x.grad for x in (*w, a, b)] == [float("inf"), 0, float("inf"), 0]


@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("steep",
                         [lambda x: x.sqrt(), lambda x: x ** 0.5, lambda x: (x * x).sqrt()])
def test_pick_gives_no_gradient_to_what_it_leaves(twin, steep, rows):
    """0 times the infinite slope there would be nan, or an error."""
    w, x, unpicked = twin.Value(2.0), twin.Value(0.0), twin.Value(0.0)
    f = twin.record(lambda x, i: twin.pick([steep(x), w * x, unpicked.sqrt()], i) + w)
    assert swept(f.sum([x] * rows, [1] * rows), x, w, unpicked) == (2 * rows, 2 * rows, rows, 0)
    assert (swept(sum(f.map([x] * rows, [1] * rows)), x, w, unpicked)
            == (2 * rows, 2 * rows, rows, 0))
    assert swept(f(0.0, 1), w, unpicked) == (2, 1, 0)
    several = twin.record(lambda x, i: [w * x, twin.pick([x * 3, steep(x)], i)])
    assert swept(several(x, 0)[1], x) == (0, 3)
    with pytest.raises(IndexError):
        f(x, 3)


def test_detach(twin):
    w, a = twin.values([2, 3])
    f = twin.record(lambda x: w.detach() * x + w * x.detach() + (w * x).detach())
    for w.data in (2, 3, 4, 5, 6):
        assert swept(f(a), w, a) == (9 * w.data, 3, w.data)
    assert (w.detach().data, w.detach()._prev) == (6, set())
    assert swept(twin.record(lambda x: x.detach())(a), a) == (3, 0)
