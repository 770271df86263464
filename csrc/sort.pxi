# Topological order: the nodes under some, operands before results.

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

cdef enum:
    PATIENCE = 1 << 22          # nodes, and multiply-adds of calls, between two checks for Ctrl-C
    KEPT = 1 << 16              # the longest array kept for the next sweep

cdef Sweep idle                 # arrays of the last sweep, for the next one

cdef void begin(Sweep* s) noexcept:
    """Take over the idle arrays; a sweep within a sweep makes its own."""
    global idle
    s[0] = idle
    memset(&idle, 0, sizeof(Sweep))

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
