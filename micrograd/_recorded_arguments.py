"""The arguments of a recording, taken apart: a list of leaves, which are numbers and Values, and
the structure around them, by which they are put together again.

A structure is Value, or a subclass of it, for a leaf; Fixed for what arrives as it is; and for a
list, a tuple, a dict or an array a tuple, which begins with its class and goes on with what it
holds.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from itertools import islice
from numbers import Number, Rational, Real
from typing import TYPE_CHECKING, Any

from micrograd._checks import described, holds_times
from micrograd.engine import Value, __core__

if TYPE_CHECKING:
    from micrograd.recording import Recording


class Fixed:
    """An argument that arrives as it is; equal to another where that is of the same type, too."""

    def __init__(self, thing: Any):
        self.thing = thing
        self.key = fixed_key(thing)
        try:
            hash(self.key)
        except TypeError:
            raise TypeError("an argument that arrives as it is must be hashable, or a list or dict "
                            f"of what is, not {described(thing)}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def fixed_key(thing: Any) -> Any:
    if isinstance(thing, (list, tuple)):
        return type(thing), *map(fixed_key, thing)
    if isinstance(thing, dict):
        return type(thing), *[(fixed_key(k), fixed_key(x)) for k, x in thing.items()]
    if isinstance(thing, frozenset):
        return type(thing), frozenset(map(fixed_key, thing))
    if isinstance(thing, range):
        return type(thing), thing.start, thing.stop, thing.step
    if isinstance(thing, float):
        return type(thing), float.__repr__(thing)       # 0.0 is not -0.0, and nan is like nan
    if isinstance(thing, Number) and not isinstance(thing, Rational):
        return type(thing), repr(thing)         # Decimal("1.0") equals Decimal("1.00")
    if is_frozen_dataclass(type(thing)):
        return type(thing), thing, *[fixed_key(getattr(thing, name)) for name, field
                                     in thing.__dataclass_fields__.items() if field.compare]
    return type(thing), thing


def is_frozen_dataclass(cls: Any) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and parameters.eq


def is_fixed(x: Any) -> bool:
    return x is None or isinstance(x, (bool, str, bytes))


def is_array(x: Any) -> bool:
    return (type(x).__module__ == "numpy" and hasattr(x, "ravel") and hasattr(x, "astype")
            and x.shape != ())


NUMBERS = frozenset([float, int, Value])
STR = frozenset([str])


def flattened(x: Any, leaves: list[Any]) -> Any:
    """Add the numbers and Values in x to the leaves; the structure around them."""
    cls = type(x)
    if cls is float or cls is int or cls is Value:
        leaves.append(x)
        return Value
    if cls is list or cls is tuple:
        return (cls, *flattened_items(x, leaves))
    if is_fixed(x):
        return Fixed(x)
    return flattened_other(x, leaves)


def flattened_items(items: Any, leaves: list[Any]) -> list[Any]:
    if NUMBERS.issuperset(map(type, items)):
        leaves.extend(items)
        return [Value] * len(items)
    return [flattened(item, leaves) for item in items]


def flattened_other(x: Any, leaves: list[Any]) -> Any:
    cls = type(x)
    if isinstance(x, Value):
        leaves.append(x)
        return cls
    if isinstance(x, tuple) and hasattr(cls, "_fields"):
        return (cls, *flattened_items(x, leaves))
    if cls is dict or cls is OrderedDict:
        return cls, keys_of(x), *flattened_items(x.values(), leaves)
    if holds_times(x):
        raise TypeError(not_taken(x))
    if isinstance(x, float) or isinstance(x, Real):     # the second check takes longer
        leaves.append(float(x))
        return Value
    if is_array(x):
        x = x.astype("d") if x.dtype.kind == "b" else x
        before = len(leaves)
        structures = {flattened(item, leaves) for item in x.ravel().tolist()}
        if structures <= {Value}:
            return cls, x.shape
        del leaves[before:]
    if hasattr(x, "tolist"):
        return flattened(x.tolist(), leaves)
    raise TypeError(not_taken(x))


def not_taken(x: Any) -> str:
    return ("an argument of a recording must be a number, a Value, a list, tuple, dict or array of "
            f"these, None, a bool or a str, or be named in `static`, not {described(x)}")


def keys_of(x: dict[Any, Any]) -> Fixed:
    """The keys of a dict, in order."""
    return names_of(*x) if STR.issuperset(map(type, x)) else Fixed(list(x))


@lru_cache(maxsize=256)
def names_of(*names: str) -> Fixed:
    """The same where they are names, as they are for all rows of a column."""
    return Fixed(list(names))


def rebuilt(structure: Any, leaves: Iterator[Any]) -> Any:
    """An object of this structure, with these leaves."""
    if isinstance(structure, type):
        return next(leaves)
    if isinstance(structure, Fixed):
        return structure.thing
    cls, *parts = structure
    if issubclass(cls, dict):
        keys, *parts = parts
        return cls(zip(keys.thing, [rebuilt(part, leaves) for part in parts]))
    if issubclass(cls, (list, tuple)):
        if parts.count(Value) == len(parts):
            items = list(islice(leaves, len(parts)))
        else:
            items = [rebuilt(part, leaves) for part in parts]
        return cls(*items) if hasattr(cls, "_fields") else cls(items)
    return array(parts[0], leaves)


def array(shape: tuple[int, ...], leaves: Iterator[Any]) -> Any:
    from numpy import empty
    values = empty(shape, object)
    for i in range(values.size):
        values.flat[i] = next(leaves)
    return values


def flattened_results(y: Any, outputs: list[Value], name: str) -> Any:
    if isinstance(y, Value):
        outputs.append(y)
        return Value
    if isinstance(y, (list, tuple)):
        return (type(y), *[flattened_results(item, outputs, name) for item in y])
    raise TypeError("a recorded function gives a Value, or lists and tuples of Values; "
                    f"{name} gives {described(y)}")


def contents(arguments: list[Any]) -> Any:
    """What the arguments hold: their structures, and the ids of their leaves; None where one holds
    what no recording takes."""
    leaves: list[Any] = []
    try:
        return [flattened(x, leaves) for x in arguments], list(map(id, leaves))
    except TypeError:
        return None


class Rows:
    """The rows of a recording's columns: their numbers, or the arguments one by one."""

    # Made when first needed, without functools.cached_property: before Python 3.12 one lock of it
    # serves all rows of the process, and to read a column may run Python code.
    _columns: list[Any] | None = None
    _each: list[tuple[Any, list[Any]]] | None = None

    def __init__(self, recording: Recording, arguments: Any, keywords: dict[str, Any]):
        self.recording, self.given = recording, (arguments, keywords)
        if recording._columns is not None and not keywords:
            self.structure, structures = recording._columns         # as a rule, the last call's too
            filled = __core__._fill(arguments, structures)
            if filled is not None:
                self.leaves, self.count = filled
                return
        self.count = self.counted()
        self.structure, _ = self.row(0)
        self.leaves = self.all_leaves()         # numbers and Values; None if rows differ

    def first(self) -> list[Any]:
        """The leaves of the first row."""
        if isinstance(self.leaves, bytearray):
            return memoryview(self.leaves)[:len(self.leaves) // self.count].cast("d").tolist()
        return list(self.leaves[:len(self.leaves) // self.count])

    @property
    def columns(self) -> list[Any]:
        """Those of the arguments, and after them those of the keywords."""
        if self._columns is None:
            arguments, keywords = self.given
            static = self.recording._is_static
            self._columns = [*[self.column(x, static(i, None)) for i, x in enumerate(arguments)],
                             *[self.column(x, static(-1, name)) for name, x in keywords.items()]]
        return self._columns

    @staticmethod
    def column(x: Any, is_static: bool) -> Any:
        """A column as a list or an array, or Fixed where it is the same for all rows."""
        if is_static or is_fixed(x):
            return Fixed(x)
        if isinstance(x, (list, tuple)):
            return x
        if is_array(x):
            return x.astype("d", order="C", copy=False) if x.dtype.kind in "biuf" else x
        if (not hasattr(x, "__len__") or isinstance(x, (Mapping, Set))
                or getattr(x, "shape", None) == ()):
            raise TypeError(f"a column must be a list or an array, not {described(x)}")
        return x.tolist() if hasattr(x, "tolist") else list(x)

    def counted(self) -> int:
        lengths = [len(column) for column in self.columns if not isinstance(column, Fixed)]
        if len(set(lengths)) != 1 or not lengths[0]:
            raise ValueError("the columns must be of one length, of at least one row, not of "
                             f"{', '.join(map(str, lengths)) or 'none'}")
        return lengths[0]

    def row(self, i: int) -> tuple[Any, list[Any]]:
        """The structure and the leaves of row i."""
        leaves: list[Any] = []
        arguments, keywords = self.given
        parts = [x if isinstance(x, Fixed) else flattened(x[i], leaves) for x in self.columns]
        return (*parts[:len(arguments)], tuple(zip(keywords, parts[len(arguments):]))), leaves

    def all_leaves(self) -> Any:
        parts = *self.structure[:-1], *[part for _, part in self.structure[-1]]
        moving = [pair for pair in zip(self.columns, parts) if not isinstance(pair[0], Fixed)]
        filled = __core__._fill(*zip(*moving))
        if filled is not None:
            if len(moving) == len(self.columns) and not self.given[1]:      # no keywords
                self.recording._columns = self.structure, self.structure[:-1]
            self.count = filled[1]
            return filled[0]
        if any(structure != self.structure for structure, _ in self.each):
            return None
        return [leaf for _, leaves in self.each for leaf in leaves]

    @property
    def each(self) -> list[tuple[Any, list[Any]]]:
        """The structure and the leaves of each row."""
        if self._each is None:
            self._each = [self.row(i) for i in range(self.count)]
        return self._each
