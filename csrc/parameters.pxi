# The parameters of a layer.

cdef double MODEST = 2.0 ** 40  # an int gradient up to this stays exact for long while ints are added

cdef struct Seen:               # an object as it was when last looked at; all references are borrowed
    Stamp stamp                 # of its attributes
    PyListObject* list          # a layer's neurons, a neuron's w
    bint own_parameters         # whether it has an attribute in place of the method

cdef struct Version:            # the numbers of the parameters, as they are or were
    Py_ssize_t users            # the Matrix, while they are, and the Runs that were made with them
    double* data                # nin rows of nout weights, one row of biases
    Kind* data_kind

cdef struct Matrix:
    int nin, nout
    int width                   # of a row; see layer.h
    bint dissolved
    bint kinds_known            # whether sum_kind, weight_kind and fusable are up to date
    bint fusable                # no weight is an int, so that no product is
    Kind weight_kind            # the kind of all weights; OBJECT where they differ
    Kind grad_kinds             # the kind of all gradients; OBJECT where they differ, or may
    bint all_linear, all_relu   # no neuron has an activation; all have the ReLU
    Version* version            # what it is now
    double* data                # version.data, and so on
    Kind* data_kind
    double* grad                # in the same places
    Kind* grad_kind
    Seen layer
    Seen* neurons
    Kind* op                    # of each neuron: its activation, or ADD where it has none
    Kind* sum_kind              # of each neuron: of its weights and bias together; a row's width
    Run* spare                  # memory of Runs that have died, linked through next
    Py_ssize_t spare_size       # together

@cython.final
@cython.no_gc_clear
cdef class Parameters:
    """Owns a Matrix and the Values whose numbers it holds; kept by the Layer."""
    cdef tuple values           # neuron by neuron, each one's weights and then its bias
    cdef list nonlins           # each neuron's, as last seen: no other object gets its address
    cdef Matrix m

    def __dealloc__(self):
        if self.values is not None:
            dissolve(&self.m, self.values)
        free_spare_runs(&self.m)
        release(self.m.version)
        PyMem_Free(self.m.grad)

    def __deepcopy__(self, memo):
        return None             # the copied layer makes its own

    def __reduce__(self):
        return type(None), ()

cdef Parameters gather(list neurons, int nin):
    """Move the parameters of the neurons into a Matrix; None where they are no plain numbers of
    their own."""
    cdef int nout = len(neurons), width = 1 if nout == 1 else (nout + 7) & ~7, i, j
    cdef Py_ssize_t count = <Py_ssize_t>(nin + 1) * nout, size = <Py_ssize_t>(nin + 1) * width
    cdef Parameters p = Parameters.__new__(Parameters)
    cdef Matrix* m = &p.m
    cdef Node* n
    values = []
    for neuron in neurons:
        values += neuron.w
        values.append(neuron.b)
    if len(set(map(id, values))) != count:
        return None             # a Value that stands twice
    for value in values:
        n = node_of(<PyObject*>value)
        if n.data_kind == PACKED:
            dissolve_of(n)
    for i in range(count):
        n = node_of(<PyObject*>values[i])
        if not is_plain_leaf(n) or (n.data_kind == INTEGER and (i + 1) % (nin + 1) != 0):
            return None
    m.nin, m.nout, m.width = nin, nout, width
    m.grad = <double*>PyMem_Calloc(1, size * (sizeof(double) + 1) + nout * (sizeof(Seen) + 1) + width)
    if m.grad == NULL:
        raise MemoryError
    m.neurons = <Seen*>(m.grad + size)
    m.grad_kind = <Kind*>(m.neurons + nout)
    m.op = m.grad_kind + size
    m.sum_kind = m.op + nout
    renew(m)
    p.values = tuple(values)
    p.nonlins = [neuron.nonlin for neuron in neurons]
    m.all_linear = m.all_relu = True
    for j in range(nout):
        m.op[j] = activation(neurons[j].nonlin)
        m.all_linear &= m.op[j] == ADD
        m.all_relu &= m.op[j] == RELU
        for i in range(nin + 1):
            pack(node_of(<PyObject*>values[j * (nin + 1) + i]), p, i * width + j)
    return p

cdef int renew(Matrix* m) except -1:
    """Give the Matrix a Version of its own: of the numbers in the former one, where there is one."""
    cdef Py_ssize_t size = <Py_ssize_t>(m.nin + 1) * m.width
    cdef Version* v = <Version*>PyMem_Calloc(1, sizeof(Version) + size * (sizeof(double) + 1))
    if v == NULL:
        raise MemoryError
    v.users = 1
    v.data = <double*>(v + 1)
    v.data_kind = <Kind*>(v.data + size)
    if m.version != NULL:
        memcpy(v.data, m.data, size * (sizeof(double) + 1))
        release(m.version)
    m.version, m.data, m.data_kind = v, v.data, v.data_kind
    return 0

cdef inline int before_change(Matrix* m) except -1:
    """See to it that the graph keeps the numbers that it was made with."""
    return 0 if m.version.users == 1 else renew(m)

cdef inline void release(Version* v) noexcept:
    if v != NULL:
        v.users -= 1
        if v.users == 0:
            PyMem_Free(v)

cdef bint is_plain_leaf(Node* n) noexcept:
    return (n.op == LEAF and n.flags == 0 and n.data_kind != OBJECT and n.grad_kind != OBJECT
            and is_plain(data_of_node(n)))

cdef void pack(Node* n, Parameters p, int place) noexcept:
    p.m.data[place], p.m.data_kind[place] = n.data.x, n.data_kind
    p.m.grad[place], p.m.grad_kind[place] = n.grad.x, n.grad_kind
    n.data_kind = n.grad_kind = PACKED
    n.data.object = <PyObject*>p
    n.index = place

cdef void dissolve(Matrix* m, tuple values) noexcept:
    """Give the parameters their own numbers back."""
    cdef Node* n
    cdef int place
    if m.dissolved:
        return
    m.dissolved = True
    for value in values:
        n = node_of(<PyObject*>value)
        if n.data_kind == PACKED:
            place = n.index
            n.data.x, n.data_kind = m.data[place], m.data_kind[place]
            n.grad.x, n.grad_kind = m.grad[place], m.grad_kind[place]

cdef void dissolve_of(Node* n) noexcept:
    p = <Parameters>n.data.object
    dissolve(&p.m, p.values)

cdef inline Matrix* matrix_of(Node* n) noexcept:
    return &(<Parameters>n.data.object).m

cdef void know_kinds(Matrix* m) noexcept:
    cdef Py_ssize_t i, j
    cdef Kind all = INTEGER, any = OBJECT, kind
    memset(m.sum_kind, INTEGER, m.width)
    for i in range(m.nin + 1):
        for j in range(m.nout):
            kind = m.data_kind[i * m.width + j]
            m.sum_kind[j] &= kind
            if i < m.nin:
                all &= kind
                any |= kind
    m.fusable = any != INTEGER      # which has every other kind's bits, and one more
    m.weight_kind = all if all == any else OBJECT
    m.kinds_known = True

cdef void know_grad_kinds(Matrix* m) noexcept:
    cdef Py_ssize_t i, j
    cdef bint same = True
    for i in range(m.nin + 1):
        for j in range(m.nout):
            same &= m.grad_kind[i * m.width + j] == m.grad_kind[0]
    m.grad_kinds = m.grad_kind[0] if same else OBJECT

cdef inline void set_all_grad_kinds(Matrix* m, Kind kind) noexcept:
    if kind != m.grad_kinds:
        memset(m.grad_kind, kind, <Py_ssize_t>(m.nin + 1) * m.width)
        m.grad_kinds = kind

cdef void zero_grads(Matrix* m) noexcept:
    memset(m.grad, 0, <Py_ssize_t>(m.nin + 1) * m.width * sizeof(double))
    set_all_grad_kinds(m, INTEGER)

cdef inline void set_packed_grad(Matrix* m, int place, Number grad) noexcept:
    if grad.kind != m.grad_kinds:
        m.grad_kinds = OBJECT
    m.grad[place], m.grad_kind[place] = grad.x, grad.kind
