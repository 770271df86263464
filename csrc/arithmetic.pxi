# Operations of Values: their operands, of any kind of number, and the nodes of their results.
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
    y. Of an OBJECT the slot holds an address: arithmetic with it would set flags of the processor,
    which numpy reports."""
    cdef Number y
    if a.data_kind & b.data_kind:
        y = apply(op, a.data.x, a.data_kind, b.data.x, b.data_kind)
        if is_plain_result(y) and shipped():
            return number_node(y, op, a, b)
    return compute_any(op, a, b)

cdef object compute_any(int op, Node* a, Node* b):
    """The node of any operation; b is NULL for a unary one."""
    cdef Number x = data_of_node(a)
    cdef Number z = x if b == NULL else data_of_node(b)
    cdef Number y
    if x.kind & z.kind:
        y = apply(op, x.x, x.kind, z.x, z.kind)
        if is_plain_result(y) and shipped():
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
    make_plain(n)
    unpack(n)
    if has_own_access(value):
        value._backward = make_backward(value)
    else:
        clear_backward(body)
    # Its class may be another after each line that runs Python code.
    if not overrides(Py_TYPE(<PyObject*>value), ("_op",)) and op_of(value) != name:
        attrs_of(value)["_op"] = op_of(value)
    if not overrides(Py_TYPE(<PyObject*>value), ("_prev",)) and not was_given(
            n, a, NULL if gradients[op] == 1 else b):
        attrs_of(value)["_prev"] = prev_of(value)
        n.flags |= OWN_PREV
    replace_operands(n, op, a, b, NULL)
    return 0

cdef bint was_given(Node* n, Node* a, Node* b):
    """Whether a and b are what the constructor was given for the operands of n; b may be NULL."""
    if n.op == CUSTOM:
        return n.a == a and n.b == (NULL if b == a else b)
    prev = <object>value_of(n.a) if n.op == CUSTOM_PREV else None
    if type(prev) is not set:
        return False
    return set(map(id, prev)) == {
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
        return reflected(op, python_number(a, b), b)
    if not is_value(b):
        if (op == ADD or op == MUL) and stands_in(b):
            return apply_to_stand_in(op, a, b)
        b = leaf(b)
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

cdef inline bint goes_by_attributes(object value) except -1:
    """has_own_access(value), for instances of subclasses; `compute` checks the class Value
    itself."""
    return Py_TYPE(<PyObject*>value) != value_type and has_own_access(value)

cdef object compare(object a, object b, int than):
    """By data. Where the program has an order of its own, what it does not define is as in the
    original, which has no order; other classes may have comparisons too."""
    forbid("comparison", <PyObject*>a)
    if is_value(b):
        forbid("comparison", <PyObject*>b)
    if has_own_order(a) or (is_value(b) and has_own_order(b)):
        return NotImplemented
    if not (is_value(b) or type(b) is float or type(b) is int):
        from numbers import Number as AnyNumber

        from micrograd._functions import compare_by_own_number
        if not isinstance(b, AnyNumber):
            return NotImplemented
        found = compare_by_own_number(a, b, ORDER[than if than <= Py_LE else than - 2])
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
    """Whether its class defines a comparison; object's, which a program may put back, is none."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    for name in ORDER if cls.tp_richcompare != value_compare else ():
        found = find_in_class(cls, name)
        if found is not value_attributes[name] and found is not getattr(object, name):
            return True
    return False

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

cdef object python_number(object o, object other):
    """The operand on the left; of a numpy scalar, but for its texts, its Python number: numpy
    converts its scalar to one when it does not know the other operand, a Value. Where the program
    has told numpy of it, it does not."""
    cdef PyObject* p = <PyObject*>o
    if is_value(o) or PyLong_CheckExact(p) or PyFloat_CheckExact(p) or isinstance(o, (str, bytes)):
        return o
    know_numpy_types()
    if numpy_generic is None or not isinstance(o, numpy_generic) or has_told_numpy(other):
        return o
    if Py_TYPE(p) == numpy_float64:
        return PyFloat_AS_DOUBLE(p)
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
