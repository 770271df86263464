"""Value, from the engine that MICROGRAD_ENGINE names: "c", "python", or the best there is."""
import os as __os
import sys as __sys

__all__ = ["Value"]

__wanted = __os.environ.get("MICROGRAD_ENGINE") or None
if __wanted not in (None, "c", "python"):
    raise ImportError(f"MICROGRAD_ENGINE is {__wanted!r}; it may be 'c', 'python' or unset")


def __warn(error):
    """The reference runs and nobody asked for it: say so, why, and what mends it."""
    import warnings
    folder = __os.path.dirname(__os.path.dirname(__os.path.abspath(__file__)))
    if not isinstance(error, ModuleNotFoundError):
        mend = ""
    elif __os.path.exists(__os.path.join(folder, "csrc")):
        mend = (f"Run `pip install .` in {folder}, and start Python in another folder: in that one "
                "./micrograd comes first on the path. ")
    else:
        mend = ("Run `pip install --force-reinstall .` in a clone of micrograd-native, with a C "
                "compiler. ")
    warnings.warn("micrograd runs as its reference in plain Python, which is slow, because the "
                  f"compiled engine cannot be imported: {str(error).rstrip('.')}. {mend}"
                  "MICROGRAD_ENGINE=python chooses the reference without a warning.",
                  RuntimeWarning, stacklevel=3)     # the line that imports micrograd.engine


try:
    if __wanted == "python":
        raise ImportError("the pure-Python engine was asked for")
    import micrograd._core as __core__  # with the short cuts of nn, arrays and optim
    import micrograd._templates as __templates  # noqa: F401 (for tools that pack a program)
    __engine__ = "c"        # the name of the engine in use
except ImportError as __error:
    if __wanted == "c":
        raise ImportError(
            "MICROGRAD_ENGINE is 'c', but the compiled engine is missing; build it with "
            "`pip install .` and a C compiler, or unset MICROGRAD_ENGINE to run the "
            "pure-Python engine"
        ) from __error
    if __wanted is None and __sys.implementation.name != "pypy":    # where the reference is meant
        __warn(__error)
    from micrograd import _engine_py as __core__
    __engine__ = "python"

Value = __core__.Value
