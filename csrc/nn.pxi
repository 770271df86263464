# Fused layers: one node for a whole layer applied to one input.
#
#       x0, x1 ... <-- Run <-- Run <-- Run <-- out      each Run holds its layer's values and gradients,
#                       |       |       |               and its Matrix the parameters, side by side
#                     Matrix  Matrix  Matrix
#
# A neuron's products and partial sums do not exist until somebody looks: `_prev`, `_backward`, a
# second sweep, a Python callback during a sweep. Then `expand` makes the nodes that the original
# would have, with the data and gradients they would hold, and the Run is gone. (Where a parameter
# was changed since the forward pass, the data of the products is computed from what it is now.)
#
# The parameters stay Values in n.w and n.b. While a layer is fused, their numbers stand in the
# layer's Matrix (kind PACKED); one that gets an object for data, a callback, or another layer,
# dissolves the Matrix, and they all hold their own numbers again.

cimport cython
from cpython.mem cimport PyMem_Malloc, PyMem_Calloc

cdef extern from "layer.h" nogil:
    ctypedef unsigned char Kind
    ctypedef struct Arithmetic:
        const char* name
        void (*sums)(int nin, int nout, const double* w, const double* x, double* y) noexcept
        void (*sums_backward)(int nin, int nout, const double* w, const double* x, const double* g,
                              double* dw, double* dx) noexcept
        void (*kinds_backward)(int nin, int nout, const Kind* w, const Kind* x, const Kind* g,
                               const Kind* skip, Kind* dw, Kind* dx) noexcept
    const Arithmetic* arithmetics   # each one for wider vectors than the one before
    int arithmetic_count()          # how many of them this processor can run

cdef const Arithmetic* arithmetic = &arithmetics[arithmetic_count() - 1]

def _arithmetics():
    """The names of the arithmetics that this processor can run."""
    return [arithmetics[i].name.decode() for i in range(arithmetic_count())]

def _choose_arithmetic(name):
    """Compute layers by the arithmetic of that name, for the tests; the name of the former one."""
    global arithmetic
    former = arithmetic.name.decode()
    arithmetic = &arithmetics[_arithmetics().index(name)]
    return former

cdef extern from *:
    """
    /* A number that no other dict has, and this one no more after any change; 0 where this Python
       keeps none. */
    #if PY_VERSION_HEX < 0x030D0000
    static inline unsigned long long dict_version(PyObject *dict) {
        return ((PyDictObject *)dict)->ma_version_tag;
    }
    #else
    #define dict_version(dict) 0
    #endif
    """
    unsigned long long dict_version(PyObject*) noexcept

cdef extern from "Python.h":
    PyObject* Py_True
    PyObject* Py_False
    PyObject** _PyObject_GetDictPtr(PyObject*)
    PyObject* PyDict_GetItemWithError(PyObject*, PyObject*) except? NULL
    bint PyList_CheckExact(PyObject*) noexcept
    bint PyTuple_CheckExact(PyObject*) noexcept
    Py_ssize_t PySequence_Fast_GET_SIZE(PyObject*) noexcept
    PyObject** PySequence_Fast_ITEMS(PyObject*) noexcept


# The parameters of a layer.

cdef struct Seen:
    unsigned long long version  # of its __dict__
    PyObject* w                 # the list; not an owned reference

cdef struct Matrix:
    int nin, nout
    bint dissolved
    bint kinds_known            # whether sum_kind and fusable are up to date
    bint fusable                # no weight is an int, so that no product is
    double* data                # nin rows of nout weights, one row of biases
    double* grad
    Kind* data_kind
    Kind* grad_kind
    Seen* seen                  # of each neuron: what it was when last looked at
    Kind* relu                  # of each neuron
    Kind* sum_kind              # of each neuron: of its weights and bias together

@cython.final
@cython.no_gc_clear
cdef class Parameters:
    """Owns a Matrix and the Values whose numbers it holds; kept by the Layer."""
    cdef tuple values           # neuron by neuron, each one's weights and then its bias
    cdef Matrix m

    def __dealloc__(self):
        if self.values is not None:
            dissolve(&self.m, self.values)
        PyMem_Free(self.m.data)

    def __deepcopy__(self, memo):
        return None             # the copied layer makes its own

    def __reduce__(self):
        return type(None), ()

cdef Parameters gather(list neurons, int nin):
    """Move the parameters of the neurons into a Matrix; None where they are no plain numbers of
    their own."""
    cdef int nout = len(neurons), i, j
    cdef Py_ssize_t size = <Py_ssize_t>(nin + 1) * nout
    cdef Parameters p = Parameters.__new__(Parameters)
    cdef Matrix* m = &p.m
    cdef Node* n
    values = []
    for neuron in neurons:
        values += neuron.w
        values.append(neuron.b)
    if len(set(map(id, values))) != size:
        return None             # a Value that stands twice
    for value in values:
        n = node_of(<PyObject*>value)
        if n.data_kind == PACKED:
            dissolve_of(n)
    for i in range(size):
        n = node_of(<PyObject*>values[i])
        if not is_plain_leaf(n) or (n.data_kind == INTEGER and (i + 1) % (nin + 1) != 0):
            return None
    m.data = <double*>PyMem_Calloc(1, size * (2 * sizeof(double) + 2) + nout * (sizeof(Seen) + 2))
    if m.data == NULL:
        raise MemoryError
    m.grad = m.data + size
    m.seen = <Seen*>(m.grad + size)
    m.data_kind = <Kind*>(m.seen + nout)
    m.grad_kind = m.data_kind + size
    m.relu = m.grad_kind + size
    m.sum_kind = m.relu + nout
    m.nin, m.nout = nin, nout
    p.values = tuple(values)
    for j in range(nout):
        m.relu[j] = neurons[j].nonlin
        for i in range(nin + 1):
            pack(node_of(<PyObject*>values[j * (nin + 1) + i]), p, i * nout + j)
    return p

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
    cdef Kind data_kind, grad_kind
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
    for j in range(m.nout):
        m.sum_kind[j] = m.data_kind[m.nin * m.nout + j]
    m.fusable = True
    for i in range(m.nin):
        for j in range(m.nout):
            m.sum_kind[j] &= m.data_kind[i * m.nout + j]
            m.fusable &= m.data_kind[i * m.nout + j] != INTEGER
    m.kinds_known = True


# When a layer may be fused: where nobody can tell. Value, Neuron and Layer are as they were shipped;
# the neurons are Neurons with equally many Values for weights; parameters and inputs are plain
# numbers; and no sum overflows.

cdef PyTypeObject* neuron_type = NULL
cdef PyTypeObject* layer_type = NULL
cdef object neuron_call, neuron_parameters, layer_call, layer_parameters, value_relu
cdef Py_ssize_t layer_slot              # where a Layer keeps its Parameters

cdef extern from "structmember.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member

def _ships(Neuron, Layer):
    """Tell the engine what Neuron and Layer are as shipped."""
    global neuron_type, layer_type, neuron_call, layer_call, layer_slot, value_relu
    global neuron_parameters, layer_parameters
    neuron_type, layer_type = <PyTypeObject*>Neuron, <PyTypeObject*>Layer
    Py_INCREF(<PyObject*>Neuron)
    Py_INCREF(<PyObject*>Layer)
    neuron_call, layer_call, value_relu = Neuron.__call__, Layer.__call__, Value.__dict__["relu"]
    neuron_parameters, layer_parameters = Neuron.parameters, Layer.parameters
    layer_slot = (<PyMemberDescrObject*>Layer._parameters).d_member.offset

cdef inline PyObject* entry(PyObject* mapping, object name) except? NULL:
    return PyDict_GetItemWithError(mapping, <PyObject*>name)

cdef bint all_as_shipped() except -1:
    return (shipped() and operators_as_shipped()
            and entry(<PyObject*>value_type.tp_dict, "relu") == <PyObject*>value_relu
            and entry(<PyObject*>neuron_type.tp_dict, "__call__") == <PyObject*>neuron_call
            and entry(<PyObject*>neuron_type.tp_dict, "parameters") == <PyObject*>neuron_parameters
            and entry(<PyObject*>layer_type.tp_dict, "__call__") == <PyObject*>layer_call
            and entry(<PyObject*>layer_type.tp_dict, "parameters") == <PyObject*>layer_parameters
            and neuron_type.tp_getattro == layer_type.tp_getattro == object_getattro)

cdef inline PyObject* own_attribute(PyObject* o, object name) except? NULL:
    """o.__dict__[name], or NULL."""
    cdef PyObject** attrs = _PyObject_GetDictPtr(o)
    return NULL if attrs == NULL or attrs[0] == NULL else entry(attrs[0], name)

cdef Parameters parameters_of(object layer):
    """The layer's Parameters, or None where it cannot be fused."""
    cdef PyObject* l = <PyObject*>layer
    if l.ob_type != layer_type:
        return None
    cdef PyObject* neurons = own_attribute(l, "neurons")
    if neurons == NULL or not PyList_CheckExact(neurons) or PySequence_Fast_GET_SIZE(neurons) == 0:
        return None
    cdef PyObject** slot = <PyObject**>(<char*>l + layer_slot)
    cdef Parameters p
    if slot[0] != NULL and slot[0].ob_type == <PyTypeObject*>Parameters:
        p = <Parameters>slot[0]
        if not p.m.dissolved and still_holds(p, neurons):
            if not p.m.kinds_known:
                know_kinds(&p.m)
            return p
    p = gather_if_regular(<list>neurons)
    layer._parameters = p
    if p is not None:
        know_kinds(&p.m)
    return p

cdef bint still_holds(Parameters p, PyObject* neurons) except -1:
    """Whether p is what would be gathered from these neurons now."""
    cdef Matrix* m = &p.m
    cdef PyObject** items = PySequence_Fast_ITEMS(neurons)
    cdef PyObject** held = PySequence_Fast_ITEMS(<PyObject*>p.values)
    cdef PyObject** attrs
    cdef PyObject* w
    cdef int j
    if PySequence_Fast_GET_SIZE(neurons) != m.nout:
        return False
    for j in range(m.nout):
        if items[j].ob_type != neuron_type:
            return False
        attrs = _PyObject_GetDictPtr(items[j])
        if attrs == NULL or attrs[0] == NULL:
            return False
        if m.seen[j].version == 0 or m.seen[j].version != dict_version(attrs[0]):
            w = entry(attrs[0], "w")
            if (w == NULL or not PyList_CheckExact(w) or entry(attrs[0], "b") != held[m.nin]
                    or entry(attrs[0], "nonlin") != (Py_True if m.relu[j] else Py_False)):
                return False
            m.seen[j].version, m.seen[j].w = dict_version(attrs[0]), w
        w = m.seen[j].w
        if PySequence_Fast_GET_SIZE(w) != m.nin or not same(PySequence_Fast_ITEMS(w), held, m.nin):
            return False
        held += m.nin + 1
    return True

cdef inline bint same(PyObject** a, PyObject** b, int count) noexcept:
    cdef size_t difference = 0
    cdef int i
    for i in range(count):
        difference |= <size_t>a[i] ^ <size_t>b[i]
    return difference == 0

cdef Parameters gather_if_regular(list neurons):
    nin = -1
    for neuron in neurons:
        if type(neuron) is not <object><PyObject*>neuron_type:
            return None
        attrs = neuron.__dict__
        w, b = attrs.get("w"), attrs.get("b")
        if (type(w) is not list or not w or nin not in (-1, len(w)) or type(b) is not Value
                or attrs.get("nonlin") not in (True, False) or type(attrs["nonlin"]) is not bool):
            return None
        for v in w:
            if type(v) is not Value:
                return None
        nin = len(w)
    return gather(neurons, nin)


def _parameters_of(layers):
    """The parameters of fused layers, in the original's order; None where the layers must be asked."""
    cdef Parameters p
    if type(layers) is not list or not all_as_shipped():
        return None
    parameters = []
    for layer in layers:
        p = parameters_of(layer)
        if p is None:
            return None
        parameters += p.values
    return parameters


# A layer applied to one input.

cdef struct Run:
    Body body                   # op is RUN, a the previous Run or NULL
    PyObject* parameters        # an owned reference
    Run* next                   # all Runs, for the garbage collector
    Run* previous
    bint swept
    # one for each neuron
    double* data                # of its output
    double* grad                # of its output, for the layer before another's
    double* sum_grad            # before the ReLU
    Node** values               # its output's Value, where there is one; not an owned reference
    Kind* data_kind
    Kind* grad_kind
    Kind* sum_grad_kind
    Kind* skip                  # all ones: no sweep came by its output
    # one for each input of a first layer, else NULL
    Node** inputs               # an owned reference, or NULL for a number
    double* x
    double* dx
    Kind* x_kind
    Kind* dx_kind

cdef Run* runs = NULL
cdef class _Run:
    """The Python type of a Run."""
    cdef Node node
    cdef object attrs
    cdef object __weakref__

cdef PyTypeObject* run_type = <PyTypeObject*>_Run

cdef inline Run* run_of(Node* n) noexcept:
    """The Run of a FUSED node, or the one whose own node n is."""
    return <Run*>value_of(n.a if n.op == FUSED else n)

cdef inline Run* previous_layer(Run* r) noexcept:
    return NULL if r.body.node.a == NULL else <Run*>value_of(r.body.node.a)

cdef inline Matrix* matrix(Run* r) noexcept:
    return &(<Parameters>r.parameters).m

cdef Run* new_run(Parameters p, Run* previous) except NULL:
    """A Run with nothing computed; it counts one reference."""
    global runs
    cdef int nout = p.m.nout, nin = p.m.nin if previous == NULL else 0
    cdef Py_ssize_t size = sizeof(Run) + nout * (3 * sizeof(double) + sizeof(Node*) + 4) + nin * (2 * sizeof(double) + sizeof(Node*) + 2)
    cdef char* memory = <char*>PyMem_Malloc(GC_HEAD + size)
    if memory == NULL:
        raise MemoryError
    cdef Run* r = <Run*>(memory + GC_HEAD)
    memset(memory, 0, GC_HEAD + sizeof(Run))
    r.body.head.ob_refcnt = 1
    r.body.head.ob_type = run_type
    r.body.node.op = RUN
    r.body.node.data_kind = r.body.node.grad_kind = INTEGER
    if previous != NULL:
        r.body.node.a = &previous.body.node
        Py_INCREF(&previous.body.head)
    r.parameters = <PyObject*>p
    Py_INCREF(r.parameters)
    r.data = <double*>(r + 1)
    r.grad = r.data + nout
    r.sum_grad = r.grad + nout
    r.values = <Node**>(r.sum_grad + nout)
    memset(r.values, 0, (nout + nin) * sizeof(Node*))
    cdef double* x = <double*>(r.values + nout + nin)
    cdef Kind* kinds = <Kind*>(x + 2 * nin)
    if previous == NULL:
        r.inputs, r.x, r.dx = r.values + nout, x, x + nin
        r.x_kind, r.dx_kind = kinds + 4 * nout, kinds + 4 * nout + nin
    r.data_kind, r.grad_kind = kinds, kinds + nout
    r.sum_grad_kind, r.skip = kinds + 2 * nout, kinds + 3 * nout
    memset(r.skip, 0xFF, nout)
    r.next = runs
    if runs != NULL:
        runs.previous = r
    runs = r
    return r

cdef void bury_run(Run* r) noexcept:
    global runs
    cdef int i
    if r.inputs != NULL:
        for i in range(matrix(r).nin):
            if r.inputs[i] != NULL:
                Py_DECREF(value_of(r.inputs[i]))
    if r.body.node.a != NULL:
        Py_DECREF(value_of(r.body.node.a))
    Py_DECREF(r.parameters)
    if r.next != NULL:
        r.next.previous = r.previous
    if r.previous != NULL:
        r.previous.next = r.next
    else:
        runs = r.next
    PyMem_Free(<char*>r - GC_HEAD)

cdef int traverse_run(PyObject* run, visitproc visit, void* arg) noexcept:
    cdef Run* r = <Run*>run
    cdef int i, stop = visit(r.parameters, arg)
    if r.inputs != NULL:
        for i in range(matrix(r).nin):
            if r.inputs[i] != NULL and stop == 0:
                stop = visit(value_of(r.inputs[i]), arg)
    elif stop == 0:
        stop = visit(value_of(r.body.node.a), arg)
    return stop


# Forward.

cdef enum:
    SMALL = 1 << 16             # ints to this size: the sums of their products stay exact

cdef bint set_input(Run* r, int i, PyObject* x) except -1:
    """Fill in one input; False where it is no plain number."""
    cdef Number n = data_of_node(node_of(x)) if x.ob_type == value_type else number_of(<object>x)
    if not is_plain(n) or (n.kind == INTEGER and not -SMALL <= n.x <= SMALL):
        return False
    r.x[i], r.x_kind[i] = n.x, n.kind
    if x.ob_type == value_type:
        r.inputs[i] = node_of(x)
        Py_INCREF(x)
    return True

cdef bint forward(Run* r) noexcept:
    """Compute the outputs; False where one is infinite or nan."""
    cdef Matrix* m = matrix(r)
    cdef Run* previous = previous_layer(r)
    cdef double* x = r.x if previous == NULL else previous.data
    cdef Kind* x_kind = r.x_kind if previous == NULL else previous.data_kind
    cdef Kind kinds = INTEGER
    cdef Number y
    cdef int i, j
    for i in range(m.nin):
        kinds &= x_kind[i]
    arithmetic.sums(m.nin, m.nout, m.data, x, r.data)
    for j in range(m.nout):
        y.x, y.kind = r.data[j], m.sum_kind[j] & kinds
        if not is_plain(y):
            return False
        if m.relu[j]:
            y = apply(RELU, y.x, y.kind, 0, INTEGER)
        r.data[j], r.data_kind[j] = y.x, y.kind
    return True

cdef object output(Run* r, int j):
    """The Value of an output."""
    if r.values[j] != NULL:
        return <object>value_of(r.values[j])
    cdef Number y
    y.x, y.kind = r.data[j], r.data_kind[j]
    value = number_node(y, FUSED, &r.body.node, NULL)
    cdef Node* n = node_of(<PyObject*>value)
    n.index = j
    if r.swept and not r.skip[j]:
        n.grad.x, n.grad_kind = r.grad[j], r.grad_kind[j]
    r.values[j] = n
    return value

cdef Run* run_layers(list parameters, PyObject* x) except? NULL:
    """The last layer's Run, or NULL where the plain way must be taken."""
    cdef Run* r = NULL
    cdef Run* previous = NULL
    cdef Parameters p
    cdef bint fine = True
    cdef int i
    for p in parameters:
        r = new_run(p, previous)
        if previous != NULL:
            Py_DECREF(&previous.body.head)
        else:
            for i in range(p.m.nin):
                fine = fine and set_input(r, i, PySequence_Fast_ITEMS(x)[i])
        if not fine or not forward(r):
            Py_DECREF(&r.body.head)
            return NULL
        previous = r
    return r

def _fused(layers, x):
    """The layers applied to x, one after the other, or None where the plain way must be taken."""
    cdef Parameters p
    cdef Run* r
    cdef int width, j
    if type(layers) is not list or not layers or not all_as_shipped():
        return None
    if type(x) is not list and type(x) is not tuple:
        if type(x).__name__ != "ndarray":
            return None         # a generator, say, that the first neuron empties
        x = list(x)
    width = len(x)
    parameters = []
    for layer in layers:
        p = parameters_of(layer)
        if p is None or not p.m.fusable or width < p.m.nin or (width > p.m.nin and parameters):
            return None         # say, a short input
        width = p.m.nout
        parameters.append(p)
    r = run_layers(parameters, <PyObject*>x)
    if r == NULL:
        return None
    try:
        if width == 1:
            return output(r, 0)
        return [output(r, j) for j in range(width)]
    finally:
        Py_DECREF(&r.body.head)


# Backward.

cdef bint may_stay_fused(Run* r) noexcept:
    """Whether a sweep may take this Run, and those before it, as they are."""
    cdef int i
    cdef Node* n
    while r != NULL:
        if r.swept or matrix(r).dissolved:
            return False
        if r.inputs != NULL:
            for i in range(matrix(r).nin):
                n = r.inputs[i]
                if n != NULL and (n.grad_kind == OBJECT or not is_plain(data_of_node(n))):
                    return False
        r = previous_layer(r)
    return True

cdef inline Number grad_of_sum(bint relu, double y, Kind y_kind, double g, Kind g_kind) noexcept:
    """The gradient of a neuron's sum, from data and gradient of its output."""
    cdef Number grad
    grad.x, grad.kind = g, g_kind
    if relu:
        grad = derivatives(RELU, 0, INTEGER, 0, INTEGER, y, y_kind, g, g_kind).a
    return grad

cdef bint sweep_output(Node* n) noexcept:
    """Pass the gradient of a FUSED node on to its Run; False where that takes Python."""
    cdef Run* r = run_of(n)
    cdef Number g
    if n.data_kind == OBJECT or n.grad_kind == OBJECT:
        return False
    g = grad_of_sum(matrix(r).relu[n.index], n.data.x, n.data_kind, n.grad.x, n.grad_kind)
    if not is_plain(g) or (g.kind == INTEGER and not -SMALL <= g.x <= SMALL):
        return False
    set_sum_grad(r, n.index, g)
    return True

cdef inline void set_sum_grad(Run* r, int j, Number g) noexcept:
    r.sum_grad[j], r.sum_grad_kind[j], r.skip[j] = g.x + 0.0, g.kind, 0

cdef void sweep_layers(Run* r) noexcept:
    """Apply the chain rule to r and to the layers before it."""
    cdef bint inner = False     # only the next layer can have used r's outputs
    while r != NULL:
        sweep_layer(r, inner)
        r, inner = previous_layer(r), True

cdef void sweep_layer(Run* r, bint inner) noexcept:
    cdef Matrix* m = matrix(r)
    cdef Run* previous = previous_layer(r)
    cdef int i, j
    for j in range(m.nout):
        if inner:
            set_sum_grad(r, j, grad_of_sum(m.relu[j], r.data[j], r.data_kind[j], r.grad[j], r.grad_kind[j]))
        elif r.skip[j]:
            r.sum_grad[j], r.sum_grad_kind[j] = 0, INTEGER
    r.swept = True
    if previous != NULL:
        arithmetic.sums_backward(m.nin, m.nout, m.data, previous.data, r.sum_grad, m.grad, previous.grad)
        arithmetic.kinds_backward(m.nin, m.nout, m.data_kind, previous.data_kind, r.sum_grad_kind,
                                  r.skip, m.grad_kind, previous.grad_kind)
        return
    for i in range(m.nin):
        if r.inputs[i] != NULL:     # operands are read at backward time
            r.x[i], r.x_kind[i] = data_of_node(r.inputs[i]).x, data_of_node(r.inputs[i]).kind
    arithmetic.sums_backward(m.nin, m.nout, m.data, r.x, r.sum_grad, m.grad, r.dx)
    arithmetic.kinds_backward(m.nin, m.nout, m.data_kind, r.x_kind, r.sum_grad_kind,
                              r.skip, m.grad_kind, r.dx_kind)
    for i in range(m.nin):
        if r.inputs[i] != NULL:
            grad_of_node(r.inputs[i])[0] += r.dx[i]
            grad_kind_of(r.inputs[i])[0] &= r.dx_kind[i]


# The plain nodes, on demand.

cdef int unfuse(Node* n) except -1:
    """Make n, if it is an output of a layer, the result of plain nodes."""
    if n.op == FUSED:
        expand(run_of(n))
    return 0

cdef int operation_of(Node* n) noexcept:
    """The operation that n is the result of, in the original's eyes."""
    if n.op != FUSED:
        return n.op
    return RELU if matrix(run_of(n)).relu[n.index] else ADD

cdef int expand(Run* r) except -1:
    """Turn the Values of r's outputs into results of plain nodes, and the layer before into Values."""
    cdef Matrix* m = matrix(r)
    cdef Node** scratch = <Node**>PyMem_Calloc(m.nin + m.nout, sizeof(Node*))
    cdef Node** xs = scratch
    cdef Node** sums = scratch + m.nin
    cdef int i, j
    if scratch == NULL:
        raise MemoryError
    Py_INCREF(&r.body.head)
    try:
        for i in range(m.nin):
            xs[i] = owned(input_value(r, i))
        for j in range(m.nout):
            if r.values[j] != NULL:
                sums[j] = owned(sum_of_neuron(r, j, xs))
        for j in range(m.nout):
            if r.values[j] != NULL and sums[j] != NULL:
                replace_operands(r.values[j], sums[j], m.relu[j])
    finally:
        for i in range(m.nin + m.nout):
            if scratch[i] != NULL:
                Py_DECREF(value_of(scratch[i]))
        PyMem_Free(scratch)
        Py_DECREF(&r.body.head)
    return 0

cdef Node* owned(object value) noexcept:
    """The node of a Value, with a reference of our own; NULL for None."""
    if value is None:
        return NULL
    Py_INCREF(<PyObject*>value)
    return node_of(<PyObject*>value)

cdef object input_value(Run* r, int i):
    """The Value that input i is, or None for a number."""
    if r.inputs == NULL:
        return output(previous_layer(r), i)
    return None if r.inputs[i] == NULL else <object>value_of(r.inputs[i])

cdef object sum_of_neuron(Run* r, int j, Node** xs):
    """The sum of neuron j as plain nodes, with the gradients it would have by now."""
    cdef Matrix* m = matrix(r)
    cdef tuple values = (<Parameters>r.parameters).values
    cdef Py_ssize_t first = <Py_ssize_t>j * (m.nin + 1)
    cdef bint swept = r.swept and not r.skip[j]
    cdef Number w
    cdef int i
    total = values[first + m.nin]
    for i in range(m.nin):
        weight = values[first + i]
        if xs[i] != NULL:
            x = <object>value_of(xs[i])
        else:
            x = plain_leaf(number_object(r.x[i], r.x_kind[i]))
            w = data_of_node(node_of(<PyObject*>weight))
            if swept:
                set_grad(x, w.x * r.sum_grad[j] + 0.0, w.kind & r.sum_grad_kind[j])
        product = compute_plain(MUL, node_of(<PyObject*>weight), node_of(<PyObject*>x))
        total = compute_plain(ADD, node_of(<PyObject*>total), node_of(<PyObject*>product))
        if swept:
            set_grad(product, r.sum_grad[j], r.sum_grad_kind[j])
            set_grad(total, r.sum_grad[j], r.sum_grad_kind[j])
    return total

cdef void set_grad(object value, double x, Kind kind) noexcept:
    node_of(<PyObject*>value).grad.x, node_of(<PyObject*>value).grad_kind = x, kind

cdef void replace_operands(Node* out, Node* sum, bint relu) noexcept:
    """Make out the ReLU of the sum, or stand in for the sum itself."""
    forget_operands(out)
    if relu:
        adopt(out, RELU, sum, NULL)
    else:
        adopt(out, ADD, sum.a, sum.b)

cdef int append_expanded(Nodes* order, Run* r) except -1:
    """For a sweep that has r to come: expand r and the layers before it, and append their plain
    nodes, results before operands."""
    cdef Run* previous
    cdef bint inner = False
    Py_INCREF(&r.body.head)
    while r != NULL:
        previous = previous_layer(r)
        if previous != NULL:
            Py_INCREF(&previous.body.head)
        try:
            append_layer(order, r, inner)
        except:
            if previous != NULL:
                Py_DECREF(&previous.body.head)
            raise
        finally:
            Py_DECREF(&r.body.head)
        r, inner = previous, True
    return 0

cdef int append_layer(Nodes* order, Run* r, bint inner) except -1:
    cdef Matrix* m = matrix(r)
    cdef Node** outputs = <Node**>PyMem_Calloc(m.nout, sizeof(Node*))
    cdef Node* n
    cdef int i, j
    if outputs == NULL:
        raise MemoryError
    try:
        for j in range(m.nout):     # those in this sweep, still to come or already swept
            n = r.values[j]
            if n != NULL and (inner or n.flags & VISITED or not r.skip[j]):
                outputs[j] = n
        expand(r)
        for j in range(m.nout):
            n = outputs[j]
            if n == NULL:
                continue
            reserve(order, 2 * m.nin + 2)
            if inner:
                push(order, n)
            elif not r.skip[j] and not add_numbers(n):
                add_objects(n)      # its share had only reached the Run
            if m.relu[j]:
                n = n.a
                push(order, n)
            for i in range(m.nin):
                push(order, n.b)
                n = n.a
                if i < m.nin - 1:
                    push(order, n)
    finally:
        PyMem_Free(outputs)
    return 0
