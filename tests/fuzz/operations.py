"""What a program in bytes can do. Append to the end: the corpus names operations by their places.

An operation is a function of the Machine that runs it (program.py): it reads its arguments from the
program with m.byte(), m.value(), m.number(), m.model() ..., keeps results with m.keep(), and notes
what it saw with m.note(). One that is `wild` has no result that both engines must agree about.
"""
import array
import copy as copying
import gc
import importlib
import os
import pickle
import signal
import sys
import threading
import weakref
from numbers import Real

from graphs import nodes_under
from program import EXPECTED, Thrown, as_float, np

OPERATIONS = []
AVOIDED = os.environ.get("MICROGRAD_AVOID", "").split(",")  # their known bugs are looked past
EXPONENTS = [2, 3, -1, 0.5, 0, 1.0, -2, 1, True, -0.5]
UNARY = ["exp", "log", "tanh", "sigmoid", "sin", "cos", "sqrt", "abs", "softplus", "leaky_relu"]
BINARY = ["maximum", "minimum"]


def operation(function):
    function.wild = False
    OPERATIONS.append(function)
    return function


def wild(function):
    function.wild = True
    OPERATIONS.append(function)
    return function


# Values and operators.

@operation
def leaf(m): m.put(m.Value(m.number()))


@operation
def add(m): m.keep(m.value() + m.value())


@operation
def multiply(m): m.keep(m.value() * m.value())


@operation
def subtract(m): m.keep(m.value() - m.value())


@operation
def divide(m): m.keep(m.value() / m.value())


@operation
def power(m): m.keep(m.value() ** EXPONENTS[m.byte() % len(EXPONENTS)])


@operation
def relu(m): m.keep(m.value().relu())


@operation
def negate(m): m.keep(-m.value())


@operation
def add_number(m): m.keep(m.number() + m.value())


@operation
def multiply_number(m): m.keep(m.value() * m.number())


@operation
def subtract_from_number(m): m.keep(m.number() - m.value())


@operation
def divide_number(m): m.keep(m.number() / m.value())


@operation
def add_up(m): m.keep(sum(m.values()))


@operation
def function(m):
    name = UNARY[m.byte() % len(UNARY)]
    if hasattr(m.Value, name):
        m.keep(getattr(m.value(), name)())


@operation
def function_of_two(m):
    name = BINARY[m.byte() % len(BINARY)]
    if hasattr(m.Value, name):
        m.keep(getattr(m.value(), name)(m.value() if m.byte() % 2 else m.number()))


@operation
def power_of_values(m):
    if hasattr(m.Value, "exp"):     # came with the other functions
        a, b = m.value(), m.value()
        if all(isinstance(v.data, (int, float)) and -64 < v.data < 64 for v in (a, b)):  # ints grow
            m.keep(a ** b if m.byte() % 2 else 2 ** b)


@operation
def custom(m):
    """A node as programs make them for functions of their own."""
    a, b = m.value(), m.value()
    out = m.Value(a.data * 0.5 + b.data, (a, b), "custom")

    def backward():
        a.grad += 0.5 * out.grad
        b.grad += out.grad

    out._backward = backward
    m.keep(out)


# Sweeps, and looking at the graph.

@operation
def backward(m): sweep(m, m.value())


def sweep(m, root):
    """A sweep that raises came as far as the order of a set had it, and so did its error: tame
    programs note that it raised, and clear all gradients."""
    m.called = []
    try:
        root.backward()
        raised = False
    except (*EXPECTED, Thrown):
        if m.wild:
            raise
        raised, m.called = True, []
        clear_gradients(m)
    m.know_scale()
    m.note("called", sorted(m.called, key=lambda g: (g != g, g)), m.scale)      # nan last
    m.note("raised", raised)


def clear_gradients(m):
    parameters = [p for model in m.models for p in model.parameters()]
    for node in {node for root in m.v + parameters for node in nodes_under(root)}:
        node.grad = 0


@operation
def look(m):
    value = m.value()
    m.note("look", sorted((child._op, repr(child.data)) for child in value._prev))
    m.note("op", value._op)


@operation
def look_deep(m): m.note("nodes", len(nodes_under(m.value())))


@operation
def child(m):
    children = m.value()._prev
    if len(children) == 1:
        m.keep(*children)


@operation
def by_hand(m): m.value()._backward()


@operation
def keep_backward(m):
    m.held.append(m.value()._backward)


@operation
def show(m): m.note("text", str(m.value()).split(",")[0])


@operation
def attributes(m):
    m.note("attributes", sorted({*vars(m.value())} - {"data", "grad", "_prev", "_op", "_backward"}))


# Edits.

@operation
def set_data(m):
    m.value().data = m.number()


@operation
def set_grad(m): m.value().grad = m.number()


@operation
def label(m): m.value().label = "a label"


@operation
def attribute(m): m.value().other = m.value()


@operation
def more_children(m):
    """_prev with one more: where that makes no cycle, as the reference decides."""
    value, other = m.value(), m.value()
    if not m.decide("cyclic", lambda: value in nodes_under(other)):
        value._prev = {*value._prev, other}


@operation
def called_back(m):
    """A callback that notes the gradient, and does what the node did."""
    value = m.value()
    own = value._backward
    m.callbacks = True

    def callback():
        m.called.append(float(value.grad) if isinstance(value.grad, Real) else 0.0)
        own()

    value._backward = callback


@operation
def drop(m):
    if len(m.v) > 2:
        del m.v[m.byte() % len(m.v)]


@operation
def collect(m): gc.collect(m.byte() % 3)


@operation
def reference_dies(m):
    """A dropped value lives in both engines or in none."""
    reference = weakref.ref(m.value())
    if len(m.v) > 3:
        del m.v[m.byte() % len(m.v)]
    m.release_replaced()
    m.note("alive", reference() is not None)


@wild
def copied(m): m.keep(copying.copy(m.value()) if m.byte() % 2 else copying.deepcopy(m.value()))


# Models.

@operation
def make_model(m): m.make_model(m.byte())


@operation
def call_with_numbers(m): m.keep(m.model()(m.numbers()))


@operation
def call_with_values(m): m.keep(m.model()(m.values()))


@operation
def call_with_array(m):
    if np is not None:
        m.keep(m.model()(np.array([m.byte() / 8, m.byte() / 8 - 4])))


@operation
def call_layer(m): m.keep(m.layer()(m.values()))


@operation
def call_neuron(m): m.keep(m.neuron()(tuple(m.values())))


@operation
def call_layers(m):
    layers = m.model().layers
    h = layers[0](m.values())
    m.keep(layers[-1](h if isinstance(h, list) else [h]))


@operation
def zero_grad(m): m.model().zero_grad()


@operation
def update(m):
    """A training step. Both engines go by the reference's gradient: the last bits differ."""
    m.know_scale()
    for p in m.model().parameters():
        sign = m.decide("sign", lambda: (as_float(p.grad) > 0) - (as_float(p.grad) < 0))
        p.data = p.data - 0.125 * sign if isinstance(p.data, (int, float)) else 0.5


@operation
def regularize(m): m.keep(sum(p * p for p in m.model().parameters()))


@operation
def set_weight(m):
    m.weight().data = m.number()


@operation
def set_weight_grad(m): m.weight().grad = m.number()


@operation
def weight_called_back(m):
    weight = m.weight()
    m.callbacks = True
    weight._backward = lambda: m.called.append(0.0)


@operation
def replace_weight(m):
    neuron = m.neuron()
    neuron.w[m.byte() % len(neuron.w)] = m.value()


@operation
def share_weight(m): m.neuron().b = m.weight()


@operation
def keep_weight(m): m.put(m.weight())


@operation
def change_nonlinearity(m):
    neuron = m.neuron()
    neuron.nonlin = not neuron.nonlin


@operation
def drop_neuron(m):
    layer = m.layer()
    if len(layer.neurons) > 1:
        del layer.neurons[m.byte() % len(layer.neurons)]


@operation
def copy_model(m):
    """Of leaves without callbacks: in the reference, copies of other nodes feed the first ones."""
    model = m.model()
    if m.decide("leaves", lambda: not m.callbacks and not any(p._prev for p in model.parameters())):
        m.models = [*m.models, copying.deepcopy(model)][-2:]


@operation
def drop_model(m): m.models = m.models[1:]


@operation
def subclass(m):
    class Sub(m.Value):
        pass
    m.put(Sub(m.number()))


@operation
def interrupted_sweep(m):
    """A callback that raises."""
    value, root = m.value(), m.value()
    own = value._backward

    def backward():
        raise Thrown

    value._backward = backward
    try:
        sweep(m, root)
    finally:
        value._backward = own


# From here on nothing that both engines must agree about.

def action(m):
    """A callable, to be called by whoever: runs a piece of the program, and may raise."""
    end, piece = m.byte() % 4, m.code.piece(m.byte() % 12).data

    def act(*_, **__):
        m.nested(piece)
        if end == 3:
            raise Thrown

    return act


@wild
def wild_callback(m): m.value()._backward = action(m)


@wild
def wild_callback_and_own(m):
    value, act = m.value(), action(m)
    own = value._backward
    value._backward = lambda: (act(), own())


@wild
def wild_prev(m): m.value()._prev = m.values()


@wild
def wild_prev_of_others(m): m.value()._prev = [*m.values(), strange_child(m)]


def strange_child(m): return [None, 1.0, "text", m.Value][m.byte() % 4]


@wild
def reinitialise(m): m.value().__init__(m.number(), tuple(m.values()), "again")


@wild
def new_without_init(m): m.put(m.Value.__new__(m.Value))


@wild
def delete_attribute(m):
    names = ["data", "grad", "_prev", "_op", "_backward", "label"]
    delattr(m.value(), names[m.byte() % 6])


@wild
def change_dict(m):
    names = ["_prev", "_backward", "_op", "data", "grad", "label"]
    value, name = m.value(), names[m.byte() % len(names)]
    choices = [m.value(), None, set(m.values()), m.number(), action(m), Iterable(m)]
    vars(value)[name] = choices[m.byte() % len(choices)]


@wild
def clear_dict(m): vars(m.value()).clear()


class Iterable:
    """Yields fresh Values, and does as it likes meanwhile."""

    def __init__(self, m):
        self.act, self.m = action(m), m

    def __iter__(self):
        self.act()
        yield self.m.Value(1.0)
        self.act()
        yield self.m.Value(2.0) * 2


@wild
def call_with_iterable(m): m.keep(m.model()(Iterable(m)))


@wild
def prev_of_iterable(m): m.value()._prev = Iterable(m)


class Noisy:
    """Data whose arithmetic runs a piece of the program."""

    def __init__(self, m):
        self.act, self.x = action(m), 0.5

    def arithmetic(self, other, *_):
        self.act()
        return self

    __add__ = __radd__ = __mul__ = __rmul__ = __pow__ = __sub__ = __rsub__ = __iadd__ = arithmetic

    def __lt__(self, other):
        self.act()
        return False

    def __gt__(self, other):
        self.act()
        return True

    def __repr__(self):
        self.act()
        return "noisy"


@wild
def noisy_data(m): m.value().data = Noisy(m)


@wild
def noisy_grad(m): m.value().grad = Noisy(m)


@wild
def noisy_leaf(m): m.put(m.Value(Noisy(m)))


@wild
def noisy_weight(m): m.weight().grad = Noisy(m)


@wild
def any_operator(m):
    a, b = m.value(), m.number()
    [lambda: m.put(a + b), lambda: m.put(b * a), lambda: m.put(a - b), lambda: m.put(b / a),
     lambda: abs(a), lambda: a % b, lambda: a @ b, lambda: a < b][m.byte() % 8]()


class Finalized:
    """Garbage that runs a piece of the program when it is found."""

    def __init__(self, m):
        self.act, self.me = action(m), self

    def __del__(self):
        self.act()


@wild
def garbage(m): Finalized(m)


@wild
def garbage_on_value(m): m.value().garbage = Finalized(m)


@wild
def finalized_subclass(m):
    act = action(m)

    class Dying(m.Value):
        def __del__(self):
            act()

    m.put(Dying(m.number()))


@wild
def resurrected(m):
    registers = m.v

    class Phoenix(m.Value):
        def __del__(self):
            registers.append(self)

    m.put(Phoenix(m.number(), tuple(m.values()), "phoenix"))


@wild
def weakref_callback(m): m.held.append(weakref.ref(m.value(), action(m)))


@wild
def often_collect(m):
    former = gc.get_threshold()
    gc.set_threshold(1 + m.byte() % 3, 1, 1)
    m.undo.append(lambda: gc.set_threshold(*former))


@wild
def thread(m):
    act = action(m)

    def quietly():
        try:
            act()
        except Exception:
            pass

    started = threading.Thread(target=quietly)
    started.start()
    started.join()


@wild
def interrupt(m):
    if threading.current_thread() is threading.main_thread():
        signal.raise_signal(signal.SIGINT)


@wild
def patch_class(m):
    """A method of Value replaced: seen by everything from here on."""
    name = ["__add__", "__mul__", "relu", "__init__", "__pow__", "backward",
            "__neg__"][m.byte() % 7]
    former, act = m.Value.__dict__[name], action(m)
    if len(m.undo) > 2:
        return          # patches of patches of patches take long

    def patched(self, *arguments, **keywords):
        m.count_patched_call()
        act()
        return former(self, *arguments, **keywords)

    setattr(m.Value, name, patched)
    m.undo.append(lambda: setattr(m.Value, name, former))


@wild
def patch_neuron(m):
    former, act = m.nn.Neuron.__call__, action(m)

    def patched(self, x):
        act()
        return former(self, x)

    m.nn.Neuron.__call__ = patched
    m.undo.append(lambda: setattr(m.nn.Neuron, "__call__", former))


@wild
def break_model(m):
    model, layer, neuron = m.model(), m.layer(), m.neuron()
    [lambda: setattr(neuron, "w", [m.value()]), lambda: setattr(neuron, "b", m.number()),
     lambda: neuron.w.append(m.value()), lambda: neuron.w.clear(), lambda: layer.neurons.clear(),
     lambda: layer.neurons.append(neuron), lambda: model.layers.append(layer),
     lambda: setattr(neuron, "nonlin", m.value()), lambda: delattr(neuron, "w"),
     lambda: setattr(layer, "_parameters", None), lambda: vars(neuron).clear(),
     lambda: setattr(layer, "neurons", tuple(layer.neurons))][m.byte() % 12]()


@wild
def class_of_neuron(m):
    m.neuron().__class__ = type("Other", (m.nn.Neuron,), {})


@wild
def arithmetic(m):
    core = sys.modules.get("micrograd._core")
    if core is not None:
        names = core._arithmetics()
        former = core._choose_arithmetic(names[m.byte() % len(names)])
        m.undo.append(lambda: core._choose_arithmetic(former))


@wild
def pickled(m): m.keep(pickle.loads(pickle.dumps(m.value())))


@wild
def deepcopy_with_memo(m): copying.deepcopy(m.value(), {id(m.value()): m.number()})


@wild
def attribute_cycle(m):
    value = m.value()
    value.cycle = [value, m.value(), m.models]


@wild
def data_is_a_value(m): m.value().data = m.value()


@wild
def later(m):
    """Run the rest of the program in a callback of a sweep over a long chain."""
    x = m.value()
    for _ in range(m.byte() % 64):
        x = x * 1.0
    x._backward = action(m)
    x.backward()


# Functions, activations, labels, optimisers, prediction: what came after.

@operation
def activated_model(m):
    """A model with an activation by its name."""
    name, shape = UNARY[m.byte() % len(UNARY)], m.byte()
    if hasattr(m.Value, name):
        m.make_model(shape, nonlin=name)


@operation
def activate(m):
    name = UNARY[m.byte() % len(UNARY)]
    if hasattr(m.Value, name):
        m.neuron().nonlin = name


@operation
def leaky(m):
    if hasattr(m.Value, "leaky_relu"):
        m.keep(m.value().leaky_relu(m.number()))


@operation
def labelled(m):
    if hasattr(m.Value, "exp"):     # came with the functions
        value = m.Value(m.number(), label="a label")
        m.note("label", value.label)
        m.put(value)


@operation
def absolute(m):
    if hasattr(m.Value, "abs"):
        m.keep(abs(m.value()))


def doubles(m):
    """Memory for an optimiser or a prediction, mostly of the right kind."""
    count = len(m.model().parameters())
    choices = [array.array("d", bytes(8 * count)), array.array("d", bytes(16 * count)),
               array.array("d", [0.5] * (m.byte() % 9)), array.array("i", [1] * 2 * count),
               bytearray(8 * count), b"", memoryview(bytearray(8 * count)).cast("d"), None]
    return choices[m.byte() % len(choices)]


@wild
def sgd(m):
    core = sys.modules["micrograd._core"]
    parameters = m.model().parameters() + m.values()
    core._sgd(parameters[:m.byte()], doubles(m), 0.1, m.byte() % 2 * 0.9, m.byte() % 2 * 0.1,
              m.byte() % 2, m.byte() % 2, m.byte() % 2)


@wild
def adam(m):
    core = sys.modules["micrograd._core"]
    parameters = m.model().parameters() + m.values()
    core._adam(parameters[:m.byte()], doubles(m), doubles(m),
               doubles(m) if m.byte() % 2 else None, 0.1, 0.9, 0.999, 1e-8, 0.1, m.byte() % 2,
               m.byte() % 2, m.byte())


@wild
def predict_in_c(m):
    core = sys.modules["micrograd._core"]
    core._predict(m.model().layers, doubles(m), m.byte() % 6 - 1)


@wild
def predict(m):
    m.model().predict([[m.number() for _ in range(m.byte() % 5)] for _ in range(m.byte() % 4)])


@wild
def state(m):
    state = m.model().state_dict()
    state[sorted(state)[0]] = m.number()
    m.models[-1].load_state_dict(state)


@wild
def restored(m):
    """The methods that pickle calls, called by anybody."""
    value, other = m.value(), m.value()
    reduced = value.__reduce_ex__(m.byte() % 6)
    choices = [reduced[2] if len(reduced) > 2 else None, m.number(), (), {}, (other, value),
               m.values()]
    other.__setstate__(choices[m.byte() % len(choices)])


@wild
def function_of_anything(m):
    name, value = (UNARY + BINARY)[m.byte() % 12], m.value()
    m.put(getattr(value, name)(m.number()) if name in ("leaky_relu", *BINARY)
          else getattr(value, name)())


# What a network is made of, changed behind its back; numpy's other numbers; imports in any order.

def number_of_kind(m):
    """A number of few bits, of any type that a program may feed a network with."""
    byte = m.byte()
    x = (byte // 8 - 16) / 4
    kinds = [float, float, int, lambda x: x > 0]
    if np is not None:
        kinds += [np.float32, np.float64, lambda x: np.int64(int(x)), lambda x: np.bool_(x > 0)]
    return kinds[byte % len(kinds)](x)


def inputs_of_kind(m, layer):
    """As many inputs as the layer has, Values among them."""
    return [m.value() if m.byte() % 3 == 0 else number_of_kind(m) for _ in layer.neurons[0].w]


@operation
def call_with_kinds(m):
    model = m.model()
    m.keep(model(inputs_of_kind(m, model.layers[0])))


@operation
def sweep_with_kinds(m):
    """A sweep down to an input whose gradient is of any type before it."""
    layer = m.layer()
    inputs = inputs_of_kind(m, layer)
    m.value().grad = number_of_kind(m)
    made = layer(inputs)
    sweep(m, sum(made) if isinstance(made, list) else made)


@operation
def weight_of_kind(m): m.weight().data = number_of_kind(m)


@operation
def gradient_of_kind(m): (m.weight() if m.byte() % 2 else m.value()).grad = number_of_kind(m)


@operation
def edited_output(m):
    """Dropout by hand: an output of a layer is given other data, then all are swept."""
    layer = m.layer()
    made = layer(inputs_of_kind(m, layer))
    outputs = made if isinstance(made, list) else [made]
    outputs[m.byte() % len(outputs)].data = number_of_kind(m)
    sweep(m, sum(outputs))


@operation
def some_outputs(m):
    """Of several outputs one dies or is swept alone."""
    layer = m.layer()
    made = layer(inputs_of_kind(m, layer))
    if isinstance(made, list):
        del made[m.byte() % len(made)]
    m.keep(made)


@operation
def other_class_of_neuron(m):
    """Set while the layer is known to be as it was."""
    class Twice(m.nn.Neuron):
        def __call__(self, x):
            return super().__call__(x) * 2.0

    layer, neuron = m.layer(), m.neuron()
    inputs = inputs_of_kind(m, layer)
    m.keep(layer(inputs))
    neuron.__class__ = Twice
    m.keep(layer(inputs))


@operation
def held_weights(m): m.held.append(m.neuron().w)


@operation
def held_state(m):
    """The list of weights, got as pickle gets it, while the layer is known to be as it was."""
    layer, neuron = m.layer(), m.neuron()
    inputs = inputs_of_kind(m, layer)
    m.keep(layer(inputs))
    m.held.append(neuron.__reduce_ex__(2)[2]["w"])
    edit_held(m)
    m.keep(layer(inputs))


@operation
def edit_held(m):
    """A list of weights that was kept gets another Value, which nobody tells the layer."""
    lists = [held for held in m.held if type(held) is list and held]
    if lists:
        weights = lists[m.byte() % len(lists)]
        weights[m.byte() % len(weights)] = m.Value(m.byte() / 8 - 16)


@operation
def let_go(m): m.held.clear()


@operation
def patch_layers(m):
    """MLP.layers as a property, which reads only the first layer."""
    if not m.undo:
        m.nn.MLP.layers = property(lambda self: vars(self)["layers"][:1],
                                   lambda self, layers: vars(self).update(layers=layers))
        m.undo.append(lambda: delattr(m.nn.MLP, "layers"))


class Dying:
    """Runs a piece of the program when its last reference goes, not when a collector finds it."""

    def __init__(self, act):
        self.act = act

    def __del__(self):
        self.act()


@wild
def finalizer_on_weight(m): m.weight().tag = Dying(action(m))


@wild
def orphan(m):
    """A layer that only its outputs keep alive, one of them dead, dies in the midst of a sweep, and
    a finalizer on one of its weights takes the graph apart."""
    act, called_back, layer = action(m), m.byte() % 2, m.nn.Layer(2, 2)
    first = layer([0.5, m.value()])[0]
    root = first * 1.5
    m.put(root)

    def take_apart():
        act()
        root.__init__(0.0)
        m.held.append([m.Value(0.0) for _ in range(9)])

    for neuron in layer.neurons:
        neuron.w[0].tag = Dying(take_apart)
    del layer, first, neuron
    if called_back:
        root = m.Value(0.0)
        root._prev, root._backward = [m.v.pop()], act
    for _ in range(2):
        root.backward()


class Edits:
    """Garbage that edits a list when a collection finds it: it gets `more`, or what it had goes."""

    def __init__(self, target, more, clear):
        self.target, self.more, self.clear, self.me = target, more, clear, self

    def __del__(self):
        if self.clear:
            self.target.clear()
        self.target.extend(self.more)


def edited_soon(m, target, more, do):
    """Do it while a collection, soon, edits the list target."""
    former = gc.get_threshold()
    lists = [[] for _ in range(200)]    # Python has no spare ones now
    Edits(target, more, m.byte() % 2)
    gc.set_threshold(gc.get_count()[0] + m.byte() % 32 + 1)
    try:
        do()
    finally:
        gc.set_threshold(*former)
        del lists


class Key(str):
    """A name with another's hash, which runs a piece of the program to say that it is not it."""

    def __new__(cls, name, act):
        self = super().__new__(cls, name)
        self.act, self.name = act, hash(name)
        return self

    def __hash__(self):
        return self.name

    def __eq__(self, other):
        self.act()
        return self is other


@wild
def keys_that_act(m):
    owner = [m.neuron(), m.layer(), m.model()][m.byte() % 3]
    attributes = vars(owner)
    name = list(attributes or {"w": 0})[m.byte() % max(1, len(attributes))]
    former = attributes.pop(name, None)     # so that the key comes before it
    act, lists = action(m), [value for value in attributes.values() if type(value) is list]
    more, clear = [object(), *m.values()], m.byte() % 2

    def edit():
        act()
        for edited in lists:
            Edits(edited, more, clear).__del__()

    attributes[Key(name, edit if m.byte() % 2 else act)] = 0
    attributes[name] = former
    m.layer()([m.value(), 0.5])


@wild
def edit_lists(m):
    """The lists that a network is made of, as a finalizer may leave them."""
    layer, neuron, weights = m.layer(), m.neuron(), m.neuron().w
    layers = m.model().layers
    [lambda: weights.extend(m.values()), weights.clear, lambda: weights.__setitem__(0, object()),
     layers.clear, lambda: layers.extend(m.nn.MLP(2, [9, 17]).layers), lambda: layers.append(None),
     lambda: layer.neurons.append(None), layer.neurons.clear, lambda: vars(neuron).pop("b"),
     lambda: m.held.append(weights), lambda: layers.reverse(),
     lambda: setattr(neuron, "__dict__", dict(vars(neuron)))][m.byte() % 12]()


@wild
def edited_parameters(m):
    """The list of parameters changes while an optimiser works on it."""
    core, parameters = sys.modules["micrograd._core"], m.model().parameters()
    zeros = array.array("d", bytes(8 * len(parameters)))
    m.nn.Neuron.changed = True          # so that the engine looks at the classes
    more = [m.Value(0.0) for _ in range(m.byte() * 16)]
    steps = [lambda: core._sgd(parameters, zeros, 0.1, 0.9, 0.0, False, False, True),
             lambda: core._adam(parameters, zeros, zeros[:], zeros[:], 0.1, 0.9, 0.9, 0.1, 0, 0, 0,
                                1),
             lambda: core._zeroed(parameters)]
    edited_soon(m, parameters, more, steps[m.byte() % 3])
    del m.nn.Neuron.changed


@wild
def edited_layers(m):
    """The list of layers changes while they are applied to rows."""
    core, layers = sys.modules["micrograd._core"], m.model().layers
    nin = len(layers[0].neurons[0].w)
    rows = array.array("fd"[m.byte() % 2], [0.5] * nin * (m.byte() % 70))
    other = m.nn.MLP(nin, [9, 17 + m.byte()])
    other.parameters()                  # packs them
    edited_soon(m, layers, other.layers, lambda: core._predict(layers, rows, nin))


@wild
def edited_weights(m):
    layer, neuron = m.layer(), m.neuron()
    edited_soon(m, neuron.w, m.values(), lambda: layer([m.value(), 0.5]))


@wild
def crafted_state(m):
    """States that no pickle has."""
    names = ["ADD", "MUL", "POW", "RELU", "CUSTOM", "OUTPUT", "CALL", "LEAF", "TANH", "", 5]
    value = [m.value(), m.weight()][m.byte() % 2]
    state = [("_graph", (m.values(), names[m.byte() % len(names)], m.values())),
             ("data", m.number()), ("grad", m.number()),
             ("_prev", m.values()), ("_backward", action(m)), ("_op", m.number())]
    value.__setstate__(dict(state[:1 + m.byte() % 6] if m.byte() % 2 else state[m.byte() % 6:]))


@wild
def crafted_module(m):
    """Modules made and filled by hand, in any way that the protocol of pickle has."""
    module = [m.model, m.layer, m.neuron][m.byte() % 3]()
    made = module.__reduce_ex__(2 + m.byte() % 3)
    twin = made[0](*made[1])
    [lambda: vars(twin).update(made[2]), lambda: setattr(twin, "__dict__", made[2]),
     lambda: vars(twin).update(vars(m.neuron())), lambda: copying.copy(twin),
     lambda: vars(twin).update(pickle.loads(pickle.dumps(made[2])))][m.byte() % 5]()
    m.held.append(twin)
    twin([m.value(), 0.5])


def loaded():
    """The names of our modules that are imported."""
    return [name for name in sys.modules if name.split(".")[0] == "micrograd"]


@wild
def imports(m):
    """The modules forgotten, and imported in any order; the machine keeps the classes it has."""
    if threading.current_thread() is not threading.main_thread() or "imports" in m.classes:
        return
    names = ["engine", "nn", "arrays", "optim", "state", "losses"]
    former = {name: sys.modules[name] for name in loaded()}
    m.classes.append("imports")

    def restore():
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(former)
        for name, module in former.items():
            if "." in name:
                setattr(former["micrograd"], name.split(".")[1], module)
        if m.nn.__name__ == "micrograd.nn":
            m.nn.__core__._ships(m.nn.Neuron, m.nn.Layer, m.nn.MLP)

    m.undo.append(restore)
    for name in former:
        if name != "micrograd._core" or m.byte() % 2:
            sys.modules.pop(name, None)
    for _ in range(m.byte() % 5):
        importlib.import_module("micrograd." + names[m.byte() % len(names)])
    nn = importlib.import_module("micrograd.nn")
    nn.MLP(2, [2, 1])([m.value(), 0.5])


# Recordings.

STEPS = [lambda v, x: v[-1] + x, lambda v, x: v[-1] * x, lambda v, x: v[-1] * v[0],
         lambda v, x: v[-1] + v[1], lambda v, x: v[-1] * v[1] + v[0] * v[1],
         lambda v, x: v[-1].relu(), lambda v, x: v[-1].tanh(), lambda v, x: v[-1] ** 2,
         lambda v, x: v[-1].maximum(v[0]), lambda v, x: v[-1].detach() + v[0],
         lambda v, x: v[0] - v[-1], lambda v, x: 1 / (v[-1] ** 2 + 0.5)]


def recorded_function(m):
    """A function of two Values, which finds another one outside of it, or a model."""
    steps = [(STEPS[m.byte() % len(STEPS)], float(m.number())) for _ in range(m.byte() % 6)]
    outside, model, pick = m.value(), m.model() if m.byte() % 3 == 0 else None, m.recording.pick

    def function(a, b, how=None):
        v = [a, outside, b]
        if model is not None:
            made = model([a, b, 0.5][:len(model.layers[0].neurons[0].w)])
            v += made if isinstance(made, list) else [made]
        for do, x in steps:
            v.append(do(v, x))
        return (pick([v[-1], v[0]], how) if isinstance(how, m.Value) else v[-1] if how is None
                else v[-2:])

    return function


def recording(m):
    if not m.recordings:
        record_function(m)
    return m.recordings[m.byte() % len(m.recordings)]


@operation
def record_function(m):
    made = m.recording.record(recorded_function(m), threads=1 + m.byte() % 3)
    m.recordings = [*m.recordings, made][-3:]


@operation
def call_recording(m): m.keep(recording(m)(m.value(), m.number()))


@operation
def call_recording_often(m):
    made, a, x = recording(m), m.value(), m.number()
    for _ in range(m.byte() % 5):
        m.keep(made(a, x))


@operation
def results_of_recording(m): m.keep(recording(m)(m.value(), m.value(), "both"))


@operation
def picked_in_recording(m): m.keep(recording(m)(m.value(), m.value(), m.byte() % 5 - 2))


def columns(m):
    """Two columns; some rows have Values."""
    rows = 1 + m.byte() % 20
    first, second = [m.byte() / 8 - 16 for _ in range(rows)], [m.value() for _ in range(3)] * rows
    if np is not None and m.byte() % 3 == 0:
        first = np.array(first, "dfh"[m.byte() % 3])
    return first, second[:rows]


@operation
def recorded_sum(m): m.keep(recording(m).sum(*columns(m)))


@operation
def recorded_mean(m): m.keep(recording(m).mean(*columns(m), how=[None, True][m.byte() % 2]))


@operation
def recorded_map(m): m.keep(recording(m).map(*columns(m)))


@operation
def swept_recording(m): sweep(m, recording(m).sum(*columns(m)))


@operation
def recorded_in_recording(m):
    inner, x = recording(m), m.number()
    m.keep(m.recording.record(lambda a: inner(a, x) * a)(m.value()))


@operation
def refused_in_recording(m):
    """What a function must not do while it is recorded."""
    w, what = m.value(), m.byte() % 9
    refused = [lambda x: x.data, lambda x: w.grad, lambda x: x < w, lambda x: f"{w}", round,
               lambda x: setattr(w, "data", 1.0), lambda x: x.backward(), copying.copy,
               lambda x: setattr(x, "grad", 1.0)][what]

    def function(x):
        refused(x)
        return x * w

    m.keep(m.recording.record(function)(m.number()))


@wild
def anything_in_recording(m):
    """A piece of the program in a function that is recorded, and in its checks."""
    act = action(m)

    def function(a, b, how=None):
        act()
        y = a * b
        m.held.append(y)
        return y + m.v[0] if m.v else y

    made = m.recording.record(function)
    m.recordings = [*m.recordings, made][-3:]
    for _ in range(m.byte() % 3):
        m.keep(made(m.value(), m.value()))


@wild
def any_columns(m):
    made = recording(m)
    kinds = [list, tuple, lambda x: array.array("d", [1.0] * len(x)), lambda x: iter(x),
             dict.fromkeys, lambda x: memoryview(bytes(len(x))), lambda x: [x] * 3,
             lambda x: Iterable(m)]
    column = lambda: kinds[m.byte() % len(kinds)]([m.number() for _ in range(m.byte() % 9)])
    [made.sum, made.mean, made.map, made][m.byte() % 4](column(), column())


@wild
def edited_columns(m):
    """The columns change while they are read."""
    rows = [[0.5, m.number()] for _ in range(m.byte())]
    made = m.recording.record(lambda x: x[0] * x[1], threads=2)
    edited_soon(m, rows, m.values(), lambda: made.sum(rows))


@wild
def crafted_program(m):
    """The parts of recordings, used by anybody."""
    core, act = sys.modules["micrograd._core"], action(m)

    def refuse(what):
        act()
        raise Thrown

    structures = m.Value, (list, m.Value), (tuple,), (array.array, (2, 3)), None
    [lambda: core._Program("name", m.values(), m.values()), lambda: core._begin_recording(refuse),
     core._end_recording, lambda: core._pick(m.values(), m.value()),
     lambda: core._fill((m.numbers(), [m.numbers()]),
                        (structures[m.byte() % 5], structures[m.byte() % 5])),
     lambda: core._Program.__new__(core._Program).forward(m.values(), m.byte(), 1)][m.byte() % 6]()
    m.undo.append(core._end_recording)


@operation
def rename(m): (m.weight() if m.byte() % 2 else m.value())._op = f"name {m.byte()}"
