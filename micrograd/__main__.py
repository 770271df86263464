"""python -m micrograd: say which micrograd this is, and how to mend an environment that has two.

The original's distribution, `micrograd`, installs modules of the same names. Whichever was
installed last wins, and uninstalling either takes the modules away. This module is only ours, and
can tell.
"""
import sys
from importlib import metadata

import micrograd

ORIGINAL = "micrograd"      # its distribution
REINSTALL = "pip install --force-reinstall . (in a clone of micrograd-native)"


def main():
    """Print what is here; the exit status, 1 if the engine is not ours."""
    try:
        import micrograd.engine as engine
    except ModuleNotFoundError as error:
        print(f"{error}: {' '.join(micrograd.__path__)} is only a part of micrograd-native, as "
              "where the original micrograd was installed beside it and uninstalled; to repair it: "
              f"{REINSTALL}")
        return 1
    except ImportError as error:        # MICROGRAD_ENGINE names what is not here
        print(error)
        return 1
    if not hasattr(engine, "__engine__"):
        print(f"{engine.__file__} is the original micrograd, installed over micrograd-native; "
              f"to have the compiled one: pip uninstall {ORIGINAL}, then {REINSTALL}")
        return 1
    print(f"micrograd-native {micrograd.__version__}, engine {engine.__engine__!r}, "
          f"{engine.__file__}")
    if original_installed():
        print("the original micrograd is installed in the same place, and uninstalling it takes "
              "modules of this one away; to have this one alone: "
              f"pip uninstall {ORIGINAL}, then {REINSTALL}")
    return 0


def original_installed():
    """Whether the original's distribution says that it owns the engine that runs."""
    try:
        files = metadata.files(ORIGINAL) or []
    except metadata.PackageNotFoundError:
        return False
    from micrograd import engine
    return any(str(file.locate()) == engine.__file__ for file in files)


if __name__ == "__main__":
    sys.exit(main())
