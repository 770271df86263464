# The steps of a program one operation at a time, as the reference lists them: for micrograd.pytorch
# and micrograd.gradients.

cdef class _Listing:
    """Makes the list of the steps, with layers and sums taken apart."""
    cdef _Program program
    cdef list steps
    cdef dict place_of_slot, place_of_parameter, place_of_number

    def __cinit__(self, _Program program not None):
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

    cdef tuple result(self):
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
            symbol = "detach" if s.op == DETACH else "sign"
            self.place_of_slot[s.y] = self.add(symbol, self.place_of_slot[s.a])
        elif s.op == PICK:
            choices = [self.parameter(-1 - places[i]) if places[i] < 0
                       else self.place_of_slot[places[i]]
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
            y = self.add_term(y, self.place_of_slot[terms[1 + 2 * i]],
                              self.place_of_slot[terms[2 + 2 * i]])
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
