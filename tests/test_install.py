"""What an installation shows: which micrograd it is, and how little it imports."""
import pathlib
import shutil
import subprocess
import sys

import pytest

import micrograd
from micrograd import engine

INSTALLED = pathlib.Path(engine.__file__).parent


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


def test_it_says_which_it_is():
    said = python("-m", "micrograd", cwd=INSTALLED.parent)
    assert said.returncode == 0
    assert said.stdout.startswith(f"micrograd-native {micrograd.__version__}, engine {engine.__engine__!r}")


def test_it_says_that_the_original_was_installed_over_it(tmp_path, original):
    shutil.copytree(INSTALLED, tmp_path / "micrograd")
    shutil.copytree(original / "micrograd", tmp_path / "micrograd", dirs_exist_ok=True)
    said = python("-m", "micrograd", cwd=tmp_path)
    assert said.returncode == 1 and "is the original micrograd" in said.stdout


def test_import_takes_nothing_along():
    code = ("import sys; before = set(sys.modules); import micrograd.engine; "
            "print(*sorted(m.split('.')[0] for m in set(sys.modules) - before))")
    taken = set(python("-c", code, cwd=INSTALLED.parent).stdout.split())
    assert taken <= {"micrograd", "gc", "cython_runtime"}, taken


def test_the_stub_names_what_the_class_has():
    stub = (INSTALLED / "engine.pyi").read_text()
    public = [n for n in vars(engine.Value) if not n.startswith("_")]
    assert [n for n in public if f" {n}:" not in stub and f"def {n}(" not in stub] == []


def test_pypy_gets_the_reference_and_nothing_to_compile():
    pytest.importorskip("setuptools")
    source = pathlib.Path(__file__).parent.parent
    if not (source / "setup.py").exists():
        pytest.skip("needs the source tree")
    code = ("import platform, setuptools; platform.python_implementation = lambda: 'PyPy'; "
            "setuptools.setup = lambda **given: print(given); exec(open('setup.py').read())")
    said = python("-c", code, cwd=source)
    assert said.stdout == "{'ext_modules': []}\n", said.stderr
