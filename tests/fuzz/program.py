"""Programs written in bytes: a byte names an operation, those that follow its arguments.

Any bytes are a program, so that a fuzzer may make them up. The first byte chooses one of two kinds:

    tame    runs on the reference and then on the compiled engine; everything that the first one
            sees is noted, and the second one must see the same: data to the last bit, gradients to
            rounding
    wild    runs on the compiled engine alone, and may do what has no defined result: change the
            graph in callbacks and finalizers, raise, start threads, patch classes

After either the pool must be empty. To add an operation, append a function to the end of
operations.py: the corpus names operations by place. `python3 run.py fuzz replay FILE` runs one.
"""
import cmath
import gc
import math
import pickle
import sys
import weakref
from array import array
from fractions import Fraction
from numbers import Complex

import twins
from allocations import IDLE, living_allocations
from graphs import nodes_under

try:
    import numpy as np
except ImportError:
    np = None

REGISTERS = 12
FUEL = 150              # operations in a program, those in callbacks included
PATCHED_CALLS = 500_000     # of methods that a program has patched: some seconds
ANY = math.inf          # as a scale: no matter what the second engine sees
DEPTH = 3               # of callbacks in callbacks
HUGE = 1e6              # results beyond are not kept: sums are exact, and gradients comparable
SHAPES = [(2, 1), (1, 1), (2, 3, 1), (3, 2, 2), (1, 4, 1), (4, 1), (2, 2, 2, 2), (1, 1, 1)]
EXPECTED = (ArithmeticError, AssertionError, AttributeError, BufferError, ImportError,
            KeyboardInterrupt, LookupError, MemoryError, NameError, RuntimeError, TypeError,
            ValueError, pickle.PickleError)


class Thrown(Exception):
    """What the callbacks of wild programs raise."""


class Differs(AssertionError):
    """The engines do not agree."""


class Bytes:
    """The program, read from front to back; zeros after its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def more(self):
        return self.at < len(self.data)

    def piece(self, count):
        """The next bytes as a program of their own."""
        self.at += count
        return Bytes(self.data[self.at - count:self.at])


class Notes:
    """What one engine saw, to compare with what the other one sees."""

    def __init__(self):
        self.notes, self.at, self.checking = [], 0, False

    def check(self):
        self.checking = True
        return self

    def note(self, what, seen, scale=None):
        """Note something seen; gives what was seen the first time."""
        if not self.checking:
            self.notes.append((what, seen))
            return seen
        if self.at == len(self.notes):
            raise Differs(f"{what} {seen!r}: the reference had ended")
        before = self.notes[self.at]
        self.at += 1
        if before[0] != what or not same(before[1], seen, scale):
            raise Differs(f"reference: {before!r}, compiled: {(what, seen)!r}")
        return before[1]


def same(a, b, scale):
    if scale is None or scale == ANY or a == b:
        return scale == ANY or a == b
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(same(x, y, scale) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return not scale < 1e12 or abs(a - b) <= 1e-6 * (1 + scale) or (a != a and b != b)
    return False


class Machine:
    """Registers full of Values, models, and the operations on them."""

    def __init__(self, twin, code, notes=None):
        self.Value, self.nn, self.recording = twin.Value, twin.nn, twin.recording
        self.code = code
        self.wild = notes is None
        self.notes = notes
        self.fuel, self.depth, self.patched_calls = FUEL, 0, 0
        self.v = [self.Value(0.5), self.Value(-1.25)]
        self.models, self.classes, self.held, self.recordings = [], [], [], []
        self.references, self.called, self.undo = [], [], []
        self.callbacks = False  # some node has one of the program's
        self.scale = 0.0        # the largest gradient so far

    # What the operations are made of.

    def byte(self): return self.code.byte()
    def value(self): return self.v[self.byte() % len(self.v)]
    def values(self): return [self.value() for _ in range(self.byte() % 6)]
    def number(self): return number(self.byte(), self.wild)
    def numbers(self): return [self.number() for _ in range(self.byte() % 5)]

    def model(self):
        if not self.models:
            self.make_model(self.byte())
        return self.models[self.byte() % len(self.models)]

    def make_model(self, shape, **options):
        nin, *nouts = SHAPES[shape % len(SHAPES)]
        model = self.nn.MLP(nin, nouts, **options)
        for i, p in enumerate(model.parameters()):
            p.data = ((shape + 5) * (i + 3) * 7 % 33 - 16) / 8     # few bits: sums are exact
        self.models = [*self.models, model][-2:]

    def layer(self):
        layers = self.model().layers
        return layers[self.byte() % len(layers)]

    def neuron(self):
        neurons = self.layer().neurons
        return neurons[self.byte() % len(neurons)]

    def weight(self):
        parameters = self.model().parameters()
        return parameters[self.byte() % len(parameters)]

    def keep(self, made):
        for value in made if isinstance(made, list) else [made]:
            if isinstance(value, self.Value) and is_modest(value.data):
                self.put(value)

    def put(self, value):
        self.v.append(value)
        if len(self.references) < 100:
            self.references.append(weakref.ref(value))
        if len(self.v) > REGISTERS:
            del self.v[0]

    def note(self, what, seen, scale=None):
        return seen if self.wild else self.notes.note(what, seen, scale)

    def decide(self, what, question):
        """The reference's answer to a question that it would disturb the compiled engine to ask."""
        if self.wild:
            return question()
        return self.notes.note(what, None if self.notes.checking else question(), ANY)

    def note_value(self, what, value):
        grad = value.grad
        if isinstance(grad, complex):   # its sum with numpy's numbers has the type of the first
            grad = complex(grad)
        if self.recordings and isinstance(grad, Complex) and not grad.imag:
            grad = float(grad.real) + 0.0  # compiled, these add floats, 0.0 or 0j for none
        self.note(what, described(value.data))
        self.note(what + " gradient", described(grad), self.scale)

    def know_scale(self):
        if not self.wild:
            self.scale = self.decide("scale", self.largest_gradient)

    def largest_gradient(self):
        """ANY where a complex nan may have passed a recording, which multiplies it by one
        derivative for each operand: 0 and nan give nan, also where a maximum passes nothing on."""
        grads = [node.grad for root in self.v for node in nodes_under(root)]
        if self.recordings and any(isinstance(g, complex) and not cmath.isfinite(g) for g in grads):
            return ANY
        return max(self.scale, *(abs(as_float(g)) for g in grads))

    # Running.

    def run(self):
        self.steps(self.code)
        if not self.wild:
            self.describe_all()

    def steps(self, code):
        from operations import AVOIDED, OPERATIONS
        outer, self.code = self.code, code
        try:
            while code.more() and self.fuel > 0:
                self.fuel -= 1
                which = code.byte()
                operation = OPERATIONS[which] if which < len(OPERATIONS) else None
                if operation and operation.wild <= self.wild and operation.__name__ not in AVOIDED:
                    self.step(operation)
        finally:
            self.code = outer

    def step(self, operation):
        try:
            operation(self)
            failed = None
        except (*EXPECTED, Thrown) as error:
            if isinstance(error, Differs):
                raise
            failed = type(error).__name__
        self.note(operation.__name__, failed)

    def nested(self, piece):
        """A piece of the program that a callback runs."""
        if self.depth < DEPTH and self.fuel > 0 and self.v is not None:
            self.depth += 1
            try:
                self.steps(Bytes(piece))
            finally:
                self.depth -= 1

    def count_patched_call(self):
        self.patched_calls += 1
        if self.patched_calls > PATCHED_CALLS:
            raise Thrown

    def release_replaced(self):
        """A fused layer holds the weights that were replaced until it is used again, and its
        outputs do until the graph is looked at."""
        for value in self.v:
            nodes_under(value)
        for layer in [layer for model in self.models for layer in vars(model)["layers"]]:
            self.nn.__core__._predict([layer], array("d", [0]), 1)  # looks at it, also while traced
        gc.collect()

    def describe_all(self):
        self.know_scale()
        for value in self.v:
            self.note_value("value", value)
        for model in self.models:
            for p in model.parameters():
                self.note_value("parameter", p)
        for value in self.v:
            self.describe_graph(value)

    def describe_graph(self, root):
        """How many nodes of a kind there are, and the sums of their gradients."""
        kinds = {}
        for node in nodes_under(root):
            key = node._op, repr(node.data)
            count, total = kinds.get(key, (0, 0.0))
            kinds[key] = count + 1, total + as_float(node.grad)
        self.note("graph", [(*key, *kinds[key]) for key in sorted(kinds)], self.scale * 100)

    def end(self):
        for undo in reversed(self.undo):
            undo()
        order = self.v
        if order and self.wild:
            turn = self.fuel % len(order)
            order = order[turn:] + order[:turn]
        self.v = self.models = self.classes = self.held = self.undo = self.recordings = None
        while order:
            order.pop()


def number(byte, wild):
    """Numbers of few bits, of several types; in wild programs also the strangest."""
    if byte < 128:
        return (byte - 64) / 8
    if byte < 160:
        return byte - 144
    if byte < 170 and np is not None:
        return np.float64((byte - 165) / 4)
    if byte < 180:
        return [0.0, -0.0, True, False, 1, 0, 0.5, -1, 2, 1.0][byte - 170]
    return strange(byte) if wild else (byte - 200) / 4


def strange(byte):
    choices = [math.inf, -math.inf, math.nan, 1e300, 1e-300, 2**53, -2**60, 10**400, Fraction(1, 3),
               1j, "text", None, (), [1.0]]
    if np is not None:
        choices += [np.float32(0.5), np.int64(3), np.array([1.0, 2.0]), np.bool_(True),
                    np.float64("nan"), np.float64(1e308)]
    return choices[byte % len(choices)]


def is_modest(x):
    try:
        return abs(x) < HUGE
    except (TypeError, ValueError, ArithmeticError):
        return False


def described(x):
    """A number as something to compare: its type, and what it is."""
    if isinstance(x, complex):
        return type(x).__name__, float(x.real), float(x.imag)
    is_float = isinstance(x, (int, float)) or (type(x).__name__ == "float32" and math.isfinite(x))
    return type(x).__name__, as_float(x) if is_float else repr(x), repr(x) == "-0.0"


def as_float(x):
    try:
        x = float(x.real if isinstance(x, complex) else x)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return x if math.isfinite(x) else 0.0


def run(data):
    """Run a program as its first byte says."""
    compiled = twins.COMPILED or twins.REFERENCE
    references = []
    if data[:1] and data[0] & 1:
        references += once(Machine(compiled, Bytes(data[1:])))
    else:
        notes = Notes()
        once(Machine(twins.REFERENCE, Bytes(data[1:]), notes))
        references += once(Machine(compiled, Bytes(data[1:]), notes.check()))
    check_that_nothing_is_left(references)


def once(machine):
    try:
        machine.run()
    finally:
        machine.end()
    return machine.references


def cut_cycles_through_arrays():
    """The collector does not see what numpy's arrays of objects hold: nobody frees such a cycle."""
    for value in gc.get_objects():
        for name in ("data", "grad") if type(value) is twins.COMPILED.Value else ():
            if type(getattr(value, name, None)).__name__ == "ndarray":
                setattr(value, name, 0)
    gc.collect()


def check_that_nothing_is_left(references):
    for _ in range(3):          # finalizers may bring a Value back, once
        gc.collect()
    pool = sys.modules["micrograd._core"]._count_values if twins.COMPILED else int
    if pool():
        cut_cycles_through_arrays()
    living = [r for r in references if r() is not None]
    count = pool()
    blocks = max(living_allocations() - IDLE, 0) if twins.COMPILED else 0
    if living or count or blocks:
        raise AssertionError(f"left: {count} Values in the pool, {len(living)} that references "
                             f"know, {blocks} blocks of memory")
