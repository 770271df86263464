# copy.copy and copy.deepcopy of Values.

import copy as copying      # the standard library's

cdef object copy_value(object value):
    """A second Value with the data, grad, operands and attributes of the first. As in the original
    it shares the first one's `_backward`, which reads the first one's gradient."""
    cdef Node* n = node_of(<PyObject*>value)
    cls = type(value)
    twin = cls.__new__(cls)
    if n.op != LEAF or (<Body*>value).attrs != NULL:
        attrs_of(value).update(_prev=value._prev, _op=value._op, _backward=value._backward)
        attrs_of(twin).update(attrs_of(value))
        set_own(twin, "_prev", value._prev, OWN_PREV | CALLBACK)
    copy_slot(node_of(<PyObject*>twin), &node_of(<PyObject*>twin).data,
              &node_of(<PyObject*>twin).data_kind, n.data, n.data_kind)
    copy_slot(node_of(<PyObject*>twin), &node_of(<PyObject*>twin).grad,
              &node_of(<PyObject*>twin).grad_kind, n.grad, n.grad_kind)
    return twin

cdef int copy_slot(Node* n, Slot* slot, unsigned char* kind, Slot source, int source_kind) except -1:
    if source_kind != OBJECT:
        slot[0], kind[0] = source, source_kind
    elif source.object != NULL:
        put(n, slot, kind, <object>source.object)
    return 0

cdef object deep_copy(object root, dict memo):
    """A copy of the whole graph under root, of any depth, with gradients of its own."""
    cdef Sweep s
    cdef Py_ssize_t i
    begin(&s)
    try:
        sort(&s, node_of(<PyObject*>root))
        guard(&s)
        for i in range(s.order.count):
            deep_copy_node(<object>value_of(s.order.items[i]), memo)
    finally:
        finish(&s)
    return memo[id(root)]

cdef object deep_copy_node(object value, dict memo):
    """The copy of one node; its operands that are no leaves have been copied before."""
    twin = memo.get(id(value))
    if twin is not None:
        return twin
    cdef Node* n = node_of(<PyObject*>value)
    cls = type(value)
    twin = memo[id(value)] = cls.__new__(cls)
    cdef Node* t = node_of(<PyObject*>twin)
    if n.a != NULL:
        a = deep_copy_node(<object>value_of(n.a), memo)
        b = None if n.b == NULL else deep_copy_node(<object>value_of(n.b), memo)
        adopt(t, n.op, node_of(<PyObject*>a), NULL if b is None else node_of(<PyObject*>b))
    t.op = n.op
    if (<Body*>value).attrs != NULL:
        attrs_of(twin).update(copying.deepcopy(attrs_of(value), memo))
        t.flags = n.flags & (CALLBACK | OWN_PREV)
        show(<PyObject*>twin)
    copy_slot(t, &t.data, &t.data_kind, n.data, n.data_kind)
    copy_slot(t, &t.grad, &t.grad_kind, n.grad, n.grad_kind)
    if n.data_kind == OBJECT and n.data.object != NULL:
        put_data(t, copying.deepcopy(<object>n.data.object, memo))
    if n.grad_kind == OBJECT and n.grad.object != NULL:
        put_grad(t, copying.deepcopy(<object>n.grad.object, memo))
    return twin
