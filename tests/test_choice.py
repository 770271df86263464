"""MICROGRAD_ENGINE, each value in a process of its own."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import micrograd
from conftest import ENGINES

CODE = "import micrograd.engine as e; print(e.__engine__, e.Value(2) * 3)"
WITHOUT = "import sys; sys.modules['micrograd._core'] = None; " + CODE


INSTALLED = pathlib.Path(micrograd.__file__).parent
# Runs CODE in an interpreter of its own within the process, which the compiled engine refuses.
SUBINTERPRETER = f"""
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import micrograd.engine
new = sys.version_info >= (3, 13)
interpreter = interpreters.create("legacy") if new else interpreters.create(isolated=False)
interpreters.run_string(interpreter, f"import sys; sys.path[:] = {{sys.path}}; " + {CODE!r})
"""


def run(code, choice, cwd=None):
    environ = {**os.environ, "MICROGRAD_ENGINE": choice}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True,
                          cwd=cwd)


def without_the_compiled_engine(folder):
    shutil.copytree(INSTALLED, folder / "micrograd", ignore=shutil.ignore_patterns("_core*"))


@pytest.mark.parametrize("choice, name", [("python", "python"), ("c", "c"), ("", list(ENGINES)[0])])
def test_the_choice(choice, name):
    if name not in ENGINES:
        pytest.skip("no compiled engine here")
    assert run(CODE, choice).stdout == f"{name} Value(data=6, grad=0)\n"


def test_the_compiled_engine_is_missing():
    assert run(WITHOUT, "").stdout == "python Value(data=6, grad=0)\n"
    failed = run(WITHOUT, "c")
    assert failed.returncode == 1 and "the compiled engine is missing" in failed.stderr


def test_the_reference_that_nobody_asked_for_warns_once():
    said = run(WITHOUT + "; from micrograd import nn, optim", "").stderr
    assert said.count("RuntimeWarning: micrograd runs as its reference in plain Python") == 1
    assert "cannot be imported: import of micrograd._core halted" in said
    assert "pip install --force-reinstall .` in a clone of micrograd-native" in said
    assert said.startswith("<string>:1: ")      # the line that imports it


def test_the_reference_that_was_asked_for_does_not_warn():
    assert run(WITHOUT, "python").stderr == ""
    pypy = "import sys; sys.implementation.name = 'pypy'; "
    assert run(pypy + WITHOUT, "").stderr == ""


def test_a_checkout_without_a_compiled_engine(tmp_path):
    without_the_compiled_engine(tmp_path)
    (tmp_path / "csrc").mkdir()
    ran = run(CODE, "", cwd=tmp_path)
    assert ran.stdout == "python Value(data=6, grad=0)\n"
    assert f"Run `pip install .` in {tmp_path}, and start Python in another folder" in ran.stderr


def test_an_engine_that_refuses_to_load(tmp_path):
    without_the_compiled_engine(tmp_path)
    (tmp_path / "micrograd" / "_core.py").write_text("raise ImportError('not on this Python')")
    ran = run(CODE, "", cwd=tmp_path)
    assert ran.stdout == "python Value(data=6, grad=0)\n"
    assert "cannot be imported: not on this Python. MICROGRAD_ENGINE" in ran.stderr
    refused = run(CODE, "c", cwd=tmp_path)
    assert refused.returncode == 1 and "not on this Python" in refused.stderr


@pytest.mark.skipif("c" not in ENGINES, reason="about the compiled engine")
def test_a_subinterpreter():
    pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    ran = run(SUBINTERPRETER, "")
    assert ran.stdout == "python Value(data=6, grad=0)\n", ran.stderr
    assert "micrograd runs as its reference in plain Python" in ran.stderr


def test_a_word_that_is_no_engine():
    failed = run(CODE, "rust")
    assert failed.returncode == 1 and "'rust'; it may be 'c', 'python' or unset" in failed.stderr
