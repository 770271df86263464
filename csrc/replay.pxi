# Programs, which are what was recorded, and their runs: the numbers that go in and come out. The
# Values that a run gives are in replay_call.pxi.

cdef enum:
    KEPT_SLOTS = 1 << 22                # numbers of one run that are kept for its sweep
    TILES = 16                          # of a job, at most; see replay.h

cdef class _Program:
    """The steps that lead from inputs to outputs, two lists of Values of the function that is being
    recorded. TypeError and RecordingError for what cannot be a step."""
    cdef Code code
    cdef str name
    cdef object refuse                  # raises RecordingError
    cdef readonly tuple parameters      # the Values that the function uses and has not made
    cdef list memory                    # bytearrays, the arrays of the code: six of ints, then the
                                        # constants and the packed numbers
    cdef bytearray live                 # of each slot: whether an output's gradient reaches it
    cdef bytearray used                 # of each parameter: the same
    cdef bint picks                     # whether a step is a pick
    cdef bint picks_results             # ... that chooses among other things than parameters
    cdef bint partly                    # whether a step is a pick, or a layer has neurons that no
                                        # output was computed from
    cdef bytearray picked               # of each parameter: whether it is a choice of a pick
    cdef list sources                   # of all outputs, once they are needed; see ReplayCall
    cdef bint parameters_differ, inputs_differ      # ... whether these are not the same for all
    # Where the numbers of the parameters stand, as long as is_packed:
    cdef list matrices                  # layers laid out as nn's: (its Parameters, packed place)
    cdef Ints loose_places              # the packed places of parameters outside these layers
    cdef Ints held, place               # other parameters that are in a Matrix; where in it
    cdef list holders                   # ... in whose: (Parameters, where theirs end in `held`)
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
        self.memory = []
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
        self.memory += [bytearray(c.constants * sizeof(double)),
                        bytearray(c.packed * sizeof(double))]
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

    cdef list sources_of_outputs(self, bint by_inputs, bint by_parameters):
        """What each output was computed from: `sources` of a ReplayCall. None where that is the
        same for all outputs, of the inputs and of the parameters, as far as these are asked for."""
        cdef Code* c = &self.code
        cdef list sources = self.sources
        if sources is None:
            sources = [what_may_be_used(c, marked_outputs(c, k, 1)) for k in range(c.outputs)]
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
        self.matrices = []
        for k in range(c.layer_count):
            layer = &c.layers[k]
            p = self.matrix_at(layer)
            if p is not None and not elsewhere[layer.weights]:
                self.matrices.append((p, layer.weights))
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
        self.holders = []
        for i in range(c.parameters):
            put(&self.every, i)
            if self.picked[i] or not taken[i]:
                self.find_holder(i)
        return 0

    cdef int find_holder(self, int i) except -1:
        """Note that parameter i holds its own number, or which Matrix does."""
        cdef Node* n = node_of(<PyObject*>self.parameters[i])
        if n.data_kind != PACKED:
            return put(&self.loose, i)
        put(&self.held, i)
        put(&self.place, n.index)
        if self.holders and self.holders[len(self.holders) - 1][0] is <object>n.data.object:
            self.holders.pop()
        self.holders.append((<object>n.data.object, self.held.count))
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
        self.memory.append(
            PyByteArray_FromStringAndSize(<char*>ints.items, ints.count * sizeof(int)))
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

cdef class _Run:
    """The arguments and the results of a program for some rows."""
    cdef readonly _Program program
    cdef Job job
    cdef readonly Py_ssize_t rows
    cdef int threads
    cdef list given                     # of each leaf: the Value, or None; None if all are numbers
    cdef bytearray given_numbers
    cdef double* gathered               # the parameters, and those that are packed
    cdef double* outcome                # the results, and which rows are odd
    cdef object fixed                   # a view of given_numbers, so that nobody can resize them
    cdef bint gave_results
    cdef double factor                  # of each row in the one result; 0 if each row has results

    def __dealloc__(self):
        give_memory(self.job.values)
        give_memory(self.gathered)
        give_memory(self.outcome)

    cdef int take_leaves(self, leaves) except -1:
        cdef Py_ssize_t count = self.rows * self.program.code.inputs, i
        cdef double* x
        if type(leaves) is bytearray:
            self.given_numbers, self.fixed, leaves = leaves, memoryview(leaves), None
        else:
            self.given_numbers, leaves = bytearray(count * sizeof(double)), tuple(leaves)
        if PyByteArray_GET_SIZE(self.given_numbers) != count * sizeof(double) or (
                leaves is not None and len(leaves) != count):
            raise ValueError(
                f"not as many leaves as in {self.rows} rows of {self.program.code.inputs}")
        x = <double*>PyByteArray_AS_STRING(self.given_numbers)
        for i, leaf in enumerate(leaves or ()):
            x[i] = self.number_of_leaf(leaf, i)
        return 0

    cdef double number_of_leaf(self, leaf, Py_ssize_t place) except? -1:
        if not is_value(leaf):
            return <double?>leaf
        if has_own_access(leaf):
            self.program.refuse("override")
        if self.given is None:
            self.given = [None] * (self.rows * self.program.code.inputs)
        self.given[place] = leaf
        cdef Number n = data_of_node(node_of(<PyObject*>leaf))
        if n.kind != OBJECT:
            return n.x
        from micrograd.recording import number_given
        return number_given(data_of(leaf))

    cdef int take_parameters(self) except -1:
        cdef Code* c = &self.program.code
        cdef double* to
        cdef int i, place
        cdef Matrix* m
        self.gathered = to = <double*>checked(take_memory(c.parameters + c.packed))
        cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>self.program.parameters)
        if not access_as_shipped():
            self.program.refuse("override")
        if not self.program.is_packed():
            for i in range(c.parameters):
                to[i] = number_of_parameter(self.program, values[i])
            for i in range(c.packed):
                to[c.parameters + i] = (c.packed_number[i] if c.packed_from[i] < 0
                                        else to[c.packed_from[i]])
            return 0
        for i in range(self.program.loose.count):
            place = self.program.loose.items[i]
            to[place] = number_of_parameter(self.program, values[place])
        i = 0
        for p, end in self.program.holders:
            m = &(<Parameters>p).m
            while i < <int>end:
                to[self.program.held.items[i]] = m.data.x[self.program.place.items[i]]
                i += 1
        to += c.parameters
        if self.program.loose_places.count or not self.program.matrices:
            for i in range(c.packed):
                to[i] = (c.packed_number[i] if c.packed_from[i] < 0
                         else to[c.packed_from[i] - c.parameters])
        for p, place in self.program.matrices:      # still packed: no Python code has run
            memcpy(to + <Py_ssize_t>place, (<Parameters>p).m.data.x,
                   matrix_size(&(<Parameters>p).m) * sizeof(double))
        return 0

    cdef int go_forward(self) except -1:
        cdef Job* job = &self.job
        cdef Code* c = &self.program.code
        cdef bint done
        cdef Py_ssize_t rows = self.rows
        job.code, job.threads = c, self.threads
        divide(job, rows, 1 if rows == 1 else 8)
        job.inputs = <double*>PyByteArray_AS_STRING(self.given_numbers)
        job.parameters = self.gathered
        job.packed = job.parameters + c.parameters
        job.results = <double*>checked(take_memory(rows * c.outputs + rows // sizeof(double) + 1))
        self.outcome = job.results
        job.odd = <unsigned char*>(job.results + rows * c.outputs)
        memset(job.odd, 0, rows)
        if <Py_ssize_t>job.blocks * job.wide * c.slots <= KEPT_SLOTS or rows == 1:
            job.values = take_memory(<size_t>job.blocks * job.wide * c.slots)
        job.seeds, job.look = NULL, look_for_signals
        take_workers(job)
        with nogil:
            done = do_job(job)
        give_workers(job)
        if not done:
            raise MemoryError
        return -1 if job.stop else 0    # with the exception that look_for_signals has set

    def odd(self):
        """The rows in which the function, run as it is written, may raise an error."""
        cdef Py_ssize_t i
        if memchr(self.job.odd, 1, self.rows) == NULL:
            return ()
        return [i for i in range(self.rows) if self.job.odd[i]]

    def leaves(self, Py_ssize_t row):
        """The numbers and Values that were given for a row."""
        cdef Py_ssize_t count = self.program.code.inputs, i
        if not 0 <= row < self.rows:
            raise IndexError(row)
        leaves = ([None] * count if self.given is None
                  else self.given[row * count:(row + 1) * count])
        for i in range(count):
            if leaves[i] is None:
                leaves[i] = self.job.inputs[row * count + i]
        return leaves

    def numbers(self, Py_ssize_t row):
        """The results for a row."""
        cdef int count = self.program.code.outputs, i
        if not 0 <= row < self.rows:
            raise IndexError(row)
        return [self.job.results[row * count + i] for i in range(count)]

    @property
    def weight(self):
        """The factor of each row in the one result of all; None where each row has results."""
        return self.factor or None

    def gradients(self, list seeds):
        """The gradients of the inputs of one row, from those of its results."""
        cdef bytearray given = bytearray(len(seeds) * sizeof(double))
        cdef Py_ssize_t i
        if self.rows != 1 or len(seeds) != self.program.code.outputs:
            raise ValueError(f"one row of {self.program.code.outputs} results is not "
                             f"{self.rows} of {len(seeds)}")
        for i, g in enumerate(tuple(seeds)):        # a number's __float__ may change the list
            (<double*>PyByteArray_AS_STRING(given))[i] = g
        return self.gradients_of_rows(given)[0]

    def jacobian(self, int threads, bint finite=False):
        """The derivatives of each result of one row by each input, in forward mode or by gradients
        of the results: the one that takes fewer passes, a lane for each. None if `finite` and one
        of them is not."""
        cdef Code* c = &self.program.code
        cdef Py_ssize_t count = c.outputs, i
        cdef bytearray seeds, kinds
        cdef _Run run
        if self.rows != 1:
            raise ValueError(f"a jacobian is of one row, not of {self.rows}")
        if c.inputs <= c.outputs and self.job.values != NULL:
            found = self.jacobian_by_directions()
            if found is not None:
                return found
        seeds, kinds = (bytearray(count * count * sizeof(double)),
                        bytearray(b"\xff") * (count * count))
        for i in range(count):
            (<double*>PyByteArray_AS_STRING(seeds))[i * count + i] = 1
            kinds[i * count + i] = REAL
        run = self.program.forward(self.given_numbers * count, count, threads)
        found = run.gradients_of_rows(seeds)
        if all([isfinite(x) for row in found for x in row]):
            return found
        # One by one: the other results' gradient of 0 times an infinite slope would be nan.
        return None if finite else run.gradients_of_rows(seeds, kinds)

    cdef list jacobian_by_directions(self):
        cdef Code* c = &self.program.code
        cdef bytearray found = bytearray(<Py_ssize_t>c.outputs * c.inputs * sizeof(double))
        cdef double* x = <double*>PyByteArray_AS_STRING(found)
        cdef Py_ssize_t i, k
        cdef int odd = take_jacobian(c, &replays[arithmetic - arithmetics][1], self.job.packed,
                                     self.job.values, x)
        if odd < 0:
            raise MemoryError
        for i in range(<Py_ssize_t>c.outputs * c.inputs):
            odd |= not isfinite(x[i])   # perhaps 0 times infinity
        if odd:
            return None                 # a number is infinite or nan: sweep the gradients
        return [[x[k * c.inputs + i] for i in range(c.inputs)] for k in range(c.outputs)]

    cdef list gradients_of_rows(self, bytearray seeds, bytearray kinds=None):
        cdef Code* c = &self.program.code
        cdef Swept found
        cdef Py_ssize_t row, i
        cdef bytearray parameters = bytearray((c.parameters + c.packed) * sizeof(double))
        cdef bytearray inputs = bytearray(self.rows * c.inputs * sizeof(double))
        found.raises = False
        found.parameters = <double*>PyByteArray_AS_STRING(parameters)
        found.inputs = <double*>PyByteArray_AS_STRING(inputs)
        if not sweep_rows(self, <double*>PyByteArray_AS_STRING(seeds),
                          NULL if kinds is None else <Kind*>PyByteArray_AS_STRING(kinds), &found):
            raise MemoryError
        raise_if_stopped(self)
        if found.raises:
            raise_error_of_sweep(self, range(self.rows), marked_outputs(c, 0, c.outputs))
        return [[found.inputs[row * c.inputs + i] for i in range(c.inputs)]
                for row in range(self.rows)]

    def results(self, how):
        """The results for all rows, as Values; or one, their "sum" or "mean"."""
        cdef Py_ssize_t count = self.rows * self.program.code.outputs, i
        cdef double total = 0
        cdef list values
        if self.gave_results or (how != "map" and self.program.code.outputs != 1):
            raise ValueError("a run gives its results once; "
                             "their sum or mean where there is one for each row")
        self.factor = {"map": 0.0, "sum": 1.0, "mean": 1.0 / self.rows}[how]
        self.gave_results = True
        if self.factor:
            for i in range(self.rows):
                total += self.job.results[i * self.program.code.outputs]
            total *= self.factor
            count = 1
        self.release_dead_leaves()
        if self.given is not None and not self.factor:
            return results_by_row(self)
        values = [None] * count
        new_replay(self, -1, values, &total if self.factor else self.job.results)
        return values

    cdef int release_dead_leaves(self) except -1:
        """Release the Values given that no result was computed from."""
        cdef list given = self.given
        cdef Py_ssize_t i
        self.given = None
        for i in range(0 if given is None else len(given)):
            if not self.program.live[i % self.program.code.inputs]:
                given[i] = None
            elif given[i] is not None:
                self.given = given
        return 0

# Only forward makes one.
(<PyTypeObject*>_Run).tp_new = (<PyTypeObject*>_Run).tp_vectorcall = NULL
del _Run.__new__
PyType_Modified(<PyTypeObject*>_Run)

cdef double float_of(value) except? -1:
    """A Value's number as a float; TypeError if it is of another kind."""
    cdef Number n = data_of_node(node_of(<PyObject*>value))
    if n.kind != OBJECT and n.kind != FLOAT32:
        return n.x
    from micrograd.recording import number_in
    return number_in(data_of(value))

cdef inline double number_of_parameter(_Program program, PyObject* value) except? -1:
    cdef Number n = data_of_node(node_of(value))
    if value.ob_type == value_type and n.kind != OBJECT and n.kind != FLOAT32:
        return n.x
    if value.ob_type != value_type and has_own_access(<object>value):
        program.refuse("override")
    return float_of(<object>value)

cdef void divide(Job* job, Py_ssize_t rows, int wide) noexcept:
    """Divide the rows into blocks, of one or of eight rows, and these into tiles."""
    job.rows, job.wide = rows, wide
    job.replay = &replays[arithmetic - arithmetics][wide > 1]
    job.blocks = (rows + job.wide - 1) // job.wide
    job.tiles = max(<Py_ssize_t>1, min(<Py_ssize_t>TILES, job.blocks // 8))

cdef int look_for_signals() noexcept with gil:
    return check_signals() != 0
