"""Processes of their own, which import the micrograd that the tests do."""
import os
import pathlib
import subprocess
import sys

import micrograd


def run(*arguments, **environment):
    """Run Python with these arguments; a CompletedProcess with stdout and stderr as text."""
    folder = pathlib.Path(micrograd.__file__).resolve().parent.parent
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(folder), **environment})
