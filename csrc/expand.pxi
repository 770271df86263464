# The plain nodes, on demand.

cdef int unfuse(Node* n) except -1:
    """Make n, if it is an output of a layer, the result of plain nodes."""
    if n.op == FUSED:
        expand(run_of(n))
    return 0

cdef int operation_of(Node* n) noexcept:
    """The operation that n is the result of, in the original's eyes."""
    if n.op != FUSED:
        return n.op
    return matrix(run_of(n)).op[n.index]

cdef int expand(Run* r) except -1:
    """Turn the Values of r's outputs into results of plain nodes, and the layer before into Values."""
    cdef Matrix* m = matrix(r)
    cdef Node** scratch = <Node**>PyMem_Calloc(m.nin + m.nout, sizeof(Node*))
    cdef Node** xs = scratch
    cdef Node** sums = scratch + m.nin
    cdef int i, j
    if scratch == NULL:
        raise MemoryError
    Py_INCREF(&r.body.head)
    try:
        slope = plain_leaf(SLOPE)
        for i in range(m.nin):
            xs[i] = owned(input_value(r, i))
        for j in range(m.nout):
            if r.values[j] != NULL:
                sums[j] = owned(sum_of_neuron(r, j, xs))
        for j in range(m.nout):
            if r.values[j] != NULL and sums[j] != NULL:
                replace_operands(r.values[j], sums[j], m.op[j], node_of(<PyObject*>slope))
    finally:
        for i in range(m.nin + m.nout):
            if scratch[i] != NULL:
                Py_DECREF(value_of(scratch[i]))
        PyMem_Free(scratch)
        Py_DECREF(&r.body.head)
    return 0

cdef Node* owned(object value) noexcept:
    """The node of a Value, with a reference of our own; NULL for None."""
    if value is None:
        return NULL
    Py_INCREF(<PyObject*>value)
    return node_of(<PyObject*>value)

cdef object input_value(Run* r, int i):
    """The Value that input i is, or None for a number."""
    if r.inputs == NULL:
        return output(previous_layer(r), i)
    return None if r.inputs[i] == NULL else <object>value_of(r.inputs[i])

cdef object sum_of_neuron(Run* r, int j, Node** xs):
    """The sum of neuron j as plain nodes, with the data and the gradients that it has by now."""
    cdef Matrix* m = matrix(r)
    cdef tuple values = (<Parameters>r.parameters).values
    cdef Py_ssize_t first = <Py_ssize_t>j * (m.nin + 1)
    cdef bint swept = r.swept and not r.skip[j]
    cdef Number w, x, wx, y = parameter(r, m.nin, j)
    cdef int i
    raise_interrupt()
    total = values[first + m.nin]
    for i in range(m.nin):
        w, x = parameter(r, i, j), input_number(r, i)
        wx = apply(MUL, w.x, w.kind, x.x, x.kind)
        y = apply(ADD, y.x, y.kind, wx.x, wx.kind)
        weight = values[first + i]
        operand = number_node(x, LEAF, NULL, NULL) if xs[i] == NULL else <object>value_of(xs[i])
        product = number_node(wx, MUL, node_of(<PyObject*>weight), node_of(<PyObject*>operand))
        total = number_node(y, ADD, node_of(<PyObject*>total), node_of(<PyObject*>product))
        if swept:
            set_grad(product, r.sum_grad[j], r.sum_grad_kind[j])
            set_grad(total, r.sum_grad[j], r.sum_grad_kind[j])
            if xs[i] == NULL:
                set_grad(operand, w.x * r.sum_grad[j] + 0.0, w.kind & r.sum_grad_kind[j])
    return total

cdef inline Number parameter(Run* r, int i, int j) noexcept:
    """Weight i of neuron j, or its bias, as it was when r was made."""
    cdef Py_ssize_t place = <Py_ssize_t>i * matrix(r).width + j
    cdef Number n
    n.x, n.kind = r.version.data[place], r.version.data_kind[place]
    return n

cdef inline Number input_number(Run* r, int i) noexcept:
    """Input i, as it was when r was made."""
    cdef Run* previous = previous_layer(r)
    cdef Number n
    if previous == NULL:
        n.x, n.kind = r.x[i], r.x_kind[i]
    else:
        n.x, n.kind = previous.data[i], previous.data_kind[i]
    return n

cdef void set_grad(object value, double x, Kind kind) noexcept:
    node_of(<PyObject*>value).grad.x, node_of(<PyObject*>value).grad_kind = x, kind

cdef void replace_operands(Node* out, Node* sum, int op, Node* slope) noexcept:
    """Make out the result of op on the sum, or stand in for the sum itself."""
    forget_operands(out)
    if op == ADD:
        adopt(out, ADD, sum.a, sum.b)
    else:
        adopt(out, op, sum, slope if op == LEAKY_RELU else NULL)

cdef int append_expanded(Nodes* order, Run* r) except -1:
    """For a sweep that has r to come: expand r and the layers before it, and append their plain
    nodes, results before operands."""
    cdef Run* previous
    cdef bint inner = False
    Py_INCREF(&r.body.head)
    while r != NULL:
        previous = previous_layer(r)
        if previous != NULL:
            Py_INCREF(&previous.body.head)
        try:
            append_layer(order, r, inner)
        except:
            if previous != NULL:
                Py_DECREF(&previous.body.head)
            raise
        finally:
            Py_DECREF(&r.body.head)
        r, inner = previous, True
    return 0

cdef int append_layer(Nodes* order, Run* r, bint inner) except -1:
    cdef Matrix* m = matrix(r)
    cdef Node** outputs = <Node**>PyMem_Calloc(m.nout, sizeof(Node*))
    cdef Node* n
    cdef int i, j
    if outputs == NULL:
        raise MemoryError
    try:
        for j in range(m.nout):     # those in this sweep, still to come or already swept
            n = r.values[j]
            if n != NULL and (inner or n.flags & VISITED or not r.skip[j]):
                outputs[j] = n
        expand(r)
        for j in range(m.nout):
            n = outputs[j]
            if n == NULL:
                continue
            reserve(order, 2 * m.nin + 2)
            if inner:
                push(order, n)
            elif not r.skip[j] and not add_numbers(n):
                add_objects(n)      # its share had only reached the Run
            if m.op[j] != ADD:
                n = n.a
                push(order, n)
            for i in range(m.nin):
                push(order, n.b)
                n = n.a
                if i < m.nin - 1:
                    push(order, n)
    finally:
        PyMem_Free(outputs)
    return 0
