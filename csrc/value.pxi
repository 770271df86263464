# class Value: the operators and attributes of the original, over nodes.
#
# Where the class was patched, or a subclass overrides an operator, Python's dispatch finds the
# program's version: -, / and the reflected operators use Python's operators, as in the original,
# and while __init__ or __new__ is patched (then shipped() is false), it is called for every new
# node.

cdef tuple NUMBERS = (int, float)

cdef inline bint is_value(object o):
    return Py_TYPE(<PyObject*>o) == value_type or isinstance(o, Value)

cdef int check_child(object child) except -1:
    if not is_value(child):
        raise TypeError("the operands of a node must be Values, "
                        f"not {type(child).__name__}: {child!r:.60}")
    return 0


# Making nodes.

cdef inline object number_node(Number data, int op, Node* a, Node* b):
    cdef PyObject* value = <PyObject*>checked(new_value())
    cdef Node* n = node_of(value)
    n.data.x, n.data_kind = data.x, data.kind
    n.grad.x, n.grad_kind, n.flags = 0, INTEGER, made_flag
    set_operands(n, op, a, b)
    return steal(value)

cdef object object_node(object data, int op, Node* a, Node* b):
    result = number_node(Number(0, INTEGER), op, a, b)
    put_data(node_of(<PyObject*>result), data)
    return result

cdef inline object plain_leaf(object data):
    cdef Number n
    read_number(data, &n)
    value = (object_node(data, LEAF, NULL, NULL) if n.kind == OBJECT
             else number_node(n, LEAF, NULL, NULL))
    if made_flag and not is_recording():
        # Made by another thread, and so no constant of the function.
        node_of(<PyObject*>value).flags = 0
    return value

cdef inline object leaf(object data):
    """Value(data)"""
    return plain_leaf(data) if shipped() else Value(data)

cdef inline object compute(int op, Node* a, Node* b):
    """The node of an operation of two operands; fast for plain numbers. A PACKED one gives no plain
    y."""
    cdef Number y = apply(op, a.data.x, a.data_kind, b.data.x, b.data_kind)
    if is_plain(y) and shipped():
        return number_node(y, op, a, b)
    return compute_any(op, a, b)

cdef object compute_any(int op, Node* a, Node* b):
    """The node of any operation; b is NULL for a unary one."""
    cdef Number x = data_of_node(a)
    cdef Number z = x if b == NULL else data_of_node(b)
    cdef Number y = apply(op, x.x, x.kind, z.x, z.kind)
    if is_plain(y) and shipped():
        return number_node(y, op, a, b)
    return compute_with_objects(op, a, b)

cdef object compute_with_objects(int op, Node* a, Node* b):
    first, second = <object>value_of(a), None if b == NULL else <object>value_of(b)
    x = data_of(first)
    y = apply_to_objects(op, x, data_of_second(op, second))
    if op == RELU and y is x:
        y = data_of(first)      # the original reads it again
    if shipped():
        return object_node(y, op, a, b)
    children = (first,) if gradients[op] == 1 else (first, second)
    name = operation_name(op, b)
    result = Value(y, children, name)
    if is_value(result):
        become_result(result, op, name, node_of(<PyObject*>first),
                      NULL if b == NULL else node_of(<PyObject*>second))
    return result

cdef int become_result(object value, int op, str name, Node* a, Node* b) except -1:
    """Make a Value, which the program's constructor has made, the result of an operation. It keeps
    what the constructor has given it for `_prev` and `_op`."""
    cdef Body* body = <Body*>value
    cdef Node* n = &body.node
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    make_plain(n)
    unpack(n)
    if has_own_access(value):
        value._backward = make_backward(value)
    else:
        clear_backward(body)
    if not overrides(cls, ("_op",)) and op_of(value) != name:
        attrs_of(value)["_op"] = op_of(value)
    if not overrides(cls, ("_prev",)) and not was_given(n, a, NULL if gradients[op] == 1 else b):
        attrs_of(value)["_prev"] = prev_of(value)
        n.flags |= OWN_PREV
    replace_operands(n, op, a, b)
    return 0

cdef bint was_given(Node* n, Node* a, Node* b):
    """Whether a and b are what the constructor was given for the operands of n; b may be NULL."""
    if n.op == CUSTOM:
        return n.a == a and n.b == (NULL if b == a else b)
    if n.op != CUSTOM_PREV or type(<object>value_of(n.a)) is not set:
        return False
    return set(map(id, <object>value_of(n.a))) == {
        id(<object>value_of(a)), id(<object>value_of(a if b == NULL else b))}

cdef str operation_name(int op, Node* b):
    if op == POW:
        return f"**{own_data(<object>value_of(b))}"
    return operation_symbols[op]

cdef inline object binary(int op, object a, object b):
    if Py_TYPE(<PyObject*>a) == value_type and Py_TYPE(<PyObject*>b) == value_type:
        return compute(op, node_of(<PyObject*>a), node_of(<PyObject*>b))
    return binary_of_any(op, a, b)

cdef object binary_of_any(int op, object a, object b):
    if not is_value(a):
        return reflected(op, python_number(a), b)
    if not is_value(b):
        if (op == ADD or op == MUL) and stands_in(b):
            return apply_to_stand_in(op, a, b)
        b = leaf(b)
    elif (op == ADD or op == MUL) and is_asked_first(op, a, b):
        return reflected(op, a, b)
    if goes_by_attributes(a) or goes_by_attributes(b):
        return compute_with_objects(op, node_of(<PyObject*>a), node_of(<PyObject*>b))
    return compute(op, node_of(<PyObject*>a), node_of(<PyObject*>b))

cdef inline bint stands_in(object o) except -1:
    """Whether isinstance takes o, which is none, for a Value: a mock or a proxy of one."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>o)
    if is_static_type(cls) and cls.tp_getattro == object_getattro:
        return False                    # the numbers of Python and numpy
    return PyObject_IsInstance(<PyObject*>o, <PyObject*>value_type)

cdef object apply_to_stand_in(int op, object a, object b):
    """a + b or a * b by the attributes of b, as the original does."""
    from functools import partial

    from micrograd import _engine_py
    out = Value(a.data + b.data if op == ADD else a.data * b.data, (a, b), operation_symbols[op])
    rule = _engine_py.backward_of_add if op == ADD else _engine_py.backward_of_mul
    out._backward = partial(rule, a, b, out)
    return out

cdef bint is_asked_first(int op, object a, object b) except -1:
    """Whether Python asks b before a: b is of a subclass of a's class with another reflected
    operator, and that operator calls Value's, which is b + a or b * a."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>a)
    cdef PyTypeObject* subclass = Py_TYPE(<PyObject*>b)
    name = "__radd__" if op == ADD else "__rmul__"
    return (subclass != cls and PyType_IsSubtype(subclass, cls)
            and find_in_class(subclass, name) is not find_in_class(cls, name))

cdef inline bint goes_by_attributes(object value) except -1:
    """has_own_access(value), for instances of subclasses; `compute` checks the class Value
    itself."""
    return Py_TYPE(<PyObject*>value) != value_type and has_own_access(value)

cdef object compare(object a, object b, int than):
    """By data, unless the program has an order of its own; other classes may have comparisons
    too."""
    forbid("comparison", <PyObject*>a)
    if is_value(b):
        forbid("comparison", <PyObject*>b)
    cdef bint by_own_order = has_own_order(a) or (is_value(b) and has_own_order(b))
    if by_own_order or not (is_value(b) or type(b) is float or type(b) is int):
        from numbers import Number as AnyNumber

        from micrograd import _functions
        name = ORDER[than if than <= Py_LE else than - 2]
        if by_own_order:
            return _functions.compare_by_own_order(a, b, name, value_attributes)
        if not isinstance(b, AnyNumber):
            return NotImplemented
        found = _functions.compare_by_own_number(a, b, name)
        if found is not NotImplemented:
            return found
    Py_EnterRecursiveCall(" in a comparison of the data of a Value")    # the data may be a Value
    try:
        return PyObject_RichCompare(data_of(a), data_of(b) if is_value(b) else b, than)
    finally:
        Py_LeaveRecursiveCall()

cdef inline object equals(object a, object b):
    """By identity, as any object."""
    if b is not None and type(b) is not str:        # no number equals these, either
        forbid_if_given(a)
        forbid_if_given(b)
    return True if a is b else NotImplemented

cdef bint has_own_order(object value) except -1:
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    return cls.tp_richcompare != value_compare and overrides(cls, ORDER)

cdef bint has_own_power(object value) except -1:
    return find_in_class(Py_TYPE(<PyObject*>value), "__pow__") is not value_attributes["__pow__"]

cdef object call_with_data(object function, object value, object argument):
    Py_EnterRecursiveCall(" with the data of a Value")
    try:
        return function(data_of(value), argument)
    finally:
        Py_LeaveRecursiveCall()

cdef object unary(int op, object a):
    check_self(a)
    if goes_by_attributes(a):
        return compute_with_objects(op, node_of(<PyObject*>a), NULL)
    return compute_any(op, node_of(<PyObject*>a), NULL)

cdef inline int check_self(object self) except -1:
    """That a method of Value was not called with an object of another class: Value.exp(1)."""
    if not is_value(self):
        raise TypeError(f"a method of Value was called with {type(self).__name__}: {self!r:.60}")
    return 0

cdef object reflected(int op, object a, object b):
    """a + b or a * b as b's class does it: b + a, b * a."""
    if Py_TYPE(<PyObject*>b) == value_type and operators_as_shipped() and not stands_in(a):
        a = leaf(a)
        return compute(op, node_of(<PyObject*>b), node_of(<PyObject*>a))
    return PyNumber_Add(b, a) if op == ADD else PyNumber_Multiply(b, a)

cdef object python_number(object o):
    """The operand on the left; of a numpy scalar its Python number: numpy converts its scalar to
    one when it does not know the other operand."""
    cdef PyObject* p = <PyObject*>o
    if is_value(o) or PyLong_CheckExact(p) or PyFloat_CheckExact(p):
        return o
    if Py_TYPE(p) == numpy_float64:
        return PyFloat_AS_DOUBLE(p)
    know_numpy_types()
    if numpy_generic is None or not isinstance(o, numpy_generic):
        return o
    if is_static_type(Py_TYPE(p)) and PyType_IsSubtype(Py_TYPE(p), numpy_integer):
        integer = python_integer(o)
        if integer is not o:
            return integer
    return o.item()

cdef object divisor(object o):
    """The divisor as a Python int if it is one of numpy's ints, which have no negative powers."""
    if PyFloat_Check(<PyObject*>o) or isinstance(o, int) or is_value(o):
        return o
    know_numpy_types()
    if numpy_integer != NULL and PyType_IsSubtype(Py_TYPE(<PyObject*>o), numpy_integer):
        return python_integer(o)
    return o

cdef object python_integer(object o):
    """The Python int of one of numpy's; o itself if that is a timedelta."""
    cdef PyObject* index = PyNumber_Index(<PyObject*>o)
    if index == NULL:
        PyErr_Clear()
        return o
    return steal(index)


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
    if n.op == LOCAL:
        return set(locals_of(n).operands)
    prev = set()
    if n.a != NULL:
        prev.add(<object>value_of(n.a))
    if n.b != NULL and gradients[n.op] == 2:    # an exponent that is a number gets no gradient
        prev.add(<object>value_of(n.b))
    return prev

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
        call_quickly(Py_TYPE(<PyObject*>self))      # its constructor may never call Value's
        put_data(&self.node, new)

    @data.deleter
    def data(self):
        forbid("writing", NULL)
        unpack(&self.node)
        own_data(self)          # AttributeError if there is none
        clear_slot(&self.node.data, &self.node.data_kind)

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
        clear_slot(&self.node.grad, &self.node.grad_kind)

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
            return PyNumber_Power(leaf(python_number(self)), other, None)
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
        own = Py_TYPE(<PyObject*>self).tp_richcompare != value_compare
        equal = type(self).__eq__(self, other) if own else equals(self, other)
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
        return PyNumber_Add(python_number(self), PyNumber_Negative(other))

    def __truediv__(self, other):
        """__truediv__($self, other)\n--\n\nself / other"""
        return PyNumber_Multiply(python_number(self), PyNumber_Power(divisor(other), -1, None))

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
# This descriptor raises the same error with a text that is ready.

cdef class _NoArrayUfunc:
    """Stands for the attribute that Value does not have."""

cdef PyObject* get_no_attribute(PyObject* self, PyObject* value, PyObject* cls) noexcept:
    """tp_descr_get"""
    text = ("type object 'Value' has no attribute '__array_ufunc__'" if value == NULL
            else "'Value' object has no attribute '__array_ufunc__'")
    PyErr_SetObject(PyExc_AttributeError, <PyObject*>text)
    return NULL

(<PyTypeObject*>_NoArrayUfunc).tp_descr_get = get_no_attribute
if sys.version_info < (3, 12):
    Value.__array_ufunc__ = _NoArrayUfunc()


value_type = <PyTypeObject*>Value
Value.__init__ = shipped_init
Value.__weakref__ = property(first_weakref)
value_hash, value_compare = value_type.tp_hash, value_type.tp_richcompare
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
Value.__doc__ = python["Value"].__doc__
# numpy's scalars leave the operation to Value, its arrays do not.
Value.__array_priority__ = -1.0
call_type.tp_dealloc = value_dealloc
call_type.tp_traverse = traverse_call
call_type.tp_clear = NULL               # the collector breaks cycles at their Values
call_type.tp_new = call_type.tp_vectorcall = NULL       # only begin_call makes one
del _Call.__new__
PyType_Modified(call_type)
gc.callbacks.append(_before_collection)
for name in (*ACCESS, *OPERATORS, "__pow__", *ORDER, *activations):
    value_attributes[name] = find_in_class(value_type, name)
activation_functions.update({getattr(Value, name): op for name, op in activations.items()})
_reduction = Value.__reduce__, Value.__reduce_ex__
shipped_attributes[Value] = {}          # networks depend on its version too
cdef Value first = Value(0)
if not heads_are_as_described(<PyObject*>first):
    raise ImportError("micrograd-native cannot run on this Python: its garbage collector is not "
                      "the one that the engine was written for (CPython 3.10 to 3.15; this is "
                      f"{sys.version.split()[0]})")
first = None
