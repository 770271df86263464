"""Recordings: a function of Values, run again without making its graph anew.

>>> from micrograd import Value
>>> from micrograd.recording import record
>>> w = Value(2.0)
>>> @record
... def error(x, t):                    # of one sample, on ordinary Values
...     return (w * x - t) ** 2
>>> total = error.mean([1.0, 2.0, 3.0], [2.5, 4.0, 5.0])    # of all samples
>>> total.backward()
>>> total.data, w.grad
(0.41666666666666663, 1.6666666666666667)

The first call runs the function as it is written and keeps what it computed as a list of steps;
later calls go through the steps, with the numbers of that call and the parameters as they are then.
docs/recordings.md tells what can be recorded, and how a recording that is no longer true is
noticed.
"""
from __future__ import annotations

import os
import random
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from functools import update_wrapper
from itertools import islice
from numbers import Integral, Number, Real
from typing import Any, NamedTuple, overload

from micrograd._checks import described, is_iterable, listed
from micrograd._copying import set_slots, slots_of
from micrograd._recorded_arguments import (
    Fixed,
    Rows,
    contents,
    flattened,
    flattened_results,
    is_array,
    rebuilt,
)
from micrograd._recorded_errors import (
    RecordingError as RecordingError,
    frame_of_program,
    refuse,
    refused,
)
from micrograd.engine import Value, __core__

__all__ = ["record", "pick", "Recording", "RecordingError"]


@overload
def record(function: Callable[..., Any], *, static: Iterable[str] = (),
           threads: int = 1) -> Recording: ...
@overload
def record(function: None = None, *, static: Iterable[str] = (),
           threads: int = 1) -> Callable[[Callable[..., Any]], Recording]: ...
def record(function: Callable[..., Any] | None = None, *, static: Iterable[str] = (),
           threads: int = 1) -> Any:
    """A recording of the function, which is called like it and gives what it gives.

    The function takes numbers and Values, also in nested lists, tuples, dicts and arrays, and gets
    them all as Values; it gives a Value, or lists and tuples of Values. Arguments that are None, a
    bool or a str, and those named in `static`, arrive as they are, and each has a recording of its
    own. `threads` share the rows of `mean`, `sum` and `map`. Used as `@record` or
    `@record(static=("n",), threads=2)`. TypeError for what is no function, and for a `static` that
    is no list of names; ValueError for a name of no argument, and unless `threads` is an int from
    1. A call raises RecordingError where the function does what a recording cannot repeat.
    """
    if function is None:
        return lambda function: Recording(function, static, threads)
    return Recording(function, static, threads)


def pick(values: Any, i: Any) -> Any:
    """values[i], where i is an int, or a Value that holds one: a recording chooses when it is run.

    With a Value i, the values are Values or numbers, or lists of these, all of one length; else
    TypeError or, for the lengths, ValueError. The result is a Value, or a list of them. The
    gradient goes to what is chosen. IndexError where there is no such place, TypeError where i is
    no whole number.
    """
    if not isinstance(i, Value):
        return values[i]
    # A dict would give its keys.
    if isinstance(values, (Mapping, Set, str)) or not is_iterable(values):
        raise TypeError(
            f"pick takes a list of values where the place is a Value, not {described(values)}")
    values = list(values)
    if values and all(isinstance(value, (list, tuple)) or is_array(value) for value in values):
        if len({len(value) for value in values}) > 1:
            raise ValueError("pick takes rows of one length, "
                             f"not of {sorted({len(value) for value in values})}")
        if not any(map(len, values)):
            pick([0] * len(values), i)      # whether there is such a place
        return [pick(column, i) for column in zip(*values)]
    for value in values:
        if not isinstance(value, (Value, Number)):
            raise TypeError("pick takes Values or numbers where the place is a Value, or rows of "
                            f"these, not {described(value)}")
    return __core__._pick([value if isinstance(value, Value) else Value(value)
                           for value in values], i)


def named(static: Any) -> list[str]:
    """The names in `static`, which may be one alone."""
    names = ([static] if isinstance(static, str) else list(static) if isinstance(static, Set)
             else listed(static, "static", "of names of arguments"))
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"static must be a list of names of arguments, not {described(static)}")
    return names


class Kept(NamedTuple):
    """What is kept of a function for one structure of its arguments."""
    program: Any
    results: Any                # the structure of what the function gives
    numbers: list[float]        # of the results, where the function was run as written
    by_inputs: list[int]        # the places of the inputs that it takes gradients by
    by: list[Any]               # weak references to the other Values that it does so by
    used: tuple[Value, ...]     # the Values from outside that those gradients were taken of
    calls: list[int]            # how many there were, and how many rows were checked


class Recording:
    """What `record` makes of a function."""

    __name__: str
    __wrapped__: Callable[..., Any]     # the function

    def __init__(self, function: Callable[..., Any], static: Iterable[str], threads: int):
        if not callable(function):
            raise TypeError(f"record takes a function, not {described(function)}")
        if not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be an int from 1, not {threads!r:.60}")
        vars(self).update({name: x for name, x in getattr(function, "__dict__", {}).items()
                           if not hasattr(Recording, name)})    # whose methods it would hide
        update_wrapper(self, function, updated=())
        self._function = function
        self._name = getattr(function, "__name__", type(function).__name__)
        self._static = frozenset(named(static))
        self._threads = min(threads, 64)        # more are of no use
        self._kept: dict[Any, Kept] = {}        # by the structure of the arguments
        self._gradients: dict[int, Any] = {}        # what micrograd.gradients made of this one
        self._columns: Any = None               # the structure of the columns that were given last
        self._methods: dict[int, Any] = {}      # a method's _kept and _gradients, by its instance
        self._origin: Any = None        # of a method: the recording of the function; the instance
        self._signatures: dict[bool, Any] = {}  # of the function, and of the method that it becomes
        unknown = self._static - set(self._single_arguments()) if self._static else ()
        if unknown:
            raise ValueError(f"static names no single argument of {self._name}: "
                             f"{', '.join(sorted(unknown))}")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the function gives: a node, its operands the parameters and the Values given."""
        leaves: list[Any] = []
        return self._call(self._structure(arguments, keywords, leaves), leaves)

    def mean(self, *columns: Any, **keywords: Any) -> Value:
        """The mean of the results for all rows: sum * (1.0 / rows).

        A column is a list or an array, with an argument for each row; all are of one length, else
        ValueError, and of at least one row. What is None, a bool, a str or named in `static` is the
        same for all rows. TypeError unless the function gives one Value.
        """
        return self._reduced("mean", columns, keywords)

    def sum(self, *columns: Any, **keywords: Any) -> Value:
        """The sum of the results for all rows; the columns are those of `mean`."""
        return self._reduced("sum", columns, keywords)

    def map(self, *columns: Any, **keywords: Any) -> list[Any]:
        """The list of the results for all rows; the columns are those of `mean`."""
        rows = Rows(self, *self._bound(columns, keywords))
        run, kept = self._run(rows)
        return self._unlike(rows) if run is None else self._results(run, kept)

    def _reduced(self, how: str, columns: tuple[Any, ...], keywords: dict[str, Any]) -> Value:
        rows = Rows(self, *self._bound(columns, keywords))
        run, kept = self._run(rows)
        if run is not None:
            self._check_result(how, kept.results)
            total: Value = run.results(how)[0]
            return total
        total = sum(self._check_result(how, result) for result in self._unlike(rows))
        return total if how == "sum" else total * (1.0 / rows.count)

    def _check_result(self, how: str, result: Any) -> Any:
        if isinstance(result, (list, tuple)):
            raise TypeError(f"{how} takes a function that gives one Value, and {self._name} gives "
                            "several; take map")
        return result

    def _call(self, structure: Any, leaves: list[Any]) -> Any:
        kept = None if __core__._is_recording() else (
            self._kept.get(structure) or self._recorded(structure, leaves))
        if kept is None:        # within another recording, or another thread records
            return self._as_written(structure, leaves)
        results = self._forward(kept, structure, leaves, 1, 1).results("map")
        return results[0] if kept.results is Value else rebuilt(kept.results, iter(results))

    def _results(self, run: Any, kept: Kept) -> list[Any]:
        """The results of a run, for each row."""
        values = iter(run.results("map"))
        return [rebuilt(kept.results, values) for _ in range(run.rows)]

    def _unlike(self, rows: Rows) -> list[Any]:
        """The results for rows of different structures, those of one structure at once; or for any
        rows within another recording."""
        if __core__._is_recording():
            return [self._call(*row) for row in rows.each]
        alike: dict[Any, dict[int, list[Any]]] = {}
        for i, (structure, leaves) in enumerate(rows.each):
            alike.setdefault(structure, {})[i] = leaves
        results: dict[int, Any] = {}
        for structure, given in alike.items():
            results.update(zip(given, self._alike(structure, list(given.values()))))
        return [results[i] for i in range(rows.count)]

    def _alike(self, structure: Any, rows: list[list[Any]]) -> list[Any]:
        """The results for rows of one structure, from their leaves."""
        kept = self._recorded(structure, rows[0])
        if kept is None:        # another thread is recording
            return [self._as_written(structure, leaves) for leaves in rows]
        leaves = [leaf for row in rows for leaf in row]
        return self._results(
            self._forward(kept, structure, leaves, len(rows), self._threads), kept)

    def _run_of(self, arguments: list[Any]) -> Any:
        """The run for one row, and what is kept of it, for micrograd.gradients; None and None where
        the first argument is static, or it is to be recorded while another thread records."""
        if self._is_static(0, None):
            return None, None
        leaves: list[Any] = []
        structure = self._structure(arguments, {}, leaves)
        kept = self._recorded(structure, leaves)
        return kept and self._forward(kept, structure, leaves, 1, 1), kept

    def _forward(self, kept: Kept, structure: Any, leaves: Any, rows: int, threads: int) -> Any:
        """The verified run for `rows` rows."""
        run = kept.program.forward(leaves, rows, threads)
        self._verify(kept, structure, run, rows)
        if ((kept.by or kept.by_inputs) and isinstance(leaves, list)
                and any(isinstance(x, Value) for x in leaves)):
            used = set(map(id, [*kept.used, *operands_of(kept.used)]))
            for row in range(rows):
                self._check_gradients(kept, run.leaves(row), used)
        return run

    def _check_gradients(self, kept: Kept, row: list[Any], used: set[int]) -> None:
        """RecordingError where two Values that take part in a gradient depend on each other. The
        function cannot see that: what it is given for a Value has no operands. `used` are the ids
        of kept.used, and of what these were computed from."""
        values = [leaf for leaf in row if isinstance(leaf, Value)]
        given = set(map(id, values))
        inputs = {id(row[k]) for k in kept.by_inputs}
        parameters = {id(x()) for x in kept.by}
        if (len(given) < len(values) or inputs & used or parameters & given
                or not (inputs | parameters).isdisjoint(map(id, operands_of(values)))):
            raise RecordingError(f"{self._name} takes a gradient, and two Values that take part "
                                 "depend on each other, which a recording does not see: an "
                                 "argument and a parameter, or two arguments")

    def _run(self, rows: Rows) -> Any:
        """The run of all rows at once, and what is kept of them; None and None where there is
        none: the rows differ in structure, or something else is being recorded."""
        kept = None if __core__._is_recording() or rows.leaves is None else (
            self._kept.get(rows.structure) or self._recorded(rows.structure, rows.first()))
        if kept is None:
            return None, None
        return self._forward(kept, rows.structure, rows.leaves, rows.count, self._threads), kept

    def _bound(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments in the order of the function's signature."""
        if not keywords:
            return arguments, keywords
        bound = self._signature.bind(*arguments, **keywords)
        return bound.args, bound.kwargs

    @property
    def _signature(self) -> Any:
        is_method = self._origin is not None
        if is_method not in self._signatures:
            from inspect import signature
            self._signatures[is_method] = signature(self._function)
        return self._signatures[is_method]

    def _single_arguments(self) -> list[str]:
        """The names of the arguments, except *args and **kwargs."""
        return [name for name, argument in self._signature.parameters.items()
                if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)]

    def _is_static(self, place: int, name: str | None) -> bool:
        if name is None and self._static:
            names = (name for name, argument in self._signature.parameters.items()
                     if argument.kind <= argument.POSITIONAL_OR_KEYWORD)
            name = next(islice(names, place, None), None)       # None: it is one of *args
        return name in self._static

    def _structure(self, arguments: Any, keywords: dict[str, Any], leaves: list[Any]) -> Any:
        """Add the numbers and Values in the arguments to the leaves; the structure around them."""
        if not self._static and not keywords:
            return (*[flattened(x, leaves) for x in arguments], ())
        arguments, keywords = self._bound(arguments, keywords)
        return (*[Fixed(x) if self._is_static(i, None) else flattened(x, leaves)
                  for i, x in enumerate(arguments)],
                tuple((name, Fixed(x) if self._is_static(-1, name) else flattened(x, leaves))
                      for name, x in keywords.items()))

    def _as_written(self, structure: Any, leaves: Iterable[Any]) -> Any:
        """What the function itself gives; numbers reach it as Values."""
        values = iter([leaf if isinstance(leaf, Value) else __core__._given(Value(float(leaf)))
                       for leaf in leaves])
        *parts, keyword_parts = structure
        names = [name for name, _ in keyword_parts]
        count = len(parts)
        parts += [part for _, part in keyword_parts]
        arguments = [rebuilt(part, values) for part in parts]
        copies = [x for x, part in zip(arguments, parts) if not isinstance(part, Fixed)]
        before = contents(copies)
        results = self._function(*arguments[:count], **dict(zip(names, arguments[count:])))
        if contents(copies) != before:
            raise RecordingError(f"{self._name} changes a list, dict or array that it is given, "
                                 "which is a copy here: give back what is new")
        return results

    def _recorded(self, structure: Any, leaves: list[Any]) -> Kept | None:
        """What is kept for arguments of this structure; None while another thread is recording."""
        kept = self._kept.get(structure)
        if kept is None:
            kept = self._record(structure, leaves)
            if kept is not None:
                run = kept.program.forward(leaves, 1, 1)
                if differ(kept.numbers, run.numbers(0)):
                    self._compare(kept, structure, run, 0)
                self._kept[structure] = kept
                if len(self._kept) == MANY:
                    import warnings
                    frame = frame_of_program()
                    warnings.warn_explicit(
                        f"{self._name} has {MANY} recordings now, one for each structure of its "
                        "arguments; each costs time and memory", RuntimeWarning,
                        frame.f_code.co_filename, frame.f_lineno)
        return kept

    def _record(self, structure: Any, leaves: list[Any]) -> Kept | None:
        """Run the function as it is written, and keep what it computes; None while another thread
        is recording."""
        inputs = [stand_in(leaf) for leaf in leaves]
        outputs: list[Value] = []
        nested = __core__._is_recording()
        try:            # Ctrl-C may come before the next line is over
            if not __core__._begin_recording(refuse):
                return None
            refused.clear()
            differentiated.clear()
            for leaf, value in zip(leaves, inputs):
                if not isinstance(leaf, Value):
                    __core__._given(value)
            before = random_states()
            results = flattened_results(self._as_written(structure, inputs), outputs, self._name)
            if refused:             # and the function has caught the error
                raise refused[0]
            after = random_states()
            if after != before and None not in (before, after):     # no threads that may draw some
                raise RecordingError(f"{self._name} draws random numbers, which would be kept as "
                                     "they are now: pass them as arguments")
            program = __core__._Program(self._name, inputs, outputs)
            by = {id(x): weakref.ref(x) for _, xs in differentiated for x in xs}
            # A gradient need not have all that its result has: that of x + w has no w.
            ys = [y for y, _ in differentiated]
            used = __core__._Program(self._name, inputs, ys).parameters if ys else ()
        finally:
            if __core__._end_recording(nested):
                refused.clear()     # for their tracebacks
                differentiated.clear()
        by_inputs = [k for k, x in enumerate(inputs) if id(x) in by]
        others = [by[x] for x in by.keys() - set(map(id, inputs))]
        return Kept(program, results, [number_in(y.data) for y in outputs], by_inputs, others,
                    used, [0, 0])

    def _verify(self, kept: Kept, structure: Any, run: Any, rows: int) -> None:
        """Compare with the function as it is written: the rows in which it may raise an error, and
        one row at calls 1, 2, 4, 8, ..."""
        for row in run.odd():           # an error that the function raises there is no news
            self._compare(kept, structure, run, row)
        calls = kept.calls
        calls[0] = count = calls[0] + 1
        if count & (count - 1) == 0 and count > 1:      # the first has been compared
            calls[1] += 1
            try:
                self._compare(kept, structure, run, calls[1] % rows)
            except BaseException:       # the function may do so at each call from now on
                self._clear()
                raise

    def _compare(self, kept: Kept, structure: Any, run: Any, row: int) -> None:
        written = self._record(structure, run.leaves(row))
        if written is None:         # another thread is recording
            self._as_written(structure, run.leaves(row))        # which may raise an error
            return
        change = kept.program.difference(written.program)
        if change is None and written.results != kept.results:
            change = "it gives lists or tuples of other lengths"
        if change is not None:
            self._clear()
            raise RecordingError(f"{self._name} is no longer what was recorded: {change}. What "
                                 "changes from call to call must be an argument, or the data of "
                                 "a Value; the next call records anew")
        replayed = run.numbers(row)
        other = differ(written.numbers, replayed)
        # Unless another thread has changed a parameter since the run.
        if other and not differ(replayed, kept.program.forward(run.leaves(row), 1, 1).numbers(0)):
            self._clear()
            raise RecordingError(f"{self._name} gives {other[0]!r}, and its recording "
                                 f"{other[1]!r}: it computes with what is no float")

    def _again(self) -> Callable[[], Recording]:
        """A function that gives this recording, and does not keep the instance of a method."""
        if self._origin is None:
            return lambda: self
        recording, instance = self._origin[0], weakref.ref(self._origin[1])
        return lambda: recording.__get__(instance())

    def _clear(self) -> None:
        """Record anew at the next call."""
        self._kept.clear()
        self._gradients.clear()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The recording of a method, for this instance."""
        if instance is None or not hasattr(self._function, "__get__"):
            return self
        method = object.__new__(type(self))
        function = self._function.__get__(instance)
        vars(method).update(vars(self), _function=function, __wrapped__=function,
                            _origin=(self, instance))
        if id(instance) not in self._methods:
            try:
                weakref.finalize(instance, self._methods.pop, id(instance), None)
            except TypeError:
                raise TypeError(f"a {type(instance).__name__} has no weak references, by which "
                                "recordings of its methods end with it; "
                                f"record(instance.{self._name}) is kept as long as you "
                                "keep it") from None
            self._methods[id(instance)] = {}, {}
        method._kept, method._gradients = self._methods[id(instance)]
        return method

    def __reduce__(self) -> Any:
        """For copy and pickle: a function by its name, or a recording that has kept nothing."""
        name: str = getattr(self, "__qualname__", "")
        if getattr(sys.modules.get(self.__module__), name, None) is self:
            return name
        return Recording, (self._function, self._static, self._threads)

    def __repr__(self) -> str:
        return f"<recording of {self._name}>"


MANY = 10       # this many recordings of one function give a warning


def differ(written: list[float], replayed: list[float]) -> tuple[float, float] | None:
    """The first two numbers that differ, if any do; nan is like nan."""
    for a, b in zip(written, replayed):
        if a != b and (a == a or b == b):
            return a, b
    return None


def nodes_under(*roots: Value) -> list[Value]:
    """The roots, and all that they were computed from, each once."""
    nodes, stack = {id(root): root for root in roots}, [*roots]
    while stack:
        for operand in stack.pop()._prev:
            if id(operand) not in nodes:
                nodes[id(operand)] = operand
                stack.append(operand)
    return list(nodes.values())


def operands_of(values: Collection[Value]) -> list[Value]:
    """All that the values were computed from."""
    if not __core__._operations(list(values)):      # as a rule; each `_prev` is made on request
        return []
    return nodes_under(*[operand for value in values for operand in value._prev])


def random_states() -> Any:
    """What random numbers come next; None where other threads may draw some."""
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return None
    numpy_random = sys.modules.get("numpy.random")
    if not hasattr(numpy_random, "get_state"):
        return random.getstate()
    state = numpy_random.get_state(legacy=False)    # type: ignore[union-attr]
    numbers = {name: x.tolist() if hasattr(x, "tolist") else x
               for name, x in state["state"].items()}
    return random.getstate(), {**state, "state": numbers}


def number_in(x: Any) -> float:
    """The data of a parameter; TypeError unless they act as floats do."""
    if not isinstance(x, (int, float, Integral)):
        raise TypeError(f"a recording computes with floats, not {described(x)}")
    return float(x)


def number_given(x: Any) -> float:
    """A number that is given to a recording; TypeError unless it is real."""
    if type(x) is float:
        return x
    return float(x) if isinstance(x, Real) else number_in(x)


def stand_in(leaf: Any) -> Value:
    """The Value that the function is given for a number, or for another Value."""
    if not isinstance(leaf, Value):
        return Value(number_given(leaf))
    twin = type(leaf).__new__(type(leaf))
    Value.__init__(twin, number_given(leaf.data))
    vars(twin).update({name: x for name, x in vars(leaf).items() if name not in vars(twin)})
    set_slots(twin, slots_of(leaf))     # type: ignore[no-untyped-call]
    return twin


# Of the function that is being recorded: (y, xs) of the gradients that it takes.
differentiated: list[tuple[Value, list[Value]]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=__core__._after_fork)
