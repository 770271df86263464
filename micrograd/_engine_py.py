"""The reference: what a Value is and does, in plain Python.

It specifies the compiled engine, stands in where that is missing, and is what the benchmarks
compare with. Operands may be anything Python can add and multiply; its errors are Python's own.
"""
import operator
import sys
from contextlib import suppress
from functools import partial
from numbers import Integral, Number

from micrograd import _copying
from micrograd._bases import ATTRIBUTES, added_to, take_from_further_bases
from micrograd._functions import FUNCTIONS, compare_by_own_number, is_value


def operands_first(*roots, operands=lambda node: node._prev, above=()):
    """The nodes under roots, operands before results; without those of `above`, and what is only
    under these."""
    order, seen, stack = [], set(above), [(root, False) for root in reversed(roots)]
    while stack:                        # no recursion: a graph may be of any depth
        node, operands_done = stack.pop()
        if operands_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(child, False) for child in reversed(list(operands(node)))]
    return order


def operands_kept(node):
    """The operands, for a copy; none where the program has deleted `_prev`."""
    return getattr(node, "_prev", ())


# What a node adds to the gradients of its operands; no closures: those cannot be copied or pickled.

def backward_of_leaf():
    pass


def backward_of_add(a, b, out):
    a.grad += out.grad
    b.grad += out.grad


def backward_of_mul(a, b, out):
    a.grad += b.data * out.grad
    b.grad += a.data * out.grad


def backward_of_pow(a, exponent, out):
    a.grad += (exponent * a.data**(exponent - 1)) * out.grad


def backward_of_relu(a, out):
    a.grad += (out.data > 0) * out.grad


def backward_of_function(name, a, b, out):
    function = FUNCTIONS[name]
    arguments = a.data, None if b is None else b.data
    a.grad += function.da(*arguments, out.data, out.grad)
    if function.db is not None:
        b.grad += function.db(*arguments, out.data, out.grad)


def backward_of_locals(operands, gradients, out):
    for operand, gradient in zip(operands, gradients):
        operand.grad += (gradient.data if is_value(gradient) else gradient) * out.grad


def check_ordered(operands):
    if isinstance(operands, (set, frozenset)) and len(operands) > 1:
        raise TypeError("operands with local gradients must be in order, and a set has none")


def check_locals(operands, gradients):
    for operand in operands:
        if not isinstance(operand, Value):
            raise TypeError("the operands of a node must be Values, "
                            f"not {type(operand).__name__}: {operand!r:.60}")
    if len(operands) != len(gradients):
        raise ValueError(
            "there must be one local gradient for each operand, not "
            f"{len(gradients)} for {len(operands)} operands")
    for gradient in gradients:
        if not isinstance(gradient, (Value, Number)) and type(gradient).__module__ != "numpy":
            raise TypeError("a local gradient must be a number or a Value, "
                            f"not {type(gradient).__name__}: {gradient!r:.60}")


# While a function is recorded, the Recorder (_replay_py), which refuses what cannot be repeated.
recorder = None


def forbid(what, value=None):
    if recorder is not None:
        recorder.check(what, value)


def apply(name, a, b=None):
    """The result of a function of the table, applied to the Values a and b."""
    function = FUNCTIONS[name]
    y = computed(function.y, a.data, None if b is None else b.data)
    out = Value(y, (a,) if function.db is None else (a, b), name)
    out._backward = partial(backward_of_function, name, a, b, out)
    return out


def computed(function, *arguments):
    """What the function gives; a recording is told of an error in it."""
    try:
        return function(*arguments)
    except (ArithmeticError, ValueError, LookupError):
        if recorder is not None:
            recorder.note_error()
        raise


def compare(a, b, than):
    """By data. Where the program has an order of its own, what it does not define is as in the
    original, which has no order; other classes may have comparisons too."""
    forbid("comparison", a)
    if isinstance(b, Value):
        forbid("comparison", b)
    if has_own_order(type(a)) or has_own_order(type(b)):
        return NotImplemented
    if isinstance(b, Value):
        return than(a.data, b.data)
    if not isinstance(b, Number):
        return NotImplemented
    found = compare_by_own_number(a, b, f"__{than.__name__}__")
    return than(a.data, b) if found is NotImplemented else found


ORDER = "__lt__", "__le__", "__gt__", "__ge__"


class Comparison:
    """A comparison of Values. Read from the class it is object's, as in the original:
    functools.total_ordering defines what is object's."""

    def __init__(self, method):
        self.method = method

    def __get__(self, value, cls):
        if value is None:
            return getattr(object, self.method.__name__)
        return self.method.__get__(value, cls)


def has_own_order(cls):
    return (issubclass(cls, Value)
            and any(getattr(cls, name) is not getattr(object, name) for name in ORDER))


def is_negative(data):
    """For the ReLU, which is refused for data that is a Value: the original's have no order."""
    if isinstance(data, Value) and not has_own_order(type(data)):
        raise TypeError(f"'<' not supported between instances of '{type(data).__name__}' and 'int'")
    return data < 0


def divisor(other):
    """As an int if it is one of numpy's integers, which have no negative powers."""
    if isinstance(other, Integral) and any(c.__module__ == "numpy" for c in type(other).__mro__):
        with suppress(TypeError):       # of a timedelta
            return operator.index(other)
    return other


class Value:
    """ stores a single scalar value and its gradient """

    def __init__(self, data, _children=(), _op='', *, label=None):
        """ a node: its data, its operands, and the name of its operation or, in a tuple or list,
        dy/da for each operand, numbers or Values; label names it in drawings. With dy/da, TypeError
        for operands that are no Values or have no order, ValueError unless there is one for each
        """
        if recorder is not None:
            recorder.check_constructor(self, _children)
        self.data = data
        self.grad = 0
        self._backward = backward_of_leaf   # adds this node's share to its operands' gradients
        if isinstance(_op, (tuple, list)):  # local gradients: dy/da for each operand
            check_ordered(_children)
            _children, gradients, _op = tuple(_children), tuple(_op), ''
            check_locals(_children, gradients)
            self._backward = partial(backward_of_locals, _children, gradients, self)
        self._prev = set(_children)         # the operands
        self._op = _op                      # the operation this node is the result of
        if label is not None:
            if not hasattr(Value, "label"):
                Value.label = ''        # the label of all others, once a program uses labels
            self.label = label

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        take_from_further_bases(cls, Value, ADDED)

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')
        out._backward = partial(backward_of_add, self, other, out)
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')
        out._backward = partial(backward_of_mul, self, other, out)
        return out

    def __pow__(self, other):
        if isinstance(other, Value):
            return apply("**", self, other)
        assert isinstance(other, (int, float)), "only supporting int/float powers for now"
        out = Value(computed(pow, self.data, other), (self,), f'**{other}')
        out._backward = partial(backward_of_pow, self, other, out)
        return out

    def relu(self):
        out = Value(0 if is_negative(self.data) else self.data, (self,), 'ReLU')
        out._backward = partial(backward_of_relu, self, out)
        return out

    def exp(self):
        """ e ** self; OverflowError beyond the floats """
        return apply("exp", self)

    def log(self):
        """ the natural logarithm; ValueError unless self is positive """
        return apply("log", self)

    def log1p(self):
        """ log(1 + self), exact near 0; ValueError unless self is above -1 """
        return apply("log1p", self)

    def tan(self):
        """ the tangent of self radians; ValueError at infinity """
        return apply("tan", self)

    def erf(self):
        """ the error function """
        return apply("erf", self)

    def gelu(self):
        """ self * P(X <= self), X standard normal (Hendrycks and Gimpel, 2016); the exact one """
        return apply("gelu", self)

    def tanh(self):
        """ the hyperbolic tangent """
        return apply("tanh", self)

    def sigmoid(self):
        """ 1 / (1 + exp(-self)), without an overflow """
        return apply("sigmoid", self)

    def sin(self):
        """ the sine of self radians; ValueError at infinity """
        return apply("sin", self)

    def cos(self):
        """ the cosine of self radians; ValueError at infinity """
        return apply("cos", self)

    def sqrt(self):
        """ the square root; ValueError below 0; its slope at 0 is infinite """
        return apply("sqrt", self)

    def abs(self):
        """ the absolute value; its slope at 0 is 0 """
        return apply("abs", self)

    def softplus(self):
        """ log(1 + exp(self)), without an overflow """
        return apply("softplus", self)

    def leaky_relu(self, negative_slope=0.01):
        """ self if positive, else negative_slope (an int or float; else TypeError) * self """
        if not isinstance(negative_slope, (int, float)):
            raise TypeError("negative_slope must be an int or a float, "
                            f"not {type(negative_slope).__name__}")
        return apply("leaky_relu", self, Value(negative_slope))

    def maximum(self, other):
        """ the greater, or nan; of two equal ones each gets half of the gradient """
        return apply("maximum", self, other if isinstance(other, Value) else Value(other))

    def minimum(self, other):
        """ the smaller, or nan; of two equal ones each gets half of the gradient """
        return apply("minimum", self, other if isinstance(other, Value) else Value(other))

    def detach(self):
        """ a Value of the same number, without a gradient """
        if recorder is None:
            return Value(self.data)
        from micrograd import _replay_py
        return _replay_py._marked("detach", self.data, (self,))

    def backward(self):
        """ set its gradient to 1 and add to those of all nodes under it, by the chain rule """
        forbid("backward")
        order = operands_first(self)
        self.grad = 1
        for node in reversed(order):
            node._backward()

    def __radd__(self, other):          # other + self
        return self + other

    def __rmul__(self, other):          # other * self
        return self * other

    def __neg__(self):                  # -self
        return self * -1

    def __sub__(self, other):           # self - other
        return self + (-other)

    def __rsub__(self, other):          # other - self
        return other + (-self)

    def __rpow__(self, other):          # other ** self
        if type(self).__pow__ is not POW:
            return NotImplemented       # a __pow__ of the program's own has no reflected one
        return Value(other) ** self

    def clamp(self, low, high):
        """ self between low and high; half of the gradient where it equals one of them """
        return self.maximum(low).minimum(high)

    @Comparison
    def __lt__(self, other):            # by data; == is identity
        return compare(self, other, operator.lt)

    @Comparison
    def __le__(self, other):
        return compare(self, other, operator.le)

    @Comparison
    def __gt__(self, other):
        return compare(self, other, operator.gt)

    @Comparison
    def __ge__(self, other):
        return compare(self, other, operator.ge)

    def __format__(self, spec):         # f"{self:.3f}"
        forbid("text", self)
        return format(self.data, spec) if spec else str(self)

    def __round__(self, digits=None):   # round(self), a number
        forbid("rounding", self)
        return round(self.data, digits)

    def __abs__(self):                  # abs(self)
        return self.abs()

    def __truediv__(self, other):       # self / other
        return self * divisor(other)**-1

    def __rtruediv__(self, other):      # other / self
        return other * self**-1

    def __copy__(self):
        forbid("copy")
        return _copying.copied(self, this_module)

    def __deepcopy__(self, memo):
        """A copy of the whole graph, with gradients of its own."""
        forbid("copy")
        return _copying.deep_copied(self, memo, this_module)

    def __reduce__(self):
        forbid("copy")
        return _copying.reduced(self, this_module)

    def __setstate__(self, state):
        forbid("writing")
        _copying.restored(self, state, this_module)

    def __repr__(self):
        forbid("text", self)
        return f"Value(data={self.data}, grad={self.grad})"


Value.__module__ = "micrograd.engine"
# As shipped.
POW = Value.__pow__
ADDED = added_to(Value)
_reduction = Value.__reduce__, Value.__reduce_ex__


# For micrograd._copying.

this_module = sys.modules[__name__]


def _nodes_under(root):
    nodes = operands_first(root, operands=operands_kept)
    return [node for node in nodes[:-1] if operands_kept(node)] + [root]


def state_of_a_leaf():
    """What is left out, so that the compiled engine can read the pickle of a leaf."""
    return {"_backward": backward_of_leaf, "_prev": set(), "_op": ''}


def _parts_of(value, shared):
    """What the operation is stands in `_backward`."""
    leaf = state_of_a_leaf()
    own = {k: x for k, x in vars(value).items() if k in ATTRIBUTES and hasattr(type(value), k)}
    left_out = {} if shared else leaf
    attributes = {k: x for k, x in vars(value).items()
                  if k not in own and (k not in left_out or x != left_out[k])}
    deleted = [k for k in leaf if k not in vars(value) and not hasattr(type(value), k)]
    if deleted:
        attributes[_copying.DELETED] = deleted
    return None, attributes, own


def _restore(value, operation, attributes, own):
    if operation:
        raise TypeError("a graph of the compiled engine can be restored by that engine only")
    deleted = attributes.pop(_copying.DELETED, ())
    leaf = {k: x for k, x in state_of_a_leaf().items()
            if k not in deleted and not hasattr(type(value), k)}
    vars(value).update({**leaf, **attributes, **own})


# For micrograd.gradients.

OPERATIONS = {backward_of_add: "+", backward_of_mul: "*", backward_of_pow: "**",
              backward_of_relu: "ReLU"}


def _operations(roots, above=None):
    """The results of operations under roots, operands first, each as (node, symbol, a, b): b is
    None or a number where it gets no gradient. Where the program has set a `_backward`, the symbol
    is None and a is the tuple of the operands; where it gave local gradients, it is "local" and b
    has them; what a recording gives is "recorded", a is its run and b the place among its
    results. Without `above`, and what is only under it."""
    nodes = operands_first(*roots, operands=operands_in_order,
                           above=() if above is None else (above,))
    return [(node, *_operation(node)) for node in nodes if node._backward is not backward_of_leaf]


def operands_in_order(node):
    """The operands, in an order that is not that of a set where the operation is known."""
    symbol, a, b = _operation(node)
    if symbol in (None, "local", "recorded"):
        return node._prev
    return [x for x in (*a, b) if isinstance(x, Value)] if symbol == "pick" else [
        x for x in (a, b) if isinstance(x, Value)]


def _operation(node):
    backward = node._backward
    if isinstance(backward, partial) and backward.args and backward.args[-1] is node:
        if backward.func is backward_of_function:
            name, a, b, _ = backward.args
            return name, a, b.data if b is not None and FUNCTIONS[name].db is None else b
        if backward.func is backward_of_locals:
            return "local", *backward.args[:2]
        if hasattr(backward.func, "operation"):     # of recordings
            return backward.func.operation(*backward.args)
        if backward.func in OPERATIONS:
            a, *b, _ = backward.args
            return OPERATIONS[backward.func], a, b[0] if b else None
    return None, tuple(node._prev), None


# The compiled engine has short cuts for nn, arrays and optim; the reference has none.

class _ModuleBase:
    """The base of nn.Module."""


class _NeuronParts(_ModuleBase):
    """A base of nn.Neuron."""


class _LayerParts(_ModuleBase):
    """A base of nn.Layer."""


def _no_short_cut(*arguments):
    pass


_fused = _parameters_of = _zero_grad = _zeroed = _ships = _predict = _sgd = _adam = _no_short_cut


def __getattr__(name):
    """What recordings need of an engine is in _replay_py, which imports this module."""
    if name.startswith("__"):           # an import from this module asks for __path__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from micrograd import _replay_py
    globals()[name] = found = getattr(_replay_py, name)
    return found
