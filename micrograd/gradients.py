"""Gradients that are Values, and so have gradients of their own; Jacobians and Hessians.

Where backward() adds numbers to every `.grad`, `grad` makes new Values and leaves every `.grad`
alone:

>>> from micrograd import Value, grad
>>> x = Value(3.0)
>>> slope, = grad(x ** 3, [x])
>>> slope.data                      # 3 * x**2
27.0
>>> grad(slope, [x])[0].data        # 6 * x
18.0

So a gradient may be part of a loss, and Newton's method is a few lines (docs/gradients.md has
both). At a kink the gradients are those of backward(). The slope of relu is a step, whose own slope
counts as 0 everywhere, and so relu's second derivative is 0.
"""
from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from math import isfinite
from numbers import Number
from typing import Any

from micrograd._checks import check_real, check_value, described, listed, listed_values
from micrograd._functions import DERIVATIVES, FUNCTIONS, sign
from micrograd._recorded_errors import refuse
from micrograd.engine import Value, __core__
from micrograd.recording import Kept, Recording, differentiated, nodes_under, operands_of, pick


def grad(y: Value, xs: Iterable[Value]) -> list[Value]:
    """The gradients of y by each of xs, as Values; Value(0) where y does not depend on x.

    The chain rule as backward() has it, over Values in place of numbers. An x may be any node
    under y, and y may be of any depth. ValueError where a node on the way from an x to y has a
    `_backward` set by the program, and where a gradient is differentiated again that came through a
    local gradient given as a number. TypeError where y or an x is no Value.
    """
    check_value(y, "y")
    xs = listed_values(xs, "xs")
    if __core__._is_recording():
        chosen = {id(v) for v, name, *_ in __core__._operations(xs) if name == "pick"}
        if chosen.intersection(map(id, xs)):
            refuse("pick")
        differentiated.append((y, xs))
    tape = Tape(xs, [y])
    found = tape.sweep(tape.steps, [(y, Value(1))])
    return [g if isinstance(g, Value) else Value(g) for g in found]


def jacobian(f: Callable[[list[Value]], Any], xs: Iterable[Any]) -> list[Any]:
    """The gradients of f([x, ...]) by each x, as numbers; a list of such rows if f returns a list.

    An x is a number, or a Value, which then stands for itself: f may use it without being given
    it, as a loss does the parameters of its model. One reverse sweep a row; of a recording with no
    more inputs than results, forward mode, eight columns at a time. Every `.grad` stays as it is.
    TypeError for another x, and where f gives anything but Values; ValueError as from grad.
    """
    leaves = inputs(xs)
    if isinstance(f, Recording) and not __core__._is_recording():
        run, kept = f._run_of([leaves])
        if run and not is_nested(kept.results) and not reached_otherwise(run, leaves):
            with suppress(ArithmeticError):     # that of backward() in the slope of a power
                found = run.jacobian(f._threads)
                return (found[0] if isinstance(kept.results, type)  # type: ignore[no-any-return]
                        else found)
    y = f(leaves)
    if isinstance(y, Value):
        return jacobian_of_graph(leaves, [y])[0]
    return jacobian_of_graph(leaves, listed_values(y, "what f returns"))


def hessian(f: Callable[[list[Value]], Value], xs: Iterable[Any]) -> list[list[Any]]:
    """The second derivatives of f([x, ...]) by each two of xs, as numbers.

    A list of rows, one for each x: the jacobian of the gradient. f returns one Value; xs, errors
    and passes as in jacobian.
    """
    leaves = inputs(xs)
    found = by_recorded_gradient(
        f, leaves, lambda run: run.jacobian(f._threads, True))      # type: ignore[attr-defined]
    return found or jacobian_of_graph(leaves, grad(checked_result(f, leaves), leaves))


def hvp(f: Callable[[list[Value]], Value], xs: Iterable[Any], v: Iterable[Any]) -> list[Any]:
    """The hessian of f at xs times the vector v, as numbers, without computing the hessian.

    In two reverse sweeps: it is the gradient of v · grad(f) (Pearlmutter, 1994: Fast exact
    multiplication by the Hessian). ValueError unless v has a number for each x.
    """
    leaves, v = inputs(xs), listed_numbers(v, "v")
    if len(v) != len(leaves):
        raise ValueError(f"v must have one number for each x, not {len(v)} for {len(leaves)}")
    if isinstance(f, Recording):
        v = [float(x) for x in v]
    found = by_recorded_gradient(f, leaves, lambda run: run.gradients(v))
    if found and all(map(isfinite, found)):
        return found
    slopes = grad(checked_result(f, leaves), leaves)
    tape = Tape(leaves, slopes)
    return tape.sweep(tape.numbers(), zip(slopes, v))


def by_recorded_gradient(f: Any, leaves: list[Value],
                         take: Callable[[Any], list[Any] | None]) -> list[Any] | None:
    """What `take` takes from a run of a recording's gradient; None where f is no recording, another
    is being made, or there is an error. Where a slope is infinite, the recorded gradient, which
    cannot branch, has an error or 0 times infinity; that of plain nodes has neither."""
    if not isinstance(f, Recording) or __core__._is_recording():
        return None
    run, kept = f._run_of([leaves])
    if not run or reached_otherwise(run, leaves):
        return None
    try:
        run, _ = gradient_of(f, kept)._run_of([leaves])
        return run and take(run)
    except (ArithmeticError, ValueError):
        return None


def is_nested(results: Any) -> bool:
    """Whether there are lists or tuples among several results."""
    return results is not Value and any(x is not Value for x in results[1:])


def reached_otherwise(run: Any, leaves: list[Value]) -> bool:
    """Whether y depends on an x by more than one place in xs: a recording uses it without being
    given it, as a loss its model's parameters, or it is there twice, or another x was computed from
    it."""
    xs = {id(leaf) for leaf in leaves}
    parameters = run.program.parameters
    used = [*parameters, *operands_of(parameters), *operands_of(leaves)]
    return len(xs) < len(leaves) or any(id(node) in xs for node in used)


def gradient_of(f: Recording, kept: Kept) -> Recording:
    """A recording of the gradient of a recording of one argument, a list, for what it has kept."""
    found = f._gradients.get(id(kept))
    if found is None:
        again = f._again()
        gradient = Recording(lambda xs: grad(checked_result(again(), xs), xs), (), f._threads)
        gradient._name = f"the gradient of {f._name}"
        found = f._gradients[id(kept)] = gradient, kept     # whose id is its own while it lives
    return found[0]


def check_grad(f: Callable[[list[Value]], Value], xs: Iterable[Any],
               step: float = 1e-6, tolerance: float = 1e-4) -> None:
    """AssertionError, naming the inputs, where backward() and finite differences disagree.

    For f([x, ...]) with operations whose `_backward` is your own. The differences are central
    ones, of `step` times x (of `step` where x is small), and may be off by `tolerance` times the
    gradient (`tolerance` where that is small). They say nothing at a kink. xs as in jacobian;
    every `.grad` and `.data` is afterwards what it was. TypeError where `step` or `tolerance` is no
    real number, ValueError unless `step` is above 0.
    """
    check_real(step, "step")
    check_real(tolerance, "tolerance")
    if not step > 0:
        raise ValueError(f"step must be above 0, not {step!r:.60}")
    leaves = inputs(xs)
    slopes = slopes_by_backward(checked_result(f, leaves), leaves)
    wrong = []
    for i, (leaf, slope) in enumerate(zip(leaves, slopes)):
        difference = finite_difference(f, leaves, leaf, step)
        if not abs(slope - difference) <= tolerance * max(1, abs(slope), abs(difference)):
            wrong.append(f"by input {i}, which is {leaf.data!r:.60}, the gradient is "
                         f"{slope!r:.60}, finite differences give {difference!r:.60}")
    if wrong:
        raise AssertionError("\n".join(wrong))


def zero_grad(root: Value) -> None:
    """Set the gradients of root and of all nodes under it to 0.

    Before a second backward(), which adds to what the first one left, in the nodes between too,
    and passes the sum on:

    >>> p = Value(3.0)
    >>> q = p * 3
    >>> r = q * 2
    >>> r.backward()
    >>> q.grad, p.grad
    (2, 6)
    >>> r.backward()                # q has 2 + 2 now, and p gets 3 times that: 6 + 12
    >>> q.grad, p.grad
    (4, 18)
    >>> zero_grad(r)
    >>> r.backward()
    >>> q.grad, p.grad
    (2, 6)
    """
    check_value(root, "root")
    for node in nodes_under(root):
        node.grad = 0


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
        self.append(__core__._operations(ys))

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
        """The operations that pass the gradient of an output on, but those of earlier ones, and its
        node."""
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
        """Those that the sort of the nodes has come to: others may have no place on a tape yet."""
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


def jacobian_of_graph(xs: list[Value], ys: list[Value]) -> list[list[Any]]:
    """The gradients of each y, a row, by each x, as numbers."""
    tape = Tape(xs, ys)
    steps = tape.numbers()
    return [tape.sweep(steps, [(y, 1)]) for y in ys]


def slopes_by_backward(y: Value, leaves: list[Value]) -> list[Any]:
    """What backward() finds, with all gradients put back."""
    nodes = nodes_under(y) + leaves
    before = [node.grad for node in nodes]
    try:
        for node in nodes:
            node.grad = 0
        y.backward()
        return [leaf.grad for leaf in leaves]
    finally:
        for node, g in zip(nodes, before):
            node.grad = g


def finite_difference(f: Callable[[list[Value]], Value], leaves: list[Value], leaf: Value,
                      step: float) -> Any:
    x = leaf.data
    h = step * max(1, abs(x))
    try:
        leaf.data = x + h
        above = f(leaves).data
        leaf.data = x - h
        return (above - f(leaves).data) / (2 * h)
    finally:
        leaf.data = x


def inputs(xs: Iterable[Any]) -> list[Value]:
    """The numbers among xs made leaves."""
    xs = listed(xs, "xs", "of numbers or Values")
    for i, x in enumerate(xs):
        if not isinstance(x, (Value, float, Number)):       # the check of an ABC takes longer
            raise TypeError(f"input {i} must be a number or a Value, not {described(x)}")
    return [x if isinstance(x, Value) else Value(x) for x in xs]


def listed_numbers(numbers: Iterable[Any], name: str) -> list[Any]:
    items = listed(numbers, name, "of numbers")
    for i, x in enumerate(items):
        if not isinstance(x, Number):
            raise TypeError(f"item {i} of {name} must be a number, not {described(x)}")
    return items


def checked_result(f: Callable[[list[Value]], Value], leaves: list[Value]) -> Value:
    y = f(leaves)
    check_value(y, "what f returns")
    return y
