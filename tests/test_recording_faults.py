"""What once went wrong with recordings: crashes of their parts used by anybody, wrong numbers in
silence, and errors that eager code does not have."""
import array
import copy
import functools
import gc
import math
import os
import pickle
import random
import sys
import threading
import typing
import weakref
from decimal import Decimal

import pytest

from conftest import TWINS
from micrograd import Value, grad, nn, record
from micrograd.recording import pick
from processes import python

compiled = pytest.mark.skipif("c" not in TWINS, reason="about the compiled engine")


@pytest.fixture
def core():
    return TWINS["c"].core


def program(twin, f=lambda x: x * 2, leaves=(1.0,)):
    recorded = twin.record(f)
    recorded(*leaves)
    return next(iter(recorded._kept.values())).program


def swept(total, *values):
    for value in values:
        value.grad = 0
    total.backward()
    return [value.grad for value in values]


class Recorded(threading.Thread):
    """Another thread that is recording."""

    def __init__(self, twin):
        super().__init__()
        self.record, self.began, self.may_end = twin.record, threading.Event(), threading.Event()

    def run(self):
        self.record(self.function)(1.0)

    def function(self, x):
        self.began.set()
        assert self.may_end.wait(20)
        return x * 2

    def __enter__(self):
        self.start()
        assert self.began.wait(20)

    def __exit__(self, *error):
        self.may_end.set()
        self.join()


# The parts of recordings, used by anybody.

@compiled
def test_no_part_is_made_without_its_contents(core):
    run = program(TWINS["c"]).forward([1.0], 1, 1)
    for make in (lambda: core._Run.__new__(core._Run), lambda: object.__new__(core._Run), core._Run,
                 type("Sub", (core._Run,), {}), lambda: core._Program.__new__(core._Program),
                 lambda: core._Graph.__new__(core._Graph),
                 lambda: core._Builder.__new__(core._Builder),
                 lambda: core._Listing.__new__(core._Listing), lambda: core._Builder(None),
                 *[lambda f=f, x=x: f(x) for x in (run, run.program)
                   for f in (copy.copy, copy.deepcopy, pickle.dumps)]):
        with pytest.raises(TypeError):
            make()


@compiled
def test_a_program_is_not_made_anew(core):
    """A run stands on the memory of its program."""
    twin, of_run = TWINS["c"], program(TWINS["c"])
    total, = of_run.forward([1.0] * 100, 100, 1).results("sum")

    def f(x):
        y = x
        for _ in range(1000):
            y = y.tanh() * x
        of_run.__init__("name", [x], [y])
        return y

    twin.record(f)(1.0)
    total.backward()


@compiled
def test_leaves_that_are_no_list_or_change(core):
    of_run = program(TWINS["c"])
    assert of_run.forward((3.0,), 1, 1).numbers(0) == [6.0]

    class Longer:
        def __float__(self):
            leaves.extend([2.0] * 10000)
            return 3.0

    leaves = [Longer()]
    assert of_run.forward(leaves, 1, 1).numbers(0) == [6.0]
    leaves = [Longer()]
    assert of_run.forward([1.0], 1, 1).gradients(leaves) == [6.0]
    for leaves in ("a", ["a"], [None], [], [1.0, 2.0], None, 3):
        with pytest.raises((TypeError, ValueError)):
            of_run.forward(leaves, 1, 1)


@compiled
def test_the_numbers_of_a_run_stay_where_they_are(core):
    numbers = bytearray(array.array("d", [1.0] * 1000).tobytes())
    run = program(TWINS["c"]).forward(numbers, 1000, 1)
    with pytest.raises(BufferError):
        numbers.clear()
    assert run.leaves(999) == [1.0]


@compiled
@pytest.mark.parametrize("rows, threads", [(-1, 1), (1, 0), (1, -1), (-2 ** 40, 1)])
def test_rows_and_threads_of_a_run(core, rows, threads):
    of_run = program(TWINS["c"], lambda: TWINS["c"].Value(2.0) * 3, ())
    with pytest.raises(ValueError, match="of rows from 0 and threads from 1"):
        of_run.forward([], rows, threads)
    assert of_run.forward([], 0, 1).results("map") == []


@compiled
def test_a_run_gives_its_results_once(core):
    for first, then in (("sum", "map"), ("map", "sum"), ("mean", "sum")):
        run = program(TWINS["c"]).forward([1.0] * 100, 100, 1)
        results = run.results(first)
        with pytest.raises(ValueError, match="once"):
            run.results(then)
        results[0].backward()
    for outputs in ([], [1, 2]):
        run = program(TWINS["c"], lambda x: [x * k for k in outputs]).forward([1.0], 1, 1)
        with pytest.raises(ValueError, match="one for each row"):
            run.results("sum")


@compiled
def test_structures_of_columns_that_are_none(core):
    Value, column = core.Value, [1.0] * 1000
    for structure in ((), None, (list,), (array.array, (2 ** 61 - 1,)),
                      (array.array, (2 ** 31, 2 ** 31)),
                      (array.array, (-2, -3)), (list, "x"), (dict, (list, Value)), 3):
        assert core._fill((column, column), (Value, structure)) is None
    unaligned = memoryview(bytearray(801))[1:].cast("d")
    assert core._fill((unaligned,), (Value,)) is None
    assert TWINS["c"].record(lambda x: x + 1).sum(unaligned).data == 100


@compiled
def test_columns_that_hold_values(core):
    """Their leaves are a list, in the order of the rows."""
    a, b = core.Value(3.0), core.Value(4.0)
    row = TWINS["c"].record(lambda x, t: x["k"][0] * t)._structure(({"k": [1.0, 2]}, 1.0), {}, [])
    for rows, leaves in (([{"k": [1, a]}, {"k": [b, 2.5]}], [1, a, 7, b, 2.5, 8]),
                         ([{"k": [1, a]}, {"j": [b, 2]}], None), ([{"k": [1, a]}, {}], None),
                         ([{"k": [a, a]}, {"k": [b]}], None)):
        assert core._fill((rows, [7, 8]), row[:2]) == (leaves and (leaves, 2))
    assert core._fill(([{"k": [1.0, 2]}] * 2, [7, 8]), row[:2]) == (
        array.array("d", [1, 2, 7, 1, 2, 8]).tobytes(), 2)
    assert core._fill(([a, b],), (core.Value,)) == ([a, b], 2)


def test_columns_of_named_tuples_with_a_list(twin):
    class Point(typing.NamedTuple):
        x: list

    f = twin.record(lambda p: p.x[0] * p.x[1])
    for _ in range(3):
        assert f.sum([Point([1.0, 2.0]), Point([3.0, 4.0])]).data == 14


def test_any_number_of_threads(twin):
    assert twin.record(threads=10 ** 12)(lambda x: x * 2).sum([1.0] * 100).data == 200


# Python code that runs in the middle of something.

class Hashed:
    """What a subclass of Value may do in __hash__."""

    def __hash__(self):
        if self.hooks:
            self.hooks.pop()()
        return 1


def test_operands_whose_hash_looks_into_the_graph(twin):
    cls = type("Hashed", (Hashed, twin.Value), {"hooks": []})
    w, h = twin.Value(3.0), cls(1.0)
    for y in (twin.record(lambda x: w * x * h)(2.0), twin.record(lambda x: w * x)(h)):
        cls.hooks.append(y._backward)
        assert y._prev == {w, h}


def test_an_output_that_is_collected_while_another_is_looked_into(twin):
    """Making derivatives may run a collection, and that finalizers."""
    class Holder:
        pass

    w, a = twin.values([2, 3])
    threshold = gc.get_threshold()
    f = twin.record(lambda x: [x * x * k for k in range(5)] + [w * x])
    for k in range(1, 60):
        *others, y = f(a)
        for other in others:            # garbage, each in a cycle of its own
            holder = Holder()
            holder.other, holder.self = other, holder
        backward = y._backward
        gc.collect(0)
        del others, other, holder
        gc.set_threshold(k, 0, 1000)
        try:
            backward()
        finally:
            gc.set_threshold(*threshold)
        assert swept(y, w, a) == [3, 2]
    gc.collect()


# Other threads.

def test_a_row_that_fails_while_another_thread_is_recording(twin):
    f = twin.record(lambda x: x.log() * 2)
    f(1.0), f(1.0)
    with Recorded(twin):
        for call in (lambda: f(0.0), lambda: f.sum([1.0, 0.0]), lambda: f.map([0.0])):
            with pytest.raises(ValueError, match="log of 0.0"):
                call()
        assert f(1.0).data == 0


def test_a_labelled_value_of_another_thread_is_no_constant(twin):
    made = []

    def f(x):
        thread = threading.Thread(target=lambda: made.append(twin.Value(2.0, label="w")))
        if not made:
            thread.start()
            thread.join()
        return x * made[0]

    f = twin.record(f)
    assert f(3.0).data == 6
    made[0].data = 5.0
    assert [f(3.0).data for _ in range(4)] == [15] * 4


FORKED = """if True:
    import os, threading
    from micrograd import Value
    from micrograd.recording import record

    began, may_end = threading.Event(), threading.Event()

    def slow(x):
        began.set()
        may_end.wait(20)
        return x * 2

    thread = threading.Thread(target=lambda: record(slow)(1.0))
    thread.start()
    began.wait(20)
    child = os.fork()
    if child == 0:
        f = record(lambda x: x * 3)
        f(1.0)
        assert len(f._kept) == 1, "it was not recorded"
        w, seen = Value(2.0), []
        threads = [threading.Thread(target=lambda: seen.append(w.data)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        os._exit(0 if seen == [2.0] * 5 else 1)
    may_end.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    """


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("engine", TWINS)
def test_a_fork_while_another_thread_is_recording(engine):
    python("-W", "ignore", "-c", FORKED, MICROGRAD_ENGINE=engine)


FORKED_MEANWHILE = """if True:
    import os, signal
    from micrograd import Value
    from micrograd.recording import record

    child = None

    def fork(*_):
        global child
        child = os.fork()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)

    w = Value(2.0)
    f = record(lambda x: sum((w * x).tanh() * x for _ in range(50)), threads=4)
    rows = memoryview(bytearray(8 * 1200000)).cast("d")
    expected = f.sum(rows).data
    signal.signal(signal.SIGALRM, fork)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    total = f.sum(rows)
    assert child is not None, "it was over before"
    assert total.data == expected
    total.backward()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """


@compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_middle_of_a_batch():
    python("-W", "ignore", "-c", FORKED_MEANWHILE, MICROGRAD_ENGINE="c")


# Constants and parameters.

def test_a_value_of_a_subclass_that_is_kept_is_no_constant_of_later_recordings(twin):
    cls, kept = type("Named", (twin.Value,), {}), []

    @twin.record
    def f(x):
        if not kept:
            kept.append(cls(2.0))
        return x * kept[0]

    assert f(1.0).data == 2
    with pytest.raises(twin.RecordingError, match="other Values take part"):
        f(1.0)
    f(1.0)
    kept[0].data = 5.0
    assert [f(1.0).data for _ in range(4)] == [5] * 4


@pytest.mark.parametrize("strange", ["3", 1j, Decimal("3")])
def test_arguments_that_become_no_real_number(twin, strange):
    a = twin.Value(2.0)
    f = twin.record(lambda x: x * 2)
    f(a), f(a)              # the third call is not compared with the function
    a.data = strange
    with pytest.raises((TypeError, twin.RecordingError)):
        f(a)


# Derivatives that are not finite.

def test_a_jacobian_at_an_infinite_slope(twin):
    """0 times infinity is none of the derivatives of other results, or by other inputs."""
    from micrograd.gradients import jacobian
    if twin.core is not jacobian.__globals__["__core__"]:
        pytest.skip("of the engine that is chosen")
    for f, xs, expected in ((lambda x: [x[0].sqrt(), x[0] * 2], [0.0], [[math.inf], [2]]),
                            (lambda x: [x[0].sqrt(), x[1] * 2], [0.0, 1.0],
                             [[math.inf, 0], [0, 2]]),
                            (lambda x: [x[0].sqrt() + x[1], x[1] * x[2]], [0.0, 2.0, 3.0],
                             [[math.inf, 1, 0], [0, 3, 2]])):
        assert jacobian(twin.record(f), xs) == expected == jacobian(f, xs)


def test_an_error_in_what_was_not_swept(twin):
    """x ** 0.5 has no slope at 0; of a result that it does not lead to, that is no error."""
    x, z = twin.Value(0.0), twin.Value(math.inf)
    f = lambda x, z: [x ** 0.5, z.abs() * x + x]
    assert swept(f(x, z)[1], x) == swept(twin.record(f)(x, z)[1], x) == [math.inf]


# Ctrl-C.

STOPPED = """if True:
    import os, random, signal, time
    from micrograd.nn import MLP
    from micrograd.recording import record

    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed(1)
    model = MLP(32, [128, 128, 1])
    f = record(lambda x: model(x))
    rows = [[0.01 * ((i * j) % 101) for j in range(32)] for i in range(10000)]

    def gradients(total):
        model.zero_grad()
        total.backward()
        return [p.grad for p in model.parameters()]

    def press_later(delay):
        if os.fork() == 0:
            time.sleep(delay)
            os.kill(os.getppid(), signal.SIGINT)
            os._exit(0)

    expected = gradients(f.sum(rows))
    for delay in (0.001, 0.01, 0.03, 0.1):
        total = f.sum(rows)
        try:
            press_later(delay)
            total._backward()                   # takes all derivatives
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            os.wait()
        assert all(abs(a - b) <= 1e-9 * (1 + abs(b)) for a, b in zip(gradients(total), expected))
    """


@compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_derivatives_that_were_interrupted_are_taken_again():
    python("-W", "ignore", "-c", STOPPED, MICROGRAD_ENGINE="c")


RECORDED = """if True:
    import os, signal, time
    from micrograd import Value
    from micrograd.engine import __core__
    from micrograd.recording import record

    class Late(Exception):
        pass

    def raise_late(*_):
        raise Late

    signal.signal(signal.SIGALRM, raise_late)
    w, caught, end = Value(2.0), 0, time.monotonic() + 2
    while time.monotonic() < end:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00011, 0.00007)
                for _ in range(50):
                    record(lambda x: w * x)(1.0)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Late:
            caught += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert not __core__._is_recording()
    assert caught
    """


@compiled
@pytest.mark.skipif("sys.platform == 'win32' or sys.version_info < (3, 11)",
                    reason="of signals; see _record")
def test_an_interrupt_leaves_no_recording_begun():
    python("-c", RECORDED, MICROGRAD_ENGINE="c")


# Some outputs of some rows.

@pytest.mark.parametrize("looked_into", [False, True])
def test_each_row_has_the_gradients_of_its_own_arguments(twin, looked_into):
    """Where a sweep reaches some outputs of each row, and where it takes derivatives singly."""
    w = twin.Value(2.0)
    f = lambda x: [w * x[0] * x[1], x[0] ** 2, x[1] * 3]
    gradients = []
    for g in (lambda rows: [f(x) for x in rows], twin.record(f).map):
        rows = [twin.values([i + 1, i + 2]) for i in range(10)]
        results = g(rows)
        if looked_into:
            for ys in results[::3]:
                ys[0]._op = "another"
                copy.deepcopy(ys[1])
        total = sum((i + 1) * ys[i % 3] for i, ys in enumerate(results))
        gradients.append(swept(total, w, *sum(rows, [])))
    assert gradients[1] == gradients[0]


@pytest.mark.parametrize("eager", [False, True])
def test_an_infinite_input_leaves_nothing_in_a_layer(twin, eager):
    """Once the gradients that it made infinite or nan have been set right."""
    model = twin.nn.MLP(2, [3, 1])
    model([1.0, 2.0])
    optimizer = twin.optim.SGD(model.parameters(), 0.01)
    f = model if eager else twin.record(lambda x: model(x))
    optimizer.zero_grad()
    f([math.inf, 1.0]).backward()
    for p in model.parameters():
        if not math.isfinite(p.grad):
            p.grad = 0.0
    optimizer.step()
    assert all(map(math.isfinite, swept(f(x := twin.values([1, 2])), *x)))


@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("one", [lambda twin, ys, i: twin.pick(ys, i),
                                 lambda twin, ys, i: ys[1] + ys[0].detach() + ys[2].detach()])
def test_an_infinite_input_reaches_the_neurons_with_a_gradient_alone(twin, one, rows):
    """Its product with the gradient of 0 of the others would be nan."""
    layer = twin.nn.Layer(2, 3, nonlin=False)
    f = twin.record(lambda x, i: one(twin, layer(x), i))
    for call in (lambda x: f(x, 1), lambda x: f.sum([x] * rows, [1] * rows),
                 lambda x: sum(f.map([x] * rows, [1] * rows))):
        call(twin.values([1, 2]))
        x = [twin.Value(math.inf), twin.Value(2.0)]
        found = swept(call(x), *layer.parameters())
        assert found[:3] == [0, 0, 0] == found[6:] and found[3] == math.inf


def test_rows_with_and_without_a_gradient(twin):
    """Where the rows are Values, and so have gradients too."""
    w = twin.Value(0.5)
    f = lambda x: (w * x[0] * x[1]).tanh()
    gradients = []
    for g in (lambda rows: [f(x) for x in rows], twin.record(f).map):
        rows = [twin.values([i / 7, i / 5]) for i in range(20)]
        total = sum((i + 1) * y for i, y in enumerate(g(rows)) if i % 3)
        gradients.append(swept(total, w, *sum(rows, [])))
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-12)


def test_a_network_taken_apart_before_the_sweep(twin):
    gradients = []
    for recorded in (False, True):
        random.seed(2)
        model = twin.nn.MLP(3, [4, 4, 1], nonlin="tanh")
        y = (twin.record(lambda x: model(x)) if recorded else model)([1.0, 2.0, 3.0])
        w = model.layers[1].neurons[2].w[1]
        w.__init__(w.data)                      # from now on a Value like any other
        gradients.append(swept(y, *model.parameters()))
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-12)


LIKE_LAYERS = {
    "the first neurons of a layer": lambda layer, x: [n(x) for n in layer.neurons[:5]],
    "a constant weight": lambda layer, x: [n.b + n.w[0] * x[0] + 0.5 * x[1] for n in layer.neurons],
    "no bias": lambda layer, x: [n.w[0] * x[0] + n.w[1] * x[1] for n in layer.neurons],
    "constants only": lambda layer, x: [k * x[0] + 0.5 * x[1] for k in range(5)],
}


@pytest.mark.parametrize("sums", LIKE_LAYERS.values(), ids=LIKE_LAYERS)
def test_sums_that_are_nearly_a_layer(twin, sums):
    random.seed(2)
    layer = twin.nn.Layer(2, 6)
    f = lambda x: sums(layer, x)
    found = [swept(sum(y ** 2 for y in g(twin.values([1.0, 2.0]))), *layer.parameters())
             for g in (f, twin.record(f))]
    assert found[1] == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("sums", LIKE_LAYERS.values(), ids=LIKE_LAYERS)
def test_gradients_through_sums_that_are_nearly_a_layer(sums):
    random.seed(2)
    layer, f = nn.Layer(2, 6), lambda x: sums(layer, x)
    found = [
        [g.data for g in grad(sum(y ** 2 for y in h([Value(1.0), Value(2.0)])), layer.parameters())]
        for h in (f, record(f))]
    assert found[1] == pytest.approx(found[0], rel=1e-12)


# A sweep visits what a result was computed from, and nothing else.

UNUSED = {      # name: a function of x and h, and which of its results are swept
    "an argument that is not used": (lambda t, x, h: [x * 2], [0]),
    "a detached argument": (lambda t, x, h: [x * 2 + h.detach()], [0]),
    "two results that share nothing": (lambda t, x, h: [x * 2, h * 3], [0, 1]),
    "two results, the other one": (lambda t, x, h: [x * 2, h * 3], [1]),
    "results that share one of two": (lambda t, x, h: [x * h, h * 3, x.detach() * h], [2, 0]),
    "what is not picked": (lambda t, x, h: [t.pick([x, h], 0 * x.detach()) * 2], [0]),
}


@pytest.mark.parametrize("how", ["call", "map", "parameters", "looked into"])
@pytest.mark.parametrize("f, swept_results", UNUSED.values(), ids=UNUSED)
def test_gradients_of_an_earlier_sweep(twin, f, swept_results, how):
    """They stay in the results under an argument that a result was not computed from."""
    gradients = []
    for recorded in (False, True):
        a, b = twin.values([2, 3])
        x, h = a * 4, b * 5
        (x + h).backward()                      # leaves 1 in x and h
        g = (lambda x, h: f(twin, x, h)) if how != "parameters" else (lambda one: f(twin, x, h))
        g = twin.record(g) if recorded else g
        if how == "parameters":
            results = g(1.0)
        elif recorded and how == "map":
            results = g.map([x, 1.0], [h, 2.0])[0]
        else:
            results = g(x, h)
        if how == "looked into":
            copy.deepcopy(results)
            [y._backward for y in results]
        for k in swept_results:
            results[k].backward()
        gradients.append([v.grad for v in (a, b, x, h)])
    assert gradients[1] == gradients[0]


def test_gradients_of_an_earlier_sweep_in_other_rows(twin):
    """A row takes the result of an operation, and another row does not."""
    w, c = twin.values([2, 3])
    p = w * 1.0
    p.backward()
    for how in ("map", "sum"):
        rows = getattr(twin.record(lambda i: twin.pick([p, c], i) * 1.0), how)([1, 1])
        (rows[1] if how == "map" else rows).backward()
        assert w.grad == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0), (1,), (1, 2, 1)])
def test_results_of_different_operands(twin, order):
    """Each with a state of its own, as those of an LSTM; some are swept, some are not."""
    gradients = []
    for recorded in (False, True):
        w, *leaves = twin.values([0.5, 1, 2, 3])
        f = lambda hs: [(w * h + (hs[0] if i else 0)).tanh() for i, h in enumerate(hs)]
        step = twin.record(f) if recorded else f
        states = step(step(step([x * 1 for x in leaves])))
        sum(states[i] for i in order).backward()
        gradients.append([v.grad for v in (w, *leaves)])
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-12)


def test_truncated_backpropagation(twin):
    """A state that each step detaches is not kept, and not swept again."""
    w, gradients = twin.Value(0.5), []
    f = lambda x, h: (w * x + h.detach() * 0.5).tanh()
    for step in (f, twin.record(f)):
        h, found, states = twin.Value(0.0), [], []
        for _ in range(5):
            w.grad, h = 0, step(1.0, h)
            h.backward()
            found.append(w.grad)
            states.append(weakref.ref(h))
        gradients.append(found)
        gc.collect()
        assert [state() is None for state in states] == [True] * 4 + [False]
    assert gradients[1] == gradients[0]


def test_the_operands_of_a_result(twin):
    w, x, h = twin.values([2, 3, 4])
    y, z = twin.record(lambda x, h: [w * x, h * 3])(x * 1, h * 1)
    assert [len(y._prev), len(z._prev)] == [2, 1] and w in y._prev


# Gradients within a recording.

DEPENDENT = {       # name: (a function of two Values and a parameter, what it is called with)
    "an argument is the parameter": (lambda t, x, y, w: t.gradients.grad(w * x, [w])[0],
                                     lambda w: (w, 1.0)),
    "a parameter that the gradient is without": (
        lambda t, x, y, w: t.gradients.grad(x * y + w, [x])[0], lambda w: (w, 1.0)),
    "a parameter from an argument": (
        lambda t, x, y, w: t.gradients.grad(x * y + w, [x])[0], lambda w: (*w._prev, 1.0)),
    "an argument from the parameter": (lambda t, x, y, w: t.gradients.grad(w * x, [w])[0],
                                       lambda w: (w * 3, 1.0)),
    "an argument from another": (lambda t, x, y, w: t.gradients.grad(x * y, [x])[0] + w,
                                 lambda w: (x := w.detach(), x * 3)),
    "an argument twice": (lambda t, x, y, w: t.gradients.grad(x * y, [x])[0] + w,
                          lambda w: (x := w.detach(), x)),
}


@pytest.mark.parametrize("f, arguments", DEPENDENT.values(), ids=DEPENDENT)
def test_a_gradient_by_what_is_reached_twice(twin, f, arguments):
    """Its copy in the function does not show the other way."""
    w = twin.Value(2.0).relu()
    g = twin.record(lambda x, y: f(twin, x, y, w))
    assert g(3.0, 4.0).data == f(twin, twin.Value(3.0), twin.Value(4.0), w).data
    x, y = arguments(w)
    for call in (lambda: g(x, y), lambda: g.sum([x, 1.0], [y, 2.0])):
        with pytest.raises(twin.RecordingError, match="takes a gradient, and two Values"):
            call()


def test_a_gradient_by_what_is_reached_once(twin):
    """A gradient penalty on what an encoder gives, whose parameters the function does not use."""
    w, v = twin.values([2, 3])
    f = lambda z, t: twin.gradients.grad((v * z - t) ** 2, [z])[0] ** 2
    found = []
    for g in (f, twin.record(f)):
        found.append(swept(g(w * 5, 1.0), w, v))
    assert found[1] == found[0]


def test_gradients_by_many_arguments(twin):
    """They are checked in time that grows with their number, not with its square; so are arguments
    that were computed from the same Values."""
    x = twin.Value(3.0)
    for _ in range(1000):
        x = x * 1.0
    xs = [x * 2.0 for _ in range(3000)]
    f = twin.record(lambda xs: sum(g ** 2 for g in twin.gradients.grad(sum(x * x for x in xs), xs)))
    assert [f(xs).data for _ in range(3)] == [3000 * 12.0 ** 2] * 3


# Arguments.

class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x, n=1, *, shift=0.0):
        return x * self.factor * n + shift


def test_keywords_and_static_arguments_of_methods(twin):
    class Model:
        def __init__(self, w):
            self.w = w

        @twin.record(static=("n",))
        def power(self, x, n, shift=0.0):
            return (self.w * x) ** n + shift

        plus = twin.record(functools.partial(lambda self, x: x + 1, None))
        times = twin.record(Scaled(3.0))

    for _ in range(3):
        for w in (2.0, 3.0):
            model = Model(twin.Value(w))
            assert model.power(1.0, 2).data == w ** 2
            assert model.power(x=1.0, n=3, shift=1.0).data == w ** 3 + 1
            assert model.power.sum([1.0, 2.0], n=1).data == 3 * w
            assert (model.times(2.0, n=2).data, model.times(2.0, shift=1.0).data) == (12.0, 7.0)
        if sys.version_info < (3, 14):          # from then on, a partial is a method
            assert model.plus(2.0).data == 3.0
    with pytest.raises(ValueError, match="static names no single argument of power: m$"):
        twin.record(Model.power.__wrapped__, static="m")


def test_parameters_that_another_thread_changes(twin):
    """A check, in which the function is run again, cannot say then what it should have given."""
    w, numbers, changing = twin.Value(2.0), iter([3.0, 4.0, 5.0]), [False]

    @twin.record
    def f(x):
        if changing[0]:
            thread = threading.Thread(target=setattr, args=(w, "data", next(numbers)))
            thread.start()
            thread.join()
        return w * x

    assert f(1.0).data == 2.0
    changing[0] = True
    assert [f(1.0).data for _ in range(7)] == [2, 3, 3, 4, 4, 4, 4]     # calls 2 to 8
    assert w.data == 5


def test_an_argument_of_many_is_not_static(twin):
    """One alone was, and the others were not."""
    for f, name in (lambda *xs: xs[0], "xs"), (lambda x, **options: x, "options"):
        with pytest.raises(ValueError, match=f"static names no single argument of .*: {name}"):
            twin.record(f, static=name)


def test_a_function_with_attributes(twin):
    """They hid the methods of the recording."""
    scaled = Scaled(3.0)
    scaled.mean = scaled._call = None
    scaled.tag = "three"
    recorded = twin.record(scaled)
    assert recorded(2.0).data == 6.0 and recorded.mean([1.0, 3.0]).data == 6.0
    assert recorded.tag == "three"


class Powers:
    def __init__(self, w):
        self.w = w

    @record(static="n")
    def power(self, x, n):
        y = self.w
        for _ in range(n):
            y = y * x
        return y


def test_a_method_that_is_recorded_again_or_pickled():
    """Its static arguments were looked for one place to the left."""
    model = Powers(Value(2.0))
    twin = pickle.loads(pickle.dumps(model.power))
    for power in model.power, record(model.power, static="n"), twin:
        assert power(3.0, 2).data == 18.0


def test_a_gradient_by_what_was_picked(twin):
    """As written it is by the value that was chosen, wherever that takes part; recorded it was by
    the pick alone."""
    table = twin.values([0.5, 2.0])
    grad = twin.gradients.grad

    def slope(i):
        x = twin.pick(table, i)
        return grad(x * x + table[0] * table[1], [x])[0]

    assert slope(twin.Value(1.0)).data == 4.5
    recorded = twin.record(slope)
    with pytest.raises(twin.RecordingError, match="takes a gradient by what pick has chosen"):
        recorded(1)


def test_a_gradient_that_is_picked():
    table = [Value(0.5), Value(2.0)]
    recorded = record(lambda i: pick(grad(pick(table, i) ** 2, table), i))
    assert [recorded(k).data for k in (0, 1, 0, 1)] == [1.0, 4.0, 1.0, 4.0]


def test_second_derivatives_after_a_change_that_was_noticed(twin):
    """They were those of the recording before."""
    factor = 1.0
    f = twin.record(lambda xs: factor * xs[0] ** 2)
    hessian = twin.gradients.hessian
    for _ in range(4):
        f([1.0])
        assert hessian(f, [1.0]) == [[2.0]]
    factor = 10.0
    with pytest.raises(twin.RecordingError, match="is no longer what was recorded"):
        for _ in range(10):
            f([1.0])
    assert hessian(f, [1.0]) == [[20.0]]
    assert twin.gradients.hvp(f, [1.0], [1.0]) == [20.0]

    class Model:
        factor = 1.0

        @twin.record
        def power(self, xs):
            return self.factor * xs[0] ** 2

    model = Model()
    first, second = model.power, model.power
    assert hessian(first, [1.0]) == [[2.0]]
    model.factor = 10.0
    with pytest.raises(twin.RecordingError, match="is no longer what was recorded"):
        for _ in range(10):
            second([1.0])
    assert hessian(first, [1.0]) == hessian(second, [1.0]) == [[20.0]]


@pytest.mark.parametrize("part", [0, 1, None])
def test_results_of_rows_that_are_swept_one_by_one(twin, part):
    """In any order, and some of them together: the sums are those of the function as written."""
    w, v = twin.Value(0.5), twin.Value(-1.5)

    def f(x):
        both = [(w * x).tanh() * v, w + x * v]
        return both if part is not None else both[0]

    X = [0.1 * k for k in range(20)]
    results, written = twin.record(f).map(X), [f(twin.Value(x)) for x in X]
    found = []
    for rows in results, written:
        ys = rows if part is None else [row[part] for row in rows]
        slopes = []
        for k in (3, 19, 0, 7):
            w.grad = v.grad = ys[k].grad = 0
            ys[k].backward()
            slopes.append((w.grad, v.grad))
        w.grad = v.grad = 0
        (ys[1] + ys[8] * 2 + ys[18]).backward()
        found.append(slopes + [(w.grad, v.grad)])
    for ours, theirs in zip(*found):
        assert ours == pytest.approx(theirs, rel=1e-14)


@pytest.mark.parametrize("given", ["numbers", "Values"])
@pytest.mark.parametrize("swept_rows", [slice(None), slice(1, None, 3), slice(0, 1)])
def test_rows_whose_first_results_are_swept(twin, swept_rows, given):
    """They have the gradients of a function that gives these results alone: to the last bit where
    rows go at once. The slope of the other result is infinite in one row."""
    random.seed(1)
    model, w = twin.nn.MLP(2, [5, 3], nonlin="tanh"), twin.Value(0.5)
    X = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(44)]
    X[7] = [0.0, 0.5]
    if given == "Values":
        X = [twin.values(row) for row in X]

    def score(x):
        return sum(model(x)[:2])

    both = twin.record(lambda x: (score(x), w * (x[0] * x[0] + 1e-320) ** -0.9))
    found = []
    for ys in [twin.record(score).map(X), [y for y, _ in both.map(X)]]:
        model.zero_grad()
        w.grad = 0
        sum(ys[swept_rows]).backward()
        found.append([p.grad for p in model.parameters()])
        assert w.grad == 0
    assert found[1] == (found[0] if twin.name == "c" else pytest.approx(found[0], rel=1e-12))
