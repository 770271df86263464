# backward(): topological order, then the reverse sweep.
#
# While only numbers are added up, no Python code can run, and the nodes are safe in the graph.
# Before the first thing that might run some (a callback, data that is an object, a program's own
# handler of Ctrl-C) the sweep is *guarded*: fused layers become plain nodes, every node still to come is
# referenced, and the marks are wiped, so that the code may do as it likes: look at the graph,
# change edges, drop it all, call backward itself.


cdef struct Nodes:              # a growing array
    Node** items
    Py_ssize_t count, capacity

cdef struct Sweep:
    Nodes order                 # operands before results
    Nodes stack                 # of the sort
    bint guarded
    bint plain                  # fused layers are to become plain nodes

import _signal as signals      # without the Python code around it, in which a handler could run

cdef enum:
    PATIENCE = 1 << 22          # nodes, and multiply-adds of fused ones, between two looks for Ctrl-C
    KEPT = 1 << 16              # the longest array kept for the next sweep

cdef Sweep idle                 # arrays of the last sweep, for the next one

cdef inline int reserve(Nodes* nodes, Py_ssize_t more) except -1:
    return 0 if nodes.count + more <= nodes.capacity else grow(nodes, more)

cdef int grow(Nodes* nodes, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity = 2 * (nodes.count + more) + 64
    cdef void* items = PyMem_Realloc(nodes.items, capacity * sizeof(Node*))
    if items == NULL:
        raise MemoryError
    nodes.items, nodes.capacity = <Node**>items, capacity
    return 0

cdef inline void push(Nodes* nodes, Node* n) noexcept:
    nodes.items[nodes.count] = n
    nodes.count += 1

cdef inline Node* pop(Nodes* nodes) noexcept:
    nodes.count -= 1
    return nodes.items[nodes.count]

# On the stack, the lowest bit of a pointer marks a node whose operands have been seen to.
cdef inline Node* tagged(Node* n) noexcept:
    return <Node*>(<size_t>n | 1)

cdef inline Node* untagged(Node* n) noexcept:
    return <Node*>(<size_t>n & ~<size_t>1)

cdef inline bint is_tagged(Node* n) noexcept:
    return <size_t>n & 1

cdef inline bint is_to_visit(Node* n) noexcept:
    """Whether the sort must still come by n. A leaf has nothing to sweep."""
    return n.op != LEAF and not n.flags & VISITED

cdef inline void visit_later(Sweep* s, Node* n) noexcept:
    if is_to_visit(n):
        push(&s.stack, n)

cdef int sort(Sweep* s) except -1:
    """Fill s.order with the nodes under the one on the stack, operands before results, each once."""
    cdef Node* n
    cdef Py_ssize_t patience = PATIENCE
    while s.stack.count:
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
    """Sort as far as there are only results of operations, up to so many nodes and while there is room;
    the node that is something else is taken off the stack and given back."""
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
    """Put any node back on the stack, below its operands."""
    if n.op == FUSED and not run_of(n).body.node.flags & VISITED:
        if s.plain or not may_stay_fused(run_of(n)):
            expand(run_of(n))
    n.flags |= VISITED
    reserve(&s.stack, 3)
    push(&s.stack, tagged(n))
    if n.flags & OWN_PREV:
        visit_own_prev(s, n)
    if n.op == RUN:
        visit_inputs(s, run_of(n))
    elif s.plain or not n.flags & OWN_PREV:
        reserve(&s.stack, 2)
        if n.b != NULL:
            visit_later(s, n.b)
        if n.a != NULL:
            visit_later(s, n.a)
    return 0

cdef int sort_undisturbed(Sweep* s, Node* root) except -1:
    try:
        reserve(&s.stack, 1)
        push(&s.stack, root)
        return undisturbed(sort, s)
    except:
        abandon(s)
        raise

cdef int undisturbed(int (*work)(Sweep*) except -1, Sweep* s) except -1:
    """Do the work while no garbage collection can run somebody's finalizer."""
    cdef bint enabled = PyGC_Disable()
    try:
        return work(s)
    finally:
        if enabled:
            PyGC_Enable()

cdef int visit_own_prev(Sweep* s, Node* n) except -1:
    prev = own(<object>value_of(n), "_prev")
    if type(prev) not in (set, frozenset, list, tuple):     # the property takes care of it, vars() not
        raise TypeError("_prev must be a set, a list or a tuple, not "
                        + Py_TYPE(<PyObject*>prev).tp_name.decode())
    for child in prev:
        if not is_value(child):     # worded without asking the child: nothing may run now
            raise TypeError("the operands of a node must be Values, not "
                            + Py_TYPE(<PyObject*>child).tp_name.decode())
        reserve(&s.stack, 1)
        visit_later(s, node_of(<PyObject*>child))
    return 0

cdef int visit_inputs(Sweep* s, Run* r) except -1:
    """The operands of a Run, taken together with those before it: the inputs of the first."""
    cdef int i
    while r.inputs == NULL:
        r = previous_layer(r)
    reserve(&s.stack, matrix(r).nin)
    for i in range(matrix(r).nin - 1, -1, -1):
        if r.inputs[i] != NULL:
            visit_later(s, r.inputs[i])
    return 0

cdef void unmark(Sweep* s) noexcept:
    cdef Py_ssize_t i
    for i in range(s.order.count):
        s.order.items[i].flags &= ~VISITED
        if s.order.items[i].op == RUN:
            forget_shares(run_of(s.order.items[i]))
    for i in range(s.stack.count):
        untagged(s.stack.items[i]).flags &= ~VISITED

cdef int guard(Sweep* s) except -1:
    """Let Python run during the rest of the sweep."""
    cdef Py_ssize_t i
    if s.guarded:
        return 0
    undisturbed(make_plain, s)
    unmark(s)
    for i in range(s.order.count):
        Py_INCREF(value_of(s.order.items[i]))
    s.guarded = True
    return 0

cdef int sweep(Sweep* s) except -1:
    """Call every node's backward, results before operands."""
    cdef Py_ssize_t work = 0
    cdef Node* n
    while s.order.count:
        n = pop(&s.order)
        work += multiply_adds(run_of(n)) if n.op == RUN else 1
        if s.guarded:
            sweep_with_python(s, steal(value_of(n)))
        else:
            n.flags &= ~VISITED
            if not sweep_numbers(n):
                sweep_with_python(s, <object>value_of(n))
        if work > PATIENCE:
            work = 0
            look_for_interrupt(s)
    return 0

cdef int look_for_interrupt(Sweep* s) except -1:
    """Obey Ctrl-C. Handlers of other signals run when the sweep is over, or at its next callback."""
    if PyOS_InterruptOccurred():        # which forgets that it did
        try:
            if interrupt_raises():
                abandon(s)
            else:
                guard(s)
        finally:
            interrupt_again()
        PyErr_CheckSignals()
    return 0

cdef int raise_interrupt() except -1:
    """KeyboardInterrupt if Ctrl-C was pressed, and nothing else may run; other handlers wait until they may."""
    if PyOS_InterruptOccurred():
        if interrupt_raises():
            PyErr_SetNone(PyExc_KeyboardInterrupt)
            return -1
        interrupt_again()
    return 0

cdef bint interrupt_raises() except -1:
    return signals.getsignal(signals.SIGINT) is signals.default_int_handler

cdef int interrupt_again() except -1:
    """As if Ctrl-C was pressed, but that an event loop has been woken by it already."""
    waker = signals.set_wakeup_fd(-1)
    PyErr_SetInterrupt()
    signals.set_wakeup_fd(waker)
    return 0

cdef void abandon(Sweep* s) noexcept:
    """Give up what is still to come, leaving no mark."""
    if not s.guarded:
        unmark(s)
        s.order.count = s.stack.count = 0

cdef inline bint sweep_numbers(Node* n) noexcept:
    """The backward of one node; False where that takes Python, and then nothing was changed."""
    if n.flags & CALLBACK:
        return False
    if is_operation(n.op):
        return add_numbers(n)
    if n.op == FUSED:
        return sweep_output(n)
    if n.op == RUN:
        sweep_layers(run_of(n))
    return True

cdef int sweep_with_python(Sweep* s, object value) except -1:
    cdef Node* n = node_of(<PyObject*>value)
    if not s.guarded:
        n.flags |= VISITED      # still part of this sweep, for make_plain
        try:
            guard(s)
        finally:
            n.flags &= ~VISITED
    if n.flags & CALLBACK:
        call_back(n)
    elif is_operation(n.op) and not add_numbers(n):
        add_objects(n)
    return 0

cdef int make_plain(Sweep* s) except -1:
    """Replace the fused layers still to come by the plain nodes they stand for."""
    cdef Nodes order, runs      # the Runs are freed only after the last mark is wiped
    cdef Node* n
    cdef Py_ssize_t i, last
    memset(&order, 0, sizeof(Nodes))
    memset(&runs, 0, sizeof(Nodes))
    try:
        for i in range(s.order.count):
            if s.order.items[i].op == RUN:
                reserve(&runs, 1)
                push(&runs, s.order.items[i])
                Py_INCREF(value_of(s.order.items[i]))
        if runs.count == 0:
            return 0
        for i in range(s.order.count - 1, -1, -1):
            n = s.order.items[i]
            if n.op == RUN:
                append_expanded(&order, run_of(n))
            else:
                reserve(&order, 1)
                push(&order, n)
        last = order.count - 1
        for i in range(order.count // 2):
            order.items[i], order.items[last - i] = order.items[last - i], order.items[i]
        order, s.order = s.order, order
    except:
        abandon(s)
        raise
    finally:
        for i in range(runs.count):
            Py_DECREF(value_of(runs.items[i]))
        PyMem_Free(runs.items)
        PyMem_Free(order.items)
    return 0

cdef int call_back(Node* n) except -1:
    (<object>(<Body*>value_of(n)).attrs)["_backward"]()
    return 0

cdef inline bint add(Node* to, Number more) noexcept:
    """to.grad += more; False where that takes Python."""
    cdef Number sum = grad_of_node(to)
    sum.x += more.x
    sum.kind &= more.kind
    if not is_plain(sum) or not is_plain(more):
        return False
    set_grad_of_node(to, sum)
    return True

cdef inline bint add_numbers(Node* n) noexcept:
    """Apply the chain rule to n; False where that takes Python, and then nothing was changed."""
    cdef Node* second = n.a if n.b == NULL else n.b
    cdef Pair d = derivatives_of_node(n, second)
    cdef Number before = grad_of_node(n.a)
    if not add(n.a, d.a):
        return False
    if gradients[n.op] == 2 and not add(second, d.b):
        set_grad_of_node(n.a, before)
        return False
    return True

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
    value, a = <object>value_of(n), <object>value_of(n.a)
    b = a if n.b == NULL else <object>value_of(n.b)
    add_object(a, derivative_to_a(op, data_of(a), data_of(b), data_of(value), grad_of(value)))
    if gradients[op] == 2:
        add_object(b, derivative_to_b(op, data_of(a), data_of(b), data_of(value), grad_of(value)))
    return 0

cdef int add_object(object to, object more) except -1:
    put_grad(node_of(<PyObject*>to), PyNumber_InPlaceAdd(grad_of(to), more))
    return 0

cdef void finish(Sweep* s) noexcept:
    """Release what the sweep holds; keep the arrays for the next one."""
    global idle
    cdef Py_ssize_t i
    if s.guarded:
        for i in range(s.order.count):
            Py_DECREF(value_of(s.order.items[i]))
    else:
        unmark(s)
    s.order.count = s.stack.count = 0
    s.guarded = s.plain = False
    if (idle.order.items == NULL and idle.stack.items == NULL
            and s.order.capacity <= KEPT and s.stack.capacity <= KEPT):
        idle = s[0]
    else:
        PyMem_Free(s.order.items)
        PyMem_Free(s.stack.items)

cdef void begin(Sweep* s) noexcept:
    """Take over the idle arrays; a sweep within a sweep makes its own."""
    global idle
    s[0] = idle
    memset(&idle, 0, sizeof(Sweep))

cdef int run_backward(Node* root) except -1:
    cdef Sweep s
    begin(&s)
    try:
        sort_undisturbed(&s, root)
        if root.grad_kind == OBJECT:
            guard(&s)
        put_grad(root, 1)
        sweep(&s)
    finally:
        finish(&s)
    return 0
