"""What is timed: each workload runs on any engine, and says what it computed.

A workload has `run()`, one forward and backward pass or one training step, and `result()`, numbers
that must be the same on every engine: the output and a digest of the gradients (after a training
step, of the parameters). A peer without Values of its own takes a workload apart instead:
`numbers()` are the inputs or parameters, `graph(leaves)` builds the output from them, and
`changes(gradients, k)` is what step k adds to each parameter.
"""
import random

import microgpt
import own
from micrograd.engine import Value
from micrograd.nn import MLP


def digest(numbers):
    """A few numbers that tell whether two long lists are the same."""
    numbers = list(map(float, numbers))
    middle = len(numbers) // 2
    return [sum(map(abs, numbers)), numbers[0], numbers[middle], numbers[-1]]


def count(root):
    """The nodes under one node."""
    seen, stack = {id(root)}, [root]
    while stack:
        for child in stack.pop()._prev:
            if id(child) not in seen:
                seen.add(id(child))
                stack.append(child)
    return len(seen)


class Expression:
    """One output of some inputs: forward, backward, the gradients of the inputs."""

    trains = False

    def __init__(self, inputs, graph, size=None):
        self.inputs, self.graph, self.size = inputs, graph, size
        self.out = self.leaves = None

    def reset(self):
        """Back to the state before the first run."""

    def numbers(self):
        return self.inputs

    def forward(self):
        self.out = None         # the last graph is released before the next is built, as in a loop
        self.leaves = [Value(x) for x in self.inputs]
        self.out = self.graph(self.leaves)

    def backward(self):
        self.out.backward()

    def run(self):
        self.forward()
        self.backward()

    def result(self):
        return [float(self.out.data), *digest(x.grad for x in self.leaves)]

    def nodes(self):
        self.forward()
        return count(self.out)


def readme(leaves):
    """The expression of micrograd's README."""
    a, b = leaves
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def chain(steps):
    """x*a + b, over and over: as deep as a graph of its size can be."""
    def graph(leaves):
        x, a, b = leaves
        for _ in range(steps):
            x = x * a + b
        return x

    return Expression([0.5, 0.999, 0.01], graph, steps)


def tree(size):
    """A sum of squares, in pairs: as shallow as a graph of its size can be."""
    return Expression([1 + i % 7 / 8 for i in range(size)], sum_of_squares)


def sum_of_squares(leaves):
    row = [x * x for x in leaves]
    while len(row) > 1:
        row = [a + b for a, b in zip(row[::2], row[1::2])] + row[len(row) & ~1:]
    return row[0]


def check_own_nodes():
    """NotImplementedError for an engine in which a program cannot make a node itself."""
    if not hasattr(Value(0.0), "_prev"):
        raise NotImplementedError("it has no nodes that a program makes itself")


class Own(Expression):
    """A chain of steps that the program writes itself; `methods` are put on Value, for good."""

    def __init__(self, inputs, step, steps, make=Value, methods=None):
        check_own_nodes()
        super().__init__(inputs, None, steps)
        self.step, self.make = step, make
        self.methods = methods or {}

    def reset(self):
        own.patch(Value, self.methods)

    def forward(self):
        self.out = None
        x, *others = self.leaves = [self.make(x) for x in self.inputs]
        for _ in range(self.size):
            x = self.step(x, *others)
        self.out = x


def replace_parameters(model, values):
    values = iter(values)
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.w = [next(values) for _ in neuron.w]
            neuron.b = next(values)


class Network(Expression):
    """The sum of an MLP's outputs, and the gradients of its parameters. `above` is an operation
    of the program's own, on each output."""

    def __init__(self, width, depth, above=None):
        if above:
            check_own_nodes()
        self.above = above
        random.seed(width * depth)
        self.model = MLP(width, [width] * depth)
        self.inputs = [random.uniform(-1, 1) for _ in range(width)]

    def numbers(self):
        return [float(p.data) for p in self.model.parameters()]

    def graph(self, leaves):
        replace_parameters(self.model, leaves)
        return self.output()

    def output(self):
        outputs = self.model([Value(x) for x in self.inputs])
        return sum(map(self.above, outputs) if self.above else outputs)

    def forward(self):
        self.out = None
        self.out = self.output()

    def backward(self):
        self.model.zero_grad()
        self.out.backward()

    def result(self):
        return [float(self.out.data), *digest(p.grad for p in self.model.parameters())]


class Moons:
    """A training step of the unmodified two-moons demo."""

    trains = True

    def __init__(self):
        self.reset()

    def reset(self):
        import moons  # needs scikit-learn, which the other workloads do not
        self.moons, self.steps, self.out = moons, 0, None
        self.X, self.y, self.model = moons.problem()

    def run(self):
        k, self.steps = self.steps % self.moons.STEPS, self.steps + 1
        self.out, _ = self.moons.step(self.model, self.X, self.y, k)

    def result(self):
        return [float(self.out), *digest(self.numbers())]

    def numbers(self):
        return [float(p.data) for p in self.model.parameters()]

    def graph(self, leaves):
        replace_parameters(self.model, leaves)
        return self.moons.loss(self.model, self.X, self.y)[0]

    def changes(self, gradients, k):
        rate = 1.0 - 0.9 * (k % self.moons.STEPS) / 100
        return [-rate * g for g in gradients]

    def nodes(self):
        return count(self.moons.loss(self.model, self.X, self.y)[0])


class MicroGPT:
    """A training step of a small GPT on one text."""

    trains = True

    def __init__(self):
        self.text = microgpt.tokens()
        self.reset()

    def reset(self):
        self.out = None
        self.model = microgpt.GPT(Value(x) for x in self.numbers())
        self.adam = microgpt.Adam(len(self.numbers()))

    def run(self):
        self.out = microgpt.step(self.model, self.adam, self.text)

    def result(self):
        return [float(self.out), *digest(p.data for p in self.model.parameters())]

    def numbers(self):
        return microgpt.initial()

    def graph(self, leaves):
        return microgpt.GPT(leaves).loss(self.text)

    def changes(self, gradients, k):
        return list(self.adam.changes(gradients))

    def nodes(self):
        return count(self.model.loss(self.text))


class Entry:
    """A line of the table: how to make the workload, its nodes where a formula gives them, the
    sweep of sizes that it belongs to, and whether it patches Value: the process is of no use to
    others then, even if the patch is undone."""

    def __init__(self, title, make, nodes=None, sweep=None, patches=False):
        self.title, self.make, self.nodes, self.sweep = title, make, nodes, sweep
        self.patches = patches


def network_nodes(width, depth):
    """Parameters, products and sums of each layer; ReLUs between; inputs; the final sum."""
    layer = width * (width + 1) + 2 * width * width
    return depth * layer + (depth - 1) * width + width + width + 1


def network_entry(width, depth):
    return Entry(f"MLP, width {width}, depth {depth}", lambda: Network(width, depth),
                 network_nodes(width, depth), "mlp")


def chain_entry(steps, sweep=None):
    return Entry(f"chain of {steps:,} steps", lambda: chain(steps), 2 * steps + 3, sweep)


def tree_entry(size, sweep=None):
    return Entry(f"tree of {size:,} leaves", lambda: tree(size), 3 * size - 1, sweep)


def own_entries(steps=100):
    """Operations of the program's own, in the ways that programs write them; one above an MLP."""
    def entry(title, nodes, inputs, step, **change):
        return Entry(f"{title}, {steps} steps", lambda: Own(inputs, step, steps, **change), nodes,
                     patches="methods" in change)

    numbers = [0.5, 0.999, 0.01]
    return {
        "own-closures": entry("closures", steps + 1, [0.5], own.tanh),
        "own-subclass": entry("a subclass", 2 * steps + 3, numbers, own.plain_step,
                              make=own.Scalar),
        "own-patched": entry("a patched Value", 2 * steps + 3, numbers, own.plain_step,
                             methods=own.LESSON),
        "own-counted": entry("nodes counted in the class", 2 * steps + 3, numbers, own.plain_step,
                             methods=own.COUNTING),
        "own-locals": entry("local gradients", 2 * steps + 3, numbers, own.local_step),
        "own-above": Entry("closures above an MLP, width 64", lambda: Network(64, 1, own.tanh)),
    }


def entries(quick=False):
    """All workloads by name; the quick choice leaves out the large ones."""
    table = {
        "readme": Entry("README expression", lambda: Expression([-4.0, 2.0], readme)),
        "chain": chain_entry(100),
        "tree": tree_entry(1000),
        "moons": Entry("two-moons step", Moons),
        "microgpt": Entry("microgpt step", MicroGPT),
        **own_entries(),
    }
    for width in (4, 16, 64) if quick else (4, 16, 64, 256, 512):
        table[f"mlp-{width}x2"] = network_entry(width, 2)
    for depth in (1,) if quick else (1, 4, 8):
        table[f"mlp-64x{depth}"] = network_entry(64, depth)
    if not quick:
        table["mlp-512x8"] = network_entry(512, 8)
    for decade in range(2, 5 if quick else 8):
        table[f"chain-1e{decade}"] = chain_entry(10**decade // 2 - 1, "chain")
        table[f"tree-1e{decade}"] = tree_entry(10**decade // 3, "tree")
    return table
