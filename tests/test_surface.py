"""The original's surface, case by case: the same code on the original, the reference and the
compiled engine, and their printed text compared."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import conftest
import run_cases

CASES = run_cases.read()
INSTALLED = pathlib.Path(conftest.engine.__file__).parent.parent


def run_all(path, engine):
    environ = {**os.environ, "PYTHONPATH": str(path), "MICROGRAD_ENGINE": engine}
    ran = subprocess.run([sys.executable, "-W", "ignore", run_cases.__file__], env=environ,
                         stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def printed(original):
    """{engine: {case: text}}"""
    texts = {name: run_all(INSTALLED, name) for name in conftest.ENGINES}
    texts["original"] = run_all(original, "")
    return texts


@pytest.mark.parametrize("name", CASES)
def test_the_original_prints_what_the_case_says(printed, name):
    case = CASES[name]
    if "torch" in case.code:
        pytest.importorskip("torch")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("printed by CPython 3.11; other versions word some things differently")
    assert printed["original"][name] == case.original


@pytest.mark.parametrize("engine", conftest.ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_same_text(printed, name, engine):
    """An engine prints what the original prints, or what the case says of that engine."""
    expected = CASES[name].improved.get(engine, printed["original"][name])
    assert printed[engine][name] == expected
