"""The engines side by side in one process: Value, and nn.py over it."""
import types

import micrograd.nn
from micrograd import _engine_py
from micrograd.engine import Value, __engine__


def nn_over_the_reference():
    """A second copy of nn.py, over the reference."""
    engine = types.ModuleType("micrograd.engine")
    engine.Value = _engine_py.Value
    engine.__core__ = _engine_py
    path = micrograd.nn.__file__
    with open(path) as file:
        source = file.read().replace("from micrograd.engine import", "from __twin_engine__ import")
    module = types.ModuleType("nn_over_the_reference")
    import sys
    sys.modules["__twin_engine__"] = engine
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    finally:
        del sys.modules["__twin_engine__"]
    return module


class Twin:
    def __init__(self, Value, nn):
        self.Value, self.nn = Value, nn


REFERENCE = Twin(_engine_py.Value, nn_over_the_reference())
COMPILED = Twin(Value, micrograd.nn) if __engine__ == "c" else None
