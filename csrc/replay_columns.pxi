# The columns that mean, sum and map are given, made into an array of numbers.

cdef enum:
    TOO_WIDE = 1000000000               # numbers in a row; there is no memory for as many rows

def _fill(tuple columns, tuple structures):
    """The numbers of all rows, side by side; None unless the columns have these structures and one
    length, and each is an array of numbers, or a list of floats or ints (numpy's floats too), of
    such arrays, or of lists or tuples of all these."""
    cdef Py_ssize_t at = 0, width = 0, rows, w
    cdef bytearray filled
    cdef list widths = []
    if len(columns) != len(structures) or not columns:
        return None
    try:
        rows = len(columns[0])
    except TypeError:
        return None
    know_numpy_types()
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
        if not fill_column(column, structure, rows,
                           <double*>PyByteArray_AS_STRING(filled) + at, width):
            return None
        at += w
    return filled

cdef Py_ssize_t width_of(structure) except -2:
    """How many numbers a row of a column has; -1 where it holds anything else."""
    cdef Py_ssize_t width = 1, w
    if structure is Value:
        return 1
    if type(structure) is not tuple or not structure:
        return -1
    if is_shaped(structure):
        for n in structure[1]:
            width = min(width * max(<Py_ssize_t>0, min(<Py_ssize_t>n, TOO_WIDE)), TOO_WIDE)
        return width if width < TOO_WIDE else -1
    width = 0
    for part in structure[1:]:
        w = width_of(part)
        if w < 0 or width + w >= TOO_WIDE:
            return -1
        width += w
    return width

cdef bint is_shaped(structure) except -1:
    """Whether it is that of an array: its class and its shape."""
    if len(structure) != 2 or type(structure[1]) is not tuple:
        return False
    for n in structure[1]:
        if type(n) is not int:
            return False
    return True

cdef bint fill_column(column, structure, Py_ssize_t rows, double* to, Py_ssize_t stride) except -1:
    cdef Py_ssize_t i
    cdef double* at
    if type(column) is not list and type(column) is not tuple:
        if structure is not Value and not is_shaped(structure):
            return False
        shape = (rows,) if structure is Value else (rows, *structure[1])
        return fill_array(column, shape, rows, &to, stride)
    for i in range(rows):
        at = to + i * stride
        if PySequence_Fast_GET_SIZE(<PyObject*>column) != rows or not fill_item(
                PySequence_Fast_ITEMS(<PyObject*>column)[i], <PyObject*>structure, &at):
            return False
    return True

cdef inline bint fill_item(PyObject* item, PyObject* structure, double** to) except -1:
    """Write the numbers of an item of this structure, and go on after them; False where it has
    another."""
    cdef Number n
    if structure != <PyObject*>value_type:
        return fill_row(item, structure, to)
    n = known_number(item)
    to[0][0] = n.x
    to[0] += 1
    return n.kind != OBJECT

cdef bint fill_row(PyObject* row, PyObject* structure, double** to) except -1:
    """The same for a list, a tuple or an array. Python code may run, in the class of an array, and
    change the lists."""
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(structure) - 1
    if row.ob_type != <PyTypeObject*>PyTuple_GET_ITEM(structure, 0):
        return False
    held = <object>row
    if not isinstance(held, (list, tuple)):
        return is_shaped(<object>structure) and fill_array(
            held, (<tuple>structure)[1], 1, to, 0)
    if PySequence_Fast_GET_SIZE(row) != count:
        return False
    for i in range(count):
        if not fill_item(PySequence_Fast_ITEMS(row)[i], PyTuple_GET_ITEM(structure, i + 1), to) \
                or PySequence_Fast_GET_SIZE(row) != count:
            return False
    return True

cdef bint fill_array(array, tuple shape, Py_ssize_t rows, double** to, Py_ssize_t stride) except -1:
    """The same for an array of this shape, whose rows are to stand `stride` numbers apart."""
    cdef Py_buffer view
    cdef Py_ssize_t i, width
    cdef bint fits
    if not PyObject_CheckBuffer(array) or not gives_its_buffer(array):
        return False
    try:
        PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_ND)
    except (BufferError, ValueError):   # it is not contiguous
        return False
    fits = view.format != NULL and view.format[0] != 0 and view.format[1] == 0
    fits = fits and <size_t>view.buf % view.itemsize == 0
    fits = fits and (view.format[0] != b"?" or type(array) is not memoryview)   # which gives bools
    fits = fits and view.ndim == len(shape)
    for i in range(len(shape) if fits else 0):
        fits = fits and view.shape[i] == shape[i]
    if fits:
        width = view.len // view.itemsize // rows
        fits = fill_numbers(view.format[0], view.buf, rows, width, to[0], stride)
        to[0] += width
    PyBuffer_Release(&view)
    return fits

cdef bint gives_its_buffer(column) except -1:
    """Whether the numbers of an array are those in its buffer. Not those of one with a mask, or of
    a class of the program's own; and bytes are no column."""
    return type(column).__module__ in ("numpy", "array", "builtins") and type(column) is not bytes
