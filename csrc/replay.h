/* A recording: what a function computes, as a list of steps over slots, and the passes through them
   for many rows. Nothing in this file knows of nodes; from Python it uses memory and threads.

   The slots of a row are
       inputs | constants | parameters that steps take one by one | results of steps.
   The parameters of layers are packed: they stand in matrices as in layer.h, one after the
   other. */
#ifndef MICROGRAD_REPLAY_H
#define MICROGRAD_REPLAY_H

#include "layer.h"

/* What a step can be besides an operation of ops.h. */
enum {
    DOT = OPERATION_END,    /* a sum of b products. From places[a] on: the slot that the sum begins
                               with, or -1, and two slots for each product */
    DENSE,                  /* layer a. The results of its neurons have slots side by side */
    PICK,                   /* a: the slot of an index. From places[b] on: a count, and that many
                               slots to choose from; -1 - p is parameter p */
    DETACH,                 /* y = a, without a gradient */
    SIGN_OF                 /* 1, 0 or -1, without a gradient */
};

/* Whether Python raises an error in the derivative of a power by its base: an infinite power of
   finite numbers. Where both are Values, that derivative is infinite or 0 at a base of 0. */
static inline int slope_raises(int op, double a, double b) {
    return (op == POW || (op == POWER && a && b)) && fabs(a) <= DBL_MAX && fabs(b) <= DBL_MAX
           && fabs(pow(a, b - 1)) > DBL_MAX;
}

typedef struct { int op, y, a, b; } Step;
typedef struct { double a, b; } Slopes;     /* the derivatives of a step by its operands */
typedef struct {
    int weights;                    /* where its matrix begins in the packed parameters */
    int xs;                         /* where the slots of its inputs begin in `places` */
    int nin, nout, width;
} Dense;

typedef struct {
    int inputs, constants, singles, slots, parameters, packed, outputs;
    int step_count, layer_count;
    int scratch;                    /* doubles of scratch memory that the layers need */
    int apart;                      /* how many gradients a sweep has besides those of the packed
                                       ones: `parameters` if a step takes one by itself, else 0 */
    Step *steps;
    Dense *layers;
    int *places;
    double *constant;
    int *single;                    /* the parameter in each slot for one */
    int *packed_from;               /* the parameter at each packed place, or -1 for a number */
    double *packed_number;
    int *output;                    /* the slot of each output */
} Code;

/* The place in `choices` of the number that the index i picks; -1 where there is none. */
static inline int chosen(const int *choices, double i) {
    int count = choices[0];
    if (!(i >= -count && i < count && (int)i == i)) return -1;
    return 1 + (int)i + (i < 0 ? count : 0);
}

/* Whether no number is infinite or nan: their products with 0 are nan. Eight sums hide their
   latency. */
static int all_finite(const double *numbers, long count) {
    double sums[8] = {0}, sum = 0;
    for (; count >= 8; count -= 8, numbers += 8)
        for (int k = 0; k < 8; k++) sums[k] += 0 * numbers[k];
    for (int k = 0; k < 8; k++) sum += sums[k];
    for (int k = 0; k < count; k++) sum += 0 * numbers[k];
    return sum == 0;
}

/* Whether all neurons of a layer get a gradient; see mark_live. */
static inline int all_live(const unsigned char *live, int nout) {
    unsigned char all = 1;
    for (int j = 0; j < nout; j++) all &= live[j];
    return all;
}

/* sums_backward along the live neurons alone. The others have a gradient of 0, whose product with
   an infinite number is nan. */
static void live_sums_backward(const Dense *l, const double *w, const double *x, const double *g,
                               double *dw, double *dx, const unsigned char *live) {
    memset(dx, 0, l->nin * sizeof(double));
    for (int j = 0; j < l->nout; j++, w++, dw++) {
        if (!(live[j] & 1)) continue;
        for (int i = 0; i < l->nin; i++) {
            dx[i] += w[(size_t)i * l->width] * g[j];
            dw[(size_t)i * l->width] += x[i] * g[j];
        }
        dw[(size_t)l->nin * l->width] += g[j];
    }
}

#define KERNEL(f) f##_baseline
#define TARGET
#if defined(__GNUC__)
#define WIDEST 2
#else
#define WIDEST 1
#endif
#include "lanes.h"

#if defined(WIDER_VECTORS)
#define KERNEL(f) f##_avx2
#define TARGET __attribute__((target("avx2")))
#define WIDEST 4
#include "lanes.h"

#define KERNEL(f) f##_avx512f
#define TARGET __attribute__((target("avx512f")))
#define WIDEST 8
#include "lanes.h"
#endif

/* The passes through the steps, for one row and for eight. */
typedef struct {
    void (*forward)(const Code *, const double *, const double *, double *, double *,
                    unsigned char *);
    void (*backward)(const Code *, const double *, const double *, double *, double *, double *,
                     double *, const unsigned char *, int, unsigned char *);
    void (*directions)(const Code *, const double *, const double *, const Slopes *, double *,
                       const double *);
} Replay;

#define ROW(name) {{forward_row_##name, backward_row_##name, NULL}, \
                   {forward_rows_##name, backward_rows_##name, directions_rows_##name}}
static const Replay replays[][2] = {
    ROW(baseline),
#if defined(WIDER_VECTORS)
    ROW(avx2), ROW(avx512f)
#endif
};
#undef ROW

/* A pass for the rows of one call. Rows form blocks of one or eight, and blocks form tiles. Each
   tile adds up its own gradients, and these are added in order, so that no bit depends on the
   number of threads. */
enum { MOST_THREADS = 64 };
typedef struct Job Job;
struct Job {
    const Code *code;
    const Replay *replay;
    int wide;                       /* rows in a block */
    long rows, blocks, tiles;
    int threads;
    const double *inputs;           /* rows x inputs */
    const double *parameters, *packed;
    double *values;                 /* the slots of all blocks; NULL: a sweep computes them again */
    double *results;                /* rows x outputs */
    unsigned char *odd;             /* of each row: whether Python may raise an error in it */
    const double *seeds;            /* of a sweep: gradients of results, rows x outputs; or NULL */
    double *input_grads;            /* rows x inputs, or NULL */
    double *grads;                  /* tiles x (packed parameters, then those taken one by one) */
    const unsigned char *live;      /* of each slot: whether an output's gradient reaches it */
    int (*look)(void);              /* the first thread calls it at times; says whether to stop */
    volatile int stop, failed;
    struct Worker *team[MOST_THREADS];      /* the worker of each part; the caller does part 0 */
};

/* Memory for the numbers of a run, kept for the next run: pages new to the process cost more than
   the run does. Needs the GIL. */
enum { SPARES = 8 };
static struct { double *memory; size_t size; } spares[SPARES];

static double *take_memory(size_t size) {
    for (int i = 0; i < SPARES; i++)
        if (spares[i].memory && spares[i].size >= size && spares[i].size / 4 <= size) {
            double *memory = spares[i].memory;
            spares[i].memory = NULL;
            return memory;
        }
    double *memory = size < (size_t)1 << 40 ? PyMem_RawMalloc((size + 1) * sizeof(double)) : NULL;
    if (!memory) return NULL;
    memory[0] = (double)size;           /* its size stands before it */
    return memory + 1;
}

static void give_memory(double *memory) {
    if (!memory) return;
    for (int i = 0; i < SPARES && memory[-1] <= 1 << 23; i++)
        if (!spares[i].memory) {
            spares[i].memory = memory;
            spares[i].size = (size_t)memory[-1];
            return;
        }
    PyMem_RawFree(memory - 1);
}

/* Convert an array of rows of `width` numbers, into rows that are `stride` apart. The format is a
   letter of Python's struct module; 0 for a letter that is not here. */
#define FROM(letter, type)                                                                      \
    case letter:                                                                                \
        for (Py_ssize_t row = 0; row < rows; row++)                                             \
            for (Py_ssize_t i = 0; i < width; i++)                                              \
                to[row * stride + i] = (double)((const type *)numbers)[row * width + i];        \
        return 1;
static int fill_numbers(char format, const void *numbers, Py_ssize_t rows, Py_ssize_t width,
                        double *to, Py_ssize_t stride) {
    switch (format) {
        FROM('d', double) FROM('f', float) FROM('?', unsigned char)
        FROM('b', signed char) FROM('h', short) FROM('i', int) FROM('l', long) FROM('q', long long)
        FROM('B', unsigned char) FROM('H', unsigned short) FROM('I', unsigned int)
        FROM('L', unsigned long) FROM('Q', unsigned long long)
        default: return 0;
    }
}
#undef FROM

/* How many of the rows of a block there are. */
static int rows_in(const Job *job, long block) {
    long left = job->rows - block * job->wide;
    return left < job->wide ? (int)left : job->wide;
}

static void load_block(const Job *job, long block, double *v) {
    const Code *c = job->code;
    for (int r = 0; r < job->wide; r++) {
        long row = block * job->wide + r;
        const double *x = job->inputs + (row < job->rows ? row : job->rows - 1) * c->inputs;
        for (int k = 0; k < c->inputs; k++) v[(size_t)k * job->wide + r] = x[k];
    }
}

/* The slots that are the same for all rows. */
static void load_constants(const Job *job, double *v) {
    const Code *c = job->code;
    v += (size_t)c->inputs * job->wide;
    for (int k = 0; k < c->constants; k++)
        for (int r = 0; r < job->wide; r++) *v++ = c->constant[k];
    for (int k = 0; k < c->singles; k++)
        for (int r = 0; r < job->wide; r++) *v++ = job->parameters[c->single[k]];
}

/* Mark with a 1 all slots that get a gradient from a marked one: in the row with the slots v, or in
   any row if that is NULL. The first neuron of a layer gets a 2 where any other is marked. Returns
   whether a layer has both marked neurons and others. */
static int mark_live(const Code *c, const double *v, unsigned char *live) {
    int partly = 0;
    for (const Step *s = c->steps + c->step_count - 1; s >= c->steps; s--) {
        const Dense *l = s->op == DENSE ? c->layers + s->a : NULL;
        for (int j = 1; l && j < l->nout; j++) live[s->y] |= live[s->y + j] << 1;
        if (!live[s->y] || s->op >= DETACH) continue;
        partly |= l && !all_live(live + s->y, l->nout);
        const int *places =
            c->places + (s->op == DOT ? s->a : s->op == PICK ? s->b + 1 : l ? l->xs : 0);
        int count = s->op == DOT ? 1 + 2 * s->b : s->op == PICK ? places[-1] : l ? l->nin : 0;
        int at = s->op == PICK && v ? chosen(places - 1, v[s->a]) : -1;
        if (at > 0) places += at - 1, count = 1;
        for (int i = 0; i < count; i++)
            if (places[i] >= 0) live[places[i]] = 1;
        if (s->op < DOT) live[s->a] = 1;
        if (s->op < DOT && gradients[s->op] == 2) live[s->b] = 1;
    }
    return partly;
}

static void forward_block(Job *job, long block, double *v, double *scratch) {
    unsigned char odd[8] = {0};
    load_block(job, block, v);
    load_constants(job, v);
    job->replay->forward(job->code, job->parameters, job->packed, v, scratch, odd);
    if (job->seeds) return;                 /* in a sweep, `odd` tells of derivatives */
    for (int r = 0, count = rows_in(job, block); r < count; r++)
        job->odd[block * job->wide + r] |= odd[r];
}

/* The derivatives of all steps of one row; 1 where a number is infinite or nan: its product with a
   direction of 0 would be nan, where the sweep has no such product, or an error. */
static int take_slopes(const Code *c, const double *v, Slopes *slopes) {
    int odd = 0;
    for (int k = 0; k < c->slots; k++) odd |= !(fabs(v[k]) <= DBL_MAX);
    for (const Step *s = c->steps, *end = s + c->step_count; s < end; s++, slopes++)
        if (s->op < DOT) {
            Pair p = derivatives(s->op, v[s->a], REAL, v[s->b], REAL, v[s->y], REAL, 1, REAL);
            slopes->a = p.a.x;
            slopes->b = p.b.x;
            odd |= !(fabs(p.a.x) <= DBL_MAX && fabs(p.b.x) <= DBL_MAX);
        }
    return odd;
}

/* The derivatives of the outputs of one row by its inputs, outputs x inputs: eight inputs at a
   time. 1 where the gradients must be swept instead, -1 where there is no memory. */
static int take_jacobian(const Code *c, const Replay *replay, const double *packed, const double *v,
                         double *jacobian) {
    double *t = PyMem_RawCalloc((size_t)c->slots * 8 + c->scratch + 1, sizeof(double));
    Slopes *slopes = PyMem_RawCalloc((size_t)c->step_count + 1, sizeof(Slopes));
    int odd = t && slopes ? take_slopes(c, v, slopes) : -1;
    for (int i = 0; odd == 0 && i < c->inputs; i += 8) {
        int count = c->inputs - i < 8 ? c->inputs - i : 8;
        for (int l = 0; l < count; l++) t[(size_t)(i + l) * 8 + l] = 1;
        replay->directions(c, packed, v, slopes, t, t + (size_t)c->slots * 8);
        for (int k = 0; k < c->outputs; k++)
            for (int l = 0; l < count; l++)
                jacobian[(size_t)k * c->inputs + i + l] = t[(size_t)c->output[k] * 8 + l];
        for (int l = 0; l < count; l++) t[(size_t)(i + l) * 8 + l] = 0;
    }
    PyMem_RawFree(t);
    PyMem_RawFree(slopes);
    return odd;
}

static void take_results(const Job *job, long block, const double *v) {
    const Code *c = job->code;
    long first = block * job->wide;
    for (int r = 0, count = rows_in(job, block); r < count; r++)
        for (int k = 0; k < c->outputs; k++) {
            double y = v[(size_t)c->output[k] * job->wide + r];
            job->results[(first + r) * c->outputs + k] = y;
            if (fabs(y) > DBL_MAX) job->odd[first + r] = 1;
        }
}

static void backward_block(Job *job, long block, const double *v, double *d, double *grads,
                           double *packed_grads, double *scratch) {
    const Code *c = job->code;
    unsigned char odd[8] = {0};
    const int count = rows_in(job, block);
    const long first = block * job->wide;
    size_t fixed = (size_t)(c->inputs + c->constants), kept = fixed + c->singles, w = job->wide;
    memset(d, 0, fixed * w * sizeof(double));
    memset(d + kept * w, 0, (c->slots - kept) * w * sizeof(double));
    for (int r = 0; r < count; r++)
        for (int k = 0; k < c->outputs; k++)
            d[(size_t)c->output[k] * w + r] += job->seeds[(first + r) * c->outputs + k];
    job->replay->backward(c, job->packed, v, d, grads, packed_grads, scratch, job->live,
                          job->input_grads ? 0 : (int)fixed, odd);
    for (int r = 0; r < count; r++) job->odd[first + r] |= odd[r];
    for (int r = 0; r < count && job->input_grads; r++)
        for (int k = 0; k < c->inputs; k++)
            job->input_grads[(first + r) * c->inputs + k] = d[(size_t)k * w + r];
}

/* Add the gradients in a tile's slots for single parameters. */
static void add_up(const Job *job, double *grads, const double *d) {
    const Code *c = job->code;
    d += (size_t)(c->inputs + c->constants) * job->wide;
    for (int k = 0; k < c->singles; k++)
        for (int r = 0; r < job->wide; r++) grads[c->single[k]] += *d++;
}

/* One thread's part: every threads-th tile, forward or, where there are seeds, backward. */
static void do_part(Job *job, int thread) {
    const Code *c = job->code;
    size_t slots = (size_t)c->slots * job->wide, work = 0;
    double *memory = PyMem_RawMalloc((2 * slots + c->scratch) * sizeof(double));
    if (!memory) {
        job->failed = 1;
        return;
    }
    double *v = memory, *d = memory + slots, *scratch = d + slots;
    for (long t = thread; t < job->tiles; t += job->threads) {
        double *grads = job->seeds ? job->grads + t * ((size_t)c->packed + c->apart) : NULL;
        if (job->seeds) {
            memset(d + (size_t)(c->inputs + c->constants) * job->wide, 0,
                   (size_t)c->singles * job->wide * sizeof(double));
            memset(grads, 0, ((size_t)c->packed + c->apart) * sizeof(double));
        }
        long end = job->blocks * (t + 1) / job->tiles;
        for (long b = job->blocks * t / job->tiles; b < end && !job->stop; b++) {
            double *values = job->values ? job->values + (size_t)b * slots : v;
            if (!job->seeds || !job->values) forward_block(job, b, values, scratch);
            if (!job->seeds) take_results(job, b, values);
            else backward_block(job, b, values, d, grads + c->packed, grads, scratch);
            work += slots + (size_t)c->packed * job->wide;
            if (thread == 0 && work >> 22) {
                work = 0;
                job->stop |= job->look();
            }
        }
        if (job->seeds) add_up(job, grads + c->packed, d);
    }
    PyMem_RawFree(memory);
}

/* Threads that wait for parts of jobs. They have no state of Python's, and end with the process. */
struct Worker {
    PyThread_type_lock go, done;
    Job *job;
    int thread, busy;
};
static struct Worker workers[MOST_THREADS];
static int worker_count = 0;

/* Acquire a lock that is soon released, as a rule: to sleep and be woken takes tens of
   microseconds. */
static void acquire_soon(PyThread_type_lock lock) {
    for (int i = 0; i < 4000; i++)
        if (PyThread_acquire_lock(lock, 0)) return;
    PyThread_acquire_lock(lock, 1);
}

static void work(void *argument) {
    struct Worker *w = argument;
    for (;;) {
        acquire_soon(w->go);
        do_part(w->job, w->thread);
        PyThread_release_lock(w->done);
    }
}

static struct Worker *new_worker(void) {
    struct Worker *w = &workers[worker_count];
    if (worker_count == MOST_THREADS) return NULL;
    w->go = PyThread_allocate_lock();
    w->done = PyThread_allocate_lock();
    if (!w->go || !w->done) return NULL;
    PyThread_acquire_lock(w->go, 1);
    PyThread_acquire_lock(w->done, 1);
    if (PyThread_start_new_thread(work, w) == (unsigned long)-1) return NULL;
    worker_count++;
    return w;
}

/* Take workers for all threads of the job but the first, which is the caller; NULL where there is
   none. Needs the GIL. */
static void take_workers(Job *job) {
    if (job->threads > MOST_THREADS) job->threads = MOST_THREADS;
    if (job->threads > job->tiles) job->threads = (int)job->tiles;
    for (int thread = 1, i = 0; thread < job->threads; thread++) {
        while (i < worker_count && workers[i].busy) i++;
        struct Worker *w = i < worker_count ? &workers[i] : new_worker();
        job->team[thread] = w;
        if (w) w->busy = 1;
    }
}

static void give_workers(Job *job) {
    for (int thread = 1; thread < job->threads; thread++)
        if (job->team[thread]) job->team[thread]->busy = 0;
}

/* In a process that was forked there are none. */
static volatile int forks = 0;
static void drop_workers(void) {
    forks++;
    memset(workers, 0, sizeof(workers));
    worker_count = 0;
}

/* Do the job; 0 if there was no memory for it. Needs no GIL; `look` may take it. */
static int do_job(Job *job) {
    const int before = forks;       /* `look` may fork */
    for (int thread = 1; thread < job->threads; thread++) {
        struct Worker *w = job->team[thread];
        if (!w) continue;
        w->job = job;
        w->thread = thread;
        PyThread_release_lock(w->go);
    }
    do_part(job, 0);
    for (int thread = 1; thread < job->threads; thread++)
        if (job->team[thread] && forks == before) acquire_soon(job->team[thread]->done);
        else do_part(job, thread);
    return !job->failed;
}

#endif
