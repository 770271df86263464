"""The machine and the versions that a measurement was made with."""
import json
import os
import platform
import subprocess
from importlib import metadata

import floors
import micrograd


def machine():
    """The processor, the system, Python and the compiler."""
    words = floors.compiler()
    compiler = subprocess.run([*words, "--version"], stdout=subprocess.PIPE, text=True).stdout \
        if words else "none"
    return {"processor": processor(), "cores": os.cpu_count(), "system": platform.system(),
            "architecture": platform.machine(), "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "python_compiler": platform.python_compiler(),
            "compiler": compiler.splitlines()[0] if compiler else "unknown"}


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def versions():
    """Of this project and of what it is compared with."""
    found = {"micrograd-native": micrograd.__version__, "micrograd as published": "0.1.0"}
    for package in ("numpy", "torch", "xad", "casadi", "jax", "pytensor"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


if __name__ == "__main__":
    print(json.dumps(machine()))
