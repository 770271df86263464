# pickle. A Value is made empty and then gets its state, so that it may stand in a cycle. The root's
# state lists all nodes under it, operands before results. When pickle comes to one of them, it has
# written its operands, so that a deep graph needs no deep recursion. PICKLING marks these nodes
# until the list's last entry is pickled, which wipes the marks. (A mark left by a dump that failed
# has one effect: a later dump of that node recurses.)

cdef tuple reduce_value(object value):
    from copyreg import __newobj__
    if type(value) is not Value:
        from micrograd import _functions
        if _functions.states_itself(value, Value):
            return __newobj__, new_arguments(value), value.__getstate__()
    return __newobj__, new_arguments(value), pickled_state(value)

cdef dict pickled_state(object value):
    cdef Node* n = node_of(<PyObject*>value)
    cdef list before = []
    if n.flags & PICKLING:
        n.flags &= ~PICKLING
    elif n.op != LEAF:
        before = marked_nodes_under(value)
    attributes, slots, operation = state_of(value), slots_of(value), operation_and_operands(value)
    own = own_state_of(value)
    state = {}
    if operation is not None:
        state["_graph"] = before, *operation
    if slots:
        state["_slots"] = slots
    if own:
        state["_own values"] = own      # no pickle of an older release has an attribute like that
    if attributes.keys() & ENTRIES:     # a program may have attributes of these names
        state["_attributes"] = attributes
    else:
        state.update(attributes)
    return state

cdef set ENTRIES = {"_graph", "_slots", "_attributes", "_own values"}

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
    """Give value, a leaf as yet, the state that pickled_state has made."""
    cdef Node* n = node_of(<PyObject*>value)
    rest = dict(state)
    graph, slots = rest.pop("_graph", None), dict(rest.pop("_slots", {}))
    own = dict(rest.pop("_own values", {}))
    unpack(n)
    make_plain(n)
    if graph is not None:
        _, name, operands = graph
        restore_operation(value, name, operands)
    restore_state(value, rest.pop("_attributes", rest), own)
    restore_slots(value, slots)
    return 0
