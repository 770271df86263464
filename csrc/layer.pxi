# Fused layers: one node for a whole layer applied to one input.
#
#       x0, x1 ... <-- Run <-- Run <-- Run <-- out      each Run holds its layer's values and gradients,
#                       |       |       |               and its Matrix the parameters, side by side
#                     Matrix  Matrix  Matrix
#
# A neuron's products and partial sums do not exist until somebody looks: `_prev`, `_backward`, a
# second sweep, one after a parameter or input was changed, a Python callback during a sweep. Then
# `expand` makes the nodes that the original would have, with the data and gradients they would hold,
# and the Run is gone.
#
# The parameters stay Values in n.w and n.b. While a layer is fused, their numbers stand in the
# layer's Matrix (kind PACKED); one that gets an object for data, a callback, or another layer,
# dissolves the Matrix, and they all hold their own numbers again. A Run keeps the Version of the
# numbers that it was computed with, for `expand`: the first change after it begins another one.

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

cdef enum:
    SPARE_RUNS = SPARE << 17    # bytes of dead Runs that a layer keeps

cdef struct Run:
    Body body                   # op is RUN, a the previous Run or NULL
    PyObject* parameters        # an owned reference
    Version* version            # of the parameters' numbers, when it was made
    Run* next                   # all Runs, for the garbage collector
    Run* previous
    bint swept
    Kind kinds                  # what the kinds of its outputs have in common
    # one for each neuron
    double* data                # of its output
    double* grad                # of its output, for the layer before another's
    double* sum                 # before the activation
    double* sum_grad
    Node** values               # its output's Value, where there is one; not an owned reference
    Kind* data_kind
    Kind* grad_kind
    Kind* sum_kind              # only in a layer with other activations than the ReLU
    Kind* sum_grad_kind
    Kind* skip                  # all ones: no sweep came by its output
    # one for each input of a first layer
    Node** inputs               # an owned reference, or NULL for a number; NULL in another layer
    Node** input_places         # where inputs are in any first layer
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
    cdef Run* r = take_run(&p.m)
    if r == NULL:
        raise MemoryError
    memset(<char*>r - sizeof(GCHead), 0, sizeof(GCHead))
    init_head(&r.body.head, run_type)
    r.body.node.flags = 0
    r.body.node.a = NULL
    r.body.weakrefs = NULL      # by which the dead are linked
    if previous != NULL:
        r.body.node.a = &previous.body.node
        Py_INCREF(&previous.body.head)
    r.inputs = r.input_places if previous == NULL else NULL
    r.parameters = <PyObject*>p
    Py_INCREF(r.parameters)
    r.version = p.m.version
    r.version.users += 1
    r.swept = False
    memset(r.skip, 0xFF, p.m.width)
    r.next, r.previous = runs, NULL
    if runs != NULL:
        runs.previous = r
    runs = r
    return r

cdef inline Run* take_run(Matrix* m) noexcept:
    """Memory for a Run of this layer, its arrays in place and no Value in them; NULL if there is none."""
    cdef Run* r = m.spare
    if r == NULL:
        return allocate_run(m)
    m.spare = r.next
    m.spare_size -= size_of_run(m)
    return r

cdef inline Py_ssize_t size_of_run(Matrix* m) noexcept:
    return (sizeof(GCHead) + sizeof(Run) + m.width * (4 * sizeof(double) + sizeof(Node*) + 5)
            + m.nin * (2 * sizeof(double) + sizeof(Node*) + 2))

cdef Run* allocate_run(Matrix* m) noexcept:
    cdef Py_ssize_t width = m.width, nin = m.nin
    cdef char* memory = <char*>PyMem_Calloc(1, size_of_run(m))
    if memory == NULL:
        return NULL
    cdef Run* r = <Run*>(memory + sizeof(GCHead))
    r.body.node.op = RUN
    r.body.node.data_kind = r.body.node.grad_kind = INTEGER
    r.data = <double*>(r + 1)
    r.grad = r.data + width
    r.sum = r.grad + width
    r.sum_grad = r.sum + width
    r.x = r.sum_grad + width
    r.dx = r.x + nin
    r.values = <Node**>(r.dx + nin)
    r.input_places = r.values + width
    r.data_kind = <Kind*>(r.input_places + nin)
    r.grad_kind = r.data_kind + width
    r.sum_kind = r.grad_kind + width
    r.sum_grad_kind = r.sum_kind + width
    r.skip = r.sum_grad_kind + width
    r.x_kind = r.skip + width
    r.dx_kind = r.x_kind + nin
    return r

cdef void bury_run(Run* r) noexcept:
    global runs
    cdef PyObject* parameters = r.parameters
    cdef Matrix* m = matrix(r)
    cdef Node* input
    cdef int i
    if r.next != NULL:
        r.next.previous = r.previous
    if r.previous != NULL:
        r.previous.next = r.next
    else:
        runs = r.next
    if r.inputs != NULL:
        for i in range(m.nin):
            input, r.inputs[i] = r.inputs[i], NULL
            if input != NULL:
                Py_DECREF(value_of(input))
    if r.body.node.a != NULL:
        Py_DECREF(value_of(r.body.node.a))
    release(r.version)
    if m.spare_size + size_of_run(m) <= SPARE_RUNS:
        r.next, m.spare = m.spare, r
        m.spare_size += size_of_run(m)
    else:
        PyMem_Free(<char*>r - sizeof(GCHead))
    Py_DECREF(parameters)

cdef void free_spare_runs(Matrix* m) noexcept:
    cdef Run* r
    while m.spare != NULL:
        r, m.spare = m.spare, m.spare.next
        PyMem_Free(<char*>r - sizeof(GCHead))

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
    cdef Kind x_kinds = common(r.x_kind, m.nin) if previous == NULL else previous.kinds
    arithmetic.sums(m.nin, m.width, m.data, x, r.sum)
    if not (m.all_relu or m.all_linear):
        return activate(r, x_kinds)
    r.kinds = arithmetic.outputs(m.nout, m.all_relu, m.sum_kind, x_kinds, r.sum, r.data, r.data_kind)
    return r.kinds != OBJECT

cdef inline Kind common(const Kind* kinds, int count) noexcept:
    """What some kinds have in common."""
    cdef Kind all = INTEGER
    cdef int i
    for i in range(count):
        all &= kinds[i]
    return all

cdef bint activate(Run* r, Kind x_kinds) noexcept:
    """Compute the outputs from the sums, by any activations."""
    cdef Matrix* m = matrix(r)
    cdef Number y
    cdef int j
    for j in range(m.nout):
        y.x, y.kind = r.sum[j], m.sum_kind[j] & x_kinds
        r.sum_kind[j] = y.kind
        if not isfinite(y.x):
            return False
        if m.op[j] != ADD:
            y = apply(m.op[j], y.x, y.kind, SLOPE, REAL)
            if not is_plain(y):
                return False
        r.data[j], r.data_kind[j] = y.x, y.kind
    r.kinds = common(r.data_kind, m.nout)
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

cdef Run* run_layer(Parameters p, Run* previous, PyObject* x) except? NULL:
    """The layer applied to the outputs of the previous one, else to the inputs x; NULL where the plain
    way must be taken."""
    cdef Run* r = new_run(p, previous)
    cdef bint fine = True
    cdef int i
    if previous == NULL:
        for i in range(p.m.nin):
            fine = fine and i < PySequence_Fast_GET_SIZE(x) and set_input(r, i, PySequence_Fast_ITEMS(x)[i])
    if fine and forward(r):
        return r
    Py_DECREF(&r.body.head)
    return NULL

cdef Run* run_layers(list layers, object x) except? NULL:
    """The last layer's Run, or NULL where the plain way must be taken."""
    cdef Run* r = NULL
    cdef Run* previous = NULL
    cdef Parameters p
    cdef Py_ssize_t width = PySequence_Fast_GET_SIZE(<PyObject*>x)
    try:
        for layer in layers:
            previous, r = r, NULL
            p = parameters_of(layer)
            # a short input, say, is the plain way's
            if p is None or not p.m.fusable or width < p.m.nin or (width > p.m.nin and previous != NULL):
                return NULL
            r = run_layer(p, previous, <PyObject*>x)
            if r == NULL:
                return NULL
            width = p.m.nout
            if previous != NULL:
                Py_DECREF(&previous.body.head)
                previous = NULL
        return r
    finally:
        if previous != NULL:
            Py_DECREF(&previous.body.head)

def _fused(layers, x):
    """The layers applied to x, one after the other, or None where the plain way must be taken."""
    return fused(layers, x)

cdef object fused(layers, x):
    if type(layers) is not list or not PyList_GET_SIZE(<PyObject*>layers) or not all_as_shipped():
        return None
    if type(x) is not list and type(x) is not tuple:
        if type(x).__name__ != "ndarray":
            return None         # a generator, say, that the first neuron empties
        x = list(x)
    cdef Run* r = run_layers(<list>layers, x)
    if r == NULL:
        return None
    cdef int width = matrix(r).nout, j
    try:
        if width == 1:
            return output(r, 0)
        outputs = [None] * width
        for j in range(width):
            outputs[j] = output(r, j)
        return outputs
    finally:
        Py_DECREF(&r.body.head)


# model(x) comes here, past MLP.__call__, which would ask for the same. (Once a program sets MLP.__call__,
# Python puts its own call back into the class; subclasses have it from the start.)

ctypedef PyObject* (*Call)(PyObject*, PyObject*, PyObject*) noexcept
cdef Call call_by_python

cdef void take_calls(PyTypeObject* mlp_type) noexcept:
    global call_by_python
    if mlp_type.tp_call != call_model:
        call_by_python = mlp_type.tp_call
        mlp_type.tp_call = call_model

cdef PyObject* call_model(PyObject* model, PyObject* arguments, PyObject* keywords) noexcept:
    cdef PyObject* out
    if keywords == NULL and PyTuple_GET_SIZE(arguments) == 1 and not is_traced():
        out = (<Call>call_fused)(model, arguments, keywords)
        if out != Py_None:
            return out
        Py_DECREF(out)
    return call_by_python(model, arguments, keywords)

cdef object call_fused(PyObject* model, PyObject* arguments, PyObject* keywords):
    return fused((<object>model).layers, <object>PyTuple_GET_ITEM(arguments, 0))

cdef inline bint is_traced() noexcept:
    """Whether somebody steps through the program or profiles it, who is to see the call: by sys.settrace or
    sys.setprofile, that is. (To ask sys.monitoring takes longer than the call.)"""
    cdef PyThreadState* state = PyThreadState_Get()
    return state.c_tracefunc != NULL or state.c_profilefunc != NULL


# Backward.

cdef bint may_stay_fused(Run* r) noexcept:
    """Whether a sweep may take this Run, and those before it, as they are: the original reads the operands
    at backward time."""
    cdef int i
    cdef Node* n
    while r != NULL:
        if r.swept or matrix(r).dissolved or matrix(r).version != r.version:
            return False
        if r.inputs != NULL:
            for i in range(matrix(r).nin):
                n = r.inputs[i]
                if n != NULL and (n.grad_kind == OBJECT or not is_number(data_of_node(n), r.x[i], r.x_kind[i])):
                    return False
        r = previous_layer(r)
    return True

cdef inline bint is_number(Number n, double x, Kind kind) noexcept:
    """Whether n is x to the last bit."""
    return n.kind == kind and memcmp(&n.x, &x, sizeof(double)) == 0

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

cdef void forget_shares(Run* r) noexcept:
    """The sweep that outputs have told their gradients in will not come by."""
    if not r.swept:
        memset(r.skip, 0xFF, matrix(r).nout)

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
    cdef Kind kind = sweep_outputs(r) if inner else kind_of_outputs(r)
    cdef Number grad
    cdef int i
    r.swept = True
    if previous != NULL:
        arithmetic.sums_backward(m.nin, m.width, m.data, previous.data, r.sum_grad, m.grad, previous.grad)
        sweep_kinds(r, kind, previous.kinds, previous.data_kind, previous.grad_kind)
        return
    arithmetic.sums_backward(m.nin, m.width, m.data, r.x, r.sum_grad, m.grad, r.dx)
    sweep_kinds(r, kind, common(r.x_kind, m.nin), r.x_kind, r.dx_kind)
    for i in range(m.nin):
        if r.inputs[i] != NULL:
            grad = grad_of_node(r.inputs[i])
            grad.x += r.dx[i]
            grad.kind &= r.dx_kind[i]
            set_grad_of_node(r.inputs[i], grad)

# The next two give the kind of the gradients of all sums, or OBJECT where these differ.

cdef Kind sweep_outputs(Run* r) noexcept:
    """From the gradients of the outputs, that the next layer has left in r.grad, to those of the sums."""
    cdef Matrix* m = matrix(r)
    cdef int j
    if m.all_relu or m.all_linear:
        memset(r.skip, 0, m.nout)
        return arithmetic.outputs_backward(m.nout, m.all_relu, r.data, r.data_kind,
                                           r.grad, r.grad_kind, r.sum_grad, r.sum_grad_kind)
    for j in range(m.nout):
        set_sum_grad(r, j, grad_of_sum(r, j, r.data[j], r.data_kind[j], r.grad[j], r.grad_kind[j]))
    return kind_of_outputs(r)

cdef Kind kind_of_outputs(Run* r) noexcept:
    """From what the outputs have told already; those that no sweep came by have no gradient."""
    cdef bint same = True
    cdef int j
    for j in range(matrix(r).nout):
        if r.skip[j]:
            r.sum_grad[j], r.sum_grad_kind[j] = 0, INTEGER
        same &= r.sum_grad_kind[j] == r.sum_grad_kind[0] and not r.skip[j]
    return r.sum_grad_kind[0] if same else OBJECT

cdef void sweep_kinds(Run* r, Kind g, Kind x_kinds, const Kind* x, Kind* dx) noexcept:
    """The kinds of the gradients of r's parameters and inputs. g is that of all its sums, or OBJECT."""
    cdef Matrix* m = matrix(r)
    cdef Kind kept = m.grad_kinds & g
    if m.weight_kind & kept != OBJECT and x_kinds & kept == kept:     # nearly always: one kind for all
        set_all_grad_kinds(m, kept)
        memset(dx, m.weight_kind & g, m.nin)
    else:
        arithmetic.kinds_backward(m.nin, m.width, m.data_kind, x, r.sum_grad_kind, r.skip,
                                  m.grad_kind, dx)
        know_grad_kinds(m)
