# class Value: the operators and attributes of the original, over nodes.

# Attributes besides the node's own.

cdef object prev_of(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef PyObject* own = own_prev(value)
    if own == <PyObject*>deleted:
        return attribute_object(value, NULL, "_prev")
    if own != NULL:
        return <object>own
    if n.op == OUTPUT and call_of(n).kind.operands != NULL:
        call = <object>value_of(n.a)        # held: a finalizer may make it plain meanwhile
        return call_of(n).kind.operands(call_of(n), n.index)
    make_plain(n)
    cdef list operands = operands_of(n)         # which holds them while set() runs their __hash__
    # An exponent that is a number gets no gradient.
    return set(operands if n.op == LOCAL else operands[:gradients[n.op]])

cdef dict attrs_of(object value):
    cdef Body* body = <Body*>value
    if body.attrs == NULL:
        set_reference(&body.attrs, {})
    return <dict>body.attrs

cdef inline void drop_unused_dict(object value) noexcept:
    """Before Python 3.13, a new instance of a subclass has a dict already, which the collector
    counts."""
    cdef Body* body = <Body*>value
    if body.attrs != NULL and Py_REFCNT(body.attrs) == 1 and PyDict_Size(body.attrs) == 0:
        Py_CLEAR(body.attrs)

cdef PyObject* find_attribute(object value, str name) noexcept:
    """What the program set as the attribute, or NULL. Runs no Python code, as a lookup could: a key
    of the dict may be of any class."""
    cdef Body* body = <Body*>value
    cdef Py_ssize_t at = 0
    cdef PyObject* key
    cdef PyObject* found
    while body.attrs != NULL and PyDict_Next(body.attrs, &at, &key, &found):
        if PyUnicode_CheckExact(key) and PyUnicode_Compare(key, <PyObject*>name) == 0:
            return found
    return NULL

def first_weakref(Value value not None):
    """__weakref__, which Python gives instances of its own classes."""
    from weakref import getweakrefs
    return next(iter(getweakrefs(value)), None)

@cython.binding(True)           # methods have names and signatures, as those of Python have
cdef class Value:
    """ stores a single scalar value and its gradient """

    cdef Node node
    cdef object attrs       # laid out as Body; objects, so that collections visit Values
    cdef object __weakref__
    cdef object backward_

    @property
    def data(self):
        forbid("data", <PyObject*>self)
        return own_data(self)

    @data.setter
    def data(self, new):
        forbid("writing", NULL)
        drop_unused_dict(self)
        if Py_TYPE(<PyObject*>self) != value_type:
            look_at(Py_TYPE(<PyObject*>self))       # its constructor may never call Value's
        put_data(&self.node, new)

    @data.deleter
    def data(self):
        forbid("writing", NULL)
        unpack(&self.node)
        own_data(self)          # AttributeError if there is none
        clear_slot(&self.node.data, &self.node.data_kind, NULL)

    @property
    def grad(self):
        forbid("grad", <PyObject*>self)
        return own_grad(self)

    @grad.setter
    def grad(self, new):
        forbid("writing", NULL)
        put_grad(&self.node, new)

    @grad.deleter
    def grad(self):
        forbid("writing", NULL)
        unpack(&self.node)
        own_grad(self)
        clear_slot(&self.node.grad, &self.node.grad_kind, NULL)

    @property
    def _prev(self):
        return prev_of(self)

    @_prev.setter
    def _prev(self, children):
        forbid("writing", NULL)
        set_prev(self, children)

    @_prev.deleter
    def _prev(self):
        forbid("writing", NULL)
        prev_of(self)           # AttributeError if there is none
        set_prev(self, deleted)

    @property
    def _op(self):
        return op_of(self)

    @_op.setter
    def _op(self, name):
        forbid("writing", NULL)
        set_op(self, name)

    @_op.deleter
    def _op(self):
        forbid("writing", NULL)
        op_of(self)
        attrs_of(self)["_op"] = deleted

    @property
    def _backward(self):
        return backward_of(self)

    @_backward.setter
    def _backward(self, function):
        forbid("operation", NULL)
        set_backward(self, function)

    @_backward.deleter
    def _backward(self):
        forbid("writing", NULL)
        backward_of(self)
        set_backward(self, deleted)

    @property
    def __dict__(self):
        return attrs_of(self)

    # inspect.signature reads the signature of an operator in the first line of its docstring.

    def __add__(self, other):
        """__add__($self, other)\n--\n\nself + other"""
        return binary(ADD, self, other)

    def __mul__(self, other):
        """__mul__($self, other)\n--\n\nself * other"""
        return binary(MUL, self, other)

    def __pow__(self, other, modulo):   # and other ** self
        """__pow__($self, other)\n--\n\nself ** other"""
        if not is_value(self):
            if modulo is not None or has_own_power(other):
                return NotImplemented       # a __pow__ of the program's own has no reflected one
            return PyNumber_Power(leaf(python_number(self, other)), other, None)
        if modulo is not None:
            raise TypeError("Value.__pow__() takes 2 positional arguments but 3 were given")
        if is_value(other):
            return binary_of_any(POWER, self, other)
        assert (isinstance(other, (int, float))         # by its class; then by what it says
                or PyObject_IsInstance(<PyObject*>other, <PyObject*>NUMBERS)), (
            "only supporting int/float powers for now")
        return binary_of_any(POW, self, plain_leaf(other))

    def relu(self):
        return unary(RELU, self) if is_value(self) else reference().relu(self)

    def exp(self):
        """ e ** self; OverflowError beyond the floats """
        return unary(EXP, self)

    def log(self):
        """ the natural logarithm; ValueError unless self is positive """
        return unary(LOG, self)

    def log1p(self):
        """ log(1 + self), exact near 0; ValueError unless self is above -1 """
        return unary(LOG1P, self)

    def tan(self):
        """ the tangent of self radians; ValueError at infinity """
        return unary(TAN, self)

    def erf(self):
        """ the error function """
        return unary(ERF, self)

    def gelu(self):
        """ self * P(X <= self), X standard normal (Hendrycks and Gimpel, 2016); the exact one """
        return unary(GELU, self)

    def tanh(self):
        """ the hyperbolic tangent """
        return unary(TANH, self)

    def sigmoid(self):
        """ 1 / (1 + exp(-self)), without an overflow """
        return unary(SIGMOID, self)

    def sin(self):
        """ the sine of self radians; ValueError at infinity """
        return unary(SIN, self)

    def cos(self):
        """ the cosine of self radians; ValueError at infinity """
        return unary(COS, self)

    def sqrt(self):
        """ the square root; ValueError below 0; its slope at 0 is infinite """
        return unary(SQRT, self)

    def abs(self):
        """ the absolute value; its slope at 0 is 0 """
        return unary(ABS, self)

    def softplus(self):
        """ log(1 + exp(self)), without an overflow """
        return unary(SOFTPLUS, self)

    def leaky_relu(self, negative_slope=SLOPE):
        """ self if positive, else negative_slope (an int or float; else TypeError) * self """
        check_self(self)
        if not isinstance(negative_slope, (int, float)):
            raise TypeError("negative_slope must be an int or a float, "
                            f"not {type(negative_slope).__name__}")
        return binary_of_any(LEAKY_RELU, self, plain_leaf(negative_slope))

    def maximum(self, other):
        """ the greater, or nan; of two equal ones each gets half of the gradient """
        check_self(self)
        return binary(MAXIMUM, self, other)

    def minimum(self, other):
        """ the smaller, or nan; of two equal ones each gets half of the gradient """
        check_self(self)
        return binary(MINIMUM, self, other)

    def detach(self):
        """ a Value of the same number, without a gradient """
        check_self(self)
        return detached(self)

    def clamp(self, low, high):
        """ self between low and high; half of the gradient where it equals one of them """
        return self.maximum(low).minimum(high)

    def __richcmp__(self, other, int than):     # < by data; == is identity
        if than == Py_EQ:
            return equals(self, other)
        if than != Py_NE:
            return compare(self, other, than)
        equal = Py_TYPE(<PyObject*>self).tp_richcompare(self, other, Py_EQ)
        return equal if equal is NotImplemented else not equal

    def __hash__(self):
        forbid_if_given(self)
        return object_hash(<PyObject*>self)

    def __format__(self, spec):         # f"{self:.3f}"
        check_self(self)
        forbid("text", <PyObject*>self)
        return call_with_data(format, self, spec) if spec else str(self)

    def __round__(self, digits=None):   # round(self), a number
        check_self(self)
        forbid("rounding", <PyObject*>self)
        return call_with_data(round, self, digits)

    def __abs__(self):                  # abs(self)
        return self.abs()

    def __neg__(self):                  # -self
        return PyNumber_Multiply(self, -1)

    def __sub__(self, other):
        """__sub__($self, other)\n--\n\nself - other"""
        return PyNumber_Add(python_number(self, other), PyNumber_Negative(other))

    def __truediv__(self, other):
        """__truediv__($self, other)\n--\n\nself / other"""
        return PyNumber_Multiply(python_number(self, other),
                                 PyNumber_Power(divisor(other), -1, None))

    def backward(self):
        """ set its gradient to 1 and add to those of all nodes under it, by the chain rule """
        forbid("backward", NULL)
        Py_EnterRecursiveCall(" in a backward pass")    # a `_backward` may be a node's `backward`
        try:
            if not is_value(self) or has_own_access(self) or not run_backward(&self.node):
                reference().backward(self)
        finally:
            Py_LeaveRecursiveCall()

    def __copy__(self):
        check_self(self)
        forbid("copy", NULL)
        return copying().copied(self, this_module)

    def __deepcopy__(self, memo):
        check_self(self)
        forbid("copy", NULL)
        return copying().deep_copied(self, memo, this_module)

    def __reduce__(self):
        check_self(self)
        forbid("copy", NULL)
        return copying().reduced(self, this_module)

    def __setstate__(self, state):
        check_self(self)
        forbid("writing", NULL)
        copying().restored(self, state, this_module)

    def __repr__(self):
        forbid("text", <PyObject*>self)
        return f"Value(data={self.data}, grad={self.grad})"


# numpy looks up __array_ufunc__ in the class of an operand that it does not know. Value has none,
# and before Python 3.12 formatting the text of that AttributeError takes longer than the operation.
# This descriptor raises the same error with a text that is ready. And it is not the None that a
# program may put in its place.

cdef class _NoArrayUfunc:
    """Stands for the attribute that Value does not have."""

cdef PyObject* get_no_attribute(PyObject* self, PyObject* value, PyObject* cls) noexcept:
    """tp_descr_get"""
    text = ("type object 'Value' has no attribute '__array_ufunc__'" if value == NULL
            else "'Value' object has no attribute '__array_ufunc__'")
    PyErr_SetObject(PyExc_AttributeError, <PyObject*>text)
    return NULL

(<PyTypeObject*>_NoArrayUfunc).tp_descr_get = get_no_attribute
Value.__array_ufunc__ = _NoArrayUfunc()

cdef class _ArrayPriority:
    """numpy's scalars leave an operation to what has this priority, its arrays do not. Where the
    program has reflected methods of its own, there is none, as in the original: then numpy gives
    them Python's numbers."""

    def __get__(self, value, cls):
        if is_value(value) and has_own_reflected(value):
            raise AttributeError(
                f"'{type(value).__name__}' object has no attribute '__array_priority__'")
        return -1.0

Value.__array_priority__ = _ArrayPriority()


def init_subclass(cls, **keywords):
    super(Value, cls).__init_subclass__(**keywords)
    if cls.__mro__[len(cls.__mro__) - 2] is not Value:      # else object alone comes after it
        _bases.take_from_further_bases(cls, Value, added)

cdef class _Comparison:
    """A comparison of Values. Read from the class it is object's, as in the original:
    functools.total_ordering defines what is object's."""

    cdef object of_object, of_value

    def __init__(self, name):
        self.of_object, self.of_value = getattr(object, name), getattr(Value, name)

    def __get__(self, value, cls):
        return self.of_object if value is None else self.of_value.__get__(value, cls)


# other + self and other * self. (The operators of C, which Python calls in both orders, cannot tell
# Value.__add__(a, b) from Value.__radd__(b, a).) Of a Value and an instance of a subclass that has
# an __add__ of its own, Python asks the second one's __radd__ first, even where that is Value's.

@cython.binding(True)
def __radd__(self, other):
    if is_value(other) and is_inherited(self, other, "__radd__"):
        return type(other).__add__(other, self)
    return PyNumber_Add(self, other)

@cython.binding(True)
def __rmul__(self, other):
    if is_value(other) and is_inherited(self, other, "__rmul__"):
        return type(other).__mul__(other, self)
    return PyNumber_Multiply(self, other)

cdef bint is_inherited(object value, object other, str name):
    """Whether the class of a Value has the method from that of another."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    cdef PyTypeObject* base = Py_TYPE(<PyObject*>other)
    return (cls != base and PyType_IsSubtype(cls, base)
            and find_in_class(cls, name) is find_in_class(base, name))


value_type = <PyTypeObject*>Value
value_add, value_multiply = value_type.tp_as_number.nb_add, value_type.tp_as_number.nb_multiply
for reflecting in (__radd__, __rmul__):
    reflecting.__qualname__ = f"Value.{reflecting.__name__}"
    setattr(Value, reflecting.__name__, reflecting)
del __radd__, __rmul__
Value.__init__ = shipped_init
Value.__weakref__ = property(first_weakref)
value_hash, value_compare = value_type.tp_hash, value_type.tp_richcompare
for name in ORDER:
    setattr(Value, name, _Comparison(name))
value_type.tp_richcompare = value_compare       # and not by a lookup of these names
value_type.tp_new = object_new
del Value.__new__
value_type.tp_alloc = value_alloc
value_type.tp_dealloc = value_dealloc
value_type.tp_free = value_free
value_type.tp_traverse = value_traverse
value_type.tp_clear = value_clear
value_type.tp_vectorcall = <void*>value_vectorcall
value_type.tp_as_number.nb_bool = value_bool
value_type.tp_dictoffset = <Py_ssize_t>&(<Body*>NULL).attrs
value_type.tp_weaklistoffset = <Py_ssize_t>&(<Body*>NULL).weakrefs
Py_INCREF(<PyObject*>value_type)
PyType_Modified(value_type)
value_type.tp_name = "Value"            # as error messages call it
# For inspect.signature.
value_type.tp_doc = "Value(data, _children=(), _op='', *, label=None)\n--\n\n"
for method in [method for name, method in vars(Value).items() if type(method) is type(Value.relu)]:
    method.__module__ = "micrograd.engine"
Value.__module__ = "micrograd.engine"
Value.__doc__ = _templates.Value.__doc__
call_type.tp_dealloc = value_dealloc
call_type.tp_traverse = traverse_call
call_type.tp_clear = NULL               # the collector breaks cycles at their Values
call_type.tp_new = call_type.tp_vectorcall = NULL       # only begin_call makes one
del _Call.__new__
PyType_Modified(call_type)
gc.callbacks.append(_before_collection)
for name in (*ATTRIBUTES, *SUM, *PRODUCT, "__pow__", *ASKED_BY_NUMPY, *activations):
    value_attributes[name] = find_in_class(value_type, name)
call_own_operators(value_type)          # and not by a lookup of their names
activation_functions.update({getattr(Value, name): op for name, op in activations.items()})
_reduction = Value.__reduce__, Value.__reduce_ex__
cdef dict added = _bases.added_to(Value)
Value.__init_subclass__ = classmethod(init_subclass)
shipped_attributes[Value] = {}          # networks depend on its version too
cdef Value first = Value(0)
if not heads_are_as_described(<PyObject*>first):
    raise ImportError("micrograd-native cannot run on this Python: its garbage collector is not "
                      "the one that the engine was written for (CPython 3.10 to 3.15; this is "
                      f"{sys.version.split()[0]})")
first = None
