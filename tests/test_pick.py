"""pick and detach."""
from collections import ChainMap

import pytest

from together import swept

np = pytest.importorskip("numpy")


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


def test_pick_among_rows_without_items(twin):
    assert twin.pick([[], []], twin.Value(1)) == []
    with pytest.raises(IndexError, match="pick has 2 values and none at 7"):
        twin.pick([[], []], twin.Value(7))
    with pytest.raises(TypeError, match=r"pick takes a list of values .*, not ndarray: array\(1"):
        twin.pick(pytest.importorskip("numpy").array(1.0), twin.Value(0))


@pytest.mark.parametrize("i", ["1", 1j, None, [1]])
def test_pick_takes_a_number(twin, i):
    with pytest.raises(TypeError, match="pick takes an int for the place, not"):
        twin.pick(twin.values([2, 3, 5]), twin.Value(i))


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
