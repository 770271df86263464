"""Value, from the engine that MICROGRAD_ENGINE names: "c", "python", or the best there is."""
import os as __os

__all__ = ["Value"]

__wanted = __os.environ.get("MICROGRAD_ENGINE") or None
if __wanted not in (None, "c", "python"):
    raise ImportError(f"MICROGRAD_ENGINE is {__wanted!r}; it may be 'c', 'python' or unset")

try:
    if __wanted == "python":
        raise ImportError("the pure-Python engine was asked for")
    from micrograd import _core as __core__     # the short cuts of nn, arrays and optim
    __engine__ = "c"        # the name of the engine in use
except ImportError as __error:
    if __wanted == "c":
        raise ImportError(
            "MICROGRAD_ENGINE is 'c', but the compiled engine is missing; install a wheel, or build "
            "it with a C compiler, or unset MICROGRAD_ENGINE to run the pure-Python engine"
        ) from __error
    from micrograd import _engine_py as __core__
    __engine__ = "python"

Value = __core__.Value
