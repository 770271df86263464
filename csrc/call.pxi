# A call: a node of many operands
# ===============================
# A program that computes much at once, a fused layer say, need not make a node for each product. It
# makes a call: one node between any number of operands and any number of outputs, which are Values.
#
#       x0 <--+               +-- out0
#       x1 <--+---- Call <----+-- out1        an edge is a reference, as always
#       ...   |               |   ...
#
# What the sort and the sweep need to know of a call is its CallKind, these functions first of all:
#
#   visit       puts its operands on the sort's stack
#   sweep       adds to the gradients of its operands, from those of its outputs in call.grad; False
#               where that needs Python
#   is_current  says whether sweep may be called. Where not, plain nodes are swept in its place: of
#               layers, after an operand's data was set and after a first sweep
#   make_plain  makes every output the result of plain nodes; then nothing refers to the call, and
#               it is freed
#   accepts     says whether sweep can work with this gradient of an output
#   result      is the number of an output, as it was computed, for its derivative
#
# Where outputs have operands of their own, a sort first finds out which outputs take part: `wanted`
# says so of each, and visit_output puts the operands of one on the stack (and is told whether it is
# the first of the call).
#
# A call is made plain when a program could see the difference: it sets or calls `_backward` of an
# output, or copies the graph; of layers, also when it reads `_prev` or sweeps a second time.

cdef struct CallKind:
    int (*visit)(Call*, Sweep*) except -1
    int (*visit_output)(Call*, int, bint, Sweep*) except -1
    bint (*sweep)(Call*) noexcept
    bint (*is_current)(Call*) noexcept
    int (*make_plain)(Call*) except -1
    bint (*accepts)(Call*, int, Number) noexcept
    Number (*result)(Call*, int) noexcept
    int (*traverse)(Call*, visitproc, void*) noexcept
    void (*release)(Call*, PyObject** dead) noexcept    # its references, and its memory
    object (*name)(Call*, int)                  # of the operation that an output is the result of
    # The set of an output's operands, where the call is shown as that operation; NULL where plain
    # nodes are.
    object (*operands)(Call*, int)

cdef struct Call:
    Body body                   # op is CALL; a and b are not used
    const CallKind* kind
    Call* next                  # all calls, for the garbage collector
    Call* previous
    Py_ssize_t work             # multiply-adds of a sweep
    int nout
    Node** outputs              # the Value of each output, NULL where it is dead; not owned
    Sweep* sweep                # the pinned sweep that has still to sweep the call, if there is one
    double* grad                # each output's gradient, as delivered in this sweep
    Kind* grad_kind
    int first, last             # the outputs that have delivered one are from first to last
    Py_ssize_t depth            # where the last sort had it on its stack
    unsigned char* wanted       # NULL unless outputs have operands of their own
    Py_ssize_t wanted_size      # its bytes: nout, and those that the kind of call marks operands in

cdef Call* calls = NULL
cdef Py_ssize_t divided_calls = 0       # those whose outputs have operands of their own

cdef class _Call:
    """The Python type of a Call."""
    cdef Node node
    cdef object attrs
    cdef object __weakref__

cdef PyTypeObject* call_type = <PyTypeObject*>_Call

cdef inline Call* call_of(Node* n) noexcept:
    """The call of an OUTPUT, or the one whose own node n is."""
    return <Call*>value_of(n.a if n.op == OUTPUT else n)

cdef inline void begin_call(Call* call, const CallKind* kind) noexcept:
    """Fill in a new call whose arrays are in place; the caller owns the one reference to it."""
    global calls, divided_calls
    memset(<char*>call - sizeof(GCHead), 0, sizeof(GCHead) + sizeof(Body))
    init_head(&call.body.head, call_type)
    call.body.node.op = CALL
    call.kind, call.sweep = kind, NULL
    call.first, call.last, call.depth = 0, call.nout - 1, 0
    clear_gradients(call)
    divided_calls += call.wanted != NULL
    call.next, call.previous = calls, NULL
    if calls != NULL:
        calls.previous = call
    calls = call

cdef void free_call(Call* call, PyObject** dead) noexcept:
    global calls, divided_calls
    divided_calls -= call.wanted != NULL
    if call.next != NULL:
        call.next.previous = call.previous
    if call.previous != NULL:
        call.previous.next = call.next
    else:
        calls = call.next
    call.kind.release(call, dead)

cdef int traverse_call(PyObject* call, visitproc visit, void* arg) noexcept:
    return (<Call*>call).kind.traverse(<Call*>call, visit, arg)

cdef object new_output(Call* call, int j, Number y):
    """The Value of output j."""
    value = number_node(y, OUTPUT, &call.body.node, NULL)
    node_of(<PyObject*>value).index = j
    call.outputs[j] = node_of(<PyObject*>value)
    return value

cdef inline bint pass_gradient(Node* out) noexcept:
    """Deliver an output's gradient to the call; False where the sweep needs Python."""
    cdef Call* call = call_of(out)
    cdef Number g = grad_of_node(out)
    if not call.kind.accepts(call, out.index, g):
        return False
    call.grad[out.index], call.grad_kind[out.index] = g.x, g.kind
    call.first, call.last = min(call.first, <int>out.index), max(call.last, <int>out.index)
    return True

cdef inline void clear_gradients(Call* call) noexcept:
    """Discard the gradients that outputs have delivered."""
    cdef Py_ssize_t count = max(0, call.last - call.first + 1)
    memset(call.grad + call.first, 0, count * sizeof(double))
    memset(call.grad_kind + call.first, NO_GRADIENT, count)
    call.first, call.last = call.nout, -1

cdef inline int make_plain(Node* n) except -1:
    """Make n, if it is the output of a call, the result of plain nodes."""
    return make_call_plain(call_of(n)) if n.op == OUTPUT else 0

cdef inline int make_call_plain(Call* call) except -1:
    return call.kind.make_plain(call) if call.sweep == NULL else expand(call)
