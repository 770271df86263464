/* The arithmetic of a layer: nout neurons over nin inputs, plain arrays of doubles.
   A matrix has a row of weights for each input, and a last row of biases. A row has width 1 for a
   single neuron; else it is padded to a multiple of eight, so that there are only whole vectors.
   The padding changes nothing: its weights and the gradients of its sums are 0. */
#ifndef MICROGRAD_LAYER_H
#define MICROGRAD_LAYER_H

#include "ops.h"

typedef unsigned char Kind;
typedef struct {
    int nin, nout, width, relu;
    const void *w;              /* its matrix, of doubles or of floats */
    const Kind *op;             /* each neuron's activation; NULL if all have the ReLU, or none */
} Layer;
enum { NO_GRADIENT = 0xFF };    /* the kind of an output's gradient until a sweep delivers it */

#if defined(_MSC_VER)
#define RESTRICT __restrict
#else
#define RESTRICT restrict
#endif

#define VECTOR(p) (*(NAME(Vector) *)(p))

#define KERNEL(f) f##_baseline
#define TARGET
#if defined(__GNUC__)
#define LANES 2
#else
#define LANES 1
#endif
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDER_VECTORS
#define KERNEL(f) f##_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES 4
#include "kernels.h"

#define KERNEL(f) f##_avx512f
#define TARGET __attribute__((target("avx512f")))
#define LANES 8
#include "kernels.h"
#endif

/* The kinds of the gradients of parameters and inputs: the kind of a product is the intersection of
   those of its factors, that of a sum of those of its terms. g are the kinds of the gradients of
   the neurons' sums. */
static void kinds_backward(int nin, int nout, int width, const Kind *w, const Kind *x,
                           const Kind *g, Kind *RESTRICT dw, Kind *RESTRICT dx) {
    for (int i = 0; i < nin; i++, w += width, dw += width) {
        Kind all = INTEGER;
        for (int j = 0; j < nout; j++) {
            Kind none = g[j] == NO_GRADIENT ? NO_GRADIENT : 0;
            dw[j] &= (x[i] & g[j]) | none;
            all &= (w[j] & g[j]) | none;
        }
        dx[i] = all;
    }
    for (int j = 0; j < nout; j++) dw[j] &= g[j];
}

/* The kind that all numbers of some rows have, or OBJECT where they differ. */
static Kind common_kind(int rows, int nout, int width, const Kind *kinds) {
    Kind all = 0xFF, any = 0;
    for (int i = 0; i < rows; i++, kinds += width)
        for (int j = 0; j < nout; j++) {
            all &= kinds[j];
            any |= kinds[j];
        }
    return all == any ? all : OBJECT;
}

/* The kernels for one kind of vector. The widest that the processor has is chosen at import. */
typedef struct {
    const char *name;
    void (*sums)(int, int, int, const double *, const double *, long, double *);
    Kind (*outputs)(int, int, const Kind *, Kind, const double *, double *, Kind *);
    void (*outputs_backward)(int, int, const double *, const Kind *, const double *, const Kind *,
                             double *, Kind *);
    void (*sums_backward)(int, int, const double *, const double *, const double *, double *,
                          double *);
    int (*predict[2])(const Layer *, int, int, const void *, void *, long, double *,
                      unsigned char *);         /* with doubles, with floats */
} Arithmetic;

#define ROW(name) {#name, sums_##name, outputs_##name, outputs_backward_##name, \
                   sums_backward_##name, {predict_##name, predict_floats_##name}}
#if defined(WIDER_VECTORS)
static const Arithmetic arithmetics[] = {ROW(baseline), ROW(avx2), ROW(avx512f)};
static int arithmetic_count(void) {
    __builtin_cpu_init();
    return !__builtin_cpu_supports("avx2") ? 1 : !__builtin_cpu_supports("avx512f") ? 2 : 3;
}
#else
static const Arithmetic arithmetics[] = {ROW(baseline)};
static int arithmetic_count(void) { return 1; }
#endif
#undef ROW

#endif
