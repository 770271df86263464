# A program's own operations: a `_backward` of its own, operands and a name given to the
# constructor, local gradients, and operands that are not just one or two Values.

# The names of operations. A CUSTOM node holds the place of its name in this list. After the first
# few thousand names, and where a name is no str, it becomes an attribute of the Value.
cdef enum:
    NAMES = 1 << 12
cdef list op_names = [""]
cdef dict op_places = {"": 0}

cdef int set_op(object value, object name) except -1:
    """Replace `_op` by any object. A leaf whose name is the empty one stays a leaf."""
    cdef Node* n = node_of(<PyObject*>value)
    place = None
    if type(name) is str:
        place = op_places.get(name)
        if place is None and len(op_names) < NAMES:
            place = op_places[name] = len(op_names)
            op_names.append(name)
    if place is None or n.op > CUSTOM_PREV or find_attribute(value, "_op") != NULL:
        attrs_of(value)["_op"] = name
    elif n.op != LEAF or name != "":
        become_custom(n)
        n.index = place
    return 0

cdef inline void become_custom(Node* n) noexcept:
    """Make a leaf a node of the program's own, which the sort visits."""
    unpack(n)                   # the index of a packed parameter is its place
    if n.op == LEAF:
        n.op, n.index = CUSTOM, 0

cdef object deleted = object()          # stands for an attribute that the program has deleted

cdef object op_of(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef PyObject* name = find_attribute(value, "_op")
    if name == <PyObject*>deleted:
        return attribute_object(value, NULL, "_op")
    if name != NULL:
        return <object>name
    if is_custom(n.op):
        return op_names[n.index]
    if n.op == OUTPUT:
        return call_of(n).kind.name(call_of(n), n.index)
    if n.op == LOCAL:
        return locals_of(n).name or ""
    return operation_name(n.op, n.b)

cdef int set_children(object value, object children) except -1:
    """Make the iterable children the operands of value."""
    cdef PyObject** items
    cdef Py_ssize_t count
    cdef Node* n = node_of(<PyObject*>value)
    if type(children) is tuple:
        items = PySequence_Fast_ITEMS(<PyObject*>children)
        count = PySequence_Fast_GET_SIZE(<PyObject*>children)
        if count == 0:
            return 0
        if count <= 2 and equals_only_itself(items[0]) and equals_only_itself(items[count - 1]):
            replace_with_custom(n, items[0], items[count - 1])
            return 0
    return set_any_children(value, children)

cdef inline bint equals_only_itself(PyObject* child) noexcept:
    """Whether it is a Value, compared by identity."""
    cdef PyTypeObject* cls = Py_TYPE(child)
    return (cls.tp_hash == value_hash and cls.tp_richcompare == value_compare
            and (cls == value_type or PyType_IsSubtype(cls, value_type)))

cdef inline void replace_with_custom(Node* n, PyObject* a, PyObject* b) noexcept:
    become_custom(n)
    replace_operands(n, CUSTOM, node_of(a), NULL if b == a else node_of(b), NULL)

cdef int set_any_children(object value, object children) except -1:
    cdef list given = list(children)
    cdef set unique = set(given)            # which may run __hash__ and __eq__ of subclasses
    if len(unique) > 2 or not all([is_value(child) for child in unique]):
        return set_prev(value, unique)
    if given:
        track(<PyObject*>value)
        others = [child for child in unique if child is not given[0]] or given
        replace_with_custom(node_of(<PyObject*>value), <PyObject*>given[0], <PyObject*>others[0])
    return 0

cdef int set_prev(object value, object prev) except -1:
    """Replace `_prev` by any object; `deleted` deletes it. A CUSTOM node keeps it in place of
    its operands. Any other node still needs these, and keeps it as an attribute."""
    cdef Node* n = node_of(<PyObject*>value)
    make_plain(n)
    become_custom(n)
    track(<PyObject*>value)
    n.flags |= OWN_PREV
    if is_custom(n.op):
        replace_operands(n, CUSTOM_PREV, node_of(<PyObject*>prev), NULL, NULL)
    else:
        attrs_of(value)["_prev"] = prev
    return 0

cdef inline PyObject* own_prev(object value) noexcept:
    """What the program has set as `_prev`, or NULL."""
    cdef Node* n = node_of(<PyObject*>value)
    return value_of(n.a) if n.op == CUSTOM_PREV else find_attribute(value, "_prev")

cdef int set_backward(object value, object function) except -1:
    """Replace the operation's derivative by the function; `deleted` deletes `_backward`. The
    operation's own function puts its derivative back."""
    cdef Body* body = <Body*>value
    make_plain(&body.node)
    if is_own_backward(<PyObject*>function, value):
        return clear_backward(body)
    become_custom(&body.node)
    body.node.flags |= CALLBACK
    track_if_needed(<PyObject*>value, <PyObject*>function)
    set_reference(&body.backward, function)
    return 0

cdef int clear_backward(Body* body) except -1:
    body.node.flags &= ~CALLBACK
    Py_CLEAR(body.backward)
    return 0

cdef object backward_of(object value):
    cdef Body* body = <Body*>value
    if body.backward == <PyObject*>deleted:
        return attribute_object(value, NULL, "_backward")
    if body.backward != NULL:
        return <object>body.backward
    return make_nothing() if body.node.op <= CUSTOM_PREV else make_backward(value)

def _run(Value value not None):
    """The operation's own backward, for one node; what `_backward` calls."""
    make_plain(&value.node)
    if (is_swept_by_engine(value.node.op)
            and (any_has_own_access(value) or not add_by_rule(&value.node))):
        add_objects(&value.node)


# The functions that `_backward` gives.

make_nothing = _templates.make_nothing
cdef dict templates = vars(_templates)
cdef object backward_function = _templates.make_backward(_run, None)
cdef PyObject* backward_code = PyFunction_GetCode(<PyObject*>backward_function)
cdef object backward_name = backward_function.__qualname__
cdef object run_cell = backward_function.__closure__[0]

cdef object make_backward(object value):
    """_templates.make_backward(_run, value), but without the time that a call of it takes."""
    function = PyFunction_NewWithQualName(<object>backward_code, templates, backward_name)
    PyFunction_SetClosure(function, (run_cell, PyCell_New(value)))
    return function

cdef bint is_own_backward(PyObject* function, object value) noexcept:
    """Whether make_backward made it for this value."""
    return (Py_TYPE(function) == function_type and PyFunction_GetCode(function) == backward_code
            and PyCell_GET(PyTuple_GET_ITEM(PyFunction_GetClosure(function), 1))
            == <PyObject*>value)


# Local gradients: Value(y, (a, b), (dy/da, dy/db)) adds dy/da * out.grad to a.grad, and so on.

@cython.no_gc_clear             # the collector breaks cycles at the Values
cdef class _Locals:
    """The operands of a LOCAL node, as they were given, and dy/da for each: numbers, or Values."""
    cdef tuple operands
    cdef tuple gradients
    cdef object run             # of what a recording gives: its run, and the place among the
    cdef Py_ssize_t place       # results, by which it has second derivatives; else None
    cdef str name               # ... and its function's name, the `_op` of the result; else None

    def __cinit__(self, operands, gradients):
        if isinstance(operands, (set, frozenset)) and len(operands) > 1:
            raise TypeError("operands with local gradients must be in order, and a set has none")
        self.operands, self.gradients = tuple(operands), tuple(gradients)
        for operand in self.operands:
            check_child(operand)
        if len(self.operands) != len(self.gradients):
            raise ValueError("there must be one local gradient for each operand, not "
                             f"{len(self.gradients)} for {len(self.operands)} operands")
        for gradient in self.gradients:
            check_local_gradient(gradient)

    def __reduce__(self):
        return _Locals, (self.operands, self.gradients)

cdef int check_local_gradient(object gradient) except -1:
    cdef Number n
    read_number(gradient, &n)
    if n.kind == OBJECT and not is_value(gradient):
        from numbers import Number as AnyNumber
        if not isinstance(gradient, AnyNumber) and type(gradient).__module__ != "numpy":
            raise TypeError("a local gradient must be a number or a Value, "
                            f"not {type(gradient).__name__}: {gradient!r:.60}")
    return 0

cdef inline _Locals locals_of(Node* n):
    return <_Locals>value_of(n.a)

cdef int set_locals(object value, object children, object gradients) except -1:
    cdef _Locals pair = _Locals(children, gradients)
    unpack(node_of(<PyObject*>value))
    become_local(node_of(<PyObject*>value), pair)
    return 0

cdef void become_local(Node* n, _Locals pair) noexcept:
    track(value_of(n))
    replace_operands(n, LOCAL, node_of(<PyObject*>pair), NULL, NULL)

cdef bint add_locals(Node* n) noexcept:
    """Apply the chain rule to a LOCAL node; False where that needs Python, and then nothing was
    changed."""
    cdef _Locals pair = locals_of(n)
    cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(<PyObject*>pair.operands)
    cdef PyObject** operands = PySequence_Fast_ITEMS(<PyObject*>pair.operands)
    cdef PyObject** gradients = PySequence_Fast_ITEMS(<PyObject*>pair.gradients)
    cdef Number more, sum, g = Number(n.grad.x, n.grad_kind)
    for i in range(count):
        more = times(local_number(gradients[i]), g)
        sum = plus(grad_of_node(node_of(operands[i])), more)
        if (not is_plain(more) or not is_plain(sum) or Py_TYPE(operands[i]) != value_type
                or (sum.kind == INTEGER
                    and not -MOST_INT <= sum.x <= MOST_INT)):       # an operand may stand twice
            return False
    for i in range(count):
        set_grad_of_node(node_of(operands[i]), plus(grad_of_node(node_of(operands[i])),
                                                    times(local_number(gradients[i]), g)))
    return True

cdef inline Number local_number(PyObject* gradient) noexcept:
    return (data_of_node(node_of(gradient)) if Py_TYPE(gradient) == value_type
            else known_number(gradient))

cdef int add_locals_as_objects(object value) except -1:
    cdef _Locals pair = locals_of(node_of(<PyObject*>value))
    for operand, gradient in zip(pair.operands, pair.gradients):
        replace_grad(operand, PyNumber_InPlaceAdd(grad_of(operand), PyNumber_Multiply(
            data_of(gradient) if is_value(gradient) else gradient, grad_of(value))))
    return 0
