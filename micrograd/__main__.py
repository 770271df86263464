"""python -m micrograd: say which micrograd this is.

The original's distribution, `micrograd`, installs modules of the same names. Whichever was installed
last wins; this module is only ours, and can tell.
"""
import sys

import micrograd
from micrograd import engine


def describe():
    if not hasattr(engine, "__engine__"):
        return (f"{engine.__file__} is the original micrograd, installed over micrograd-native; "
                "to have the compiled one: pip uninstall micrograd, then "
                "pip install --force-reinstall micrograd-native")
    return f"micrograd-native {micrograd.__version__}, engine {engine.__engine__!r}, {engine.__file__}"


if __name__ == "__main__":
    print(describe())
    sys.exit(not hasattr(engine, "__engine__"))
