/* The arithmetic of a layer: nout neurons over nin inputs, plain arrays of doubles.
   A matrix has nin rows of nout weights, and a last row of biases. */
#ifndef MICROGRAD_LAYER_H
#define MICROGRAD_LAYER_H

typedef unsigned char Kind;

#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
#endif

/* y = b + w0 x0 + w1 x1 + ..., for every neuron in the order of the original's sum. Several neurons
   are summed side by side; each of them rounds as if it were alone. */
#define SUMS(count)                                                                             \
    for (; j + count <= nout; j += count) {                                                     \
        double sum[count];                                                                      \
        for (int k = 0; k < count; k++) sum[k] = w[(long)nin * nout + j + k];                   \
        for (int i = 0; i < nin; i++)                                                           \
            for (int k = 0; k < count; k++) sum[k] += w[(long)i * nout + j + k] * x[i];         \
        for (int k = 0; k < count; k++) y[j + k] = sum[k];                                      \
    }

ALWAYS_INLINE void weighted_sums(int nin, int nout, const double *w, const double *x, double *y) {
    int j = 0;
    SUMS(16)
    SUMS(4)
    SUMS(1)
}
#undef SUMS

/* dw += x g, db += g, and dx = w g where dx is not NULL; g is the gradient of the sums. */
ALWAYS_INLINE void sums_backward(int nin, int nout, const double *w, const double *x, const double *g,
                          double *dw, double *dx) {
    for (int i = 0; i < nin; i++, w += nout, dw += nout) {
        for (int j = 0; j < nout; j++) dw[j] += x[i] * g[j];
        if (dx) {
            double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            int j = 0;
            for (; j + 4 <= nout; j += 4) {
                s0 += w[j] * g[j];
                s1 += w[j + 1] * g[j + 1];
                s2 += w[j + 2] * g[j + 2];
                s3 += w[j + 3] * g[j + 3];
            }
            for (; j < nout; j++) s0 += w[j] * g[j];
            dx[i] = (s0 + s2) + (s1 + s3);
        }
    }
    for (int j = 0; j < nout; j++) dw[j] += g[j];
}

/* The kinds of those gradients: a product's is the intersection of its factors', and a sum's of its
   terms'. `skip` is all ones for a neuron that takes no part. */
ALWAYS_INLINE void kinds_backward(int nin, int nout, const Kind *w, const Kind *x, const Kind *g,
                           const Kind *skip, Kind *dw, Kind *dx) {
    for (int i = 0; i < nin; i++, w += nout, dw += nout) {
        Kind all = 0xFF;
        for (int j = 0; j < nout; j++) {
            dw[j] &= (x[i] & g[j]) | skip[j];
            all &= (w[j] & g[j]) | skip[j];
        }
        if (dx) dx[i] = all;
    }
    for (int j = 0; j < nout; j++) dw[j] &= g[j] | skip[j];
}

/* The same arithmetic compiled for wider vectors, chosen when the module is loaded by what the
   processor has. Nothing is reordered and nothing contracted: the results are equal to the last bit. */
typedef struct {
    const char *name;
    void (*sums)(int, int, const double *, const double *, double *);
    void (*sums_backward)(int, int, const double *, const double *, const double *, double *, double *);
    void (*kinds_backward)(int, int, const Kind *, const Kind *, const Kind *, const Kind *, Kind *, Kind *);
} Arithmetic;

#define COMPILED_FOR(name, attribute)                                                               \
    attribute static void sums_##name(int nin, int nout, const double *w, const double *x, double *y) { \
        weighted_sums(nin, nout, w, x, y);                                                          \
    }                                                                                               \
    attribute static void sums_backward_##name(int nin, int nout, const double *w, const double *x, \
                                               const double *g, double *dw, double *dx) {           \
        sums_backward(nin, nout, w, x, g, dw, dx);                                                  \
    }                                                                                               \
    attribute static void kinds_backward_##name(int nin, int nout, const Kind *w, const Kind *x,    \
                                                const Kind *g, const Kind *skip, Kind *dw, Kind *dx) { \
        kinds_backward(nin, nout, w, x, g, skip, dw, dx);                                           \
    }
#define ROW(name) {#name, sums_##name, sums_backward_##name, kinds_backward_##name}

COMPILED_FOR(baseline, )
#if defined(__x86_64__) && defined(__GNUC__)
COMPILED_FOR(avx2, __attribute__((target("avx2"))))
COMPILED_FOR(avx512f, __attribute__((target("avx512f"))))
static const Arithmetic arithmetics[] = {ROW(baseline), ROW(avx2), ROW(avx512f)};
static int arithmetic_count(void) {
    __builtin_cpu_init();
    return !__builtin_cpu_supports("avx2") ? 1 : !__builtin_cpu_supports("avx512f") ? 2 : 3;
}
#else
static const Arithmetic arithmetics[] = {ROW(baseline)};
static int arithmetic_count(void) { return 1; }
#endif

#endif
