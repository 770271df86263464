"""Losses: one Value that says how wrong a model is, to call backward() on.

Outputs (scores, logits) are Values; targets are numbers, numpy's included, or Values. A loss of
outputs and targets is the mean over the samples, one output and target each. TypeError for an
output that is no Value and a target that is no number; ValueError where there are none, or not as
many targets as outputs.

All can be recorded (micrograd.recording), with targets that differ from call to call.
"""
from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from numbers import Real
from typing import Any

from micrograd._checks import described, holds_times, listed, listed_values
from micrograd._functions import is_value, sign
from micrograd.engine import Value, __core__
from micrograd.recording import pick

__all__ = ["mse", "binary_cross_entropy", "cross_entropy", "max_margin", "l2", "softmax",
           "log_softmax"]


def max_margin(scores: Iterable[Value], targets: Iterable[Any]) -> Value:
    """The hinge loss of micrograd's notebook, mean of relu(1 - t*s), for targets t of -1 and 1."""
    return mean([(1 + -t * s).relu() for s, t in pairs(scores, targets)])


def mse(outputs: Iterable[Value], targets: Iterable[Any]) -> Value:
    """The mean squared error, mean of (o - t)**2."""
    return mean([(o - t) ** 2 for o, t in pairs(outputs, targets)])


def binary_cross_entropy(logits: Iterable[Value], targets: Iterable[Any]) -> Value:
    """-log(sigmoid(z)) where the target is 1, -log(1 - sigmoid(z)) where it is 0, or a mixture.

    As torch.nn.functional.binary_cross_entropy_with_logits. Computed as `t*softplus(-z) +
    (1-t)*softplus(z)`, which is the same: nothing overflows, and no small loss is a difference of
    large numbers. ValueError for a target outside 0..1. In a recording that error names the square
    root of a negative number, and a target of nan gives nan without an error.
    """
    return mean([probability(t) * (-z).softplus() + (1 - t) * z.softplus()
                 for z, t in pairs(logits, targets)])


def softmax(logits: Iterable[Value]) -> list[Value]:
    """The probabilities exp(z) / sum(exp(z)), as torch.softmax; they sum to 1.

    The greatest z is subtracted from each z first, which changes nothing: no exp overflows.
    """
    exps = [z.exp() for z in shifted(logits)]
    factor = total(exps) ** -1
    return [e * factor for e in exps]


def log_softmax(logits: Iterable[Value]) -> list[Value]:
    """The logarithms of softmax, z - log(sum(exp(z))), as torch.log_softmax.

    Finite even where the probability is too small for a float, so that its log would be an error.
    """
    zs = shifted(logits)
    normalizer = log_of_sum(zs)
    return [z - normalizer for z in zs]


def cross_entropy(logits: Iterable[Any], targets: Any, label_smoothing: float = 0.0) -> Value:
    """-log(softmax(logits)[target]), as torch.nn.functional.cross_entropy.

    Takes a list of logits and its class, or a list of such lists and the list of their classes. A
    class is an int from 0, or a Value that holds one; ValueError where there is no such logit. In
    a recording that is an IndexError, and names a class below 0 by a number lower than it is.
    label_smoothing, in 0..1, is the share of the target that is spread evenly over all classes
    (Szegedy et al., 2015).
    """
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"label_smoothing must be a number in 0..1, not {described(label_smoothing)}")
    rows = listed(logits, "logits")
    if not rows or is_value(rows[0]) or not hasattr(rows[0], "__iter__"):
        return surprise(rows, number(targets), label_smoothing)
    return mean([surprise(listed(row, "a row of logits"), target, label_smoothing)
                 for row, target in aligned(rows, targets)])


def surprise(logits: list[Value], target: Any, smoothing: float) -> Value:
    """log(sum(exp(z))) - z[target], where a share of z[target] is the mean of all z."""
    zs = shifted(logits)
    expected: Value = logit_of_class(zs, target)
    if smoothing:
        expected = expected * (1 - smoothing) + total(zs) * (smoothing / len(zs))
    return log_of_sum(zs) - expected


def shifted(logits: Iterable[Value]) -> list[Value]:
    """The logits minus the greatest of them."""
    logits = some_values(logits, "logits", "output")
    offset = -greatest(logits)
    return [z + offset for z in logits]


def greatest(values: list[Value]) -> Any:
    """The greatest, as a number; as a Value in a recording, where each call may have another."""
    if __core__._is_recording():
        return reduce(Value.maximum, [v.detach() for v in values])
    return max(v.data for v in values)


def log_of_sum(zs: list[Value]) -> Value:
    """log(sum(exp(z)))"""
    return total([z.exp() for z in zs]).log()


def l2(parameters: Iterable[Value], alpha: float | Value) -> Value:
    """alpha * sum(p*p), the notebook's regularization. ValueError where there are no parameters."""
    parameters = some_values(parameters, "parameters", "parameter")
    if not isinstance(alpha, Real) and not is_value(alpha):
        raise TypeError(f"alpha must be a number or a Value, not {described(alpha)}")
    return alpha * total([p * p for p in parameters])


def mean(losses: list[Value]) -> Value:
    return total(losses) * (1.0 / len(losses))      # the notebook's order of operations


def total(values: list[Value]) -> Value:
    return sum(values)      # type: ignore[return-value]    # there is at least one, so it is no 0


def pairs(outputs: Iterable[Value], targets: Iterable[Any]) -> list[tuple[Value, Any]]:
    outputs = some_values(outputs, "outputs", "output")
    couples = aligned(outputs, targets)
    for i, (_, t) in enumerate(couples):
        if type(t) not in (float, int) and not isinstance(t, Real) and not is_value(t):
            raise TypeError(f"target {i} must be a number or a Value, not {described(t)}")
    return couples


def aligned(outputs: list[Any], targets: Iterable[Any]) -> list[tuple[Any, Any]]:
    """(output, target) for each; there must be as many of the one as of the other."""
    targets = [number(t) for t in listed(targets, "targets", "with one for each output")]
    if len(outputs) != len(targets):
        raise ValueError(f"there must be one target for each output, "
                         f"not {len(outputs)} outputs and {len(targets)} targets")
    return list(zip(outputs, targets))


def some_values(values: Iterable[Value], name: str, item: str) -> list[Value]:
    values = listed_values(values, name, item)
    if not values:
        raise ValueError(f"there are no {item}s")
    return values


def number(target: Any) -> Any:
    """A scalar of numpy as Python's number: its unsigned integers have no negatives."""
    if not hasattr(target, "item"):
        return target
    if holds_times(target):
        raise TypeError(f"a target must be a number, not {described(target)}")
    try:
        return target.item()
    except (RuntimeError, ValueError):  # an array or a tensor of several numbers
        return target


def probability(target: Any) -> Any:
    """The target; ValueError unless it is in 0..1."""
    if is_value(target) and __core__._is_recording():
        t = target.detach()
        return target + 0 * (t * (1 - t)).sqrt()    # raises the error when the recording is run
    if not 0 <= (target.data if is_value(target) else target) <= 1:
        raise ValueError(f"a target must be in 0..1, not {target!r:.60}")
    return target


def logit_of_class(zs: list[Value], target: Any) -> Any:
    if is_value(target) and __core__._is_recording():
        # -1 below 0, where pick would count from the end.
        below = sign(target).minimum(0)     # type: ignore[no-untyped-call]
        return pick(zs, target + below * (len(zs) + 1))
    return zs[checked_class(target, len(zs))]


def checked_class(target: Any, count: int) -> int:
    k = number(target.data) if is_value(target) else target
    if is_value(target) and isinstance(k, float) and k.is_integer():
        k = int(k)          # recorded functions get all numbers as floats
    if not isinstance(k, int):
        raise TypeError(f"a class must be an int, not {described(k)}")
    if not 0 <= k < count:
        raise ValueError(f"a class must be in 0..{count - 1}, the places of the logits, not {k}")
    return k
