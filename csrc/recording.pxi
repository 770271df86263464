# Recordings: what a function of Values computes, as a list of steps (replay.h), for micrograd.recording.
#
# A function is recorded by running it: every Value that is made meanwhile is marked, and the graph under its
# results, as far as it is marked, becomes the steps. What is not marked is a parameter, read anew at every call.
# A sum of products becomes one step (DOT), and such sums of parameters by the same numbers a layer (DENSE).


# While a function is recorded.

cdef object refuse = None               # raises RecordingError

cdef int refused(str what) except -1:
    refuse(what)
    raise RuntimeError(f"what is refused in a recording went on: {what}")
cdef unsigned long recording_thread

def _is_recording():
    return is_recording()

cdef inline bint is_recording() noexcept:
    return made_flag and recording_thread == PyThread_get_thread_ident()

def _begin_recording(refusing):
    """Mark what is computed; False where another thread is recording."""
    global made_flag, refuse, recording_thread
    if made_flag:
        return False
    if not (shipped() and access_shipped):
        refusing("override")
    refuse, recording_thread, made_flag = refusing, PyThread_get_thread_ident(), MADE
    return True

def _end_recording():
    global made_flag, refuse
    cdef Chunk* c = head
    cdef int i
    made_flag, refuse = 0, None
    while c != NULL:
        for i in range(c.fresh, CELLS):
            if is_live(&c.cells[i]):
                c.cells[i].body.node.flags &= ~MADE
        c = NULL if c.next == head else c.next

cdef int forbid(str what, PyObject* value) except -1:
    """RecordingError, but for reading a number that the function made itself, and in other threads."""
    if is_recording() and (value == NULL or not is_constant(node_of(value))):
        refused(what)
    return 0

cdef inline int forbid_writing() except -1:
    return forbid("writing", NULL) if made_flag else 0

cdef inline int forbid_copy() except -1:
    return forbid("copy", NULL) if made_flag else 0

cdef inline bint is_constant(Node* n) noexcept:
    return (n.flags & MADE and not n.flags & (CALLBACK | OWN_PREV)
            and (n.op == LEAF or (n.op == CUSTOM and n.a == NULL)))

cdef class _Marked(_Locals):
    """The operands of what is an operation in a recording only."""
    cdef int op

cdef object marked(int op, object data, tuple operands):
    cdef _Marked pair = _Marked(operands, (0,) * len(operands))
    pair.op = op
    value = plain_leaf(data)
    track(<PyObject*>value)
    replace_operands(node_of(<PyObject*>value), LOCAL, node_of(<PyObject*>pair), NULL)
    return value

cdef inline _Marked marked_operands(Node* n):
    """The operands of such a node; None of any other."""
    pair = <object>value_of(n.a) if n.op == LOCAL else None
    return <_Marked>pair if type(pair) is _Marked else None

def _pick(list values, Value i not None):
    from micrograd._functions import place_of
    chosen = values[place_of(data_of(i), len(values))]
    return marked(PICK, data_of(chosen), (*values, i)) if is_recording() else chosen

def _sign(Value value not None):
    """The sign of a Value of a function that is being recorded."""
    from micrograd._functions import sign
    return marked(SIGN_OF, sign(data_of(value)), (value,))

cdef tuple marked_operation(Node* n):
    """(symbol, operands) of such a node; of a pick, the index stands last."""
    cdef _Marked pair = marked_operands(n)
    cdef tuple operands = pair.operands
    if pair.op == PICK:
        return "pick", operands[:len(operands) - 1], operands[len(operands) - 1]
    return "detach" if pair.op == DETACH else "sign", operands[0], None

cdef object detached(object value):
    return marked(DETACH, data_of(value), (value,)) if is_recording() else leaf(data_of(value))


cdef double checked_number(Node* n) except? -1:
    """A node's number; RecordingError where it is none that a float can be."""
    try:
        return float_of(<object>value_of(n))
    except TypeError:
        refused("kind")

# The graph in numbers: an operand is a place in it, or, below 0, a leaf.

cdef struct Ints:
    int* items
    Py_ssize_t count, capacity

cdef int put(Ints* ints, int i) except -1:
    cdef void* items
    if ints.count == ints.capacity:
        items = PyMem_RawRealloc(ints.items, (2 * ints.count + 64) * sizeof(int))
        if items == NULL:
            raise MemoryError
        ints.items, ints.capacity = <int*>items, 2 * ints.count + 64
    ints.items[ints.count] = i
    ints.count += 1
    return 0

cdef enum: NONE = -2147483647           # no operand

cdef enum: INPUT, CONSTANT, PARAMETER   # what a leaf can be

cdef class _Graph:
    """What a function has computed."""
    cdef Sweep sorted                   # the marked nodes, operands first
    cdef Ints op, a, b                  # of each; a PICK's b is a place in choices: a count, and operands
    cdef Ints uses                      # how many nodes and outputs take each
    cdef Ints choices, outputs
    cdef Ints leaf, leaf_index          # what each leaf is, and which
    cdef list numbers, parameters       # the constants; the Values
    cdef dict leaf_of, leaf_of_number   # by address; by repr

    def __init__(self, list inputs, list outputs):
        self.numbers, self.parameters, self.leaf_of, self.leaf_of_number = [], [], {}, {}
        for k, value in enumerate(inputs):
            self.leaf_of[<size_t>node_of(<PyObject*>value)] = self.new_leaf(INPUT, k)
        for y in reversed(outputs):
            reserve(&self.sorted.stack, 1)
            push(&self.sorted.stack, node_of(<PyObject*>y))
        try:
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
                reserve(&s.order, 1)
                push(&s.order, untagged(n))
            elif n.flags & MADE and not n.flags & VISITED and not is_constant(n):
                if n.op == OUTPUT:
                    make_plain_and_keep(s, call_of(n))
                n.flags |= VISITED
                reserve(&s.stack, 3)
                push(&s.stack, tagged(n))
                self.push_operands(n)
        return 0

    cdef int push_operands(self, Node* n) except -1:
        cdef _Marked pair = marked_operands(n)
        if pair is not None:
            for operand in reversed(pair.operands):
                reserve(&self.sorted.stack, 1)
                push(&self.sorted.stack, node_of(<PyObject*>operand))
        elif n.flags & (CALLBACK | OWN_PREV) or not is_operation(n.op):
            refused("operation")
        else:
            checked_number(n)
            if n.b != NULL:
                push(&self.sorted.stack, n.b)
            push(&self.sorted.stack, n.a)
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
                self.add(n.op, self.use(n.a), self.use(n.b) if n.b != NULL else NONE)
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

    cdef int add_pick(self, tuple operands) except -1:
        cdef int choices = self.choices.count
        put(&self.choices, len(operands) - 1)
        for operand in operands[:len(operands) - 1]:
            put(&self.choices, self.use(node_of(<PyObject*>operand)))
        return self.add(PICK, self.use(node_of(<PyObject*>operands[len(operands) - 1])), choices)

    cdef int use(self, Node* n) except? -1:
        """The number of an operand."""
        if n.flags & VISITED:
            self.uses.items[n.index] += 1
            return n.index
        place = self.leaf_of.get(<size_t>n)
        if place is None:
            place = self.leaf_of[<size_t>n] = self.use_leaf(n)
        return place

    cdef int use_leaf(self, Node* n) except? -1:
        cdef Number x = data_of_node(n)
        value = <object>value_of(n)
        if accesses(value):
            refused("override")
        x.x = checked_number(n)
        if not n.flags & MADE:
            self.parameters.append(value)
            return self.new_leaf(PARAMETER, len(self.parameters) - 1)
        place = self.leaf_of_number.get(repr(x.x))
        if place is None:
            self.numbers.append(x.x)
            place = self.leaf_of_number[repr(x.x)] = self.new_leaf(CONSTANT, len(self.numbers) - 1)
        return place

    cdef int new_leaf(self, int leaf, int index) except? -1:
        put(&self.leaf, leaf)
        put(&self.leaf_index, index)
        return -<int>self.leaf.count

    cdef int one(self) except? -1:
        """The constant 1."""
        place = self.leaf_of_number.get("1.0")
        if place is None:
            self.numbers.append(1.0)
            place = self.leaf_of_number["1.0"] = self.new_leaf(CONSTANT, len(self.numbers) - 1)
        return place

    cdef inline bint is_parameter(self, int operand) noexcept:
        return operand < 0 and operand != NONE and self.leaf.items[-1 - operand] == PARAMETER

    cdef inline bint is_inner(self, int operand, int op) noexcept:
        """Whether it is the result of op that one node takes."""
        return operand >= 0 and self.op.items[operand] == op and self.uses.items[operand] == 1


# The steps.

cdef struct Sum:                        # c + a0 b0 + a1 b1 + ...
    int begin                           # the operand c, or NONE
    int factors, terms                  # where a0, b0, a1 ... begin, and how many terms there are
    int layer                           # the layer that it is a neuron of, or -1
    int slot                            # of its result, in a layer

cdef enum:
    NO_SUM = -1
    PART = -2                           # what is part of a sum, and has no step of its own

cdef class _Builder:
    """Makes the steps of a program out of a graph."""
    cdef _Graph graph
    cdef Ints sum_of                    # of each node: the sum that it gives, NO_SUM or PART
    cdef Ints factors
    cdef Sum* sums
    cdef Py_ssize_t sum_count, sum_capacity
    cdef list layers                    # of each layer: its sums, in order
    cdef Ints steps, dense, places, packed_from, single, constant, output   # of the Code
    cdef list packed_numbers
    cdef dict packed                    # where the matrix of these parameters stands
    cdef Ints slot_of, slot_of_leaf     # of nodes and leaves; -1: none
    cdef int slots, scratch

    def __init__(self, _Graph graph):
        self.graph = graph
        self.layers, self.packed_numbers, self.packed = [], [], {}
        self.find_sums()
        self.find_layers()
        self.give_slots_to_leaves()
        self.make_steps()
        for i in range(graph.outputs.count):
            put(&self.output, self.slot(graph.outputs.items[i]))

    def __dealloc__(self):
        PyMem_RawFree(self.sums)
        PyMem_RawFree(self.sum_of.items)
        PyMem_RawFree(self.factors.items)
        PyMem_RawFree(self.slot_of.items)
        PyMem_RawFree(self.slot_of_leaf.items)
        PyMem_RawFree(self.steps.items)
        PyMem_RawFree(self.dense.items)
        PyMem_RawFree(self.places.items)
        PyMem_RawFree(self.packed_from.items)
        PyMem_RawFree(self.single.items)
        PyMem_RawFree(self.constant.items)
        PyMem_RawFree(self.output.items)

    cdef int find_sums(self) except -1:
        """Find the sums, results before operands: what has been taken into one is not looked at."""
        cdef int i, count = self.graph.op.count
        for i in range(count):
            put(&self.sum_of, NO_SUM)
        for i in range(count - 1, -1, -1):
            if self.graph.op.items[i] == ADD and self.sum_of.items[i] == NO_SUM:
                self.find_sum(i)
        return 0

    cdef int find_sum(self, int root) except -1:
        """Follow a chain of additions down to the left, as long as all terms are products, or none is."""
        cdef _Graph g = self.graph
        cdef int at = root, term, rest, first = self.factors.count, terms = 0
        cdef bint products = False, is_product, goes_on = True
        while goes_on:
            term, rest = g.b.items[at], g.a.items[at]
            if not g.is_inner(rest, ADD) and g.is_inner(term, ADD):
                term, rest = rest, term
            is_product = g.is_inner(term, MUL)
            if terms == 0:
                products = is_product
            elif is_product != products:
                rest = at
                break
            if at != root:
                self.sum_of.items[at] = PART
            self.add_term(term, is_product)
            terms += 1
            goes_on = g.is_inner(rest, ADD)
            at = rest
        if products and g.is_inner(rest, MUL):
            self.add_term(rest, True)
            terms, rest = terms + 1, NONE
        if terms == 1 and not products:
            self.factors.count = first
            return 0
        return self.add_sum(root, rest, first, terms)

    cdef int add_term(self, int term, bint is_product) except -1:
        if is_product:
            self.sum_of.items[term] = PART
            put(&self.factors, self.graph.a.items[term])
            return put(&self.factors, self.graph.b.items[term])
        put(&self.factors, term)
        return put(&self.factors, NONE)     # 1

    cdef int add_sum(self, int root, int begin, int first, int terms) except -1:
        cdef void* items
        cdef Sum* s
        cdef int i
        cdef int* f = self.factors.items + first
        for i in range(terms // 2):     # the last term was found first
            f[2 * i], f[2 * (terms - 1 - i)] = f[2 * (terms - 1 - i)], f[2 * i]
            f[2 * i + 1], f[2 * (terms - 1 - i) + 1] = f[2 * (terms - 1 - i) + 1], f[2 * i + 1]
        if self.sum_count == self.sum_capacity:
            items = PyMem_RawRealloc(self.sums, (2 * self.sum_count + 16) * sizeof(Sum))
            if items == NULL:
                raise MemoryError
            self.sums, self.sum_capacity = <Sum*>items, 2 * self.sum_count + 16
        s = &self.sums[self.sum_count]
        s.begin, s.factors, s.terms, s.layer, s.slot = begin, first, terms, -1, -1
        self.sum_of.items[root] = self.sum_count
        self.sum_count += 1
        return 0

    cdef int find_layers(self) except -1:
        """Sums of parameters by the same numbers, in the order of their results, are the neurons of a layer."""
        cdef dict layer_of = {}
        cdef int i, k
        for i in range(self.sum_of.count):
            k = self.sum_of.items[i]
            if k >= 0 and self.is_neuron(&self.sums[k]):
                xs = self.operands_of_neuron(&self.sums[k])
                self.sums[k].layer = layer_of.setdefault(xs, len(self.layers))
                if self.sums[k].layer == len(self.layers):
                    self.layers.append([])
                (<list>self.layers[self.sums[k].layer]).append(k)
        return 0

    cdef bint is_neuron(self, Sum* s) noexcept:
        """Whether every term is a parameter by what is none; and the sum begins with neither, or a parameter."""
        cdef _Graph g = self.graph
        cdef int* f = self.factors.items + s.factors
        cdef int i
        if s.terms < 2 or s.begin >= 0 or (s.begin != NONE and g.leaf.items[-1 - s.begin] == INPUT):
            return False
        for i in range(s.terms):
            if f[2 * i + 1] == NONE or g.is_parameter(f[2 * i]) == g.is_parameter(f[2 * i + 1]):
                return False
            if g.is_parameter(f[2 * i + 1]):
                f[2 * i], f[2 * i + 1] = f[2 * i + 1], f[2 * i]
        return True

    cdef bytes operands_of_neuron(self, Sum* s):
        return self.every_second(self.factors.items + s.factors + 1, s.terms)

    cdef bytes every_second(self, const int* items, int count):
        cdef bytes result = PyBytes_FromStringAndSize(NULL, count * sizeof(int))
        cdef int* to = <int*>PyBytes_AS_STRING(result)
        cdef int i
        for i in range(count):
            to[i] = items[2 * i]
        return result

    cdef int give_slots_to_leaves(self) except -1:
        """The inputs have the first ones; then come the constants, and the parameters, that steps take."""
        cdef _Graph g = self.graph
        cdef int i, kind
        cdef Ints taken = self.taken_leaves()
        try:
            for i in range(g.leaf.count):
                put(&self.slot_of_leaf, -1)
            for kind in (INPUT, CONSTANT, PARAMETER):
                for i in range(g.leaf.count):
                    if g.leaf.items[i] == kind and (kind == INPUT or taken.items[i]):
                        self.slot_of_leaf.items[i] = self.slots
                        self.slots += 1
                        if kind == CONSTANT:
                            put(&self.constant, g.leaf_index.items[i])
                        elif kind == PARAMETER:
                            put(&self.single, g.leaf_index.items[i])
        finally:
            PyMem_RawFree(taken.items)
        return 0

    cdef Ints taken_leaves(self) except *:
        """1 for each leaf that a step or an output takes from a slot."""
        cdef _Graph g = self.graph
        cdef Ints taken
        cdef int i, j, k
        memset(&taken, 0, sizeof(Ints))
        put(&taken, 0)
        for i in range(g.leaf.count):
            put(&taken, 0)
        for i in range(g.op.count):
            k = self.sum_of.items[i]
            if k == NO_SUM:
                take(&taken, g.a.items[i])
                if g.op.items[i] != PICK:
                    take(&taken, g.b.items[i])
                for j in range(g.choices.items[g.b.items[i]] if g.op.items[i] == PICK else 0):
                    if not g.is_parameter(g.choices.items[g.b.items[i] + 1 + j]):
                        take(&taken, g.choices.items[g.b.items[i] + 1 + j])
            elif k >= 0 and self.sums[k].layer < 0:
                take(&taken, self.sums[k].begin)
                for j in range(2 * self.sums[k].terms):
                    if self.factors.items[self.sums[k].factors + j] == NONE:
                        self.factors.items[self.sums[k].factors + j] = g.one()
                        while taken.count < g.leaf.count:
                            put(&taken, 0)
                    take(&taken, self.factors.items[self.sums[k].factors + j])
            elif k >= 0:
                for j in range(self.sums[k].terms):
                    take(&taken, self.factors.items[self.sums[k].factors + 2 * j + 1])
        for i in range(g.outputs.count):
            take(&taken, g.outputs.items[i])
        return taken

    cdef inline int slot(self, int operand) noexcept:
        if operand == NONE:
            return 0
        return self.slot_of.items[operand] if operand >= 0 else self.slot_of_leaf.items[-1 - operand]

    cdef int new_slots(self, int count) noexcept:
        self.slots += count
        return self.slots - count

    cdef int make_steps(self) except -1:
        cdef _Graph g = self.graph
        cdef int i, k, op
        for i in range(g.op.count):
            k, op = self.sum_of.items[i], g.op.items[i]
            if k == PART:
                put(&self.slot_of, -1)
            elif k == NO_SUM and op == PICK:
                self.add_step(PICK, self.slot(g.a.items[i]), self.places_to_pick(g.b.items[i]))
            elif k == NO_SUM:
                self.add_step(op, self.slot(g.a.items[i]), self.slot(g.b.items[i]))
            elif self.sums[k].layer < 0:
                self.add_step(DOT, self.places_of_terms(&self.sums[k]), self.sums[k].terms)
            else:
                if self.sums[k].slot < 0:
                    self.add_layer(<list>self.layers[self.sums[k].layer])
                put(&self.slot_of, self.sums[k].slot)
        return 0

    cdef int add_step(self, int op, int a, int b) except -1:
        put(&self.slot_of, self.new_slots(1))
        return self.put_step(op, self.slots - 1, a, b)

    cdef int put_step(self, int op, int y, int a, int b) except -1:
        put(&self.steps, op)
        put(&self.steps, y)
        put(&self.steps, a)
        return put(&self.steps, b)

    cdef int places_to_pick(self, int choices) except? -1:
        cdef _Graph g = self.graph
        cdef int at = self.places.count, i, operand
        put(&self.places, g.choices.items[choices])
        for i in range(g.choices.items[choices]):
            operand = g.choices.items[choices + 1 + i]
            put(&self.places, -1 - g.leaf_index.items[-1 - operand] if g.is_parameter(operand) else self.slot(operand))
        return at

    cdef int places_of_terms(self, Sum* s) except? -1:
        cdef int at = self.places.count, i
        put(&self.places, -1 if s.begin == NONE else self.slot(s.begin))
        for i in range(2 * s.terms):
            put(&self.places, self.slot(self.factors.items[s.factors + i]))
        return at

    cdef int add_layer(self, list neurons) except -1:
        cdef Sum* s = &self.sums[<int>neurons[0]]
        cdef int nin = s.terms, nout = len(neurons), width = 1 if nout == 1 else (nout + 7) & ~7, y, i
        y = self.new_slots(width)
        for i, k in enumerate(neurons):
            self.sums[<int>k].slot = y + i
        self.put_step(DENSE, y, self.dense.count // 5, 0)
        put(&self.dense, self.matrix_of(neurons, width))
        put(&self.dense, self.places.count)
        put(&self.dense, nin)
        put(&self.dense, nout)
        put(&self.dense, width)
        for i in range(nin):
            put(&self.places, self.slot(self.factors.items[s.factors + 2 * i + 1]))
        self.scratch = max(self.scratch, 2 * nin, 8 * width)
        return 0

    cdef int matrix_of(self, list neurons, int width) except? -1:
        """Where the parameters of these neurons stand among the packed ones."""
        key = tuple([(self.every_second(self.factors.items + self.sums[<int>k].factors, self.sums[<int>k].terms),
                      self.sums[<int>k].begin) for k in neurons])
        place = self.packed.get(key)
        if place is None:
            place = self.packed[key] = self.packed_from.count
            self.pack_neurons(neurons, width)
        return place

    cdef int pack_neurons(self, list neurons, int width) except -1:
        cdef int nin = self.sums[<int>neurons[0]].terms, i, j
        cdef Sum* s
        for i in range(nin + 1):
            for j in range(width):
                if j >= len(neurons):
                    self.pack_number(0.0)
                    continue
                s = &self.sums[<int>neurons[j]]
                self.pack_operand(s.begin if i == nin else self.factors.items[s.factors + 2 * i])
        return 0

    cdef int pack_operand(self, int operand) except -1:
        cdef _Graph g = self.graph
        if g.is_parameter(operand):
            return put(&self.packed_from, g.leaf_index.items[-1 - operand])
        return self.pack_number(-0.0 if operand == NONE else g.numbers[g.leaf_index.items[-1 - operand]])

    cdef int pack_number(self, double x) except -1:
        self.packed_numbers.append((self.packed_from.count, x))
        return put(&self.packed_from, -1)

cdef inline void take(Ints* taken, int operand) noexcept:
    if operand < 0 and operand != NONE:
        taken.items[-1 - operand] = 1


# A program, and its runs.

cdef enum:
    KEPT_SLOTS = 1 << 22                # numbers of one run that are kept for its sweep
    TILES = 16

cdef class _Program:
    """The steps from inputs to outputs, two lists of Values, while their function is recorded. TypeError and
    RecordingError for what no step can do."""
    cdef Code code
    cdef str name
    cdef object refuse                  # raises RecordingError
    cdef readonly tuple parameters      # the Values that the function met outside its arguments
    cdef list memory                    # of the code
    cdef bytearray live                 # of each slot: whether an output's gradient reaches it
    cdef list matrices                  # the layers that a fused layer keeps packed too: (Parameters, place)
    cdef Ints loose, loose_places       # the parameters, and the places of packed ones, that are in none of these

    def __init__(self, name, list inputs, list outputs):
        for value in inputs + outputs:
            check_child(value)
        if not is_recording():
            raise RuntimeError("a program is made of what is being recorded")
        cdef bint enabled = PyGC_Disable()
        try:
            self.name, self.refuse = name, refuse
            self.take(_Builder(_Graph(inputs, outputs)), len(inputs))
        finally:
            if enabled:
                PyGC_Enable()

    cdef int take(self, _Builder made, int inputs) except -1:
        cdef Code* c = &self.code
        self.memory = []
        self.parameters = tuple(made.graph.parameters)
        c.inputs, c.slots, c.parameters, c.scratch = inputs, made.slots, len(self.parameters), made.scratch
        c.constants, c.singles, c.outputs = made.constant.count, made.single.count, made.output.count
        c.packed, c.step_count, c.layer_count = made.packed_from.count, made.steps.count // 4, made.dense.count // 5
        c.place_count = made.places.count
        c.steps, c.layers = <Step*>self.keep(&made.steps), <Dense*>self.keep(&made.dense)
        c.places, c.packed_from = self.keep(&made.places), self.keep(&made.packed_from)
        c.single, c.output = self.keep(&made.single), self.keep(&made.output)
        self.memory += [bytearray(c.constants * sizeof(double)), bytearray(c.packed * sizeof(double))]
        c.constant = <double*>PyByteArray_AS_STRING(self.memory[6])
        c.packed_number = <double*>PyByteArray_AS_STRING(self.memory[7])
        for i in range(c.constants):
            c.constant[i] = made.graph.numbers[made.constant.items[i]]
        for place, x in made.packed_numbers:
            c.packed_number[<int>place] = x
        self.live = bytearray(c.slots)
        for i in range(c.outputs):
            self.live[c.output[i]] = 1
        mark_live(c, <unsigned char*>PyByteArray_AS_STRING(self.live))
        return self.find_matrices()

    def __dealloc__(self):
        PyMem_RawFree(self.loose.items)
        PyMem_RawFree(self.loose_places.items)

    cdef int find_matrices(self) except -1:
        cdef Code* c = &self.code
        cdef Dense* l
        cdef bytearray elsewhere = bytearray(c.packed), taken = bytearray(c.parameters)
        cdef int k, i
        self.matrices = []
        for k in range(c.layer_count):
            l = &c.layers[k]
            p = self.matrix_at(l)
            if p is not None and not elsewhere[l.weights]:
                self.matrices.append((p, l.weights))
                for i in range((l.nin + 1) * l.width):
                    elsewhere[l.weights + i] = 1
                    if c.packed_from[l.weights + i] >= 0:
                        taken[c.packed_from[l.weights + i]] = 1
        for i in range(c.packed):
            if not elsewhere[i] and c.packed_from[i] >= 0:
                put(&self.loose_places, i)
                taken[c.packed_from[i]] = 0
        for i in range(c.singles):
            taken[c.single[i]] = 0
        for k in range(c.step_count):
            for i in range(c.places[c.steps[k].b] if c.steps[k].op == PICK else 0):
                if c.places[c.steps[k].b + 1 + i] < 0:
                    taken[-1 - c.places[c.steps[k].b + 1 + i]] = 0
        for i in range(c.parameters):
            if not taken[i]:
                put(&self.loose, i)
        return 0

    cdef Parameters matrix_at(self, Dense* l):
        """The Parameters that hold the numbers of a layer in the same places, or None."""
        cdef Code* c = &self.code
        cdef Parameters p = None
        cdef Node* n
        cdef int i, j, place
        for i in range(l.nin + 1):
            for j in range(l.nout):
                place = i * l.width + j
                if c.packed_from[l.weights + place] < 0:
                    return None
                n = node_of(<PyObject*>self.parameters[c.packed_from[l.weights + place]])
                if n.data_kind != PACKED or n.index != place:
                    return None
                if p is None:
                    p = <Parameters>n.data.object
                if n.data.object != <PyObject*>p or p.m.nin != l.nin or p.m.nout != l.nout:
                    return None
        return p

    cdef bint is_packed(self) noexcept:
        """Whether the matrices still hold these parameters, as floats."""
        cdef Matrix* m
        for p, _ in self.matrices:
            m = &(<Parameters>p).m
            if m.unpacked:
                return False
            if not m.kinds_known:
                know_kinds(m)
            if m.rounds:
                return False
        return True

    cdef int* keep(self, Ints* ints) except? NULL:
        self.memory.append(PyByteArray_FromStringAndSize(<char*>ints.items, ints.count * sizeof(int)))
        return <int*>PyByteArray_AS_STRING(self.memory[len(self.memory) - 1])

    def difference(self, _Program other not None):
        """What the other one does otherwise, in words; None if nothing."""
        cdef int i
        if len(self.parameters) != len(other.parameters) or any(
                [a is not b for a, b in zip(self.parameters, other.parameters)]):
            return "other Values take part"
        for i in (0, 1, 2, 3, 4, 5):
            if self.memory[i] != other.memory[i]:
                return "it computes something else"
        for i in (6, 7):
            if self.memory[i] != other.memory[i]:
                before, now = doubles_that_differ(self.memory[i], other.memory[i])
                return f"a number that was {before!r} is {now!r}"
        return None

    def listing(self):
        """The steps, as (symbol, operands) with the places of other steps, and the places of the outputs."""
        return _Listing(self).told()

    def forward(self, leaves, Py_ssize_t rows, int threads):
        """A run for so many rows, whose leaves stand one after the other in a list, or their numbers in a
        bytearray."""
        cdef _Run run = _Run.__new__(_Run)
        run.program, run.rows, run.threads = self, rows, threads
        run.take_leaves(leaves)
        run.take_parameters()
        run.go_forward()
        return run

cdef class _Listing:
    """The steps of a program one operation at a time, as the reference lists them."""
    cdef _Program program
    cdef list steps
    cdef dict place_of_slot, place_of_parameter, place_of_number

    def __init__(self, _Program program):
        cdef Code* c = &program.code
        cdef int k
        self.program, self.steps = program, []
        self.place_of_slot, self.place_of_parameter, self.place_of_number = {}, {}, {}
        for k in range(c.inputs):
            self.place_of_slot[k] = self.add("input", k)
        for k in range(c.constants):
            self.place_of_slot[c.inputs + k] = self.number(c.constant[k])
        for k in range(c.singles):
            self.place_of_slot[c.inputs + c.constants + k] = self.parameter(c.single[k])
        for k in range(c.step_count):
            self.add_step(&c.steps[k])

    cdef tuple told(self):
        cdef Code* c = &self.program.code
        return self.steps, [self.place_of_slot[c.output[k]] for k in range(c.outputs)]

    def add(self, *step):
        self.steps.append(step)
        return len(self.steps) - 1

    cdef object number(self, double x):
        place = self.place_of_number.get(repr(x))
        if place is None:
            place = self.place_of_number[repr(x)] = self.add("constant", x)
        return place

    cdef object parameter(self, int p):
        place = self.place_of_parameter.get(p)
        if place is None:
            place = self.place_of_parameter[p] = self.add("parameter", p)
        return place

    cdef int add_step(self, Step* s) except -1:
        cdef Code* c = &self.program.code
        cdef int* places = c.places + s.b
        if s.op == DOT:
            self.place_of_slot[s.y] = self.add_sum(c.places + s.a, s.b)
        elif s.op == DENSE:
            self.add_layer(&c.layers[s.a], s.y)
        elif s.op == DETACH or s.op == SIGN_OF:
            self.place_of_slot[s.y] = self.add("detach" if s.op == DETACH else "sign", self.place_of_slot[s.a])
        elif s.op == PICK:
            choices = [self.parameter(-1 - places[i]) if places[i] < 0 else self.place_of_slot[places[i]]
                       for i in range(1, places[0] + 1)]
            self.place_of_slot[s.y] = self.add("pick", *choices, self.place_of_slot[s.a])
        elif operand_counts[s.op] == 1:
            self.place_of_slot[s.y] = self.add(operation_symbols[s.op], self.place_of_slot[s.a])
        else:
            self.place_of_slot[s.y] = self.add("pow" if s.op == POW else operation_symbols[s.op],
                                               self.place_of_slot[s.a], self.place_of_slot[s.b])
        return 0

    cdef object add_sum(self, int* terms, int count):
        y = None if terms[0] < 0 else self.place_of_slot[terms[0]]
        for i in range(count):
            y = self.add_term(y, self.place_of_slot[terms[1 + 2 * i]], self.place_of_slot[terms[2 + 2 * i]])
        return y

    cdef object add_term(self, y, a, b):
        term = a if self.steps[b] == ("constant", 1.0) else self.add("*", a, b)
        return term if y is None else self.add("+", y, term)

    cdef int add_layer(self, Dense* l, int y) except -1:
        cdef Code* c = &self.program.code
        for j in range(l.nout):
            sum = self.packed(l.weights + l.nin * l.width + j)
            if repr(c.packed_number[l.weights + l.nin * l.width + j]) == "-0.0":
                sum = None
            for i in range(l.nin):
                sum = self.add_term(sum, self.packed(l.weights + i * l.width + j),
                                    self.place_of_slot[c.places[l.xs + i]])
            self.place_of_slot[y + j] = sum
        return 0

    cdef object packed(self, int place):
        cdef Code* c = &self.program.code
        p = c.packed_from[place]
        return self.number(c.packed_number[place]) if p < 0 else self.parameter(p)

cdef tuple doubles_that_differ(bytearray a, bytearray b):
    cdef double* x = <double*>PyByteArray_AS_STRING(a)
    cdef double* y = <double*>PyByteArray_AS_STRING(b)
    cdef Py_ssize_t i
    for i in range(min(len(a), len(b)) // 8):
        if memcmp(&x[i], &y[i], sizeof(double)) != 0:
            return x[i], y[i]
    return len(a) // 8, len(b) // 8

cdef class _Run:
    """What a program was given for some rows, and what it made of it."""
    cdef readonly _Program program
    cdef Job job
    cdef readonly Py_ssize_t rows
    cdef int threads
    cdef list given                     # [(place, Value)] for the leaves that are Values
    cdef bytearray given_numbers, gathered, result_numbers, odd_rows
    cdef double factor                  # of each row in the one result; 0: there is a result for each

    def __dealloc__(self):
        PyMem_RawFree(self.job.values)

    cdef int take_leaves(self, leaves) except -1:
        cdef Py_ssize_t count = self.rows * self.program.code.inputs, i
        cdef double* x
        self.given = []
        if type(leaves) is bytearray:
            self.given_numbers = <bytearray>leaves
        else:
            self.given_numbers = bytearray(count * sizeof(double))
        if PyByteArray_GET_SIZE(self.given_numbers) != count * sizeof(double) or (
                type(leaves) is not bytearray and len(leaves) != count):
            raise ValueError(f"{self.rows} rows of {self.program.code.inputs} leaves are not {len(leaves)}")
        x = <double*>PyByteArray_AS_STRING(self.given_numbers)
        if type(leaves) is not bytearray:
            for i, leaf in enumerate(<list>leaves):
                x[i] = self.number_of_leaf(leaf, i)
        return 0

    cdef double number_of_leaf(self, leaf, Py_ssize_t place) except? -1:
        if not is_value(leaf):
            return <double?>leaf
        if accesses(leaf):
            self.program.refuse("override")
        self.given.append((place, leaf))
        return <double?>data_of(leaf)

    cdef int take_parameters(self) except -1:
        cdef Code* c = &self.program.code
        cdef double* to
        cdef int i, place
        self.gathered = PyByteArray_FromStringAndSize(NULL, (c.parameters + c.packed) * sizeof(double))
        to = <double*>PyByteArray_AS_STRING(self.gathered)
        cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>self.program.parameters)
        if not ((value_is_as_seen() or look_at_classes()) and access_shipped):
            self.program.refuse("override")
        if not self.program.is_packed():
            for i in range(c.parameters):
                to[i] = number_of_parameter(self.program, values[i])
            for i in range(c.packed):
                to[c.parameters + i] = c.packed_number[i] if c.packed_from[i] < 0 else to[c.packed_from[i]]
            return 0
        for i in range(self.program.loose.count):
            place = self.program.loose.items[i]
            to[place] = number_of_parameter(self.program, values[place])
        to += c.parameters
        if self.program.loose_places.count or not self.program.matrices:
            for i in range(c.packed):
                to[i] = c.packed_number[i] if c.packed_from[i] < 0 else to[c.packed_from[i] - c.parameters]
        for p, place in self.program.matrices:      # which no Python code could unpack since they were looked at
            memcpy(to + <Py_ssize_t>place, (<Parameters>p).m.data,
                   matrix_size(&(<Parameters>p).m) * sizeof(double))
        return 0

    cdef int go_forward(self) except -1:
        cdef Job* job = &self.job
        cdef Code* c = &self.program.code
        cdef bint done
        cdef Py_ssize_t rows = self.rows
        job.code, job.threads = c, self.threads
        divide(job, rows)
        job.inputs = <double*>PyByteArray_AS_STRING(self.given_numbers)
        job.parameters = <double*>PyByteArray_AS_STRING(self.gathered)
        job.packed = job.parameters + c.parameters
        self.result_numbers = PyByteArray_FromStringAndSize(NULL, rows * c.outputs * sizeof(double))
        self.odd_rows = bytearray(rows)
        job.results = <double*>PyByteArray_AS_STRING(self.result_numbers)
        job.odd = <unsigned char*>PyByteArray_AS_STRING(self.odd_rows)
        if <Py_ssize_t>job.blocks * job.wide * c.slots <= KEPT_SLOTS or rows == 1:
            job.values = <double*>PyMem_RawMalloc(job.blocks * job.wide * c.slots * sizeof(double))
        job.seeds, job.look = NULL, look_for_signals
        with nogil:
            done = do_job(job)
        if not done:
            raise MemoryError
        return -1 if job.stop else 0    # with the exception that look_for_signals has set

    def odd(self):
        """The rows that are to be run as written."""
        cdef Py_ssize_t i
        if memchr(self.job.odd, 1, self.rows) == NULL:
            return []
        return [i for i in range(self.rows) if self.job.odd[i]]

    def leaves(self, Py_ssize_t row):
        """The numbers and Values that were given for a row."""
        cdef int count = self.program.code.inputs, i
        if not 0 <= row < self.rows:
            raise IndexError(row)
        leaves = [self.job.inputs[row * count + i] for i in range(count)]
        for place, leaf in self.given:
            if row * count <= place < (row + 1) * count:
                leaves[place - row * count] = leaf
        return leaves

    def numbers(self, Py_ssize_t row):
        """The results for a row."""
        cdef int count = self.program.code.outputs, i
        if not 0 <= row < self.rows:
            raise IndexError(row)
        return [self.job.results[row * count + i] for i in range(count)]

    @property
    def weight(self):
        """What a row counts in the one result; None where each row has results of its own."""
        return self.factor or None

    def gradients(self, list seeds):
        """The gradients of all inputs of all rows, from those of all results of all rows."""
        cdef Code* c = &self.program.code
        cdef Swept found
        cdef Py_ssize_t i
        cdef bytearray given = bytearray(len(seeds) * sizeof(double))
        cdef bytearray parameters = bytearray((c.parameters + c.packed) * sizeof(double))
        cdef bytearray inputs = bytearray(self.rows * c.inputs * sizeof(double))
        if len(seeds) != self.rows * c.outputs:
            raise ValueError(f"{self.rows} rows of {c.outputs} results are not {len(seeds)}")
        for i, g in enumerate(seeds):
            (<double*>PyByteArray_AS_STRING(given))[i] = g
        found.raises = False
        found.parameters = <double*>PyByteArray_AS_STRING(parameters)
        found.inputs = <double*>PyByteArray_AS_STRING(inputs)
        if not sweep_job(self, &self.job, <double*>PyByteArray_AS_STRING(given), NULL, 0, &found):
            raise MemoryError
        if found.raises:
            raise_error_of_sweep(self, range(self.rows))
        return [found.inputs[i] for i in range(self.rows * c.inputs)]

    def results(self, how):
        """The results for all rows, as Values; or one, their "sum" or "mean"."""
        cdef Py_ssize_t count = self.rows * self.program.code.outputs, i
        cdef double total = 0
        cdef list values
        self.factor = {"map": 0.0, "sum": 1.0, "mean": 1.0 / self.rows}[how]
        if self.factor:
            for i in range(self.rows):
                total += self.job.results[i * self.program.code.outputs]
            total *= self.factor
            count = 1
        if self.given and not self.factor:
            return results_by_row(self)
        values = [None] * count
        new_replay(self, -1, self.given, values, &total if self.factor else self.job.results)
        return values

cdef double float_of(value) except? -1:
    """A Value's number; TypeError where it is none that a float can be."""
    from micrograd.recording import number_in
    cdef Number n = data_of_node(node_of(<PyObject*>value))
    return n.x if n.kind != OBJECT and n.kind != FLOAT32 else number_in(data_of(value))

cdef inline double number_of_parameter(_Program program, PyObject* value) except? -1:
    cdef Number n = data_of_node(node_of(value))
    if value.ob_type == value_type and n.kind != OBJECT and n.kind != FLOAT32:
        return n.x
    if value.ob_type != value_type and accesses(<object>value):
        program.refuse("override")
    return float_of(<object>value)

cdef void divide(Job* job, Py_ssize_t rows) noexcept:
    """Divide the rows into blocks and tiles."""
    job.rows, job.wide = rows, 1 if rows == 1 else 8
    job.replay = &replays[arithmetic - arithmetics][rows > 1]
    job.blocks = (rows + job.wide - 1) // job.wide
    job.tiles = max(<Py_ssize_t>1, min(<Py_ssize_t>TILES, job.blocks // 8))

cdef int look_for_signals() noexcept with gil:
    return check_signals() != 0

def _fill(tuple columns, tuple structures):
    """The numbers of all rows, side by side, where the columns have these structures and one length, and each is
    a list of floats or ints, a list of lists or tuples of these, or an array of doubles; else None."""
    cdef Py_ssize_t at = 0, width = 0, rows
    cdef bytearray filled
    if len(columns) != len(structures) or not columns or not hasattr(columns[0], "__len__"):
        return None
    rows = len(columns[0])
    for structure in structures:
        width += width_of(structure)
        if width_of(structure) < 0:
            return None
    if rows < 1:
        return None
    filled = PyByteArray_FromStringAndSize(NULL, rows * width * sizeof(double))
    for column, structure in zip(columns, structures):
        if not fill_column(column, structure, rows, <double*>PyByteArray_AS_STRING(filled) + at, width):
            return None
        at += width_of(structure)
    return filled

cdef Py_ssize_t width_of(structure) except? -1:
    """How many numbers there are in a row of a column; so far below 0 that a sum is too where they are deeper."""
    cdef Py_ssize_t width = 1
    if structure is Value:
        return 1
    if type(structure) is not tuple:
        return -(1 << 40)
    if len(structure) == 2 and type(structure[1]) is tuple and structure[0] not in (list, tuple):
        for n in structure[1]:          # an array's shape
            width *= <Py_ssize_t>n
        return width
    if structure[0] in (list, tuple) and all([part is Value for part in structure[1:]]):
        return len(structure) - 1
    return -(1 << 40)

cdef bint fill_column(column, structure, Py_ssize_t rows, double* to, Py_ssize_t stride) except -1:
    cdef PyObject** items
    cdef PyObject* row
    cdef Py_ssize_t i, width = width_of(structure)
    if type(column) is not list and type(column) is not tuple:
        return fill_array(column, structure, rows, width, to, stride)
    items = PySequence_Fast_ITEMS(<PyObject*>column)
    if PySequence_Fast_GET_SIZE(<PyObject*>column) != rows:
        return False
    cls = None if structure is Value else structure[0]
    for i in range(rows):
        row = items[i]
        if cls is None:
            if not fill_row(&row, 1, to + i * stride):
                return False
        elif (row.ob_type != <PyTypeObject*>cls or (cls is not list and cls is not tuple)
                or PySequence_Fast_GET_SIZE(row) != width
                or not fill_row(PySequence_Fast_ITEMS(row), width, to + i * stride)):
            return False
    return True

cdef inline bint fill_row(PyObject** items, Py_ssize_t count, double* to) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        if PyFloat_CheckExact(items[i]):
            to[i] = PyFloat_AS_DOUBLE(items[i])
        elif PyLong_CheckExact(items[i]):
            to[i] = exact_integer(items[i])
            if to[i] != to[i]:
                return False
        else:
            return False
    return True

cdef bint fill_array(column, structure, Py_ssize_t rows, Py_ssize_t width, double* to, Py_ssize_t stride) except -1:
    cdef Py_buffer view
    cdef Py_ssize_t i
    cdef bint fits
    if structure is not Value and (len(structure) != 2 or type(structure[1]) is not tuple):
        return False
    if not PyObject_CheckBuffer(column):
        return False
    try:
        PyObject_GetBuffer(column, &view, PyBUF_FORMAT | PyBUF_ND)
    except (BufferError, ValueError):   # its numbers do not stand side by side
        return False
    shape = () if structure is Value else structure[1]
    fits = number_format(&view) != 0 and view.ndim == 1 + len(shape) and view.shape[0] == rows
    for i in range(len(shape) if fits else 0):
        fits = fits and view.shape[i + 1] == shape[i]
    if fits:
        fill_rows(number_format(&view), view.buf, rows, width, to, stride)
    PyBuffer_Release(&view)
    return fits

cdef char number_format(Py_buffer* view) noexcept:
    """The letter of the struct module for an array's numbers; 0 for what is none of ours."""
    cdef char letter = view.format[0] if view.format != NULL and view.format[0] != 0 and view.format[1] == 0 else 0
    return letter if letter != 0 and strchr(b"dfqlihbQLIHB?", letter) != NULL else 0

cdef void fill_rows(char letter, void* buf, Py_ssize_t rows, Py_ssize_t width, double* to, Py_ssize_t stride) noexcept:
    if letter == b"d":
        fill_rows_of(<double*>buf, rows, width, to, stride)
    elif letter == b"f":
        fill_rows_of(<float*>buf, rows, width, to, stride)
    elif letter == b"q":
        fill_rows_of(<long long*>buf, rows, width, to, stride)
    elif letter == b"l":
        fill_rows_of(<long*>buf, rows, width, to, stride)
    elif letter == b"i":
        fill_rows_of(<int*>buf, rows, width, to, stride)
    elif letter == b"h":
        fill_rows_of(<short*>buf, rows, width, to, stride)
    elif letter == b"b":
        fill_rows_of(<signed char*>buf, rows, width, to, stride)
    elif letter == b"Q":
        fill_rows_of(<unsigned long long*>buf, rows, width, to, stride)
    elif letter == b"L":
        fill_rows_of(<unsigned long*>buf, rows, width, to, stride)
    elif letter == b"I":
        fill_rows_of(<unsigned int*>buf, rows, width, to, stride)
    elif letter == b"H":
        fill_rows_of(<unsigned short*>buf, rows, width, to, stride)
    else:
        fill_rows_of(<unsigned char*>buf, rows, width, to, stride)

ctypedef long long longlong
ctypedef signed char schar
ctypedef unsigned long long ulonglong
ctypedef unsigned long ulong
ctypedef unsigned int uint
ctypedef unsigned short ushort
ctypedef unsigned char uchar
cdef fused Element:
    double
    float
    longlong
    long
    int
    short
    schar
    ulonglong
    ulong
    uint
    ushort
    uchar

cdef void fill_rows_of(Element* items, Py_ssize_t rows, Py_ssize_t width, double* to, Py_ssize_t stride) noexcept:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(width):
            to[i * stride + j] = <double>items[i * width + j]


# The results: the outputs of a call, whose operands are the parameters and the Values that were given.

cdef struct ReplayCall:
    Call call
    Py_ssize_t row                      # whose results the outputs are; -1: those of all rows, or their sum
    PyObject* run                       # owned references
    PyObject* given                     # [(place, Value)] for the Values among the leaves of that row, or of all

cdef inline _Run run_of(Call* call):
    return <_Run>(<ReplayCall*>call).run

cdef inline list given_to(Call* call):
    return <list>(<ReplayCall*>call).given

cdef list results_by_row(_Run run):
    """The results of all rows, each row's of a call of its own: a sweep must come by the Values given to the
    rows that it reaches, and by no others."""
    cdef Py_ssize_t outputs = run.program.code.outputs, row
    cdef list values = [], of_row, given = [[] for _ in range(run.rows)]
    for place, leaf in run.given:
        (<list>given[place // run.program.code.inputs]).append((place, leaf))
    for row in range(run.rows):
        of_row = [None] * outputs
        new_replay(run, row, given[row], of_row, run.job.results + row * outputs)
        values += of_row
    return values

cdef int new_replay(_Run run, Py_ssize_t row, list given, list values, const double* numbers) except -1:
    """Fill the list with the outputs of a new call."""
    cdef Py_ssize_t count = len(values), j
    cdef char* memory = <char*>PyMem_Malloc(sizeof(GCHead) + sizeof(ReplayCall) + count * (
        sizeof(void*) + sizeof(double) + sizeof(Kind)))
    cdef ReplayCall* c = <ReplayCall*>(memory + sizeof(GCHead))
    cdef Number y
    if memory == NULL:
        raise MemoryError
    c.row, c.run, c.given = row, <PyObject*>run, <PyObject*>given
    Py_INCREF(c.run)
    Py_INCREF(c.given)
    c.call.nout = count
    c.call.outputs = <Node**>(c + 1)
    c.call.grad = <double*>(c.call.outputs + count)
    c.call.grad_kind = <Kind*>(c.call.grad + count)
    memset(c.call.outputs, 0, count * sizeof(void*))
    begin_call(&c.call, &replay_kind)
    try:
        for j in range(count):
            y.x, y.kind = numbers[j], REAL
            values[j] = new_output(&c.call, j, y)
    finally:
        Py_DECREF(&c.call.body.head)
    return 0

cdef void release_replay(Call* call) noexcept:
    cdef PyObject* run = (<ReplayCall*>call).run
    cdef PyObject* given = (<ReplayCall*>call).given
    PyMem_Free(<char*>call - sizeof(GCHead))
    Py_DECREF(run)
    Py_DECREF(given)

cdef int traverse_replay(Call* call, visitproc visit, void* arg) noexcept:
    cdef int stop = visit((<ReplayCall*>call).run, arg)
    return visit((<ReplayCall*>call).given, arg) if stop == 0 else stop

cdef object name_of_replay(Call* call):
    return run_of(call).program.name

cdef object operands_of_replay(Call* call, int j):
    return {*run_of(call).program.parameters, *[leaf for _, leaf in given_to(call)]}

cdef Py_ssize_t place_of_result(Node* out):
    """Which of all results of its run an output is."""
    cdef ReplayCall* c = <ReplayCall*>call_of(out)
    return out.index + max(<Py_ssize_t>0, c.row) * run_of(&c.call).program.code.outputs

cdef int visit_replay(Call* call, Sweep* s) except -1:
    cdef _Run run = run_of(call)
    cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>run.program.parameters)
    cdef bint is_packed = run.program.is_packed()       # then they are leaves
    cdef Py_ssize_t i
    if given_to(call):
        visit_all(s, [leaf for _, leaf in given_to(call)])
    for i in range(run.program.loose.count if is_packed else run.program.code.parameters):
        reserve(&s.stack, 1)
        visit_later(s, node_of(values[run.program.loose.items[i] if is_packed else i]))
    return 0

cdef bint replay_is_current(Call* call) noexcept:
    """Whether all operands have gradients that a number can be added to."""
    cdef _Run run = run_of(call)
    cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>run.program.parameters)
    cdef bint is_packed = run.program.is_packed()
    cdef Py_ssize_t i
    for i in range(run.program.loose.count if is_packed else run.program.code.parameters):
        if takes_python(values[run.program.loose.items[i] if is_packed else i]):
            return False
    for _, operand in given_to(call):
        if takes_python(<PyObject*>operand):
            return False
    return (value_is_as_seen() or look_at_classes()) and access_shipped

cdef inline bint takes_python(PyObject* operand) noexcept:
    return node_of(operand).grad_kind == OBJECT or (operand.ob_type != value_type and accesses(<object>operand))

cdef bint replay_accepts(Call* call, int j, Number g) noexcept:
    return is_plain(g)

cdef int no_operation(Call* call, int j) noexcept:
    return LEAF

cdef Py_ssize_t work_of_replay(Call* call) noexcept:
    cdef _Run run = run_of(call)
    return (run.rows if (<ReplayCall*>call).row < 0 else 1) * (run.program.code.slots + run.program.code.packed)


# The sweep.

cdef struct Swept:                      # what a sweep finds
    double* parameters                  # the gradient of each parameter, and then of those that are packed,
    double* inputs                      # of each input of each row, or NULL where no Value was given
    bint raises                         # Python's sweep would raise an error

cdef bint sweep_replay(Call* call) noexcept:
    """Add to the gradients of the operands; False where that takes Python, and then nothing was changed."""
    cdef _Run run = run_of(call)
    cdef Code* c = &run.program.code
    cdef Py_ssize_t row = (<ReplayCall*>call).row, i
    cdef Py_ssize_t outputs = c.outputs * (run.rows if row < 0 else 1), inputs = run.rows * c.inputs if run.given else 0
    cdef Swept found
    cdef double* seeds = <double*>PyMem_Calloc(outputs + c.parameters + c.packed + inputs + 1, sizeof(double))
    cdef bint fine = seeds != NULL
    found.parameters = seeds + outputs
    found.inputs = found.parameters + c.parameters + c.packed if inputs else NULL
    found.raises = False
    if fine:
        for i in range(outputs):
            seeds[i] = call.grad[0] * run.factor if run.factor else call.grad[i]
        if row >= 0:
            fine = sweep_row(run, row, seeds, call.grad_kind, &found)
        else:
            fine = sweep_rows(run, seeds, NULL if run.factor else call.grad_kind, &found)
        fine = fine and not found.raises
    if fine and not run.job.stop:
        add_to_parameters(run.program, found.parameters, found.parameters + c.parameters)
        for place, leaf in given_to(call):
            add_float(node_of(<PyObject*>leaf), found.inputs[<Py_ssize_t>place])
    run.job.stop = 0
    PyMem_Free(seeds)
    if fine:
        forget_gradients(call)
    return fine

cdef void add_to_parameters(_Program program, double* grads, const double* packed_grads) noexcept:
    cdef Code* c = &program.code
    cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>program.parameters)
    cdef bint is_packed = program.is_packed()
    cdef Py_ssize_t i
    if not is_packed:
        unpack_grads(c, grads, packed_grads)
        for i in range(c.parameters):
            add_float(node_of(values[i]), grads[i])
        return
    for i in range(program.loose_places.count):
        grads[c.packed_from[program.loose_places.items[i]]] += packed_grads[program.loose_places.items[i]]
    for i in range(program.loose.count):
        add_float(node_of(values[program.loose.items[i]]), grads[program.loose.items[i]])
    for p, place in program.matrices:
        add_to_matrix(&(<Parameters>p).m, packed_grads + <Py_ssize_t>place)

cdef void unpack_grads(Code* c, double* grads, const double* packed_grads) noexcept:
    cdef Py_ssize_t i
    for i in range(c.packed):
        if c.packed_from[i] >= 0:
            grads[c.packed_from[i]] += packed_grads[i]

cdef void add_to_matrix(Matrix* m, const double* more) noexcept:
    """Add floats to the gradients of all parameters."""
    cdef Py_ssize_t i
    for i in range(matrix_size(m)):
        m.grad[i] += more[i]
    if m.all_grad_kind == OBJECT:
        for i in range(matrix_size(m)):
            m.grad_kind[i] &= REAL
    else:
        set_grad_kinds(m, m.all_grad_kind & REAL, m.all_grad_kind & REAL)

cdef inline Py_ssize_t matrix_size(Matrix* m) noexcept:
    return <Py_ssize_t>(m.nin + 1) * m.width

cdef inline void add_float(Node* to, double more) noexcept:
    cdef Number g
    g.x, g.kind = more, REAL
    set_grad_of_node(to, plus(grad_of_node(to), g))

cdef bint sweep_rows(_Run run, const double* seeds, const Kind* kinds, Swept* found) noexcept:
    """Sweep the rows whose outputs all have a gradient at once, and others with one, one by one. (The chain rule
    is not to be applied to a row without one: 0 times an infinite derivative is no number.)"""
    cdef int count = run.program.code.outputs, seeded, k
    cdef Py_ssize_t whole = 0, row
    for row in range(run.rows):
        seeded = 0
        for k in range(count if kinds != NULL else 0):
            seeded += kinds[row * count + k] != NO_GRADIENT
        whole += kinds == NULL or seeded == count
        if 0 < seeded < count and not sweep_row(run, row, seeds + row * count, kinds + row * count, found):
            return False
    if whole == run.rows:
        return sweep_job(run, &run.job, seeds, NULL, 0, found)
    return whole == 0 or sweep_some(run, seeds, kinds, whole, found)

cdef bint sweep_job(_Run run, const Job* given, const double* seeds, const unsigned char* live,
                    Py_ssize_t first, Swept* found) noexcept:
    """Sweep the rows of a job, of which the first is that row of the run."""
    cdef Job job = given[0]
    cdef Code* c = &run.program.code
    cdef Py_ssize_t t, i
    cdef bint fine
    job.seeds, job.look = seeds, look_in_sweep
    job.live = live if live != NULL else <unsigned char*>PyByteArray_AS_STRING(run.program.live)
    job.input_grads = found.inputs + first * c.inputs if found.inputs != NULL else NULL
    job.grads = <double*>PyMem_Calloc(job.tiles * (c.parameters + c.packed) + 1, sizeof(double))
    job.odd = <unsigned char*>PyMem_Calloc(job.rows, 1)
    fine = job.grads != NULL and job.odd != NULL and do_job(&job)
    if fine:
        for t in range(job.tiles):
            for i in range(c.parameters + c.packed):
                found.parameters[i] += job.grads[t * (c.parameters + c.packed) + i]
        found.raises = found.raises or memchr(job.odd, 1, job.rows) != NULL
        run.job.stop |= job.stop
    PyMem_Free(job.grads)
    PyMem_Free(job.odd)
    return fine

cdef int look_in_sweep() noexcept:
    """Whether Ctrl-C was pressed, and shall end the sweep: which look_for_interrupt then does."""
    if not PyOS_InterruptOccurred():
        return False
    interrupt_again()
    return interrupt_raises()

cdef bint sweep_row(_Run run, Py_ssize_t row, const double* seeds, const Kind* kinds, Swept* found) noexcept:
    """Sweep one row from some of its outputs only, along the steps that lead to them."""
    cdef Code* c = &run.program.code
    cdef unsigned char* live = <unsigned char*>PyMem_Calloc(c.slots, 1)
    cdef Job job = run.job
    cdef int k
    cdef bint fine = live != NULL
    if fine:
        for k in range(c.outputs):
            live[c.output[k]] |= kinds[k] != NO_GRADIENT
        mark_live(c, live)
        alone(run, &job, row)
        fine = sweep_job(run, &job, seeds, live, row, found)
    PyMem_Free(live)
    return fine

cdef void alone(_Run run, Job* job, Py_ssize_t row) noexcept:
    """The job of one row."""
    divide(job, 1)
    job.inputs += row * run.program.code.inputs
    job.values = NULL

cdef bint sweep_some(_Run run, const double* seeds, const Kind* kinds, Py_ssize_t whole, Swept* found) noexcept:
    """Sweep the rows whose outputs all have a gradient, and no others, as a job of their own."""
    cdef Code* c = &run.program.code
    cdef Py_ssize_t row, i = 0
    cdef Job job = run.job
    cdef Swept part = found[0]
    cdef double* inputs = <double*>PyMem_Calloc(whole * (2 * c.inputs + c.outputs) + 1, sizeof(double))
    cdef double* own_seeds = inputs + whole * c.inputs
    cdef bint fine = inputs != NULL
    part.inputs = own_seeds + whole * c.outputs
    for row in range(run.rows if fine else 0):
        if all_seeded(kinds + row * c.outputs, c.outputs):
            memcpy(inputs + i * c.inputs, run.job.inputs + row * c.inputs, c.inputs * sizeof(double))
            memcpy(own_seeds + i * c.outputs, seeds + row * c.outputs, c.outputs * sizeof(double))
            i += 1
    if fine:
        divide(&job, whole)
        job.inputs, job.values = inputs, NULL
        fine = sweep_job(run, &job, own_seeds, NULL, 0, &part)
        found.raises = part.raises
    i = 0
    for row in range(run.rows if fine and found.inputs != NULL else 0):
        if all_seeded(kinds + row * c.outputs, c.outputs):
            memcpy(found.inputs + row * c.inputs, part.inputs + i * c.inputs, c.inputs * sizeof(double))
            i += 1
    PyMem_Free(inputs)
    return fine

cdef inline bint all_seeded(const Kind* kinds, int count) noexcept:
    cdef int k
    for k in range(count):
        if kinds[k] == NO_GRADIENT:
            return False
    return True


# What becomes of an output when the graph is copied, or Python runs during a sweep: an operation with local
# gradients.

cdef int make_replay_plain(Call* call) except -1:
    cdef _Run run = run_of(call)
    cdef list given = given_to(call)
    cdef Py_ssize_t before = max(<Py_ssize_t>0, (<ReplayCall*>call).row) * run.program.code.outputs
    cdef int j, count = call.nout
    cdef Node** outputs = call.outputs
    Py_INCREF(&call.body.head)          # which the last output lets go of
    try:
        for j in range(count):
            if outputs[j] != NULL:
                make_local(outputs[j], local_gradients(run, given, before + j), run.program.name)
    finally:
        Py_DECREF(&call.body.head)
    return 0

cdef int make_local(Node* out, _Locals pair, str name) except -1:
    attrs_of(<object>value_of(out))["_op"] = name
    track(value_of(out))
    replace_operands(out, LOCAL, node_of(<PyObject*>pair), NULL)
    return 0

cdef _Locals local_gradients(_Run run, list given, Py_ssize_t j):
    """The operands of result j, and its derivatives by them."""
    cdef Code* c = &run.program.code
    cdef Py_ssize_t outputs = run.rows * c.outputs, i
    cdef Swept found
    cdef bytearray seeds = bytearray(outputs * sizeof(double)), kinds = bytearray(b"\xff") * outputs
    cdef bytearray by_parameter = bytearray((c.parameters + c.packed) * sizeof(double))
    cdef bytearray by_input = bytearray(run.rows * c.inputs * sizeof(double))
    cdef double* g = <double*>PyByteArray_AS_STRING(by_parameter)
    found.parameters, found.inputs = g, <double*>PyByteArray_AS_STRING(by_input)
    found.raises = False
    for i in range(outputs):
        if run.factor or i == j:
            (<double*>PyByteArray_AS_STRING(seeds))[i] = run.factor or 1.0
            kinds[i] = REAL
    if not sweep_rows(run, <double*>PyByteArray_AS_STRING(seeds), <Kind*>PyByteArray_AS_STRING(kinds), &found):
        raise MemoryError
    if found.raises:
        raise_error_of_sweep(run, range(run.rows) if run.factor else [j // c.outputs])
    unpack_grads(c, g, g + c.parameters)
    given = [(place, leaf) for place, leaf in given if run.factor or place // c.inputs == j // c.outputs]
    return _Locals([*run.program.parameters, *[leaf for _, leaf in given]],
                   [g[i] for i in range(c.parameters)] + [found.inputs[<Py_ssize_t>place] for place, _ in given])

cdef int raise_error_of_sweep(_Run run, rows) except -1:
    """The error that Python raises in the derivative of a power, if it does."""
    from micrograd._functions import slope_of_power
    cdef Code* c = &run.program.code
    cdef bytearray slots = bytearray(c.slots * sizeof(double)), scratch = bytearray((c.scratch + 1) * sizeof(double))
    cdef double* v = <double*>PyByteArray_AS_STRING(slots)
    cdef Job job = run.job
    cdef unsigned char odd[8]
    cdef int i
    for row in rows:
        job = run.job
        alone(run, &job, row)
        job.odd = odd
        forward_block(&job, 0, v, <double*>PyByteArray_AS_STRING(scratch))
        for i in range(c.step_count - 1, -1, -1):
            if c.steps[i].op == POW:
                PyNumber_Power(v[c.steps[i].a], v[c.steps[i].b] - 1, None)
            elif c.steps[i].op == POWER:
                slope_of_power(v[c.steps[i].a], v[c.steps[i].b])
    return 0                            # an infinite slope, as of the root at 0

cdef CallKind replay_kind
replay_kind.visit, replay_kind.sweep = visit_replay, sweep_replay
replay_kind.is_current, replay_kind.accepts = replay_is_current, replay_accepts
replay_kind.make_plain, replay_kind.operation = make_replay_plain, no_operation
replay_kind.work, replay_kind.traverse, replay_kind.release = work_of_replay, traverse_replay, release_replay
replay_kind.name, replay_kind.operands = name_of_replay, operands_of_replay
