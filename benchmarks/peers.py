"""Other people's engines: PyTorch 0-d tensors, XAD, CasADi. Each opens as a class of workloads.

The workloads and micrograd's own nn.py take Value from micrograd.engine; here a stand-in of that
name gives them the peer's number instead, so that every engine runs the same statements.
"""
import importlib
import sys
import time
import types


def stand_in(Value):
    """From now on `from micrograd.engine import Value` gives this class."""
    import micrograd  # the package stays; only its engine is replaced
    engine = types.ModuleType("micrograd.engine")
    engine.Value, engine.__engine__ = Value, "a stand-in"
    engine.__core__ = importlib.import_module("micrograd._engine_py")     # which has no short cuts
    sys.modules["micrograd.engine"] = micrograd.engine = engine


def torch_scalars():
    """A float64 tensor of no dimensions for each Value."""
    import torch
    torch.set_num_threads(1)

    class Value:
        exp, log = torch.Tensor.exp, torch.Tensor.log       # microgpt.py asks

        def __new__(cls, x):
            return torch.tensor(float(x), dtype=torch.float64, requires_grad=True)

    def zero_grad(self):
        for p in self.parameters():
            p.grad = torch.zeros_like(p)    # an int, as micrograd sets, is a TypeError here

    stand_in(Value)
    from micrograd.nn import Module
    Module.zero_grad = zero_grad
    return lambda kind, workload: workload


def xad():
    """A tape of active numbers, recorded anew in every run."""
    from xad.adj_1st import Real, Tape
    from xad.math import exp, log, max
    Real.relu = lambda v: max(v, 0.0)
    Real.exp, Real.log = lambda v: exp(v), lambda v: log(v)     # XAD's own are no methods
    Real.data = property(Real.getValue)
    stand_in(Real)
    tape = Tape()
    tape.activate()

    def prepare(kind, workload):
        nonlocal tape
        tape.deactivate()       # a tape stays as long as its largest graph: one for each workload
        tape = Tape()
        tape.activate()
        return Taped(workload, tape)

    return prepare


def casadi():
    """A symbolic graph and that of its gradient, built once, evaluated in every run."""
    import casadi
    casadi.SX.relu = lambda v: casadi.fmax(v, 0)
    casadi.SX.data = property(lambda v: v)
    stand_in(casadi.SX)
    return lambda kind, workload: Symbolic(workload, casadi)


class Functional:
    """A workload as a function of plain numbers: an output and gradients, then the next numbers."""

    def __init__(self, workload):
        self.workload, self.start = workload, workload.numbers()
        self.x, self.steps = self.start, 0

    def reset(self):
        self.workload.reset()
        self.x, self.steps = self.start, 0

    def run(self):
        self.forward()
        self.backward()
        if self.workload.trains:
            changes = self.workload.changes(self.gradients, self.steps)
            self.x = [x + change for x, change in zip(self.x, changes)]
            self.steps += 1

    def result(self):
        from workloads import digest
        return [float(self.out), *digest(self.x if self.workload.trains else self.gradients)]


class Taped(Functional):
    def __init__(self, workload, tape):
        self.tape, self.root, self.leaves = tape, None, None
        super().__init__(workload)

    def forward(self):
        from micrograd.engine import Value as Real
        self.root = None        # XAD reuses the slots of numbers that died: nothing to clear
        self.leaves = [Real(x) for x in self.x]
        self.tape.registerInputs(self.leaves)
        self.tape.newRecording()
        self.root = self.workload.graph(self.leaves)
        self.tape.registerOutput(self.root)

    def backward(self):
        self.root.derivative = 1.0
        self.tape.computeAdjoints()
        self.out, self.gradients = self.root.value, [x.derivative for x in self.leaves]


class Symbolic(Functional):
    def __init__(self, workload, casadi):
        self.casadi, self.function = casadi, None
        super().__init__(workload)

    def reset(self):
        super().reset()
        if self.function is None:
            self.build()

    def build(self):
        start = time.perf_counter()
        x = self.casadi.SX.sym("x", len(self.x))
        out = self.workload.graph(self.casadi.vertsplit(x))
        gradient = self.casadi.gradient(out, x)
        self.function = self.casadi.Function("f", [x], [out, gradient])
        self.build_seconds = time.perf_counter() - start    # not in the timed runs; reported apart

    def forward(self):
        if self.function is None:
            self.build()

    def backward(self):
        out, gradients = self.function(self.x)
        self.out, self.gradients = float(out), gradients.full().ravel().tolist()
