# Forward without a graph: fused layers over many rows, numbers in and numbers out.
#
# Rows are taken BLOCK at a time through all layers. Rows of numpy.float32 are computed in single precision,
# which is what their products and sums are rounded to; a row where that is not so is computed one by one.

cdef enum:
    BLOCK = 32                  # rows

cdef struct Rows:               # numbers of a block, before and after a layer
    double* before
    double* after
    double* sums

def _predict(layers, X, int nin):
    """The outputs of the layers, one after the other, for rows of nin doubles each. X is a buffer of
    doubles, row by row; so is the result, a bytearray. None where the layers must be called."""
    global checks
    cdef Py_buffer view
    cdef Py_ssize_t count
    cdef bytearray outputs
    if type(layers) is not list or not layers:
        return None
    PyObject_GetBuffer(X, &view, PyBUF_FORMAT)
    try:
        if nin <= 0 or view.len % (nin * <Py_ssize_t>sizeof(double)) or not are_doubles(&view):
            raise ValueError(f"rows of {nin} doubles were expected")
        count = view.len // (nin * <Py_ssize_t>sizeof(double))
        checks += 1
        for layer in <list>layers:
            if parameters_of(layer) is None:
                return None
        if not all_as_shipped() or first_width(<list>layers, nin) != nin:
            return None
        return predict_rows(<list>layers, <double*>view.buf, count)
    finally:
        PyBuffer_Release(&view)

cdef bytearray predict_rows(list layers, const double* x, Py_ssize_t count):
    cdef int widest = 1, nin = (<_Parts>layers[0]).packed.m.nin, nout = 0
    cdef Py_ssize_t i, size
    cdef Rows rows
    for layer in layers:
        nout = (<_Parts>layer).packed.m.nout
        widest = max(widest, (<_Parts>layer).packed.m.width, (<_Parts>layer).packed.m.nin)
        if (<_Parts>layer).packed.m.rounds:
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

cdef bint predict_block(list layers, Rows* rows, const double* x, int count, double* y) noexcept:
    """The outputs of some rows; False where one is infinite, nan, or for Python."""
    cdef Matrix* m = NULL
    for layer in layers:
        m = &(<_Parts>layer).packed.m
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
            if not arithmetic.activations(m.nout, m.all_relu, rows.sums + i * m.width, rows.after + i * m.nout):
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

cdef bint are_doubles(Py_buffer* view) noexcept:
    return view.format != NULL and view.format[0] == c'd' and view.format[1] == 0
