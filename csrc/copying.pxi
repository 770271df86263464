# copy.copy and copy.deepcopy of Values.

cdef object copy_value(object value):
    """A second Value with the data, grad, operands and attributes of the first. As in the original
    it shares the first one's `_backward`, which reads the first one's gradient."""
    cdef Node* n = node_of(<PyObject*>value)
    twin = new_like(value)
    if n.op != LEAF or (<Body*>value).attrs != NULL:
        attrs_of(value)["_op"] = value._op
        if n.op != CUSTOM_PREV:                 # the set itself, which both copies share
            attrs_of(value)["_prev"] = value._prev
        if (<Body*>value).backward == NULL:
            function = backward_of(value)
            Py_INCREF(<PyObject*>function)
            (<Body*>value).backward = <PyObject*>function
            track(<PyObject*>value)
        attrs_of(twin).update(attrs_of(value))
        attrs_of(twin).pop("_prev", None)
        set_prev(twin, value._prev)
        set_backward(twin, backward_of(value))
    if has_data(n):
        put_data(node_of(<PyObject*>twin), own_data(value))
    if has_grad(n):
        put_grad(node_of(<PyObject*>twin), own_grad(value))
    set_slots(twin, slots_of(value))
    return twin

cdef bint reduces_itself(object value) except -1:
    """Whether a subclass says by a __reduce__ of its own what a copy is made of."""
    if type(value) is Value:
        return False
    from micrograd import _functions
    return _functions.reduces_itself(value, Value)

cdef object own_copy(object value, memo):
    from micrograd import _functions
    return _functions.rebuilt(value, memo)

cdef tuple new_arguments(object value):
    """What __new__ makes an object of."""
    if type(value) is Value:
        return (Value,)
    from micrograd import _functions
    return _functions.new_arguments(value)

cdef object new_like(object value):
    from copyreg import __newobj__
    twin = __newobj__(*new_arguments(value))
    check_child(twin)
    return twin

cdef dict slots_of(object value):
    """{name: what it holds} of the slots of a subclass."""
    if type(value) is Value:
        return {}
    from micrograd import _functions
    return _functions.slots_of(value)

cdef int set_slots(object twin, dict slots) except -1:
    for name, x in slots.items():
        setattr(twin, name, x)
    return 0

cdef bint has_data(Node* n) noexcept:
    return n.data_kind != OBJECT or n.data.object != NULL

cdef bint has_grad(Node* n) noexcept:
    return n.grad_kind != OBJECT or n.grad.object != NULL

cdef object deep_copy(object root, dict memo):
    """A copy of the whole graph under root, of any depth, with gradients of its own."""
    for value in nodes_under([root], False):
        deep_copy_node(value, memo)
    return memo[id(root)]

cdef list nodes_under(list roots, bint named):
    """The nodes of the graph under roots, these among them, operands before results; of leaves only roots.
    All calls are made plain, or, where `named`, those that are not shown as one operation."""
    cdef Sweep s
    cdef Py_ssize_t i
    cdef list nodes = []
    begin(&s)
    s.plain, s.named = True, named
    try:
        for root in reversed(roots):
            append(&s.stack, node_of(<PyObject*>root))
        undisturbed(sort, &s)
        for i in range(s.order.count):
            if s.order.items[i].op != CALL:
                nodes.append(<object>value_of(s.order.items[i]))
    finally:
        finish(&s)
    return nodes

cdef object deep_copy_node(object value, dict memo):
    """The copy of one node; its operands that are no leaves have been copied before."""
    twin = memo.get(id(value))
    cdef bint whole = twin is not None
    if not whole:
        whole = reduces_itself(value)
        twin = memo[id(value)] = own_copy(value, memo) if whole else new_like(value)
    check_child(twin)
    if not whole:
        fill_copy(value, twin, memo)
    return twin

cdef int fill_copy(object value, object twin, dict memo) except -1:
    """Give a new node copies of all that value has."""
    import copy as copying      # the standard library's; late, because it is seldom needed
    cdef Node* n = node_of(<PyObject*>value)
    cdef Node* t = node_of(<PyObject*>twin)
    cdef int op = n.op          # copying may run Python code, which may change the node
    cdef unsigned int index = n.index
    if op == LOCAL:
        pair = locals_of(n)
        set_locals(twin, [deep_copy_node(operand, memo) for operand in pair.operands],
                   copying.deepcopy(pair.gradients, memo))
    else:
        operands = [deep_copy_node(operand, memo) for operand in operands_of(n)]
        set_result(twin, CUSTOM if op == CUSTOM_PREV else op, operands)
        t.index = index if is_custom(op) else 0
    if n.op == CUSTOM_PREV:
        set_prev(twin, copying.deepcopy(<object>own_prev(value), memo))
    if (<Body*>value).attrs != NULL:
        attrs_of(twin).update(copying.deepcopy(attrs_of(value), memo))
        t.flags |= n.flags & OWN_PREV
        track(<PyObject*>twin)
    if has_data(n):
        put_data(t, copying.deepcopy(own_data(value), memo))
    if has_grad(n):
        put_grad(t, copying.deepcopy(own_grad(value), memo))
    if n.flags & CALLBACK:
        set_backward(twin, copying.deepcopy(backward_of(value), memo))
    set_slots(twin, copying.deepcopy(slots_of(value), memo))
    return 0
