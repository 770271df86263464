"""A model's numbers by name, and in a file; an optimizer's with them, to resume training.

    save(model, "moons.json", optimizer=optimizer)
    model.load_state_dict(load("moons.json"))
    optimizer.load_state_dict(load_optimizer("moons.json"))

The file is JSON: {"format": "micrograd state", "version": 1, "parameters": {name: number}}, or of
version 2 and with an "optimizer", {name: word, number or list of numbers}. It holds nothing that
could run, so `load` is safe on a stranger's file.
"""
from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

from micrograd._checks import described, listed_values
from micrograd.engine import Value
from micrograd.nn import Module
from micrograd.optim import Optimizer

__all__ = ["save", "load", "load_optimizer", "state_dict", "load_state_dict", "named_parameters"]

FORMAT, VERSION = "micrograd state", 1
WITH_OPTIMIZER = 2      # the version of a file that has one
DIGITS = 309            # of the greatest float; a file has no longer integers


def named_parameters(module: Module) -> list[tuple[str, Value]]:
    """[(name, parameter)] in the order of module.parameters(), each parameter once.

    A name is the path of attributes, indices and keys that first leads to the parameter, say
    'layers.0.neurons.1.w.0'; where none does, it is the parameter's place, 'parameters.7'.
    TypeError where a parameter is no Value.
    """
    parameters: dict[int, tuple[int, Value]] = {}
    for i, p in enumerate(listed_values(module.parameters(), "parameters()", "parameter")):
        parameters.setdefault(id(p), (i, p))
    paths: dict[str, int] = {}
    for path, x in walk(module):
        if id(x) in parameters:
            paths.setdefault(path, id(x))
    names = {x: path for path, x in reversed(paths.items())}    # the first path of each
    return [(names.get(x, f"parameters.{i}"), p) for x, (i, p) in parameters.items()]


def walk(module: object) -> Iterator[tuple[str, object]]:
    """(path, object) of all that is in a module, depth first, each thing entered once."""
    entered, stack = set(), [("", module)]
    while stack:                # no recursion: modules may be nested to any depth, and in circles
        path, x = stack.pop()
        yield path, x
        if id(x) not in entered:
            entered.add(id(x))
            prefix = path and f"{path}."
            stack += [(f"{prefix}{key}", part) for key, part in parts(x)][::-1]


def parts(x: object) -> Iterable[tuple[object, object]]:
    """(key or index or attribute, part) of a container or a module; nothing else has parts."""
    if isinstance(x, dict):
        return x.items()
    if isinstance(x, (list, tuple)):
        return enumerate(x)
    is_module = callable(getattr(x, "parameters", None))
    return getattr(x, "__dict__", {}).items() if is_module else ()


def state_dict(module: Module) -> dict[str, float]:
    """{name: number}, the data of the parameters as they are now."""
    return {name: p.data for name, p in named_parameters(module)}


def load_state_dict(module: Module, numbers: Mapping[str, float]) -> None:
    """Set the data of all parameters from {name: number}, the numbers kept as given.

    ValueError, and nothing set, if a name is missing or unexpected or an entry is no real number;
    TypeError if numbers is no mapping, but the path of a file, say.
    """
    if not isinstance(numbers, Mapping):
        raise TypeError(f"a state is a mapping of names to numbers, not {described(numbers)}")
    parameters = dict(named_parameters(module))
    numbers = dict(numbers)
    problems = [f"{kind} {some(names)}" for kind, names in [
        ("missing", [name for name in parameters if name not in numbers]),
        ("unexpected", [name for name in numbers if name not in parameters])] if names]
    if problems:
        raise ValueError(f"the names do not fit the model: {'; '.join(problems)}")
    for name, number in numbers.items():
        if not is_number(number):
            raise ValueError(f"{name} must be a real number, not {described(number)}")
    for name, p in parameters.items():
        p.data = numbers[name]


def some(names: list[str]) -> str:
    """How many names there are, and the first few."""
    return f"{len(names)} ({', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''})"


def is_number(x: object) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool)


def save(model: Module | Mapping[str, float], path: str | os.PathLike[str], *,
         optimizer: Optimizer | Mapping[str, Any] | None = None) -> None:
    """Write the state of a model, or a {name: number}, to a file, and an optimizer's, if given.

    ValueError, and nothing written, for what a file would not give back to the last bit: nan,
    infinity, integers beyond the floats, and numbers that are no integer and equal to no float;
    and for a model whose class defines no parameters(). An existing file is replaced in one step,
    so that a crash leaves the old one or the new one, whole, and keeps its permissions. OSError if
    the path is there and is no file. TypeError for what is no model or no optimizer, and no
    mapping.
    """
    numbers = model if isinstance(model, Mapping) else with_parameters(model).state_dict()
    document = {"format": FORMAT, "version": VERSION,
                "parameters": {checked_name(name): plain(name, x) for name, x in numbers.items()}}
    if optimizer is not None:
        if not isinstance(optimizer, (Optimizer, Mapping)):
            raise TypeError(f"an optimizer is one of micrograd.optim, not {described(optimizer)}")
        state = optimizer if isinstance(optimizer, Mapping) else optimizer.state_dict()
        document["optimizer"] = {checked_name(name): plain_entry(name, x)
                                 for name, x in state.items()}
        document["version"] = WITH_OPTIMIZER
    replace(path, json.dumps(document))


def with_parameters(model: Module) -> Module:
    """The model; ValueError if it has only Module's own parameters(), which gives none."""
    if not hasattr(model, "parameters") or not hasattr(model, "state_dict"):
        raise TypeError(
            f"a model is a Module, or a mapping of names to numbers, not {described(model)}")
    if getattr(model.parameters, "__func__", None) is Module.parameters:
        raise ValueError(f"{type(model).__name__} defines no parameters(), so there is nothing to "
                         "save; it must return the list of the model's Values")
    return model


def checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"the name of a parameter must be a string, not {described(name)}")
    return name


def plain_entry(name: str, x: Any) -> Any:
    """An entry of an optimizer's state, as JSON has it."""
    if isinstance(x, (bool, str)):
        return x
    return [plain(name, number) for number in x] if isinstance(x, (list, tuple)) else plain(name, x)


def plain(name: str, x: float) -> float:
    """The int or float that is equal to x."""
    if not is_number(x):
        raise ValueError(f"{name} must be a real number to be saved, not {described(x)}")
    try:
        number: float = int(x) if isinstance(x, Integral) else float(x)
    except OverflowError:       # a Fraction
        number = math.inf
    if not in_range(number):
        raise ValueError(f"{name} must be finite and in the range of floats to be saved")
    if number != x:
        raise ValueError(f"{name} must be equal to a float to be saved, not {described(x)}")
    return number


def in_range(x: float) -> bool:
    """Whether x is no nan, no infinity and no integer beyond the greatest float."""
    return -sys.float_info.max <= x <= sys.float_info.max


def replace(path: str | os.PathLike[str], text: str) -> None:
    """Write a file beside the old one, then put it in its place."""
    path = os.path.realpath(os.fsdecode(path))      # a link stays, and what it leads to is replaced
    old = os.path.exists(path)
    if old and not os.path.isfile(path):            # a folder; a device, which would be lost
        raise OSError(f"{path} is there, and is no file")
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f"{name[:50]}.{os.urandom(4).hex()}.tmp")     # not too long
    try:
        with open(beside, "x", encoding="utf-8") as file:
            if old:
                shutil.copymode(path, beside)
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())     # on the disk before the old one goes
        os.replace(beside, path)
    except BaseException as error:
        if getattr(error, "filename", None) == beside:      # name the path that was given
            error.filename = path       # type: ignore[attr-defined]
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def load(path: str | os.PathLike[str]) -> dict[str, float]:
    """{name: number} from a file that `save` wrote; ValueError, with the reason, for any other."""
    parameters: dict[str, float] = read(path)["parameters"]
    return parameters


def load_optimizer(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state of the optimizer in a file that `save` wrote; ValueError where there is none."""
    document = read(path)
    if "optimizer" not in document:
        raise ValueError(f"{os.fspath(path)}: saved without an optimizer; "
                         "save(..., optimizer=optimizer) saves one")
    optimizer: dict[str, Any] = document["optimizer"]
    return optimizer


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The document in a file, of the form that `save` gives it; ValueError for any other."""
    try:
        with open(os.fspath(path), encoding="utf-8") as file:    # an int is an open file
            document = json.load(file, object_pairs_hook=unique, parse_int=short_int,
                                 parse_constant=no_constant)
        return checked(document)
    except RecursionError:
        raise ValueError(f"{os.fspath(path)}: no micrograd state: nested too deep") from None
    except ValueError as error:         # also of the JSON and of the UTF-8
        raise ValueError(f"{os.fspath(path)}: no micrograd state: {error}") from None


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries: dict[str, object] = {}
    for name, x in pairs:
        if name in entries:
            raise ValueError(f"the name {name!r:.60} is there twice")
        entries[name] = x
    return entries


def short_int(digits: str) -> int:
    count = len(digits.lstrip("-"))
    if count > DIGITS:          # more would take Python long
        raise ValueError(f"it has an integer of {count} digits")
    return int(digits)


def no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def checked(document: Any) -> dict[str, Any]:
    """The document; ValueError unless it has the form that save gives it."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its \"format\" must be {FORMAT!r}")
    version = document.get("version")
    if type(version) is not int or version not in (VERSION, WITH_OPTIMIZER):
        raise ValueError(f"its version must be {VERSION} or {WITH_OPTIMIZER}, not {version!r:.60}")
    objects = ["parameters", "optimizer"][:version]
    if (set(document) != {"format", "version", *objects}
            or not all(isinstance(document[name], dict) for name in objects)):
        raise ValueError("it must have format, version and an object of "
                         f"{' and one of '.join(objects)}, nothing else")
    for name, x in document["parameters"].items():
        check_number(name, x)
    for name, x in document.get("optimizer", {}).items():
        for number in x if isinstance(x, list) else () if isinstance(x, (bool, str)) else (x,):
            check_number(name, number)
    return document


def check_number(name: str, x: Any) -> None:
    if type(x) not in (int, float) or not in_range(x):
        raise ValueError(f"{name!r:.60} must be a finite number, not {described(x)}")
