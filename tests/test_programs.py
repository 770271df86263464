"""Whole programs, in processes of their own: the engines print what the original prints."""
import functools
import pathlib

import pytest

import conftest
from processes import python

PROGRAMS = sorted(pathlib.Path(__file__).with_name("programs").rglob("*.py"))
INSTALLED = pathlib.Path(conftest.engine.__file__).parent.parent


@functools.cache
def printed(program, path, engine=""):
    return python(program, PYTHONPATH=str(path), MICROGRAD_ENGINE=engine)


@pytest.mark.parametrize("engine", conftest.ENGINES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_same_text(program, engine, original):
    if "import numpy" in program.read_text():
        pytest.importorskip("numpy")
    assert printed(program, INSTALLED, engine) == printed(program, original)
