# When a layer may be fused: where nobody can tell. Value, Neuron and Layer are as they were shipped;
# the neurons are Neurons with equally many Values for weights, and activations of ours; parameters
# and inputs are plain numbers; and no sum overflows.

cdef PyTypeObject* neuron_type = NULL
cdef PyTypeObject* layer_type = NULL
cdef dict shipped_methods               # {class: {name: function, or None for no such attribute}}
cdef Py_ssize_t layer_slot              # where a Layer keeps its Parameters
cdef unsigned int[3] seen_versions      # of the three classes, when they were last looked at

def _ships(Neuron, Layer, MLP):
    """Tell the engine what the classes of nn are as shipped."""
    global neuron_type, layer_type, layer_slot, shipped_methods
    neuron_type, layer_type = <PyTypeObject*>Neuron, <PyTypeObject*>Layer
    shipped_methods = {
        Value: {"data": Value.data, "grad": Value.grad,
                **{name: getattr(Value, name) for name in activations}},
        Neuron: {"__call__": Neuron.__call__, "parameters": Neuron.parameters,
                 "w": None, "b": None, "nonlin": None, "__getattr__": None},
        Layer: {"__call__": Layer.__call__, "parameters": Layer.parameters,
                "neurons": None, "__getattr__": None},
    }
    layer_slot = (<PyMemberDescrObject*>Layer._parameters).d_member.offset
    take_calls(<PyTypeObject*>MLP)

cdef inline bint all_as_shipped() except -1:
    return (shipped() and operators_as_shipped()
            and neuron_type.tp_getattro == layer_type.tp_getattro == object_getattro
            and (all_as_last_seen() or look_at_classes()))

cdef inline bint all_as_last_seen() noexcept:
    return (seen_versions[0] != 0 and class_version(value_type) == seen_versions[0]
            and seen_versions[1] != 0 and class_version(neuron_type) == seen_versions[1]
            and seen_versions[2] != 0 and class_version(layer_type) == seen_versions[2])

cdef bint look_at_classes() except -1:
    for cls, methods in shipped_methods.items():
        for name, method in methods.items():
            if getattr(cls, name, None) is not method:
                return False
    seen_versions[0] = class_version(value_type)
    seen_versions[1] = class_version(neuron_type)
    seen_versions[2] = class_version(layer_type)
    return True

cdef PyObject* own_attribute(PyObject* o, object name) except? NULL:
    """o.__dict__[name], or NULL."""
    cdef PyObject** attrs = _PyObject_GetDictPtr(o)
    return NULL if attrs == NULL or attrs[0] == NULL else PyDict_GetItemWithError(attrs[0], <PyObject*>name)

cdef Parameters parameters_of(object layer):
    """The layer's Parameters, or None where it cannot be fused."""
    cdef PyObject* l = <PyObject*>layer
    if l.ob_type != layer_type:
        return None
    cdef PyObject** slot = <PyObject**>(<char*>l + layer_slot)
    cdef Parameters p
    if slot[0] != NULL and slot[0].ob_type == <PyTypeObject*>Parameters:
        p = <Parameters>slot[0]
        if not p.m.dissolved and still_holds(p, l):
            if not p.m.kinds_known:
                know_kinds(&p.m)
            return p
    p = gather_if_regular(layer.__dict__.get("neurons"))
    if p is not None and not still_holds(p, l):     # as it does, but this looks at them all
        p = None
    layer._parameters = p
    if p is not None:
        know_kinds(&p.m)
    return p

cdef bint still_holds(Parameters p, PyObject* layer) except -1:
    """Whether p is what would be gathered from this layer now."""
    cdef Matrix* m = &p.m
    cdef PyObject** held = PySequence_Fast_ITEMS(<PyObject*>p.values)
    cdef PyObject** neurons
    cdef int j
    if not is_unchanged(&m.layer.stamp, layer) and not see(&m.layer, layer, "neurons"):
        return False
    if PyList_GET_SIZE(<PyObject*>m.layer.list) != m.nout:
        return False
    neurons = m.layer.list.ob_item
    for j in range(m.nout):
        if not is_as_seen(&m.neurons[j], neurons[j], held, m.nin):
            if not see_neuron(p, j, neurons[j], held[m.nin]) or not has_weights(m.neurons[j].list, held, m.nin):
                return False
        held += m.nin + 1
    return True

cdef inline bint is_as_seen(Seen* seen, PyObject* neuron, PyObject** held, Py_ssize_t nin) noexcept:
    return (neuron.ob_type == neuron_type and is_unchanged(&seen.stamp, neuron)
            and has_weights(seen.list, held, nin))

cdef inline bint has_weights(PyListObject* w, PyObject** held, Py_ssize_t nin) noexcept:
    return (PyList_CheckExact(<PyObject*>w) and PyList_GET_SIZE(<PyObject*>w) == nin
            and same_pointers(w.ob_item, held, nin))

cdef inline bint same_pointers(PyObject** a, PyObject** b, Py_ssize_t count) noexcept:
    if count < 4:               # too few for a call
        while count and a[count - 1] == b[count - 1]:
            count -= 1
        return count == 0
    return memcmp(a, b, count * sizeof(PyObject*)) == 0

cdef bint see(Seen* seen, PyObject* o, object name) except -1:
    """Look at o's attributes; False unless the one of that name is a list."""
    cdef PyObject* list = own_attribute(o, name)
    take_stamp(&seen.stamp)
    if list == NULL or not PyList_CheckExact(list):
        return False
    seen.list = <PyListObject*>list
    seen.own_parameters = own_attribute(o, "parameters") != NULL
    put_stamp(&seen.stamp, o)
    return True

cdef bint see_neuron(Parameters p, int j, PyObject* neuron, PyObject* b) except -1:
    """Look at neuron j's attributes; False unless b is its bias and its activation what it was."""
    cdef Seen* seen = &p.m.neurons[j]
    cdef PyObject* nonlin
    if neuron.ob_type != neuron_type or not see(seen, neuron, "w"):
        return False
    nonlin = own_attribute(neuron, "nonlin")
    if own_attribute(neuron, "b") == b and is_activation(p.m.op[j], nonlin):
        p.nonlins[j] = <object>nonlin
        return True
    take_stamp(&seen.stamp)
    return False

# What a Neuron's nonlin can be, beside True and False, and which operation that is.
cdef dict activations = {
    "relu": RELU, "exp": EXP, "log": LOG, "tanh": TANH, "sigmoid": SIGMOID, "sin": SIN, "cos": COS,
    "sqrt": SQRT, "abs": ABS, "softplus": SOFTPLUS, "leaky_relu": LEAKY_RELU}

cdef int activation(object nonlin) except -2:
    """The operation that nonlin stands for; ADD where there is none, -1 where it is not one of ours."""
    if type(nonlin) is bool:
        return RELU if nonlin else ADD
    return activations.get(nonlin, -1) if type(nonlin) is str else -1

cdef inline bint is_activation(int op, PyObject* nonlin) except -1:
    if nonlin == Py_True or nonlin == Py_False:
        return op == (RELU if nonlin == Py_True else ADD)
    return nonlin != NULL and op == activation(<object>nonlin)

cdef Parameters gather_if_regular(neurons):
    nin = -1
    if type(neurons) is not list or not neurons:
        return None
    for neuron in neurons:
        if type(neuron) is not <object><PyObject*>neuron_type:
            return None
        attrs = neuron.__dict__
        w, b = attrs.get("w"), attrs.get("b")
        if (type(w) is not list or not w or nin not in (-1, len(w)) or type(b) is not Value
                or activation(attrs.get("nonlin")) < 0):
            return None
        for v in w:
            if type(v) is not Value:
                return None
        nin = len(w)
    return gather(<list>neurons, nin)


def _parameters_of(layers):
    """The parameters of fused layers, in the original's order; None where the layers must be asked."""
    cdef Parameters p
    if type(layers) is not list or not all_as_shipped():
        return None
    parameters = []
    for layer in layers:
        p = parameters_of(layer)
        if p is None or have_own_parameters(&p.m):
            return None
        parameters += p.values
    return parameters

cdef bint have_own_parameters(Matrix* m) noexcept:
    cdef bint any = m.layer.own_parameters
    cdef int j
    for j in range(m.nout):
        any |= m.neurons[j].own_parameters
    return any

def _zeroed(parameters):
    """Set the gradients of all parameters to 0; False where the class must be asked, or one of them."""
    cdef Number zero
    cdef Parameters layer
    cdef Py_ssize_t i = 0, count
    zero.x, zero.kind = 0, INTEGER
    if type(parameters) is not list or not all_as_shipped():
        return False
    count = PyList_GET_SIZE(<PyObject*>parameters)
    while i < count:
        p = (<list>parameters)[i]
        if Py_TYPE(<PyObject*>p) != value_type:
            return False
        layer = layer_at(<PyListObject*>parameters, i)
        if layer is None:
            put_number_grad(node_of(<PyObject*>p), zero)
            i += 1
        else:
            zero_grads(&layer.m)
            i += PySequence_Fast_GET_SIZE(<PyObject*>layer.values)
    return True

cdef Parameters layer_at(PyListObject* parameters, Py_ssize_t i):
    """The fused layer whose parameters stand in the list from i on, all in their order; None if none do."""
    cdef Node* n = node_of(parameters.ob_item[i])
    if n.data_kind != PACKED or n.index != 0:
        return None
    layer = <Parameters>n.data.object
    cdef Py_ssize_t count = PySequence_Fast_GET_SIZE(<PyObject*>layer.values)
    if (i + count > PyList_GET_SIZE(<PyObject*>parameters) or not same_pointers(
            parameters.ob_item + i, PySequence_Fast_ITEMS(<PyObject*>layer.values), count)):
        return None
    return layer
