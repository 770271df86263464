"""Functions made up by Hypothesis, of every operation, for Values and for tensors of rows.

A function is a list of steps, each (name, i, j, number): it computes one value more, or several,
from those there are, the inputs and parameters first. i and j are taken modulo how many there are.
"""
from hypothesis import strategies as st

from micrograd._functions import FUNCTIONS
from test_functions import THEIRS


def safe(name, a):
    """A value made from a where the function has neither error nor overflow."""
    if name in ("log", "sqrt", "log1p"):
        return a * a + 0.25
    return a.tanh() if name in ("exp", "tan") else a


INPUTS, PARAMETERS = 3, 6


class Operations:
    """For Values."""

    def __init__(self, Value, pick):
        self.constant, self.pick = Value, pick

    def function(self, name, *operands):
        return (operands[0] ** operands[1] if name == "**"
                else getattr(operands[0], name)(*operands[1:]))

    def detach(self, a):
        return a.detach()


class TensorOperations(Operations):
    def __init__(self, torch):
        self.torch = torch

    def constant(self, x):
        return self.torch.tensor(float(x), dtype=self.torch.double)

    def function(self, name, *operands):
        if name in THEIRS:
            return THEIRS[name](self.torch.nn.functional, *operands)
        operands = [x if hasattr(x, "shape") else self.constant(x) for x in operands]
        return super().function(name, *operands)

    def pick(self, values, i):
        rows = self.torch.stack(self.torch.broadcast_tensors(*values, i)[:-1])
        return rows.gather(0, (i % len(values)).long().expand(rows.shape[1:])[None])[0]


def function_of_table(o, name, a, b):
    if name == "**":
        return o.function(name, a * a + 0.25, b.tanh())
    return o.function(name, a, b) if FUNCTIONS[name].db else o.function(name, safe(name, a))


def dot(o, v, i, j, bias):
    """bias + w0*x0 + w1*x1 + ..., in the two orders that programs write it."""
    n = 2 + i % 3
    pairs = [(v[(i + k) % len(v)], v[(j + k) % len(v)]) for k in range(n)]
    products = [a * b for a, b in pairs]
    return sum(products, bias) if j % 2 else sum(products[1:], products[0]) + bias


def layer(o, v, i, j, x):
    """Several sums of products of parameters and the same inputs, written in one of the ways."""
    w, xs = v[INPUTS:INPUTS + PARAMETERS], [v[0], v[i], v[j]]
    neurons = []
    for k in range(1 + j % 10):
        pairs = [(w[(k + m) % PARAMETERS], y) for m, y in enumerate(xs)]
        products = [a * b if k % 2 else b * a for a, b in pairs]
        bias = [None, w[k % PARAMETERS], x, v[i]][i % 4]
        neurons.append(products[0] + products[1] + products[2] if bias is None
                       else sum(products, bias))
    return neurons


def chain(o, v, i, j, x):
    y = v[i]
    for k in range(j * 3):
        y = y * 0.5 + v[j] if k % 3 else y.tanh()
    return y


STEPS = {
    "+": lambda o, v, i, j, x: v[i] + v[j],
    "*": lambda o, v, i, j, x: v[i] * v[j],
    "-": lambda o, v, i, j, x: v[i] - v[j],
    "/": lambda o, v, i, j, x: v[i] / (v[j] * v[j] + 0.5),
    "-a": lambda o, v, i, j, x: -v[i],
    "a + a": lambda o, v, i, j, x: v[i] + v[i],
    "a * a": lambda o, v, i, j, x: v[i] * v[i],
    "a + number": lambda o, v, i, j, x: v[i] + x,
    "number - a": lambda o, v, i, j, x: x - v[i],
    "a * number": lambda o, v, i, j, x: v[i] * x,
    "a / number": lambda o, v, i, j, x: v[i] / (x or 1.0),
    "number / a": lambda o, v, i, j, x: x / (v[i] * v[i] + 0.5),
    "a ** 2": lambda o, v, i, j, x: v[i] ** 2,
    "a ** 3": lambda o, v, i, j, x: v[i] ** 3,
    "a ** 1": lambda o, v, i, j, x: v[i] ** 1,
    "a ** 0": lambda o, v, i, j, x: (v[i] * v[i] + 0.5) ** 0,
    "a ** -2": lambda o, v, i, j, x: (v[i] * v[i] + 0.5) ** -2,
    "a ** 0.5": lambda o, v, i, j, x: (v[i] * v[i] + 0.5) ** 0.5,
    "number ** a": lambda o, v, i, j, x: (abs(x) + 0.5) ** v[i].tanh(),
    "relu": lambda o, v, i, j, x: v[i].relu(),
    "leaky_relu": lambda o, v, i, j, x: v[i].leaky_relu(0.25) if o.__class__ is Operations else
    o.torch.nn.functional.leaky_relu(v[i], 0.25),
    "maximum of a number": lambda o, v, i, j, x: o.function("maximum", v[i], x),
    "clamp": lambda o, v, i, j, x: o.function("minimum", o.function("maximum", v[i], -0.7),
                                              x * x + 0.1),
    "constant": lambda o, v, i, j, x: o.constant(x),
    "constant arithmetic": lambda o, v, i, j, x: (o.constant(x) * 3 + 1) * v[i],
    "dot": lambda o, v, i, j, x: dot(o, v, i, j, v[j]),
    "dot alone": lambda o, v, i, j, x: v[i] * v[j] + v[0] * v[INPUTS],
    "dot and number": lambda o, v, i, j, x: dot(o, v, i, j, x),
    "neuron": lambda o, v, i, j, x: dot(o, v, i, j, v[i]).tanh(),
    "layer": layer,
    "chain": chain,
    "detach": lambda o, v, i, j, x: o.detach(v[i]) * v[j],
    "pick": lambda o, v, i, j, x: o.pick([v[i], v[j], v[i] * 2], o.constant(j % 3)),
    "pick by the row": lambda o, v, i, j, x: o.pick([v[i], v[j], v[i] + v[j]], v[0]),
    **{name: lambda o, v, i, j, x, name=name: function_of_table(o, name, v[i], v[j])
       for name in FUNCTIONS},
}

FAILING = {     # with errors, in some rows
    "1 / a": lambda o, v, i, j, x: 1 / v[i],
    "log of a": lambda o, v, i, j, x: (v[i] + 1.5).log(),
    "exp of a": lambda o, v, i, j, x: (v[i] * 300).exp(),
    "root of a": lambda o, v, i, j, x: v[i].relu() ** 0.5,
}

number = st.one_of(st.floats(-3, 3).map(lambda x: round(x, 3)), st.integers(-3, 3),
                   st.sampled_from([0.0, -0.0]))
def step(names):
    return st.tuples(st.sampled_from(sorted(names)), st.integers(0, 9), st.integers(0, 9), number)


# A step that fails comes last: of what no result depends on, a recording knows nothing.
steps = st.builds(list.__add__, st.lists(step(STEPS), min_size=1, max_size=14),
                  st.lists(step(FAILING), max_size=1))


def compute(o, steps, inputs, parameters):
    """The last three of all values. The first input is a place to pick."""
    v = [*inputs, *parameters]
    for name, i, j, x in steps:
        made = {**STEPS, **FAILING}[name](o, v, i % len(v), j % len(v), x)
        v += made if isinstance(made, list) else [made]
    return v[-3:]
