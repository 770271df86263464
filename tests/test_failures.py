"""Memory that is out at any moment: MemoryError, the graph unharmed, the engine usable after."""
import pathlib
import sys

import pytest

from allocations import counter
from conftest import ENGINES
from processes import python

if "c" not in ENGINES:
    pytest.skip("about the compiled engine", allow_module_level=True)

SCRIPT = pathlib.Path(__file__).with_name("failures.py")
PROGRAMS = ["Chain", "Sweep", "Training", "Looking", "Callback", "LookingCallback", "Objects",
            "Attributes", "Copies", "Unpacked", "Updates", "Aborted", "Recorded"]
MAKE_FUNCTIONS = ["Attributes", "Copies"]


def failures(kind, program):
    """How many allocations failed, one in each run."""
    return int(python(SCRIPT, kind, program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_allocation_of_python_fails_once(program):
    testcapi = pytest.importorskip("_testcapi")
    if not hasattr(testcapi, "set_nomemory"):
        pytest.skip("needs _testcapi.set_nomemory")
    if sys.version_info >= (3, 12) and program in MAKE_FUNCTIONS:
        pytest.skip(
            "CPython 3.12 releases a code object twice where it cannot make a function of it")
    if sys.version_info[:2] == (3, 13) and program == "Updates":
        pytest.skip("CPython 3.13.0 crashes by itself: with the reference too")
    assert failures("of_python", program) > 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_allocation_of_the_engine_fails_once(program):
    if counter("failing_allocation") is None:
        pytest.skip("needs a build with allocations.h: python3 run.py sanitize")
    assert failures("of_engine", program) > 0
