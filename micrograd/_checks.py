"""Checks of what a program gives, with errors that say what was given and what is accepted."""
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from micrograd._functions import is_value


def described(x: object) -> str:
    """The class and text of what was given. While a function is recorded, a Value has no text; nor
    has an int of more digits than Python writes."""
    try:
        return f"{type(x).__name__}: {x!r:.60}"
    except (RuntimeError, ValueError):  # RecordingError is a RuntimeError
        return type(x).__name__


def holds_times(x: Any) -> bool:
    """Whether it is a date or a duration of numpy, or an array of them: some convert to ints."""
    return getattr(getattr(x, "dtype", None), "kind", None) in ("M", "m")


def is_iterable(x: Any) -> bool:
    """Whether it has items; an array of no dimensions has none."""
    shape = getattr(x, "shape", None)
    return hasattr(x, "__iter__") and not (isinstance(shape, tuple) and not shape)


def listed(items: Any, name: str, of: str = "of Values") -> list[Any]:
    """The items in a list; TypeError where there is only one Value, nothing to list, or no order:
    of a dict, too, which would give its keys."""
    if type(items) is not list and (is_value(items) or not is_iterable(items)
                                    or isinstance(items, (Mapping, set, frozenset))):
        raise TypeError(f"{name} must be a list {of}, not {described(items)}")
    return list(items)


def listed_values(values: Iterable[Any], name: str, item: str = "") -> list[Any]:
    """The Values, of either engine, in a list. Errors call one of them `item`, if that is given."""
    found = listed(values, name)
    for i, x in enumerate(found):
        check_value(x, f"{item} {i}" if item else f"item {i} of {name}")
    return found


def check_value(x: object, name: str) -> None:
    if not is_value(x):
        raise TypeError(f"{name} must be a Value, not {described(x)}")


def check_real(x: object, name: str) -> None:
    if isinstance(x, float):            # the check of an ABC takes longer
        return
    if not isinstance(x, Real):
        raise TypeError(f"{name} must be a real number, not {described(x)}")
    try:
        float(x)
    except OverflowError:
        raise ValueError(f"{name} must be in the range of floats, not {described(x)}") from None
