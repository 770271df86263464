"""Value's functions in Python's arithmetic: their values and derivatives, a line each.

The reference is made of these. The compiled engine has its own table (csrc/ops.h) and comes here
where an operand is no plain number, or Python has an error to raise. micrograd.gradients gives the
derivatives Values in place of numbers, and so gets derivatives that are Values.
"""
import math
import sys
from numbers import Complex, Real
from operator import add, ge, le, mul
from types import FunctionType


class Function:
    """In its three parts, a and b are the data of the operands, y that of the result, g its
    gradient; or all of them are Values. Where there is only one operand, b is None."""

    def __init__(self, y, da, db=None):
        self.y = y              # y = f(a, b)
        self.da = da            # a.grad += da(a, b, y, g)
        self.db = db            # b.grad += db(a, b, y, g); None where b gets no gradient


def is_value(a: object) -> bool:
    """Whether a is a Value, of either engine; by a method that tensors do not have."""
    return hasattr(type(a), "leaky_relu")


def is_recorded(a):
    """Whether a is a Value while a function is recorded: no branch may depend on its number."""
    return is_value(a) and engine_of(a)._is_recording()


def engine_of(a):
    """The engine whose Value a is: a process may have both, as the tests do."""
    for name in ("micrograd._core", "micrograd._engine_py"):
        engine = sys.modules.get(name)
        if engine and isinstance(a, engine.Value):
            return engine
    return sys.modules["micrograd.engine"].__core__


REFLECTED = {"__lt__": "__gt__", "__le__": "__ge__", "__gt__": "__lt__", "__ge__": "__le__"}


def compare_by_own_number(a, b, name):
    """The comparison `name` of a Value a and a number b by the reflected one of b's class, if that
    is written in Python: the original has no order, so that Python asks b."""
    method = getattr(type(b), REFLECTED[name])
    return method(b, a) if isinstance(method, FunctionType) else NotImplemented


def number(a):
    """The number to compare: the one in a Value, or in a Value in a Value. RecursionError if there
    is none: a Value may be its own data."""
    return number(a.data) if is_value(a) else a


def check_real(name, a):
    """TypeError for numpy's complex numbers: math would take the real part, with only a warning."""
    if isinstance(a, Complex) and not isinstance(a, Real) and type(a) is not complex:
        raise TypeError(f"{name} takes real numbers, not {type(a).__name__}: {a!r:.60}")


def of_either(name):
    """The function of math, with errors that name it and the number; for a Value, its method."""
    function = getattr(math, name)

    def apply(a):
        if is_value(a):
            return getattr(a, name)()
        check_real(name, a)
        try:
            return function(a)
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(f"{name} of {a!r:.60}: {error}") from None

    return apply


exp, log, tanh, sin, cos, sqrt = map(of_either, ("exp", "log", "tanh", "sin", "cos", "sqrt"))
log1p, tan, erf = map(of_either, ("log1p", "tan", "erf"))


def named(function):
    """The function, with errors that name it and what it was given."""
    def apply(a):
        try:
            return function(a)
        except (TypeError, ValueError, OverflowError) as error:
            kind = next(cls for cls in (TypeError, ValueError, OverflowError)
                        if isinstance(error, cls))
            raise kind(f"{function.__name__} of {a!r:.60}: {error}") from None

    return apply


@named
def sigmoid(a):
    if is_value(a):
        return a.sigmoid()
    if a >= 0:
        return 1 / (1 + exp(-a))
    return exp(a) / (1 + exp(a))


@named
def gelu(a):
    return a.gelu() if is_value(a) else a * normal(a)


def normal(a):
    """The probability that a standard normal variable is at most a."""
    return 0.5 * (1 + erf(a / 1.4142135623730951))      # of sqrt(2)


def slope_of_gelu(a):
    return normal(a) + a * (exp(-0.5 * (a * a)) / 2.5066282746310002)       # of sqrt(2 * pi)


@named
def softplus(a):
    """log(1 + exp(a)), without an overflow"""
    if is_value(a):
        return a.softplus()
    check_real("softplus", a)
    return max(float(a), 0.0) + math.log1p(math.exp(-abs(a)))


def sign(a):
    """0 of nan too, as in PyTorch"""
    if is_recorded(a):
        return engine_of(a)._sign(a)
    a = number(a)
    return 1 if a > 0 else -1 if a < 0 else 0


def log_of_base(a, b):
    """d(a**b)/db is a**b times this; 0 at 0**b unless b < 0, nan where a < 0, as in PyTorch."""
    if is_recorded(a):
        return log(a)
    base = number(a)
    return log(a) if base > 0 else math.nan if base else -math.inf if number(b) < 0 else 0.0


def is_zero(a):
    """Whether a is the number 0. False for an array: its powers are numpy's own."""
    return not getattr(a, "shape", ()) and a == 0


def is_nan(a):
    return not getattr(a, "shape", ()) and a != a


def pole(root):
    """An infinite slope, where a root is 0; for a Value, one whose own slope is infinite too."""
    return math.inf - root if is_value(root) else math.inf


def slope_of_sqrt(y):
    if is_recorded(y):
        return 0.5 / y
    return 0.5 / y if number(y) else pole(y)


def power(a, b):
    """a**b, for an exponent that is a Value, whose errors name both"""
    try:
        return a ** b
    except ArithmeticError as error:
        if is_value(a) or is_value(b):
            raise
        raise type(error)(f"{a!r:.60} ** {b!r:.60}: {error}") from None


def slope_of_power(a, b):
    """d(a**b)/da; 0 where b is 0, and infinite at 0 where PyTorch has it so"""
    if not is_value(b) and b == 0:
        return 0
    if is_recorded(a):
        return b * a ** (b - 1)
    base = number(a)
    if is_zero(number(b)) and (is_zero(base) or is_nan(base)):
        return 0
    if is_zero(base) and number(b) < 1:
        return b * pole(a ** 0.5)
    return b * a ** (b - 1)


def slope_above_0(a, below):
    """1 where a is above 0, else another slope"""
    if is_recorded(a):
        above = sign(a).relu()
        return above + (1 - above) * below
    return 1 if number(a) > 0 else below


def leads(a, than, b):
    """Whether a is the greater (with `le`, the smaller) of two; nan is taken before any number."""
    a, b = number(a), number(b)
    try:
        return than(a, b) or a != a
    except TypeError as error:
        kind = "maximum" if than is ge else "minimum"
        raise TypeError(f"{kind} of {a!r:.60} and {b!r:.60}: {error}") from None


def share(a, b, g):
    """The gradient of a where the maximum of a and b has g: half of it if equal, as in PyTorch."""
    if is_recorded(a) or is_recorded(b):
        return (sign(a - b) * 0.5 + 0.5) * g
    a, b = number(a), number(b)
    return 0 if a < b else 0.5 * g if a == b else g


def place_of(i, count):
    """The place that the number i means in a list: for micrograd.recording.pick."""
    try:
        place = int(i) if i == i and abs(i) < math.inf else None
    except TypeError:                   # a complex number, a text
        place = None
    if place is None or place != i:
        raise TypeError(f"pick takes an int for the place, not {i!r:.60}")
    if not -count <= place < count:
        raise IndexError(f"pick has {count} values and none at {place}")
    return place


absolute = named(abs)

FUNCTIONS = {
    "exp": Function(lambda a, b: exp(a), lambda a, b, y, g: y * g),
    "log": Function(lambda a, b: log(a), lambda a, b, y, g: g / a),
    "log1p": Function(lambda a, b: log1p(a), lambda a, b, y, g: g / (1 + a)),
    "tan": Function(lambda a, b: tan(a), lambda a, b, y, g: (1 + y * y) * g),
    "erf": Function(lambda a, b: erf(a),
                    lambda a, b, y, g: 1.1283791670955126 * exp(-(a * a)) * g),     # 2 / sqrt(pi)
    "gelu": Function(lambda a, b: gelu(a), lambda a, b, y, g: slope_of_gelu(a) * g),
    "tanh": Function(lambda a, b: tanh(a), lambda a, b, y, g: (1 - y * y) * g),
    "sigmoid": Function(lambda a, b: sigmoid(a), lambda a, b, y, g: y * (1 - y) * g),
    "sin": Function(lambda a, b: sin(a), lambda a, b, y, g: cos(a) * g),
    "cos": Function(lambda a, b: cos(a), lambda a, b, y, g: -sin(a) * g),
    "sqrt": Function(lambda a, b: sqrt(a), lambda a, b, y, g: slope_of_sqrt(y) * g),
    "abs": Function(lambda a, b: absolute(a), lambda a, b, y, g: sign(a) * g),
    "softplus": Function(lambda a, b: softplus(a), lambda a, b, y, g: sigmoid(a) * g),
    "leaky_relu": Function(lambda a, b: a if number(a) > 0 else b * a,      # b is the slope below 0
                           lambda a, b, y, g: slope_above_0(a, b) * g),
    "maximum": Function(lambda a, b: a if leads(a, ge, b) else b,
                        lambda a, b, y, g: share(a, b, g), lambda a, b, y, g: share(b, a, g)),
    "minimum": Function(lambda a, b: a if leads(a, le, b) else b,
                        lambda a, b, y, g: share(b, a, g), lambda a, b, y, g: share(a, b, g)),
    "**": Function(power, lambda a, b, y, g: slope_of_power(a, b) * g,
                   lambda a, b, y, g: y * log_of_base(a, b) * g),
}

# All operations, by symbol; "pow" is ** by a number. The engines compute themselves, for numbers,
# the derivatives of what the original has.
DERIVATIVES = {
    "+": Function(add, lambda a, b, y, g: g, lambda a, b, y, g: g),
    "*": Function(mul, lambda a, b, y, g: b * g, lambda a, b, y, g: a * g),
    "pow": Function(pow, lambda a, b, y, g: b * a ** (b - 1) * g),
    "ReLU": Function(lambda a, b: 0 if a < 0 else a, lambda a, b, y, g: slope_above_0(y, 0) * g),
    **FUNCTIONS,
}
