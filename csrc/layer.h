/* The arithmetic of a layer: nout neurons over nin inputs, plain arrays of doubles.
   A matrix has a row of weights for each input, and a last one of biases. Its rows have width 1 for a
   single neuron. Else they are filled up to eights, so that there are only whole vectors; filling is of
   no consequence, its weights and gradients of sums being 0. */
#ifndef MICROGRAD_LAYER_H
#define MICROGRAD_LAYER_H

#include "ops.h"

typedef unsigned char Kind;

#if defined(_MSC_VER)
#define RESTRICT __restrict
#else
#define RESTRICT restrict
#endif

#define NAME(f) f##_baseline
#define TARGET
#if defined(__GNUC__)
#define LANES 2
#else
#define LANES 1
#endif
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDER_VECTORS
#define NAME(f) f##_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES 4
#include "kernels.h"

#define NAME(f) f##_avx512f
#define TARGET __attribute__((target("avx512f")))
#define LANES 8
#include "kernels.h"
#endif

/* One of them is chosen when the module is loaded, by what the processor has. */
typedef struct {
    const char *name;
    void (*sums)(int, int, const double *, const double *, double *);
    Kind (*outputs)(int, int, const Kind *, Kind, const double *, double *, Kind *);
    Kind (*outputs_backward)(int, int, const double *, const Kind *, const double *, const Kind *,
                             double *, Kind *);
    void (*sums_backward)(int, int, const double *, const double *, const double *, double *, double *);
} Arithmetic;

#define ROW(name) {#name, sums_##name, outputs_##name, outputs_backward_##name, sums_backward_##name}
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
