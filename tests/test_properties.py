"""Programs made by Hypothesis, run on the compiled engine and on the reference: the same values to
the last bit, the same gradients to rounding, the same graph.

MICROGRAD_EXAMPLES sets how many programs are tried, 300 if unset.
"""
import cmath
import collections
import gc
import math
import os
import random

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings, strategies as st

import twins
from graphs import clear_gradients, edges_under, nodes_under

if twins.COMPILED is None:
    pytest.skip("compares the compiled engine with the reference", allow_module_level=True)

EXAMPLES = int(os.environ.get("MICROGRAD_EXAMPLES", 300))
small = st.integers(0, 7)
number = st.one_of(st.floats(-3, 3).map(lambda x: round(x, 3)), st.integers(-3, 3), st.just(0.0),
                   st.sampled_from([-0.0, 2**53, 1e300, 1e-300]))
FUNCTIONS = ["exp", "log", "tanh", "sigmoid", "sin", "cos", "sqrt", "abs", "softplus", "leaky_relu"]
step = st.one_of(
    st.tuples(st.just("function"), small, st.sampled_from(FUNCTIONS)),
    st.tuples(st.just("nonlin"), small, st.sampled_from([True, False, "relu", *FUNCTIONS])),
    st.tuples(st.just("activation"), small, st.sampled_from([True, False, *FUNCTIONS])),
    st.tuples(st.sampled_from(["maximum", "minimum", "power"]), small, small),
    st.tuples(st.sampled_from(["leaf", "float64"]), number),
    st.tuples(st.sampled_from(["add", "mul", "sub", "call2", "edit_prev", "custom", "interrupted"]),
              small, small),
    st.tuples(st.sampled_from(["relu", "neg", "backward", "drop", "look", "look_deep", "by_hand",
                               "callback", "collect", "label", "copy"]), small),
    st.tuples(st.sampled_from(["pow"]), small, st.sampled_from([2, 3, -1, 0.5, 0, 1.0])),
    st.tuples(st.sampled_from(["add_number", "mul_number", "rdiv", "set_data", "set_grad"]), small,
              number),
    st.tuples(st.sampled_from(["whole", "layer", "neuron"]), small,
              st.lists(number, min_size=0, max_size=4)),
    st.tuples(st.sampled_from(["model_of_values", "layer_of_values", "chain"]), small,
              st.lists(small, min_size=0, max_size=4)),
    st.tuples(st.sampled_from(["set_weight", "weight_grad", "replace_weight", "share_weight",
                               "weight_object", "weight_callback"]), small, number),
    st.tuples(st.sampled_from(["zero_grad", "update", "all_weights", "replace_neuron"]), small),
)


class Program:
    """The steps, on one of the twins. Steps name values by number, modulo how many there are."""

    def __init__(self, twin, seed, shape):
        self.Value, self.nn = twin.Value, twin.nn
        random.seed(seed)
        self.model = self.nn.MLP(shape[0], list(shape[1:]))
        self.v = [self.Value(0.5), self.Value(-1.25)]
        self.log = []
        self.broken = False     # a sweep raised: how far it had come depends on the order of a set

    def run(self, steps):
        for name, *arguments in steps:
            logged = len(self.log)
            try:
                made = getattr(self, name)(*arguments)
            except (ZeroDivisionError, OverflowError, TypeError, ValueError) as error:
                if name == "backward":
                    del self.log[logged:]
                    self.broken = True
                    break
                self.log.append((name, type(error).__name__, str(error)))
                continue
            for value in made if isinstance(made, list) else [made]:
                if isinstance(value, self.Value) and -1e100 < value.data.real < 1e100:
                    self.v = [*self.v, value][-8:]
        return self

    def at(self, i):
        return self.v[i % len(self.v)]

    def weight(self, i):
        parameters = self.model.parameters()
        return parameters[i * 7 % len(parameters)]

    def leaf(self, x): return self.Value(x)
    def float64(self, x):
        np = pytest.importorskip("numpy")
        return self.Value(np.float64(x))
    def add(self, i, j): return self.at(i) + self.at(j)
    def mul(self, i, j): return self.at(i) * self.at(j)
    def sub(self, i, j): return self.at(i) - self.at(j)
    def relu(self, i): return self.at(i).relu()
    def neg(self, i): return -self.at(i)
    def pow(self, i, n): return self.at(i) ** n
    def add_number(self, i, x): return x + self.at(i)
    def mul_number(self, i, x): return self.at(i) * x
    def rdiv(self, i, x): return x / self.at(i)
    def backward(self, i): self.at(i).backward()
    def collect(self, i): gc.collect(2 if i == 0 else 0)
    def label(self, i): self.at(i).label = self.at(i + 1)

    def drop(self, i):
        if len(self.v) > 2:
            self.v.pop(i % len(self.v))

    def look(self, i):
        self.log.append(sorted((v._op, repr(v.data)) for v in self.at(i)._prev))

    def look_deep(self, i):
        self.log.append(len(nodes_under(self.at(i))))

    def by_hand(self, i): self.at(i)._backward()

    def callback(self, i):
        value = self.at(i)
        own = value._backward

        def backward():
            self.log.append(("callback", rounded(value.grad)))
            own()

        value._backward = backward

    def custom(self, i, j):
        a, b = self.at(i), self.at(j)
        out = self.Value(a.data * 0.5 + b.data, (a, b), "custom")

        def backward():
            a.grad += 0.5 * out.grad
            b.grad += out.grad
            self.model.parameters()[0].grad, len(nodes_under(a))     # a callback may look anywhere

        out._backward = backward
        return out

    def interrupted(self, i, j):
        """A callback raises. How far the sweep came is up to a set's order: forget what it did."""
        value = self.at(i)
        own, value._backward = value._backward, lambda: 1 / 0
        logged = len(self.log)
        try:
            self.at(j).backward()
            self.log.append("not reached")
        except (ArithmeticError, TypeError):
            del self.log[logged:]
            clear_gradients(*self.v, *self.model.parameters())
        value._backward = own

    def edit_prev(self, i, j):
        value, other = self.at(i), self.at(j)
        if value not in nodes_under(other):
            value._prev = {other}

    def copy(self, i):
        import copy
        self.model = copy.deepcopy(self.model)

    def set_data(self, i, x):
        self.at(i).data = x

    def set_grad(self, i, x): self.at(i).grad = x
    def whole(self, i, x): return self.model(x)
    def call2(self, i, j): return [self.model([0.25 * i, -j]), self.model([0.5, 1.0 * j, 3])]
    def layer(self, i, x): return self.model.layers[i % len(self.model.layers)](x)

    def neuron(self, i, x):
        layer = self.model.layers[i % len(self.model.layers)]
        return layer.neurons[i % len(layer.neurons)](tuple(x))

    def model_of_values(self, i, js): return self.model([self.at(j) for j in js])
    def layer_of_values(self, i, js): return self.layer(i, [self.at(j) for j in js])

    def chain(self, i, js):
        h = self.model.layers[0]([self.at(j) for j in js])
        return self.model.layers[-1](h if isinstance(h, list) else [h])

    def set_weight(self, i, x):
        self.weight(i).data = x

    def weight_grad(self, i, x): self.weight(i).grad = x

    def weight_object(self, i, x):
        from fractions import Fraction
        self.weight(i).grad = Fraction(1, 3)

    def weight_callback(self, i, x):
        weight = self.weight(i)
        weight._backward = lambda: self.log.append(("weight", rounded(weight.grad)))

    def one_neuron(self, i):
        layer = self.model.layers[i % len(self.model.layers)]
        return layer.neurons[i * 3 % len(layer.neurons)]

    def replace_weight(self, i, x): self.one_neuron(i).w[0] = self.Value(x) if i % 3 else self.at(i)
    def share_weight(self, i, x): self.one_neuron(i).w[-1] = self.weight(i + 1)
    def replace_neuron(self, i):
        layer = self.model.layers[0]
        layer.neurons[i % len(layer.neurons)] = self.nn.Neuron(len(layer.neurons[0].w))

    def function(self, i, name): return getattr(self.at(i), name)()
    def maximum(self, i, j): return self.at(i).maximum(self.at(j))
    def minimum(self, i, j): return self.at(i).minimum(self.at(j))
    def power(self, i, j):
        a, b = self.at(i), self.at(j)
        if abs(a.data) < 64 and abs(b.data) < 64:      # 2**53 ** 2**53 takes all memory there is
            return a ** b
        return []
    def nonlin(self, i, name): self.one_neuron(i).nonlin = name

    def activation(self, i, name):
        for layer in self.model.layers[i % 2:]:
            for neuron in layer.neurons:
                neuron.nonlin = name

    def zero_grad(self, i): self.model.zero_grad()

    def update(self, i):
        for p in self.model.parameters():
            if not isinstance(p.grad, (int, float)) or abs(p.grad) < 100:
                p.data -= 0.125 * round(p.grad, 3)

    def all_weights(self, i):
        return [sum(p * p for p in self.model.parameters())]


def rounded(x):
    """A number as text, gradients compared to nine digits, with its type."""
    if isinstance(x, float) and math.isfinite(x):
        return type(x).__name__, f"{x + 0.0:.8e}" if abs(x) > 1e-9 else "0"
    return type(x).__name__, str(x)


def described(root):
    nodes, edges = nodes_under(root), edges_under(root)
    text = {v: (v._op, type(v.data).__name__, repr(v.data)) for v in nodes}
    return (collections.Counter((*text[v], rounded(v.grad)) for v in nodes),
            collections.Counter((text[a], text[b]) for a, b in edges))


def close(a, b):
    """Two texts of numbers from `rounded`, equal but for rounding."""
    if a == b:
        return True
    try:
        return (a[0] == b[0]
                and cmath.isclose(complex(a[1]), complex(b[1]), rel_tol=1e-6, abs_tol=1e-7))
    except (ValueError, TypeError, IndexError):
        return False


def same_log(a, b):
    """In any order: which of two callbacks comes first may depend on that of a set."""
    a, b = sorted(a, key=repr), sorted(b, key=repr)
    return len(a) == len(b) and all(
        x == y or close(x, y) or (
            isinstance(x, tuple) and x[0] in ("callback", "weight") and close(x[1], y[1]))
        for x, y in zip(a, b))


def compare(a, b):
    assert a.broken == b.broken
    assert same_log(a.log, b.log), (a.log, b.log)
    assert len(a.v) == len(b.v)
    for x, y in zip(a.v + a.model.parameters(), b.v + b.model.parameters()):
        assert type(x.data) is type(y.data) and repr(x.data) == repr(y.data)
        assert a.broken or close(rounded(x.grad), rounded(y.grad)), (x.data, x.grad, y.grad)


def compare_graphs(a, b):
    for x, y in zip(a.v, b.v):
        (nodes_x, edges_x), (nodes_y, edges_y) = described(x), described(y)
        assert edges_x == edges_y
        left, right = sorted((nodes_x - nodes_y).elements()), sorted((nodes_y - nodes_x).elements())
        assert len(left) == len(right)
        for p, q in zip(left, right):       # gradients that differ in the last digits
            assert p[:3] == q[:3] and close(p[3], q[3]), (p, q)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 9), shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
       steps=st.lists(step, max_size=30))
def test_same_program_same_result(seed, shape, steps):
    pair = [Program(twin, seed, shape).run(steps) for twin in (twins.COMPILED, twins.REFERENCE)]
    compare(*pair)
    if not pair[0].broken:
        compare_graphs(*pair)
