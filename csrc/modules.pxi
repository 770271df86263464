# What a network is made of, and how the engine knows that it still is.
#
# The parts of a module (`w`, `b` and `nonlin` of a Neuron, `neurons` of a Layer) stand in its
# __dict__, as those of any object. A program that sets one, or reads one that is a list, or reads
# the __dict__, may change the network then or later. Each such access is counted in `touches`. A
# layer is looked at once, and its parameters are packed (parameters.pxi). While the count stays the
# same, the layer has not changed, and a call checks only the count. If the program keeps a
# reference to one of its lists or dicts, the layer is looked at before each call.
#
# A layer is fused where no program can see the difference: Value, Neuron and Layer are as they were
# shipped; the neurons are Neurons with equally many Values for weights, and with activations that
# this engine has; parameters and inputs are numbers.

cdef unsigned long long touches = 1

cdef struct ModuleBody:          # a module as C sees it, whose references are NULL at first
    PyObject head
    PyObject* attrs
    PyObject* weakrefs
    PyObject* packed

@cython.no_gc_clear             # the collector breaks cycles at the dicts
cdef class _ModuleBase:
    """The base of nn.Module. It is made as any object is, by object.__new__."""
    cdef object attrs           # laid out as ModuleBody: the instance's __dict__
    cdef object __weakref__
    cdef object packed          # of a Layer: its Parameters, as it was when last looked at

    @property
    def __dict__(self):
        touch()
        return dict_of(self)

    @__dict__.setter
    def __dict__(self, attrs):
        if not isinstance(attrs, dict):
            raise TypeError(f"__dict__ must be set to a dictionary, not a '{type(attrs).__name__}'")
        touch()
        set_reference(&(<ModuleBody*>self).attrs, attrs)

    @__dict__.deleter
    def __dict__(self):
        touch()
        set_reference(&(<ModuleBody*>self).attrs, {})

    @property
    def __class__(self):
        return type(self)

    @__class__.setter
    def __class__(self, cls):
        touch()
        object.__dict__["__class__"].__set__(self, cls)

    def __getstate__(self):
        """The __dict__, for copy and pickle; with the values of a program's own __slots__, if it
        has any."""
        touch()
        slots = copying().slots_of(self)
        return (dict_of(self) or None, slots) if slots else dict_of(self) or None

    def __reduce__(self):
        return copying().__newobj__, copying().new_arguments(self), self.__getstate__()

# Where the descriptors of parts stand: apart from Neuron and Layer, whose own attributes a program
# may delete, and from Module, whose other subclasses have no such parts.

@cython.no_gc_clear
cdef class _NeuronParts(_ModuleBase):
    """A base of Neuron."""

@cython.no_gc_clear
cdef class _LayerParts(_ModuleBase):
    """A base of Layer."""

cdef object nothing = object()          # found in no class

cdef class _Part:
    """A descriptor of an attribute that stands in the __dict__ of a Neuron or Layer. It yields to
    an attribute of that name in a further base of the module's class."""
    cdef object owner
    cdef str name

    def __init__(self, owner, str name):
        self.owner, self.name = owner, name

    cdef object of_further_base(self, cls):
        cdef bint further = False
        if not isinstance(cls, type):
            raise TypeError(f"a class was expected, not {cls!r:.60}")
        for base in mro_of(<PyTypeObject*>cls):
            if further and base is not object and self.name in base.__dict__:
                return base.__dict__[self.name]
            further = further or base is self.owner
        return nothing

    def __get__(self, module, cls):
        cdef PyObject* part
        if cls is None:
            cls = type(module)
        found = self.of_further_base(cls)
        if module is not None and not is_data_descriptor(found):
            attrs = dict_of(<_ModuleBase?>module)
            part = PyDict_GetItemWithError(<PyObject*>attrs, <PyObject*>self.name)
            if part != NULL:
                if type(<object>part) is list:
                    touch()
                return <object>part
        if found is not nothing:
            return found.__get__(module, cls) if hasattr(type(found), "__get__") else found
        kind = f"type object '{cls.__name__}'" if module is None else f"'{cls.__name__}' object"
        raise AttributeError(f"{kind} has no attribute '{self.name}'")

    def __set__(self, module, value):
        found = self.of_further_base(type(module))
        if is_data_descriptor(found):
            found.__set__(module, value)
        else:
            touch()
            dict_of(<_ModuleBase?>module)[self.name] = value

    def __delete__(self, module):
        found = self.of_further_base(type(module))
        if is_data_descriptor(found):
            found.__delete__(module)
            return
        touch()
        if dict_of(<_ModuleBase?>module).pop(self.name, nothing) is nothing:
            raise AttributeError(f"'{type(module).__name__}' object has no attribute '{self.name}'")

for base, parts in ((_ModuleBase, ()), (_NeuronParts, ("w", "b", "nonlin")),
                    (_LayerParts, ("neurons",))):
    set_dict_offset(<PyTypeObject*>base, <Py_ssize_t>&(<ModuleBody*>NULL).attrs)
    for part in parts:
        setattr(base, part, _Part(base, part))
    (<PyTypeObject*>base).tp_new = object_new
    del base.__new__

cdef bint is_data_descriptor(found) except -1:
    """Whether it comes before what stands in the __dict__."""
    return found is not nothing and (hasattr(type(found), "__set__")
                                     or hasattr(type(found), "__delete__"))

cdef dict dict_of(_ModuleBase module):
    cdef ModuleBody* body = <ModuleBody*>module
    if body.attrs == NULL:
        set_reference(&body.attrs, {})
    return <dict>body.attrs

cdef inline bint is_held(_ModuleBase module) noexcept:
    """Whether the program holds the module's dict."""
    cdef PyObject* attrs = (<ModuleBody*>module).attrs
    return attrs != NULL and Py_REFCNT(attrs) > 1

cdef inline Parameters packed_of(_ModuleBase layer):
    cdef PyObject* packed = (<ModuleBody*>layer).packed
    return None if packed == NULL else <Parameters>packed

cdef inline object part_of(_ModuleBase module, str name):
    """The attribute in the __dict__, or `nothing`. (get may run Python code, which may replace the
    dict.)"""
    return dict_of(module).get(name, nothing)

cdef inline void touch() noexcept:
    global touches
    touches += 1


# The classes as they were shipped.

cdef PyTypeObject* neuron_type = NULL
cdef PyTypeObject* layer_type = NULL
cdef PyTypeObject* mlp_type = NULL

def _ships(Neuron, Layer, MLP):
    """Tell the engine the classes of nn, as shipped. (Called again when nn is reloaded: models made
    before that are then called layer by layer, as those of subclasses are.)"""
    global neuron_type, layer_type, mlp_type, shipped_attributes, class_count
    for cls in (Neuron, Layer, MLP):
        if not (isinstance(cls, type) and issubclass(cls, _ModuleBase)):
            raise TypeError(f"a subclass of _ModuleBase was expected, not {cls!r:.60}")
    cdef dict attributes = {Value: {}}
    for cls, names in ((Neuron, ("__call__", "parameters", "w", "b", "nonlin", "__dict__",
                                 "__getattr__")),
                       (Layer, ("__call__", "parameters", "neurons", "__dict__", "__getattr__")),
                       (MLP, ("parameters", "layers", "__dict__", "__getattr__"))):
        attributes[cls] = {name: find_in_class(<PyTypeObject*>cls, name) for name in names}
    neuron_type, layer_type = <PyTypeObject*>Neuron, <PyTypeObject*>Layer
    mlp_type = <PyTypeObject*>MLP
    class_count = 0                     # look at them anew
    shipped_attributes = attributes     # which keeps them alive

# While a tool traces or profiles, nothing is fused, so that it sees the calls that the original
# makes.
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


# The names that a Neuron's nonlin can be, and the operation of each.
cdef dict activations = {
    "relu": RELU, "exp": EXP, "log": LOG, "log1p": LOG1P, "tan": TAN, "erf": ERF, "gelu": GELU,
    "tanh": TANH, "sigmoid": SIGMOID, "sin": SIN, "cos": COS,
    "sqrt": SQRT, "abs": ABS, "softplus": SOFTPLUS, "leaky_relu": LEAKY_RELU}

# Value's methods of these names, as shipped: nonlin=Value.tanh
cdef dict activation_functions = {}

cdef int activation(object nonlin) except -1:
    """The operation that nonlin stands for; ADD for none, LEAF for one that the engine does not
    have."""
    cls = type(nonlin)          # compared by identity: a metaclass may have an == of its own
    if (nonlin is None or cls is bool or cls is int or cls is float
            or <PyTypeObject*>cls == numpy_bool):
        return RELU if nonlin else ADD
    if cls is str:
        return activations.get(nonlin, LEAF)
    return activation_functions.get(nonlin, LEAF) if cls is type(Value.relu) else LEAF

cdef tuple parameters_of_layers(list layers):
    """The Parameters of each layer, or None where one cannot be fused. is_unchanged is true of each
    of them until Python code runs."""
    cdef Parameters p
    cdef list found = []
    for layer in layers:
        if Py_TYPE(<PyObject*>layer) != layer_type:
            return None
        p = packed_of(<_ModuleBase>layer)
        if p is None or p.held or not is_unchanged(p):
            p = look_at_layer(<_ModuleBase>layer)
            set_reference(&(<ModuleBody*>layer).packed, p)
        if p is None:
            return None
        know_kinds(&p.m)
        found.append(p)
    return tuple(found) if found else None

cdef inline bint is_unchanged(Parameters p) noexcept:
    """Whether the layer is as it was when parameters_of_layers returned p for it."""
    return p.seen == touches and not p.m.unpacked

cdef Parameters look_at_layer(_ModuleBase layer):
    """The Parameters of the layer as it is now; None where it cannot be fused."""
    cdef unsigned long long before = touches
    cdef bint held = is_held(layer)
    cdef Parameters p = packed_of(layer)
    cdef list values = []
    cdef bytearray ops = bytearray()
    cdef Py_ssize_t nin = -1
    cdef object neurons, neuron, w, value
    if p is not None:
        p.seen = 0
    neurons = part_of(layer, "neurons")
    if type(neurons) is not list or not neurons:
        return None
    held = held or Py_REFCNT(<PyObject*>neurons) > 2        # more than the dict and this variable
    for neuron in neurons:
        if Py_TYPE(<PyObject*>neuron) != neuron_type:
            return None
        ops.append(activation(part_of(<_ModuleBase>neuron, "nonlin")))
        value = part_of(<_ModuleBase>neuron, "b")
        w = part_of(<_ModuleBase>neuron, "w")
        if type(w) is not list or not w or nin not in (-1, len(w)):
            return None
        held = held or Py_REFCNT(<PyObject*>w) > 2 or is_held(<_ModuleBase>neuron)
        nin = len(w)
        values += w
        values.append(value)
    for value in values:
        if type(value) is not Value:
            return None
    if (p is None or p.m.unpacked or ops != p.ops or len(values) != len(p.values)
            or not stand_at(p.values, values, 0)):
        p = pack_layer(values, ops, nin)
    if p is not None:
        p.seen, p.held = before, held
    return p


# The short cuts of nn.Module.

def _parameters_of(layers):
    """The parameters of fused layers, in the original's order; None where parameters() must be
    called."""
    cdef tuple found = shipped_parameters(layers)
    cdef list parameters = []
    if found is None:
        return None
    for p in found:
        parameters += (<Parameters>p).values
    return parameters

cdef tuple shipped_parameters(layers):
    """parameters_of_layers, or None where a layer or a neuron has a parameters() of its own."""
    cdef tuple found = None
    if type(layers) is list and all_as_shipped():
        found = parameters_of_layers(<list>layers)
    if found is None:
        return None
    for layer in <list>layers:
        if part_of(<_ModuleBase?>layer, "parameters") is not nothing:
            return None
        for neuron in part_of(<_ModuleBase>layer, "neurons"):
            if part_of(<_ModuleBase?>neuron, "parameters") is not nothing:
                return None
    return found

def _zero_grad(module):
    """Set the gradients of an MLP to 0; False where its parameters() must be called."""
    cdef tuple found
    if (Py_TYPE(<PyObject*>module) != mlp_type
            or part_of(<_ModuleBase>module, "parameters") is not nothing):
        return False
    found = shipped_parameters(part_of(<_ModuleBase>module, "layers"))
    if found is None or is_recording() or not all_as_shipped():
        return False
    for p in found:
        if not is_unchanged(<Parameters>p):
            return False
        zero_grads(&(<Parameters>p).m)
    return True

def _zeroed(parameters):
    """Set the gradients of a list of Values to 0; False where that needs Python."""
    cdef Parameters p
    cdef Py_ssize_t i = 0
    if type(parameters) is not list or is_recording() or not all_as_shipped():
        return False
    while i < PyList_GET_SIZE(<PyObject*>parameters):
        value = (<list>parameters)[i]
        if Py_TYPE(<PyObject*>value) != value_type:
            return False
        p = layer_at(<list>parameters, i)
        if p is None:
            put_number_grad(node_of(<PyObject*>value), Number(0, INTEGER))
            i += 1
        else:
            zero_grads(&p.m)
            i += len(p.values)
    return True

cdef Parameters layer_at(list parameters, Py_ssize_t i):
    """The packed layer whose parameters stand in the list from i on, all in their order; None if
    none do."""
    cdef Node* n = node_of(<PyObject*>parameters[i])
    if n.data_kind != PACKED or n.index != 0:
        return None
    p = <Parameters>n.data.object
    return p if stand_at(p.values, parameters, i) else None
