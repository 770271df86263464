"""Python code that runs during a backward pass, above layers that are one call, compared with the
reference. Until that code looks into the layers, or changes what they read, they stay one call."""
import contextlib
import copy
import fractions
import functools
import random

import pytest

import twins
from graphs import clear_gradients, nodes_under

if twins.COMPILED is None:
    pytest.skip("about the compiled engine", allow_module_level=True)

numpy = pytest.importorskip("numpy")


class Program:
    """Layers over inputs that are results; above each output a node with a callback."""

    def __init__(self, twin, do, nouts=(3, 2)):
        random.seed(5)
        self.twin, self.do, self.log = twin, do, []
        self.a = twin.Value(0.7)
        self.x = [self.a * 2, self.a + 1.5]
        self.layers = [twin.nn.Layer(n, m) for n, m in zip((2, *nouts), nouts)]
        self.outs = self.x
        for layer in self.layers:
            self.outs = layer(self.outs)
        self.outs = self.outs if isinstance(self.outs, list) else [self.outs]
        self.parameters = [p for layer in self.layers for p in layer.parameters()]
        self.loss = sum(self.doubled(out) for out in self.outs)

    def doubled(self, v):
        out = self.twin.Value(v.data * 2, (v,), "double")

        def backward():
            self.do(self, v)
            v.grad += 2 * out.grad

        out._backward = backward
        return out

    def numbers(self):
        values = [self.a, *self.x, *self.outs, *self.parameters]
        return [x for v in values for x in (v.data, v.grad)]


def nothing(p, v): pass


def look(p, v): v._prev


def look_at_all(p, v): [len(out._prev) for out in p.outs]


def look_far(p, v):
    p.log.append(len(nodes_under(p.loss)))


def change_a_weight(p, v): p.parameters[0].data = 3.0


def change_an_input(p, v): p.x[0].data = 4.0


def change_a_gradient(p, v): v.grad = 5.0


def change_an_output(p, v): v.data = -1.0


def change_it_and_look(p, v):
    v.data = -1.0
    look_at_all(p, v)


def give_a_fraction(p, v): v.grad = fractions.Fraction(1, 3)


def give_a_float32(p, v): v.grad = numpy.float32(0.25)


def make_it_anew(p, v): v.__init__(2.5)


def copy_it(p, v): p.log.append(copy.deepcopy(v).data)


def call_its_backward(p, v): v._backward()


def hold_another(p, v): p.parameters[0].note = p


DEEDS = [nothing, look, look_at_all, look_far, change_a_weight, change_an_input, change_a_gradient,
         change_an_output, change_it_and_look, give_a_fraction, give_a_float32, make_it_anew,
         copy_it, call_its_backward, hold_another]


def check_on_both_engines(run):
    """The numbers that it returns have the same types, and are equal but for rounding."""
    expected, found = run(twins.REFERENCE), run(twins.COMPILED)
    assert [type(x) for x in found] == [type(x) for x in expected]
    rel = 1e-5 if numpy.float32 in {type(x) for x in expected} else 1e-11
    assert list(map(float, found)) == pytest.approx(list(map(float, expected)), rel=rel)


@pytest.mark.parametrize("nouts", [(1,), (3,), (3, 1), (3, 2), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("do", DEEDS, ids=lambda do: do.__name__)
def test_a_callback_above_layers(do, nouts):
    def run(twin):
        p = Program(twin, do, nouts)
        p.loss.backward()
        once = p.numbers()
        p.do = nothing
        p.loss.backward()
        return once + p.numbers() + sorted(p.log)

    check_on_both_engines(run)


@pytest.mark.parametrize("do", DEEDS, ids=lambda do: do.__name__)
def test_callbacks_above_several_samples(do):
    def run(twin):
        samples = [Program(twin, do) for _ in range(3)]
        for p in samples:                       # all of them use the first one's layers
            p.layers = samples[0].layers
            p.parameters = samples[0].parameters
            p.outs = p.layers[1](p.layers[0](p.x))
            p.loss = sum(p.doubled(out) for out in p.outs)
        sum(p.loss for p in samples).backward()
        return [x for p in samples for x in p.numbers()]

    check_on_both_engines(run)


def test_a_backward_pass_within_one():
    def again(p, v):
        p.do = nothing
        v.backward()

    def run(twin):
        p = Program(twin, again, (3, 1))
        p.loss.backward()
        return p.numbers()

    check_on_both_engines(run)


@pytest.mark.parametrize("do", [nothing, look, look_at_all], ids=lambda do: do.__name__)
def test_a_callback_that_raises(do):
    def fail(p, v):
        do(p, v)
        raise ArithmeticError

    def run(twin):
        p = Program(twin, fail, (3, 1))
        with pytest.raises(ArithmeticError):
            p.loss.backward()
        failed = p.numbers()
        p.do = do
        p.loss.backward()
        return failed + p.numbers()

    check_on_both_engines(run)


def test_layers_stay_one_call():
    """Under a callback, a network of 2,700 products is a few Values."""
    core = twins.COMPILED.core
    counts = []
    p = Program(twins.COMPILED, lambda p, v: counts.append(core._count_values()), (50, 50, 2))
    before = core._count_values()
    p.loss.backward()
    assert max(counts) <= before
    p.outs[0]._prev
    assert core._count_values() > 3000


def swept_in_turn(layer, x, callback):
    """Sweep the two outputs of a layer, each below a callback. The second one gets the outputs, and
    the one that has had its turn."""
    outs, seen = layer([x]), []

    def above(out):
        top = twins.COMPILED.Value(0.0, (out,))

        def backward():
            out.grad += 1.0
            seen.append(out)
            if len(seen) == 2:
                callback(outs, seen[0])

        top._backward = backward
        return top

    (above(outs[0]) + above(outs[1])).backward()
    return outs.index(seen[0])


def test_a_change_of_an_output_that_has_had_its_turn():
    """An output is swept with the data and the gradient of one time."""
    def change(outs, out):
        out.data, out.grad = 100.0, 0.0
        out._prev

    layer = twins.COMPILED.nn.Layer(1, 2, nonlin="tanh")
    x = twins.COMPILED.Value(0.5)
    y = [out.data for out in layer([x])]
    first = swept_in_turn(layer, x, change)
    assert layer.neurons[first].b.grad in (0, pytest.approx(1 - y[first] ** 2))


def test_python_code_that_runs_when_a_nested_pass_looks_into_layers():
    """It waits until the graph of that pass is sorted, which it takes apart."""
    core, nn = twins.COMPILED, twins.COMPILED.nn
    layer, graph = nn.Layer(1, 2, nonlin=False), []

    class Gradient:
        def __add__(self, other):
            while graph:
                graph.pop()._prev = ()
            return 0.0

    def nested(outs, out):
        for neuron in layer.neurons:
            neuron.b.grad = Gradient()
        chain = core.Value(1.0)
        for _ in range(1000):
            chain = chain * 1.0
        other = core.Value(0.0)
        other._prev = [*outs, chain]
        graph.append(other)
        del chain
        other.backward()

    swept_in_turn(layer, core.Value(0.5) * 2, nested)
    assert not graph
    assert not [n for n in layer.neurons if type(n.b.grad) is Gradient]


@pytest.mark.parametrize("turn", [0, 1])
def test_an_output_that_dies_after_its_turn(turn):
    core, given = twins.COMPILED, []
    layer = core.nn.Layer(1, 2, nonlin=False)
    kept, out = layer([core.Value(0.5)])
    middle, outs = out * 2, [out]
    top = core.Value(0.0, (kept,))
    del out

    def backward():
        given.append(outs.pop().grad)
        middle.__init__(0.0)                            # the last that refers to the output
        layer.neurons[0].w[0].data = 3.0

    top._backward = backward
    (top + middle if turn else middle + top).backward()
    assert given == [2 * turn]                  # its turn comes right after that of the product
    assert layer.neurons[1].b.grad == 2 * turn


@pytest.mark.parametrize("look", [copy.copy, copy.deepcopy, lambda y: y._backward()])
@pytest.mark.parametrize("how", ["call", "mean", "map"])
def test_second_derivatives_of_what_was_looked_into(how, look):
    """What a recording gave still has them, with the numbers of now, after it became plain."""
    def run(twin):
        w, x = twin.values([0.8, 0.4])
        f = twin.record(lambda x: (w * x).tanh())
        y = f(x) if how == "call" else f.mean([x, 0.3]) if how == "mean" else f.map([0.3, x])[1]
        look(y)
        w.data = 0.9
        slope, = twin.gradients.grad(y, [x])
        return [slope.data, *[g.data for g in twin.gradients.grad(slope, [w, x])]]

    check_on_both_engines(run)


def test_memory_that_is_out_for_a_look():
    """If the callback goes on, the backward pass cannot: it would leave out the plain nodes."""
    if not hasattr(pytest.importorskip("_testcapi"), "set_nomemory"):
        pytest.skip("needs _testcapi.set_nomemory")
    from failures import of_python
    p = Program(twins.COMPILED, nothing, (3, 1))
    p.loss.backward()
    expected, ended = p.numbers(), []

    def look_without_memory(number, p, v):
        with contextlib.suppress(MemoryError), of_python(number):
            v._prev

    for number in range(1, 40):
        p = Program(twins.COMPILED, functools.partial(look_without_memory, number), (3, 1))
        try:
            p.loss.backward()
        except RuntimeError as error:
            ended.append(str(error))
            p.do = nothing
            clear_gradients(p.loss)
            p.loss.backward()
        assert p.numbers() == pytest.approx(expected, rel=1e-12)
    assert "backward cannot go on" in ended[0]
