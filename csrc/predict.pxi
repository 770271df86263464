# Forward without a graph: fused layers over many samples, numbers in and numbers out.

cdef bint predict_layer(Matrix* m, Py_ssize_t count, double* x, double* y) except -1:
    """The layer's outputs for every sample; False where one is infinite, nan, or for Python."""
    cdef bytearray row = PyByteArray_FromStringAndSize(NULL, m.width * sizeof(double))
    cdef double* sums = <double*>PyByteArray_AS_STRING(row)
    cdef Py_ssize_t i
    cdef int j
    cdef Number out
    for i in range(count):
        arithmetic.sums(m.nin, m.width, m.data, x, sums)
        for j in range(m.nout):
            out.x, out.kind = sums[j], REAL
            if m.op[j] != ADD:
                out = apply(m.op[j], out.x, REAL, SLOPE, REAL)
            if not isfinite(sums[j]) or not is_plain(out):
                return False
            y[j] = out.x
        x += m.nin
        y += m.nout
    return True

def _predict(layers, X, int nin):
    """The outputs of the layers, one after the other, for samples of nin doubles each. X is a buffer
    of doubles, sample by sample; so is the result, a bytearray. None where the layers must be called."""
    cdef Py_buffer view
    if type(layers) is not list or not layers or not all_as_shipped():
        return None
    PyObject_GetBuffer(X, &view, PyBUF_FORMAT)
    try:
        if nin <= 0 or view.len % (nin * <Py_ssize_t>sizeof(double)) or not are_doubles(&view):
            raise ValueError(f"rows of {nin} doubles were expected")
        return predict_layers(<list>layers, <double*>view.buf,
                              view.len // (nin * <Py_ssize_t>sizeof(double)), nin)
    finally:
        PyBuffer_Release(&view)

cdef bytearray predict_layers(list layers, double* x, Py_ssize_t count, int nin):
    cdef bytearray outputs = None
    cdef Parameters p
    for layer in layers:
        p = parameters_of(layer)
        if p is None or not p.m.fusable or p.m.rounds or p.m.nin != nin:
            return None
        nin = p.m.nout
        former, outputs = outputs, PyByteArray_FromStringAndSize(NULL, count * nin * sizeof(double))
        if not predict_layer(&p.m, count, x, <double*>PyByteArray_AS_STRING(outputs)):
            return None
        x = <double*>PyByteArray_AS_STRING(outputs)
    return outputs

cdef bint are_doubles(Py_buffer* view) noexcept:
    return view.format != NULL and view.format[0] == c'd' and view.format[1] == 0
