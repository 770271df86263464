# pickle. A Value is made empty and then gets its state, so that it may stand in a cycle. The root's
# state lists all nodes under it, operands before results. When pickle comes to one of them, it has
# written its operands, so that a deep graph needs no deep recursion. PICKLING marks these nodes until
# the list's last entry is pickled, which wipes the marks. (A mark left by a dump that failed has one
# effect: a later dump of that node recurses.)

cdef dict operations = {names[op].decode(): op for op in range(OPERATION_END)
                        if op in (CUSTOM, LOCAL) or is_operation(op)}

cdef tuple reduce_value(object value):
    from copyreg import __newobj__
    if type(value) is not Value:
        from micrograd import _functions
        if _functions.states_itself(value, Value):
            return __newobj__, new_arguments(value), value.__getstate__()
    return __newobj__, new_arguments(value), state_of(value)

cdef dict state_of(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef dict state = {}
    cdef list before = []
    if n.flags & PICKLING:
        n.flags &= ~PICKLING
    elif n.op != LEAF:
        before = marked_nodes_under(value)
    if (<Body*>value).attrs != NULL:
        state.update(attrs_of(value))
    if has_data(n):
        state["data"] = own_data(value)
    if has_grad(n):
        state["grad"] = own_grad(value)
    if n.flags & CALLBACK:
        state["_backward"] = backward_of(value)
    if n.op == CUSTOM_PREV:
        state["_prev"] = <object>own_prev(value)
    if is_custom(n.op) and n.index:
        state.setdefault("_op", op_of(value))
    if n.op == LOCAL:
        state["_graph"] = before, "LOCAL", [locals_of(n)]
    elif n.op != LEAF:
        state["_graph"] = before, names[CUSTOM if is_custom(n.op) else n.op].decode(), operands_of(n)
    slots = slots_of(value)
    if slots:
        state["_slots"] = slots
    return state

cdef list operands_of(Node* n):
    """The operands in order; one that is used twice is there twice."""
    operands = []
    if n.op == LOCAL:
        return list(locals_of(n).operands)
    if n.a != NULL and n.op != CUSTOM_PREV:
        operands.append(<object>value_of(n.a))
    if n.b != NULL:
        operands.append(<object>value_of(n.b))
    return operands

cdef list marked_nodes_under(object root):
    """The nodes under root that are no leaves, operands before results, marked as being pickled."""
    cdef list nodes = nodes_under([root], False)
    nodes.pop()                         # root itself
    for value in nodes:
        node_of(<PyObject*>value).flags |= PICKLING
    nodes.append(_EndOfNodes(nodes[:]))
    return nodes

cdef class _EndOfNodes:
    """Wipes the marks of a list of nodes when pickle comes to it; restored as None."""

    cdef list nodes

    def __cinit__(self, list nodes):
        self.nodes = nodes

    def __reduce__(self):
        for value in self.nodes:
            check_child(value)
            node_of(<PyObject*>value).flags &= ~PICKLING
        return type(None), ()

cdef int restore_value(object value, dict state) except -1:
    """Give value, a leaf as yet, the state that state_of has made."""
    cdef Node* n = node_of(<PyObject*>value)
    attributes = dict(state)
    graph, slots = attributes.pop("_graph", None), attributes.pop("_slots", None)
    unpack(n)
    make_plain(n)
    if graph is not None:
        restore_operands(value, graph)
    if "data" in attributes:
        put_data(n, attributes.pop("data"))
    if "grad" in attributes:
        put_grad(n, attributes.pop("grad"))
    if "_backward" in attributes:
        set_backward(value, attributes.pop("_backward"))
    if "_prev" in attributes:
        set_prev(value, attributes.pop("_prev"))
    if attributes:
        attrs_of(value).update(attributes)
        track(<PyObject*>value)
    if slots is not None:
        set_slots(value, dict(slots))
    return 0

cdef int restore_operands(object value, graph) except -1:
    cdef Node* n = node_of(<PyObject*>value)
    _, name, operands = graph
    operands = list(operands)
    cdef int op = operations.get(name, LEAF)
    if op == LEAF or n.op != LEAF:
        raise ValueError(f"a leaf cannot become the result of {name!r}")
    if op == LOCAL and [type(operand) for operand in operands] == [_Locals]:
        return set_locals(value, (<_Locals>operands[0]).operands, (<_Locals>operands[0]).gradients)
    for operand in operands:
        check_child(operand)
    track(<PyObject*>value)
    set_result(value, op, operands)
    return 0

cdef int set_result(object value, int op, list operands) except -1:
    """Make value, a leaf, the result of op on the operands, in a list that nobody else has."""
    cdef Py_ssize_t count = len(operands), wanted = operand_counts[op]
    if op == LOCAL or count > wanted or (count < wanted and op != CUSTOM):
        raise ValueError(f"a leaf cannot become the result of {names[op].decode()} on {count} operands")
    node_of(<PyObject*>value).index = 0
    replace_operands(node_of(<PyObject*>value), op,
                     node_of(<PyObject*>operands[0]) if count > 0 else NULL,
                     node_of(<PyObject*>operands[1]) if count > 1 else NULL)
    return 0


# For micrograd.gradients.

def _operations(list roots not None):
    """The results of operations under roots, operands first, each as (node, symbol, a, b): b is None or
    a number where it gets no gradient. Where the program has set a `_backward`, the symbol is None
    and a is the tuple of the operands; where it gave local gradients, it is "local" and b has them; what a
    recording gives is "recorded", a is its run and b the place among its results."""
    for root in roots:
        check_child(root)
    found = [operation_at(value) for value in nodes_under(roots, True)]
    return [operation for operation in found if operation is not None]

cdef tuple operation_at(object value):
    cdef Node* n = node_of(<PyObject*>value)
    if n.flags & CALLBACK:
        return value, None, tuple(value._prev), None
    if n.op == OUTPUT:
        return value, "recorded", run_of(call_of(n)), place_of_result(n)
    if not is_swept_by_engine(n.op):
        return None
    if marked_operands(n) is not None:
        return value, *marked_operation(n)
    if n.op == LOCAL:
        pair = locals_of(n)
        if pair.run is not None:
            return value, "recorded", pair.run, pair.place
        return value, "local", pair.operands, pair.gradients
    a, b = <object>value_of(n.a), None if n.b == NULL else <object>value_of(n.b)
    if n.b != NULL and gradients[n.op] == 1:
        b = data_of(b)
    return value, operation_symbols[n.op], a, b
