# backward(): topological order, then the reverse sweep.
#
# While only numbers are added up, no Python code can run, and the nodes are safe in the graph.
# Before the first thing that might run some (a callback, data that is an object, a signal's
# handler) the sweep is *guarded*: it takes a reference to every node of its order, and wipes the
# marks, so that the code may do as it likes: change edges, drop the graph, call backward itself.

from cpython.exc cimport PyErr_CheckSignals

cdef struct Nodes:              # a growing array
    Node** items
    Py_ssize_t count, capacity

cdef struct Sweep:
    Nodes order                 # operands before results
    Nodes stack                 # of the sort
    bint guarded

cdef enum:
    PATIENCE = 1 << 22          # nodes swept between two looks at the signals; far under a second
    KEPT = 1 << 16              # the longest array kept for the next sweep

cdef Sweep idle                 # arrays of the last sweep, for the next one

cdef int reserve(Nodes* nodes, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity
    cdef void* items
    if nodes.count + more > nodes.capacity:
        capacity = 2 * (nodes.count + more) + 64
        items = PyMem_Realloc(nodes.items, capacity * sizeof(Node*))
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

cdef inline void visit_later(Sweep* s, Node* n) noexcept:
    # A leaf has nothing to sweep.
    if not n.flags & VISITED and n.op != LEAF:
        push(&s.stack, n)

cdef int sort(Sweep* s, Node* root) except -1:
    """Fill s.order with the nodes under root, operands before results, each once."""
    cdef Node* n
    reserve(&s.stack, 1)
    push(&s.stack, root)
    while s.stack.count:
        reserve(&s.stack, 2)
        reserve(&s.order, 1)
        n = pop(&s.stack)
        if is_tagged(n):
            push(&s.order, untagged(n))
        elif not n.flags & VISITED:
            n.flags |= VISITED
            push(&s.stack, tagged(n))
            if n.flags & OWN_PREV:
                visit_own_prev(s, n)
            else:
                if n.b != NULL:
                    visit_later(s, n.b)
                if n.a != NULL:
                    visit_later(s, n.a)
    return 0

cdef int visit_own_prev(Sweep* s, Node* n) except -1:
    for child in (<object>(<Body*>value_of(n)).attrs)["_prev"]:
        check_child(child)
        reserve(&s.stack, 1)
        visit_later(s, node_of(<PyObject*>child))
    return 0

cdef void unmark(Sweep* s) noexcept:
    cdef Py_ssize_t i
    for i in range(s.order.count):
        s.order.items[i].flags &= ~VISITED
    for i in range(s.stack.count):
        untagged(s.stack.items[i]).flags &= ~VISITED

cdef void guard(Sweep* s) noexcept:
    cdef Py_ssize_t i
    if not s.guarded:
        s.guarded = True
        unmark(s)
        for i in range(s.order.count):
            Py_INCREF(value_of(s.order.items[i]))

cdef int sweep(Sweep* s) except -1:
    """Call every node's backward, results before operands."""
    cdef Node* n
    cdef Py_ssize_t i
    for i in range(s.order.count - 1, -1, -1):
        n = s.order.items[i]
        n.flags &= ~VISITED
        if n.flags & CALLBACK:
            guard(s)
            call_back(n)
        elif n.op < OPERATION_COUNT and not add_numbers(n):
            guard(s)
            add_objects(n)
        if i % PATIENCE == PATIENCE - 1:
            guard(s)
            PyErr_CheckSignals()
    return 0

cdef int call_back(Node* n) except -1:
    (<object>(<Body*>value_of(n)).attrs)["_backward"]()
    return 0

cdef inline bint add(Node* to, Number more) noexcept:
    """to.grad += more; False where that takes Python."""
    cdef Number sum
    sum.x = to.grad.x + more.x
    sum.kind = to.grad_kind & more.kind
    if not is_plain(sum) or not is_plain(more):
        return False
    to.grad.x = sum.x
    to.grad_kind = sum.kind
    return True

cdef inline bint add_numbers(Node* n) noexcept:
    """Apply the chain rule to n; False where that takes Python, and then nothing was changed."""
    cdef Node* b = n.a if n.b == NULL else n.b
    cdef Pair d = derivatives(n.op, n.a.data.x, n.a.data_kind, b.data.x, b.data_kind,
                              n.data.x, n.data_kind, n.grad.x, n.grad_kind)
    cdef Slot grad = n.a.grad
    cdef unsigned char kind = n.a.grad_kind
    if not add(n.a, d.a):
        return False
    if gradients[n.op] == 2 and not add(b, d.b):
        n.a.grad, n.a.grad_kind = grad, kind
        return False
    return True

cdef int add_objects(Node* n) except -1:
    """Apply the chain rule to n in Python's arithmetic, term by term as the original does."""
    value, a = <object>value_of(n), <object>value_of(n.a)
    b = a if n.b == NULL else <object>value_of(n.b)
    add_object(a, derivative_to_a(n.op, data_of(a), data_of(b), data_of(value), grad_of(value)))
    if gradients[n.op] == 2:
        add_object(b, derivative_to_b(n.op, data_of(a), data_of(b), data_of(value), grad_of(value)))
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
    s.guarded = False
    if idle.order.items == NULL and s.order.capacity <= KEPT and s.stack.capacity <= KEPT:
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
        sort(&s, root)
        if root.grad_kind == OBJECT:
            guard(&s)
        put_grad(root, 1)
        sweep(&s)
    finally:
        finish(&s)
    return 0
