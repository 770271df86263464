"""Python in a fresh process, with the micrograd that this process has and the modules of the tests."""
import os
import pathlib
import subprocess
import sys

import micrograd

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(micrograd.__file__).resolve().parent.parent


def python(*arguments, **environ):
    """What python with these arguments prints; an error, with what it said, unless it ends well."""
    path = os.pathsep.join([str(HOME), str(HERE), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run([sys.executable, "-X", "faulthandler", *map(str, arguments)], capture_output=True,
                         text=True, env={**os.environ, "PYTHONPATH": path, **environ})
    assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr[-3000:]}"
    return ran.stdout
