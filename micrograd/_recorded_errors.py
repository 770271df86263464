"""What a function must not do while it is recorded, and what it can do instead."""
from __future__ import annotations

import sys
from types import FrameType

from micrograd.engine import __core__


class RecordingError(RuntimeError):
    """A function does what a recording cannot repeat, or no longer does what was recorded."""


RecordingError.__module__ = "micrograd.recording"       # where programs find it, in tracebacks too

REMEDIES = {
    "data": "reads the data of a Value, which would be kept as it is now: use maximum, relu, pick "
            "or detach, or pass a number as an argument",
    "grad": "reads the gradient of a Value, which would be kept as it is now: pass it as an "
            "argument",
    "comparison": "compares a Value, and would always go the way that it goes now: use maximum, "
                  "minimum, relu or pick",
    "number": "asks a number that it was given for its truth, its hash or whether it equals "
              "another; it is a Value here, which has other answers, and they would be kept: use "
              "pick, or name the argument in `static`",
    "error": "catches an error of arithmetic, and would always go on as it does now: keep numbers "
             "in the domain of the operation by maximum, minimum or relu",
    "pick": "takes a gradient by what pick has chosen, and so by one Value now and by another "
            "later: take it by each of the values, and pick among the gradients",
    "text": "makes a text of a Value's data, which would be kept as it is now: do so after the "
            "call",
    "rounding": "rounds a Value's data, which would be kept as it is now: do so after the call",
    "writing": "sets an attribute of a Value, which later calls would not do: do so outside the "
               "function",
    "backward": "calls backward(), which later calls would not do: call it on what the recording "
                "gives, or use micrograd.gradients.grad",
    "copy": "copies a Value with the number that it holds now: use the Value itself, or detach",
    "operation": "computes a node by a _backward, operands or local gradients of its own, which "
                 "hold numbers of now: put it together from the functions of Value",
    "override": "uses a Value of a class that overrides how data or gradients are read and "
                "written: use a Value with the number in it",
    "kind": "computes with what is no float: write float(x) for a fraction or a scalar of numpy, "
            "x[0] for an array of one number, and v for Value(v); the root of a negative number is "
            "complex",
}

refused: list[RecordingError] = []      # what the function that is being recorded has done

PASSED_OVER = "micrograd", "copy", "copyreg", "pickle"      # errors show no lines of these


def frame_of_program() -> FrameType:
    """The innermost frame of the program itself, whose line errors and warnings show."""
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in PASSED_OVER:
        frame = frame.f_back
    return frame


def refuse(what: str) -> None:
    """RecordingError for what the program does now."""
    from linecache import getline
    frame = frame_of_program()
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = getline(file, line).strip()
    error = RecordingError(f"{file}, line {line}{': ' if text else ''}{text}\n"
                           f"A function that is recorded {REMEDIES[what]}")
    while frame and frame.f_code.co_name != "__del__":
        frame = frame.f_back        # type: ignore[assignment]
    if __core__._is_recording() and not frame:      # a finalizer is none of the function's
        refused.append(error)
    raise error
