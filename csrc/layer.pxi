# Fused layers: the layers of a network, applied to one input, are one call.
#
#       inputs        layer 1       layer 2                 a Stage for the inputs and one for each
#       x0, x1 ...    y0, y1 ...    out0, out1 ...          layer: its neurons' numbers
#                     |             |
#                     Matrix        Matrix                  the parameters (parameters.pxi)
#
# A neuron's products and partial sums are no nodes until the call is made plain (call.pxi): then
# the nodes of the original are made, with the data and gradients that they would hold there.

cdef const Arithmetic* arithmetic = &arithmetics[arithmetic_count() - 1]

def _arithmetics():
    """The names of the arithmetics that this processor can run."""
    return [arithmetics[i].name.decode() for i in range(arithmetic_count())]

def _choose_arithmetic(name):
    """Compute layers with the arithmetic of this name; returns the former one's. For the tests."""
    global arithmetic
    former = arithmetic.name.decode()
    arithmetic = &arithmetics[_arithmetics().index(name)]
    return former

cdef struct Stage:
    int width                   # of a row
    int nout
    PyObject* parameters        # an owned reference. The inputs have neither this nor a version
    Version* version            # of the parameters' numbers, when the call was made
    Numbers out, sum            # sum: b + w x, before the activation
    Numbers out_grad, sum_grad
    Kind common                 # the intersection of the kinds of out

cdef struct LayersCall:
    Call call
    int depth                   # how many stages, with that of the inputs
    bint swept
    bint rounds                 # a number is a numpy.float32: all are computed one by one
    bint piecewise              # each layer is piecewise linear
    bint integers               # an input is one of numpy's ints or bools
    Py_ssize_t size             # of its memory, in bytes
    PyObject** inputs           # each a Value, a bool, or one of numpy's ints or bools; else NULL
    Stage stages[1]

cdef inline Matrix* matrix(Stage* s) noexcept:
    return &(<Parameters>s.parameters).m

cdef inline Node* input_node(LayersCall* c, int i) noexcept:
    """Input i, if it is a Value, or NULL."""
    cdef PyObject* x = c.inputs[i]
    return node_of(x) if x != NULL and x.ob_type == value_type else NULL


# Making a call.

cdef enum:
    SPARE_CALLS = SPARE << 17   # bytes of freed calls that are kept for the next ones

cdef Call* spare_calls = NULL   # linked through next
cdef Py_ssize_t spare_size = 0

cdef LayersCall* allocate_call(Py_ssize_t size) noexcept:
    """Memory for a call, with the garbage collector's head before it, or NULL."""
    global spare_calls, spare_size
    cdef LayersCall* c = <LayersCall*>spare_calls
    if c != NULL and c.size == size:
        spare_calls = c.call.next
        spare_size -= size
        return c
    cdef char* memory = <char*>PyMem_Malloc(sizeof(GCHead) + size)
    return NULL if memory == NULL else <LayersCall*>(memory + sizeof(GCHead))

cdef void free_memory(LayersCall* c) noexcept:
    global spare_calls, spare_size
    if spare_size + c.size > SPARE_CALLS:
        PyMem_Free(<char*>c - sizeof(GCHead))
        return
    c.call.next, spare_calls = spare_calls, &c.call
    spare_size += c.size

cdef LayersCall* new_call(tuple layers) except NULL:
    """A call of the layers with these Parameters, before its numbers are computed."""
    cdef int depth = len(layers) + 1, nin = (<Parameters>layers[0]).m.nin, nout = 0
    cdef Py_ssize_t count = nin, size       # of the numbers in a row of each Stage
    cdef Stage* s
    cdef LayersCall* c
    for layer in layers:
        count += (<Parameters>layer).m.width
        nout = (<Parameters>layer).m.nout
    size = (sizeof(LayersCall) + (depth - 1) * sizeof(Stage) + (nin + nout) * sizeof(void*)
            + 4 * count * (sizeof(double) + sizeof(Kind)))
    c = <LayersCall*>checked(allocate_call(size))
    c.size, c.depth, c.swept, c.integers = size, depth, False, False
    c.rounds, c.piecewise, c.call.work = False, True, 0
    c.inputs = <PyObject**>(c.stages + depth)
    c.call.outputs = <Node**>(c.inputs + nin)
    s = c.stages
    s.nout = nin
    lay_out(s, nin, numbers_in(c.call.outputs + nout, 4 * count))
    for layer in layers:
        s += 1
        enter_layer(c, s, <Parameters>layer)
    memset(c.inputs, 0, (nin + nout) * sizeof(void*))
    c.call.wanted = NULL            # each output was computed from all inputs
    c.call.nout, c.call.grad, c.call.grad_kind = nout, s.out_grad.x, s.out_grad.kind
    begin_call(&c.call, &layers_kind)
    return c

cdef inline void lay_out(Stage* s, int width, Numbers room) noexcept:
    s.width = width
    s.out, s.sum = room, numbers_from(room, width)
    s.out_grad, s.sum_grad = numbers_from(room, 2 * width), numbers_from(room, 3 * width)

cdef inline void enter_layer(LayersCall* c, Stage* s, Parameters p) noexcept:
    lay_out(s, p.m.width, numbers_from((s - 1).sum_grad, (s - 1).width))
    s.parameters, s.version, s.nout = <PyObject*>p, p.m.version, p.m.nout
    Py_INCREF(s.parameters)
    s.version.users += 1
    c.call.work += matrix_size(&p.m)
    c.rounds |= p.m.rounds
    c.piecewise &= p.m.piecewise
    memset(s.sum_grad.x + s.nout, 0, (s.width - s.nout) * sizeof(double))   # the padding

cdef void release_layers(Call* call, PyObject** dead) noexcept:
    cdef LayersCall* c = <LayersCall*>call
    cdef int i
    for i in range(c.stages[0].nout):
        if c.inputs[i] != NULL:
            release_to(dead, c.inputs[i])
    for i in range(1, c.depth):
        release(c.stages[i].version)
        Py_DECREF(c.stages[i].parameters)
    free_memory(c)

cdef int traverse_layers(Call* call, visitproc visit, void* arg) noexcept:
    cdef LayersCall* c = <LayersCall*>call
    cdef int i, stop = 0
    for i in range(c.stages[0].nout):
        if stop == 0 and c.inputs[i] != NULL:
            stop = visit(c.inputs[i], arg)
    for i in range(1, c.depth):
        if stop == 0:
            stop = visit(c.stages[i].parameters, arg)
    return stop


# Forward.

cdef enum:
    SMALL = 1 << 16             # up to this size of ints, sums of their products are exact

cdef inline bint is_small(Number n) noexcept:
    return is_plain(n) and (n.kind != INTEGER or -SMALL <= n.x <= SMALL)

cdef Number input_number(PyObject* x, bint* integer) noexcept:
    """The number that a weight is multiplied by; and whether x is one of numpy's ints or bools,
    whose product with a float is a numpy.float64."""
    cdef Number n
    integer[0] = False
    if x.ob_type == value_type:
        n = data_of_node(node_of(x))
        if n.kind != OBJECT or node_of(x).data.object == NULL:
            return n
        x = node_of(x).data.object
    n = known_number(x)
    if n.kind == OBJECT and is_bool(x):
        n = Number(PyObject_IsTrue(x), INTEGER)
    elif n.kind == OBJECT:
        n = Number(PyObject_IsTrue(x), NUMPY) if x.ob_type == numpy_bool else numpy_int(x)
        integer[0] = n.kind != OBJECT
    return n

cdef inline bint is_bool(PyObject* x) noexcept:
    return x.ob_type == <PyTypeObject*>bool

cdef bint set_inputs(LayersCall* c, PyObject** x) noexcept:
    """Fill in the inputs; False where one is no number, or too large an int."""
    cdef Stage* s = &c.stages[0]
    cdef Number n
    cdef bint integer
    cdef int i
    s.common = INTEGER
    for i in range(s.nout):
        n = input_number(x[i], &integer)
        if not is_small(n):
            return False
        set_number(s.out, i, n)
        s.common &= n.kind
        c.rounds |= n.kind == FLOAT32
        c.integers |= integer
        if integer or x[i].ob_type == value_type or is_bool(x[i]):
            c.inputs[i] = x[i]
            Py_INCREF(x[i])
    return True

cdef bint forward(LayersCall* c) noexcept:
    """Compute the outputs; False where one is infinite or nan, or needs Python's arithmetic."""
    cdef int i
    if c.rounds and (c.integers or not c.piecewise):
        return False
    for i in range(1, c.depth):
        if not forward_stage(&c.stages[i], &c.stages[i - 1], c.rounds):
            return False
    return True

cdef bint forward_stage(Stage* s, Stage* before, bint rounds) noexcept:
    cdef Matrix* m = matrix(s)
    cdef Number y
    cdef int j
    if not rounds:
        arithmetic.sums(1, m.nin, m.width, m.data.x, before.out.x, 0, s.sum.x)
        if m.piecewise:
            s.common = arithmetic.outputs(m.nout, m.relu, m.sum_kind, before.common, s.sum.x,
                                          s.out.x, s.out.kind)
            return s.common != OBJECT
    s.common = INTEGER
    for j in range(m.nout):
        y = (rounded_sum(m, before, j) if rounds
             else Number(s.sum.x[j], m.sum_kind[j] & before.common))
        if not activate(s, j, y):
            return False
    return True

cdef inline Number rounded_sum(Matrix* m, Stage* before, int j) noexcept:
    """b + w x, where each product and each sum gets the kind that it has in Python."""
    cdef Number y = number_at(m.data, <Py_ssize_t>m.nin * m.width + j)
    cdef int i
    for i in range(m.nin):
        y = plus(y, times(number_at(m.data, <Py_ssize_t>i * m.width + j), number_at(before.out, i)))
    return y

cdef inline bint activate(Stage* s, int j, Number y) noexcept:
    """Set output j from its sum; False where one of the two is no number."""
    cdef int op = matrix(s).op[j]
    set_number(s.sum, j, y)
    if op != ADD and is_plain(y):
        y = apply(op, y.x, y.kind, SLOPE, REAL)
    set_number(s.out, j, y)
    s.common &= y.kind
    return is_plain(y)


# What nn calls.

def _fused(layers, x):
    """The layers applied to x, one after the other; None where Python must call them."""
    cdef tuple parameters
    cdef list outputs
    cdef LayersCall* c
    cdef int nin, j
    if type(layers) is not list or is_traced():
        return None
    know_numpy_types()
    if type(x) is not list and type(x) is not tuple:
        if Py_TYPE(<PyObject*>x) != numpy_array:
            return None         # a generator, for example, which the first neuron empties
        x = list(x)
    parameters = parameters_of_layers(<list>layers)
    if parameters is None:
        return None
    outputs = [None] * (<Parameters>parameters[len(parameters) - 1]).m.nout
    nin = (<Parameters>parameters[0]).m.nin         # of a longer x, the original ignores the rest
    # From here on, no Python code runs until the call is made.
    if (not all_as_shipped() or not fit(parameters, nin)
            or PySequence_Fast_GET_SIZE(<PyObject*>x) < nin):
        return None
    c = new_call(parameters)
    try:
        if not set_inputs(c, PySequence_Fast_ITEMS(<PyObject*>x)) or not forward(c):
            return None
        for j in range(c.call.nout):
            outputs[j] = new_output(&c.call, j, number_at(c.stages[c.depth - 1].out, j))
        return outputs[0] if c.call.nout == 1 else outputs
    finally:
        Py_DECREF(&c.call.body.head)

cdef bint fit(tuple parameters, int given) noexcept:
    """Whether the layers take so many inputs, and then each other's outputs; False too where one
    may have changed, or has an activation of the program's own."""
    for p in parameters:
        if ((<Parameters>p).m.nin != given or not is_unchanged(<Parameters>p)
                or (<Parameters>p).functions & own_functions):
            return False
        given = (<Parameters>p).m.nout
    return True


# The sort and the sweep.

cdef int visit_layers(Call* call, Sweep* s) except -1:
    cdef LayersCall* c = <LayersCall*>call
    cdef int i
    for i in range(1, c.depth):
        if matrix(&c.stages[i]).unpacked:       # then they may be no leaves
            visit_all(s, (<Parameters>c.stages[i].parameters).values)
    for i in range(c.stages[0].nout - 1, -1, -1):
        if input_node(c, i) != NULL:
            visit_later(s, input_node(c, i))
    return 0

cdef bint layers_are_current(Call* call) noexcept:
    """Whether all parameters, inputs and outputs still to come have their numbers, and the call was
    not swept."""
    cdef LayersCall* c = <LayersCall*>call
    cdef Stage* last = &c.stages[c.depth - 1]
    cdef Node* n
    cdef bint integer
    cdef int i
    if c.swept:
        return False
    for i in range(call.nout):
        if (call.outputs[i] != NULL and call.grad_kind[i] == NO_GRADIENT
                and not is_same(data_of_node(call.outputs[i]), number_at(last.out, i))):
            return False
    for i in range(1, c.depth):
        if matrix(&c.stages[i]).unpacked or matrix(&c.stages[i]).version != c.stages[i].version:
            return False
    for i in range(c.stages[0].nout):
        n = input_node(c, i)
        if n != NULL and (n.grad_kind == OBJECT or not is_same(
                input_number(value_of(n), &integer), number_at(c.stages[0].out, i))):
            return False
    return True

cdef inline bint is_same(Number a, Number b) noexcept:
    return a.x == b.x and a.kind == b.kind

cdef bint accepts_gradient(Call* call, int j, Number g) noexcept:
    cdef LayersCall* c = <LayersCall*>call
    if c.integers and (g.kind == INTEGER or g.kind == FLOAT32):
        return False            # its product with one of numpy's ints has another type
    if g.kind == FLOAT32 and not c.piecewise:
        return False
    return is_small(g) and is_plain(grad_of_sum(&c.stages[c.depth - 1], j, g))

cdef Number grad_of_sum(Stage* s, int j, Number g) noexcept:
    """The gradient of a neuron's sum, from that of its output."""
    cdef Number a = number_at(s.sum, j), y = number_at(s.out, j)
    return derivatives(matrix(s).op[j], a.x, a.kind, SLOPE, REAL, y.x, y.kind, g.x, g.kind).a

cdef bint sweep_layers(Call* call) noexcept:
    """Apply the chain rule to the layers, the last one first."""
    cdef LayersCall* c = <LayersCall*>call
    cdef Node* n
    cdef int i
    c.swept = True
    c.rounds |= memchr(call.grad_kind, FLOAT32, call.nout) != NULL
    for i in range(c.depth - 1, 0, -1):
        sweep_stage(c, &c.stages[i], &c.stages[i - 1])
    for i in range(c.stages[0].nout):
        n = input_node(c, i)
        if n != NULL:
            set_grad_of_node(n, plus(grad_of_node(n), number_at(c.stages[0].out_grad, i)))
    return True

cdef void sweep_stage(LayersCall* c, Stage* s, Stage* before) noexcept:
    cdef Matrix* m = matrix(s)
    sweep_activations(s)
    if c.rounds or m.rounds:
        sweep_one_by_one(s, before)
    else:
        arithmetic.sums_backward(m.nin, m.width, m.data.x, before.out.x, s.sum_grad.x, m.grad.x,
                                 before.out_grad.x)
        sweep_kinds(s, before)

cdef void sweep_kinds(Stage* s, Stage* before) noexcept:
    """Set the kinds of the gradients of parameters and inputs: one by one in the rare case that
    they differ."""
    cdef Matrix* m = matrix(s)
    cdef Kind g = common_kind(1, m.nout, m.nout, s.sum_grad.kind), sum = m.all_grad_kind & g
    if m.weight_kind == OBJECT or sum == OBJECT or before.common & sum != sum:
        kinds_backward(m.nin, m.nout, m.width, m.data.kind, before.out.kind,
                       s.sum_grad.kind, m.grad.kind, before.out_grad.kind)
        m.all_grad_kind = common_kind(m.nin + 1, m.nout, m.width, m.grad.kind)
    else:
        set_grad_kinds(m, sum)
        memset(before.out_grad.kind, m.weight_kind & g, before.nout)

cdef void sweep_activations(Stage* s) noexcept:
    """Compute the gradients of the sums from those of the outputs."""
    cdef Matrix* m = matrix(s)
    cdef Number g
    cdef int j
    if m.piecewise:
        arithmetic.outputs_backward(m.nout, m.relu, s.out.x, s.out.kind, s.out_grad.x,
                                    s.out_grad.kind, s.sum_grad.x, s.sum_grad.kind)
        return
    for j in range(m.nout):
        g = number_at(s.out_grad, j)
        if g.kind != NO_GRADIENT:
            g = grad_of_sum(s, j, g)
            g.x += 0.0          # -0.0 becomes 0.0, as in a sum that begins at 0
        set_number(s.sum_grad, j, g)

cdef void sweep_one_by_one(Stage* s, Stage* before) noexcept:
    """Compute the gradients of parameters and inputs from those of the sums, each of the kind that
    it has in Python."""
    cdef Matrix* m = matrix(s)
    cdef Py_ssize_t place
    cdef Number g
    cdef int i, j
    memset(before.out_grad.x, 0, m.nin * sizeof(double))
    memset(before.out_grad.kind, INTEGER, m.nin)
    for j in range(m.nout):
        g = number_at(s.sum_grad, j)
        if g.kind == NO_GRADIENT:
            continue
        for i in range(m.nin):
            place = <Py_ssize_t>i * m.width + j
            add_number(m.grad, place, times(number_at(before.out, i), g))
            add_number(before.out_grad, i, times(number_at(m.data, place), g))
        add_number(m.grad, <Py_ssize_t>m.nin * m.width + j, g)
    m.all_grad_kind = OBJECT    # they may differ
    m.rounds = True


# The plain nodes.

cdef int make_layers_plain(Call* call) except -1:
    cdef LayersCall* c = <LayersCall*>call
    cdef int i, j, last = c.depth - 1
    cdef Node* n
    kept = <object>&call.body.head      # the last output releases it
    cdef list nodes = []        # those of each stage. No Python code runs until they are made.
    for i in range(c.depth):
        nodes.append([None] * c.stages[i].nout)
    for j in range(c.stages[0].nout):
        if input_node(c, j) != NULL:
            nodes[0][j] = <object>c.inputs[j]
    for i in range(1, c.depth):
        for j in range(c.stages[i].nout):
            if i < last or call.outputs[j] != NULL:
                nodes[i][j] = plain_neuron(c, &c.stages[i], j, nodes[i - 1])
    for j in range(call.nout):
        if call.outputs[j] != NULL and nodes[last][j] is not None:
            n = node_of(<PyObject*>nodes[last][j])
            replace_operands(call.outputs[j], n.op, n.a, n.b, NULL)
    return 0

cdef object plain_neuron(LayersCall* c, Stage* s, int j, list inputs):
    """The output of neuron j of a stage, over plain nodes."""
    cdef int op = matrix(s).op[j]
    out = plain_sum(c, s, j, inputs)
    if op != ADD:
        slope = plain_leaf(SLOPE) if op == LEAKY_RELU else None
        out = number_node(number_at(s.out, j), op, node_of(<PyObject*>out),
                          NULL if slope is None else node_of(<PyObject*>slope))
    if c.swept and s.out_grad.kind[j] != NO_GRADIENT:
        set_grad_of_node(node_of(<PyObject*>out), number_at(s.out_grad, j))
    return out

cdef object plain_sum(LayersCall* c, Stage* s, int j, list inputs):
    """The sum of a neuron as plain nodes, with their data, and their gradients if there are any."""
    cdef Matrix* m = matrix(s)
    cdef tuple values = (<Parameters>s.parameters).values
    cdef Py_ssize_t at = <Py_ssize_t>j * (m.nin + 1)
    cdef Numbers then = numbers_from(s.version.data, j)     # its weights when the call was made
    cdef Number w, x, wx, y = number_at(then, <Py_ssize_t>m.nin * m.width)
    cdef Number g = number_at(s.sum_grad, j)
    cdef bint swept = c.swept and g.kind != NO_GRADIENT
    cdef int k
    raise_interrupt()
    total = values[at + m.nin]
    for k in range(m.nin):
        w, x = number_at(then, <Py_ssize_t>k * m.width), number_at((s - 1).out, k)
        wx = times(w, x)
        y = plus(y, wx)
        weight, operand = values[at + k], inputs[k]
        if operand is None:     # each product gets its own, as in the original
            operand = (number_node(x, LEAF, NULL, NULL) if c.inputs[k] == NULL
                       else plain_leaf(<object>c.inputs[k]))
        product = number_node(wx, MUL, node_of(<PyObject*>weight), node_of(<PyObject*>operand))
        total = number_node(y, ADD, node_of(<PyObject*>total), node_of(<PyObject*>product))
        if swept:
            set_grad_of_node(node_of(<PyObject*>product), g)
            set_grad_of_node(node_of(<PyObject*>total), g)
            if inputs[k] is None:
                add(node_of(<PyObject*>operand), times(w, g))
    return total

cdef object name_of_neuron(Call* call, int j):
    cdef LayersCall* c = <LayersCall*>call
    return operation_symbols[matrix(&c.stages[c.depth - 1]).op[j]]

cdef Number result_of_layers(Call* call, int j) noexcept:
    cdef LayersCall* c = <LayersCall*>call
    return number_at(c.stages[c.depth - 1].out, j)

cdef CallKind layers_kind
layers_kind.visit, layers_kind.sweep = visit_layers, sweep_layers
layers_kind.is_current, layers_kind.accepts = layers_are_current, accepts_gradient
layers_kind.make_plain, layers_kind.name = make_layers_plain, name_of_neuron
layers_kind.result, layers_kind.traverse = result_of_layers, traverse_layers
layers_kind.release = release_layers
