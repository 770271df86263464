"""Recordings of functions and methods: their arguments. What they refuse: see
test_recording_errors; their numbers: test_replay.

A recording runs its function at calls 1, 2, 4, 8, ...; tests count its runs to see a replay.
"""
import array
import copy
import functools
import gc
import linecache
import weakref
from collections import ChainMap, Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest

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


def test_a_static_argument_after_any_number_of_others(twin):
    """None of these is taken for it."""
    f = counted(lambda *xs, n=2: sum(xs) * n)
    recorded = twin.record(f, static="n")
    assert [recorded(1.0, x, n=3).data for x in (2.0, 5.0)] == [9, 18] and f.runs == 2
    assert [y.data for y in recorded.map([1.0, 2.0], [3.0, 4.0])] == [8, 12]


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


@dataclass(frozen=True)
class Shift:
    by: float


class Celsius(float):
    def __repr__(self):
        return f"{float(self):.1f} C"


@pytest.mark.parametrize("first, second", [
    (Decimal("1.0"), Decimal("1.00")), (complex(1, 0.0), complex(1, -0.0)),
    (range(0, 0), range(5, 5)), (frozenset({1}), frozenset({True})),
    (np.float32(0.0), np.float32(-0.0)), (Shift(0.0), Shift(-0.0)), (Shift(1), Shift(True)),
    (frozenset({Shift(0.0)}), frozenset({Shift(-0.0)})), (Celsius(0.11), Celsius(0.14))])
def test_static_arguments_with_one_text_or_equal(twin, first, second):
    f = counted(lambda x, n: x * (1 if n is first else 2))
    recorded = twin.record(f, static="n")
    for _ in range(3):
        assert [recorded(1.0, n).data for n in (first, second)] == [1, 2]
    assert repr(first) == repr(second) or first == second
    assert f.runs == 4


def test_a_static_value_may_change_its_number(twin):
    w = twin.Value(2.0)
    for static in (w, Shift(w), frozenset([w]), Shift(w).__eq__):
        f = counted(lambda x, of: x * w)
        recorded = twin.record(f, static="of")
        for w.data in (3.0, 4.0, 5.0):
            assert recorded(2.0, static).data == 2 * w.data
        assert f.runs == 2              # the first call, and the check of the second
    inner = twin.record(lambda x, of: x * of.by, static="of")
    assert twin.record(lambda x: inner(x, Shift(w)))(2.0).data == 10


def test_a_long_static_number(twin):
    f = twin.record(lambda x, q: x * float(q % 1), static="q")
    assert f(3.0, Fraction(10 ** 5000, 3)).data == 1


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
