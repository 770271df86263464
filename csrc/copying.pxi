# What micrograd._copying needs of the engine for copy, deepcopy and pickle.

cdef object this_module = sys.modules[__name__]
cdef object copying_module = None       # once it is needed

cdef object copying():
    global copying_module
    if copying_module is None:
        from micrograd import _copying
        copying_module = _copying
    return copying_module

def _nodes_under(Value root not None):
    """The nodes under root that are no leaves, and root, operands before results."""
    return nodes_under([root], False)

def _parts_of(Value value not None, bint shared):
    operation = None if shared else operation_and_operands(value)
    state, own = state_of(value), own_state_of(value)
    if shared and value.node.op != LEAF:
        share_with_copy(value, state)
    cdef list gone = [name for name in state if state[name] is deleted]
    for name in gone:
        del state[name]
    if gone:
        state[copying().DELETED] = gone
    return operation, state, own

def _restore(Value value not None, operation, dict state not None, dict own not None):
    cdef Node* n = &value.node
    for name in own:
        state.pop(name, None)
    for name in state.pop(copying().DELETED, ()):
        state[name] = deleted
    unpack(n)
    make_plain(n)
    if operation is not None:
        restore_operation(value, operation)
    elif type(value) is not Value:
        become_custom(n)                # as its constructor does
    if "data" in state:
        put_data(n, state.pop("data"))
    if "grad" in state:
        put_grad(n, state.pop("grad"))
    if "_backward" in state:
        set_backward(value, state.pop("_backward"))
    if "_prev" in state:
        set_prev(value, state.pop("_prev"))
    if state or own:
        attrs_of(value).update({**state, **own})
        track(<PyObject*>value)

cdef dict state_of(object value):
    """{attribute: what it holds} of all that a Value has besides the operation on its operands, and
    the slots of a subclass."""
    cdef Node* n = node_of(<PyObject*>value)
    cdef dict state = {}
    if (<Body*>value).attrs != NULL:
        state.update(attrs_of(value))
    if has_data(n):
        state["data"] = own_data(value)
    if n.grad_kind != OBJECT or n.grad.object != NULL:
        state["grad"] = own_grad(value)
    if n.flags & CALLBACK:
        state["_backward"] = <object>(<Body*>value).backward
    if n.op == CUSTOM_PREV:
        state["_prev"] = <object>own_prev(value)
    if "_op" not in state and (
            n.index if is_custom(n.op) else n.op == LOCAL and locals_of(n).name is not None):
        state["_op"] = op_of(value)
    return state

cdef dict own_state_of(object value):
    """{attribute: what stands in the __dict__} of those of ATTRIBUTES that the class overrides: by
    a default, say, or by a property that keeps there what it is given."""
    cdef dict attrs = {} if (<Body*>value).attrs == NULL else attrs_of(value)
    return {name: attrs[name] for name in ATTRIBUTES
            if name in attrs and overrides(Py_TYPE(<PyObject*>value), (name,))}

cdef bint has_data(Node* n) noexcept:
    return n.data_kind != OBJECT or n.data.object != NULL

cdef int share_with_copy(object value, dict state) except -1:
    """Complete what a copy gets of a result. As in the original, it shares the first one's `_prev`,
    and its `_backward`, which reads the first one's gradient: that set and function are kept."""
    cdef Body* body = <Body*>value
    cdef PyObject* prev
    if "_op" not in state:
        state["_op"] = op_of(value)
    if own_prev(value) == NULL:
        attrs_of(value)["_prev"] = prev_of(value)
    if body.backward == NULL:
        set_reference(&body.backward, backward_of(value))
    track(<PyObject*>value)
    prev = own_prev(value)              # NULL if vars() has a key that only equals "_prev"
    state["_prev"] = prev_of(value) if prev == NULL else <object>prev
    state["_backward"] = <object>body.backward
    return 0

cdef tuple operation_and_operands(object value):
    """The name of the operation that a Value is the result of, and its operands; None where it has
    none."""
    cdef Node* n = node_of(<PyObject*>value)
    make_plain(n)
    if n.op == LOCAL:
        return "LOCAL", [locals_of(n)]
    operands = operands_of(n)
    return (operation_names[CUSTOM if is_custom(n.op) else n.op], operands) if operands else None

cdef tuple operation_names = tuple([name.decode() for name in names[:OPERATION_END]])
cdef dict operations = {operation_names[op]: op for op in range(OPERATION_END)
                        if op in (CUSTOM, LOCAL) or is_operation(op)}

cdef int restore_operation(object value, tuple operation) except -1:
    """Make value, a leaf as yet, the result of an operation."""
    cdef Node* n = node_of(<PyObject*>value)
    name, operands = operation
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
                     node_of(<PyObject*>operands[1]) if count > 1 else NULL, NULL)
    return 0
