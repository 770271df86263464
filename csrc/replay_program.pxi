# Programs: what was recorded, as the steps of replay.h, and where its parameters' numbers stand.

@cython.no_gc_clear             # the collector breaks cycles at the parameters
cdef class _Program:
    """The steps that lead from inputs to outputs, two lists of Values of the function that is being
    recorded. TypeError and RecordingError for what cannot be a step."""
    cdef Code code
    cdef str name
    cdef object refuse                  # raises RecordingError
    cdef readonly tuple parameters      # the Values that the function uses and has not made
    # Tuples, which the collector does not empty: a finalizer may use a result of a dead cycle.
    cdef tuple memory                   # bytearrays, the arrays of the code: six of ints, then the
                                        # constants and the packed numbers
    cdef bytearray live                 # of each slot: whether an output's gradient reaches it
    cdef bytearray used                 # of each parameter: the same
    cdef bint picks                     # whether a step is a pick
    cdef bint picks_results             # ... that chooses among other things than parameters
    cdef bint partly                    # whether a step is a pick, or a layer has neurons that no
                                        # output was computed from
    cdef bytearray picked               # of each parameter: whether it is a choice of a pick
    cdef tuple sources                  # of all outputs, once they are needed; see ReplayCall
    cdef bint parameters_differ, inputs_differ      # ... whether these are not the same for all
    # Where the numbers of the parameters stand, as long as is_packed:
    cdef tuple matrices                 # layers laid out as nn's: (its Parameters, packed place)
    cdef Ints loose_places              # the packed places of parameters outside these layers
    cdef Ints held, place               # other parameters that are in a Matrix; where in it
    cdef tuple holders                  # ... in whose: (Parameters, where theirs end in `held`)
    cdef Ints loose                     # the parameters that hold their own numbers
    cdef Ints every                     # all parameters

    def __cinit__(self, name, list inputs not None, list outputs not None):
        cdef bint enabled = PyGC_Disable()
        try:
            self.name, self.refuse = name, refuse
            self.take(_Builder(_Graph(inputs, outputs)), len(inputs))
        finally:
            if enabled:
                PyGC_Enable()

    cdef int take(self, _Builder made, int inputs) except -1:
        cdef Code* c = &self.code
        self.memory = ()
        self.parameters = tuple(made.graph.parameters)
        c.inputs, c.slots, c.parameters, c.scratch = (
            inputs, made.slots, len(self.parameters), made.scratch)
        c.constants, c.singles, c.outputs = (
            made.constant.count, made.single.count, made.output.count)
        c.packed = made.packed_from.count
        c.step_count, c.layer_count = made.steps.count // 4, made.dense.count // 5
        c.apart = c.parameters if made.single.count or made.graph.choices.count else 0
        c.steps, c.layers = <Step*>self.keep(&made.steps), <Dense*>self.keep(&made.dense)
        c.places, c.packed_from = self.keep(&made.places), self.keep(&made.packed_from)
        c.single, c.output = self.keep(&made.single), self.keep(&made.output)
        self.memory += (bytearray(c.constants * sizeof(double)),
                        bytearray(c.packed * sizeof(double)))
        c.constant = <double*>PyByteArray_AS_STRING(self.memory[6])
        c.packed_number = <double*>PyByteArray_AS_STRING(self.memory[7])
        for i in range(c.constants):
            c.constant[i] = made.graph.numbers[made.constant.items[i]]
        for place, x in made.packed_numbers:
            c.packed_number[<int>place] = x
        self.picks = made.graph.choices.count > 0
        self.find_choices()
        self.live = marked_outputs(c, 0, c.outputs)
        self.partly = mark_live(c, NULL, <unsigned char*>PyByteArray_AS_STRING(self.live))
        self.partly |= self.picks
        self.used = bytearray(c.parameters)
        mark_parameters(c, NULL, self.live, self.used)
        return self.find_matrices()

    cdef int find_choices(self) except -1:
        """Find out among what the picks choose."""
        cdef Code* c = &self.code
        cdef int* places
        cdef int k, i
        self.picked = bytearray(c.parameters)
        for k in range(c.step_count):
            places = c.places + c.steps[k].b
            for i in range(1, places[0] + 1 if c.steps[k].op == PICK else 0):
                if places[i] < 0:
                    self.picked[-1 - places[i]] = 1
                else:
                    self.picks_results = True
        return 0

    cdef tuple sources_of_outputs(self, bint by_inputs, bint by_parameters):
        """What each output was computed from: `sources` of a ReplayCall. None where that is the
        same for all outputs, of the inputs and of the parameters, as far as these are asked for."""
        cdef Code* c = &self.code
        cdef tuple sources = self.sources
        if sources is None:
            sources = tuple([what_may_be_used(c, marked_outputs(c, k, 1))
                             for k in range(c.outputs)])
            self.parameters_differ = any([used != sources[0][0] for used, _ in sources])
            self.inputs_differ = any([inputs != sources[0][1] for _, inputs in sources])
            self.sources = sources
        if (by_inputs and self.inputs_differ) or (by_parameters and self.parameters_differ):
            return sources
        return None

    def __dealloc__(self):
        PyMem_RawFree(self.loose.items)
        PyMem_RawFree(self.loose_places.items)
        PyMem_RawFree(self.held.items)
        PyMem_RawFree(self.place.items)
        PyMem_RawFree(self.every.items)

    cdef int find_matrices(self) except -1:
        """Find the layers whose numbers a Matrix has in the same places, to copy them at once, and
        where each of the other parameters stands."""
        cdef Code* c = &self.code
        cdef Dense* layer
        # The packed places, and the parameters, of these layers.
        cdef bytearray elsewhere = bytearray(c.packed), taken = bytearray(c.parameters)
        cdef int k, i
        cdef list matrices = [], holders = []
        for k in range(c.layer_count):
            layer = &c.layers[k]
            p = self.matrix_at(layer)
            if p is not None and not elsewhere[layer.weights]:
                matrices.append((p, layer.weights))
                for i in range((layer.nin + 1) * layer.width):
                    elsewhere[layer.weights + i] = 1
                    if c.packed_from[layer.weights + i] >= 0:
                        taken[c.packed_from[layer.weights + i]] = 1
        for i in range(c.packed):
            if not elsewhere[i] and c.packed_from[i] >= 0:
                put(&self.loose_places, i)
                taken[c.packed_from[i]] = 0
        for i in range(c.singles):
            taken[c.single[i]] = 0
        for i in range(c.parameters):
            put(&self.every, i)
            if self.picked[i] or not taken[i]:
                self.find_holder(i, holders)
        self.matrices, self.holders = tuple(matrices), tuple(holders)
        return 0

    cdef int find_holder(self, int i, list holders) except -1:
        """Note that parameter i holds its own number, or which Matrix does."""
        cdef Node* n = node_of(<PyObject*>self.parameters[i])
        if n.data_kind != PACKED:
            return put(&self.loose, i)
        put(&self.held, i)
        put(&self.place, n.index)
        if holders and holders[len(holders) - 1][0] is <object>n.data.object:
            holders.pop()
        holders.append((<object>n.data.object, self.held.count))
        return 0

    cdef Parameters matrix_at(self, Dense* l):
        """The Parameters whose Matrix has the numbers of this layer in the same places, or None."""
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
        """Whether the parameters are still where they were when recorded, and are floats."""
        for p, _ in self.matrices:
            if not holds_floats(&(<Parameters>p).m):
                return False
        for p, _ in self.holders:
            if not holds_floats(&(<Parameters>p).m):
                return False
        return True

    cdef Ints* swept_alone(self) noexcept:
        """The parameters whose Values a sweep looks at. While it adds to packed gradients, these
        are the others: packed parameters are leaves."""
        return &self.loose if self.is_packed() else &self.every

    cdef bint has_result(self, bytearray marks) noexcept:
        """Whether a parameter that is marked is no leaf."""
        cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>self.parameters)
        cdef Ints* places = self.swept_alone()
        cdef int i
        for i in range(places.count):
            if marks[places.items[i]] and node_of(values[places.items[i]]).op != LEAF:
                return True
        return False

    cdef int* keep(self, Ints* ints) except? NULL:
        self.memory += (
            PyByteArray_FromStringAndSize(<char*>ints.items, ints.count * sizeof(int)),)
        return <int*>PyByteArray_AS_STRING(self.memory[len(self.memory) - 1])

    def difference(self, _Program other not None):
        """How the other program differs, in words; None if it does not."""
        if len(self.parameters) != len(other.parameters) or any(
                [a is not b for a, b in zip(self.parameters, other.parameters)]):
            return "other Values take part"
        if self.memory[:6] != other.memory[:6]:
            return "it computes something else"
        for numbers, others in zip(self.memory[6:], other.memory[6:]):
            if numbers != others:
                before, now = doubles_that_differ(numbers, others)
                return f"a number that was {before!r} is {now!r}"
        return None

    def listing(self):
        """The steps, as (symbol, operands) with places of other steps, and the outputs' places."""
        return _Listing(self).result()

    def forward(self, leaves, Py_ssize_t rows, int threads):
        """Run the steps for `rows` rows. leaves: a list, row by row, or a bytearray of numbers."""
        cdef _Run run = _Run.__new__(_Run)
        if rows < 0 or threads < 1:
            raise ValueError(
                f"a run is of rows from 0 and threads from 1, not of {rows} and {threads}")
        run.program, run.rows, run.threads = self, rows, threads
        run.take_leaves(leaves)
        run.take_parameters()
        run.go_forward()
        return run

cdef bytearray marked_outputs(Code* c, int first, int count):
    """A 1 for the slot of each of these outputs, a 0 for each other slot."""
    cdef bytearray marks = bytearray(c.slots)
    cdef int k
    for k in range(first, first + count):
        marks[c.output[k]] = 1
    return marks

cdef tuple doubles_that_differ(bytearray a, bytearray b):
    cdef double* x = <double*>PyByteArray_AS_STRING(a)
    cdef double* y = <double*>PyByteArray_AS_STRING(b)
    cdef Py_ssize_t i
    for i in range(min(len(a), len(b)) // 8):
        if memcmp(&x[i], &y[i], sizeof(double)) != 0:
            return x[i], y[i]
    return len(a) // 8, len(b) // 8
