"""Neuron, Layer and MLP, and the two-moons problem of the original's notebook."""
import abc
import math
import random

import pytest

from conftest import TWINS
from graphs import nodes_under
from micrograd import engine, nn
from micrograd.engine import Value


def test_hidden_layers_of_one_neuron():
    random.seed(4)
    model = nn.MLP(2, [3, 1, 1])
    out = model([1.0, -2.0])
    out.backward()
    x = [1.0, -2.0]
    for layer in model.layers:
        x = layer(x)
        x = x if isinstance(x, list) else [x]
    assert out.data == x[0].data


def test_a_weight_that_is_no_number():
    n = nn.Neuron(2)
    n.w[0] = None
    with pytest.raises(TypeError):
        n([1.0, 2.0])
    n.w[0] = Value(None)
    with pytest.raises(TypeError, match="unsupported operand"):
        n([1.0, 2.0])


def notebook(steps):
    np = pytest.importorskip("numpy")
    random.seed(1337)
    np.random.seed(1337)
    # sklearn's make_moons(n_samples=100, noise=0.1), with the same draws
    t = np.linspace(0, np.pi, 50)
    X = np.vstack(
        [np.append(np.cos(t), 1 - np.cos(t)), np.append(np.sin(t), 1 - np.sin(t) - 0.5)]).T
    y = np.hstack([np.zeros(50, dtype=np.intp), np.ones(50, dtype=np.intp)])
    order = np.arange(100)
    np.random.shuffle(order)
    X, y = X[order], y[order] * 2 - 1
    X = X + np.random.normal(scale=0.1, size=X.shape)
    model = nn.MLP(2, [16, 16, 1])
    for k in range(steps):
        scores = list(map(model, [list(map(Value, row)) for row in X]))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        accuracy = sum((yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)) / 100
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
        yield total.data, accuracy


def test_the_notebook_prints_its_numbers():
    (first, half), (second, _), *rest = notebook(100)
    assert (first, half) == (0.8958441028683222, 0.5)
    assert second == pytest.approx(1.7235905336972022, rel=1e-12)
    assert rest[-1][1] == 1.0 and rest[-1][0] == pytest.approx(0.010978, abs=1e-4)


def test_every_arithmetic_gives_the_same_bits():
    if engine.__engine__ != "c":
        pytest.skip("about the compiled engine")
    from micrograd import _core
    texts = set()
    for name in _core._arithmetics():
        former = _core._choose_arithmetic(name)
        try:
            random.seed(7)
            model = nn.MLP(5, [37, 18, 7, 3])       # no multiple of any vector's length
            inputs = [Value(random.uniform(-1, 1)) for _ in range(5)]
            out = model(inputs)
            sum(o * o for o in out).backward()
            texts.add(repr([out, inputs, model.parameters()]))
        finally:
            _core._choose_arithmetic(former)
    assert len(texts) == 1


# What a program may do to a model between two calls, by any way there is.

def replace_a_weight(nn, m): m.layers[0].neurons[1].w[1] = nn.Value(9.0)
def replace_the_weights(nn, m): m.layers[0].neurons[1].w = [nn.Value(9.0), nn.Value(8.0)]
def write_into_the_dict(nn, m): vars(m.layers[1].neurons[0])["b"] = nn.Value(9.0)
def update_the_dict(nn, m): vars(m.layers[0].neurons[2]).update(w=[nn.Value(1.5), nn.Value(2.5)])
def replace_the_dict(nn, m): m.layers[0].neurons[0].__dict__ = vars(nn.Neuron(2))
def change_the_activation(nn, m): m.layers[0].neurons[0].nonlin = "tanh"
def shorten_a_neuron(nn, m): m.layers[1].neurons[0].w.pop()
def replace_a_neuron(nn, m): m.layers[0].neurons[0] = nn.Neuron(2)
def replace_the_neurons(nn, m): m.layers[0].neurons = m.layers[0].neurons[::-1]
def drop_a_neuron(nn, m): m.layers[1].neurons.pop()
def replace_a_layer(nn, m): m.layers[0] = nn.Layer(2, 3)
def exchange_dicts(nn, m):
    a, b = m.layers[0].neurons[:2]
    a.__dict__, b.__dict__ = vars(b), vars(a)
def put_a_name_where_one_was(nn, m):      # a freed string's address is soon another's
    for neuron in m.layers[1].neurons:
        neuron.nonlin = "TANH".lower()
    outputs(m), outputs(m)
    for neuron in m.layers[1].neurons:
        neuron.nonlin = False
        neuron.nonlin = "RELU".lower()
def copy_a_layer(nn, m):
    import copy
    m.layers[0] = copy.copy(m.layers[0])
    m.layers[0].neurons = m.layers[0].neurons[1:] + m.layers[0].neurons[:1]
def change_the_class(nn, m):
    class Doubled(nn.Neuron):
        def __call__(self, x):
            return super().__call__(x) * 2
    m.layers[0].neurons[0].__class__ = Doubled
def define_a_call(nn, m):
    doubled = {"__call__": lambda self, x: [y * 2 for y in nn.MLP.__call__(self, x)]}
    m.__class__ = type("Doubled", (nn.MLP,), doubled)


CHANGES = [replace_a_weight, replace_the_weights, write_into_the_dict, update_the_dict,
           replace_the_dict, change_the_activation, shorten_a_neuron, replace_a_neuron,
           replace_the_neurons, drop_a_neuron, replace_a_layer, exchange_dicts,
           put_a_name_where_one_was, copy_a_layer, change_the_class, define_a_call]


def outputs(model):
    """For inputs in all four quadrants, so that every neuron is active for one."""
    return [repr(model([x, y])) for x in (-0.5, 0.75) for y in (-1.0, 0.5)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_the_model_is_seen(change):
    import twins
    if twins.COMPILED is None:
        pytest.skip("compares the compiled engine with the reference")
    texts = []
    for twin in (twins.COMPILED, twins.REFERENCE):
        random.seed(3)
        model = twin.nn.MLP(2, [3, 2])
        before = outputs(model), outputs(model)
        change(twin.nn, model)
        after = outputs(model), outputs(model)
        assert before[0] == before[1] != after[0] == after[1]
        texts.append(before + after)
    assert texts[0] == texts[1]


def test_a_change_behind_attributes_that_one_neuron_has(monkeypatch):
    shipped, made = nn.Neuron.__init__, []

    def init(self, *arguments, **keywords):
        if not made:
            self.first = self.of = self.all = True
        made.append(self)
        shipped(self, *arguments, **keywords)

    monkeypatch.setattr(nn.Neuron, "__init__", init)
    model = nn.MLP(2, [2, 1])
    before = outputs(model), outputs(model)
    made[1].w, made[2].nonlin = [Value(9.0), Value(8.0)], "exp"
    after = outputs(model)
    assert before[0] == before[1] != after
    made[1].w = [Value(9.0), Value(8.0)]
    assert outputs(model) == after


def test_dead_neurons_over_numpy_inputs():
    np = pytest.importorskip("numpy")
    model = nn.MLP(2, [3, 1])
    for neuron in model.layers[0].neurons:
        neuron.b.data = -100.0
    assert type(model([np.float64(0.5), np.float64(0.25)]).data) is float


@pytest.mark.parametrize("called", [False, True])
def test_a_frozen_layer(called):
    """By an attribute in place of the method, the simplest way there is."""
    model = nn.MLP(2, [3, 2, 1])
    if called:
        model([1.0, 2.0])
        model.parameters()
    model.layers[0].parameters = lambda: []
    assert len(model.parameters()) == 8 + 3
    model.layers[1].neurons[1].parameters = list
    assert len(model.parameters()) == 4 + 3
    del model.layers[0].parameters, model.layers[1].neurons[1].parameters
    assert len(model.parameters()) == 9 + 8 + 3


def test_gradients_of_parameters_in_any_order_are_cleared():
    model, other = nn.MLP(2, [3, 1]), nn.MLP(3, [2])
    sum([*other(model.layers[0]([1.0, -2.0])), model([1.0, 2.0])]).backward()
    p, q = model.parameters(), other.parameters()
    for parameters in (p + q, p[1:] + q, q + p[:-1], p[:2] + q[::-1] + p, []):
        for v in p + q:
            v.grad = 1.5
        module = nn.Module()
        module.parameters = lambda: parameters
        module.zero_grad()
        assert [v.grad for v in p + q] == [0 if v in parameters else 1.5 for v in p + q]


def test_a_call_set_on_the_class():
    model, x = nn.MLP(2, [1]), [1.0, 2.0]
    shipped, calls = nn.MLP.__call__, []
    nn.MLP.__call__ = lambda self, x: calls.append(x) or shipped(self, x)
    try:
        first = model(x).data
    finally:
        nn.MLP.__call__ = shipped
    assert calls == [x] and model(x).data == first and calls == [x]


def test_calls_that_are_none():
    model = nn.MLP(2, [1])
    for arguments in [(), ([1.0, 2.0], 3)]:
        with pytest.raises(TypeError, match=r"__call__\(\) (takes|missing)"):
            model(*arguments)
    assert model(x=[1.0, 2.0]).data == model([1.0, 2.0]).data
    del model.layers
    with pytest.raises(AttributeError, match="'MLP' object has no attribute 'layers'"):
        model([1.0, 2.0])


def test_a_debugger_sees_the_call():
    import sys
    model, seen = nn.MLP(2, [1]), []
    former = sys.gettrace()
    sys.settrace(lambda frame, event, argument: seen.append(frame.f_code.co_qualname
                                                            if hasattr(frame.f_code, "co_qualname")
                                                            else "MLP." + frame.f_code.co_name))
    try:
        model([1.0, 2.0])
    finally:
        sys.settrace(former)
    assert "MLP.__call__" in seen


@pytest.mark.parametrize("bad", [math.tanh, ["relu", "tanh"], "maximum", "backward", "data", [0],
                                 lambda v: 1, "detach", Value, lambda v: Value(v.data)])
def test_what_is_no_activation(bad):
    with pytest.raises(ValueError,
                       match="nonlin must be True .* or the name of a function of Value, not "):
        nn.MLP(2, [2, 1], nonlin=bad)
    with pytest.raises(ValueError, match="nonlin must be"):
        nn.Neuron(2, nonlin=bad)


def test_an_activation_may_have_a_domain():
    """Its check takes one number, at which the logarithm may be an error."""
    neuron = nn.Neuron(1, nonlin=lambda v: (v - 1).log())
    neuron.w[0].data = 1.0
    assert neuron([2.0]).data == 0.0
    with pytest.raises(ValueError, match="log of"):
        neuron([0.5])


def test_an_activation_may_be_a_function():
    outputs = []
    for nonlin in ("tanh", Value.tanh, lambda v: v.tanh()):
        random.seed(3)
        model = nn.MLP(2, [3, 1], nonlin=nonlin)
        out = model([0.5, -1.0])
        out.backward()
        outputs.append([out.data] + [p.grad for p in model.parameters()])
    assert outputs[1] == outputs[0] and outputs[2] == pytest.approx(outputs[0], rel=1e-13)
    assert repr(nn.Neuron(2, nonlin=Value.tanh)) == "tanhNeuron(2)"


def test_an_activation_may_be_a_number():
    for nonlin in (None, False, 0, 0.0, "", [], (), True, 1, 2, -1.5):
        neuron = nn.Neuron(1, nonlin=nonlin)
        neuron.w[0].data = -1.0
        assert repr(neuron) == ("ReLUNeuron(1)" if nonlin else "LinearNeuron(1)")
        assert neuron([2.0]).data == layer_of(neuron)([2.0]).data == (0 if nonlin else -2.0)


def layer_of(*neurons):
    layer = nn.Layer(1, 0)
    layer.neurons = list(neurons)
    return layer


def test_widths_are_a_list():
    with pytest.raises(TypeError, match="nouts must be a list of the layers' widths, not int: 4"):
        nn.MLP(3, 4)


def test_attributes_of_modules_are_those_of_plain_classes():
    neuron = nn.Neuron(2)
    with pytest.raises(TypeError, match="__dict__ must be set to a dictionary, not a 'int'"):
        neuron.__dict__ = 3
    del neuron.__dict__
    assert vars(neuron) == {}
    with pytest.raises(AttributeError, match="'Neuron' object has no attribute 'w'"):
        neuron.w
    with pytest.raises(AttributeError, match="type object 'Neuron' has no attribute 'w'"):
        nn.Neuron.w


@pytest.mark.skipif(engine.__engine__ != "c", reason="the reference has no descriptors of parts")
def test_the_descriptor_of_a_part_called_by_name():
    neuron = nn.Neuron(2)
    part = vars(nn.Neuron.__bases__[1])["w"]
    assert part.__get__(neuron) is neuron.w
    with pytest.raises(TypeError):
        part.__get__(neuron, 3)


def test_a_module_of_the_program_has_no_parts_of_a_neuron():
    class Net(nn.Module):
        def __init__(self):
            self.only = Value(1.0)

        def parameters(self):
            found = [getattr(self, name) for name in dir(self) if name != "parameters"]
            return [part for part in found if isinstance(part, Value)]

    net = Net()
    assert net.parameters() == [net.only]
    assert not {"w", "b", "nonlin", "neurons"} & {*dir(net), *dir(nn.MLP(1, [1]))}
    assert "neurons" not in dir(nn.Neuron(1)) and "w" not in dir(nn.Layer(1, 1))


@pytest.mark.parametrize("name", ["w", "b", "nonlin"])
def test_a_neuron_without_one_of_its_parts(name):
    model = nn.MLP(2, [3, 1])
    model([1.0, 2.0])
    delattr(model.layers[0].neurons[1], name)
    for call in (model, model.layers[0], model.layers[0].neurons[1]):
        with pytest.raises(AttributeError, match=f"'Neuron' object has no attribute '{name}'"):
            call([1.0, 2.0])


def test_a_neuron_with_parameters_of_its_own():
    model = nn.MLP(2, [2, 1])
    neuron = model.layers[0].neurons[0]
    for p in model.parameters():
        p.grad = 1.0
    neuron.parameters = lambda: neuron.w        # without its bias
    model.zero_grad()
    assert neuron.b.grad == 1 and all(p.grad == 0 for p in model.parameters())


def test_a_lookup_set_on_the_class(monkeypatch):
    model, names = nn.MLP(2, [2, 1]), []

    def look_up(self, name):
        names.append(name)
        return object.__getattribute__(self, name)

    monkeypatch.setattr(nn.Neuron, "__getattribute__", look_up)
    model([1.0, 2.0])
    assert names.count("w") == 3


def outcome(twin, x, weight, nonlin, factor=1):
    """Output and gradients of a network with equal parameters, with their types; or its error."""
    model = twin.nn.MLP(2, [2, 1], nonlin=nonlin)
    for neuron in (neuron for layer in model.layers for neuron in layer.neurons):
        neuron.nonlin = nonlin
    for p in model.parameters():
        p.data = weight
    try:
        y = model(x)
        (y * factor).backward()
    except Exception as error:
        return type(error), str(error)
    return repr(y.data), [repr(p.grad) for p in model.parameters()]


@pytest.mark.skipif("c" not in TWINS, reason="compares the engines")
@pytest.mark.parametrize("nonlin", [True, "tanh"])
@pytest.mark.parametrize("weight", [4, 4.0, 1e300, 3e38])
@pytest.mark.filterwarnings("ignore:The 'generic' unit for NumPy timedelta:DeprecationWarning")
def test_numbers_that_a_layer_leaves_to_python(weight, nonlin):
    """Too large for their type, or of a type that is no number; and a gradient of another type."""
    np = pytest.importorskip("numpy")
    one, large = np.float32(1), np.float32(3e38)
    for x in ([np.timedelta64(3, "s"), 1.0], [one, 2.0**1000], [one, 2**52], [one, np.int64(2**52)],
              [large, large], [0.5, -1.0]):
        for w in (weight, np.float32(weight)):
            for factor in (1, np.float32(3)):
                c, python = (outcome(TWINS[name], x, w, nonlin, factor) for name in ("c", "python"))
                assert c == python, (x, w, factor)


@pytest.mark.parametrize("weight", [4, 4.0])
def test_bools_as_inputs(weight):
    """They are what the numbers 1 and 0 are, and stay what they are in the graph."""
    for name, twin in TWINS.items():
        assert outcome(twin, [True, False], weight, True) == outcome(twin, [1, 0], weight, True)
        x = twin.Value(True)
        assert outcome(twin, [x, True], weight, "tanh") == outcome(twin, [1, 1], weight, "tanh")
        layer = twin.nn.Layer(2, 1)
        before = twin.core._count_values() if name == "c" else 0
        y = layer([True, x])
        assert name != "c" or twin.core._count_values() == before + 1
        assert sum(v.data is True for v in nodes_under(y)) == 2
        assert layer([1, x]).data == y.data


def test_a_function_set_on_the_class(monkeypatch):
    """Programs give Value a tanh of their own. A network that does not use it stays fused; one that
    does uses theirs, also if it was called before."""
    plain, named = nn.MLP(2, [50, 1]), nn.MLP(2, [3, 1], nonlin="tanh")
    before = named([1.0, 2.0]).data
    monkeypatch.setattr(Value, "tanh", lambda v: v * 0)
    assert named([1.0, 2.0]).data == named.layers[1].neurons[0].b.data
    if engine.__engine__ == "c":
        count = engine.__core__._count_values()
        out = plain([1.0, 2.0])
        assert engine.__core__._count_values() == count + 1
        del out
    monkeypatch.undo()
    assert named([1.0, 2.0]).data == before


def test_a_further_base_with_a_property():
    """As in any class, it comes before what stands in the __dict__."""
    class Further:
        b = property(lambda self: 0.5, lambda self, b: None)

    class Neuron(nn.Neuron, Further):
        pass

    neuron = nn.Neuron(2)
    neuron.__class__ = Neuron
    neuron.b = 1.0
    assert neuron.b == 0.5


class Default:
    """What stands in a class with a `__get__`, but no `__set__`: the __dict__ comes before it."""
    def __get__(self, module, cls):
        return module, cls


@pytest.mark.parametrize("name", ["w", "b", "nonlin", "neurons", "a_name_that_is_no_part"])
@pytest.mark.parametrize("default", ["a default", None, Default()])
def test_a_further_base_with_a_default(name, default):
    class Further(type("Base", (), {name: default})):
        pass

    class Module(nn.Module, Further):
        pass

    def found(module):
        return default.__get__(module, Module) if type(default) is Default else default

    module = Module()
    assert getattr(Module, name) == found(None) and getattr(module, name) == found(module)
    setattr(module, name, [1.0])
    assert getattr(module, name) == [1.0] == vars(module)[name]
    delattr(module, name)
    assert getattr(module, name) == found(module)
    with pytest.raises(AttributeError):
        delattr(module, name)


def test_modules_whose_class_has_a_metaclass():
    class Neuron(nn.Neuron, abc.ABC):
        pass

    class Module(nn.Module, abc.ABC):
        def __init__(self):
            self.w = [Value(1.0)]

    neuron = Neuron(2)
    assert neuron.parameters() == neuron.w + [neuron.b] and neuron([0.0, 0.0]).data == 0
    neuron.w = Module().w
    assert neuron([3.0]).data == 3
    del neuron.w
    assert not hasattr(neuron, "w") and not hasattr(Neuron, "w")


def test_a_further_base_that_the_class_overrides():
    class Further:
        w = "of the further base"

    class Module(nn.Module, Further):
        w = "of the class"

    assert Module.w == Module().w == "of the class"


def test_networks_whose_classes_count_stay_fused():
    """Each count changes the class, which from CPython 3.13 on has a thousand versions at most."""
    model = nn.MLP(2, [3, 1])
    first = model([1.0, 2.0]).data
    try:
        for nn.Neuron.count in range(1100):
            for cls in (nn.Layer, nn.MLP, Value):
                cls.count = nn.Neuron.count
            assert model([1.0, 2.0]).data == first
        if engine.__engine__ == "c":
            before = engine.__core__._count_values()
            out = model([1.0, 2.0])
            assert engine.__core__._count_values() == before + 1
            del out
        nn.Neuron.__call__, shipped = lambda self, x: self.b + 7, nn.Neuron.__call__
        assert model([1.0, 2.0]).data == 7
        nn.Neuron.__call__ = shipped
        assert model([1.0, 2.0]).data == first
    finally:
        for cls in (nn.Neuron, nn.Layer, nn.MLP, Value):
            del cls.count
