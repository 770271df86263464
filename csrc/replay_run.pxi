# Runs of a program: the numbers that go in and come out. The Values that a run gives are in
# replay_call.pxi.

cdef enum:
    KEPT_SLOTS = 1 << 22                # numbers of one run that are kept for its sweep
    TILES = 16                          # of a job, at most; see replay.h

@cython.no_gc_clear             # the collector breaks cycles at the Values
cdef class _Run:
    """The arguments and the results of a program for some rows."""
    cdef readonly _Program program
    cdef Job job
    cdef readonly Py_ssize_t rows
    cdef int threads
    cdef tuple given                    # of each leaf: the Value, or None; None if all are numbers.
                                        # (The collector does not empty a tuple)
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
        cdef bint any_value = False
        for i, leaf in enumerate(leaves or ()):
            any_value |= is_value(leaf)
            x[i] = self.number_of_leaf(leaf)
        if any_value:
            self.given = tuple([leaf if is_value(leaf) else None for leaf in leaves])
        return 0

    cdef double number_of_leaf(self, leaf) except? -1:
        if not is_value(leaf):
            return <double?>leaf
        if has_own_access(leaf):
            self.program.refuse("override")
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
                  else list(self.given[row * count:(row + 1) * count]))
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
        cdef Py_ssize_t inputs = self.program.code.inputs, i
        cdef const char* live = PyByteArray_AS_STRING(self.program.live)
        if self.given is None or memchr(live, 0, inputs) == NULL:
            return 0
        given = tuple([leaf if live[i % inputs] else None for i, leaf in enumerate(self.given)])
        self.given = given if any([leaf is not None for leaf in given]) else None
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
