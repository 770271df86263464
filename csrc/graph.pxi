# The graph as a list of nodes: for copies, pickle and micrograd.gradients.

cdef list nodes_under(list roots, bint named, Node* above=NULL):
    """The roots and the nodes under them that are no leaves, operands before results; without
    `above`, and what is only under it. All calls are made plain, or, where `named`, those that are
    not shown as one operation."""
    cdef Sweep s
    cdef Py_ssize_t i
    cdef list nodes = []
    begin(&s)
    s.plain, s.named = True, named
    try:
        if above != NULL:
            above.flags |= VISITED
        for root in reversed(roots):
            append(&s.stack, node_of(<PyObject*>root))
        undisturbed(sort, &s)
        for i in range(s.order.count):
            if s.order.items[i].op != CALL:
                nodes.append(<object>value_of(s.order.items[i]))
    finally:
        if above != NULL:
            above.flags &= ~VISITED
        finish(&s)
    return nodes

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

def _operations(list roots not None, Value above=None):
    """The results of operations under roots, operands first, each as (node, symbol, a, b): b is
    None or a number where it gets no gradient. Where the program has set a `_backward`, the symbol
    is None and a is the tuple of the operands; where it gave local gradients, it is "local" and b
    has them; what a recording gives is "recorded", a is its run and b the place among its
    results. Without `above`, and what is only under it."""
    for root in roots:
        check_child(root)
    found = [operation_at(value) for value in nodes_under(
        roots, True, NULL if above is None else &above.node)]
    return [operation for operation in found if operation is not None]

cdef tuple operation_at(object value):
    cdef Node* n = node_of(<PyObject*>value)
    if n.flags & CALLBACK:
        made = sys.modules.get("micrograd._engine_py")  # the reference, which may have pickled it
        return (value, *made._operation(value)) if made else (value, None, tuple(value._prev), None)
    if n.op == OUTPUT:
        return value, "recorded", run_of(call_of(n)), place_of_result(n)
    if not is_swept_by_engine(n.op):
        return None
    mark = marked_operands(n)
    if mark is not None:
        return value, *marked_operation(mark)
    if n.op == LOCAL:
        pair = locals_of(n)
        if pair.run is not None:
            return value, "recorded", pair.run, pair.place
        return value, "local", pair.operands, pair.gradients
    a, b = <object>value_of(n.a), None if n.b == NULL else <object>value_of(n.b)
    if n.b != NULL and gradients[n.op] == 1:
        b = own_data(b)
    return value, operation_symbols[n.op], a, b
