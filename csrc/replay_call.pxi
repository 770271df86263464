# The Values that a run of a recording gives: outputs of a call, whose operands are the parameters
# and the Values among the arguments.

cdef struct ReplayCall:
    Call call
    Py_ssize_t row                      # whose results the outputs are; -1: all rows', or their sum
    PyObject* run                       # an owned reference
    # Where outputs may have operands of their own, of the sort that is under way:
    bint by_inputs, by_parameters       # whether one given, or a parameter, is no leaf
    PyObject* sources                   # of each output: two bytearrays, which mark the parameters
                                        # and the leaves that it was computed from; None if that
                                        # makes no difference. `wanted` marks such leaves too

cdef inline _Run run_of(Call* call):
    return <_Run>(<ReplayCall*>call).run

cdef inline Py_ssize_t leaves_of(_Run run, Py_ssize_t row) noexcept:
    """How many leaves a call for this row has, or for all: those among which Values were given."""
    return 0 if run.given is None else run.program.code.inputs * (run.rows if row < 0 else 1)

cdef inline Py_ssize_t leaf_count(Call* call) noexcept:
    return leaves_of(run_of(call), (<ReplayCall*>call).row)

cdef PyObject* given_to(Call* call, Py_ssize_t i) noexcept:
    """The Value that was given for leaf i of the call; NULL for a number."""
    cdef _Run run = run_of(call)
    cdef PyObject* leaf
    i += first_row(call) * run.program.code.inputs
    if run.given is None:
        return NULL
    leaf = PySequence_Fast_ITEMS(<PyObject*>run.given)[i]
    return NULL if leaf == <PyObject*>None else leaf

# A sweep must visit the nodes that an output was computed from, and no others, which may hold
# gradients of an earlier sweep, and would pass them on again. So each row to which Values were
# given has a call of its own; and where an operand is no leaf, each output has its own operands.
# (A leaf has nothing to sweep, and makes no difference.)

cdef list results_by_row(_Run run):
    """The results of all rows."""
    cdef Py_ssize_t outputs = run.program.code.outputs, row
    cdef list values = [], of_row
    for row in range(run.rows):
        of_row = [None] * outputs
        new_replay(run, row, of_row, run.job.results + row * outputs)
        values += of_row
    return values

cdef int find_sources(Call* call) except -1:
    """Find out what each output was computed from, if that makes a difference to a sort."""
    cdef ReplayCall* c = <ReplayCall*>call
    cdef _Program program = run_of(call).program
    cdef tuple sources = None
    c.by_parameters = program.has_result(program.used)
    c.by_inputs = is_given_result(call)
    if c.by_inputs or c.by_parameters:
        if program.picks_results or program.has_result(program.picked):
            sources = tuple([source_in_rows(call, j) for j in range(call.nout)])
        else:
            sources = program.sources_of_outputs(c.by_inputs, c.by_parameters)
    set_reference(&c.sources, sources)
    return 0

cdef bint is_given_result(Call* call) noexcept:
    """Whether a Value that was given is no leaf."""
    cdef PyObject* leaf
    cdef Py_ssize_t i
    for i in range(leaf_count(call)):
        leaf = given_to(call, i)
        if leaf != NULL and node_of(leaf).op != LEAF:
            return True
    return False

cdef tuple source_in_rows(Call* call, int j):
    """The parameters, and the leaves, that output j was computed from, marked in bytearrays."""
    cdef _Run run = run_of(call)
    cdef Py_ssize_t row = (<ReplayCall*>call).row, outputs = run.program.code.outputs
    row = row if row >= 0 else j // outputs
    rows = range(run.rows) if run.factor else range(row, row + 1)
    return what_is_used(run, rows, marked_outputs(&run.program.code, j % outputs, 1))

cdef int new_replay(_Run run, Py_ssize_t row, list values, const double* numbers) except -1:
    """Fill the list with the outputs of a new call."""
    cdef Code* code = &run.program.code
    cdef Py_ssize_t count = len(values), j
    cdef bint marks = code.outputs > 1 or run.program.picks
    cdef Py_ssize_t wanted = count + leaves_of(run, row) if marks else 0
    cdef void* memory = checked(PyMem_Malloc(
        sizeof(GCHead) + sizeof(ReplayCall) + wanted
        + count * (sizeof(void*) + sizeof(double) + sizeof(Kind))))
    cdef ReplayCall* c = <ReplayCall*>(<char*>memory + sizeof(GCHead))
    c.row, c.run, c.sources = row, <PyObject*>run, NULL
    set_reference(&c.sources, None)
    Py_INCREF(c.run)
    c.call.work = (run.rows if row < 0 else 1) * (code.slots + code.packed)
    c.call.nout = count
    c.call.outputs = <Node**>(c + 1)
    c.call.grad = <double*>(c.call.outputs + count)
    c.call.grad_kind = <Kind*>(c.call.grad + count)
    c.call.wanted = c.call.grad_kind + count if wanted else NULL
    c.call.wanted_size = wanted
    memset(c.call.outputs, 0, count * sizeof(void*))
    begin_call(&c.call, &replay_kind)
    try:
        for j in range(count):
            values[j] = new_output(&c.call, j, Number(numbers[j], REAL))
    finally:
        Py_DECREF(&c.call.body.head)
    return 0

cdef void release_replay(Call* call, PyObject** dead) noexcept:
    cdef PyObject* run = (<ReplayCall*>call).run
    cdef PyObject* sources = (<ReplayCall*>call).sources
    PyMem_Free(<char*>call - sizeof(GCHead))
    Py_DECREF(run)
    Py_DECREF(sources)

cdef int traverse_replay(Call* call, visitproc visit, void* arg) noexcept:
    return visit((<ReplayCall*>call).run, arg)

cdef object name_of_replay(Call* call, int j):
    return run_of(call).program.name

cdef object operands_of_replay(Call* call, int j):
    cdef Py_ssize_t i
    parameters, leaves = source_in_rows(call, j)
    # The list first: hashing what is of a subclass may run Python code, which may make the call
    # plain.
    cdef list found = [value for value, is_used in zip(run_of(call).program.parameters, parameters)
                       if is_used]
    for i in range(leaf_count(call)):
        if leaves[i] and given_to(call, i) != NULL:
            found.append(<object>given_to(call, i))
    return set(found)

cdef inline Py_ssize_t first_row(Call* call) noexcept:
    return max(<Py_ssize_t>0, (<ReplayCall*>call).row)

cdef Py_ssize_t place_of_result(Node* out):
    """The place of an output among all results of its run."""
    cdef Call* call = call_of(out)
    return out.index + first_row(call) * run_of(call).program.code.outputs

cdef int visit_replay(Call* call, Sweep* s) except -1:
    cdef ReplayCall* c = <ReplayCall*>call
    cdef _Program program = run_of(call).program
    cdef bint visits_all = c.sources == <PyObject*>None
    cdef PyObject* leaf
    cdef Py_ssize_t i
    cdef int j
    for i in range(leaf_count(call)):
        leaf = given_to(call, i)
        if leaf != NULL and (visits_all or call.wanted[call.nout + i]):
            visit_later(s, node_of(leaf))
    if visits_all or not c.by_parameters:
        return visit_parameters(program, program.used, s)
    for j in range(call.nout):
        if call.wanted[j]:
            visit_parameters(program, source_of(call, j)[0], s)
    return 0

cdef int visit_replay_output(Call* call, int j, bint is_first, Sweep* s) except -1:
    cdef ReplayCall* c = <ReplayCall*>call
    cdef bytearray used, leaves
    if is_first:
        find_sources(call)
    if c.sources == <PyObject*>None:
        return visit_replay(call, s) if is_first and (c.by_inputs or c.by_parameters) else 0
    used, leaves = source_of(call, j)
    if c.by_inputs:
        visit_leaves(call, leaves, s)
    return visit_parameters(run_of(call).program, used, s) if c.by_parameters else 0

cdef int visit_leaves(Call* call, bytearray leaves, Sweep* s) except -1:
    """Note and visit the leaves that are marked and were not noted before."""
    cdef unsigned char* seen = call.wanted + call.nout
    cdef const char* marks = PyByteArray_AS_STRING(leaves)
    cdef PyObject* leaf
    cdef Py_ssize_t i
    for i in range(leaf_count(call)):
        if marks[i] > seen[i]:
            seen[i] = True
            leaf = given_to(call, i)
            if leaf != NULL:
                visit_later(s, node_of(leaf))
    return 0

cdef inline tuple source_of(Call* call, int j):
    cdef tuple sources = <tuple>(<ReplayCall*>call).sources
    return sources[j % <Py_ssize_t>len(sources)]

cdef int visit_parameters(_Program program, bytearray used, Sweep* s) except -1:
    cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>program.parameters)
    cdef Ints* places = program.swept_alone()
    cdef int i
    for i in range(places.count):
        if used[places.items[i]]:
            visit_later(s, node_of(values[places.items[i]]))
    return 0

cdef bint replay_is_current(Call* call) noexcept:
    """Whether all operands have gradients that a number can be added to."""
    cdef _Run run = run_of(call)
    cdef PyObject** values = PySequence_Fast_ITEMS(<PyObject*>run.program.parameters)
    cdef Ints* places = run.program.swept_alone()
    cdef Py_ssize_t i
    for i in range(places.count):
        if takes_python(values[places.items[i]]):
            return False
    for i in range(leaf_count(call)):
        if given_to(call, i) != NULL and takes_python(given_to(call, i)):
            return False
    return access_as_shipped()

cdef inline bint takes_python(PyObject* operand) noexcept:
    return node_of(operand).grad_kind == OBJECT or (
        operand.ob_type != value_type and has_own_access(<object>operand))

cdef bint replay_accepts(Call* call, int j, Number g) noexcept:
    """Infinity and nan too: the plain nodes would multiply them by a local gradient of 0, which
    gives nan."""
    return g.kind != OBJECT and g.kind != FLOAT32


# When the graph is copied, `_backward` of an output is set or called, or a sweep needs Python, each
# output becomes the result of an operation with local gradients.

cdef int make_replay_plain(Call* call) except -1:
    cdef int j, count = call.nout
    cdef Node** outputs = call.outputs
    Py_INCREF(&call.body.head)          # the last output releases it
    try:
        for j in range(count):
            if outputs[j] != NULL:
                value = <object>value_of(outputs[j])    # held: a collection may drop it meanwhile
                pair = local_gradients(outputs[j])
                if outputs[j] != NULL:                  # ... or have it leave the call
                    become_local(outputs[j], pair)
    finally:
        Py_DECREF(&call.body.head)
    return 0

cdef _Locals local_gradients(Node* out):
    """The operands of an output, and the derivatives by them."""
    cdef Call* call = call_of(out)
    cdef _Run run = run_of(call)
    cdef Code* c = &run.program.code
    cdef Py_ssize_t j = place_of_result(out)
    cdef Py_ssize_t row = 0 if run.factor else j // c.outputs
    cdef Py_ssize_t rows = run.rows if run.factor else 1, i
    cdef Swept found
    cdef bytearray live = marked_outputs(c, j % c.outputs, 1)
    cdef bytearray seeds = bytearray(rows * c.outputs * sizeof(double))
    cdef bytearray kinds = bytearray(b"\xff") * c.outputs
    cdef bytearray by_parameter = bytearray((c.parameters + c.packed) * sizeof(double))
    cdef bytearray by_input = bytearray(rows * c.inputs * sizeof(double))
    cdef double* g = <double*>PyByteArray_AS_STRING(by_parameter)
    cdef double* seed = <double*>PyByteArray_AS_STRING(seeds)
    cdef bint fine
    found.parameters, found.inputs = g, <double*>PyByteArray_AS_STRING(by_input)
    found.raises = False
    if run.factor:
        for i in range(rows):
            seed[i] = run.factor
        fine = sweep_rows(run, seed, NULL, &found)
    else:
        seed[j % c.outputs], kinds[j % c.outputs] = 1, REAL
        fine = sweep_row(run, &run.job, row, seed, <Kind*>PyByteArray_AS_STRING(kinds), &found)
    if not fine:
        raise MemoryError
    raise_if_stopped(run)
    if found.raises:
        raise_error_of_sweep(run, range(row, row + rows), live)
    unpack_grads(c, g, g + c.parameters)
    parameters, inputs = what_is_used(run, range(row, row + rows), live)
    terms = [(value, g[i]) for i, value in enumerate(run.program.parameters) if parameters[i]]
    terms += [(<object>given_to(call, i), found.inputs[i]) for i in range(leaf_count(call))
              if inputs[i] and given_to(call, i) != NULL]
    cdef _Locals pair = _Locals([operand for operand, _ in terms], [slope for _, slope in terms])
    pair.run, pair.place, pair.name = run, j, run.program.name
    return pair

cdef tuple what_may_be_used(Code* c, bytearray outputs):
    """Of each parameter, and of each input of a row, whether an output that is marked was computed
    from it in any row."""
    cdef bytearray parameters = bytearray(c.parameters), live = outputs[:]
    mark_live(c, NULL, <unsigned char*>PyByteArray_AS_STRING(live))
    mark_parameters(c, NULL, live, parameters)
    return parameters, live[:c.inputs]

cdef tuple what_is_used(_Run run, rows, bytearray outputs):
    """Of each parameter, and of each input of these rows, whether an output that is marked was
    computed from it: a pick takes one of its choices."""
    cdef Code* c = &run.program.code
    cdef bytearray slots = bytearray((c.slots + c.scratch + 1) * sizeof(double)), live
    cdef bytearray parameters = bytearray(c.parameters), inputs = bytearray()
    cdef double* v = <double*>PyByteArray_AS_STRING(slots)
    if not run.program.picks:
        parameters, inputs = what_may_be_used(c, outputs)
        return parameters, inputs * len(rows)
    for row in rows:
        live = live_in_row(run, row, outputs, v)
        mark_parameters(c, v, live, parameters)
        inputs += live[:c.inputs]
    return parameters, inputs

cdef bytearray live_in_row(_Run run, Py_ssize_t row, bytearray outputs, double* v):
    """Of each slot, whether a marked output was computed from it in a row, whose slots become v."""
    cdef bytearray live = outputs[:]
    cdef Job job = run.job
    take_row(&run.job, row, &job, v)
    mark_live(&run.program.code, v, <unsigned char*>PyByteArray_AS_STRING(live))
    return live

cdef int mark_parameters(Code* c, const double* v, bytearray live, bytearray reached) except -1:
    """Mark the parameters that a slot marked in `live` was computed from, in the row of slots v, or
    in any row if that is NULL."""
    cdef Dense* layer
    cdef int* places
    cdef int at, i, j, k
    for k in range(c.singles):
        reached[c.single[k]] |= live[c.inputs + c.constants + k]
    for k in range(c.step_count):
        if live[c.steps[k].y] and c.steps[k].op == DENSE:
            layer = &c.layers[c.steps[k].a]
            for i in range((layer.nin + 1) * layer.nout):
                j = i % layer.nout
                at = c.packed_from[layer.weights + i // layer.nout * layer.width + j]
                if at >= 0 and live[c.steps[k].y + j] & 1:
                    reached[at] = 1
        elif live[c.steps[k].y] and c.steps[k].op == PICK:
            places = c.places + c.steps[k].b
            at = -1 if v == NULL else chosen(places, v[c.steps[k].a])
            for i in range(max(at, 1), (at if at > 0 else places[0]) + 1):
                if places[i] < 0:
                    reached[-1 - places[i]] = 1
    return 0

cdef int raise_if_stopped(_Run run) except -1:
    """Raise KeyboardInterrupt if Ctrl-C has stopped a sweep."""
    if run.job.stop:
        run.job.stop = 0
        raise_interrupt()
    return 0

cdef int raise_error_of_sweep(_Run run, rows, bytearray outputs) except -1:
    """Raise the error that Python raises in the derivative of a power, one of the steps that lead
    to the outputs that are marked. Runs no Python code: a sort may be under way."""
    cdef Code* c = &run.program.code
    cdef bytearray slots = bytearray((c.slots + c.scratch + 1) * sizeof(double)), live
    cdef double* v = <double*>PyByteArray_AS_STRING(slots)
    cdef double a, b
    cdef int i
    for row in rows:
        live = live_in_row(run, row, outputs, v)
        for i in range(c.step_count - 1, -1, -1):
            if not live[c.steps[i].y]:
                continue
            a, b = v[c.steps[i].a], v[c.steps[i].b]
            # A ** of Values has a slope of its own at 0; see slope_of_power.
            if c.steps[i].op == POW or (c.steps[i].op == POWER and a != 0 and b != 0):
                PyNumber_Power(a, b - 1, None)
    return 0

cdef Number result_of_replay(Call* call, int j) noexcept:
    return Number(0, REAL)              # any: local gradients do not depend on it

cdef CallKind replay_kind
replay_kind.visit, replay_kind.visit_output = visit_replay, visit_replay_output
replay_kind.sweep = sweep_replay
replay_kind.is_current, replay_kind.accepts = replay_is_current, replay_accepts
replay_kind.make_plain, replay_kind.result = make_replay_plain, result_of_replay
replay_kind.traverse, replay_kind.release = traverse_replay, release_replay
replay_kind.name, replay_kind.operands = name_of_replay, operands_of_replay
