"""micrograd.gradients over each engine, side by side in one process."""
import types

import micrograd.gradients
from conftest import ENGINES
from micrograd import engine


def gradients_over(core):
    if core is engine.__core__:
        return micrograd.gradients
    path = micrograd.gradients.__file__
    with open(path) as file:
        source = file.read()
    line = "from micrograd.engine import Value, __core__\n"
    assert line in source
    module = types.ModuleType("gradients_over_the_other_engine")
    module.Value, module.__core__ = core.Value, core
    exec(compile(source.replace(line, "\n"), path, "exec"), module.__dict__)
    return module


GRADIENTS = {name: gradients_over(core) for name, core in ENGINES.items()}
