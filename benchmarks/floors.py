"""Two floors, with no graph: the arithmetic of the workloads by hand, in Python floats and in C.

Both read and write the workload's numbers; the C is floor.c, compiled on the spot.
"""
import array
import ctypes
import pathlib
import shlex
import shutil
import subprocess
import sysconfig
import tempfile

from workloads import digest


def relu(x):
    return x if x > 0 else 0.0


def readme(x):
    """Output and gradients of the README's expression, differentiated by a person."""
    a, b = x
    add, sub = a + b, b - a
    c = 4 * add + 3 - a
    d = 12 * (a * b + b**3) + 4 * relu(add) + relu(sub)
    e = c - d
    f = e * e
    de = 2 * e * (0.5 - 10.0 / (f * f))
    up, down = add > 0, sub > 0
    return f / 2.0 + 10.0 / f, [de * (3 - (12 * b + 4 * up - down)),
                                de * (4 - (12 * (a + 3 * b * b) + 4 * up + down))]


def chain(x, steps):
    x, a, b = x
    xs = []
    for _ in range(steps):
        xs.append(x)
        x = x * a + b
    up, da, db = 1.0, 0.0, 0.0
    for before in reversed(xs):
        da += up * before
        db += up
        up *= a
    return x, [up, da, db]


def tree(x):
    return sum([xi * xi for xi in x]), [2 * xi for xi in x]


def forward(layers, x):
    """The input and every layer's output; a neuron is its weights, then its bias."""
    ys = [x]
    for layer in layers:
        y = [sum([wi * xi for wi, xi in zip(w, x)], w[-1]) for w in layer]
        x = y if layer is layers[-1] else [relu(yi) for yi in y]
        ys.append(x)
    return ys


def backward(layers, ys, dy, grads):
    """Adds to grads, of the layers' shape, given the gradient of the last output."""
    for layer, x, y, gs in zip(layers[::-1], ys[-2::-1], ys[::-1], grads[::-1]):
        dx = [0.0] * len(x)
        for w, g, yi, up in zip(layer, gs, y, dy):
            if layer is not layers[-1] and yi <= 0:
                continue
            for i, xi in enumerate(x):
                g[i] += up * xi
                dx[i] += up * w[i]
            g[-1] += up
        dy = dx


def zeros(layers):
    return [[[0.0] * len(w) for w in layer] for layer in layers]


def flat(layers):
    return [x for layer in layers for w in layer for x in w]


def nested(model):
    return [[[float(p.data) for p in n.parameters()] for n in layer.neurons]
            for layer in model.layers]


class Formula:
    """A workload as a function of its inputs."""

    def __init__(self, workload, function):
        self.workload, self.function = workload, function

    def reset(self):
        pass

    def run(self):
        self.out, self.gradients = self.function(self.workload.inputs)

    def result(self):
        return [float(self.out), *digest(self.gradients)]


class FloatNetwork(Formula):
    def __init__(self, workload):
        self.workload, self.layers = workload, nested(workload.model)

    def run(self):
        ys = forward(self.layers, self.workload.inputs)
        grads = zeros(self.layers)
        backward(self.layers, ys, [1.0] * len(ys[-1]), grads)
        self.out, self.gradients = sum(ys[-1]), grads

    def result(self):
        return [self.out, *digest(flat(self.gradients))]


class FloatMoons(Formula):
    def __init__(self, workload):
        self.workload = workload

    def reset(self):
        self.workload.reset()
        self.layers, self.steps = nested(self.workload.model), 0
        self.X, self.y = self.workload.X.tolist(), self.workload.y.tolist()

    def run(self):
        grads, data, layers = zeros(self.layers), 0.0, self.layers
        for x, label in zip(self.X, self.y):
            ys = forward(layers, x)
            margin = 1 - label * ys[-1][0]
            if margin > 0:
                data += margin
                backward(layers, ys, [-label / len(self.X)], grads)
        self.out = data / len(self.X) + 1e-4 * sum([p * p for p in flat(layers)])
        self.learn(grads)

    def learn(self, grads):
        rate = -self.workload.changes([1.0], self.steps)[0]
        self.steps += 1
        self.layers = [[[p - rate * (g + 2e-4 * p) for p, g in zip(w, gs)]
                        for w, gs in zip(layer, glayer)] for layer, glayer in
                       zip(self.layers, grads)]

    def result(self):
        return [self.out, *digest(flat(self.layers))]


FLOATS = {
    "readme": lambda workload: Formula(workload, readme),
    "chain": lambda workload: Formula(workload, lambda x: chain(x, workload.size)),
    "tree": lambda workload: Formula(workload, tree),
    "mlp": FloatNetwork,
    "moons": FloatMoons,
}

library = None      # of floor.c


def compiler():
    """The compiler that Python was built with, or cc: a list of words, empty if there is none."""
    words = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    return words if shutil.which(words[0]) else ["cc"] if shutil.which("cc") else []


def compile_c():
    global library
    if not compiler():
        raise ImportError("no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "floor.so"
        source = pathlib.Path(__file__).with_name("floor.c")
        subprocess.run([*compiler(), "-O3", "-shared", "-fPIC", "-o", made, source, "-lm"],
                       check=True)
        library = ctypes.CDLL(str(made))
    for name in ("readme", "chain", "tree", "mlp", "moons"):
        getattr(library, name).restype = ctypes.c_double


def doubles(numbers):
    """The numbers in C, and a pointer to them."""
    numbers = array.array("d", numbers)
    return numbers, ctypes.c_void_p(numbers.buffer_info()[0])


class CFormula(Formula):
    def __init__(self, workload, name, *sizes):
        self.x, x = doubles(workload.inputs)
        self.gradients, grads = doubles([0.0] * len(workload.inputs))
        self.arguments = x, grads, *map(ctypes.c_long, sizes)
        self.function = getattr(library, name)

    def run(self):
        self.out = self.function(*self.arguments)


class CNetwork(Formula):
    def __init__(self, workload):
        self.workload = workload
        self.place()
        self.x, x = doubles(workload.inputs)
        self.arguments = *self.shape, self.w_at, x, self.gradients_at

    def place(self):
        """The sizes of the layers, the parameters and room for their gradients, in C."""
        layers = nested(self.workload.model)
        sizes = [len(layers[0][0]) - 1] + [len(layer) for layer in layers]
        self.shape = ctypes.c_long(len(layers)), (ctypes.c_long * len(sizes))(*sizes)
        self.w, self.w_at = doubles(flat(layers))
        self.gradients, self.gradients_at = doubles([0.0] * len(self.w))

    def run(self):
        self.out = library.mlp(*self.arguments)


class CMoons(CNetwork):
    def __init__(self, workload):
        self.workload = workload

    def reset(self):
        self.workload.reset()
        self.place()
        self.steps = 0
        self.X, self.X_at = doubles(self.workload.X.ravel())
        self.y, self.y_at = doubles(map(float, self.workload.y))

    def run(self):
        rate = ctypes.c_double(-self.workload.changes([1.0], self.steps)[0])
        self.steps += 1
        self.out = library.moons(*self.shape, self.w_at, self.X_at, self.y_at,
                                 ctypes.c_long(len(self.y)), rate, self.gradients_at)

    def result(self):
        return [self.out, *digest(self.w)]


C = {
    "readme": lambda workload: CFormula(workload, "readme"),
    "chain": lambda workload: CFormula(workload, "chain", workload.size),
    "tree": lambda workload: CFormula(workload, "tree", len(workload.inputs)),
    "mlp": CNetwork,
    "moons": CMoons,
}
