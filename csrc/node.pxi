# The life of a node
# ==================
# A node of the graph *is* a Python object, a Value, and an edge is a reference to it:
#
#       Value                 a * b                 Value a
#      +-----------+---------+---+----+------+     +-----------+------
#      | refcount  | weak-   | node: data,   | --> | refcount  | ...
#      | type      | refs,   | grad, op,     |     +-----------+------
#      |           | attrs   | a, b          | --> Value b
#      +-----------+---------+---------------+
#
# So Python's own rules decide: a node lives while a variable or a result computed from it lives.
# Identity, weak references, attributes and subclasses need nothing further. Four things make it
# fast and safe:
#
# 1. The pool. Values come from chunks of CHUNK bytes, never from malloc one by one, and a chunk
#    whose last Value died goes back to the system (but for a few, kept for the next step).
# 2. Death is iterative. The last reference to a root may be the last reference to a million
#    nodes. A Value that dies while another is being taken apart only joins a list (linked through
#    the dead themselves, so nothing can fail); the outermost death works the list off.
# 3. The cyclic garbage collector does not see a plain Value: numbers cannot form cycles. A Value
#    is shown to it once it refers to an object that could lead back: a `_backward`, say.
# 4. Such a cycle may run through plain Values (leaf -> attribute -> root -> ... -> leaf). Before a
#    full collection, therefore, if any Value refers to such an object, all of them are shown.

cdef union Slot:
    double x
    PyObject* object            # NULL: the attribute was deleted, or never set

cdef struct Node:
    Slot data                   # what it holds depends on its kind
    Slot grad
    Node* a                     # the operands; each is an owned reference
    Node* b                     # NULL for a unary operation
    unsigned char op
    unsigned char data_kind     # OBJECT, or a kind of number (see ops.h)
    unsigned char grad_kind
    unsigned char flags
    unsigned int index          # of a FUSED node in its layer, of a PACKED one in its matrix

cdef enum:
    VISITED = 1                 # the sort has seen it
    CALLBACK = 2                # attrs["_backward"] replaces the operation's derivative
    OWN_PREV = 4                # attrs["_prev"] replaces a and b where the graph is walked
    PICKLING = 8                # see pickling.pxi

cdef struct Body:               # a Value as C sees it; value.pxi declares the class
    PyObject head
    Node node
    PyObject* attrs             # the instance's __dict__, made when first needed
    PyObject* weakrefs

cdef inline Node* node_of(PyObject* value) noexcept:
    return &(<Body*>value).node

cdef inline PyObject* value_of(Node* n) noexcept:
    return <PyObject*>(<char*>n - sizeof(PyObject))

# Where a node's numbers stand. (What has kind OBJECT is no number; nobody reads its double.)

cdef inline Number data_of_node(Node* n) noexcept:
    cdef Number data
    if n.data_kind != PACKED:
        data.x, data.kind = n.data.x, n.data_kind
    else:
        data.x, data.kind = matrix_of(n).data[n.index], matrix_of(n).data_kind[n.index]
    return data

cdef inline Number grad_of_node(Node* n) noexcept:
    cdef Number grad
    if n.grad_kind != PACKED:
        grad.x, grad.kind = n.grad.x, n.grad_kind
    else:
        grad.x, grad.kind = matrix_of(n).grad[n.index], matrix_of(n).grad_kind[n.index]
    return grad

cdef inline void set_grad_of_node(Node* n, Number grad) noexcept:
    if n.grad_kind != PACKED:
        n.grad.x, n.grad_kind = grad.x, grad.kind
    else:
        set_packed_grad(matrix_of(n), n.index, grad)


# Birth and death.

cdef PyTypeObject* value_type = NULL    # class Value
cdef PyObject* dead = NULL              # Values to take apart, linked through weakrefs
cdef bint burying = False               # somebody is working that list off

cdef inline PyObject* new_value() noexcept:
    """A Value from the pool with nothing filled in, or NULL. It owns no reference to its type,
    which lives as long as the process."""
    cdef Cell* cell = take_cell()
    if cell == NULL:
        return NULL
    init_head(&cell.body.head, value_type)
    cell.body.attrs = cell.body.weakrefs = NULL
    return &cell.body.head

cdef PyObject* value_alloc(PyTypeObject* type, Py_ssize_t items) noexcept:
    """tp_alloc: what Value.__new__ calls."""
    cdef PyObject* value = new_value()
    if value == NULL:
        return PyErr_NoMemory()
    memset(node_of(value), 0, sizeof(Node))     # a leaf; data and grad not set, as object.__new__ has it
    return value

cdef void value_dealloc(PyObject* value) noexcept:
    """tp_dealloc: point 2 of the essay."""
    global dead, burying
    cdef Body* body = <Body*>value
    if body.head.ob_type.tp_finalize != NULL and PyObject_CallFinalizerFromDealloc(value) < 0:
        return                                  # __del__ has brought it back to life
    if is_tracked(value):
        PyObject_GC_UnTrack(value)
    if body.weakrefs != NULL:
        PyObject_ClearWeakRefs(value)
    if not burying:
        burying = True
        bury(body)
        while dead != NULL:
            body = <Body*>dead
            dead = body.weakrefs
            bury(body)
        burying = False
    elif body.head.ob_type == value_type or body.head.ob_type == run_type:
        body.weakrefs = dead
        dead = value
    else:
        bury(body)      # Python defers deep chains of its own classes' instances itself

cdef void value_free(void* value) noexcept:
    """tp_free; being Value's own, it keeps Python from turning a Value into an instance of a
    subclass, which would come from another allocator, or back."""
    give_cell(cell_of(<PyObject*>value))

cdef inline void bury(Body* body) noexcept:
    cdef PyTypeObject* type = body.head.ob_type
    if type == run_type:
        bury_run(<Run*>body)
    elif type == value_type:
        let_go(body)
        give_cell(cell_of(&body.head))
    else:
        let_go(body)
        type.tp_free(body)
        Py_DECREF(<PyObject*>type)

cdef inline void let_go(Body* body) noexcept:
    if body.attrs != NULL or body.node.data_kind == OBJECT or body.node.grad_kind == OBJECT:
        value_clear(&body.head)
    else:
        forget_operands(&body.node)     # all that nearly every Value refers to

cdef inline void forget(Slot* slot, unsigned char* kind) noexcept:
    """Release what a data or grad holds; it is an attribute not set afterwards."""
    cdef PyObject* old = slot.object if kind[0] == OBJECT else NULL
    kind[0] = OBJECT
    slot.object = NULL
    Py_XDECREF(old)

cdef inline void forget_operands(Node* n) noexcept:
    cdef Node* a = n.a
    cdef Node* b = n.b
    if n.op == FUSED:
        run_of(n).values[n.index] = NULL
    n.a = n.b = NULL
    n.op = LEAF
    if a != NULL:
        Py_DECREF(value_of(a))
    if b != NULL:
        Py_DECREF(value_of(b))

cdef int value_clear(PyObject* value) noexcept:
    """tp_clear: let go of everything."""
    cdef Body* body = <Body*>value
    cdef PyObject* attrs = body.attrs
    body.attrs = NULL
    body.node.flags = 0
    Py_XDECREF(attrs)
    forget(&body.node.data, &body.node.data_kind)
    forget(&body.node.grad, &body.node.grad_kind)
    forget_operands(&body.node)
    return 0

cdef int value_traverse(PyObject* value, visitproc visit, void* arg) noexcept:
    """tp_traverse: everything that a Value owns a reference to."""
    cdef Body* body = <Body*>value
    cdef Node* n = &body.node
    cdef int r = 0
    if n.a != NULL:
        r = visit(value_of(n.a), arg)
    if r == 0 and n.b != NULL:
        r = visit(value_of(n.b), arg)
    if r == 0 and body.attrs != NULL:
        r = visit(body.attrs, arg)
    if r == 0 and n.data_kind == OBJECT and n.data.object != NULL:
        r = visit(n.data.object, arg)
    if r == 0 and n.grad_kind == OBJECT and n.grad.object != NULL:
        r = visit(n.grad.object, arg)
    if r == 0 and body.head.ob_type != value_type:
        r = visit(<PyObject*>body.head.ob_type, arg)
    return r


# Points 3 and 4 of the essay: what the cyclic garbage collector sees.

cdef bint shown = False                 # any Value, ever

cdef inline void show(PyObject* value) noexcept:
    """Track a Value that may be part of a cycle."""
    global shown
    shown = True
    if not is_tracked(value):
        PyObject_GC_Track(value)

cdef inline void show_if_needed(PyObject* value, PyObject* referent) noexcept:
    if referent != NULL and PyObject_IS_GC(referent):
        show(value)

cdef inline bint is_live(Cell* cell) noexcept:
    return cell.body.head.ob_type != NULL and cell.body.head.ob_refcnt > 0

cdef bint may_lead_back(Body* body) noexcept:
    return (body.attrs != NULL or body.node.data_kind == OBJECT
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

# The generation of automatic collections that may reach all objects. (In 3.14.0 to 3.14.4 they look at the
# old objects piece by piece, and call that generation 1.)
cdef int oldest_generation = 1 if (3, 14) <= sys.version_info < (3, 14, 5) else 2

def _before_collection(phase, info):
    """Called by gc around each collection."""
    cdef Chunk* c = head
    cdef Run* r = runs
    cdef int i
    if phase != "start" or info["generation"] < oldest_generation or not (shown or any_leads_back()):
        return
    while c != NULL:
        for i in range(c.fresh, CELLS):
            if is_live(&c.cells[i]):
                show(&c.cells[i].body.head)
        c = NULL if c.next == head else c.next
    while r != NULL:
        if r.body.head.ob_refcnt > 0:
            show(&r.body.head)
        r = r.next
