# Forward without a graph: fused layers over many rows, numbers in and numbers out.
#
# BLOCK rows at a time go through all layers. Rows of numpy.float32 are computed in single precision, to which
# numpy rounds their products and sums. An odd row, in which all outputs of a layer are the ReLU's int 0, and
# so no numpy.float32, is computed number by number.

cdef enum:
    BLOCK = 32                  # rows

def _predict(layers, X, int nin):
    """The outputs of the layers, one after the other, for rows of nin doubles, or of nin floats, which are
    taken for numpy.float32. X is a buffer of rows; the result is a bytearray of doubles. None where the
    layers must be called."""
    cdef Py_buffer view
    cdef Py_ssize_t size
    cdef tuple parameters
    cdef list floats
    if type(layers) is not list or is_recording():
        return None
    PyObject_GetBuffer(X, &view, PyBUF_FORMAT)
    try:
        size = nin * <Py_ssize_t>(sizeof(double) if has_format(&view, c'd') else sizeof(float))
        if size <= 0 or view.len % size or not (has_format(&view, c'd') or has_format(&view, c'f')):
            raise ValueError(f"rows of {nin} doubles or floats were expected")
        parameters = parameters_of_layers(<list>layers)
        if parameters is None or not all_as_shipped():
            return None
        floats = [matrix_of_floats(&(<Parameters>p).m) for p in parameters if not has_format(&view, c'd')]
        if not fit(parameters, nin):        # after this, no Python code can run
            return None
        if has_format(&view, c'd'):
            return predict_rows(parameters, None, view.buf, view.len // size)
        if is_in_single_precision(parameters):
            return predict_rows(parameters, floats, view.buf, view.len // size)
        if (<Parameters>parameters[0]).m.weight_kind == NUMPY:      # and so is every product
            X = doubles(<float*>view.buf, view.len // sizeof(float))
            return predict_rows(parameters, None, PyByteArray_AS_STRING(X), view.len // size)
        return None
    finally:
        PyBuffer_Release(&view)

cdef bytearray predict_rows(tuple layers, list floats, const void* x, Py_ssize_t count):
    """The outputs for rows of doubles; or of floats, with the layers' matrices in single precision. None
    where a number is infinite or nan, or needs Python."""
    cdef int depth = len(layers), nin = (<Parameters>layers[0]).m.nin, nout, k, rows
    cdef bytearray described = bytearray(depth * sizeof(Layer))
    cdef Layer* network = <Layer*>PyByteArray_AS_STRING(described)
    cdef Py_ssize_t room = 1, i
    cdef unsigned char odd[BLOCK]
    cdef bint fine
    for k in range(depth):
        if floats is None and (<Parameters>layers[k]).m.rounds:
            return None
        describe_layer(&network[k], &(<Parameters>layers[k]).m, None if floats is None else floats[k])
        room = max(room, BLOCK * network[k].width)
    nout = network[depth - 1].nout
    cdef bytearray outputs = PyByteArray_FromStringAndSize(NULL, count * nout * sizeof(double))
    cdef bytearray numbers = PyByteArray_FromStringAndSize(NULL, 2 * room * sizeof(double))
    cdef double* y = <double*>PyByteArray_AS_STRING(outputs)
    cdef void* v = PyByteArray_AS_STRING(numbers)
    for i in range(0, count, BLOCK):
        rows = min(<Py_ssize_t>BLOCK, count - i)
        memset(odd, 0, BLOCK)
        if floats is None:
            fine = arithmetic.predict(network, depth, rows, <double*>x + i * nin, <double*>v, room, y, odd)
        else:
            fine = (arithmetic.predict_floats(network, depth, rows, <float*>x + i * nin, <float*>v, room, y,
                                              odd)
                    and predict_odd_rows(layers, rows, <float*>x + i * nin, y, odd))
        if not fine:
            return None
        y += rows * nout
    return outputs

cdef void describe_layer(Layer* layer, Matrix* m, bytearray floats) noexcept:
    layer.nin, layer.nout, layer.relu = m.nin, m.nout, m.all_relu
    layer.op = NULL if m.all_relu or m.all_linear else m.op
    layer.w = m.data.x if floats is None else <const void*>PyByteArray_AS_STRING(floats)
    layer.width = m.width if floats is None else width_of_floats(m)


# Rows of numpy.float32, with weights that are floats or numpy.float32.

cdef bint is_in_single_precision(tuple layers) noexcept:
    """Whether all products and sums of such rows are numpy.float32, except where all inputs of a layer are
    0."""
    cdef Matrix* m
    for layer in layers:
        m = &(<Parameters>layer).m
        if memchr(m.data.kind, NUMPY, matrix_size(m)) != NULL or not (m.all_relu or m.all_linear):
            return False
    return True

cdef bytearray doubles(const float* x, Py_ssize_t count):
    cdef bytearray result = PyByteArray_FromStringAndSize(NULL, count * sizeof(double))
    cdef double* to = <double*>PyByteArray_AS_STRING(result)
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = x[i]
    return result

cdef inline int width_of_floats(Matrix* m) noexcept:
    return 1 if m.width == 1 else (m.nout + 15) & ~15

cdef bytearray matrix_of_floats(Matrix* m):
    """The parameters in single precision, in rows padded to multiples of sixteen."""
    cdef int width = width_of_floats(m), i, j
    cdef bytearray floats = bytearray((m.nin + 1) * width * sizeof(float))
    cdef float* to = <float*>PyByteArray_AS_STRING(floats)
    for i in range(m.nin + 1):
        for j in range(m.nout):
            to[i * width + j] = <float>m.data.x[i * m.width + j]
    return floats

cdef bint predict_odd_rows(tuple layers, int rows, const float* x, double* y, unsigned char* odd) except -1:
    cdef int i
    for i in range(rows):
        if odd[i] and not predict_row(layers, x, y):
            return False
        x += (<Parameters>layers[0]).m.nin
        y += (<Parameters>layers[len(layers) - 1]).m.nout
    return True

cdef bint predict_row(tuple layers, const float* x, double* y) except -1:
    """The outputs for one row of numpy.float32, computed number by number."""
    cdef LayersCall* c = new_call(layers)
    cdef Stage* last = &c.stages[c.depth - 1]
    cdef int i
    for i in range(c.stages[0].nout):
        set_number(c.stages[0].out, i, Number(x[i], FLOAT32))
    c.rounds = True
    cdef bint fine = forward(c)
    memcpy(y, last.out.x, last.nout * sizeof(double))
    Py_DECREF(&c.call.body.head)
    return fine

cdef bint has_format(Py_buffer* view, char format) noexcept:
    return view.format != NULL and view.format[0] == format and view.format[1] == 0
