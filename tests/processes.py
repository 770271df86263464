"""Python in a fresh process, with this process's micrograd and the modules of the tests. The engine
is the compiled one, if there is one, unless the test names another."""
import importlib.util
import os
import pathlib
import subprocess
import sys

import micrograd

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(micrograd.__file__).resolve().parent.parent
ENGINE = "c" if importlib.util.find_spec("micrograd._core") else "python"


def run(*arguments, **environ):
    """Run python with these arguments; a CompletedProcess with stdout and stderr as text."""
    path = os.pathsep.join([str(HOME), str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, "-X", "faulthandler", *map(str, arguments)],
                          capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path, "MICROGRAD_ENGINE": ENGINE,
                               **environ})


def python(*arguments, **environ):
    """What python with these arguments prints; an error, with what it said, unless it ends well."""
    ran = run(*arguments, **environ)
    assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr[-3000:]}"
    return ran.stdout
