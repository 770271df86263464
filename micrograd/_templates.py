"""What the compiled engine needs and only Python code can make: a signature with the original's
error messages, and functions with lines for tracebacks."""
__name__ = "micrograd.engine"       # of which they are, as in the original


class Value:
    """ stores a single scalar value and its gradient """

    def __init__(self, data, _children=(), _op='', *, label=None):
        return data, _children, _op, label


def make_backward(run, value):
    def _backward():
        run(value)
    return _backward


def make_nothing():
    return lambda: None
