# The backward pass of a run: its rows swept at once, or one by one where their gradients differ.

cdef struct Swept:                      # the gradients that a sweep computes
    double* parameters                  # of each parameter, and after these of each packed place
    double* inputs                      # of each input of each row; NULL where no Value was given
    bint raises                         # the sweep of the function's own nodes would raise an error

cdef Py_ssize_t row_to_sweep(Call* call) noexcept:
    """The row whose outputs have gradients, in a call of several rows; -1 if more rows have."""
    cdef _Run run = run_of(call)
    cdef Py_ssize_t outputs = run.program.code.outputs
    if (<ReplayCall*>call).row < 0 and run.rows > 1 and not run.factor and (
            call.first // outputs == call.last // outputs):
        return call.first // outputs
    return (<ReplayCall*>call).row

cdef bint sweep_replay(Call* call) noexcept:
    """Add to the operands' gradients; False, and nothing changed, where that needs Python."""
    cdef _Run run = run_of(call)
    cdef Code* c = &run.program.code
    cdef Py_ssize_t row = row_to_sweep(call), i
    cdef Py_ssize_t rows = run.rows if row < 0 else 1
    cdef Py_ssize_t outputs = rows * c.outputs, inputs = leaf_count(call)
    cdef Py_ssize_t first = (max(<Py_ssize_t>0, row) - first_row(call)) * c.outputs
    cdef Swept found
    cdef Py_ssize_t size = outputs + c.parameters + c.packed + inputs
    cdef double* seeds = take_memory(size)
    cdef bint fine = seeds != NULL
    found.parameters = seeds + outputs
    found.inputs = found.parameters + c.parameters + c.packed if inputs else NULL
    found.raises = False
    if fine:
        memset(seeds, 0, size * sizeof(double))
        for i in range(outputs):
            seeds[i] = call.grad[0] * run.factor if run.factor else call.grad[first + i]
        if row >= 0:
            fine = sweep_row(run, &run.job, row, seeds, call.grad_kind + first, &found)
        else:
            fine = sweep_rows(run, seeds, NULL if run.factor else call.grad_kind, &found)
        fine = fine and not found.raises
    if fine and not run.job.stop:
        add_to_parameters(run.program, found.parameters, found.parameters + c.parameters)
        for i in range(inputs):
            if given_to(call, i) != NULL:
                add_float(node_of(given_to(call, i)), found.inputs[i])
    run.job.stop = 0
    give_memory(seeds)
    if fine:
        clear_gradients(call)
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
        grads[c.packed_from[program.loose_places.items[i]]] += (
            packed_grads[program.loose_places.items[i]])
    for i in range(program.loose.count):
        add_float(node_of(values[program.loose.items[i]]), grads[program.loose.items[i]])
    i = 0
    for p, end in program.holders:
        while i < <Py_ssize_t>end:
            add_to_place(&(<Parameters>p).m, program.place.items[i], grads[program.held.items[i]])
            i += 1
    for p, place in program.matrices:
        add_to_matrix(&(<Parameters>p).m, packed_grads + <Py_ssize_t>place)

cdef void unpack_grads(Code* c, double* grads, const double* packed_grads) noexcept:
    cdef Py_ssize_t i
    for i in range(c.packed):
        if c.packed_from[i] >= 0:
            grads[c.packed_from[i]] += packed_grads[i]

cdef inline void add_float(Node* to, double more) noexcept:
    set_grad_of_node(to, plus(grad_of_node(to), Number(more, REAL)))

cdef bint sweep_rows(_Run run, const double* seeds, const Kind* kinds, Swept* found) noexcept:
    """Sweep at once the rows in which the same outputs have a gradient, and one by one those in
    which others have. A row with none is not swept: 0 times an infinite derivative would be nan."""
    cdef int count = run.program.code.outputs
    cdef const Kind* pattern = pattern_of_rows(kinds, run.rows, count)
    cdef Py_ssize_t alike = 0, row
    cdef Swept of_row = found[0]
    for row in range(run.rows if kinds != NULL else 0):
        if same_outputs(kinds + row * count, pattern, count):
            alike += 1
        elif gradients_in(kinds + row * count, count):
            of_row.inputs = (NULL if found.inputs == NULL
                             else found.inputs + row * run.program.code.inputs)
            if not sweep_row(run, &run.job, row, seeds + row * count, kinds + row * count, &of_row):
                return False
            found.raises |= of_row.raises
    if kinds == NULL or alike == run.rows:
        return sweep_alike(run, &run.job, seeds, pattern, found)
    return alike == 0 or sweep_some(run, seeds, kinds, pattern, alike, found)

cdef const Kind* pattern_of_rows(const Kind* kinds, Py_ssize_t rows, int count) noexcept:
    """The kinds of a row in which the same outputs have a gradient as in most rows, if most of
    those with any are alike; NULL where there is none. By votes, of which unlike rows cancel each
    other's (Boyer and Moore)."""
    cdef const Kind* pattern = NULL
    cdef Py_ssize_t row, votes = 0
    for row in range(rows if kinds != NULL else 0):
        if gradients_in(kinds + row * count, count):
            if votes == 0:
                pattern = kinds + row * count
            votes += 1 if same_outputs(kinds + row * count, pattern, count) else -1
    return pattern

cdef inline bint same_outputs(const Kind* kinds, const Kind* pattern, int count) noexcept:
    """Whether the same outputs have a gradient in a row as in another."""
    cdef int k
    for k in range(count if pattern != NULL else 0):
        if (kinds[k] != NO_GRADIENT) != (pattern[k] != NO_GRADIENT):
            return False
    return pattern != NULL

cdef bint sweep_alike(_Run run, const Job* job, const double* seeds, const Kind* kinds,
                      Swept* found) noexcept:
    """Sweep the rows of a job from the outputs that have one of these kinds, in each row; from all
    outputs, if kinds is NULL."""
    cdef Code* c = &run.program.code
    cdef unsigned char* live
    cdef bint partly, fine
    if kinds == NULL or gradients_in(kinds, c.outputs) == c.outputs:
        live = <unsigned char*>PyByteArray_AS_STRING(run.program.live)
        return sweep_job(run, job, seeds, NULL, live, run.program.partly, found)
    live = <unsigned char*>PyMem_Calloc(c.slots, 1)
    if live == NULL:
        return False
    mark_outputs(c, kinds, live)
    partly = mark_live(c, NULL, live)
    fine = sweep_job(run, job, seeds, kinds, live, partly or run.program.picks, found)
    PyMem_Free(live)
    return fine

cdef void mark_outputs(Code* c, const Kind* kinds, unsigned char* live) noexcept:
    """Mark the slots of the outputs that have a gradient; of all, if kinds is NULL."""
    cdef int k
    for k in range(c.outputs):
        live[c.output[k]] |= kinds == NULL or kinds[k] != NO_GRADIENT

cdef bint sweep_job(_Run run, const Job* given, const double* seeds, const Kind* kinds,
                    unsigned char* live, bint partly, Swept* found) noexcept:
    """Sweep the rows of a job along the steps that are marked in `live`. partly: some neurons of
    a layer, or choices of a pick, may have no gradient in a row. If a gradient is infinite or nan
    then, the rows are swept one by one."""
    cdef Job job = given[0]
    cdef Code* c = &run.program.code
    cdef Py_ssize_t size = c.packed + c.apart, t
    cdef bint fine, by_rows, in_narrow_blocks
    job.seeds, job.look, job.live = seeds, look_in_sweep, live
    job.input_grads = found.inputs
    job.grads = take_memory(<size_t>job.tiles * size)
    job.odd = <unsigned char*>PyMem_Calloc(job.rows, 1)
    take_workers(&job)
    fine = job.grads != NULL and job.odd != NULL and do_job(&job)
    give_workers(&job)
    for t in range(1, job.tiles if fine else 0):
        add_numbers_to(job.grads, job.grads + t * size, size)
    # What a pick has not taken, and a neuron that leads to no output, has a gradient of 0 here, and
    # so have surplus rows in the last block: its product with an infinite slope is nan.
    by_rows = fine and partly and sweep_is_odd(&job)
    in_narrow_blocks = (fine and not by_rows and job.rows % job.wide != 0
                        and not all_finite(job.grads, size))
    if fine and not by_rows and not in_narrow_blocks:
        add_numbers_to(found.parameters + c.parameters, job.grads, c.packed)
        add_numbers_to(found.parameters, job.grads + c.packed, c.apart)
        found.raises = found.raises or memchr(job.odd, 1, job.rows) != NULL
        run.job.stop |= job.stop
    give_memory(job.grads)
    PyMem_Free(job.odd)
    if by_rows:
        return sweep_each(run, given, seeds, kinds, found)
    if in_narrow_blocks:
        job = given[0]
        divide(&job, job.rows, 1)
        job.values = NULL
        return sweep_job(run, &job, seeds, kinds, live, partly, found)
    return fine

cdef bint sweep_is_odd(const Job* job) noexcept:
    """Whether a gradient is infinite or nan, or Python may raise an error."""
    return (memchr(job.odd, 1, job.rows) != NULL
            or not all_finite(job.grads, job.code.packed + job.code.apart)
            or (job.input_grads != NULL
                and not all_finite(job.input_grads, job.rows * job.code.inputs)))

cdef bint sweep_each(_Run run, const Job* job, const double* seeds, const Kind* kinds,
                     Swept* found) noexcept:
    """Sweep the rows of a job one by one, each from the outputs that have one of these kinds."""
    cdef Code* c = &run.program.code
    cdef Swept of_row = found[0]
    cdef Py_ssize_t row
    for row in range(job.rows):
        of_row.inputs = NULL if found.inputs == NULL else found.inputs + row * c.inputs
        if not sweep_row(run, job, row, seeds + row * c.outputs, kinds, &of_row):
            return False
    found.raises = of_row.raises
    return True

cdef inline void add_numbers_to(double* to, const double* more, Py_ssize_t count) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        to[i] += more[i]

cdef int look_in_sweep() noexcept:
    """Whether Ctrl-C was pressed and will raise KeyboardInterrupt, in look_for_interrupt."""
    if not PyOS_InterruptOccurred():
        return False
    interrupt_again()
    return interrupt_raises()

cdef bint sweep_row(_Run run, const Job* rows, Py_ssize_t row, const double* seeds,
                    const Kind* kinds, Swept* found) noexcept:
    """Sweep one row of a job from some of its outputs only (all, if kinds is NULL), along the steps
    that lead to them in this row; it finds the gradients of its own inputs."""
    cdef Code* c = &run.program.code
    cdef unsigned char* live = <unsigned char*>PyMem_Calloc(c.slots, 1)
    cdef double* v = take_memory(c.slots + c.scratch)
    cdef Job job = rows[0]
    cdef bint fine = live != NULL and v != NULL
    if fine:
        mark_outputs(c, kinds, live)
        take_row(rows, row, &job, v)
        mark_live(c, v, live)
        job.values = v
        fine = sweep_job(run, &job, seeds, kinds, live, False, found)
    PyMem_Free(live)
    give_memory(v)
    return fine

cdef void take_row(const Job* rows, Py_ssize_t row, Job* job, double* v) noexcept:
    """Reduce a copy of the job `rows` to one row, whose slots v becomes; v has room for scratch
    memory after them."""
    cdef Py_ssize_t slots = rows.code.slots, wide = rows.wide, k
    cdef const double* kept = rows.values
    cdef unsigned char odd[8]
    divide(job, 1, 1)
    job.inputs += row * rows.code.inputs
    job.values = NULL
    if kept == NULL:
        job.odd = odd
        forward_block(job, 0, v, v + slots)
    else:
        kept += row // wide * wide * slots + row % wide
        for k in range(slots):
            v[k] = kept[k * wide]

cdef bint sweep_some(_Run run, const double* seeds, const Kind* kinds, const Kind* pattern,
                     Py_ssize_t alike, Swept* found) noexcept:
    """Sweep the rows in which the outputs of the pattern have a gradient, and no others, as a job
    of their own."""
    cdef Code* c = &run.program.code
    cdef Py_ssize_t row, i = 0
    cdef Job job = run.job
    cdef Swept part = found[0]
    cdef double* inputs = <double*>PyMem_Calloc(
        alike * (2 * c.inputs + c.outputs) + 1, sizeof(double))
    cdef double* own_seeds = inputs + alike * c.inputs
    cdef bint fine = inputs != NULL
    part.inputs = own_seeds + alike * c.outputs
    for row in range(run.rows if fine else 0):
        if same_outputs(kinds + row * c.outputs, pattern, c.outputs):
            memcpy(inputs + i * c.inputs, run.job.inputs + row * c.inputs,
                   c.inputs * sizeof(double))
            memcpy(own_seeds + i * c.outputs, seeds + row * c.outputs, c.outputs * sizeof(double))
            i += 1
    if fine:
        divide(&job, alike, 8)
        job.inputs, job.values = inputs, NULL
        fine = sweep_alike(run, &job, own_seeds, pattern, &part)
        found.raises = part.raises
    i = 0
    for row in range(run.rows if fine and found.inputs != NULL else 0):
        if same_outputs(kinds + row * c.outputs, pattern, c.outputs):
            memcpy(found.inputs + row * c.inputs, part.inputs + i * c.inputs,
                   c.inputs * sizeof(double))
            i += 1
    PyMem_Free(inputs)
    return fine

cdef inline int gradients_in(const Kind* kinds, int count) noexcept:
    """How many of `count` outputs have a gradient."""
    cdef int k, seeded = 0
    for k in range(count):
        seeded += kinds[k] != NO_GRADIENT
    return seeded
