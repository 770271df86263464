# Forward without a graph: fused layers over many rows, numbers in and numbers out.
#
# BLOCK rows at a time go through all layers. Rows of numpy.float32 are computed in single precision, to which
# numpy rounds their products and sums. A row in which all outputs of a layer are the ReLU's int 0, and so no
# numpy.float32, is computed one by one.

cdef enum:
    BLOCK = 32                  # rows

cdef struct Rows:               # numbers of a block, before and after a layer
    double* before
    double* after
    double* sums

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
        if first_width(parameters, nin) != nin:     # after this, no Python code can run
            return None
        if has_format(&view, c'd'):
            return predict_rows(parameters, <double*>view.buf, view.len // size)
        if is_in_single_precision(parameters):
            return predict_floats(parameters, floats, <float*>view.buf, view.len // size)
        if (<Parameters>parameters[0]).m.weight_kind == NUMPY:      # and so is every product
            X = doubles(<float*>view.buf, view.len // sizeof(float))
            return predict_rows(parameters, <double*>PyByteArray_AS_STRING(X), view.len // size)
        return None
    finally:
        PyBuffer_Release(&view)

cdef bytearray predict_rows(tuple layers, const double* x, Py_ssize_t count):
    cdef int widest = 1, nin = (<Parameters>layers[0]).m.nin, nout = 0
    cdef Py_ssize_t i, size
    cdef Rows rows
    for layer in layers:
        nout = (<Parameters>layer).m.nout
        widest = max(widest, (<Parameters>layer).m.width, (<Parameters>layer).m.nin)
        if (<Parameters>layer).m.rounds:
            return None
    size = BLOCK * widest
    cdef bytearray outputs = PyByteArray_FromStringAndSize(NULL, count * nout * sizeof(double))
    cdef double* y = <double*>PyByteArray_AS_STRING(outputs)
    rows.before = <double*>PyMem_Malloc(3 * size * sizeof(double))
    if rows.before == NULL:
        raise MemoryError
    rows.after, rows.sums = rows.before + size, rows.before + 2 * size
    try:
        for i in range(0, count, BLOCK):
            if not predict_block(layers, &rows, x + i * nin, min(<Py_ssize_t>BLOCK, count - i), y + i * nout):
                return None
    finally:
        PyMem_Free(min(rows.before, rows.after))
    return outputs

cdef bint predict_block(tuple layers, Rows* rows, const double* x, int count, double* y) noexcept:
    """The outputs of some rows; False where one is infinite or nan, or needs Python."""
    cdef Matrix* m = NULL
    for layer in layers:
        m = &(<Parameters>layer).m
        arithmetic.sums(count, m.nin, m.width, m.data, x, rows.sums)
        if not activate_rows(m, rows, count):
            return False
        x = rows.after
        rows.before, rows.after = rows.after, rows.before
    memcpy(y, x, count * m.nout * sizeof(double))
    return True

cdef bint activate_rows(Matrix* m, Rows* rows, int count) noexcept:
    cdef Number y
    cdef int i, j
    for i in range(count):
        if m.all_relu or m.all_linear:
            if not arithmetic.activations(m.nout, m.all_relu, rows.sums + i * m.width,
                                          rows.after + i * m.nout):
                return False
            continue
        for j in range(m.nout):
            y.x, y.kind = rows.sums[i * m.width + j], REAL
            if not isfinite(y.x):
                return False
            if m.op[j] != ADD:
                y = apply(m.op[j], y.x, REAL, SLOPE, REAL)
            if not is_plain(y):
                return False
            rows.after[i * m.nout + j] = y.x
    return True


# Rows of numpy.float32, with weights that are floats or numpy.float32.

cdef bint is_in_single_precision(tuple layers) noexcept:
    """Whether all products and sums of such rows are numpy.float32, except where all inputs of a layer are
    0."""
    cdef Matrix* m
    cdef Py_ssize_t i
    for layer in layers:
        m = &(<Parameters>layer).m
        for i in range(matrix_size(m)):
            if m.data_kind[i] == NUMPY:
                return False
        if not (m.all_relu or m.all_linear):
            return False
    return True

cdef bytearray doubles(const float* x, Py_ssize_t count):
    cdef bytearray result = PyByteArray_FromStringAndSize(NULL, count * sizeof(double))
    cdef double* to = <double*>PyByteArray_AS_STRING(result)
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = x[i]
    return result

cdef bytearray predict_floats(tuple layers, list matrices, const float* x, Py_ssize_t count):
    cdef int widest = 1, nin = (<Parameters>layers[0]).m.nin, nout = 0
    for layer in layers:
        nout = (<Parameters>layer).m.nout
        widest = max(widest, (<Parameters>layer).m.width + 15, (<Parameters>layer).m.nin)
    cdef bytearray outputs = PyByteArray_FromStringAndSize(NULL, count * nout * sizeof(double))
    cdef bytearray scratch = PyByteArray_FromStringAndSize(NULL, 2 * BLOCK * widest * sizeof(float))
    cdef double* y = <double*>PyByteArray_AS_STRING(outputs)
    cdef float* after = <float*>PyByteArray_AS_STRING(scratch)
    cdef Py_ssize_t i
    cdef int rows
    for i in range(0, count, BLOCK):
        rows = min(<Py_ssize_t>BLOCK, count - i)
        if not predict_block_of_floats(layers, matrices, x + i * nin, rows, after, after + BLOCK * widest,
                                       y + i * nout):
            return None
    return outputs

cdef bytearray matrix_of_floats(Matrix* m):
    """The parameters in single precision, in rows filled up to sixteens."""
    cdef int width = 1 if m.width == 1 else (m.nout + 15) & ~15, i, j
    cdef bytearray floats = bytearray((m.nin + 1) * width * sizeof(float))
    cdef float* to = <float*>PyByteArray_AS_STRING(floats)
    for i in range(m.nin + 1):
        for j in range(m.nout):
            to[i * width + j] = <float>m.data[i * m.width + j]
    return floats

cdef bint predict_block_of_floats(tuple layers, list matrices, const float* x, int count, float* after,
                                  float* sums, double* y) except -1:
    cdef const float* first = x
    cdef bint odd[BLOCK]
    cdef Matrix* m = NULL
    cdef int i, j, k, width, found
    memset(odd, 0, sizeof(odd))
    for k in range(len(layers)):
        m = &(<Parameters>layers[k]).m
        width = 1 if m.width == 1 else (m.nout + 15) & ~15
        arithmetic.sums_of_floats(count, m.nin, width, <float*>PyByteArray_AS_STRING(matrices[k]), x, sums)
        for i in range(count):
            found = arithmetic.activations_of_floats(m.nout, m.all_relu, sums + i * width, after + i * m.nout)
            if found == 0:
                return False
            odd[i] |= found == 1
        x = after
    for i in range(count):
        for j in range(m.nout):
            y[i * m.nout + j] = after[i * m.nout + j]
        if odd[i] and not predict_row(layers, first + i * (<Parameters>layers[0]).m.nin, y + i * m.nout):
            return False
    return True

cdef bint predict_row(tuple layers, const float* x, double* y) except -1:
    """The outputs for one row of numpy.float32, computed one by one."""
    cdef LayersCall* c = new_call(layers, (<Parameters>layers[0]).m.nin)
    cdef Stage* last = &c.stages[c.depth - 1]
    cdef Number n
    cdef int i
    for i in range(c.stages[0].nout):
        n.x, n.kind = x[i], FLOAT32
        set_number(&c.stages[0], OUT, i, n)
    c.rounds = True
    cdef bint fine = forward(c)
    memcpy(y, row(last, OUT), last.nout * sizeof(double))
    Py_DECREF(&c.call.body.head)
    return fine

cdef bint has_format(Py_buffer* view, char format) noexcept:
    return view.format != NULL and view.format[0] == format and view.format[1] == 0
