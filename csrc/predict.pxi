# Forward without a graph: fused layers over many rows, numbers in and numbers out.
#
# BLOCK rows at a time go through all layers. Rows of numpy.float32 are computed in single
# precision, to which numpy rounds their products and sums. An odd row, in which all outputs of a
# layer are the ReLU's int 0, and so no numpy.float32, is computed number by number.

cdef enum:
    BLOCK = 32                  # rows

def _predict(layers, X, int nin):
    """The outputs of the layers, one after the other, for rows of nin doubles, or of nin floats,
    which are taken for numpy.float32. X is a buffer of rows; the result is a bytearray of doubles.
    None where the layers must be called."""
    cdef Py_buffer view
    cdef Py_ssize_t count
    cdef bint single
    cdef tuple parameters
    cdef list floats
    if type(layers) is not list or is_recording():
        return None
    PyObject_GetBuffer(X, &view, PyBUF_FORMAT)
    try:
        single = has_format(&view, c'f')
        count = view.len // <Py_ssize_t>(sizeof(float) if single else sizeof(double))
        if nin <= 0 or count % nin or not (single or has_format(&view, c'd')):
            raise ValueError(f"rows of {nin} doubles or floats were expected")
        parameters = parameters_of_layers(<list>layers)
        if parameters is None or not all_as_shipped():
            return None
        floats = [matrix_of_floats(&(<Parameters>p).m) for p in parameters] if single else None
        if not fit(parameters, nin):        # after this, no Python code can run
            return None
        if not single or is_in_single_precision(parameters):
            return predict_rows(parameters, floats, <char*>view.buf, count // nin)
        if (<Parameters>parameters[0]).m.weight_kind != NUMPY:
            return None
        X = PyByteArray_FromStringAndSize(NULL, count * sizeof(double))     # as are all products
        fill_numbers(c'f', view.buf, 1, count, <double*>PyByteArray_AS_STRING(X), count)
        return predict_rows(parameters, None, PyByteArray_AS_STRING(X), count // nin)
    finally:
        PyBuffer_Release(&view)

cdef bytearray predict_rows(tuple layers, list floats, const char* x, Py_ssize_t count):
    """The outputs for rows of doubles; or of floats, with the layers' matrices in single precision.
    None where a number is infinite or nan, or needs Python."""
    cdef bint single = floats is not None
    cdef Py_ssize_t size = sizeof(float) if single else sizeof(double)
    cdef Py_ssize_t nin = (<Parameters>layers[0]).m.nin, nout, room = 1
    cdef int depth = len(layers), k, rows
    cdef bytearray described = bytearray(depth * sizeof(Layer))
    cdef Layer* network = <Layer*>PyByteArray_AS_STRING(described)
    cdef unsigned char odd[BLOCK]
    for k in range(depth):
        if not single and (<Parameters>layers[k]).m.rounds:
            return None
        describe_layer(&network[k], &(<Parameters>layers[k]).m, floats[k] if single else None)
        room = max(room, BLOCK * network[k].width)
    nout = network[depth - 1].nout
    cdef bytearray outputs = PyByteArray_FromStringAndSize(NULL, count * nout * sizeof(double))
    cdef bytearray numbers = PyByteArray_FromStringAndSize(NULL, 2 * room * sizeof(double))
    cdef double* y = <double*>PyByteArray_AS_STRING(outputs)
    while count > 0:
        rows = min(<Py_ssize_t>BLOCK, count)
        memset(odd, 0, BLOCK)
        if not arithmetic.predict[single](network, depth, rows, x, PyByteArray_AS_STRING(numbers),
                                          room, y, odd):
            return None
        for k in range(rows if single else 0):
            if odd[k] and not predict_row(layers, <float*>x + k * nin, y + k * nout):
                return None
        x += rows * nin * size
        y += rows * nout
        count -= rows
    return outputs

cdef void describe_layer(Layer* layer, Matrix* m, bytearray floats) noexcept:
    layer.nin, layer.nout, layer.relu = m.nin, m.nout, m.relu
    layer.op = NULL if m.piecewise else m.op
    layer.w = m.data.x if floats is None else <const void*>PyByteArray_AS_STRING(floats)
    layer.width = m.width if floats is None else width_of_floats(m)


# Rows of numpy.float32, with weights that are floats or numpy.float32.

cdef bint is_in_single_precision(tuple layers) noexcept:
    """Whether all products and sums of such rows are numpy.float32, except where all inputs of a
    layer are 0."""
    cdef Matrix* m
    for layer in layers:
        m = &(<Parameters>layer).m
        if memchr(m.data.kind, NUMPY, matrix_size(m)) != NULL or not m.piecewise:
            return False
    return True

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
