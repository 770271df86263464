"""Whole programs, in processes of their own: the engines print what the original prints."""
import functools
import os
import pathlib
import subprocess
import sys

import pytest

import conftest

PROGRAMS = sorted(pathlib.Path(__file__).with_name("programs").rglob("*.py"))
INSTALLED = pathlib.Path(conftest.engine.__file__).parent.parent


@functools.cache
def printed(program, path, engine=""):
    environ = {**os.environ, "PYTHONPATH": str(path), "MICROGRAD_ENGINE": engine}
    ran = subprocess.run([sys.executable, str(program)], env=environ, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("engine", conftest.ENGINES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_same_text(program, engine, original):
    if "import numpy" in program.read_text():
        pytest.importorskip("numpy")
    assert printed(program, INSTALLED, engine) == printed(program, original)
