# backward(): the reverse sweep of the nodes that sort.pxi has put in order.
#
# While only numbers are added up, no Python code can run, and the graph keeps its nodes alive.
# Before anything that may run Python code (a callback, data that is an object, a program's own
# handler of Ctrl-C) the sweep is *pinned*: every node still to come gets a reference, and the marks
# are wiped. Then that code may do anything: look at the graph, change edges, drop the graph, call
# backward itself. A call still to come stays a call, and knows the sweep. When that code looks into
# it, or has changed what it reads, it is *expanded*: made plain, with the plain nodes in its place
# in the order.

# Not signal, whose functions are Python code, in which a handler could run.
import _signal as signals

cdef int pin(Sweep* s) except -1:
    """Prepare the rest of the sweep for Python code to run."""
    cdef Node* n
    cdef Py_ssize_t i
    if s.pinned:
        return 0
    for i in range(s.order.count):
        if s.order.items[i].op == CALL:
            keep_swept_outputs(s, call_of(s.order.items[i]))
    for i in range(s.order.count):
        n = s.order.items[i]
        n.flags &= ~VISITED
        Py_INCREF(value_of(n))
        if n.op == CALL:
            call_of(n).sweep = s
    s.pinned = True
    return 0

cdef int keep_swept_outputs(Sweep* s, Call* call) except -1:
    """Hold the outputs that have delivered their gradients: the call may be expanded."""
    cdef int j
    for j in range(call.nout):
        if call.grad_kind[j] != NO_GRADIENT and call.outputs[j] != NULL:
            keep(s, call.outputs[j])
    return 0

cdef int expand(Call* call) except -1:
    """Make a call plain that a pinned sweep has still to sweep, and put the plain nodes in its
    place."""
    cdef Sweep* s = call.sweep
    cdef Sweep plain
    begin(&plain)
    plain.plain, plain.expanded = True, call
    try:
        undisturbed(insert_plain_nodes, &plain)
    except:
        s.broken = True
        raise
    finally:
        finish(&plain)
    return 0

cdef int insert_plain_nodes(Sweep* plain) except -1:
    """Sort the plain nodes of the call that is expanded, and insert them. Keeps the outputs that
    take part in the sweep."""
    cdef Call* call = plain.expanded
    cdef Sweep* s = call.sweep
    cdef Py_ssize_t place = keep_outputs_to_come(plain, call), to_come = plain.kept.count
    cdef Py_ssize_t outputs, operands, i
    keep_swept_outputs(plain, call)
    outputs = plain.kept.count
    reserve(&s.kept, 1)
    call.kind.visit(call, plain)
    call.kind.make_plain(call)
    plain.order, plain.stack = plain.stack, plain.order
    operands = plain.order.count            # the call's, at which the plain nodes end
    for i in range(operands):
        plain.order.items[i].flags |= VISITED
    for i in range(outputs):
        if is_operation(plain.kept.items[i].op):
            visit_operands(plain, plain.kept.items[i])
    sort_nodes(plain)
    replace_in_order(&s.order, place, plain.order.items + operands, plain.order.count - operands)
    push(&s.kept, &call.body.node)
    call.sweep = NULL
    for i in range(to_come, outputs):
        sweep_as_delivered(s, plain.kept.items[i], call)
    return 0

cdef Py_ssize_t keep_outputs_to_come(Sweep* plain, Call* call) except -1:
    """Hold the outputs whose turn has not come. Returns the call's place in the order."""
    cdef Nodes* order = &call.sweep.order
    cdef Py_ssize_t place = order.count - 1
    while order.items[place] != &call.body.node:
        if order.items[place].op == OUTPUT and call_of(order.items[place]) == call:
            keep(plain, order.items[place])
        place -= 1
    return place

cdef int replace_in_order(Nodes* order, Py_ssize_t place, Node** nodes, Py_ssize_t count) except -1:
    """Put so many nodes, which get a reference each, in place of one of the order."""
    cdef Py_ssize_t i
    reserve(order, count)
    memmove(order.items + place + count, order.items + place + 1,
            (order.count - place - 1) * sizeof(Node*))
    if count:
        memcpy(order.items + place, nodes, count * sizeof(Node*))
    order.count += count - 1
    for i in range(count):
        Py_INCREF(value_of(nodes[i]))
    return 0

cdef int sweep_as_delivered(Sweep* s, Node* out, Call* call) except -1:
    """Sweep an output that is plain now as it was at its turn: a node with its number and gradient
    of then stands in for it. Where Python is needed, which must not run while a graph is sorted,
    that node is the next of the sweep."""
    value = number_node(call.kind.result(call, out.index), out.op, out.a, out.b)
    cdef Node* n = node_of(<PyObject*>value)
    n.grad.x, n.grad_kind = call.grad[out.index], call.grad_kind[out.index]
    reserve(&s.order, 1)
    if not add_by_rule(n):
        push(&s.order, n)
        Py_INCREF(<PyObject*>value)
    return 0

cdef int sweep(Sweep* s) except -1:
    """Call every node's backward, results before operands."""
    cdef Py_ssize_t work = 0
    cdef Node* n
    while s.order.count:
        n = s.order.items[s.order.count - 1]
        work += call_of(n).work if n.op == CALL else 1
        if s.broken:
            raise RuntimeError("backward cannot go on, because a look at its graph was stopped "
                               "by an error")
        if s.pinned:
            sweep_pinned(s, n)
        elif sweep_numbers(n):
            s.order.count -= 1
            n.flags &= ~VISITED
        else:
            pin(s)
        if work > PATIENCE:
            work = 0
            look_for_interrupt(s)
    return 0

cdef int look_for_interrupt(Sweep* s) except -1:
    """Raise KeyboardInterrupt, or run the program's handler, if Ctrl-C was pressed. Handlers of
    other signals run after the sweep, or at its next callback."""
    if PyOS_InterruptOccurred():        # and clears that flag
        try:
            pin(s)
        finally:
            interrupt_again()
        PyErr_CheckSignals()
    return 0

cdef int raise_interrupt() except -1:
    """Raise KeyboardInterrupt if Ctrl-C was pressed. A handler of the program may not run here, and
    waits."""
    if PyOS_InterruptOccurred():
        if interrupt_raises():
            raise KeyboardInterrupt
        interrupt_again()
    return 0

cdef bint interrupt_raises() except -1:
    return signals.getsignal(signals.SIGINT) is signals.default_int_handler

cdef int interrupt_again() except -1:
    """Set the flag of Ctrl-C again, without waking an event loop a second time."""
    waker = signals.set_wakeup_fd(-1)
    PyErr_SetInterrupt()
    signals.set_wakeup_fd(waker)
    return 0

cdef inline bint sweep_numbers(Node* n) noexcept:
    """The backward of one node; False where that needs Python, and then nothing was changed."""
    if n.flags & CALLBACK:
        return False
    if is_operation(n.op):
        return add_numbers(n)
    if n.op == LOCAL:
        return add_locals(n)
    if n.op == OUTPUT:
        return pass_gradient(n)
    if n.op == CALL:
        return call_of(n).kind.sweep(call_of(n))
    return True

cdef int sweep_pinned(Sweep* s, Node* n) except -1:
    """The backward of the node on top of the order, when Python code may have run."""
    if n.op != OUTPUT and n.op != CALL:
        s.order.count -= 1
        return sweep_with_python(steal(value_of(n)))
    cdef Call* call = call_of(n)
    reserve(&s.kept, 1)
    if not (call.kind.is_current(call) and sweep_numbers(n)):
        return make_call_plain(call)    # n is no OUTPUT now, or no longer in the order
    push(&s.kept, pop(&s.order))
    if n.op == CALL:
        call.sweep = NULL
    return 0

cdef int sweep_with_python(object value) except -1:
    cdef Node* n = node_of(<PyObject*>value)
    if n.flags & CALLBACK:
        backward_of(value)()
    elif is_swept_by_engine(n.op) and not add_by_rule(n):
        add_objects(n)
    return 0

cdef inline bint is_swept_by_engine(int op) noexcept:
    return is_operation(op) or op == LOCAL

cdef inline bint add_by_rule(Node* n) noexcept:
    return add_locals(n) if n.op == LOCAL else add_numbers(n)

cdef inline bint add_numbers(Node* n) noexcept:
    """Apply the chain rule to n; False where that needs Python, and then nothing was changed."""
    cdef Node* second = n.a if n.b == NULL else n.b
    cdef Pair d = derivatives_of_node(n, second)
    cdef Number before = grad_of_node(n.a)
    if not add(n.a, d.a):
        return False
    if gradients[n.op] == 2 and not add(second, d.b):
        set_grad_of_node(n.a, before)
        return False
    return True

cdef inline bint add(Node* to, Number more) noexcept:
    """to.grad += more; False, and no change, where Python must do it."""
    cdef Number sum = plus(grad_of_node(to), more)
    if not is_plain(sum) or not is_plain(more) or is_too_large(to, sum):
        return False
    set_grad_of_node(to, sum)
    return True

cdef inline bint is_too_large(Node* to, Number grad) noexcept:
    """Whether it is an int that a packed parameter cannot have for a gradient."""
    return to.grad_kind == PACKED and grad.kind == INTEGER and not -MOST_INT <= grad.x <= MOST_INT

cdef inline Pair derivatives_of_node(Node* n, Node* second) noexcept:
    cdef Number a, b, y
    cdef Pair d
    if n.op == ADD:             # the most frequent, and it needs no data
        d.a.x, d.a.kind = n.grad.x, n.grad_kind
        d.b = d.a
        return d
    a, b, y = data_of_node(n.a), data_of_node(second), data_of_node(n)
    return derivatives(n.op, a.x, a.kind, b.x, b.kind, y.x, y.kind, n.grad.x, n.grad_kind)

cdef int add_objects(Node* n) except -1:
    """Apply the chain rule to n in Python's arithmetic, term by term as the original does."""
    cdef int op = n.op          # callbacks may change the node
    out = <object>value_of(n)
    if op == LOCAL:
        return add_locals_as_objects(out)
    a = <object>value_of(n.a)
    b = <object>value_of(n.b) if n.b != NULL else a if gradients[op] == 2 else None
    replace_grad(a, PyNumber_InPlaceAdd(grad_of(a), share_of_first(op, a, b, out)))
    if gradients[op] == 2:
        replace_grad(b, PyNumber_InPlaceAdd(grad_of(b), share_of_second(op, a, b, out)))
    return 0

cdef int replace_grad(object value, object grad) except -1:
    if has_own_access(value):
        value.grad = grad
    else:
        put_grad(node_of(<PyObject*>value), grad)
    return 0

cdef bint any_has_own_access(object value) except -1:
    """Whether a node or one of its operands must be read or written by Python's attributes."""
    cdef Node* n = node_of(<PyObject*>value)
    if n.op == LOCAL:
        pair = locals_of(n)
        for operand in pair.operands:       # allocates nothing: a collection may change the node
            if has_own_access(operand):
                return True
        return has_own_access(value)
    return (has_own_access(value) or has_own_access(<object>value_of(n.a))
            or (n.b != NULL and has_own_access(<object>value_of(n.b))))

cdef bint run_backward(Node* root) except -1:
    """Sweep the graph; False where the reference must do it, and then nothing was changed."""
    cdef Sweep s
    begin(&s)
    try:
        append(&s.stack, root)
        undisturbed(sort, &s)
        if s.foreign or value_type.tp_hash != value_hash:
            return False
        if root.grad_kind == OBJECT:
            pin(&s)
        put_grad(root, 1)
        sweep(&s)
    finally:
        finish(&s)
    return True
