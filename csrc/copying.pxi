# copy.copy and copy.deepcopy of Values, and what a copy or a pickle is made of.

cdef dict state_of(object value):
    """{attribute: what it holds} of all that a Value has besides the operation on its operands, and
    the slots of a subclass."""
    cdef Node* n = node_of(<PyObject*>value)
    cdef dict state = {}
    if (<Body*>value).attrs != NULL:
        state.update(attrs_of(value))
    if has_data(n):
        state["data"] = own_data(value)
    if has_grad(n):
        state["grad"] = own_grad(value)
    if n.flags & CALLBACK:
        state["_backward"] = <object>(<Body*>value).backward
    if n.op == CUSTOM_PREV:
        state["_prev"] = <object>own_prev(value)
    if is_custom(n.op) and n.index and "_op" not in state:
        state["_op"] = op_of(value)
    return state

cdef dict own_state_of(object value):
    """{attribute: what stands in the __dict__} of those of ACCESS that the class overrides: by a
    default, say, or by a property that keeps there what it is given."""
    cdef dict attrs = {} if (<Body*>value).attrs == NULL else attrs_of(value)
    return {name: attrs[name] for name in ACCESS
            if name in attrs and overrides(Py_TYPE(<PyObject*>value), (name,))}

cdef int restore_state(object value, dict state, dict own) except -1:
    """Give a new Value what state_of and own_state_of have found."""
    cdef Node* n = node_of(<PyObject*>value)
    attributes = {name: x for name, x in state.items() if name not in own}
    if "data" in attributes:
        put_data(n, attributes.pop("data"))
    if "grad" in attributes:
        put_grad(n, attributes.pop("grad"))
    if "_backward" in attributes:
        set_backward(value, attributes.pop("_backward"))
    if "_prev" in attributes:
        set_prev(value, attributes.pop("_prev"))
    if attributes or own:
        attrs_of(value).update({**attributes, **own})
        track(<PyObject*>value)
    return 0

cdef bint has_data(Node* n) noexcept:
    return n.data_kind != OBJECT or n.data.object != NULL

cdef bint has_grad(Node* n) noexcept:
    return n.grad_kind != OBJECT or n.grad.object != NULL

cdef dict slots_of(object value):
    """{name: what it holds} of the slots of a subclass."""
    if type(value) is Value:
        return {}
    from micrograd import _functions
    return _functions.slots_of(value)

cdef int restore_slots(object value, dict slots) except -1:
    if slots:
        from micrograd import _functions
        _functions.set_slots(value, slots)
    return 0

cdef tuple operation_and_operands(object value):
    """The name of the operation that a Value is the result of, and its operands; None for a
    leaf."""
    cdef Node* n = node_of(<PyObject*>value)
    make_plain(n)
    if n.op == LEAF:
        return None
    if n.op == LOCAL:
        return "LOCAL", [locals_of(n)]
    return names[CUSTOM if is_custom(n.op) else n.op].decode(), operands_of(n)

cdef dict operations = {names[op].decode(): op for op in range(OPERATION_END)
                        if op in (CUSTOM, LOCAL) or is_operation(op)}

cdef int restore_operation(object value, name, operands) except -1:
    """Make value, a leaf as yet, the result of an operation."""
    cdef Node* n = node_of(<PyObject*>value)
    operands = list(operands)           # which nobody else has
    cdef int op = operations.get(name, LEAF)
    if op == LEAF or n.op != LEAF:
        raise ValueError(f"a leaf cannot become the result of {name!r}")
    if op == LOCAL and [type(operand) for operand in operands] == [_Locals]:
        return set_locals(value, (<_Locals>operands[0]).operands, (<_Locals>operands[0]).gradients)
    for operand in operands:
        check_child(operand)
    cdef Py_ssize_t count = len(operands), wanted = operand_counts[op]
    if op == LOCAL or count > wanted or (count < wanted and op != CUSTOM):
        raise ValueError(f"a leaf cannot become the result of {name} on {count} operands")
    track(<PyObject*>value)
    unpack(n)
    n.index = 0
    replace_operands(n, op, node_of(<PyObject*>operands[0]) if count > 0 else NULL,
                     node_of(<PyObject*>operands[1]) if count > 1 else NULL)
    return 0

cdef object new_like(object value):
    from copyreg import __newobj__
    twin = __newobj__(*new_arguments(value))
    check_child(twin)
    return twin

cdef tuple new_arguments(object value):
    """What __new__ makes an object of."""
    if type(value) is Value:
        return (Value,)
    from micrograd import _functions
    return _functions.new_arguments(value)

cdef bint reduces_itself(object value) except -1:
    """Whether a subclass says by a __reduce__ of its own what a copy is made of."""
    if type(value) is Value:
        return False
    from micrograd import _functions
    return _functions.reduces_itself(value, Value)

cdef object own_copy(object value, memo):
    from micrograd import _functions
    return _functions.rebuilt(value, memo)

cdef object copy_value(object value):
    """A second Value with all that the first has. As in the original it shares the first one's
    `_prev`, and its `_backward`, which reads the first one's gradient."""
    cdef dict state = state_of(value), own = own_state_of(value)
    cdef PyObject* prev
    twin = new_like(value)
    if node_of(<PyObject*>value).op != LEAF:
        if "_op" not in state:
            state["_op"] = op_of(value)
        keep_prev_and_backward(value)
        prev = own_prev(value)          # NULL if vars() has a key that only equals "_prev"
        state.update(_prev=prev_of(value) if prev == NULL else <object>prev,
                     _backward=<object>(<Body*>value).backward)
    restore_state(twin, state, own)
    restore_slots(twin, slots_of(value))
    return twin

cdef int keep_prev_and_backward(object value) except -1:
    """Keep the set that `_prev` gives, and the function that `_backward` gives, from now on."""
    cdef Body* body = <Body*>value
    if own_prev(value) == NULL:
        attrs_of(value)["_prev"] = prev_of(value)
    if body.backward == NULL:
        set_reference(&body.backward, backward_of(value))
    track(<PyObject*>value)
    return 0

cdef object deep_copy(object root, dict memo):
    """A copy of the whole graph under root, of any depth, with gradients of its own."""
    for value in nodes_under([root], False):
        deep_copy_node(value, memo)
    return memo[id(root)]

cdef object deep_copy_node(object value, dict memo):
    """The copy of one node; its operands that are no leaves have been copied before."""
    twin = memo.get(id(value))
    if twin is None and reduces_itself(value):
        twin = memo[id(value)] = own_copy(value, memo)
    elif twin is None:
        twin = memo[id(value)] = new_like(value)
        fill_copy(value, twin, memo)
    check_child(twin)
    return twin

cdef int fill_copy(object value, object twin, dict memo) except -1:
    """Give a new node copies of all that value has."""
    import copy as copying      # the standard library's; late, because it is seldom needed
    operation, state, slots = operation_and_operands(value), state_of(value), slots_of(value)
    own = own_state_of(value)
    cdef list copies = []
    if operation is not None:
        name, operands = operation
        for operand in operands:
            copies.append(deep_copy_node(operand, memo) if is_value(operand)
                          else copying.deepcopy(operand, memo))
        restore_operation(twin, name, copies)
    restore_state(twin, {name: copying.deepcopy(x, memo) for name, x in state.items()},
                  copying.deepcopy(own, memo) if own else own)
    if slots:
        restore_slots(twin, copying.deepcopy(slots, memo))
    return 0
