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

from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf, isfinite
from numbers import Number
from typing import Any

from micrograd._checks import (
    check_real,
    check_value,
    described,
    holds_times,
    listed,
    listed_values,
)
from micrograd._recorded_errors import refuse
from micrograd._tape import Tape
from micrograd.engine import Value, __core__
from micrograd.recording import Kept, Recording, differentiated, nodes_under, operands_of

__all__ = ["grad", "jacobian", "hessian", "hvp", "check_grad", "zero_grad"]


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
    gradient (`tolerance` where that is small). They say nothing at a kink, and in numpy.float32
    only with steps of about 1e-2. xs as in jacobian; every `.grad` and `.data` is afterwards what
    it was. TypeError where `step` or `tolerance` is no real number, ValueError unless `step` is
    above 0 and finite and `tolerance` at least 0.
    """
    check_real(step, "step")
    check_real(tolerance, "tolerance")
    if not 0 < step < inf:
        raise ValueError(f"step must be above 0 and finite, not {step!r:.60}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, not {tolerance!r:.60}")
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
        if not isinstance(x, (Value, float)) and not is_number(x):
            raise TypeError(f"input {i} must be a number or a Value, not {described(x)}")
    return [x if isinstance(x, Value) else Value(x) for x in xs]


def is_number(x: Any) -> bool:
    return isinstance(x, Number) and not holds_times(x)


def listed_numbers(numbers: Iterable[Any], name: str) -> list[Any]:
    items = listed(numbers, name, "of numbers")
    for i, x in enumerate(items):
        if not is_number(x):
            raise TypeError(f"item {i} of {name} must be a number, not {described(x)}")
    return items


def checked_result(f: Callable[[list[Value]], Value], leaves: list[Value]) -> Value:
    y = f(leaves)
    check_value(y, "what f returns")
    return y
