"""%autoreload 2 of IPython: nn.py is saved while a model is alive, and the next cell uses it."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import conftest

pytest.importorskip("IPython")
INSTALLED = pathlib.Path(conftest.engine.__file__).parent
CODE = """
import os, pathlib, sys, time
from IPython.core.interactiveshell import InteractiveShell

shell, path, saves = InteractiveShell.instance(), pathlib.Path(sys.argv[1], "nn.py"), []

def run(cell):
    shell.run_cell(cell).raise_error()

def save(old="", new=""):
    text = path.read_text()
    assert old in text
    saves.append(new)
    # IPython 9 patches functions where only they differ; for a statement it reloads the module.
    path.write_text(text.replace(old, new) + f"MLP.saves = {len(saves)}" + chr(10))
    later = time.time() + 10 * len(saves)       # in whole seconds, as some file systems tell it
    os.utime(path, (later, later))
    run(f"assert nn.MLP is not MLP and type(model) is nn.MLP and model.saves == {len(saves)}")

run("%load_ext autoreload")
run("%autoreload 2")
run('''
import random
from micrograd import nn
from micrograd.nn import MLP
random.seed(1)
model = MLP(2, [4, 1])

def step():
    loss = (model([1.0, -2.0]) - 1) ** 2
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= 0.01 * p.grad
    print(loss.data)
''')
run("step()")
if sys.argv[2] == "save":
    save()
run("step()")
if sys.argv[2] == "save":
    save("MLP of", "Network of")
    run("assert str(model).startswith('Network of') and str(MLP(2, [1])).startswith('Network of')")
    save("return self.w + [self.b]", "return [self.b] + self.w")
    run("assert model.layers[0].neurons[0].parameters()[0] is model.layers[0].neurons[0].b")
run("step()")
"""


def losses(folder, engine, what):
    environ = {**os.environ, "PYTHONPATH": str(folder), "IPYTHONDIR": str(folder / "ipython"),
               "MICROGRAD_ENGINE": engine}
    ran = subprocess.run([sys.executable, "-c", CODE, str(folder / "micrograd"), what], env=environ,
                         cwd=sys.prefix, text=True, capture_output=True)
    assert ran.returncode == 0 and "autoreload" not in ran.stdout + ran.stderr, (
        ran.stdout + ran.stderr)
    return ran.stdout.split()


@pytest.mark.parametrize("engine", conftest.ENGINES)
def test_a_model_survives(engine, tmp_path):
    shutil.copytree(INSTALLED, tmp_path / "micrograd")
    undisturbed = losses(tmp_path, engine, "leave")
    assert len(undisturbed) == 3 and losses(tmp_path, engine, "save") == undisturbed
