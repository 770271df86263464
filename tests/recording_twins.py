"""micrograd.recording, and the modules it is used with, over each engine, side by side in one process."""
import importlib.util
import sys
import types
from unittest import mock

import micrograd
from micrograd import engine


class Twin:
    """One engine, and copies of the modules that import it."""

    def __init__(self, name, core):
        self.name, self.core, self.Value = name, core, core.Value
        self.modules = {"micrograd.engine": types.SimpleNamespace(
            Value=core.Value, __core__=core, __engine__=name)}
        self.recording, self.nn, self.losses, self.optim = map(
            self.over, ("recording", "nn", "losses", "optim"))
        self.record, self.pick = self.recording.record, self.recording.pick
        self.RecordingError = self.recording.RecordingError

    def over(self, name):
        """The module micrograd.<name>, over this engine."""
        full = f"micrograd.{name}"
        if self.core is engine.__core__:
            return importlib.import_module(full)
        spec = importlib.util.find_spec(full)
        module = importlib.util.module_from_spec(spec)
        with mock.patch.dict(sys.modules, self.modules):
            spec.loader.exec_module(module)
        self.modules[full] = module
        return module

    def values(self, numbers):
        return [self.Value(float(x)) for x in numbers]


def twins(engines):
    """{name: Twin} of the engines that can record."""
    return {name: Twin(name, core) for name, core in engines.items() if hasattr(core, "_Program")}
