"""MICROGRAD_ENGINE, each value in a process of its own."""
import os
import subprocess
import sys

import pytest

from conftest import ENGINES

CODE = "import micrograd.engine as e; print(e.__engine__, e.Value(2) * 3)"
WITHOUT = "import sys; sys.modules['micrograd._core'] = None; " + CODE


def run(code, choice):
    environ = {**os.environ, "MICROGRAD_ENGINE": choice}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("choice, name", [("python", "python"), ("c", "c"), ("", list(ENGINES)[0])])
def test_the_choice(choice, name):
    if name not in ENGINES:
        pytest.skip("no compiled engine here")
    assert run(CODE, choice).stdout == f"{name} Value(data=6, grad=0)\n"


def test_the_compiled_engine_is_missing():
    assert run(WITHOUT, "").stdout == "python Value(data=6, grad=0)\n"
    failed = run(WITHOUT, "c")
    assert failed.returncode == 1 and "the compiled engine is missing" in failed.stderr


def test_a_word_that_is_no_engine():
    failed = run(CODE, "rust")
    assert failed.returncode == 1 and "'rust'; it may be 'c', 'python' or unset" in failed.stderr
