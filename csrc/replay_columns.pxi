# The columns that mean, sum and map are given, made into an array of numbers, or into a list of
# numbers and Values.

cdef enum:
    TOO_WIDE = 1000000000               # numbers in a row: refused, so that no product overflows

cdef struct Leaves:                     # of all rows, side by side
    double* numbers
    double* next                        # where the next number stands
    PyObject* values                    # a list with the Values in their places; NULL: takes none
    bint met_value                      # ... and has met one

def _fill(tuple columns, tuple structures):
    """The leaves of all rows, side by side, as a bytearray of numbers, or a list if Values are
    among them; and how many rows there are, for Python code may run and change a column. None
    unless the columns have these structures and one length, and each is an array of numbers, or a
    list of Values, floats or ints (numpy's too), of such arrays, or of lists, tuples or
    dicts of all these."""
    cdef Py_ssize_t width = 0, rows, w, i
    cdef bytearray numbers
    cdef list widths = [], values
    cdef Leaves leaves
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
    numbers = PyByteArray_FromStringAndSize(NULL, rows * width * sizeof(double))
    leaves.numbers = <double*>PyByteArray_AS_STRING(numbers)
    leaves.values, leaves.met_value = NULL, False
    if fill_columns(columns, structures, rows, widths, width, &leaves):
        return numbers, rows
    if not leaves.met_value:
        return None
    values = [None] * (rows * width)
    leaves.values = <PyObject*>values
    if not fill_columns(columns, structures, rows, widths, width, &leaves):
        return None
    for i in range(rows * width):
        if values[i] is None:
            values[i] = leaves.numbers[i]
    return values, rows

cdef bint fill_columns(tuple columns, tuple structures, Py_ssize_t rows, list widths,
                       Py_ssize_t stride, Leaves* to) except -1:
    cdef Py_ssize_t before = 0, width
    for column, structure, width in zip(columns, structures, widths):
        if not fill_column(column, structure, rows, before, stride, to):
            return False
        before += width
    return True

cdef Py_ssize_t width_of(structure) except -2:
    """How many leaves a row of a column has; -1 where it holds anything else."""
    cdef Py_ssize_t width = 1, w
    if structure is Value:
        return 1
    if type(structure) is not tuple or not structure:
        return -1
    if is_shaped(structure):
        for n in structure[1]:
            width = min(width * max(<Py_ssize_t>0, min(<Py_ssize_t>n, TOO_WIDE)), TOO_WIDE)
        return width if width < TOO_WIDE else -1
    if structure[0] is dict and keys_in(structure) is None:
        return -1
    width = 0
    for part in structure[2 if structure[0] is dict else 1:]:
        w = width_of(part)
        if w < 0 or width + w >= TOO_WIDE:
            return -1
        width += w
    return width

cdef list keys_in(tuple structure):
    """The keys in the structure of a dict; None if it is none."""
    keys = getattr(structure[1], "thing", None) if len(structure) > 1 else None
    return keys if type(keys) is list else None

cdef bint is_shaped(structure) except -1:
    """Whether it is that of an array: its class and its shape."""
    if len(structure) != 2 or type(structure[1]) is not tuple:
        return False
    for n in structure[1]:
        if type(n) is not int:
            return False
    return True

cdef bint fill_column(column, structure, Py_ssize_t rows, Py_ssize_t before, Py_ssize_t stride,
                      Leaves* to) except -1:
    """Write a column, whose rows begin `before` places after those of all, `stride` apart."""
    cdef Py_ssize_t i
    to.next = to.numbers + before
    if type(column) is not list and type(column) is not tuple:
        if structure is Value:
            return fill_array(column, (rows,), rows, to, stride)
        # Rows are of the class of their array. (Those of a memoryview are lists.)
        return (is_shaped(structure) and type(column) is structure[0]
                and fill_array(column, (rows, *structure[1]), rows, to, stride))
    for i in range(rows):
        to.next = to.numbers + i * stride + before
        if PySequence_Fast_GET_SIZE(<PyObject*>column) != rows or not fill_item(
                PySequence_Fast_ITEMS(<PyObject*>column)[i], <PyObject*>structure, to):
            return False
    return True

cdef inline bint fill_item(PyObject* item, PyObject* structure, Leaves* to) except -1:
    """Write the leaves of an item of this structure; False where it has another."""
    cdef Number n
    if structure != <PyObject*>value_type:
        return fill_row(item, structure, to)
    if item.ob_type == value_type:
        to.met_value = True
        if to.values == NULL:
            return False
        (<list>to.values)[to.next - to.numbers] = <object>item
        to.next += 1
        return True
    n = known_number(item)
    if n.kind == OBJECT:
        n = numpy_int(item)
    to.next[0] = n.x
    to.next += 1
    return n.kind != OBJECT

cdef bint fill_row(PyObject* row, PyObject* structure, Leaves* to) except -1:
    """The same for a list, a tuple, a dict or an array. Python code may run, in the class of an
    array, and change the lists."""
    cdef Py_ssize_t i, first = 1, count = PyTuple_GET_SIZE(structure) - 1
    if row.ob_type != <PyTypeObject*>PyTuple_GET_ITEM(structure, 0):
        return False
    held = <object>row
    if type(held) is dict:
        if not has_keys(held, keys_in(<tuple>structure)):
            return False
        held = list((<dict>held).values())
        first, count = 2, count - 1
    if not isinstance(held, (list, tuple)):
        return is_shaped(<object>structure) and fill_array(
            held, (<tuple>structure)[1], 1, to, 0)
    for i in range(count):
        if PySequence_Fast_GET_SIZE(<PyObject*>held) != count or not fill_item(
                PySequence_Fast_ITEMS(<PyObject*>held)[i], PyTuple_GET_ITEM(structure, first + i),
                to):
            return False
    return PySequence_Fast_GET_SIZE(<PyObject*>held) == count

cdef bint has_keys(dict row, list keys) except -1:
    """Whether the keys of a row are these, in order, and all of them names."""
    cdef Py_ssize_t i = 0
    if len(row) != len(keys):
        return False
    for key in row:
        if type(key) is not str or type(keys[i]) is not str or <str>key != <str>keys[i]:
            return False
        i += 1
    return True

cdef bint fill_array(array, tuple shape, Py_ssize_t rows, Leaves* to,
                     Py_ssize_t stride) except -1:
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
        fits = fill_numbers(view.format[0], view.buf, rows, width, to.next, stride)
        to.next += width
    PyBuffer_Release(&view)
    return fits

cdef bint gives_its_buffer(column) except -1:
    """Whether the numbers of an array are those in its buffer. Not those of one with a mask, or of
    a class of the program's own; and bytes are no column."""
    return type(column).__module__ in ("numpy", "array", "builtins") and type(column) is not bytes
