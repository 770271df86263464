"""What the tests share: the engines under test, and the original as a judge."""
import array
import contextlib
import gc
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import pytest

from allocations import IDLE, living_allocations
from micrograd import _engine_py, engine, nn
from twins import COMPILED, REFERENCE, Twin

try:
    from micrograd import _core
except ImportError:
    _core = None        # MICROGRAD_ENGINE=c has failed by now, in micrograd.engine

ENGINES = {"python": _engine_py} if _core is None else {"c": _core, "python": _engine_py}


def pytest_report_header():
    return f"micrograd engine: {engine.__engine__}; tested: {', '.join(ENGINES)}"


@pytest.fixture(autouse=True, scope="session")
def elsewhere():
    """`python -c` looks in the current folder first: in a checkout it would find micrograd's
    source, not the micrograd that was built."""
    here = os.getcwd()
    os.chdir(sys.prefix)
    yield
    os.chdir(here)


@pytest.fixture(params=ENGINES)
def Value(request):
    """class Value of each engine there is."""
    return ENGINES[request.param].Value


TWINS = {"python": REFERENCE}
if _core is not None:
    TWINS["c"] = COMPILED or Twin("c", _core)


@pytest.fixture(params=TWINS, scope="module")      # with Hypothesis, a fixture serves all examples
def twin(request):
    """Each engine, with the modules over it."""
    return TWINS[request.param]


@pytest.fixture(scope="session")
def original():
    """The folder of micrograd 0.1.0 as published, installed outside the environment."""
    folder = pathlib.Path(sys.prefix) / "micrograd-as-published"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=sys.prefix) as fetched:
            fetch(pathlib.Path(fetched) / "micrograd")
            with contextlib.suppress(OSError):      # another process of these tests was first
                os.rename(pathlib.Path(fetched) / "micrograd", folder)
    return folder


def fetch(folder):
    fetched = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                              "--target", folder, "micrograd==0.1.0"])
    if fetched.returncode != 0:
        pytest.skip("pip cannot fetch micrograd 0.1.0")


@pytest.fixture(autouse=True)
def no_value_left():
    """Every test gives all its nodes back to the pool."""
    yield
    if _core is not None:
        if _core._count_values():
            gc.collect()
        assert _core._count_values() == 0
        assert living_allocations() <= IDLE


PREDICT = engine.__core__._predict     # which a test may replace


@pytest.fixture(autouse=True)
def as_shipped():
    """No test leaves a class changed, so that layers are fused in the next one too."""
    yield
    if engine.__engine__ == "c":
        state = random.getstate()
        layer = nn.Layer(1, 1)
        random.setstate(state)
        assert PREDICT([layer], array.array("d", [1.0]), 1) is not None
