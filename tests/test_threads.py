"""Threads under the GIL, callbacks that start some, and signals in the middle of long sweeps."""
import pickle
import random
import sys

import pytest

from conftest import TWINS
from processes import python
from together import in_threads, often_switched

if "c" not in TWINS:
    pytest.skip("about the compiled engine", allow_module_level=True)

Value, nn = TWINS["c"].Value, TWINS["c"].nn
EIGHT = range(8)


@pytest.fixture(autouse=True)
def switched():
    with often_switched():
        yield


def made(seed):
    random.seed(seed)
    return nn.MLP(2, [4, 3, 1])


def half(v):
    """A function of the program's own: its Python code lets other threads into a sweep."""
    out = Value(v.data * 0.5, (v,), "half")

    def backward():
        v.grad += 0.5 * out.grad

    out._backward = backward
    return out


def trained(model, steps=200):
    """All that training shows, to the last bit."""
    losses = []
    for i in range(steps):
        x = [Value(i % 5 / 4), i % 3]
        out = model(x)
        loss = ((half(out) if i % 4 == 0 else out) ** 2
                + sum(p * p for p in model.parameters()) * 0.01)
        model.zero_grad()
        loss.backward()
        if i % 10 == 0:
            loss._prev
        for p in model.parameters():
            p.data -= 0.01 * p.grad
        losses.append((loss.data, x[0].grad))
    return losses, [p.data for p in model.parameters()]


def test_eight_threads_with_models_of_their_own():
    models = [made(seed) for seed in EIGHT]
    together = in_threads([lambda model=model: trained(model) for model in models])
    assert together == [trained(made(seed)) for seed in EIGHT]


def test_eight_threads_share_a_model():
    """What they compute depends on who comes first; but every update was made by some thread."""
    model = made(1)
    before = [p.data for p in model.parameters()]
    in_threads([lambda: trained(model, 100)] * 8)
    assert all(abs(p.data) < 10 for p in model.parameters())
    assert [p.data for p in model.parameters()] != before
    assert trained(made(2)) == trained(made(2))


def test_eight_threads_sweep_one_graph():
    x = Value(1.0)
    out = half(half(made(1)([x, 2.0])) * x)
    in_threads([lambda: [out.backward() for _ in range(200)]] * 8)
    assert x.grad == x.grad


def test_eight_threads_grow_and_edit_one_graph():
    model, shared = made(1), [Value(float(i)) for i in range(8)]

    def work():
        for i in range(300):
            shared[i % 8] = half(model([shared[(i + 1) % 8], shared[(i + 3) % 8]])) * 0.5
            shared[(i + 5) % 8].label = i
            shared[(i + 2) % 8]._prev
            if i % 7 == 0:
                shared[i % 8].backward()
                shared[i % 8] = Value(0.5)
            if i % 11 == 0:
                model.layers[0].neurons[i % 4].w[0] = Value(0.25)

    in_threads([work] * 8)


def test_eight_threads_pickle_one_graph():
    middle = Value(1.0)
    for _ in range(2000):
        middle = middle + 1
    root = middle
    for _ in range(1000):
        root = root + 1
    sizes = {node: len(pickle.dumps(node)) for node in (root, middle)}
    dumps = in_threads([lambda node=node: [len(pickle.dumps(node)) for _ in range(10)]
                        for node in (root, middle) * 4])
    assert dumps == [[sizes[node]] * 10 for node in (root, middle) * 4]


@pytest.mark.parametrize("what", ["sweeps the same graph", "sweeps another", "drops it"])
def test_a_callback_that_starts_a_thread(what):
    model, x = made(1), Value(0.5)
    graph = [half(model([x, 1.0])) + model([x, x])]
    other = model([x, 3.0]) * 2
    inner = Value(1.0, (graph[0],), "inner")
    out = (inner + model([1.0, inner])) * x
    calls = []

    def work():
        if what == "sweeps the same graph" and len(calls) < 3:
            out.backward()
        elif what == "sweeps another":
            other.backward()
        graph.clear()

    def backward():
        calls.append(1)
        in_threads([work] * 2)

    inner._backward = backward
    out.backward()
    out.backward()
    assert len(calls) >= 2


INTERRUPTED = """if True:
    import resource, signal, subprocess, sys, time
    from micrograd import _core
    from micrograd.engine import Value
    from micrograd.nn import MLP

    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    def chain():
        x, one = Value(0.0), Value(1.0)
        for _ in range(10_000_000):
            x = x + one
        return x

    model = MLP(64, [512, 512, 1])
    row = [0.01 * i for i in range(64)]

    def layers(samples=3000):
        return sum(model(row) for _ in range(samples))

    def layers_that_a_callback_looks_into():
        outs = [model(row) for _ in range(6)]
        top = Value(0.0, (sum(outs),), "top")
        top._backward = lambda: [out._prev for out in outs]     # they become plain nodes, millions
        return top * 2

    def press_later(delay):
        # Ctrl-C, from another process, which says when; not a fork of this one, for which every
        # page that the sweep writes to would have to be copied
        code = ("import os, signal, time; print(flush=True); input(); time.sleep({}); "
                "print(time.monotonic(), flush=True); os.kill(os.getppid(), signal.SIGINT)")
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        child = subprocess.Popen([sys.executable, "-c", code.format(delay)], **pipes)
        child.stdout.readline()
        print(file=child.stdin, flush=True)
        return child

    def seconds(delay):
        # how long a sweep goes on after Ctrl-C, pressed with that delay; None if it was over then
        root = {name}()
        with press_later(delay) as child:
            over = False
            try:
                root.backward()
                over = True
                child.wait()
                time.sleep(0.1)
            except KeyboardInterrupt:
                stopped = time.monotonic()
            return None if over else stopped - float(child.stdout.read())

    latencies = [seconds(0.1)]              # in memory that is new to the process: the slowest
    root = {name}()
    start = time.perf_counter()
    root.backward()
    long = time.perf_counter() - start
    del root
    latencies += [seconds(long * part) for part in (0.1, 0.4)]
    latencies = [latency for latency in latencies if latency is not None]
    assert latencies and max(latencies) < 20, latencies  # on an idle machine, below one
    x = Value(3.0)
    (x * x + 1).backward()
    assert x.grad == 6
    del x, model
    assert _core._count_values() == 0
    print(f"{name}: {max(latencies):.3f} s to KeyboardInterrupt")
    """


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("name", ["chain", "layers", "layers_that_a_callback_looks_into"])
def test_an_interrupt_in_a_long_sweep(name):
    print(python("-c", INTERRUPTED.replace("{name}", name)))


SIGNALLED = """if True:
    import os, signal, socket, subprocess, time
    from micrograd.engine import Value
    from micrograd.nn import Layer

    def press(signals, delay):
        kills = "; ".join(f"kill -{signal} {os.getpid()}" for signal in signals)
        return subprocess.Popen(["sh", "-c", f"sleep {delay}; {kills}"])

    def graph():
        x, one = Value(0.0), Value(1.0)
        for _ in range(2_000_000 // int(os.environ.get("MICROGRAD_SMALLER", 1))):
            x = x + one
        return x

    def together_with_another():
        # a handler that drops the graph runs with Ctrl-C, but not inside of the sweep
        root = graph()
        signal.signal(signal.SIGHUP, lambda *_: root.__init__(0.0))
        for delay in (0.02, 0.05, 0.1, 0.2):
            root = graph()
            with press(["HUP", "INT"], delay):
                try:
                    root.backward()
                    time.sleep(1)
                except KeyboardInterrupt:
                    pass

    def once():
        # what an event loop is woken by comes once, however often the engine has looked
        reader, writer = socket.socketpair()
        reader.setblocking(False), writer.setblocking(False)
        calls = []
        signal.signal(signal.SIGINT, lambda *_: calls.append(1))
        signal.set_wakeup_fd(writer.fileno())
        outputs = Layer(500, 1000)([0.5] * 500)
        with press(["INT"], 0.02):
            outputs[0]._prev
            time.sleep(1)
        assert len(calls) == 1 and len(reader.recv(100)) == 1

    def a_handler_that_lets_the_sweep_go_on():
        seen = []
        signal.signal(signal.SIGINT, lambda *_: seen.append(root.grad))
        for delay in (0.01, 0.03, 0.06):
            root = graph()
            leaf = next(v for v in root._prev if not v._prev)
            with press(["INT"], delay):
                root.backward()
                time.sleep(0.2)
            assert leaf.grad == root.data
        assert len(seen) == 3, seen

    {name}()
    x = Value(3.0)
    (x * x + 1).backward()
    assert x.grad == 6
    """


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("name",
                         ["together_with_another", "once", "a_handler_that_lets_the_sweep_go_on"])
def test_signals_during_the_engine_s_work(name):
    python("-c", SIGNALLED.replace("{name}", name))
