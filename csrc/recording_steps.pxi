# The steps of a recording, made from the _Graph of recording.pxi.
#
# A sum of products becomes one step (DOT). Sums of products of parameters by the same numbers
# become a layer (DENSE), with a neuron for each.

cdef struct Sum:                        # c + a0 b0 + a1 b1 + ...
    int begin                           # the operand c, or NONE
    int factors, terms                  # where a0, b0, a1 ... begin, and how many terms there are
    int layer                           # the layer that it is a neuron of, or -1
    int slot                            # of its result, in a layer

cdef enum:
    NO_SUM = -1
    PART = -2                           # a part of a sum, without a step of its own

cdef class _Builder:
    """Makes the steps of a program out of a graph."""
    cdef _Graph graph
    cdef Ints sum_of                    # of each node: the sum whose result it is, NO_SUM or PART
    cdef Ints factors
    cdef Sum* sums
    cdef Py_ssize_t sum_count, sum_capacity
    cdef list layers                    # of each layer: its sums, in order
    cdef Ints steps, dense, places, packed_from, single, constant, output   # of the Code
    cdef list packed_numbers
    cdef dict packed                    # where the matrix of these parameters stands
    cdef Ints slot_of, slot_of_leaf     # of nodes and leaves; -1: none
    cdef int slots, scratch

    def __cinit__(self, _Graph graph not None):
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
        """Find the sums, results before operands: a part of a sum begins none."""
        cdef int i, count = self.graph.op.count
        for i in range(count):
            put(&self.sum_of, NO_SUM)
        for i in range(count - 1, -1, -1):
            if self.graph.op.items[i] == ADD and self.sum_of.items[i] == NO_SUM:
                self.find_sum(i)
        return 0

    cdef int find_sum(self, int root) except -1:
        """Follow a chain of additions to its first term, while all terms, or none, are products."""
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
        return put(&self.factors, NONE)     # stands for the factor 1

    cdef int add_sum(self, int root, int begin, int first, int terms) except -1:
        cdef Sum* s
        cdef int i
        cdef int* f = self.factors.items + first
        for i in range(terms // 2):     # the last term was found first
            f[2 * i], f[2 * (terms - 1 - i)] = f[2 * (terms - 1 - i)], f[2 * i]
            f[2 * i + 1], f[2 * (terms - 1 - i) + 1] = f[2 * (terms - 1 - i) + 1], f[2 * i + 1]
        if self.sum_count == self.sum_capacity:
            self.sums = <Sum*>checked(
                PyMem_RawRealloc(self.sums, (2 * self.sum_count + 16) * sizeof(Sum)))
            self.sum_capacity = 2 * self.sum_count + 16
        s = &self.sums[self.sum_count]
        s.begin, s.factors, s.terms, s.layer, s.slot = begin, first, terms, -1, -1
        self.sum_of.items[root] = self.sum_count
        self.sum_count += 1
        return 0

    cdef int find_layers(self) except -1:
        """Make a layer of the sums of parameters times the same numbers: a sum is a neuron."""
        cdef dict layer_of = {}
        cdef int i, k
        for i in range(self.sum_of.count):
            k = self.sum_of.items[i]
            if k >= 0 and self.is_neuron(&self.sums[k]):
                xs = self.every_second(self.factors.items + self.sums[k].factors + 1,
                                       self.sums[k].terms)
                self.sums[k].layer = layer_of.setdefault(xs, len(self.layers))
                if self.sums[k].layer == len(self.layers):
                    self.layers.append([])
                (<list>self.layers[self.sums[k].layer]).append(k)
        return 0

    cdef bint is_neuron(self, Sum* s) noexcept:
        """Whether each term is a parameter times another operand, and the sum begins with a
        parameter, a constant or nothing."""
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

    cdef bytes every_second(self, const int* items, int count):
        cdef bytes result = PyBytes_FromStringAndSize(NULL, count * sizeof(int))
        cdef int* to = <int*>PyBytes_AS_STRING(result)
        cdef int i
        for i in range(count):
            to[i] = items[2 * i]
        return result

    cdef int give_slots_to_leaves(self) except -1:
        """The inputs come first, then the constants and parameters that steps take one by one."""
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
                        self.factors.items[self.sums[k].factors + j] = g.use_number(1.0)
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
        return (self.slot_of.items[operand] if operand >= 0
                else self.slot_of_leaf.items[-1 - operand])

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
            put(&self.places, -1 - g.leaf_index.items[-1 - operand] if g.is_parameter(operand)
                else self.slot(operand))
        return at

    cdef int places_of_terms(self, Sum* s) except? -1:
        cdef int at = self.places.count, i
        put(&self.places, -1 if s.begin == NONE else self.slot(s.begin))
        for i in range(2 * s.terms):
            put(&self.places, self.slot(self.factors.items[s.factors + i]))
        return at

    cdef int add_layer(self, list neurons) except -1:
        cdef Sum* s = &self.sums[<int>neurons[0]]
        cdef int nin = s.terms, nout = len(neurons)
        cdef int width = width_of_rows(nout), y, i
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

    cdef tuple key_of_neuron(self, Sum* s):
        """Its parameters."""
        return self.every_second(self.factors.items + s.factors, s.terms), s.begin

    cdef int matrix_of(self, list neurons, int width) except? -1:
        """Where the parameters of these neurons stand among the packed ones."""
        key = tuple([self.key_of_neuron(&self.sums[<int>k]) for k in neurons])
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
        return self.pack_number(-0.0 if operand == NONE
                                else g.numbers[g.leaf_index.items[-1 - operand]])

    cdef int pack_number(self, double x) except -1:
        self.packed_numbers.append((self.packed_from.count, x))
        return put(&self.packed_from, -1)

cdef inline void take(Ints* taken, int operand) noexcept:
    if operand < 0 and operand != NONE:
        taken.items[-1 - operand] = 1
