# The columns that mean, sum and map are given, made into an array of numbers.

cdef enum:
    TOO_WIDE = 1000000000               # numbers in a row; there is no memory for as many rows

def _fill(tuple columns, tuple structures):
    """The numbers of all rows, side by side; None unless the columns have these structures and one
    length, and each is a list of floats or ints, a list of lists or tuples of these, or an array of
    numbers."""
    cdef Py_ssize_t at = 0, width = 0, rows, w
    cdef bytearray filled
    cdef list widths = []
    if len(columns) != len(structures) or not columns:
        return None
    try:
        rows = len(columns[0])
    except TypeError:
        return None
    for structure in structures:
        w = width_of(structure)
        if w < 0:
            return None
        width += w
        widths.append(w)
    if rows < 1 or <double>rows * width > 1e11:
        return None
    filled = PyByteArray_FromStringAndSize(NULL, rows * width * sizeof(double))
    for column, structure, w in zip(columns, structures, widths):
        if not fill_column(column, structure, rows, w,
                           <double*>PyByteArray_AS_STRING(filled) + at, width):
            return None
        at += w
    return filled

cdef Py_ssize_t width_of(structure) except -2:
    """How many numbers a row of a column has; -1 for a deeper structure."""
    cdef Py_ssize_t width = 1
    if structure is Value:
        return 1
    if type(structure) is not tuple or not structure:
        return -1
    if is_shaped(structure):
        for n in structure[1]:
            width = min(width * max(<Py_ssize_t>0, min(<Py_ssize_t>n, TOO_WIDE)), TOO_WIDE)
        return width
    if structure[0] in (list, tuple) and all([part is Value for part in structure[1:]]):
        return len(structure) - 1
    return -1

cdef bint is_shaped(structure) except -1:
    """Whether it is that of an array: its class and its shape."""
    if len(structure) != 2 or type(structure[1]) is not tuple:
        return False
    for n in structure[1]:
        if type(n) is not int:
            return False
    return True

cdef bint fill_column(column, structure, Py_ssize_t rows, Py_ssize_t width, double* to,
                      Py_ssize_t stride) except -1:
    cdef PyObject** items
    cdef PyObject* row
    cdef Py_ssize_t i
    if type(column) is not list and type(column) is not tuple:
        return fill_array(column, structure, rows, width, to, stride)
    items = PySequence_Fast_ITEMS(<PyObject*>column)
    if PySequence_Fast_GET_SIZE(<PyObject*>column) != rows:
        return False
    cls = None if structure is Value else structure[0]
    for i in range(rows):
        row = items[i]
        if cls is None:
            if not fill_row(&row, 1, to + i * stride):
                return False
        elif (row.ob_type != <PyTypeObject*>cls or (cls is not list and cls is not tuple)
                or PySequence_Fast_GET_SIZE(row) != width
                or not fill_row(PySequence_Fast_ITEMS(row), width, to + i * stride)):
            return False
    return True

cdef inline bint fill_row(PyObject** items, Py_ssize_t count, double* to) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        if PyFloat_CheckExact(items[i]):
            to[i] = PyFloat_AS_DOUBLE(items[i])
        elif PyLong_CheckExact(items[i]):
            to[i] = exact_integer(items[i])
            if to[i] != to[i]:
                return False
        else:
            return False
    return True

cdef bint fill_array(column, structure, Py_ssize_t rows, Py_ssize_t width, double* to,
                     Py_ssize_t stride) except -1:
    cdef Py_buffer view
    cdef Py_ssize_t i
    cdef bint fits
    if structure is not Value and not is_shaped(structure):
        return False
    if not PyObject_CheckBuffer(column) or not gives_its_buffer(column):
        return False
    try:
        PyObject_GetBuffer(column, &view, PyBUF_FORMAT | PyBUF_ND)
    except (BufferError, ValueError):   # it is not contiguous
        return False
    shape = () if structure is Value else structure[1]
    fits = view.format != NULL and view.format[0] != 0 and view.format[1] == 0
    fits = fits and <size_t>view.buf % view.itemsize == 0
    fits = fits and (view.format[0] != b"?" or type(column) is not memoryview)  # which gives bools
    fits = fits and view.ndim == 1 + len(shape) and view.shape[0] == rows
    for i in range(len(shape) if fits else 0):
        fits = fits and view.shape[i + 1] == shape[i]
    fits = fits and fill_numbers(view.format[0], view.buf, rows, width, to, stride)
    PyBuffer_Release(&view)
    return fits

cdef bint gives_its_buffer(column) except -1:
    """Whether the numbers of an array are those in its buffer. Not those of one with a mask, or of
    a class of the program's own; and bytes are no column."""
    return type(column).__module__ in ("numpy", "array", "builtins") and type(column) is not bytes
