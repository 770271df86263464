"""Run a program with its first allocation failing, then its second, and so on until one run needs
no more; after each failure the graph must be unharmed and the engine must work.

    python failures.py of_python Chain    what Python allocates, and the engine takes from Python
    python failures.py of_engine Chain    what the engine asks for: needs a build with allocations.h

test_failures.py runs this in a process for each program: when Python's own allocations fail,
CPython forgets to release what it holds here and there, so that Values may be left.
"""
import contextlib
import copy
import gc
import random
import sys

from allocations import IDLE, counter, living_allocations
from graphs import clear_gradients, nodes_under
from micrograd import _core as core, nn, optim
from micrograd.engine import Value
from micrograd.recording import pick, record

# What is made to fail: the allocation of that number while the context lasts.

@contextlib.contextmanager
def of_python(number):
    import _testcapi
    _testcapi.set_nomemory(number, number + 1)
    try:
        yield lambda: False     # it does not tell whether it came to that allocation
    finally:
        _testcapi.remove_mem_hooks()


@contextlib.contextmanager
def of_engine(number):
    failing = counter("failing_allocation")
    failing.value = number
    try:
        yield lambda: failing.value > 0
    finally:
        failing.value = 0


# Programs: prepare() gives what the program works on, program(it) may fail and may be repeated, and
# result(it) tells what there is afterwards.

class Chain:
    def prepare(self):
        return [Value(0.5), []]

    def program(self, it):
        x = it[0]
        for _ in range(100):
            x = x * 1.5 + 1
        it[1] = x

    def result(self, it):
        self.program(it)
        it[0].grad = 0
        it[1].backward()
        return it[1].data, it[0].grad


class Sweep:
    """Within another sweep, which has the arrays that were kept from before."""

    def prepare(self):
        leaves = [Value(i / 8) for i in range(50)]
        while len(leaves) < 2000:
            leaves.append(leaves[-1] * 0.5 + leaves[len(leaves) // 2])
        outer = Value(0.0, (leaves[0],), "outer")
        outer._backward = lambda: leaves[-1].backward()
        return outer, leaves

    def program(self, it):
        it[0].backward()

    def result(self, it):
        outer, leaves = it
        clear_gradients(leaves[-1])
        outer.backward()
        return [v.grad for v in leaves]


class Training:
    """Two steps of a model, whose parameters go into matrices at the first call."""

    def prepare(self):
        random.seed(5)
        return nn.MLP(3, [4, 2, 1])

    def program(self, model):
        model.zero_grad()
        out = model([1.0, -2.0, Value(0.5)]) + model([0.5, 1, 2])
        out.backward()

    def result(self, model):
        self.program(model)
        return [(p.data, p.grad) for p in model.parameters()]


class Looking:
    """The plain nodes of fused layers."""

    def prepare(self):
        random.seed(5)
        out = nn.MLP(2, [3, 2, 1])([Value(1.0), -2.0])
        out.backward()
        return out

    def program(self, out):
        nodes_under(out)

    def result(self, out):
        return sorted((v._op, v.data, v.grad) for v in nodes_under(out))


class Callback:
    """A callback in the middle of a sweep, between two networks."""

    def look(self, inner):
        pass

    def prepare(self):
        random.seed(5)
        model = nn.MLP(2, [3, 2, 1])
        x = Value(2.0)
        inner = model([x, 1.0])
        y = Value(inner.data, (inner, x), "custom")

        def backward():
            self.look(inner)
            inner.grad += y.grad
            x.grad += y.grad

        y._backward = backward
        return model, x, model([y, y * 2]) * y

    def program(self, it):
        it[-1].backward()

    def result(self, it):
        clear_gradients(it[-1])
        it[-1].backward()
        return [p.grad for p in it[0].parameters()], it[1].grad


class LookingCallback(Callback):
    """It looks into the lower one, whose plain nodes are then to be swept."""

    def look(self, inner):
        nodes_under(inner)


class Objects:
    """Data that is no plain number."""

    def prepare(self):
        return [Value(2**70), Value(3), None]

    def program(self, it):
        a, b, _ = it
        c = (a * b + 1) ** 2 - a / 7 + (-b).relu()
        c.backward()

    def result(self, it):
        for v in it[:2]:
            v.grad = 0
        self.program(it)
        return it[0].grad, it[1].grad


class Attributes:
    def prepare(self):
        return Value(1.0), Value(2.0), Value(3.0)

    def program(self, it):
        a, b, c = it
        a.label = "a"
        b._prev = {a}
        c._prev = [a, b]
        c._op = "many"
        repr(c), c._prev, c._op, vars(c)
        d = Value(0.0, (a, b, c), "sum")
        d._backward = lambda: None
        d.backward()

    def result(self, it):
        self.program(it)
        return it[2]._op, len(it[2]._prev), it[0].label


class Copies:
    def prepare(self):
        random.seed(5)
        model = nn.MLP(2, [2, 1])
        return model, model([1.0, Value(2.0)]) ** 2 + 1

    def program(self, it):
        copy.deepcopy(it[1])
        copy.copy(it[1])

    def result(self, it):
        return copy.deepcopy(it[1]).data


class Unpacked:
    """Parameters that are unpacked, and packed again at the next call."""

    def prepare(self):
        random.seed(5)
        model = nn.MLP(2, [2, 1])
        return model, model([1.0, 2.0])

    def program(self, it):
        model, out = it
        model.layers[0].neurons[0].w[0].data = 2**60
        out.backward()
        model.layers[0].neurons[0].w[0].data = 0.5
        model([1.0, 2.0])

    def result(self, it):
        model, out = it
        model.zero_grad()
        model.layers[0].neurons[0].w[0].data = 0.5
        out = model([1.0, 2.0])
        out.backward()
        return [p.grad for p in model.parameters()]


class Updates:
    """Parameters that change while a graph lives that was made with them."""

    def prepare(self):
        random.seed(5)
        model = nn.MLP(2, [2, 1])
        return model, model([1.0, Value(2.0)])

    def program(self, it):
        model, out = it
        model.layers[1].neurons[0].b.data = 0.25
        for p in model.parameters():
            p.data, p.grad = 0.5, 0.125
        optim.SGD(model.parameters(), lr=2.0).step()

    def result(self, it):
        self.program(it)
        model, out = it
        return ([p.data for p in model.parameters()],
                sorted((v._op, v.data, v.grad) for v in nodes_under(out)))


class Aborted:
    """A sweep that stops after one output has given the call its gradient; then another sweep."""

    def prepare(self):
        random.seed(5)
        layer, x = nn.Layer(2, 2, nonlin=False), Value(2.0)
        a, b = layer([x, 1.0])
        c = Value(0.0, (b,), "custom")
        c._backward = lambda: None
        return layer, x, a, b, c + a * 2

    def program(self, it):
        it[-1].backward()

    def result(self, it):
        layer, x, a, b, root = it
        # Not by a look at the graph, which is to stay fused.
        for v in (x, a, b, *layer.parameters()):
            v.grad = 0
        (b * 3).backward()
        return x.grad, [p.grad for p in layer.parameters()]


class Recorded:
    """Rows of a recording, one of them with a Value, and a sweep of some of the results."""

    def prepare(self):
        random.seed(5)
        model = nn.MLP(2, [3, 1])

        @record
        def f(x, y):
            return model([x, y]), pick([x, y, x * y], y.relu() * 0)

        self.sweep(f)       # the first call records, and the second records again to compare
        self.sweep(f)
        model.zero_grad()
        return model, f

    def sweep(self, f):
        x = Value(2.0)
        (a, _), (b, c), (_, d) = f.map([0.5, x, -1.0], [1.0, 3.0, 2.0])
        (a + b * c + d).backward()
        return x.grad

    def program(self, it):
        self.sweep(it[1])

    def result(self, it):
        model, f = it
        model.zero_grad()
        return self.sweep(f), [p.grad for p in model.parameters()]


def run_with_a_failure(failure, number, program):
    """Whether the run came so far as to fail, and what it gave afterwards."""
    it = program.prepare()
    gc.collect()
    reached = True
    with failure(number) as not_reached:
        try:
            program.program(it)
            reached = False
        except MemoryError:
            pass
        if not_reached():
            reached = False
    return reached, program.result(it)


def main(failure, program):
    """Try every allocation; print how many failed."""
    failure, program = globals()[failure], globals()[program]()
    expected = run_with_a_failure(failure, 10**6, program)[1]
    gc.disable()        # a collection at another moment would count other allocations
    missed, number, failed = 0, 0, 0
    while missed < 30:          # some failures go unnoticed: Python can do without
        number += 1
        reached, result = run_with_a_failure(failure, number, program)
        missed = 0 if reached else missed + 1
        failed += reached
        assert result == expected, f"after failure {number}: {result!r:.300}, not {expected!r:.300}"
        if failure is of_engine:
            gc.collect()
            assert core._count_values() == 0, f"after failure {number}: a Value is left"
            assert living_allocations() <= IDLE, f"after failure {number}: memory is left"
    print(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
