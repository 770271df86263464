"""Value's functions in Python's arithmetic: their values and derivatives, a line each.

The reference is made of these. The compiled engine has its own table (csrc/ops.h) and comes here where
an operand is no plain number, or Python has an error to raise.
"""
import math


class Function:
    """In its three parts, a and b are the data of the operands, y that of the result, g its gradient.
    Where there is only one operand, b is None."""

    def __init__(self, y, da, db=None):
        self.y = y              # y = f(a, b)
        self.da = da            # a.grad += da(a, b, y, g)
        self.db = db            # b.grad += db(a, b, y, g); None where b gets no gradient


def sigmoid(a):
    if a >= 0:
        return 1 / (1 + math.exp(-a))
    return math.exp(a) / (1 + math.exp(a))


def softplus(a):
    """log(1 + exp(a)), without an overflow"""
    return max(float(a), 0.0) + math.log1p(math.exp(-abs(a)))


def sign(a):
    """0 of nan too, as in PyTorch"""
    return 1 if a > 0 else -1 if a < 0 else 0


def log_of_base(a, b):
    """d(a**b)/db is a**b times this; 0 at 0**b unless b < 0, and nan for a negative base, as in PyTorch."""
    return math.log(a) if a > 0 else math.nan if a else -math.inf if b < 0 else 0.0


def slope_of_power(a, b):
    """d(a**b)/da; 0 where b is 0, and infinite at 0 where PyTorch has it so"""
    return 0 if b == 0 else b * math.inf if a == 0 and b < 1 else b * a ** (b - 1)


def share(a, b, g):
    """What the greater of two gets, a being ahead; halves when they are equal, as in PyTorch."""
    return 0 if a < b else 0.5 * g if a == b else g


FUNCTIONS = {
    "exp": Function(lambda a, b: math.exp(a), lambda a, b, y, g: y * g),
    "log": Function(lambda a, b: math.log(a), lambda a, b, y, g: g / a),
    "tanh": Function(lambda a, b: math.tanh(a), lambda a, b, y, g: (1 - y * y) * g),
    "sigmoid": Function(lambda a, b: sigmoid(a), lambda a, b, y, g: y * (1 - y) * g),
    "sin": Function(lambda a, b: math.sin(a), lambda a, b, y, g: math.cos(a) * g),
    "cos": Function(lambda a, b: math.cos(a), lambda a, b, y, g: -math.sin(a) * g),
    "sqrt": Function(lambda a, b: math.sqrt(a), lambda a, b, y, g: (0.5 / y if y else math.inf) * g),
    "abs": Function(lambda a, b: abs(a), lambda a, b, y, g: sign(a) * g),
    "softplus": Function(lambda a, b: softplus(a), lambda a, b, y, g: sigmoid(a) * g),
    "leaky_relu": Function(lambda a, b: a if a > 0 else b * a,      # b is the slope below 0
                           lambda a, b, y, g: (1 if a > 0 else b) * g),
    "maximum": Function(lambda a, b: a if a >= b or a != a else b,
                        lambda a, b, y, g: share(a, b, g), lambda a, b, y, g: share(b, a, g)),
    "minimum": Function(lambda a, b: a if a <= b or a != a else b,
                        lambda a, b, y, g: share(b, a, g), lambda a, b, y, g: share(a, b, g)),
    "**": Function(lambda a, b: a ** b, lambda a, b, y, g: slope_of_power(a, b) * g,
                   lambda a, b, y, g: y * log_of_base(a, b) * g),
}
