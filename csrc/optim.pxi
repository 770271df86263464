# The steps of the optimisers over a list of parameters, where all of them are plain numbers. The
# formulas, with their sources, stand in micrograd/optim.py.

cdef double* open_doubles(object array, Py_buffer* view, Py_ssize_t count) except NULL:
    """The memory of an array of `count` doubles; the caller releases the view, whatever happens."""
    memset(view, 0, sizeof(Py_buffer))      # nothing to release, if the array is none
    PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_WRITABLE)
    if view.len != count * <Py_ssize_t>sizeof(double) or not has_format(view, c'd'):
        raise ValueError(f"an array of {count} doubles was expected")
    return <double*>view.buf

cdef bint may_move(list parameters, Py_ssize_t size) except -1:
    """Whether every parameter is a Value whose data and gradient are numbers, and `size` bytes are
    a double for each. Then moving one cannot fail, and no Python code runs until all are moved."""
    cdef Parameters layer
    cdef Py_ssize_t i = 0
    cdef Node* n
    if (is_recording() or not all_as_shipped()
            or size != len(parameters) * <Py_ssize_t>sizeof(double)):
        return False
    while i < len(parameters):
        if Py_TYPE(<PyObject*>parameters[i]) != value_type:
            return False
        layer = layer_at(parameters, i)
        n = node_of(<PyObject*>parameters[i])
        if data_of_node(n).kind == OBJECT or n.grad_kind == OBJECT:
            return False
        if n.data_kind == PACKED:
            before_change(matrix_of(n))
        i += 1 if layer is None else len(layer.values)
    return True

cdef void move_matrix(Matrix* m, double lr, double weight_decay, double sign) noexcept:
    """A step without momentum for all parameters of a layer, which are floats then."""
    cdef Py_ssize_t i, j
    cdef double* x
    cdef double* g
    for i in range(m.nin + 1):
        x, g = m.data.x + i * m.width, m.grad.x + i * m.width
        for j in range(m.nout):         # the padding stays 0; its gradient may be nan
            x[j] -= lr * (sign * g[j] if weight_decay == 0 else sign * g[j] + weight_decay * x[j])
    for i in range(matrix_size(m)):
        if m.data.kind[i] != REAL:
            m.data.kind[i] = REAL
            m.kinds_known = False

def _sgd(list parameters not None, velocity, double lr, double momentum, double weight_decay,
         bint nesterov, bint maximize, bint first):
    """One step of SGD; None where Python must take it. velocity is an array of a double for each
    parameter, not yet set at the first step."""
    cdef Py_buffer view
    cdef Py_ssize_t i = 0
    cdef Parameters layer
    cdef Node* n
    cdef double* v
    cdef double x, g, sign = -1 if maximize else 1
    try:
        v = open_doubles(velocity, &view, len(parameters))
        if not may_move(parameters, view.len):
            return None
        while i < len(parameters):
            layer = layer_at(parameters, i) if momentum == 0 else None
            if layer is not None:
                move_matrix(&layer.m, lr, weight_decay, sign)
                i += len(layer.values)
                continue
            n = node_of(<PyObject*>parameters[i])
            x, g = data_of_node(n).x, sign * grad_of_node(n).x
            if weight_decay != 0:       # 0 times an infinite x is nan
                g += weight_decay * x
            if momentum != 0:
                v[i] = g if first else momentum * v[i] + g
                g = g + momentum * v[i] if nesterov else v[i]
            put_number_data(n, Number(x - lr * g, REAL))
            i += 1
        return True
    finally:
        PyBuffer_Release(&view)

def _adam(list parameters not None, mean, square, greatest, double lr, double beta1, double beta2,
          double eps, double weight_decay, bint decoupled, bint maximize, double t):
    """Step t, from 1, of Adam, or with decoupled weight decay of AdamW; None where Python must take
    it. mean, square and, with amsgrad, greatest are arrays of a double for each parameter; greatest
    is None without."""
    cdef double rate = lr / (1 - pow(beta1, t)), scale = sqrt(1 - pow(beta2, t))
    cdef Py_buffer[3] views
    cdef Py_ssize_t i
    cdef Node* n
    cdef double* m
    cdef double* s
    cdef double* top = NULL
    cdef double x, g, square_now, weight = 1 - beta1, sign = -1 if maximize else 1
    memset(views, 0, sizeof(views))
    try:
        m = open_doubles(mean, &views[0], len(parameters))
        s = open_doubles(square, &views[1], len(parameters))
        if greatest is not None:
            top = open_doubles(greatest, &views[2], len(parameters))
        if (views[0].len != views[1].len or (top != NULL and views[0].len != views[2].len)
                or not may_move(parameters, views[0].len)):
            return None
        for i in range(len(parameters)):
            n = node_of(<PyObject*>parameters[i])
            x, g = data_of_node(n).x, sign * grad_of_node(n).x
            if weight_decay != 0:
                if decoupled:
                    x *= 1 - lr * weight_decay
                else:
                    g += weight_decay * x
            if weight < 0.5:            # as torch.lerp: exactly a finite g where beta1 is 0
                m[i] += weight * (g - m[i])
            else:
                m[i] = g - (g - m[i]) * (1 - weight)
            s[i] = square_now = beta2 * s[i] + (1 - beta2) * g * g
            if top != NULL:
                top[i] = square_now = top[i] if top[i] > square_now else square_now     # nan stays
            put_number_data(n, Number(x - rate * (m[i] / (sqrt(square_now) / scale + eps)), REAL))
        return True
    finally:
        for i in range(3):
            PyBuffer_Release(&views[i])
