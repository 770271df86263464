# Python's numbers in and out of nodes, and the operations on data that is no plain number: complex,
# Fraction, arrays, tensors, ints beyond 2**53, other Values, floats that have an error to raise.
# All of these use Python's own operators, which are slow and right, and raise the original's
# errors.

# numpy's types. They are looked up when an object of an unknown type is met after numpy was
# imported.
cdef PyTypeObject* numpy_float64 = NULL
cdef PyTypeObject* numpy_float32 = NULL
cdef PyTypeObject* numpy_integer = NULL     # the base of its ints
cdef PyTypeObject* numpy_bool = NULL
cdef PyTypeObject* numpy_array = NULL
cdef object numpy_generic = None            # the base of all its scalars

cdef int know_numpy_types() except -1:
    global numpy_float64, numpy_float32, numpy_integer, numpy_bool, numpy_array, numpy_generic
    if numpy_generic is not None or "numpy" not in sys.modules:
        return 0
    numpy = sys.modules.get("numpy")        # it may be half imported, or a mock
    if isinstance(getattr(numpy, "generic", None), type):
        if is_laid_out_as_float(kept_type(numpy.float64)):
            numpy_float64 = kept_type(numpy.float64)
        numpy_float32, numpy_bool = kept_type(numpy.float32), kept_type(numpy.bool_)
        numpy_integer, numpy_array = kept_type(numpy.integer), kept_type(numpy.ndarray)
        numpy_generic = numpy.generic
    return 0

cdef PyTypeObject* kept_type(cls) except NULL:
    Py_INCREF(<PyObject*>cls)
    return <PyTypeObject*>cls

cdef inline int read_number(object o, Number* n) except -1:
    """n becomes the number that o is, or one of kind OBJECT."""
    n[0] = known_number(<PyObject*>o)
    if n.kind == OBJECT:
        know_numpy_types()
        n[0] = known_number(<PyObject*>o)
    return 0

cdef inline Number known_number(PyObject* o) noexcept:
    """The same, without running Python code; numpy's types must be known."""
    cdef double x
    if PyFloat_CheckExact(o):
        return Number(PyFloat_AS_DOUBLE(o), REAL)
    if Py_TYPE(o) == numpy_float64:
        return Number(PyFloat_AS_DOUBLE(o), NUMPY)
    if PyLong_CheckExact(o):
        x = exact_integer(o)
        return Number(x, INTEGER if x == x else OBJECT)
    if Py_TYPE(o) == numpy_float32:
        return Number(PyFloat_AsDouble(o), FLOAT32)
    return Number(0, OBJECT)

cdef Number numpy_int(PyObject* o) noexcept:
    """The same for one of numpy's ints, whose results with floats are numpy.float64."""
    cdef double x = NAN
    if (numpy_integer != NULL and is_static_type(o.ob_type)
            and PyType_IsSubtype(o.ob_type, numpy_integer)):
        x = exact_integer(o)
        if PyErr_Occurred() != NULL:        # a timedelta is none
            PyErr_Clear()
            x = NAN
    return Number(x, NUMPY if x == x else OBJECT)

cdef inline double exact_integer(PyObject* o) noexcept:
    """A Python int as a double, or nan beyond 2**53."""
    cdef int overflow
    cdef double x = <double>PyLong_AsLongLongAndOverflow(o, &overflow)
    return x if overflow == 0 and -9007199254740991.0 <= x <= 9007199254740991.0 else NAN

cdef inline void put_object(Node* n, Slot* slot, unsigned char* kind, object o) noexcept:
    """Store o, which is no plain number, as the data or grad of n."""
    cdef PyObject* old = slot.object if kind[0] == OBJECT else NULL
    kind[0] = OBJECT
    slot.object = <PyObject*>o
    Py_INCREF(slot.object)
    track_if_needed(value_of(n), slot.object)
    Py_XDECREF(old)

cdef inline object number_object(double x, int kind):
    """The Python object of a number."""
    if kind == REAL:
        return x
    if kind == INTEGER:
        return <long long>x
    return numpy_object(x) if kind == NUMPY else (<object><PyObject*>numpy_float32)(x)

cdef object numpy_object(double x):
    cdef PyObject* o = <PyObject*>checked(numpy_float64.tp_alloc(numpy_float64, 0))
    set_float(o, x)
    return steal(o)

cdef object attribute_object(object value, PyObject* o, str name):
    if o == NULL and name in ("data", "grad"):      # a program may have set it in the __dict__
        o = find_attribute(value, name)
    if o == NULL:
        raise AttributeError(f"'{type(value).__name__}' object has no attribute '{name}'")
    return <object>o

cdef object data_of(object value):
    """value.data, with the class's override if it has one; own_data is what the node holds."""
    return data_by_attribute(value) if has_own_access(value) else own_data(value)

cdef object data_by_attribute(object value):
    Py_EnterRecursiveCall(" in the data of a Value")    # a property may call methods of Value
    try:
        return value.data
    finally:
        Py_LeaveRecursiveCall()

cdef object data_of_second(int op, object b):
    """The same of an operation's second operand, if there is one. A number for an exponent, say,
    is in a Value of the engine's own, which no program sees."""
    return None if b is None else data_of(b) if gradients[op] == 2 else own_data(b)

cdef object grad_of(object value):
    return value.grad if has_own_access(value) else own_grad(value)

cdef inline object own_data(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef Number data = data_of_node(n)
    if data.kind == OBJECT:
        return attribute_object(value, n.data.object, "data")
    return number_object(data.x, data.kind)

cdef inline object own_grad(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef Number grad = grad_of_node(n)
    if grad.kind == OBJECT:
        return attribute_object(value, n.grad.object, "grad")
    return number_object(grad.x, grad.kind)

cdef inline int put_data(Node* n, object o) except -1:
    cdef Number new
    read_number(o, &new)
    if new.kind == OBJECT:
        unpack(n)
        put_object(n, &n.data, &n.data_kind, o)
    else:
        put_number_data(n, new)
    return 0

cdef inline int put_number_data(Node* n, Number new) except -1:
    cdef PyObject* old = n.data.object if n.data_kind == OBJECT else NULL
    cdef Matrix* m
    if n.data_kind == PACKED:
        m = matrix_of(n)
        if is_plain(new) and (new.kind != INTEGER or <int>n.index >= m.nin * m.width):
            return set_packed_data(m, n.index, new)
        unpack(n)
    n.data.x, n.data_kind = new.x, new.kind
    Py_XDECREF(old)
    return 0

cdef inline int put_grad(Node* n, object o) except -1:
    cdef Number new
    read_number(o, &new)
    if new.kind == OBJECT or is_too_large(n, new):
        unpack(n)
    if new.kind == OBJECT:
        put_object(n, &n.grad, &n.grad_kind, o)
    else:
        put_number_grad(n, new)
    return 0

cdef inline void put_number_grad(Node* n, Number new) noexcept:
    cdef PyObject* old = n.grad.object if n.grad_kind == OBJECT else NULL
    set_grad_of_node(n, new)
    Py_XDECREF(old)

cdef inline void unpack(Node* n) noexcept:
    """Let n hold its own numbers, if it is a parameter of a packed layer."""
    if n.data_kind == PACKED or n.grad_kind == PACKED:
        unpack_layer(<Parameters>n.data.object)

# The table of operations once more, in Python's arithmetic. (With functions of the C API: Cython's
# own + and * word some errors differently.)

cdef tuple operation_symbols = tuple([symbol.decode() for symbol in symbols[:OPERATION_END]])
cdef dict functions = None      # micrograd._functions.FUNCTIONS, once it is needed

cdef object function_of(int op):
    global functions
    if functions is None:
        from micrograd._functions import FUNCTIONS
        functions = FUNCTIONS
    return functions[operation_symbols[op]]

cdef object apply_to_objects(int op, a, b):
    Py_EnterRecursiveCall(" in arithmetic on the data of a Value")      # the data may be a Value
    try:
        return result_of_objects(op, a, b)
    except (ArithmeticError, ValueError):
        note_error()
        raise
    finally:
        Py_LeaveRecursiveCall()

cdef object result_of_objects(int op, a, b):
    if op == ADD:
        return PyNumber_Add(a, b)
    if op == MUL:
        return PyNumber_Multiply(a, b)
    if op == POW:
        return PyNumber_Power(a, b, None)
    if op == RELU:
        if is_value(a) and not has_own_order(a):        # the original's Values have no order
            raise TypeError("'<' not supported between instances of "
                            f"'{type(a).__name__}' and 'int'")
        return 0 if a < 0 else a
    return function_of(op).y(a, b)

# What is added to the gradients of an operation's operands. The data is read where the original's
# expression reads it: a class of the program's own may count the reads, or answer each otherwise.

cdef object share_of_first(int op, a, b, out):
    if op == ADD:
        return grad_of(out)
    if op == MUL:
        return PyNumber_Multiply(data_of(b), grad_of(out))
    if op == POW:
        exponent = own_data(b)
        power = PyNumber_Power(data_of(a), PyNumber_Subtract(exponent, 1), None)
        return PyNumber_Multiply(PyNumber_Multiply(exponent, power), grad_of(out))
    if op == RELU:
        return PyNumber_Multiply(data_of(out) > 0, grad_of(out))
    return function_of(op).da(data_of(a), data_of_second(op, b), data_of(out), grad_of(out))

cdef object share_of_second(int op, a, b, out):
    if op == ADD or op == MUL:
        return share_of_first(op, b, a, out)
    return function_of(op).db(data_of(a), data_of(b), data_of(out), grad_of(out))
