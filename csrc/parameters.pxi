# The parameters of a layer, side by side. They stay Values in n.w and n.b; while they are packed,
# their numbers stand in the layer's Matrix (kind PACKED). A parameter that gets an object for its
# data, a callback, or a place in another layer, unpacks the layer: then all of its parameters hold
# their own numbers again. A call keeps the Version of the numbers that it was computed with, for
# its plain nodes; the first change of a number after the call makes a new Version.

cdef double MOST_INT = 2.0 ** 40    # up to this, an int gradient is exact after many additions

cdef struct Numbers:            # side by side, of any kinds
    double* x
    Kind* kind

cdef inline Number number_at(Numbers n, Py_ssize_t i) noexcept:
    return Number(n.x[i], n.kind[i])

cdef inline void set_number(Numbers n, Py_ssize_t i, Number new) noexcept:
    n.x[i], n.kind[i] = new.x, new.kind

cdef inline void add_number(Numbers n, Py_ssize_t i, Number more) noexcept:
    set_number(n, i, plus(number_at(n, i), more))

cdef inline Numbers numbers_in(void* memory, Py_ssize_t count) noexcept:
    return Numbers(<double*>memory, <Kind*>(<double*>memory + count))

cdef inline Numbers numbers_from(Numbers n, Py_ssize_t i) noexcept:
    return Numbers(n.x + i, n.kind + i)

cdef struct Version:            # the numbers of the parameters, as they are or were
    Py_ssize_t users            # the Matrix, if this is its current one, and the calls made with it
    Numbers data                # nin rows of nout weights, one row of biases

cdef struct Matrix:
    int nin, nout
    int width                   # of a row; see layer.h
    bint unpacked
    bint kinds_known            # whether sum_kind, weight_kind and rounds are up to date
    bint rounds                 # a parameter or a gradient is, or was, a numpy.float32
    bint relu                   # all neurons have the ReLU
    bint piecewise              # piecewise linear: all have the ReLU, or none an activation
    Kind weight_kind            # the kind of all weights; OBJECT where they differ
    Kind all_grad_kind          # the kind of all gradients; OBJECT where they differ, or may
    Version* version            # the current one
    Numbers data                # version.data
    Numbers grad                # in the same places
    const Kind* op              # of each neuron: its activation, or ADD where it has none
    Kind* sum_kind              # of each column: the intersection of its numbers' kinds

cdef inline int width_of_rows(int nout) noexcept:
    """How long a row of a matrix is that has a column for each neuron; see layer.h."""
    return 1 if nout == 1 else (nout + 7) & ~7

@cython.final
@cython.no_gc_clear
cdef class Parameters:
    """Owns a Matrix and the Values whose numbers it holds; kept by the Layer."""
    cdef tuple values           # neuron by neuron, each one's weights and then its bias
    cdef bytes ops              # m.op
    cdef unsigned long long functions   # bit_of each of these
    cdef Matrix m
    cdef unsigned long long seen        # the count of touches when the layer was last looked at
    cdef bint held                      # the program holds a list or dict of the layer

    def __dealloc__(self):
        if self.values is not None:
            unpack_layer(self)
        release(self.m.version)
        PyMem_Free(self.m.grad.x)

cdef inline bint stand_at(tuple values, list items, Py_ssize_t i) noexcept:
    """Whether the values stand in a list from i on."""
    return i + len(values) <= len(items) and memcmp(
        PySequence_Fast_ITEMS(<PyObject*>items) + i, PySequence_Fast_ITEMS(<PyObject*>values),
        len(values) * sizeof(PyObject*)) == 0

cdef Parameters pack_layer(list values, bytearray ops, int nin):
    """Move the parameters of a layer into a Matrix; None unless each of them may_be_packed and is
    there once, and the engine has the activations."""
    cdef int nout = len(ops), width = width_of_rows(nout), i, j
    cdef Py_ssize_t size = <Py_ssize_t>(nin + 1) * width
    cdef Parameters p
    cdef Matrix* m
    cdef Node* n
    if LEAF in ops or len(set(map(id, values))) != len(values):    # a Value may stand twice
        return None
    p = Parameters.__new__(Parameters)
    p.values, p.ops = tuple(values), bytes(ops)
    for op in ops:
        p.functions |= bit_of(op)
    m = &p.m
    m.nin, m.nout, m.width = nin, nout, width
    m.relu = set(ops) == {RELU}
    m.piecewise = m.relu or set(ops) == {ADD}
    m.grad = numbers_in(checked(PyMem_Calloc(1, size * (sizeof(double) + 1) + width)), size)
    m.sum_kind = m.grad.kind + size
    m.op = <Kind*>PyBytes_AS_STRING(p.ops)
    renew(m)
    for value in p.values:      # from here on, no Python code can run
        unpack(node_of(<PyObject*>value))
    for j in range(nout):
        for i in range(nin + 1):
            n = node_of(<PyObject*>p.values[j * (nin + 1) + i])
            if not may_be_packed(n, i == nin):
                return None     # p dies, and unpacks those before
            pack(n, p, i * width + j)
    return p

cdef bint may_be_packed(Node* n, bint is_bias) noexcept:
    return (n.op == LEAF and n.flags == 0 and is_plain(data_of_node(n)) and n.grad_kind != OBJECT
            and (is_bias or n.data_kind != INTEGER)
            and (n.grad_kind != INTEGER or -MOST_INT <= n.grad.x <= MOST_INT))

cdef void pack(Node* n, Parameters p, int place) noexcept:
    set_number(p.m.data, place, data_of_node(n))
    set_number(p.m.grad, place, grad_of_node(n))
    n.data_kind = n.grad_kind = PACKED
    n.data.object = <PyObject*>p
    n.index = place

cdef void unpack_layer(Parameters p) noexcept:
    """Give the parameters their own numbers back."""
    cdef Number data, grad
    cdef Node* n
    p.m.unpacked = True
    for value in p.values:
        n = node_of(<PyObject*>value)
        if n.data_kind == PACKED and n.data.object == <PyObject*>p:
            data, grad = data_of_node(n), grad_of_node(n)
            n.data.x, n.data_kind = data.x, data.kind
            n.grad.x, n.grad_kind = grad.x, grad.kind

cdef inline Matrix* matrix_of(Node* n) noexcept:
    return &(<Parameters>n.data.object).m

cdef inline Py_ssize_t matrix_size(Matrix* m) noexcept:
    return <Py_ssize_t>(m.nin + 1) * m.width

cdef int renew(Matrix* m) except -1:
    """Give the Matrix a new Version, with the numbers of the former one, if there is one."""
    cdef Py_ssize_t size = matrix_size(m)
    cdef size_t bytes = size * (sizeof(double) + sizeof(Kind))
    cdef Version* v = <Version*>checked(PyMem_Calloc(1, sizeof(Version) + bytes))
    v.users = 1
    v.data = numbers_in(v + 1, size)
    if m.version != NULL:
        memcpy(v.data.x, m.data.x, bytes)
        release(m.version)
    m.version, m.data = v, v.data
    return 0

cdef inline int before_change(Matrix* m) except -1:
    """Make a new Version if calls keep the current one."""
    return 0 if m.version.users == 1 else renew(m)

cdef inline void release(Version* v) noexcept:
    if v != NULL:
        v.users -= 1
        if v.users == 0:
            PyMem_Free(v)

cdef inline int set_packed_data(Matrix* m, Py_ssize_t place, Number new) except -1:
    before_change(m)
    m.kinds_known = m.kinds_known and m.data.kind[place] == new.kind
    set_number(m.data, place, new)
    return 0

cdef inline void set_packed_grad(Matrix* m, Py_ssize_t place, Number new) noexcept:
    if new.kind != m.grad.kind[place]:
        m.all_grad_kind = OBJECT
        m.rounds |= new.kind == FLOAT32
    set_number(m.grad, place, new)

cdef void know_kinds(Matrix* m) noexcept:
    cdef Py_ssize_t size = matrix_size(m), i, j
    if m.kinds_known:
        return
    memset(m.sum_kind, INTEGER, m.width)
    for i in range(m.nin + 1):
        for j in range(m.nout):
            m.sum_kind[j] &= m.data.kind[i * m.width + j]
    m.weight_kind = common_kind(m.nin, m.nout, m.width, m.data.kind)
    m.rounds = (memchr(m.data.kind, FLOAT32, size) != NULL
                or memchr(m.grad.kind, FLOAT32, size) != NULL)
    m.kinds_known = True

cdef inline void set_grad_kinds(Matrix* m, Kind all) noexcept:
    if m.all_grad_kind != all:
        memset(m.grad.kind, all, matrix_size(m))
    m.all_grad_kind = all

cdef void zero_grads(Matrix* m) noexcept:
    memset(m.grad.x, 0, matrix_size(m) * sizeof(double))
    set_grad_kinds(m, INTEGER)
    m.kinds_known = m.kinds_known and not m.rounds

cdef bint holds_floats(Matrix* m) noexcept:
    know_kinds(m)
    return not m.unpacked and not m.rounds

cdef inline void add_to_place(Matrix* m, Py_ssize_t place, double more) noexcept:
    """Add a float to the gradient of one parameter."""
    set_packed_grad(m, place, plus(number_at(m.grad, place), Number(more, REAL)))

cdef void add_to_matrix(Matrix* m, const double* more) noexcept:
    """Add floats to the gradients of all parameters."""
    cdef Py_ssize_t i
    for i in range(matrix_size(m)):
        m.grad.x[i] += more[i]
    if m.all_grad_kind != REAL:
        for i in range(matrix_size(m)):
            m.grad.kind[i] &= REAL
        m.all_grad_kind &= REAL
