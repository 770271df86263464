# What the parts below use of replay.h.

cdef extern from "replay.h" nogil:
    enum: DOT, DENSE, PICK, DETACH, SIGN_OF
    ctypedef struct Step:
        int op, y, a, b
    ctypedef struct Dense:
        int weights, xs, nin, nout, width
    ctypedef struct Code:
        int inputs, constants, singles, slots, parameters, packed, outputs
        int step_count, layer_count, scratch, apart
        Step* steps
        Dense* layers
        int* places
        double* constant
        int* single
        int* packed_from
        double* packed_number
        int* output
    ctypedef struct Replay:
        pass
    const Replay** replays          # for each arithmetic: for one row, and for eight
    ctypedef struct Job:
        const Code* code
        const Replay* replay
        int wide, threads, stop
        long rows, blocks, tiles
        const double* inputs
        const double* parameters
        const double* packed
        double* values
        double* results
        unsigned char* odd
        const double* seeds
        double* input_grads
        double* grads
        const unsigned char* live
        int (*look)() noexcept
    bint do_job(Job*)
    void take_workers(Job*)
    void give_workers(Job*)
    void drop_workers()
    bint fill_numbers(char format, const void* numbers, Py_ssize_t rows, Py_ssize_t width,
                      double* to, Py_ssize_t stride)
    int take_jacobian(const Code*, const Replay*, const double* packed, const double* values,
                      double* jacobian)
    double* take_memory(size_t doubles)
    void give_memory(double*)
    bint all_finite(const double* numbers, long count)
    bint mark_live(const Code*, const double* values, unsigned char* live)
    int chosen(const int* choices, double i)
    void forward_block(Job*, long block, double* values, double* scratch)
