# Fused layers: one node for a whole layer applied to one input.
#
#       x0, x1 ... <-- Run <-- Run <-- Run <-- out      each Run holds its layer's values and gradients,
#                       |       |       |               and its Matrix the parameters, side by side
#                     Matrix  Matrix  Matrix
#
# A neuron's products and partial sums do not exist until somebody looks: `_prev`, `_backward`, a
# second sweep, a Python callback during a sweep. Then `expand` makes the nodes that the original
# would have, with the data and gradients they would hold, and the Run is gone. (Where a parameter
# was changed since the forward pass, the data of the products is computed from what it is now.)
#
# The parameters stay Values in n.w and n.b. While a layer is fused, their numbers stand in the
# layer's Matrix (kind PACKED); one that gets an object for data, a callback, or another layer,
# dissolves the Matrix, and they all hold their own numbers again.

cdef const Arithmetic* arithmetic = &arithmetics[arithmetic_count() - 1]

def _arithmetics():
    """The names of the arithmetics that this processor can run."""
    return [arithmetics[i].name.decode() for i in range(arithmetic_count())]

def _choose_arithmetic(name):
    """Compute layers by the arithmetic of that name, for the tests; the name of the former one."""
    global arithmetic
    former = arithmetic.name.decode()
    arithmetic = &arithmetics[_arithmetics().index(name)]
    return former


# A layer applied to one input.

cdef struct Run:
    Body body                   # op is RUN, a the previous Run or NULL
    PyObject* parameters        # an owned reference
    Run* next                   # all Runs, for the garbage collector
    Run* previous
    bint swept
    # one for each neuron
    double* data                # of its output
    double* grad                # of its output, for the layer before another's
    double* sum                 # before the activation
    double* sum_grad
    Node** values               # its output's Value, where there is one; not an owned reference
    Kind* data_kind
    Kind* grad_kind
    Kind* sum_kind
    Kind* sum_grad_kind
    Kind* skip                  # all ones: no sweep came by its output
    # one for each input of a first layer, else NULL
    Node** inputs               # an owned reference, or NULL for a number
    double* x
    double* dx
    Kind* x_kind
    Kind* dx_kind

cdef Run* runs = NULL
cdef class _Run:
    """The Python type of a Run."""
    cdef Node node
    cdef object attrs
    cdef object __weakref__

cdef PyTypeObject* run_type = <PyTypeObject*>_Run

cdef inline Run* run_of(Node* n) noexcept:
    """The Run of a FUSED node, or the one whose own node n is."""
    return <Run*>value_of(n.a if n.op == FUSED else n)

cdef inline Run* previous_layer(Run* r) noexcept:
    return NULL if r.body.node.a == NULL else <Run*>value_of(r.body.node.a)

cdef inline Matrix* matrix(Run* r) noexcept:
    return &(<Parameters>r.parameters).m

cdef Run* new_run(Parameters p, Run* previous) except NULL:
    """A Run with nothing computed; it counts one reference."""
    global runs
    cdef int width = p.m.width, nin = p.m.nin if previous == NULL else 0
    cdef Py_ssize_t size = (sizeof(Run) + width * (4 * sizeof(double) + sizeof(Node*) + 5)
                            + nin * (2 * sizeof(double) + sizeof(Node*) + 2))
    cdef char* memory = <char*>PyMem_Malloc(GC_HEAD + size)
    if memory == NULL:
        raise MemoryError
    cdef Run* r = <Run*>(memory + GC_HEAD)
    memset(memory, 0, GC_HEAD + sizeof(Run))
    r.body.head.ob_refcnt = 1
    r.body.head.ob_type = run_type
    r.body.node.op = RUN
    r.body.node.data_kind = r.body.node.grad_kind = INTEGER
    if previous != NULL:
        r.body.node.a = &previous.body.node
        Py_INCREF(&previous.body.head)
    r.parameters = <PyObject*>p
    Py_INCREF(r.parameters)
    r.data = <double*>(r + 1)
    r.grad = r.data + width
    r.sum = r.grad + width
    r.sum_grad = r.sum + width
    memset(r.sum_grad, 0, width * sizeof(double))
    r.values = <Node**>(r.sum_grad + width)
    memset(r.values, 0, (width + nin) * sizeof(Node*))
    cdef double* x = <double*>(r.values + width + nin)
    cdef Kind* kinds = <Kind*>(x + 2 * nin)
    if previous == NULL:
        r.inputs, r.x, r.dx = r.values + width, x, x + nin
        r.x_kind, r.dx_kind = kinds + 5 * width, kinds + 5 * width + nin
    r.data_kind, r.grad_kind, r.sum_kind = kinds, kinds + width, kinds + 2 * width
    r.sum_grad_kind, r.skip = kinds + 3 * width, kinds + 4 * width
    memset(r.skip, 0xFF, width)
    r.next = runs
    if runs != NULL:
        runs.previous = r
    runs = r
    return r

cdef void bury_run(Run* r) noexcept:
    global runs
    cdef int i
    if r.inputs != NULL:
        for i in range(matrix(r).nin):
            if r.inputs[i] != NULL:
                Py_DECREF(value_of(r.inputs[i]))
    if r.body.node.a != NULL:
        Py_DECREF(value_of(r.body.node.a))
    Py_DECREF(r.parameters)
    if r.next != NULL:
        r.next.previous = r.previous
    if r.previous != NULL:
        r.previous.next = r.next
    else:
        runs = r.next
    PyMem_Free(<char*>r - GC_HEAD)

cdef int traverse_run(PyObject* run, visitproc visit, void* arg) noexcept:
    cdef Run* r = <Run*>run
    cdef int i, stop = visit(r.parameters, arg)
    if r.inputs != NULL:
        for i in range(matrix(r).nin):
            if r.inputs[i] != NULL and stop == 0:
                stop = visit(value_of(r.inputs[i]), arg)
    elif stop == 0:
        stop = visit(value_of(r.body.node.a), arg)
    return stop


# Forward.

cdef enum:
    SMALL = 1 << 16             # ints to this size: the sums of their products stay exact

cdef inline bint is_small(Number n) noexcept:
    return is_plain(n) and (n.kind != INTEGER or -SMALL <= n.x <= SMALL)

cdef bint set_input(Run* r, int i, PyObject* x) except -1:
    """Fill in one input; False where it is no plain number."""
    cdef Number n = data_of_node(node_of(x)) if x.ob_type == value_type else number_of(<object>x)
    if not is_small(n):
        return False
    r.x[i], r.x_kind[i] = n.x, n.kind
    if x.ob_type == value_type:
        r.inputs[i] = node_of(x)
        Py_INCREF(x)
    return True

cdef bint forward(Run* r) noexcept:
    """Compute the outputs; False where one is infinite, nan, or for Python's arithmetic."""
    cdef Matrix* m = matrix(r)
    cdef Run* previous = previous_layer(r)
    cdef double* x = r.x if previous == NULL else previous.data
    cdef Kind* x_kind = r.x_kind if previous == NULL else previous.data_kind
    cdef Kind kinds = INTEGER
    cdef Number y
    cdef int i, j
    for i in range(m.nin):
        kinds &= x_kind[i]
    arithmetic.sums(m.nin, m.width, m.data, x, r.sum)
    for j in range(m.nout):
        y.x, y.kind = r.sum[j], m.sum_kind[j] & kinds
        r.sum_kind[j] = y.kind
        if not isfinite(y.x):
            return False
        if m.op[j] == RELU:         # by far the most frequent
            y = apply(RELU, y.x, y.kind, 0, INTEGER)
        elif m.op[j] != ADD:
            y = apply(m.op[j], y.x, y.kind, SLOPE, REAL)
            if not is_plain(y):
                return False
        r.data[j], r.data_kind[j] = y.x, y.kind
    return True

cdef object output(Run* r, int j):
    """The Value of an output."""
    if r.values[j] != NULL:
        return <object>value_of(r.values[j])
    cdef Number y
    y.x, y.kind = r.data[j], r.data_kind[j]
    value = number_node(y, FUSED, &r.body.node, NULL)
    cdef Node* n = node_of(<PyObject*>value)
    n.index = j
    if r.swept and not r.skip[j]:
        n.grad.x, n.grad_kind = r.grad[j], r.grad_kind[j]
    r.values[j] = n
    return value

cdef Run* run_layers(list parameters, PyObject* x) except? NULL:
    """The last layer's Run, or NULL where the plain way must be taken."""
    cdef Run* r = NULL
    cdef Run* previous = NULL
    cdef Parameters p
    cdef bint fine = True
    cdef int i
    try:
        for p in parameters:
            r = new_run(p, previous)
            if previous != NULL:
                Py_DECREF(&previous.body.head)
            previous = r
            if r.inputs != NULL:
                for i in range(p.m.nin):
                    fine = fine and set_input(r, i, PySequence_Fast_ITEMS(x)[i])
            if not fine or not forward(r):
                Py_DECREF(&r.body.head)
                return NULL
    except:
        if previous != NULL:
            Py_DECREF(&previous.body.head)
        raise
    return r

def _fused(layers, x):
    """The layers applied to x, one after the other, or None where the plain way must be taken."""
    cdef Parameters p
    cdef Run* r
    cdef int width, j
    if type(layers) is not list or not layers or not all_as_shipped():
        return None
    if type(x) is not list and type(x) is not tuple:
        if type(x).__name__ != "ndarray":
            return None         # a generator, say, that the first neuron empties
        x = list(x)
    width = len(x)
    parameters = []
    for layer in layers:
        p = parameters_of(layer)
        if p is None or not p.m.fusable or width < p.m.nin or (width > p.m.nin and parameters):
            return None         # say, a short input
        width = p.m.nout
        parameters.append(p)
    r = run_layers(parameters, <PyObject*>x)
    if r == NULL:
        return None
    try:
        if width == 1:
            return output(r, 0)
        outputs = [None] * width
        for j in range(width):
            outputs[j] = output(r, j)
        return outputs
    finally:
        Py_DECREF(&r.body.head)


# Backward.

cdef bint may_stay_fused(Run* r) noexcept:
    """Whether a sweep may take this Run, and those before it, as they are."""
    cdef int i
    cdef Node* n
    while r != NULL:
        if r.swept or matrix(r).dissolved:
            return False
        if r.inputs != NULL:
            for i in range(matrix(r).nin):
                n = r.inputs[i]
                if n != NULL and (n.grad_kind == OBJECT or not is_small(data_of_node(n))):
                    return False
        r = previous_layer(r)
    return True

cdef inline Number grad_of_sum(Run* r, int j, double y, Kind y_kind, double g, Kind g_kind) noexcept:
    """The gradient of neuron j's sum, from data and gradient of its output."""
    cdef int op = matrix(r).op[j]
    cdef Number grad
    if op == ADD:
        grad.x, grad.kind = g, g_kind
        return grad
    if op == RELU:
        return derivatives(RELU, 0, INTEGER, 0, INTEGER, y, y_kind, g, g_kind).a
    return derivatives(op, r.sum[j], r.sum_kind[j], SLOPE, REAL, y, y_kind, g, g_kind).a

cdef bint sweep_output(Node* n) noexcept:
    """Pass the gradient of a FUSED node on to its Run; False where that takes Python."""
    cdef Run* r = run_of(n)
    cdef Number g
    if n.data_kind == OBJECT or n.grad_kind == OBJECT:
        return False
    g = grad_of_sum(r, n.index, n.data.x, n.data_kind, n.grad.x, n.grad_kind)
    if not is_small(g):
        return False
    set_sum_grad(r, n.index, g)
    return True

cdef inline void set_sum_grad(Run* r, int j, Number g) noexcept:
    r.sum_grad[j], r.sum_grad_kind[j], r.skip[j] = g.x + 0.0, g.kind, 0

cdef Py_ssize_t multiply_adds(Run* r) noexcept:
    """The work of sweeping r and the layers before it."""
    cdef Py_ssize_t count = 0
    while r != NULL:
        count += <Py_ssize_t>matrix(r).nin * matrix(r).width
        r = previous_layer(r)
    return count

cdef void sweep_layers(Run* r) noexcept:
    """Apply the chain rule to r and to the layers before it."""
    cdef bint inner = False     # only the next layer can have used r's outputs
    while r != NULL:
        sweep_layer(r, inner)
        r, inner = previous_layer(r), True

cdef void sweep_layer(Run* r, bint inner) noexcept:
    cdef Matrix* m = matrix(r)
    cdef Run* previous = previous_layer(r)
    cdef Number grad
    cdef int i, j
    for j in range(m.nout):
        if inner:
            set_sum_grad(r, j, grad_of_sum(r, j, r.data[j], r.data_kind[j], r.grad[j], r.grad_kind[j]))
        elif r.skip[j]:
            r.sum_grad[j], r.sum_grad_kind[j] = 0, INTEGER
    r.swept = True
    if previous != NULL:
        arithmetic.sums_backward(m.nin, m.width, m.data, previous.data, r.sum_grad, m.grad, previous.grad)
        sweep_kinds(r, previous.data_kind, previous.grad_kind)
        return
    for i in range(m.nin):
        if r.inputs[i] != NULL:     # operands are read at backward time
            r.x[i], r.x_kind[i] = data_of_node(r.inputs[i]).x, data_of_node(r.inputs[i]).kind
    arithmetic.sums_backward(m.nin, m.width, m.data, r.x, r.sum_grad, m.grad, r.dx)
    sweep_kinds(r, r.x_kind, r.dx_kind)
    for i in range(m.nin):
        if r.inputs[i] != NULL:
            grad = grad_of_node(r.inputs[i])
            grad.x += r.dx[i]
            grad.kind &= r.dx_kind[i]
            set_grad_of_node(r.inputs[i], grad)

cdef void sweep_kinds(Run* r, const Kind* x, Kind* dx) noexcept:
    """The kinds of the gradients of r's parameters and inputs, from those of its sums."""
    cdef Matrix* m = matrix(r)
    cdef Kind g = r.sum_grad_kind[0], all = m.weight_kinds if m.kinds_known else OBJECT
    cdef bint same = m.grad_kinds != OBJECT
    cdef int i, j
    for i in range(m.nin):
        all &= x[i]
    for j in range(m.nout):
        same &= r.sum_grad_kind[j] == g and not r.skip[j]
    if same and all & g == g:       # nearly always: one kind, and every product is of it
        set_all_grad_kinds(m, m.grad_kinds & g)
        memset(dx, g, m.nin)
    else:
        arithmetic.kinds_backward(m.nin, m.width, m.data_kind, x, r.sum_grad_kind, r.skip,
                                  m.grad_kind, dx)
        know_grad_kinds(m)
