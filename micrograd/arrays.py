"""Numbers into Values and back, many at a time.

    x = leaves([[1.0, 2.0], [3.0, 4.0]])    # Values in nested lists, from such lists or arrays
    data(x), grads(x)                       # nested lists again; numpy.array makes arrays of them
    predict(model, X)                       # the outputs for the rows of X, without a graph
"""
from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from numbers import Number
from typing import Any

from micrograd import nn
from micrograd._checks import described, holds_times, is_iterable
from micrograd._functions import is_value
from micrograd.engine import Value, __core__

__all__ = ["leaves", "data", "grads", "predict"]

ROWS = 4096             # that the engine takes at a time

# As shipped: a program may patch them.
CALLS: dict[type, Any] = {cls: cls.__call__ for cls in (nn.Neuron, nn.Layer, nn.MLP)}


def leaves(x: Any) -> Any:
    """A Value for each number of x, in nested lists of x's shape.

    x is a number, nested lists or tuples of numbers, or an array (numpy's gives Python's numbers).
    TypeError for anything else.
    """
    x = in_lists(x)
    if isinstance(x, (list, tuple)):
        return [leaves(item) for item in x]
    if isinstance(x, Number):
        return Value(x)
    raise TypeError(f"leaves are made of numbers, lists and arrays, not {described(x)}")


def data(values: Any) -> Any:
    """The data of a Value, or of Values in nested lists or an array, in lists of their shape.

    TypeError for anything else.
    """
    return mapped(lambda v: v.data, values)


def grads(values: Any) -> Any:
    """The gradients of a Value, or of Values in nested lists or an array, in lists of their shape.

    TypeError for anything else.
    """
    return mapped(lambda v: v.grad, values)


def in_lists(x: Any) -> Any:
    """The numbers of an array in nested lists; anything else as it is."""
    if holds_times(x):
        raise TypeError(f"dates and durations are no numbers: {described(x)}")
    return x.tolist() if hasattr(x, "tolist") else x


def mapped(f: Callable[[Value], Any], values: Any) -> Any:
    values = in_lists(values)
    if isinstance(values, (list, tuple)):
        return [mapped(f, item) for item in values]
    if is_value(values):
        return f(values)
    raise TypeError(f"there must be Values in nested lists, not {described(values)}")


def predict(module: Callable[[Any], Any], X: Any) -> Any:
    """The outputs of a module for each row of X, as floats, without a graph.

    X is a list of rows or an array of shape (n, nin). A list gives a list, of floats where the
    module returns a bare Value, else of lists; an array gives a float64 array of shape (n,) or (n,
    nout). The numbers are those of module(row), to the last bit. TypeError if X is neither, or an
    array of what is not real; ValueError if an array has another shape, or a row is shorter or
    longer than a Neuron, Layer or MLP takes.
    """
    numpy = sys.modules.get("numpy")    # a program that has an array has imported it
    if numpy is not None and isinstance(X, numpy.ndarray):
        return predict_array(module, X, numpy)
    if not isinstance(X, (list, tuple)):
        raise TypeError(f"X must be a list of rows or an array, not {described(X)}")
    layers = plain_layers(module)
    nin, nout = widths(layers)
    outputs = at_once(layers, pack_rows(X, nin), nin)
    if outputs is None:
        return by_row(module, checked_rows(X, known_width(module)))
    numbers = memoryview(outputs).cast("d").tolist()
    return [numbers[i:i + nout] for i in range(0, len(numbers), nout)] if nout > 1 else numbers


def predict_array(module: Callable[[Any], Any], X: Any, numpy: Any) -> Any:
    if X.ndim != 2:
        raise ValueError(f"X must be an array of shape (n, nin), not {X.shape}")
    if X.dtype.kind not in "biufO":     # float() would take the real part of a complex output
        raise TypeError(f"X must be an array of real numbers, not of {X.dtype}")
    check_width("the rows of X have", X.shape[1], known_width(module))
    layers = plain_layers(module)
    nin, nout = widths(layers)
    quick = type(X) is numpy.ndarray and X.shape[1] == nin
    outputs = at_once(layers, numbers_of(X, numpy) if quick else None, nin)
    if outputs is None:
        outputs = numpy.array(by_row(module, X), dtype=float)
    else:
        outputs = numpy.frombuffer(outputs)
    return outputs.reshape(len(X), nout) if nout > 1 else outputs


def numbers_of(X: Any, numpy: Any) -> Any:
    """The array as the engine takes it: of aligned doubles or floats. A weight, which is a float,
    times one of numpy's ints or bools is a double. None for other types."""
    if X.dtype.kind in "biu":
        return X.astype(float, order="C").ravel()
    if X.dtype not in (float, numpy.float32):
        return None
    return numpy.require(X, requirements="CAE").ravel()


def by_row(module: Callable[[Any], Any], X: Any) -> list[Any]:
    return [mapped(lambda v: float(v.data), module(row)) for row in X]


def checked_rows(X: Sequence[Any], width: int | None) -> list[Any]:
    """The rows in a list, of that width where there is one."""
    rows = []
    for i, row in enumerate(X):
        if not is_iterable(row) or isinstance(row, str):
            raise TypeError(f"X must be a list of rows, but row {i} is {described(row)}")
        rows.append(row if hasattr(row, "__len__") else list(row))
        check_width(f"row {i} has", len(rows[-1]), width)
    return rows


def check_width(what: str, width: int, expected: int | None) -> None:
    if expected is not None and width != expected:
        numbers = "number" if width == 1 else "numbers"
        raise ValueError(f"{what} {width} {numbers}, where the model takes {expected}")


def known_width(module: Any) -> int | None:
    """The number of inputs of a Neuron, Layer or MLP that is called as nn wrote it; else None."""
    layers = plain_layers(module)
    neurons = getattr(layers[0], "neurons", ()) if layers else [module]
    if not all(as_shipped(n) and isinstance(n, nn.Neuron) for n in neurons):
        return None
    counts = {len(n.w) for n in neurons if hasattr(n.w, "__len__")}
    return counts.pop() if len(counts) == 1 else None


def as_shipped(module: object) -> bool:
    """Whether a Neuron, Layer or MLP is called as nn wrote it."""
    return CALLS.get(type(module)) is type(module).__call__


def plain_layers(module: object) -> list[nn.Layer]:
    """The layers of an MLP or a Layer that is called as nn wrote it; of any other module, none."""
    if not as_shipped(module):
        return []
    if isinstance(module, nn.MLP):
        return module.layers
    return [module] if isinstance(module, nn.Layer) else []


def widths(layers: list[nn.Layer]) -> tuple[int, int]:
    """How many inputs and outputs layers have; (0, 0) where they are not as nn makes them."""
    try:
        return len(layers[0].neurons[0].w), len(layers[-1].neurons)
    except (AttributeError, IndexError, TypeError):
        return 0, 0


def pack_rows(X: Sequence[Any], nin: int) -> array[float] | None:
    """The numbers of all rows; None unless they are Python's, nin in each row."""
    if not all(type(row) in (list, tuple) and len(row) == nin for row in X):
        return None
    if not set(map(type, chain.from_iterable(X))) <= {float, int, bool}:
        return None
    try:
        return array("d", chain.from_iterable(X))
    except OverflowError:       # an int beyond the floats
        return None


def at_once(layers: list[nn.Layer], X: Any, nin: int) -> bytearray | None:
    """All outputs from the engine, or None where it has no short cut; the reference has none.
    X holds the numbers of all rows. Between its pieces Ctrl-C is heeded, and other threads run."""
    if X is None or nin == 0:
        return None
    outputs, piece = bytearray(), ROWS * nin
    for start in range(0, len(X), piece):
        more = __core__._predict(layers, X[start:start + piece], nin)
        if more is None:
            return None
        outputs += more
    return outputs
