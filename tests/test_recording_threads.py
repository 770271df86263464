"""Recordings that threads share, that call each other, are interrupted, and become garbage."""
import gc
import sys
import weakref

import pytest

from conftest import TWINS
from processes import python
from together import in_threads, often_switched, swept


@pytest.fixture(name="often_switched")
def switched():
    with often_switched():
        yield


# Threads.

@pytest.mark.usefixtures("often_switched")
def test_threads_share_a_recording(twin):
    """From its first call on, when one of them records and the others cannot yet replay."""
    w = twin.Value(2.0)
    f = twin.record(lambda v: sum(w * x * x for x in v), threads=2)

    def work(i):
        seen = []
        for k in range(20):
            x = twin.Value(float(i))
            y = f([x, k, 1])
            seen.append((*swept(y, x), f.sum([[i, k, 1]] * 30).data, len(f.map([[k], [i]]))))
        return seen

    expected = [
        [(2 * (i * i + k * k + 1.0), 4.0 * i, 60 * (i * i + k * k + 1.0), 2) for k in range(20)]
        for i in range(6)]
    assert in_threads([lambda i=i: work(i) for i in range(6)]) == expected


@pytest.mark.usefixtures("often_switched")
def test_threads_record_at_the_same_time(twin):
    """Each a recording of its own, while others read and compare Values."""
    def work(i):
        w = twin.Value(float(i))
        for k in range(30):
            f = twin.record(lambda x: w * x + 1)
            assert w < 10 and repr(w.data) == f"{i}.0"
            if ([f(float(k)).data for _ in range(3)] != [i * k + 1.0] * 3
                    or swept(f(1.0), w) != (i + 1, 1)):
                return k
        return "done"

    assert in_threads([lambda i=i: work(i) for i in range(6)]) == ["done"] * 6


@pytest.mark.parametrize("recorded", [(), ("f",)])
def test_derivatives_while_another_thread_records(twin, recorded):
    """What they would have to record runs as written: f, or just its gradient."""
    found, gradients = [], twin.gradients
    f = twin.record(lambda v: v[0] ** 3 * v[1])
    if recorded:
        f([1.0, 1.0])

    def derivatives():
        found.extend([gradients.jacobian(f, [2.0, 5.0]), gradients.hessian(f, [2.0, 5.0]),
                      gradients.hvp(f, [2.0, 5.0], [1.0, 0.0])])

    @twin.record
    def slow(x):
        in_threads([derivatives])
        return x + 1

    assert slow(1.0).data == 2.0
    assert found == [[60, 8], [[60, 12], [12, 0]], [60, 12]]


@pytest.mark.parametrize("threads", [1, 2, 7, 64])
@pytest.mark.parametrize("rows", [1, 3, 200])
def test_more_threads_than_rows(twin, threads, rows):
    w = twin.Value(2.0)
    f = twin.record(lambda x: w * x, threads=threads)
    assert swept(f.sum(range(rows)), w) == (rows * (rows - 1), rows * (rows - 1) / 2)


def test_an_error_in_a_batch_while_others_run(twin):
    w = twin.Value(2.0)
    f = twin.record(lambda x: (w * x).log(), threads=2)
    f(1.0)

    def fails():
        with pytest.raises(ValueError, match="log of 0.0"):
            f.sum([1.0] * 500 + [0.0] + [1.0] * 500)
        return f.sum([0.5] * 500).data

    assert in_threads([fails] * 4) == [0.0] * 4


# Columns and functions that raise.

class Broken(list):
    def __getitem__(self, i):
        if i == 5:
            raise KeyError("broken")
        return super().__getitem__(i)


@pytest.mark.parametrize("column, error", [
    (Broken([1.0, None, 2.0] * 5), KeyError), ([1.0] * 9 + [object()], TypeError),
    ([[1.0]] * 9 + [[object()]], TypeError), ([1.0] * 9 + [1j], TypeError),
    ([1.0, 10 ** 400], OverflowError)])
def test_columns_that_fail_in_the_middle(twin, column, error):
    w = twin.Value(2.0)
    f = twin.record(lambda x: w * (x[0] if isinstance(x, list) else x) if x is not None else w)
    for how in (f.sum, f.mean, f.map):
        with pytest.raises(error):
            how(column)
    assert swept(f.sum([1.0, 2.0]), w) == (6, 3)


def test_a_check_that_raises(twin):
    """The function's own exception comes out; afterwards all is as before."""
    w, fail = twin.Value(2.0), []

    @twin.record
    def f(x):
        if fail:
            raise KeyError("mine")
        return w * x

    f(1.0)
    fail.append(1)
    with pytest.raises(KeyError, match="mine"):
        f(1.0)
    fail.clear()
    assert w.data == 2 and [f(3.0).data for _ in range(5)] == [6] * 5


# Recordings that call recordings.

def test_a_recording_in_a_recording(twin):
    w, v = twin.values([2, 3])
    inner = twin.record(lambda x: w * x)
    outer = twin.record(lambda x: inner(x) * v + inner(v))
    assert inner(5.0).data == 10
    for _ in range(5):
        assert swept(outer(5.0), w, v) == (36, 18, 12)
        assert swept(outer.sum([5.0, 1.0]), w, v) == (48, 24, 16)
        assert swept(inner(5.0), w) == (10, 5)


def test_columns_in_a_recording(twin):
    w = twin.Value(2.0)
    inner = twin.record(lambda x, t: (w * x - t) ** 2)
    outer = twin.record(
        lambda xs: inner.mean(xs, [1.0, 2.0]) + inner.sum(xs, [0, 0]) + sum(inner.map(xs, xs)))
    xs = twin.values([3, 4])
    for _ in range(5):
        f = lambda x, t: (w * x - t) ** 2
        eager = ((f(xs[0], 1.0) + f(xs[1], 2.0)) * 0.5 + f(xs[0], 0) + f(xs[1], 0)
                 + sum(f(x, x) for x in xs))
        assert swept(outer(xs), w, *xs) == pytest.approx(swept(eager, w, *xs), rel=1e-12)


def test_a_recording_that_calls_itself(twin):
    w = twin.Value(2.0)

    @twin.record(static="n")
    def power(x, n):
        return w if n == 0 else x * power(x, n - 1)

    for _ in range(5):
        assert ([swept(power(3.0, n), w) for n in range(4)]
                == [(2 * 3 ** n, 3 ** n) for n in range(4)])
        assert power.sum([1.0, 2.0], 3).data == 18


def test_a_recording_without_end(twin):
    @twin.record
    def f(x):
        return f(x) + 1

    for _ in range(2):
        with pytest.raises(RecursionError):
            f(1.0)
    assert twin.record(lambda x: x)(1.0).data == 1


def test_a_result_of_one_recording_as_argument_of_another(twin):
    w, a = twin.values([2, 3])
    f, g = twin.record(lambda x: w * x), twin.record(lambda x: x * x + w)
    for _ in range(5):
        assert swept(g(f(a)), w, a) == (38, 37, 24)
        assert swept(g.sum(f.map([a, 1.0])), w, a) == (44, 42, 24)


# Functions that do other things meanwhile.

def test_a_function_that_collects_and_drops(twin):
    w = twin.Value(2.0)

    @twin.record
    def f(x):
        for _ in range(100):
            w * x, twin.Value(5.0)
        cycle = [w * 2]
        cycle.append(cycle)
        del cycle
        gc.collect()
        y = w * x
        gc.collect()
        return y

    assert [swept(f(3.0), w) for _ in range(5)] == [(6, 3)] * 5


def test_a_value_that_is_kept(twin):
    """What a function makes and keeps is an ordinary node, and a parameter of later recordings."""
    w, kept = twin.Value(2.0), []

    @twin.record
    def f(x):
        kept.append(w * x)
        return kept[-1] + 1

    f(3.0)
    assert swept(kept[0], w) == (6, 3) and kept[0]._prev > {w}
    g = twin.record(lambda x: kept[0] * x)
    assert [swept(g(5.0), kept[0], w)[:2] for _ in range(3)] == [(30, 5)] * 3
    kept[0].data = 1.0
    assert g(5.0).data == 5.0


# Garbage.

class Target:
    """Something to have a weak reference to."""


def test_a_recording_whose_function_refers_to_it(twin):
    def made():
        w, target = twin.Value(2.0), Target()

        @twin.record
        def f(x):
            return w * x if f and target else x

        f(3.0), f.sum([1.0, 2.0]).backward()
        return weakref.ref(target)

    references = [made() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


@pytest.mark.parametrize("swept_before", [False, True])
def test_results_in_cycles(twin, swept_before):
    def made():
        w, a = twin.values([2, 3])
        w.target = Target()
        f = twin.record(lambda x: [w * x, x])
        y, z = f(a)
        if swept_before:
            y.backward()
        w.y, a.z, y.f = y, z, f
        return weakref.ref(w.target)

    references = [made() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_a_result_keeps_what_it_needs(twin):
    w, a = twin.values([2, 3])
    y = twin.record(lambda x: w * x)(a)
    z = twin.record(lambda x: w * x).sum([a, 1.0, 2.0])
    gc.collect()
    assert swept(y, w, a) == (6, 3, 2) and swept(z, w, a) == (12, 6, 2)
    a = w = None
    z.backward()


def test_one_of_several_results_is_enough(twin):
    w = twin.Value(2.0)
    y = twin.record(lambda x: [w * x, w + x, w]).map([3.0, 4.0, 5.0])[1][0]
    gc.collect()
    assert swept(y, w) == (8, 4)


# Ctrl-C.

INTERRUPTED = """if True:
    import random, signal, subprocess, sys, time
    import numpy as np
    from micrograd import _core
    from micrograd.nn import MLP
    from micrograd.recording import record

    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed(1)
    model = MLP(64, [128, 128, 1])
    f = record(lambda x: model(x), threads={threads})
    rows = (np.arange({rows} * 64) % 101 * 0.01).reshape({rows}, 64)

    def press_later(delay):
        # in another process, which says when
        code = ("import os, signal, time; print(flush=True); input(); time.sleep({delay}); "
                "print(time.monotonic(), flush=True); os.kill(os.getppid(), signal.SIGINT)")
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        child = subprocess.Popen(
            [sys.executable, "-c", code.replace("{delay}", str(delay))], **pipes)
        child.stdout.readline()
        print(file=child.stdin, flush=True)
        return child

    def seconds(do, delay):
        # how long it goes on after Ctrl-C, pressed with that delay; None if it was over by then
        with press_later(delay) as child:
            over = False
            try:
                do()
                over = True
                child.wait()
                time.sleep(0.1)
            except KeyboardInterrupt:
                stopped = time.monotonic()
            return None if over else stopped - float(child.stdout.read())

    def timed(do):
        start = time.perf_counter()
        do()
        return time.perf_counter() - start

    def gradients():
        model.zero_grad()
        total = f.sum(rows)
        total.backward()
        return total.data, [p.grad for p in model.parameters()]

    expected = gradients()
    total = f.sum(rows)
    for what in (lambda: f.sum(rows), lambda: f.map(rows), total.backward):
        long = timed(what)
        latencies = [seconds(what, long * part) for part in (0.1, 0.3, 0.5)]
        latencies = [latency for latency in latencies if latency is not None]
        assert latencies and max(latencies) < 20, latencies     # on an idle machine, far below one
        print(f"{long:.3f} s; to KeyboardInterrupt: {latencies}")
        assert gradients() == expected
    del total, model, f, what
    assert _core._count_values() == 0
    """


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.skipif("c" not in TWINS, reason="about the compiled engine")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_in_a_batch_and_in_a_sweep(threads):
    pytest.importorskip("numpy")
    code = INTERRUPTED.replace("{threads}", str(threads)).replace("{rows}", "150000")
    print(python("-c", code, MICROGRAD_ENGINE="c"))


def test_a_column_whose_numbers_another_thread_computes():
    """functools.cached_property would wait for ever, before Python 3.12."""
    said = python("-c", """if True:
        import faulthandler
        from concurrent.futures import ThreadPoolExecutor
        from micrograd import record
        faulthandler.dump_traceback_later(60, exit=True)
        double, triple = record(lambda x: x * 2), record(lambda x: x * 3)
        double(1.0), triple(1.0)
        pool = ThreadPoolExecutor(1)

        class Loaded:
            def __len__(self):
                return 2

            def __iter__(self):
                work = pool.submit(lambda: [v.data for v in double.map([1.0, 2.0])])
                return iter(work.result())

        print([v.data for v in triple.map(Loaded())])
        """)
    assert said == "[6.0, 12.0]\n"
