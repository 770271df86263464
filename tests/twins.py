"""The engines side by side in one process: Value, and the modules over it."""
import importlib.util
import sys
import types
from unittest import mock

from micrograd import _engine_py, _replay_py, engine  # noqa: F401 (a second copy has its own lock)


class Twin:
    """One engine, and its copies of the modules that import an engine."""

    def __init__(self, name, core):
        self.name, self.core, self.Value = name, core, core.Value
        self.modules = {"micrograd.engine": types.SimpleNamespace(
            Value=core.Value, __core__=core, __engine__=name)}
        for name in ("_recorded_arguments", "_recorded_errors"):
            self.over(name)
        self.recording, self.nn, self.losses, self.optim, _, self.gradients = map(
            self.over, ("recording", "nn", "losses", "optim", "_tape", "gradients"))
        self.record, self.pick = self.recording.record, self.recording.pick
        self.RecordingError = self.recording.RecordingError

    def over(self, name):
        """The module micrograd.<name>, over this engine."""
        full = f"micrograd.{name}"
        if self.core is engine.__core__:
            return importlib.import_module(full)
        importlib.import_module(full)   # and what it imports, which would else be forgotten again
        spec = importlib.util.find_spec(full)
        module = importlib.util.module_from_spec(spec)
        with mock.patch.dict(sys.modules, self.modules):
            spec.loader.exec_module(module)
        self.modules[full] = module
        return module

    def values(self, numbers):
        return [self.Value(float(x)) for x in numbers]


REFERENCE = Twin("python", _engine_py)
COMPILED = Twin("c", engine.__core__) if engine.__engine__ == "c" else None
