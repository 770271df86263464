"""The workloads of recordings.py in arrays: a loss of each, as a person writes it for each library.

A library makes of a loss a step to time: a function of its number k, which returns the loss and,
unless it trains, the gradients. CasADi has the losses in its own words.
"""
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import numpy

from microgpt import GPT, HEAD, HEADS, LENGTH, SHAPES, WIDTH
from recorded import WIDTHS, network, rate

MASK = numpy.triu(numpy.full((LENGTH, LENGTH), -numpy.inf), 1)     # hides the positions to come


def mlp(np, p, x):
    *hidden, (weights, biases) = zip(p[::2], p[1::2])
    for w, b in hidden:
        x = np.relu(x @ w + b)
    return x @ weights + biases


def moons(np, p, X, y):
    return np.relu(1 - y * mlp(np, p, X)[:, 0]).mean() + 1e-4 * sum((a * a).sum() for a in p)


def classifier(np, p, X, t):
    return np.cross_entropy(mlp(np, p, X), t)


def gpt(np, p, text, mask):
    token, position, query, key, value, mix, up, down, logits = p

    def norm(x):
        return x * ((x * x).mean(1, keepdims=True) + 1e-5) ** -0.5

    def heads(x, weights):
        return (x @ weights.T).reshape((LENGTH, HEADS, HEAD)).swapaxes(0, 1)

    x = token[text[:-1]] + position
    q, k, v = (heads(norm(x), weights) for weights in (query, key, value))
    chances = np.softmax(q @ k.swapaxes(1, 2) * HEAD ** -0.5 + mask, -1)
    x = x + (chances @ v).swapaxes(0, 1).reshape((LENGTH, WIDTH)) @ mix.T
    x = x + np.relu(norm(x) @ up.T) @ down.T
    return np.cross_entropy(norm(x) @ logits.T, text[1:])


def error(np, p, x, t):
    """Squared; the parameters are in the order of `network`."""
    for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
        size = outputs * (inputs + 1)
        rows, p = p[:size].reshape((outputs, inputs + 1)), p[size:]
        x = np.tanh(x @ rows[:, :-1].T + rows[:, -1])
    return ((x[:, 0] - t) ** 2).sum()


KINDS = {"moons": ("training", moons), "microgpt": ("gradients", gpt),
         "classifier": ("gradients", classifier), "hessian": ("second", error)}


def matrices(model, of="data"):
    """The weights (inputs, outputs) and the biases (1, outputs) of each layer."""
    for layer in model.layers:
        rows = numpy.array([[float(getattr(p, of)) for p in n.parameters()] for n in layer.neurons])
        yield from (rows[:, :-1].T.copy(), rows[:, -1:].T.copy())


def prepared(workload, weights, *data):
    """The problem, with arrays for its weights."""
    if workload == "hessian":
        return numpy.array(weights), *data
    if workload == "microgpt":
        flat = iter(weights)
        p = [numpy.array([[next(flat) for _ in range(columns)] for _ in range(rows)])
             for rows, columns in SHAPES.values()]
        return p, numpy.array(*data), MASK
    return list(matrices(weights)), *data


class Torch:
    """PyTorch, batched"""

    def __init__(self):
        global torch
        import torch

    compiled = staticmethod(lambda f: f)

    def training(self, loss, p, *data):
        p, data = [torch.tensor(a, requires_grad=True) for a in p], list(map(torch.tensor, data))
        forward = self.compiled(lambda: loss(torch.nn.functional, p, *data))

        def step(k):
            total = forward()
            total.backward()
            with torch.no_grad():
                for a in p:
                    a -= rate(k) * a.grad
                    a.grad = None
            return total.item()
        return step

    def gradients(self, loss, p, *data):
        p, data = [torch.tensor(a, requires_grad=True) for a in p], list(map(torch.tensor, data))
        forward = self.compiled(lambda: loss(torch.nn.functional, p, *data))

        def step(k):
            for a in p:
                a.grad = None
            total = forward()
            total.backward()
            return total.item(), [a.grad for a in p]
        return step

    def second(self, loss, p, *data):
        p, *data = map(torch.tensor, (p, *data))
        second = self.compiled(torch.func.hessian(lambda p: loss(torch.nn.functional, p, *data)))
        return lambda k: second(p)


class Compiled(Torch):
    """torch.compile"""

    def __init__(self):
        super().__init__()
        import_module("torch._inductor.compile_fx")     # else the first result waits for it

    def compiled(self, f):
        return torch.compile(f)


class Jax:
    """JAX, jit"""

    def __init__(self):
        global jax
        import jax
        jax.config.update("jax_enable_x64", True)
        self.np = SimpleNamespace(relu=jax.nn.relu, softmax=jax.nn.softmax, tanh=jax.numpy.tanh,
                                  cross_entropy=self.cross_entropy)

    @staticmethod
    def cross_entropy(logits, t):
        return -jax.nn.log_softmax(logits)[numpy.arange(len(t)), t].mean()

    def gradients(self, loss, *data):
        data = jax.device_put(data)
        sweep = jax.jit(jax.value_and_grad(partial(loss, self.np)))

        def step(k):
            total, gradients = sweep(*data)
            return float(total), gradients
        return step

    def training(self, loss, p, *data):
        p, data = jax.device_put((p, data))

        @jax.jit
        def update(p, rate, *data):
            total, gradients = jax.value_and_grad(partial(loss, self.np))(p, *data)
            return total, [a - rate * g for a, g in zip(p, gradients)]

        def step(k):
            nonlocal p
            total, p = update(p, rate(k), *data)
            return float(total)
        return step

    def second(self, loss, *data):
        data = jax.device_put(data)
        second = jax.jit(jax.hessian(partial(loss, self.np)))
        return lambda k: second(*data).block_until_ready()


class Pytensor:
    """PyTensor"""

    def __init__(self):
        global pytensor
        import pytensor
        from pytensor.tensor import maximum, special, tanh
        self.np = SimpleNamespace(relu=partial(maximum, 0), softmax=special.softmax, tanh=tanh,
                                  cross_entropy=self.cross_entropy)

    @staticmethod
    def cross_entropy(logits, t):
        chances = pytensor.tensor.special.log_softmax(logits, -1)
        return -chances[pytensor.tensor.arange(t.shape[0]), t].mean()

    @staticmethod
    def shared(arrays):
        return [pytensor.shared(a, shape=a.shape) for a in arrays]

    def gradients(self, loss, p, *data):
        p, data = self.shared(p), self.shared(data)
        total = loss(self.np, p, *data)
        sweep = pytensor.function([], [total, *pytensor.grad(total, p)])

        def step(k):
            total, *gradients = sweep()
            return float(total), gradients
        return step

    def training(self, loss, p, *data):
        p, data = self.shared(p), self.shared(data)
        total, r = loss(self.np, p, *data), pytensor.tensor.dscalar()
        updates = [(a, a - r * g) for a, g in zip(p, pytensor.grad(total, p))]
        update = pytensor.function([r], total, updates=updates)
        return lambda k: float(update(rate(k)))

    def second(self, loss, *data):
        raise NotImplementedError("its hessian takes minutes to compile")


class Casadi:
    """CasADi; its map for rows"""

    def __init__(self):
        global casadi
        import casadi
        casadi.SX.relu = self.relu = lambda x: casadi.fmax(x, 0)

    def rows(self, loss, p, *data):
        """The mean over the rows, by the parameters."""
        parts = [casadi.SX.sym("p", *a.T.shape) for a in p]
        row = [casadi.SX.sym("x", a.shape[1]) for a in data]
        total = loss([a.T for a in parts], *[x.T for x in row])
        f = casadi.Function("row", [casadi.veccat(*parts), *row], [total])
        p = casadi.MX.sym("p", f.size1_in(0))
        n = len(data[0])
        return p, f.map("rows", "serial", n, [0], [0])(p, *[a.T for a in data]) / n

    def gradients(self, p, total, numbers):
        sweep = casadi.Function("sweep", [p], [total, casadi.gradient(total, p)])

        def step(k):
            total, gradients = sweep(numbers)
            return float(total), gradients
        return step

    def moons(self, p, X, y):
        numbers = numpy.concatenate([a.ravel() for a in p])
        p, total = self.rows(lambda p, x, t: self.relu(1 - t * mlp(self, p, x)),
                             p, X, y[:, None])
        total, r = total + 1e-4 * casadi.dot(p, p), casadi.MX.sym("rate")
        update = casadi.Function("update", [p, r], [total, p - r * casadi.gradient(total, p)])

        def step(k):
            nonlocal numbers
            total, numbers = update(numbers, rate(k))
            return float(total)
        return step

    def microgpt(self, p, text, mask):
        x = casadi.SX.sym("p", sum(a.size for a in p))
        total = GPT(casadi.vertsplit(x)).loss(text)
        return self.gradients(x, total, numpy.concatenate([a.ravel() for a in p]))

    def classifier(self, p, X, t):
        numbers = numpy.concatenate([a.ravel() for a in p])

        def loss(p, x, t):
            z = mlp(self, p, x)
            return casadi.logsumexp(z.T) - casadi.dot(z, t)
        return self.gradients(*self.rows(loss, p, X, numpy.eye(10)[t]), numbers)

    def hessian(self, numbers, X, y):
        p = casadi.SX.sym("p", len(numbers))
        rows = [network(casadi.vertsplit(p), x) - t for x, t in zip(X, y)]
        second = casadi.Function("second", [p],
                                 casadi.hessian(casadi.sumsqr(casadi.vcat(rows)), p)[:1])
        return lambda k: second(numbers)


ENGINES = {"torch": Torch, "compiled": Compiled, "jax": Jax, "pytensor": Pytensor, "casadi": Casadi}
