# The life of a node
# ==================
# A node of the graph *is* a Python object, a Value, and an edge is a reference to it:
#
#       Value                 a * b                 Value a
#      +-----------+---------+---+----+------+     +-----------+------
#      | refcount  | node: data, | attrs,    | --> | refcount  | ...
#      | type      | grad, op,   | weakrefs, |     +-----------+------
#      |           | a, b        | backward  | --> Value b
#      +-----------+---------+---------------+
#
# So Python's own rules decide: a node lives while a variable or a result computed from it lives.
# Identity, weak references, attributes and subclasses need nothing further. Four things make it
# fast and safe:
#
# 1. The pool. Values come from chunks of CHUNK bytes, never from malloc one by one, and a chunk
#    whose last Value died goes back to the system (except a few, kept for the next step).
# 2. Deallocation is iterative. The last reference to a root may be the last reference to a million
#    nodes. The operands that die with a Value go on a list (linked through the dead Values
#    themselves, so nothing can fail), and its deallocation frees them one by one. Python code that
#    a finalizer runs meanwhile, or another thread, frees its own Values.
# 3. The cyclic garbage collector does not track a plain Value: numbers cannot form cycles. A Value
#    is tracked once it refers to an object that could lead back: a `_backward`, say.
# 4. Such a cycle may run through plain Values (leaf -> attribute -> root -> ... -> leaf). Before a
#    full collection, therefore, if any Value refers to such an object, all of them are tracked.

cdef union Slot:
    double x
    PyObject* object            # NULL: the attribute was deleted, or never set

cdef struct Node:
    Slot data                   # what it holds depends on its kind
    Slot grad
    Node* a                     # the operands; each is an owned reference (see operands_of)
    Node* b                     # NULL for a unary operation
    unsigned char op
    unsigned char data_kind     # OBJECT, or a kind of number (see ops.h)
    unsigned char grad_kind
    unsigned char flags
    unsigned int index          # of an OUTPUT in its call, of a PACKED parameter in its matrix, of
                                # a CUSTOM node's name in op_names

cdef enum:
    VISITED = 1                 # the sort has seen it
    CALLBACK = 2                # `backward` replaces the operation's derivative
    OWN_PREV = 4                # own_prev replaces a and b where the graph is walked
    MADE = 8                    # made by a function that is being recorded; see recording.pxi
    GIVEN = 16                  # ... or given to it in place of a number

cdef struct Body:               # a Value as C sees it; value.pxi declares the class
    PyObject head
    Node node
    PyObject* attrs             # the instance's __dict__, made when first needed
    PyObject* weakrefs
    PyObject* backward          # what the program, or copy, has set as `_backward`

cdef inline Node* node_of(PyObject* value) noexcept:
    return &(<Body*>value).node

cdef inline PyObject* value_of(Node* n) noexcept:
    return <PyObject*>(<char*>n - sizeof(PyObject))

# A node's numbers, wherever they stand. (One of kind OBJECT is no number, and its double is not
# read.)

cdef inline Number data_of_node(Node* n) noexcept:
    if n.data_kind != PACKED:
        return Number(n.data.x, n.data_kind)
    return number_at(matrix_of(n).data, n.index)

cdef inline Number grad_of_node(Node* n) noexcept:
    if n.grad_kind != PACKED:
        return Number(n.grad.x, n.grad_kind)
    return number_at(matrix_of(n).grad, n.index)

cdef inline void set_grad_of_node(Node* n, Number grad) noexcept:
    if n.grad_kind != PACKED:
        n.grad.x, n.grad_kind = grad.x, grad.kind
    else:
        set_packed_grad(matrix_of(n), n.index, grad)


# Allocation and deallocation.

cdef PyTypeObject* value_type = NULL    # class Value
cdef unsigned char made_flag = 0        # the flag of new nodes: MADE, or 0
cdef PyObject** awaited = NULL          # the list for a Value or call that dies now; see release_to

cdef inline PyObject* new_value() noexcept:
    """A Value from the pool with nothing filled in, or NULL. It owns no reference to its type,
    which lives as long as the process."""
    cdef Cell* cell = take_cell()
    if cell == NULL:
        return NULL
    init_head(&cell.body.head, value_type)
    cell.body.attrs = cell.body.weakrefs = cell.body.backward = NULL
    return &cell.body.head

cdef PyObject* value_alloc(PyTypeObject* type, Py_ssize_t items) noexcept:
    """tp_alloc: what Value.__new__ calls."""
    cdef PyObject* value = new_value()
    if value == NULL:
        return PyErr_NoMemory()
    # A leaf; data and grad are not set, as after object.__new__.
    memset(node_of(value), 0, sizeof(Node))
    return value

cdef void value_dealloc(PyObject* value) noexcept:
    """tp_dealloc: point 2 of the essay."""
    global awaited
    cdef Body* body = <Body*>value
    cdef PyObject** dead = awaited
    cdef bint tracked
    awaited = NULL                              # Python code may run from here on
    if body.head.ob_type.tp_finalize != NULL and PyObject_CallFinalizerFromDealloc(value) < 0:
        return                                  # __del__ has resurrected it
    leave_call(&body.node)                      # which would hand it to Python code that runs now
    tracked = is_tracked(value)
    if tracked:
        PyObject_GC_UnTrack(value)
    if body.weakrefs != NULL:
        PyObject_ClearWeakRefs(value)
    if dead != NULL:
        body.weakrefs, dead[0] = dead[0], value
    elif tracked or may_lead_back(body):
        dealloc_by_turns(value, value_dealloc, free_with_operands)
    else:
        free_with_operands(value)

cdef inline void free_with_operands(PyObject* value) noexcept:
    """Clear and free a dead object, and what dies with it."""
    cdef PyObject* dead = NULL                  # linked through weakrefs
    clear_and_free(<Body*>value, &dead)
    while dead != NULL:
        value = dead
        dead = (<Body*>value).weakrefs
        clear_and_free(<Body*>value, &dead)

cdef inline void release_to(PyObject** dead, PyObject* o) noexcept:
    """Release a reference. A Value or call that dies of it goes on the list, if there is one;
    anything else is freed at once."""
    global awaited
    if Py_REFCNT(o) > 1:
        Py_DECREF(o)
        return
    if o.ob_type == value_type or o.ob_type == call_type:
        awaited = dead
    Py_DECREF(o)
    awaited = NULL

cdef void value_free(void* value) noexcept:
    """tp_free. Python refuses to assign a __class__ with another tp_free. So no Value becomes an
    instance of a subclass, whose instances come from another allocator, and none of these becomes a
    Value."""
    give_cell(cell_of(<PyObject*>value))

cdef inline void clear_and_free(Body* body, PyObject** dead) noexcept:
    cdef PyTypeObject* type = body.head.ob_type
    if type == call_type:
        free_call(<Call*>body, dead)
        return
    clear(body, dead)
    if type == value_type:
        give_cell(cell_of(&body.head))
    else:
        type.tp_free(body)
        Py_DECREF(<PyObject*>type)

cdef inline void clear(Body* body, PyObject** dead) noexcept:
    """Release everything."""
    if may_lead_back(body):             # most Values refer to nothing but operands
        clear_objects(body, dead)
    replace_operands(&body.node, LEAF, NULL, NULL, dead)

cdef void clear_objects(Body* body, PyObject** dead) noexcept:
    body.node.flags = 0
    Py_CLEAR(body.attrs)
    Py_CLEAR(body.backward)
    clear_slot(&body.node.data, &body.node.data_kind, dead)
    clear_slot(&body.node.grad, &body.node.grad_kind, dead)

cdef inline void set_reference(PyObject** place, object o) noexcept:
    Py_INCREF(<PyObject*>o)
    Py_XSETREF(place[0], <PyObject*>o)

cdef inline void clear_slot(Slot* slot, unsigned char* kind, PyObject** dead) noexcept:
    """Release what a data or grad holds; the attribute is not set afterwards."""
    cdef PyObject* old = slot.object if kind[0] == OBJECT else NULL
    kind[0], slot.object = OBJECT, NULL
    if old != NULL:
        release_to(dead, old)

cdef inline void replace_operands(Node* n, int op, Node* a, Node* b, PyObject** dead) noexcept:
    """Make n the result of op on a and b, of which either may be NULL, and release its former
    operands. (That may run Python code, so it comes last.)"""
    cdef Node* old_a = n.a
    cdef Node* old_b = n.b
    leave_call(n)
    set_operands(n, op, a, b)
    if old_a != NULL:
        release_to(dead, value_of(old_a))
    if old_b != NULL:
        release_to(dead, value_of(old_b))

cdef inline void leave_call(Node* n) noexcept:
    """Remove an output from its call, which owns no reference to it."""
    if n.op == OUTPUT:
        call_of(n).outputs[n.index] = NULL

cdef inline void set_operands(Node* n, int op, Node* a, Node* b) noexcept:
    """The same for a node that has no operands."""
    n.op, n.a, n.b = op, a, b
    if a != NULL:
        Py_INCREF(value_of(a))
    if b != NULL:
        Py_INCREF(value_of(b))

cdef int value_clear(PyObject* value) noexcept:
    """tp_clear"""
    clear(<Body*>value, NULL)
    return 0

cdef int value_traverse(PyObject* value, visitproc visit, void* arg) noexcept:
    """tp_traverse: everything that a Value owns a reference to."""
    cdef Body* body = <Body*>value
    cdef Node* n = &body.node
    return (n.a != NULL and visit(value_of(n.a), arg)
            or n.b != NULL and visit(value_of(n.b), arg)
            or body.attrs != NULL and visit(body.attrs, arg)
            or body.backward != NULL and visit(body.backward, arg)
            or n.data_kind == OBJECT and n.data.object != NULL and visit(n.data.object, arg)
            or n.grad_kind == OBJECT and n.grad.object != NULL and visit(n.grad.object, arg)
            or body.head.ob_type != value_type and visit(<PyObject*>body.head.ob_type, arg))


# Points 3 and 4 of the essay: what the cyclic garbage collector tracks.

cdef bint any_tracked = False           # any Value, ever

cdef inline void track(PyObject* o) noexcept:
    """Track a Value, or a call, that may be part of a cycle."""
    global any_tracked
    any_tracked = True
    if not is_tracked(o):
        PyObject_GC_Track(o)

cdef inline void track_if_needed(PyObject* value, PyObject* referent) noexcept:
    if referent != NULL and PyObject_IS_GC(referent):
        track(value)

cdef inline bint is_live(Cell* cell) noexcept:
    return cell.body.head.ob_type != NULL and Py_REFCNT(&cell.body.head) > 0

cdef inline bint may_lead_back(Body* body) noexcept:
    return (body.attrs != NULL or body.backward != NULL or body.node.data_kind == OBJECT
            or body.node.grad_kind == OBJECT)

cdef bint any_leads_back() noexcept:
    cdef Chunk* c = head
    cdef int i
    while c != NULL:
        for i in range(c.fresh, CELLS):
            if is_live(&c.cells[i]) and may_lead_back(&c.cells[i].body):
                return True
        c = NULL if c.next == head else c.next
    return False

# The generation of the automatic collections that may reach all objects. (3.14.0 to 3.14.4 collect
# the old generation piece by piece, and call that generation 1.)
cdef int oldest_generation = 1 if (3, 14) <= sys.version_info < (3, 14, 5) else 2

def _before_collection(phase, info):
    """Called by gc around each collection."""
    cdef Chunk* c = head
    cdef Call* call = calls
    cdef int i
    if (phase != "start" or info["generation"] < oldest_generation
            or not (any_tracked or any_leads_back())):
        return
    while c != NULL:
        for i in range(c.fresh, CELLS):
            if is_live(&c.cells[i]):
                track(&c.cells[i].body.head)
        c = NULL if c.next == head else c.next
    while call != NULL:
        if Py_REFCNT(&call.body.head) > 0:
            track(&call.body.head)
        call = call.next
