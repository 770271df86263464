"""What an installation shows: which micrograd it is, and how little it imports."""
import os
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


def test_it_says_that_both_are_installed(tmp_path, original):
    """And which modules were taken away once the original was uninstalled."""
    shutil.copytree(INSTALLED, tmp_path / "micrograd")
    for info in original.glob("micrograd-*.dist-info"):
        shutil.copytree(info, tmp_path / info.name)
    said = python("-m", "micrograd", cwd=tmp_path)
    assert said.returncode == 0 and said.stdout.startswith("micrograd-native ")
    assert "uninstalling it takes modules of this one away" in said.stdout
    for path in (original / "micrograd").glob("*.py"):
        (tmp_path / "micrograd" / path.name).unlink()
    shutil.rmtree(tmp_path / info.name)
    alone = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    said = python("-S", "-m", "micrograd", cwd=tmp_path, env=alone)
    assert said.returncode == 1, said
    assert "only a part of micrograd-native" in said.stdout
    assert "pip install --force-reinstall micrograd-native" in said.stdout


def test_import_takes_nothing_along():
    code = ("import sys; before = set(sys.modules); import micrograd.engine; "
            "print(*sorted(m.split('.')[0] for m in set(sys.modules) - before))")
    taken = set(python("-c", code, cwd=INSTALLED.parent).stdout.split())
    assert taken <= {"micrograd", "gc", "cython_runtime"}, taken


def test_the_package_hands_names_on():
    from micrograd import MLP, Layer, Module, Neuron, Value, engine, nn
    assert (Value, MLP, Layer) == (engine.Value, nn.MLP, nn.Layer)
    assert (Module, Neuron) == (nn.Module, nn.Neuron)
    assert {"Value", "MLP", "Layer", "Module", "Neuron", "__version__", "nn"} <= set(dir(micrograd))


def test_names_that_the_package_has_not():
    with pytest.raises(AttributeError, match="^module 'micrograd' has no attribute 'Valeu'$"):
        micrograd.Valeu
    with pytest.raises(ImportError, match="^cannot import name 'Valeu' from 'micrograd'"):
        from micrograd import Valeu  # noqa: F401
    assert not hasattr(micrograd, "__all__")


def test_names_are_found_when_they_are_asked_for():
    code = ("import sys; before = set(sys.modules); import micrograd; after = set(sys.modules);"
            "print(*after - before); ns = {}; exec('from micrograd import *', ns); print(*ns);"
            "dir(micrograd); print(*set(sys.modules) - after)")
    said = python("-c", code, cwd=INSTALLED.parent)
    assert said.stdout == "micrograd\n__builtins__\n\n", said.stderr


def test_the_stub_names_what_the_class_has():
    stub = (INSTALLED / "engine.pyi").read_text()
    public = [n for n in vars(engine.Value) if not n.startswith("_")]
    assert [n for n in public if f" {n}:" not in stub and f"def {n}(" not in stub] == []


def test_pypy_gets_the_reference_and_nothing_to_compile():
    pytest.importorskip("setuptools")
    code = ("import platform, setuptools; platform.python_implementation = lambda: 'PyPy'; "
            "setuptools.setup = lambda **given: print(given); exec(open('setup.py').read())")
    said = python("-c", code, cwd=pathlib.Path(__file__).parent.parent)
    assert said.stdout == "{'ext_modules': []}\n", said.stderr
