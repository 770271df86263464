"""Recordings in the reference: a function as a list of steps, and the passes through them.

The compiled engine does the same in csrc/recording*.pxi and csrc/replay*, for many rows at once.
"""
import sys
from _thread import allocate_lock, get_ident
from contextlib import suppress
from functools import partial, reduce
from math import isfinite
from operator import add

from micrograd import _engine_py
from micrograd._engine_py import Value, _operation, backward_of_leaf
from micrograd._functions import DERIVATIVES, is_value, place_of, sign

# While a function is recorded.

class Recorder:
    """Refuses what a function must not do while it is recorded."""

    def __init__(self, refuse):
        self.refuse, self.thread = refuse, get_ident()
        self.made = {}          # the Values made since, by their id

    def check(self, what, value=None):
        """Raise RecordingError. Other threads, and reading a function's constant, are exempt."""
        is_constant = id(value) in self.made and not value._prev
        if self.thread == get_ident() and not is_constant:
            self.refuse(what)

    def note_error(self):
        """Refuse an error in arithmetic that the function catches."""
        if self.thread == get_ident():
            with suppress(RuntimeError):    # RecordingError, kept for the end of the recording
                self.refuse("error")

    def check_constructor(self, value, operands):
        """RecordingError where the program gives operands to a Value, or makes one anew."""
        if operands and not called_by_engine(3):
            self.check("operation")
        if "data" in vars(value) and id(value) not in self.made:
            self.check("writing")


class Watched:
    """An attribute of all Values while a function is recorded: only the engine may use it."""

    def __init__(self, name, reading=None):
        self.name, self.reading = name, reading

    def __get__(self, value, owner):
        if value is None:
            return self
        if self.reading and not called_by_engine() and _engine_py.recorder is not None:
            _engine_py.recorder.check(self.reading, value)
        try:
            return vars(value)[self.name]
        except KeyError:
            raise AttributeError(f"'Value' object has no attribute {self.name!r}") from None

    def __set__(self, value, new):
        recorder = _engine_py.recorder
        if recorder is None:            # it has just ended, in another thread
            vars(value)[self.name] = new
            return
        if "data" not in vars(value) and recorder.thread == get_ident():
            recorder.made[id(value)] = value
        if not called_by_engine():
            recorder.check("operation" if self.name == "_backward" else "writing")
        vars(value)[self.name] = new

    def __delete__(self, value):
        _engine_py.recorder.check("writing")
        del vars(value)[self.name]


WATCHED = {"data": Watched("data", "data"), "grad": Watched("grad", "grad"),
           "_prev": Watched("_prev"), "_op": Watched("_op"), "_backward": Watched("_backward")}


given = {}      # the Values that functions got for numbers, by their ids, until the recording ends


def _given(value):
    """Mark a Value as what the function that is recorded gets for a number; returns it."""
    if _is_recording():
        given[id(value)] = value
    return value


def forbid_if_given(*values):
    """RecordingError where a Value that stands for a number is asked for its equality, hash or
    truth: the number has others."""
    if _is_recording() and not called_by_engine(3) and any(id(value) in given for value in values):
        _engine_py.recorder.refuse("number")


def equality(self, other):
    if other is not None and type(other) is not str:        # a number is neither
        forbid_if_given(self, other)
    return True if self is other else NotImplemented


def identity_hash(self):
    forbid_if_given(self)
    return object.__hash__(self)


def truth(self):
    forbid_if_given(self)
    return len(self) != 0 if hasattr(type(self), "__len__") else True


# The special methods of all Values while a function is recorded.
OF_OBJECTS = {"__eq__": equality, "__hash__": identity_hash, "__bool__": truth}


def called_by_engine(depth=2):
    """Whether the code `depth` frames above is the engine's."""
    return sys._getframe(depth).f_globals.get("__name__") in (__name__, Value.__module__,
                                                              _engine_py.__name__,
                                                             "micrograd._functions")


def overrides(cls):
    """Whether a subclass of Value overrides the access to the engine's attributes."""
    return any(name in vars(base) for base in cls.__mro__[:cls.__mro__.index(Value)]
               for name in (*WATCHED, "__getattribute__", "__getattr__", "__setattr__",
                            "__delattr__"))


lock = allocate_lock()      # held while a function is recorded


def _is_recording():
    return _engine_py.recorder is not None and _engine_py.recorder.thread == get_ident()


def _begin_recording(refuse):
    """Record what this thread computes; False where another thread is recording."""
    if not lock.acquire(blocking=False):
        return False
    if any(hasattr(Value, name) for name in WATCHED):
        lock.release()
        refuse("override")
    _engine_py.recorder = Recorder(refuse)
    _engine_py.recorder.added = WATCHED | {name: method for name, method in OF_OBJECTS.items()
                                           if name not in vars(Value)}
    for name, attribute in _engine_py.recorder.added.items():
        setattr(Value, name, attribute)
    return True


def _end_recording(nested=False):
    """End this thread's recording; False where there is none, or the caller is nested in it."""
    mine = _is_recording() and not nested
    if mine:
        end_recording()
    return mine


def _after_fork():
    """In a forked child: end the recording of another thread, since that thread is gone."""
    if _engine_py.recorder is not None and not _is_recording():
        end_recording()


def end_recording():
    for name in _engine_py.recorder.added:
        delattr(Value, name)
    _engine_py.recorder = None
    given.clear()
    lock.release()


def _pick(values, i):
    chosen = values[_engine_py.computed(place_of, i.data, len(values))]
    return _marked("pick", chosen.data, (*values, i)) if _is_recording() else chosen


def _sign(value):
    """The sign of a Value of a function that is being recorded."""
    return _marked("sign", sign(value.data), (value,))


def _marked(name, data, operands):
    """A node of an operation that exists only while a function is recorded."""
    out = Value(data, operands, name)
    out._backward = partial(backward_of_marked, name, operands, out)
    return out


def backward_of_marked(name, operands, out):
    """Never called: what is being recorded is not swept."""


def marked_operation(name, operands, out):
    return (name, operands[:-1], operands[-1]) if name == "pick" else (name, operands[0], None)


backward_of_marked.operation = marked_operation


# What was recorded.

ENDS = "input", "parameter", "constant", "detach", "sign"      # of a sweep: they pass nothing on

class _Program:
    """The steps that lead from inputs to outputs, each as (symbol, operands): the places of other
    steps, or a number (of a constant, of an input, of a parameter)."""

    def __init__(self, name, inputs, outputs):
        self.name, self.count, self.refuse = name, len(inputs), _engine_py.recorder.refuse
        self.steps, self.parameters = [], []
        places = {}
        for k, leaf in enumerate(inputs):
            places[id(leaf)] = self.append("input", k)
        made = _engine_py.recorder.made
        for node in operands_made_first(outputs, made, places):
            places[id(node)] = self.append_node(node, places, made)
        self.outputs = [places[id(y)] for y in outputs]
        self.picks = any(symbol == "pick" for symbol, *_ in self.steps)
        self.reach = {place: self.leaves_under(place) for place in {*self.outputs}}
        self.used = {k for inputs, _ in self.reach.values() for k in inputs}

    def append(self, symbol, *operands):
        self.steps.append((symbol, *operands))
        return len(self.steps) - 1

    def append_node(self, node, places, made):
        if overrides(type(node)):
            _engine_py.recorder.refuse("override")
        if id(node) not in made:
            check_number(node.data)
            self.parameters.append(node)
            return self.append("parameter", len(self.parameters) - 1)
        if not node._prev and node._backward is backward_of_leaf:
            return self.append("constant", check_number(node.data))
        symbol, operands = recorded_operation(node)
        check_number(node.data)
        if symbol == "**" and not isinstance(operands[1], Value):
            symbol = "pow"              # the original's power, whose slope at 0 may be an error
        return self.append(symbol, *[places[id(x)] if isinstance(x, Value)
                                     else self.append("constant", float(x)) for x in operands])

    def difference(self, other):
        """How the other program differs, in words; None if it does not."""
        if list(map(id, self.parameters)) != list(map(id, other.parameters)):
            return "other Values take part"
        for step, now in zip(self.steps, other.steps):
            if repr(step) != repr(now):         # tells 0.0 from -0.0, and is equal for nan
                if step[0] == now[0] == "constant":
                    return f"a number that was {step[1]!r} is {now[1]!r}"
                return "it computes something else"
        return None if len(self.steps) == len(other.steps) else "it computes something else"

    def forward(self, leaves, rows, threads):
        return _Run(self, leaves, rows)

    def under(self, place, numbers=None):
        """The places of the steps that this one has gradients for in a row of these numbers, or in
        any row; itself among them."""
        under, stack = {place}, [place]
        while stack:
            symbol, *operands = self.steps[stack.pop()]
            if symbol == "pick":
                *operands, at = operands
                if numbers is not None:
                    operands = [operands[place_of(numbers[at], len(operands))]]
            for x in operands if symbol not in ENDS else ():
                if x not in under:
                    under.add(x)
                    stack.append(x)
        return under

    def leaves_under(self, place, numbers=None):
        """The places of the inputs and the parameters that a step was computed from."""
        steps = [self.steps[i] for i in self.under(place, numbers)]
        return ([k for symbol, k, *_ in steps if symbol == "input"],
                [self.parameters[k] for symbol, k, *_ in steps if symbol == "parameter"])

    def listing(self):
        """The steps, as (symbol, operands), and the places of the outputs."""
        return self.steps, self.outputs


def operands_made_first(roots, made, places):
    """The nodes under roots that have no place yet, operands first. The search ends at nodes that
    were not made while recording."""
    order, seen, stack = [], set(places), [(root, False) for root in reversed(roots)]
    while stack:
        node, operands_done = stack.pop()
        if operands_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if id(node) in made and node._backward is not backward_of_leaf:
                stack += [(x, False)
                          for x in reversed(recorded_operation(node)[1]) if isinstance(x, Value)]
    return order


def recorded_operation(node):
    """(symbol, operands) of a node that the function made."""
    backward = node._backward
    if isinstance(backward, partial) and backward.func is backward_of_marked:
        return backward.args[0], backward.args[1]
    symbol, a, b = _operation(node)
    if symbol is None or symbol == "local":
        _engine_py.recorder.refuse("operation")
    return symbol, [x for x in (a, b) if x is not None]


def check_number(x):
    from micrograd.recording import number_in
    try:
        return number_in(x)
    except TypeError:
        _engine_py.recorder.refuse("kind")


def value_of(symbol, a, b, refuse):
    y = DERIVATIVES[symbol].y(a, b)
    if isinstance(y, complex):
        refuse("kind")
    return float(y)


class _Run:
    """A program's arguments and results for some rows. The leaves of all rows are one list."""

    def __init__(self, program, leaves, rows):
        for leaf in leaves:
            if isinstance(leaf, Value) and overrides(type(leaf)):
                program.refuse("override")
        self.program, self.all_leaves, self.rows = program, leaves, rows
        self.weight = None      # the factor of each row in the one result; None if each has results
        from micrograd.recording import number_in
        self.parameters = [number_in(p.data) for p in program.parameters]
        self.errors = {}        # of each row in which a step raises one
        self.values = [self.row(row) for row in range(rows)]

    def odd(self):
        """The rows in which the function, run as it is written, may raise an error."""
        return list(self.errors)

    def leaves(self, row):
        return self.all_leaves[row * self.program.count:(row + 1) * self.program.count]

    def row(self, row):
        """The numbers of all steps, up to one that raises an error."""
        numbers = []
        try:
            self.compute(self.leaves(row), numbers)
        except (ArithmeticError, ValueError, IndexError) as error:
            self.errors[row] = error
        return numbers

    def compute(self, leaves, numbers):
        from micrograd.recording import number_given
        for symbol, *operands in self.program.steps:
            if symbol == "input":
                leaf = leaves[operands[0]]
                y = number_given(leaf.data if isinstance(leaf, Value) else leaf)
            elif symbol == "parameter":
                y = self.parameters[operands[0]]
            elif symbol == "constant":
                y = operands[0]
            elif symbol in ("detach", "sign"):
                y = numbers[operands[0]] if symbol == "detach" else sign(numbers[operands[0]])
            elif symbol == "pick":
                *places, i = operands
                y = numbers[places[place_of(numbers[i], len(places))]]
            else:
                a, b = numbers[operands[0]], numbers[operands[-1]] if len(operands) == 2 else None
                y = value_of(symbol, a, b, self.program.refuse)
            numbers.append(y)

    def numbers(self, row):
        """The numbers of the results for a row."""
        self.raise_error()
        return [self.values[row][place] for place in self.program.outputs]

    def raise_error(self):
        for error in self.errors.values():
            raise error

    def results(self, how):
        """The results for all rows as Values; or their sum or mean as one."""
        self.raise_error()
        self.all_leaves = [leaf if i % self.program.count in self.program.used
                           else self.values[i // self.program.count][i % self.program.count]
                           for i, leaf in enumerate(self.all_leaves)]
        if how == "map":
            return [self.result(self.values[row][place], [(row, place, 1.0)])
                    for row in range(self.rows) for place in self.program.outputs]
        place = self.program.outputs[0]
        factor = self.weight = 1.0 if how == "sum" else 1.0 / self.rows
        # sum() rounds differently
        total = reduce(add, [numbers[place] for numbers in self.values], 0)
        total *= factor
        return [self.result(total, [(row, place, factor) for row in range(self.rows)])]

    def gradients(self, seeds):
        """The gradients of the inputs of one row, from those of its results."""
        total = [0.0] * self.program.count
        for place, g in zip(self.program.outputs, seeds):
            total = [a + b for a, b in zip(total, self.of_inputs(self.sweep(0, place, g)))]
        return total

    def jacobian(self, threads, finite=False):
        """The gradients of the inputs of one row, from each of its results in turn; None if
        `finite` and one of them is not."""
        found = [self.of_inputs(self.sweep(0, place, 1.0)) for place in self.program.outputs]
        return None if finite and not all(isfinite(x) for row in found for x in row) else found

    def of_inputs(self, gradients):
        return [gradients.get(k, 0.0) for k in range(self.program.count)]

    def result(self, data, seeds):
        out = Value(data, self.operands(seeds), self.program.name)
        out._backward = partial(backward_of_run, self, seeds, out)
        return out

    def operands(self, seeds):
        """The Values that these results were computed from."""
        found = set()
        for row, place, _ in seeds:
            inputs, parameters = (self.program.leaves_under(place, self.values[row])
                                  if self.program.picks else self.program.reach[place])
            leaves = self.leaves(row)
            found.update(parameters, [leaves[k] for k in inputs if isinstance(leaves[k], Value)])
        return found

    def sweep(self, row, place, g):
        """{place: gradient} of the steps that one has gradients for, from its own; in order."""
        numbers = self.values[row]
        gradients = dict.fromkeys(sorted(self.program.under(place, numbers)), 0.0)
        gradients[place] = g
        for i in reversed(gradients):
            symbol, *operands = self.program.steps[i]
            g = gradients[i]
            if symbol in ENDS:
                continue
            if symbol == "pick":
                *places, at = operands
                gradients[places[place_of(numbers[at], len(places))]] += g
                continue
            a, b = operands[0], operands[-1]
            rule, data = DERIVATIVES[symbol], (numbers[a],
                                               numbers[b] if len(operands) == 2 else None)
            gradients[a] += rule.da(*data, numbers[i], g)
            if rule.db is not None:
                gradients[b] += rule.db(*data, numbers[i], g)
        return gradients


def result_of_run(run, seeds, out):
    row, place, _ = seeds[0]
    return "recorded", run, row * len(run.program.outputs) + run.program.outputs.index(place)


def backward_of_run(run, seeds, out):
    for row, place, factor in seeds:
        for i, g in run.sweep(row, place, factor * out.grad).items():
            symbol, *operands = run.program.steps[i]
            if symbol == "parameter":
                run.program.parameters[operands[0]].grad += g
            elif symbol == "input" and is_value(run.leaves(row)[operands[0]]):
                run.leaves(row)[operands[0]].grad += g


backward_of_run.operation = result_of_run


def _fill(columns, structures):
    """The compiled engine's short cut to the numbers of all rows; the reference has none."""
