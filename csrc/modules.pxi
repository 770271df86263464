# What a network is made of, and how the engine knows that it still is.
#
# The parts of a module (`w`, `b` and `nonlin` of a Neuron, `neurons` of a Layer) stand in its __dict__, as
# those of any object. Whoever sets one, or reads one that is a list, or reads the __dict__, may change the
# network then or later, and is counted in `touches`. A layer is looked at once, and its parameters are
# packed (parameters.pxi); while the count stands still, it is as it was, and a call asks no more than
# that. If somebody holds on to one of its lists or dicts, it is looked at before every call.
#
# A layer is fused where nobody can tell. Value, Neuron and Layer are as they were shipped; the neurons are
# Neurons with equally many Values for weights, and activations of ours; parameters and inputs are numbers.

cdef unsigned long long touches = 1
cdef unsigned long long checks = 0      # how often a network was asked for its parameters

cdef struct PartsBody:          # a module as C sees it
    PyObject head
    PyObject* attrs

@cython.no_gc_clear             # cycles are broken at the dicts; a module is never without one
cdef class _Parts:
    """The base of nn.Module."""
    cdef dict attrs             # the instance's __dict__
    cdef object __weakref__
    cdef Parameters packed      # of a Layer, while it is as it was

    def __cinit__(self):
        self.attrs = {}

    @property
    def __dict__(self):
        touch()
        return self.attrs

    @__dict__.setter
    def __dict__(self, dict attrs not None):
        touch()
        self.attrs = attrs

    @property
    def _parameters(self):
        """Pickles of an older version set this attribute of a Layer, to None."""

    @_parameters.setter
    def _parameters(self, value):
        pass

    def __getstate__(self):
        """The __dict__, for copy and pickle; with the values of a program's own __slots__, if it has any."""
        slots = {name: getattr(self, name) for cls in type(self).__mro__
                 for name in cls.__dict__.get("__slots__", ()) if hasattr(self, name)}
        return (self.attrs, slots) if slots else self.attrs

cdef class _Part:
    """A descriptor of an attribute that stands in the __dict__ of a module."""
    cdef str name

    def __init__(self, str name):
        self.name = name

    def __get__(self, module, cls):
        if module is None:
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{self.name}'")
        touch()
        if self.name in (<_Parts?>module).attrs:
            return (<_Parts>module).attrs[self.name]
        raise AttributeError(f"'{type(module).__name__}' object has no attribute '{self.name}'")

    def __set__(self, module, value):
        touch()
        (<_Parts?>module).attrs[self.name] = value

    def __delete__(self, module):
        touch()
        if self.name not in (<_Parts?>module).attrs:
            raise AttributeError(f"'{type(module).__name__}' object has no attribute '{self.name}'")
        del (<_Parts>module).attrs[self.name]

cdef inline void touch() noexcept:
    global touches
    touches += 1


# The classes as they were shipped.

cdef PyTypeObject* neuron_type = NULL
cdef PyTypeObject* layer_type = NULL
cdef PyTypeObject* mlp_type = NULL
def _ships(Neuron, Layer, MLP):
    """Tell the engine what the classes of nn are as shipped. (Again when nn is reloaded: the models
    made before are then called layer by layer, as subclasses are.)"""
    global neuron_type, layer_type, mlp_type
    for cls in (Neuron, Layer, MLP):
        if not (isinstance(cls, type) and issubclass(cls, _Parts)):
            raise TypeError(f"a subclass of _Parts was expected, not {cls!r:.60}")
    neuron_type, layer_type, mlp_type = kept_type(Neuron), kept_type(Layer), kept_type(MLP)
    for cls in [cls for cls in shipped_attributes if cls is not Value]:
        del shipped_attributes[cls]
    for cls, names in ((Neuron, ("__call__", "parameters", "w", "b", "nonlin", "__dict__", "__getattr__")),
                       (Layer, ("__call__", "parameters", "neurons", "__dict__", "__getattr__")),
                       (MLP, ("parameters", "__dict__", "__getattr__"))):
        shipped_attributes[cls] = {name: find_in_class(<PyTypeObject*>cls, name) for name in names}
    forget_classes()

# Tools that trace see the calls that they see in the original: then nothing is fused.
cdef object trace_of = sys.gettrace, profile_of = sys.getprofile
cdef object tool_of = getattr(getattr(sys, "monitoring", None), "get_tool", None)    # from 3.12 on

cdef bint is_traced() except -1:
    cdef int tool
    if trace_of() is not None or profile_of() is not None:
        return True
    if tool_of is not None:
        for tool in range(6):
            if tool_of(tool) is not None:
                return True
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

cdef Parameters parameters_of(object layer):
    """The layer's Parameters, or None where it cannot be fused."""
    if Py_TYPE(<PyObject*>layer) != layer_type:
        return None
    cdef _Parts parts = <_Parts>layer
    cdef Parameters p = parts.packed
    if p is None or not is_current(p):
        p = parts.packed = look_at_layer(parts)
    if p is not None:
        p.check = checks
        if not p.m.kinds_known:
            know_kinds(&p.m)
    return p

cdef inline bint is_current(Parameters p) noexcept:
    """Whether the layer is known to be as it was when it was packed."""
    return not p.m.unpacked and p.seen == touches

cdef inline bint was_checked(_Parts layer) noexcept:
    """Whether the parameters that the layer has now are those that parameters_of has found just now."""
    return (layer.packed is not None and not layer.packed.m.unpacked
            and (layer.packed.seen == touches or layer.packed.check == checks))

cdef Parameters look_at_layer(_Parts layer):
    """The Parameters of the layer as it is now; None where it cannot be fused."""
    cdef unsigned long long before = touches
    cdef bint held = Py_REFCNT(<PyObject*>layer.attrs) > 1
    cdef Parameters p = layer.packed
    cdef list values = [], nonlins = [], w
    cdef Py_ssize_t nin = -1
    cdef object neurons = layer.attrs.get("neurons"), neuron, b
    if type(neurons) is not list or not neurons:
        return None
    held = held or Py_REFCNT(<PyObject*>neurons) > 2        # that of the dict, and ours
    for neuron in neurons:
        w = weights_of(neuron, nin, &held)
        b = None if w is None else (<_Parts>neuron).attrs.get("b")
        if type(b) is not Value:
            return None
        nin = len(w)
        values += w
        values.append(b)
        nonlins.append((<_Parts>neuron).attrs.get("nonlin"))
    if p is None or p.m.unpacked or not p.holds(values, nonlins):
        p = pack_layer(values, nonlins, nin)
    if p is not None:
        p.seen = 0 if held else before
    return p

cdef list weights_of(object neuron, Py_ssize_t nin, bint* held):
    """The neuron's list of weights, nin Values or any number for -1, or None; and whether anybody else may
    change it, or the neuron."""
    cdef object w, value
    if Py_TYPE(<PyObject*>neuron) != neuron_type:
        return None
    w = (<_Parts>neuron).attrs.get("w")
    if type(w) is not list or not w or nin not in (-1, len(w)):
        return None
    for value in w:
        if type(value) is not Value:
            return None
    held[0] = (held[0] or Py_REFCNT(<PyObject*>w) > 2
               or Py_REFCNT(<PyObject*>(<_Parts>neuron).attrs) > 1)
    return w


# The short cuts of nn.Module.

def _parameters_of(layers):
    """The parameters of fused layers, in the original's order; None where the layers must be asked."""
    cdef list parameters = []
    cdef Parameters p
    if not can_be_asked(layers):
        return None
    for layer in <list>layers:
        p = parameters_of(layer)
        if p is None:
            return None
        parameters += p.values
    return parameters

cdef bint can_be_asked(layers) except -1:
    """Whether they are Layers whose parameters() is that of nn, and so are their neurons'."""
    global checks
    checks += 1
    if type(layers) is not list or not all_as_shipped():
        return False
    for layer in <list>layers:
        if Py_TYPE(<PyObject*>layer) != layer_type or "parameters" in (<_Parts>layer).attrs:
            return False
        neurons = (<_Parts>layer).attrs.get("neurons")
        if type(neurons) is not list:
            return False
        for neuron in <list>neurons:
            if Py_TYPE(<PyObject*>neuron) != neuron_type or "parameters" in (<_Parts>neuron).attrs:
                return False
    return True

def _zero_grad(module):
    """Set the gradients of an MLP to 0; False where its parameters must be asked for."""
    if Py_TYPE(<PyObject*>module) != mlp_type:
        return False
    layers = (<_Parts>module).attrs.get("layers")
    if "parameters" in (<_Parts>module).attrs or not can_be_asked(layers):
        return False
    for layer in <list>layers:
        if parameters_of(layer) is None:
            return False
    for layer in <list>layers:
        if Py_TYPE(<PyObject*>layer) != layer_type or not was_checked(<_Parts>layer):
            return False
        zero_grads(&(<_Parts>layer).packed.m)
    return True

def _zeroed(parameters):
    """Set the gradients of a list of Values to 0; False where the class must be asked, or one of them."""
    cdef Number zero
    cdef Parameters p
    cdef Py_ssize_t i = 0
    zero.x, zero.kind = 0, INTEGER
    if type(parameters) is not list or not all_as_shipped():
        return False
    while i < PyList_GET_SIZE(<PyObject*>parameters):
        value = (<list>parameters)[i]
        if Py_TYPE(<PyObject*>value) != value_type:
            return False
        p = layer_at(<list>parameters, i)
        if p is None:
            put_number_grad(node_of(<PyObject*>value), zero)
            i += 1
        else:
            zero_grads(&p.m)
            i += len(p.values)
    return True

cdef Parameters layer_at(list parameters, Py_ssize_t i):
    """The packed layer whose parameters stand in the list from i on, all in their order; None if none do."""
    cdef Node* n = node_of(<PyObject*>parameters[i])
    if n.data_kind != PACKED or n.index != 0:
        return None
    p = <Parameters>n.data.object
    if i + len(p.values) > len(parameters) or memcmp(
            PySequence_Fast_ITEMS(<PyObject*>parameters) + i, PySequence_Fast_ITEMS(<PyObject*>p.values),
            len(p.values) * sizeof(PyObject*)) != 0:
        return None
    return p
