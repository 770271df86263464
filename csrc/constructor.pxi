# The constructor of Value and of its subclasses: what it does, and how it is called.

arguments = _templates.Value.__init__

cdef int initialize(Value self, object data, object children, object op) except -1:
    """What Value.__init__ does."""
    cdef Node* n = &self.node
    if has_own_access(self):
        become_custom(n)                        # so that the sort visits it
        Py_EnterRecursiveCall(" in the constructor of a Value")     # __setattr__ may be __init__
        try:
            return init_by_attributes(self, data, children, op)
        finally:
            Py_LeaveRecursiveCall()
    if made_flag and not n.flags & MADE and has_data(n):
        forbid("writing", NULL)
    n.flags = flag_of_new(self)
    drop_unused_dict(self)
    unpack(n)
    make_plain(n)
    replace_operands(n, LEAF, NULL, NULL, NULL)
    clear_attributes(<Body*>self)
    if type(self) is not Value:
        become_custom(n)
    put_data(n, data)
    put_grad(n, 0)
    set_children_and_op(self, children, op)
    if n.op != LEAF:                            # it may be its own operand
        track(<PyObject*>self)
        if type(self) is Value:
            attrs_of(self)      # so that collections come: they count dicts, and no Values
    return 0

cdef int init_by_attributes(object value, object data, object children, object op) except -1:
    """What the original's __init__ does, attribute by attribute."""
    cdef Body* body = <Body*>value
    backward = make_nothing()
    value.data = data
    value.grad = 0
    if isinstance(op, (tuple, list)):
        set_locals(value, children, op)
        children, op = locals_of(&body.node).operands, ""
        backward = make_backward(value)
    value._backward = backward
    if body.node.op <= CUSTOM_PREV and body.backward == <PyObject*>backward:
        clear_backward(body)            # it is what `_backward` gives by itself
    value._prev = set(children)
    value._op = op
    return 0

cdef int set_children_and_op(object value, object children, object op) except -1:
    """The constructor's second and third argument."""
    if made_flag and children:
        forbid("operation", NULL)
    if isinstance(op, (tuple, list)):
        return set_locals(value, children, op)
    set_children(value, children)
    if type(op) is not str or op != "":
        set_op(value, op)
    return 0

cdef void clear_attributes(Body* body) noexcept:
    """Delete the attributes that the constructor sets again."""
    Py_CLEAR(body.backward)
    if body.attrs != NULL:
        attrs = <dict>body.attrs            # held: a key's comparison may drop it
        for name in ("_prev", "_op"):
            attrs.pop(name, None)

cdef int set_label(object value, object label) except -1:
    if not hasattr(Value, "label"):
        Value.label = ""        # the label of all other Values, once a program uses labels
    value.label = label
    return 0


# How it is called: without the steps by which Python calls any class, which make a tuple of the
# arguments and, in 3.11 and 3.12, a dict for each instance.

cdef inline void call_quickly(PyTypeObject* cls) noexcept:
    """Have Python call a subclass by `call_class`, if its metaclass does nothing of its own."""
    if cls.tp_vectorcall == NULL and Py_TYPE(<PyObject*>cls) == <PyTypeObject*>type:
        set_slot(&cls.tp_vectorcall, <void*>call_class)

cdef PyObject* value_vectorcall(PyObject* cls, PyObject** args, size_t flags,
                                PyObject* names) except NULL:
    cdef Py_ssize_t count = PyVectorcall_NARGS(flags)
    if not (1 <= count <= 3 and names == NULL and shipped()):
        return call_class(cls, args, flags, names)
    result = plain_leaf(<object>args[0])
    if count > 1:
        set_children_and_op(result, <object>args[1], <object>args[2] if count == 3 else "")
    Py_INCREF(<PyObject*>result)
    return <PyObject*>result

cdef PyObject* call_class(PyObject* cls, PyObject** args, size_t flags,
                          PyObject* names) except NULL:
    """The same for a class whose __init__ is Value's or a Python function."""
    cdef PyTypeObject* type = <PyTypeObject*>cls
    cdef Py_ssize_t count = PyVectorcall_NARGS(flags)
    cdef PyObject** place = args - 1        # which is the callee's to use, if the flags say so
    cdef PyObject* before
    cdef PyObject* result
    cdef PyObject* found = lookup(type, <PyObject*>"__init__")
    if (found == NULL                       # in a class that the collector has cleared
            or not (found == <PyObject*>shipped_init or Py_TYPE(found) == function_type)
            or not flags & PY_VECTORCALL_ARGUMENTS_OFFSET
            or type.tp_new != object_new or type.tp_flags & Py_TPFLAGS_IS_ABSTRACT):
        return call_any(cls, args, count, names)
    init = <object>found                    # held: what follows may run Python code
    value = steal(<PyObject*>checked(type.tp_alloc(type, 0)))
    before, place[0] = place[0], <PyObject*>value
    result = PyObject_Vectorcall(<PyObject*>init, place, count + 1, names)
    place[0] = before
    if result == NULL:
        return NULL
    returned = steal(result)
    if returned is not None:
        raise TypeError("__init__() should return None, "
                        f"not '{Py_TYPE(result).tp_name.decode()}'")
    Py_INCREF(<PyObject*>value)
    return <PyObject*>value

# Value.__init__ is a function of Cython's, as the other methods are: where it is a method of C,
# inspect.signature(Value) fails on Python 3.13 and later. It has the signature of this one, and
# what runs is call_init.
@cython.binding(True)
def __init__(self, data, _children=(), _op='', *, label=None):
    """ a node: its data, its operands, and the name of its operation or, in a tuple or list, dy/da
    for each operand, numbers or Values; label names it in drawings. With dy/da, TypeError for
    operands that are no Values or have no order, ValueError unless there is one for each """

cdef object shipped_init = __init__
del __init__
shipped_init.__qualname__ = "Value.__init__"
set_vectorcall(<PyObject*>shipped_init, <void*>call_init)

cdef PyObject* call_init(PyObject* function, PyObject** args, size_t flags,
                         PyObject* names) except NULL:
    """Value.__init__ without a tuple and a dict: most constructors of subclasses call it."""
    cdef Py_ssize_t count = PyVectorcall_NARGS(flags)
    cdef PyObject* read[3]
    if count > 0 and is_value(<object>args[0]) and read_arguments(args + 1, count - 1, names, read):
        initialize(<object>args[0], <object>read[0], <object>read[1], <object>read[2])
    else:
        initialize_any(arguments_of(args, count, names))
    Py_INCREF(<PyObject*>None)
    return <PyObject*>None

cdef int initialize_any(tuple given) except -1:
    """The same of any arguments, in a tuple and a dict."""
    args, keywords = given
    if not args or not is_value(args[0]):               # as in relu
        reference().__init__(*args, **keywords)
        return 0
    data, children, op, label = arguments(*args, **keywords)
    initialize(args[0], data, children, op)
    if label is not None:
        set_label(args[0], label)
    return 0

cdef tuple ARGUMENTS = ("data", "_children", "_op")
cdef tuple NO_CHILDREN = ()
cdef str NO_OP = ""

cdef bint read_arguments(PyObject** args, Py_ssize_t count, PyObject* names,
                         PyObject** read) noexcept:
    """The constructor's arguments, given in place or by name. False where there are others, or no
    data: then Python parses them, which knows what to say."""
    cdef Py_ssize_t i, place
    if count > 3:
        return False
    read[0], read[1], read[2] = NULL, <PyObject*>NO_CHILDREN, <PyObject*>NO_OP
    for i in range(count):
        read[i] = args[i]
    for i in range(0 if names == NULL else PyTuple_GET_SIZE(names)):
        place = place_of_argument(PyTuple_GET_ITEM(names, i), count)
        if place == 3:
            return False
        read[place] = args[count + i]
    return read[0] != NULL

cdef inline Py_ssize_t place_of_argument(PyObject* name, Py_ssize_t place) noexcept:
    """Where, from this place on; 3 if nowhere. Names that a program writes are interned, as these
    are."""
    while place < 3 and PyTuple_GET_ITEM(<PyObject*>ARGUMENTS, place) != name:
        place += 1
    return place

cdef PyObject* call_any(PyObject* cls, PyObject** args, Py_ssize_t count,
                        PyObject* names) except NULL:
    """Call it as Python calls any class."""
    cdef tuple given
    cdef dict keywords
    given, keywords = arguments_of(args, count, names)
    return (<PyTypeObject*>type).tp_call(cls, <PyObject*>given, <PyObject*>keywords)

cdef void set_vectorcall(PyObject* callable, void* function) noexcept:
    (<void**>(<char*>callable + Py_TYPE(callable).tp_vectorcall_offset))[0] = function

cdef tuple arguments_of(PyObject** args, Py_ssize_t count, PyObject* names):
    return (tuple([<object>args[i] for i in range(count)]),
            {name: <object>args[count + i]
             for i, name in enumerate(() if names == NULL else <tuple>names)})
