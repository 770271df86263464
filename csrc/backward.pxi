# backward(): topological order, then the reverse sweep.
#
# While only numbers are added up, no Python code can run, and the graph keeps its nodes alive.
# Before anything that may run Python code (a callback, data that is an object, a program's own
# handler of Ctrl-C) the sweep is *pinned*: every node still to come gets a reference, and the marks
# are wiped. Then that code may do anything: look at the graph, change edges, drop the graph, call
# backward itself. A call still to come stays a call, and knows the sweep. When that code looks into
# it, or has changed what it reads, it is *expanded*: made plain, with the plain nodes in its place
# in the order.


cdef struct Nodes:              # a growing array
    Node** items
    Py_ssize_t count, capacity

cdef struct Sweep:
    Nodes order                 # operands before results
    Nodes stack                 # of the sort
    Nodes kept                  # calls made plain and outputs swept while pinned: released after
                                # the sweep, since that may run Python code
    Call* expanded              # the call whose plain nodes are sorted; see expand
    bint pinned
    bint broken                 # pinned, and a call could not be expanded
    bint plain                  # all calls are to be made plain, for copies of the graph,
    bint named                  # ... except those that are shown as one operation
    bint ahead                  # the sort only finds out which outputs of calls take part
    bint foreign                # the sort has met what the reference must sweep

# Not signal, whose functions are Python code, in which a handler could run.
import _signal as signals

cdef enum:
    PATIENCE = 1 << 22          # nodes, and multiply-adds of calls, between two checks for Ctrl-C
    KEPT = 1 << 16              # the longest array kept for the next sweep

cdef Sweep idle                 # arrays of the last sweep, for the next one

cdef inline int reserve(Nodes* nodes, Py_ssize_t more) except -1:
    return 0 if nodes.count + more <= nodes.capacity else grow(nodes, more)

cdef int grow(Nodes* nodes, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity = 2 * (nodes.count + more) + 64
    nodes.items = <Node**>checked(PyMem_Realloc(nodes.items, capacity * sizeof(Node*)))
    nodes.capacity = capacity
    return 0

cdef inline void push(Nodes* nodes, Node* n) noexcept:
    nodes.items[nodes.count] = n
    nodes.count += 1

cdef inline int append(Nodes* nodes, Node* n) except -1:
    reserve(nodes, 1)
    push(nodes, n)
    return 0

cdef inline Node* pop(Nodes* nodes) noexcept:
    nodes.count -= 1
    return nodes.items[nodes.count]

# On the stack, the lowest bit of a pointer marks a node whose operands have been pushed.
cdef inline Node* tagged(Node* n) noexcept:
    return <Node*>(<size_t>n | 1)

cdef inline Node* untagged(Node* n) noexcept:
    return <Node*>(<size_t>n & ~<size_t>1)

cdef inline bint is_tagged(Node* n) noexcept:
    return <size_t>n & 1

cdef inline bint is_to_visit(Node* n) noexcept:
    """Whether the sort has still to visit n. A leaf has nothing to sweep."""
    return n.op != LEAF and not n.flags & VISITED

cdef inline int visit_later(Sweep* s, Node* n) except -1:
    return append(&s.stack, n) if is_to_visit(n) else 0

cdef int sort(Sweep* s) except -1:
    """Fill s.order with the nodes under those on the stack, operands before results, each once."""
    if divided_calls:
        find_outputs(s)
    return sort_nodes(s)

cdef int find_outputs(Sweep* s) except -1:
    """Sort the same nodes to find out which outputs take part, of the calls whose outputs have
    operands of their own. Keeps the calls that it makes plain."""
    cdef Sweep ahead
    cdef Py_ssize_t i
    memset(&ahead, 0, sizeof(Sweep))
    ahead.plain, ahead.named, ahead.ahead = s.plain, s.named, True
    try:
        for i in range(s.stack.count):
            append(&ahead.stack, s.stack.items[i])
        sort_nodes(&ahead)
        s.foreign = ahead.foreign
    finally:
        s.kept = ahead.kept
        memset(&ahead.kept, 0, sizeof(Nodes))
        finish(&ahead)
    return 0

cdef int sort_nodes(Sweep* s) except -1:
    cdef Node* n
    cdef Py_ssize_t patience = PATIENCE
    while s.stack.count and not s.foreign:
        reserve(&s.stack, 2)
        reserve(&s.order, 1)
        if s.order.count >= patience:
            patience = s.order.count + PATIENCE
            raise_interrupt()
        n = sort_operations(s, patience)
        if n != NULL:
            visit(s, n)
    return 0

cdef Node* sort_operations(Sweep* s, Py_ssize_t count_limit) noexcept:
    """Sort results of operations, while there is room, until the order has count_limit nodes. Stop
    at any other node, and return it, popped; else NULL."""
    cdef Node** stack = s.stack.items
    cdef Node** order = s.order.items
    cdef Py_ssize_t depth = s.stack.count, depth_limit = s.stack.capacity - 2
    cdef Py_ssize_t count = s.order.count, below
    cdef Node* n
    cdef Node* other = NULL
    if count_limit > s.order.capacity:
        count_limit = s.order.capacity
    while 0 < depth <= depth_limit and count < count_limit:
        depth -= 1
        n = stack[depth]
        if is_tagged(n):
            order[count] = untagged(n)
            count += 1
        elif n.flags & VISITED:
            pass
        elif not is_operation(n.op) or n.flags & OWN_PREV:
            other = n
            break
        else:
            n.flags |= VISITED
            below = depth
            stack[depth] = tagged(n)
            depth += 1
            if n.b != NULL and is_to_visit(n.b):
                stack[depth] = n.b
                depth += 1
            if is_to_visit(n.a):
                stack[depth] = n.a
                depth += 1
            if depth == below + 1:      # no operand has to come before
                depth = below
                order[count] = n
                count += 1
    s.stack.count, s.order.count = depth, count
    return other

cdef int visit(Sweep* s, Node* n) except -1:
    """Push a node of any kind again, below its operands."""
    if n.op == OUTPUT and not call_of(n).body.node.flags & VISITED:
        if must_be_plain(s, call_of(n)):
            make_plain_and_keep(s, call_of(n))
    elif n.op == OUTPUT and is_on_stack(s, call_of(n)):
        s.foreign = not s.plain     # a cycle: the output would be swept after its call
    n.flags |= VISITED
    append(&s.stack, tagged(n))
    if n.flags & OWN_PREV:
        visit_own_prev(s, n)
    if n.op == CALL:
        call_of(n).depth = s.stack.count - 1
        call_of(n).kind.visit(call_of(n), s)
        return 0
    s.foreign = s.foreign or (not s.plain and is_foreign(<object>value_of(n)))
    if n.op == CUSTOM_PREV or (n.flags & OWN_PREV and not s.plain):
        return 0
    if n.op == LOCAL:
        return visit_all(s, locals_of(n).operands)
    if s.ahead and n.op == OUTPUT and call_of(n).wanted != NULL:
        return visit_output(s, call_of(n), n.index)
    return visit_operands(s, n)

cdef inline bint is_foreign(object value) except -1:
    """Whether the original's sweep may take a node otherwise than the engine: its class overrides
    how its attributes are read, or says which nodes are equal."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    return has_own_access(value) or (
        cls.tp_richcompare != value_compare and cls.tp_hash != value_hash
        and cls.tp_hash != no_hash)

cdef bint is_on_stack(Sweep* s, Call* call) noexcept:
    """Whether the sort has still to go through the nodes under a call."""
    return (call.depth < s.stack.count
            and s.stack.items[call.depth] == tagged(&call.body.node))

cdef int visit_output(Sweep* s, Call* call, int j) except -1:
    """Note that an output with operands of its own takes part, and visit these."""
    cdef bint is_first = not call.body.node.flags & VISITED
    if is_first:
        append(&s.order, &call.body.node)
        call.body.node.flags |= VISITED         # `visit` has seen that it need not be plain
        memset(call.wanted, False, call.wanted_size)
    call.wanted[j] = True
    return call.kind.visit_output(call, j, is_first, s)

cdef int visit_operands(Sweep* s, Node* n) except -1:
    if n.b != NULL:
        visit_later(s, n.b)
    if n.a != NULL:
        visit_later(s, n.a)
    return 0

cdef bint must_be_plain(Sweep* s, Call* call) noexcept:
    if s.plain:
        return not (s.named and call.kind.operands != NULL)
    return call.sweep != NULL or not call.kind.is_current(call)

cdef int make_plain_and_keep(Sweep* s, Call* call) except -1:
    keep(s, &call.body.node)
    return make_call_plain(call)

cdef int keep(Sweep* s, Node* n) except -1:
    """Hold a node until the sweep ends."""
    append(&s.kept, n)
    Py_INCREF(value_of(n))
    return 0

cdef int undisturbed(int (*work)(Sweep*) except -1, Sweep* s) except -1:
    """Do the work with the garbage collector off: a collection could run a finalizer."""
    cdef bint enabled = PyGC_Disable()
    try:
        return work(s)
    finally:
        if enabled:
            PyGC_Enable()

cdef int visit_own_prev(Sweep* s, Node* n) except -1:
    cdef PyObject* prev = own_prev(<object>value_of(n))     # NULL if deleted through vars()
    cls = None if prev == NULL else type(<object>prev)
    # By identity: a metaclass may have an == of its own.
    if cls is set or cls is frozenset or cls is list or cls is tuple:
        visit_all(s, <object>prev)
    else:
        s.foreign = not s.plain
    return 0

cdef int visit_all(Sweep* s, object children) except -1:
    """Push them so that the first is visited first, as by the original."""
    cdef bint ordered = type(children) is tuple or type(children) is list
    given = children if ordered else list(children)
    cdef PyObject** items = PySequence_Fast_ITEMS(<PyObject*>given)
    cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(<PyObject*>given)
    for i in range(count - 1, -1, -1):
        if is_value(<object>items[i]):
            visit_later(s, node_of(items[i]))
        else:
            s.foreign = not s.plain     # the reference raises the original's error
    return 0

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
        return any([has_own_access(x) for x in (value, *locals_of(n).operands)])
    return (has_own_access(value) or has_own_access(<object>value_of(n.a))
            or (n.b != NULL and has_own_access(<object>value_of(n.b))))

cdef void finish(Sweep* s) noexcept:
    """Wipe the marks, and release what the sweep holds; keep the arrays for the next one."""
    global idle
    cdef Node* n
    cdef Py_ssize_t i
    for i in range(s.order.count):
        n = s.order.items[i]
        n.flags &= ~VISITED
        if n.op == CALL and (call_of(n).sweep == NULL or s.pinned):
            call_of(n).sweep = NULL
            clear_gradients(call_of(n))
    for i in range(s.stack.count):
        untagged(s.stack.items[i]).flags &= ~VISITED
    for i in range(s.order.count if s.pinned else 0):
        Py_DECREF(value_of(s.order.items[i]))
    for i in range(s.kept.count):
        Py_DECREF(value_of(s.kept.items[i]))
    PyMem_Free(s.kept.items)
    s.order.count = s.stack.count = 0
    if (idle.order.items == NULL and idle.stack.items == NULL
            and s.order.capacity <= KEPT and s.stack.capacity <= KEPT):
        idle.order, idle.stack = s.order, s.stack
    else:
        PyMem_Free(s.order.items)
        PyMem_Free(s.stack.items)

cdef void begin(Sweep* s) noexcept:
    """Take over the idle arrays; a sweep within a sweep makes its own."""
    global idle
    s[0] = idle
    memset(&idle, 0, sizeof(Sweep))

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
