"""The original's surface, case by case: the same code on the original, the reference and the
compiled engine, and their printed text compared."""
import json
import pathlib
import re
import sys

import pytest

import conftest
import run_cases
from processes import python

CASES = run_cases.read()
INSTALLED = pathlib.Path(conftest.engine.__file__).parent.parent


def run_all(path, engine):
    environ = {"PYTHONPATH": str(path), "MICROGRAD_ENGINE": engine}
    return json.loads(python("-W", "ignore", run_cases.__file__, **environ))


@pytest.fixture(scope="module")
def printed(original):
    """{engine: {case: text}}"""
    texts = {name: run_all(INSTALLED, name) for name in conftest.ENGINES}
    texts["original"] = run_all(original, "")
    return texts


def case(name):
    """The case, unless it needs a package that is not here."""
    for package in re.findall(r"^import (numpy|torch)\b", CASES[name].code, re.M):
        pytest.importorskip(package)
    return CASES[name]


@pytest.mark.parametrize("name", CASES)
def test_the_original_prints_what_the_case_says(printed, name):
    recorded = case(name).original
    if sys.version_info[:2] != (3, 11):
        pytest.skip("printed by CPython 3.11; other versions word some things differently")
    assert printed["original"][name] == recorded


@pytest.mark.parametrize("engine", conftest.ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_same_text(printed, name, engine):
    """An engine prints what the original does, but for lines that the case has of that engine."""
    expected = run_cases.improved(case(name), printed["original"][name], engine)
    assert printed[engine][name] == expected
