# Recordings: what a function of Values computes, as a list of steps (replay.h), for
# micrograd.recording.
#
# A function is recorded by running it: every Value that is made meanwhile is marked, and the marked
# part of the graph under its results becomes the steps. A Value that is not marked is a parameter,
# whose data every call reads.


# While a function is recorded.

cdef object refuse = None               # raises RecordingError
cdef unsigned long recording_thread

cdef int refused(str what) except -1:
    refuse(what)
    raise RuntimeError(f"{what!r} was refused, but no error was raised")

def _is_recording():
    return is_recording()

cdef inline bint is_recording() noexcept:
    return made_flag and recording_thread == PyThread_get_thread_ident()

def _begin_recording(refusing):
    """Mark the Values that are made from now on; False where another thread is recording."""
    global made_flag, refuse, recording_thread
    if not callable(refusing):
        raise TypeError(f"a recording takes a function that refuses, not {type(refusing).__name__}")
    if made_flag:
        return False
    if not shipped():       # which implies access_as_shipped()
        refusing("override")
    refuse, recording_thread, made_flag = refusing, PyThread_get_thread_ident(), MADE
    return True

def _end_recording(nested=False):
    """End this thread's recording; False where there is none, or the caller is nested in it."""
    cdef bint mine = is_recording() and not nested
    if mine:
        end_recording()
    return mine

def _after_fork():
    """In the child: other threads, one of which may have been recording, are gone."""
    drop_workers()
    if made_flag and not is_recording():
        end_recording()

cdef list made_of_subclasses = []       # what the function made; not from the pool

cdef inline unsigned char flag_of_new(value) except? 255:
    if not is_recording():
        return 0
    if type(value) is not Value:
        made_of_subclasses.append(value)
    return MADE

cdef int end_recording() except -1:
    global made_flag, refuse, made_of_subclasses
    cdef Chunk* c
    cdef int i
    made_flag, refuse = 0, None
    for value in made_of_subclasses:
        node_of(<PyObject*>value).flags &= ~MADE
    made_of_subclasses = []             # which may free Values, and chunks
    c = head
    while c != NULL:
        for i in range(c.fresh, CELLS):
            if is_live(&c.cells[i]):
                c.cells[i].body.node.flags &= ~(MADE | GIVEN)
        c = NULL if c.next == head else c.next

cdef inline int forbid(str what, PyObject* value) except -1:
    """Raise RecordingError, if this thread records and value is no constant of the function."""
    return forbid_in_recording(what, value) if made_flag else 0

cdef int forbid_in_recording(str what, PyObject* value) except -1:
    if is_recording() and (value == NULL or not is_constant(node_of(value))):
        refused(what)
    return 0

def _given(Value value not None):
    """Mark a Value as what the function that is recorded gets for a number; returns it."""
    if is_recording():
        value.node.flags |= GIVEN
    return value

cdef inline int forbid_if_given(object o) except -1:
    """Raise RecordingError where a Value that stands for a number is asked for its equality, hash
    or truth: the number has others."""
    if made_flag and is_recording() and is_value(o) and node_of(<PyObject*>o).flags & GIVEN:
        refused("number")
    return 0

cdef int value_bool(PyObject* value) except -1:
    """nb_bool of the class Value: the truth that any object has."""
    forbid_if_given(<object>value)
    return not value_has_length() or len(<object>value) > 0

cdef int note_error() except -1:
    """Refuse an error in arithmetic that the function which is recorded catches."""
    if is_recording():
        try:
            refuse("error")
        except RuntimeError:            # RecordingError, which is kept for the end of the recording
            pass
    return 0

cdef inline bint is_constant(Node* n) noexcept:
    return (n.flags & MADE and not n.flags & (CALLBACK | OWN_PREV)
            and (n.op == LEAF or (n.op == CUSTOM and n.a == NULL)))

cdef class _Marked(_Locals):
    """The operands of a node that is an operation only while recording: pick, detach, sign."""
    cdef int op

cdef object marked(int op, object data, tuple operands):
    cdef _Marked pair = _Marked(operands, (0,) * len(operands))
    pair.op = op
    value = plain_leaf(data)
    become_local(node_of(<PyObject*>value), pair)
    return value

cdef inline _Marked marked_operands(Node* n):
    """The operands of such a node; None of any other."""
    pair = <object>value_of(n.a) if n.op == LOCAL else None
    return <_Marked>pair if type(pair) is _Marked else None

def _pick(list values not None, Value i not None):
    from micrograd._functions import place_of
    try:
        chosen = values[place_of(data_of(i), len(values))]
    except LookupError:
        note_error()
        raise
    return marked(PICK, data_of(chosen), (*values, i)) if is_recording() else chosen

def _sign(Value value not None):
    """The sign of a Value of a function that is being recorded."""
    from micrograd._functions import sign
    return marked(SIGN_OF, sign(data_of(value)), (value,))

cdef tuple marked_operation(_Marked pair):
    """Of such a node (symbol, operand, None), or ("pick", the values, the index)."""
    cdef tuple operands = pair.operands
    if pair.op == PICK:
        return "pick", operands[:len(operands) - 1], operands[len(operands) - 1]
    return "detach" if pair.op == DETACH else "sign", operands[0], None

cdef object detached(object value):
    return marked(DETACH, data_of(value), (value,)) if is_recording() else leaf(data_of(value))


cdef double checked_number(Node* n) except? -1:
    """A node's number as a float; RecordingError if it is of another kind."""
    cdef Number x = data_of_node(n)
    if x.kind != OBJECT and x.kind != FLOAT32:
        return x.x
    try:
        return float_of(<object>value_of(n))
    except TypeError:
        refused("kind")

# The graph as arrays of ints: an operand is the place of a node or, below 0, -1 minus that of a
# leaf.

cdef struct Ints:
    int* items
    Py_ssize_t count, capacity

cdef int put(Ints* ints, int i) except -1:
    cdef Py_ssize_t capacity = 2 * ints.count + 64
    if ints.count == ints.capacity:
        ints.items = <int*>checked(PyMem_RawRealloc(ints.items, capacity * sizeof(int)))
        ints.capacity = capacity
    ints.items[ints.count] = i
    ints.count += 1
    return 0

cdef enum: NONE = -2147483647           # no operand

cdef enum: INPUT, CONSTANT, PARAMETER   # what a leaf can be

cdef class _Graph:
    """What a function has computed."""
    cdef Sweep sorted                   # the marked nodes in topological order
    cdef Ints op, a, b                  # of each node; the b of a PICK is a place in choices
    cdef Ints uses                      # of each node: how many nodes and outputs use it
    cdef Ints choices, outputs          # of each PICK a count, and that many operands; the results
    cdef Ints leaf, leaf_index          # of each leaf: INPUT, CONSTANT or PARAMETER; which of these
    cdef list numbers, parameters       # the constants; the parameters
    cdef dict leaf_of, leaf_of_number   # the leaf of a node's address; of a constant's bits

    def __cinit__(self, list inputs not None, list outputs not None):
        if not is_recording():
            raise RuntimeError("a _Program is made while a function is recorded")
        for value in inputs + outputs:
            check_child(value)
        self.numbers, self.parameters, self.leaf_of, self.leaf_of_number = [], [], {}, {}
        for k, value in enumerate(inputs):
            self.leaf_of[<size_t>node_of(<PyObject*>value)] = self.new_leaf(INPUT, k)
        try:
            for y in reversed(outputs):
                self.push(node_of(<PyObject*>y))
            self.sort()
            self.number()
            for y in outputs:
                put(&self.outputs, self.use(node_of(<PyObject*>y)))
        finally:
            finish(&self.sorted)

    def __dealloc__(self):
        PyMem_RawFree(self.op.items)
        PyMem_RawFree(self.a.items)
        PyMem_RawFree(self.b.items)
        PyMem_RawFree(self.uses.items)
        PyMem_RawFree(self.choices.items)
        PyMem_RawFree(self.outputs.items)
        PyMem_RawFree(self.leaf.items)
        PyMem_RawFree(self.leaf_index.items)

    cdef int sort(self) except -1:
        cdef Sweep* s = &self.sorted
        cdef Node* n
        while s.stack.count:
            n = pop(&s.stack)
            if is_tagged(n):
                append(&s.order, untagged(n))
            elif n.flags & MADE and not n.flags & VISITED and not is_constant(n):
                if n.op == OUTPUT:
                    make_plain_and_keep(s, call_of(n))
                n.flags |= VISITED
                append(&s.stack, tagged(n))
                self.push_operands(n)
        return 0

    cdef int push(self, Node* n) except -1:
        """Put n on the stack, and hold it: to read a number may run Python code, in which another
        thread may change the graph."""
        keep(&self.sorted, n)
        return append(&self.sorted.stack, n)

    cdef int push_operands(self, Node* n) except -1:
        cdef _Marked pair = marked_operands(n)
        if pair is not None:
            for operand in reversed(pair.operands):
                self.push(node_of(<PyObject*>operand))
        elif n.flags & (CALLBACK | OWN_PREV) or not is_operation(n.op):
            refused("operation")
        else:
            if n.b != NULL:
                self.push(n.b)
            self.push(n.a)
            checked_number(n)
        return 0

    cdef int number(self) except -1:
        cdef Py_ssize_t i
        cdef Node* n
        cdef _Marked pair
        for i in range(self.sorted.order.count):
            n = self.sorted.order.items[i]
            n.index = <unsigned int>i
            pair = marked_operands(n)
            if pair is None:
                self.add_operation(n.op, operands_of(n))
            elif pair.op != PICK:
                self.add(pair.op, self.use(node_of(<PyObject*>pair.operands[0])), NONE)
            else:
                self.add_pick(pair.operands)
        return 0

    cdef int add(self, int op, int a, int b) except -1:
        put(&self.op, op)
        put(&self.a, a)
        put(&self.b, b)
        return put(&self.uses, 0)

    cdef int add_operation(self, int op, list operands) except -1:
        if not is_operation(op):
            refused("operation")        # another thread has changed it
        return self.add(op, self.use(node_of(<PyObject*>operands[0])),
                        self.use(node_of(<PyObject*>operands[1])) if len(operands) > 1 else NONE)

    cdef int add_pick(self, tuple operands) except -1:
        cdef int choices = self.choices.count
        put(&self.choices, len(operands) - 1)
        for operand in operands[:len(operands) - 1]:
            put(&self.choices, self.use(node_of(<PyObject*>operand)))
        return self.add(PICK, self.use(node_of(<PyObject*>operands[len(operands) - 1])), choices)

    cdef int use(self, Node* n) except? -1:
        """The operand that stands for n, which gets one use more."""
        if n.flags & VISITED:
            if n.index >= self.op.count:
                refused("operation")    # another thread has made it an operand of an earlier node
            self.uses.items[n.index] += 1
            return n.index
        if Py_TYPE(value_of(n)) != value_type and has_own_access(<object>value_of(n)):
            refused("override")
        if n.flags & MADE:
            return self.use_number(checked_number(n))
        place = self.leaf_of.get(<size_t>n)
        if place is None:
            checked_number(n)
            self.parameters.append(<object>value_of(n))
            place = self.leaf_of[<size_t>n] = self.new_leaf(PARAMETER, len(self.parameters) - 1)
        return place

    cdef int use_number(self, double x) except? -1:
        cdef long long bits             # they tell 0.0 from -0.0, and are equal for nan
        memcpy(&bits, &x, sizeof(double))
        place = self.leaf_of_number.get(bits)
        if place is None:
            self.numbers.append(x)
            place = self.leaf_of_number[bits] = self.new_leaf(CONSTANT, len(self.numbers) - 1)
        return place

    cdef int new_leaf(self, int leaf, int index) except? -1:
        put(&self.leaf, leaf)
        put(&self.leaf_index, index)
        return -<int>self.leaf.count

    cdef inline bint is_parameter(self, int operand) noexcept:
        return operand < 0 and operand != NONE and self.leaf.items[-1 - operand] == PARAMETER

    cdef inline bint is_inner(self, int operand, int op) noexcept:
        """Whether it is a result of op, and an operand of one node only."""
        return operand >= 0 and self.op.items[operand] == op and self.uses.items[operand] == 1
