/* The arithmetic of a layer: nout neurons over nin inputs, plain arrays of doubles.
   A matrix has nin rows of nout weights, and a last row of biases. */
#ifndef MICROGRAD_LAYER_H
#define MICROGRAD_LAYER_H

typedef unsigned char Kind;

/* Wider vectors where the processor has them, chosen when the library is loaded. Nothing is reordered
   and nothing contracted, so the results are the same to the last bit. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_PROCESSOR __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define EACH_PROCESSOR
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

EACH_PROCESSOR
static void weighted_sums(int nin, int nout, const double *w, const double *x, double *y) {
    int j = 0;
    SUMS(16)
    SUMS(4)
    SUMS(1)
}
#undef SUMS

/* dw += x g, db += g, and dx = w g where dx is not NULL; g is the gradient of the sums. */
EACH_PROCESSOR
static void sums_backward(int nin, int nout, const double *w, const double *x, const double *g,
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
EACH_PROCESSOR
static void kinds_backward(int nin, int nout, const Kind *w, const Kind *x, const Kind *g,
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

#endif
