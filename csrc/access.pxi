# What a program overrides. The class is open: it may be patched, and subclasses may override
# anything. Short cuts are taken while Value is as it was shipped; what a subclass overrides is
# looked up once for each version of it. Where a class overrides the access to one of the engine's
# attributes (data, grad, _prev, _op, _backward), the engine reads and writes these through Python,
# as the original does, and the reference does the sweep of a graph that has such a node.

cdef void* object_new = (<PyTypeObject*>object).tp_new
cdef void* object_getattro = (<PyTypeObject*>object).tp_getattro
cdef void* object_setattro = (<PyTypeObject*>object).tp_setattro
cdef Py_hash_t (*object_hash)(PyObject*) noexcept
object_hash = <Py_hash_t (*)(PyObject*) noexcept>(<PyTypeObject*>object).tp_hash
cdef void* value_hash = NULL
cdef void* no_hash = <void*>PyObject_HashNotImplemented
cdef object (*value_compare)(object, object, int)
value_compare = NULL
cdef void* value_add = NULL
cdef void* value_multiply = NULL

# What was found when Value was last looked at, which is after each change of it.
cdef unsigned int value_version = NEVER
cdef bint constructor_shipped = False   # Value(data) only makes a node
cdef bint operators_shipped = False     # + and *
cdef bint access_shipped = False        # nobody overrides the access to Value's attributes
cdef bint has_length = False            # a program has given it a __len__, which says its truth

cdef inline bint value_is_as_seen() noexcept:
    return class_version(value_type) == value_version

cdef inline bint shipped() noexcept:
    return (value_is_as_seen() or look_at_value()) and constructor_shipped

cdef inline bint operators_as_shipped() noexcept:
    return (value_is_as_seen() or look_at_value()) and operators_shipped

cdef inline bint access_as_shipped() noexcept:
    return (value_is_as_seen() or look_at_value()) and access_shipped

cdef inline bint value_has_length() noexcept:
    return (value_is_as_seen() or look_at_value()) and has_length

cdef dict value_attributes = {}     # as shipped: those below, __pow__ and the activations
cdef tuple ATTRIBUTES = _bases.ATTRIBUTES
cdef tuple SUM = ("__add__", "__radd__"), PRODUCT = ("__mul__", "__rmul__")
cdef tuple ORDER = ("__lt__", "__le__", "__gt__", "__ge__")
cdef tuple COMPARISONS = (*ORDER, "__eq__", "__ne__")
cdef tuple REFLECTED = (*COMPARISONS, *[f"__r{name}__" for name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and",
    "or", "xor")])
cdef tuple TOLD_TO_NUMPY = ("__array_ufunc__", "__array_priority__")
cdef tuple ASKED_BY_NUMPY = (*REFLECTED, *TOLD_TO_NUMPY, "__array__", "__array_interface__",
                             "__array_struct__", "__len__", "__getitem__")

cdef bint look_at_value() noexcept:
    """Record what the program overrides now. True, for it stands in
    `value_is_as_seen() or look_at_value()`."""
    global value_version, constructor_shipped, operators_shipped, access_shipped, has_length
    # Before looking: that may run Python code.
    cdef unsigned int version = new_class_version(value_type)
    cdef bint access = not overrides_access(value_type)
    cdef bint operators = call_own_operators(value_type)
    cdef bint length = find_in_class(value_type, "__len__") is not None
    access_shipped, operators_shipped, has_length = access, operators, length
    constructor_shipped = (access and find_in_class(value_type, "__init__") is shipped_init
                           and value_type.tp_new == object_new)
    value_version = version
    return True

# The same for networks, which depend on the classes of nn too.
cdef PyTypeObject* classes[4]           # Value and the classes of nn, once it is imported
cdef unsigned int class_versions[4]
cdef int class_count = 0
cdef bint networks_shipped = False      # the classes of nn are what they were
cdef unsigned long long own_functions = 0   # a bit for each activation that a program has replaced

# {class: {name: attribute, or None for no such attribute}} for Value and the classes of nn
cdef dict shipped_attributes = {}

cdef inline bint all_as_shipped() noexcept:
    """Whether Value, and the classes of nn once it is imported, are as they were shipped."""
    return (shipped() and operators_shipped and (classes_are_as_seen() or look_at_classes())
            and networks_shipped)

cdef bint classes_are_as_seen() noexcept:
    cdef int i
    for i in range(class_count):
        if class_version(classes[i]) != class_versions[i]:
            return False
    return class_count > 0

cdef bint look_at_classes() noexcept:
    """The same for these classes. class_count is 0 while it looks, and stays so where that
    fails."""
    global class_count, networks_shipped, own_functions
    cdef unsigned int versions[4]
    cdef unsigned long long functions = 0
    cdef bint networks = True
    cdef list found = list(shipped_attributes.items())      # looking may run Python code
    cdef int i
    class_count = 0
    for i, (cls, attributes) in enumerate(found):
        versions[i] = new_class_version(<PyTypeObject*>cls)
        for name, attribute in attributes.items():
            networks &= find_in_class(<PyTypeObject*>cls, name) is attribute
        networks &= cls is Value or (<PyTypeObject*>cls).tp_getattro == object_getattro
    for name, op in activations.items():
        if find_in_class(value_type, name) is not value_attributes[name]:
            functions |= bit_of(op)
    for i, (cls, _) in enumerate(found):
        classes[i], class_versions[i] = <PyTypeObject*>cls, versions[i]
    class_count, networks_shipped, own_functions = len(found), networks, functions
    return True

cdef inline unsigned long long bit_of(int op) noexcept:
    return <unsigned long long>1 << op

cdef object find_in_class(PyTypeObject* cls, name):
    """The attribute as it stands in a class, or None."""
    cdef PyObject* found
    for base in mro_of(cls):
        attributes = dict_of_class(<PyTypeObject*>base)
        found = PyDict_GetItemWithError(<PyObject*>attributes, <PyObject*>name)
        if found != NULL:
            return <object>found
    return None

cdef inline tuple mro_of(PyTypeObject* cls):
    """The class and its bases; () while it is being made."""
    return () if cls.tp_mro == NULL else <tuple>cls.tp_mro

cdef bint overrides_access(PyTypeObject* cls) except -1:
    return (cls.tp_getattro != object_getattro or cls.tp_setattro != object_setattro
            or overrides(cls, ATTRIBUTES))

cdef bint has_odd_keys(PyTypeObject* cls) except -1:
    """Whether a key in the dict of the class, or of a base that Python code has made, is of a class
    of the program's own: a lookup may run its comparison."""
    cdef Py_ssize_t at
    cdef PyObject* key
    for base in mro_of(cls):
        attributes = dict_of_class(<PyTypeObject*>base)
        at = 0
        while (base is not Value and not is_static_type(<PyTypeObject*>base)
                and PyDict_Next(<PyObject*>attributes, &at, &key, NULL)):
            if not PyUnicode_CheckExact(key):
                return True
    return False

cdef bint overrides(PyTypeObject* cls, tuple names) except -1:
    for name in names:
        if find_in_class(cls, name) is not value_attributes[name]:
            return True
    return False

cdef bint call_own_operators(PyTypeObject* cls) except -1:
    """Have Python call the operators of C, where the program has none of its own; whether it has
    none at all. Python itself looks up their names, for __radd__ and __rmul__ are not of C."""
    cdef bint sum = not overrides(cls, SUM), product = not overrides(cls, PRODUCT)
    if sum:
        set_slot(&cls.tp_as_number.nb_add, value_add)
    if product:
        set_slot(&cls.tp_as_number.nb_multiply, value_multiply)
    return sum and product

cdef enum:
    SUBCLASSES = 32
    UNKNOWN = -1
cdef struct Subclass:           # one that was looked up; its class's address gives its place below
    PyTypeObject* cls
    unsigned int version
    bint overrides              # the access to the engine's attributes
    int reflects                # by methods of its own; UNKNOWN until numpy asks
    int tells_numpy             # by TOLD_TO_NUMPY; UNKNOWN until one of numpy's is an operand
cdef Subclass[SUBCLASSES] subclasses

cdef inline bint has_own_access(object value) except -1:
    """Whether the class of this Value overrides the access to the engine's attributes."""
    if Py_TYPE(<PyObject*>value) == value_type:
        return not access_as_shipped()
    return look_at(Py_TYPE(<PyObject*>value)).overrides

cdef Subclass* look_at(PyTypeObject* cls) except NULL:
    """Runs no Python code, which could change the graph that is being sorted."""
    cdef Subclass* seen = &subclasses[(<size_t>cls >> 6) % SUBCLASSES]
    cdef unsigned int version = class_version(cls)
    cdef bint odd
    if seen.cls != cls or seen.version != version or version == 0:
        odd = has_odd_keys(cls)
        seen.overrides = odd or overrides_access(cls)
        seen.cls, seen.version = cls, version
        seen.reflects = seen.tells_numpy = UNKNOWN
        call_quickly(cls)
        if not odd:
            call_own_operators(cls)
        if (cls.tp_richcompare != value_compare and not seen.overrides
                and not overrides(cls, COMPARISONS)):
            set_slot(&cls.tp_richcompare, <void*>value_compare)     # Python's looks these up
    return seen

cdef bint has_own_reflected(object value) except -1:
    """Whether a program has reflected methods or comparisons of its own for this Value."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    cdef Subclass* seen = look_at(cls)
    if seen.reflects == UNKNOWN:
        seen.reflects = seen.overrides or overrides(cls, ASKED_BY_NUMPY)
    return seen.reflects

cdef bint has_told_numpy(object value) except -1:
    """Whether a program has said in the class of this Value how numpy treats it."""
    cdef PyTypeObject* cls = Py_TYPE(<PyObject*>value)
    cdef Subclass* seen = look_at(cls)
    if seen.tells_numpy == UNKNOWN:
        seen.tells_numpy = overrides(cls, TOLD_TO_NUMPY)
    return seen.tells_numpy

cdef object reference():
    """The reference's Value, whose methods take what has the attributes of one, as the original's
    do."""
    from micrograd._engine_py import Value as Reference
    return Reference
