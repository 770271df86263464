"""What an installation shows: which micrograd it is, and how little it imports."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import micrograd
import processes
from conftest import ENGINES
from micrograd import engine

INSTALLED = pathlib.Path(engine.__file__).parent
SOURCE = pathlib.Path(__file__).resolve().parent.parent


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


def test_it_says_which_it_is():
    said = python("-m", "micrograd", cwd=INSTALLED.parent)
    assert said.returncode == 0
    assert said.stdout.startswith(
        f"micrograd-native {micrograd.__version__}, engine {engine.__engine__!r}")


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
    assert "pip install --force-reinstall . (in a clone of micrograd-native)" in said.stdout


def test_it_says_that_the_engine_that_was_asked_for_is_missing(tmp_path):
    shutil.copytree(INSTALLED, tmp_path / "micrograd", ignore=shutil.ignore_patterns("_core*"))
    said = python("-m", "micrograd", cwd=tmp_path, env={**os.environ, "MICROGRAD_ENGINE": "c"})
    assert said.returncode == 1 and said.stderr == ""
    assert said.stdout.startswith("MICROGRAD_ENGINE is 'c', but the compiled engine is missing")
    said = python("-m", "micrograd", cwd=tmp_path, env={**os.environ, "MICROGRAD_ENGINE": ""})
    assert said.returncode == 0 and "engine 'python'" in said.stdout
    assert "__main__.py:" in said.stderr.split(": RuntimeWarning: micrograd runs as")[0]


@pytest.mark.skipif("c" not in ENGINES, reason="about the compiled engine")
def test_import_takes_nothing_along():
    """Without site (-S), whose .pth files may import modules of their own, at any time."""
    code = ("import os, sys; before = set(sys.modules); import micrograd.engine; "
            "print(*sorted(m.split('.')[0] for m in set(sys.modules) - before))")
    taken = set(processes.python("-S", "-c", code, MICROGRAD_ENGINE="c").split())
    taken = {name for name in taken if not name.startswith("_cython_")}     # of Cython's functions
    assert taken <= {"micrograd", "gc", "cython_runtime"}, taken


def test_the_reference_alone_takes_no_recordings_along():
    """The compiled engine leaves a class with an access of its own to it, at the first sweep."""
    python("-c", "import sys; from micrograd._engine_py import Value; "
                 "assert 'micrograd._replay_py' not in sys.modules")


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


def run_setup(change):
    """What python says of setup.py after the change, where setup() prints its extensions."""
    pytest.importorskip("setuptools")
    if not (SOURCE / "setup.py").exists():
        pytest.skip("needs the source tree")
    return python("-c", f"import platform, sysconfig, setuptools; {change}; "
                  "setuptools.setup = lambda ext_modules, **_: print(ext_modules); "
                  "exec(open('setup.py').read())", cwd=SOURCE)


def test_pypy_gets_the_reference_and_nothing_to_compile():
    said = run_setup("platform.python_implementation = lambda: 'PyPy'")
    assert said.stdout == "[]\n", said.stderr


def test_a_free_threaded_python_is_refused():
    said = run_setup("sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1")
    assert said.returncode == 1 and said.stdout == ""
    assert (said.stderr
            == "micrograd-native has no free-threaded build: it needs a Python with the GIL.\n")


@pytest.mark.skipif(not (SOURCE / "csrc").exists() or not shutil.which("gcc"),
                    reason="no source, or no gcc")
def test_fast_math_in_cflags_changes_no_result(tmp_path):
    shutil.copytree(SOURCE, tmp_path / "source",
                    ignore=shutil.ignore_patterns(".*", "build", "dist", "tests", "benchmarks"))
    environ = {name: said
               for name, said in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH")}
    environ |= {"CFLAGS": "-Ofast -ffast-math -funsafe-math-optimizations -ffinite-math-only",
                "CC": "gcc", "LDFLAGS": "-ffast-math", "MICROGRAD_ENGINE": "c"}
    built = python("-m", "pip", "install", "--no-deps", "--no-cache-dir", "--target",
                   tmp_path / "built", tmp_path / "source", env=environ)
    assert built.returncode == 0, built.stdout + built.stderr
    code = ("from micrograd.engine import Value; tiny, nan = 1e-310, float('nan'); "
            "print(tiny * 0.5, (Value(tiny) * 0.5).data, Value(nan).relu().data, "
            "Value(nan).maximum(1).data)")
    said = python("-c", code, cwd=tmp_path / "built", env=environ)
    assert said.stdout == "5e-311 5e-311 nan nan\n", said.stderr
