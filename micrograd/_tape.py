"""Reverse sweeps over Values: the chain rule of micrograd.gradients.

The engine lists the operations, `DERIVATIVES` has their derivatives, and what a recording gives is
taken apart into the operations that it consists of.
"""
from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from micrograd._functions import DERIVATIVES, FUNCTIONS, sign
from micrograd.engine import Value, __core__
from micrograd.recording import pick


class Tape:
    """The operations that lead from xs to ys, operands before results: what a reverse sweep reads.

    Every result has a place, where a sweep keeps its gradient. A step is (y, a, b, their places,
    da, db): a node, its operands and the derivatives by them, None by one that no x leads to.
    """

    def __init__(self, xs: list[Value], ys: list[Value]) -> None:
        self.xs = xs
        self.places: dict[int, int] = {}
        for x in xs:                            # it may be there twice
            self.places.setdefault(id(x), len(self.places))
        self.steps: list[tuple[Any, ...]] = []
        self.listings: dict[int, Any] = {}      # of recordings' programs, by their ids
        self.unrolled: dict[tuple[int, int], Unrolled] = {}     # by the id of a run, and the row
        only = xs[0] if len(self.places) == 1 else None         # nothing under it leads to it
        self.append(__core__._operations(ys, only))

    def append(self, operations: list[tuple[Any, ...]]) -> None:
        """Append each operation that has an operand on the tape."""
        places, steps = self.places, self.steps
        for y, name, a, b in operations:
            if name is None:
                self.check(y, a)
                continue
            if name in self.OTHERS:
                self.OTHERS[name](self, y, a, b)
                continue
            at_a, at_b, rule = places.get(id(a)), places.get(id(b)), DERIVATIVES[name]
            if at_a is not None or at_b is not None:
                at_y = places.setdefault(id(y), len(places))
                steps.append((y, a, b, at_y, at_a, at_b, None if at_a is None else rule.da,
                              None if at_b is None else rule.db))

    def append_locals(self, y: Value, operands: tuple[Value, ...],
                      gradients: tuple[Any, ...]) -> None:
        """A step for each operand of an operation with local gradients."""
        for operand, gradient in zip(operands, gradients):
            self.append_step(y, operand, gradient, times_local)

    def append_recorded(self, y: Value, run: Any, k: int) -> None:
        """What a recording gives, by the operations that it consists of."""
        if id(run.program) not in self.listings:
            self.listings[id(run.program)] = run.program.listing()
        steps, outputs = self.listings[id(run.program)]
        rows, weight = range(run.rows), run.weight      # of a sum or a mean
        if weight is None:
            row, k = divmod(k, len(outputs))
            rows, weight = range(row, row + 1), 1
        for row in rows:
            unrolled = self.unrolled.get((id(run), row)) or Unrolled(run, row, steps, outputs)
            if len(outputs) > 1 and not __core__._is_recording():   # where a pick has yet to choose
                self.unrolled[id(run), row] = unrolled
            operations, result = unrolled.result(outputs[k])
            self.append(operations)
            self.append_step(y, result, weight, lambda a, b, y, g: b * g)

    def append_pick(self, y: Value, values: tuple[Value, ...], i: Value) -> None:
        """A pick that is being recorded: the gradient goes to the value whose place i is."""
        n = len(values)
        for k, value in enumerate(values):
            self.append_step(y, value, k,
                             lambda a, k, y, g: (is_zero(i - k) + is_zero(i + (n - k))) * g)

    def append_step(self, y: Value, a: Value, b: Any, da: Callable[..., Any]) -> None:
        """The step from an operand on the tape to a result; b is what da takes besides a."""
        place = self.places.get(id(a))
        if place is not None:
            at_y = self.places.setdefault(id(y), len(self.places))
            self.steps.append((y, a, b, at_y, place, None, da, None))

    def append_nothing(self, y: Value, a: Any, b: Any) -> None:
        """An operation that passes no gradient on."""

    OTHERS: dict[str, Callable[..., None]] = {
        "local": append_locals, "recorded": append_recorded, "pick": append_pick,
        "detach": append_nothing, "sign": append_nothing}

    def check(self, y: Value, operands: tuple[Value, ...]) -> None:
        if any(id(operand) in self.places for operand in operands):
            if y._backward is no_second_derivative:
                raise ValueError("a local gradient that is a number has no derivative of its own; "
                                 "for second derivatives give a Value")
            raise ValueError(
                f"the operation {y._op!r} has a _backward of its own, which adds numbers to .grad "
                "and is nothing that grad could differentiate; give local gradients, "
                "Value(y, operands, gradients), or put it together from the functions of Value")

    def numbers(self) -> list[tuple[Any, ...]]:
        """The steps with the data of the nodes in place of the nodes."""
        return [(y.data, a.data, b.data if isinstance(b, Value) else b, *rest)
                for y, a, b, *rest in self.steps]

    def sweep(self, steps: list[tuple[Any, ...]], seeds: Iterable[tuple[Value, Any]]) -> list[Any]:
        """The gradients of xs by the chain rule, from those of some nodes; 0 if there is none."""
        gradients: list[Any] = [None] * len(self.places)
        for node, g in seeds:
            place = self.places.get(id(node))
            if place is not None:
                gradients[place] = g if gradients[place] is None else gradients[place] + g
        for y, a, b, at_y, at_a, at_b, da, db in reversed(steps):
            g = gradients[at_y]
            if g is None:
                continue
            if da is not None:
                more, before = da(a, b, y, g), gradients[at_a]
                gradients[at_a] = more if before is None else before + more
            if db is not None:
                more, before = db(a, b, y, g), gradients[at_b]
                gradients[at_b] = more if before is None else before + more
        found = [gradients[self.places[id(x)]] for x in self.xs]
        return [0 if g is None else g for g in found]


def is_zero(a: Value) -> Any:
    """1 at 0, else 0; for what is being recorded."""
    return 1 - abs(sign(a))             # type: ignore[no-untyped-call]


class Unrolled:
    """A row of a recording as nodes and operations, made as the results need them. What the
    arguments and parameters were computed from is not among them."""

    def __init__(self, run: Any, row: int, steps: list[Any], outputs: list[int]) -> None:
        self.steps, self.several = steps, len(outputs) > 1
        self.given = {"input": run.leaves(row), "parameter": run.program.parameters}
        self.nodes: dict[int, Value] = {}       # by the places of their steps
        self.told: set[int] = set()             # the places whose operations a result has given

    def result(self, output: int) -> tuple[list[Any], Value]:
        """The operations that pass an output's gradient on, without those given for earlier
        outputs; and the output's node."""
        for i in self.under(output, self.nodes, self.operands):
            symbol, *operands = self.steps[i]
            if symbol in UNROLLED:
                self.nodes[i] = UNROLLED[symbol](*[self.nodes[x] for x in operands])
            else:
                y = operands[0] if symbol == "constant" else self.given[symbol][operands[0]]
                self.nodes[i] = y if isinstance(y, Value) else Value(y)
        operations: list[Any] = []
        for i in self.under(output, self.told, self.operands_with_gradients):
            symbol, *operands = self.steps[i]
            y, xs = self.nodes[i], [self.nodes[x] for x in operands] if symbol in UNROLLED else []
            if xs and all(y is not x for x in xs):      # pick gives one that is there
                operations.append((y, *operation(symbol, xs)))
            self.told.add(i)
        return operations, self.nodes[output]

    def under(self, output: int, done: Container[int],
              operands: Callable[[int], list[int]]) -> Sequence[int]:
        """The places of what leads to an output and is not done, operands first."""
        if not self.several:
            return range(len(self.steps))
        new: set[int] = set()
        stack = [output]
        while stack:
            i = stack.pop()
            if i not in done and i not in new:
                new.add(i)
                stack += operands(i)
        return sorted(new)

    def operands(self, i: int) -> list[int]:
        symbol, *operands = self.steps[i]
        return operands if symbol in UNROLLED else []

    def operands_with_gradients(self, i: int) -> list[int]:
        """Those that get a gradient. The others need not be under the result in the graph, and so
        may have no place on the tape yet."""
        if self.steps[i][0] in ("detach", "sign"):
            return []
        operands = self.operands(i)
        if self.steps[i][0] == "pick":
            return [x for x in operands[:-1] if self.nodes[x] is self.nodes[i]] or operands[:-1]
        return operands


def operation(symbol: str, xs: list[Value]) -> tuple[str, Any, Any]:
    """(name, a, b) of an operation of a recording, as the engines give it."""
    if symbol == "pick":
        return symbol, tuple(xs[:-1]), xs[-1]
    if symbol in ("pow", "leaky_relu"):             # by a number
        return "**" if symbol == "pow" else symbol, xs[0], xs[1].data
    return symbol, xs[0], xs[1] if len(xs) == 2 else None


# The operations of a recording, by symbol, over Values.
UNROLLED: dict[str, Callable[..., Value]] = {
    "+": lambda a, b: a + b, "*": lambda a, b: a * b, "**": lambda a, b: a ** b,
    "pow": lambda a, b: a ** b.data, "ReLU": lambda a: a.relu(), "detach": lambda a: a.detach(),
    "sign": lambda a: Value(sign(a)),   # type: ignore[no-untyped-call]
    "leaky_relu": lambda a, b: a.leaky_relu(b.data),
    "pick": lambda *values: pick(values[:-1], values[-1]),
    **{name: getattr(Value, name) for name in FUNCTIONS if name not in ("**", "leaky_relu")},
}


def times_local(a: Any, local: Any, y: Any, g: Any) -> Any:
    """The gradient by an operand with a local gradient. Where that is a number, nobody knows how it
    depends on the operand: right once, and an error the second time."""
    if isinstance(local, Value) or not isinstance(g, Value):
        return local * g
    out = Value(local * g.data, (a, g), "local gradient")
    out._backward = no_second_derivative
    return out


def no_second_derivative() -> None:
    raise ValueError("a local gradient that is a number has no derivative of its own")
