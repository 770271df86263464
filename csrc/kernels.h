/* The arithmetic of a layer, written once: layer.h includes this file for each kind of vector, with
       LANES       how many doubles a vector has,
       TARGET      the attribute that lets the compiler use it,
       KERNEL(f)   the name of f for it.
   Each lane rounds as it would alone, and no operations are reordered or contracted, so that all
   kinds give the same bits. */

#define NAME(f) KERNEL(f##_floats)
#define SCALAR float
#define MASK int
#include "sums.h"
#undef NAME

#define NAME(f) KERNEL(f)
#define SCALAR double
#define MASK long long
#include "sums.h"

/* Apply the activation to each sum: none, or with `relu` the ReLU, which gives the int 0 for a
   negative sum. The kind of a sum is the intersection of those of its weights and of the inputs.
   Returns the intersection of the kinds of y, or OBJECT where a sum is infinite or nan. */
TARGET static Kind NAME(outputs)(int nout, int relu, const Kind *w_kind, Kind x_kinds,
                                 const double *sum, double *RESTRICT y, Kind *RESTRICT y_kind) {
    Kind all = INTEGER;
    int wrong = 0;
    for (int j = 0; j < nout; j++) {
        int below = relu & (sum[j] < 0);
        wrong |= !(fabs(sum[j]) <= DBL_MAX);
        y[j] = below ? 0 : sum[j];
        y_kind[j] = below ? INTEGER : w_kind[j] & x_kinds;
        all &= y_kind[j];
    }
    return wrong ? OBJECT : all;
}

/* The gradients of those sums from the gradients of y. */
TARGET static void NAME(outputs_backward)(int nout, int relu, const double *y, const Kind *y_kind,
                                          const double *g, const Kind *g_kind,
                                          double *RESTRICT sum_grad, Kind *RESTRICT sum_grad_kind) {
    for (int j = 0; j < nout; j++) {
        sum_grad[j] = (!relu || y[j] > 0 ? 1.0 : 0.0) * g[j] + 0.0;
        sum_grad_kind[j] = relu ? STEP(y_kind[j], g_kind[j]) : g_kind[j];
    }
}

/* dw += x g, db += g, and dx = w g, where g is the gradient of the sums. A row's products with g
   are summed up in eight lanes, and these in pairs. */
TARGET static void NAME(sums_backward)(int nin, int width, const double *w, const double *x,
                                       const double *g, double *RESTRICT dw, double *RESTRICT dx) {
    if (width == 1) {
        for (int i = 0; i < nin; i++) {
            dw[i] += x[i] * g[0];
            dx[i] = w[i] * g[0] + 0.0;      /* -0.0 becomes 0.0, as in a sum that begins at 0 */
        }
        dw[nin] += g[0];
        return;
    }
    for (int i = 0; i < nin; i++, w += width, dw += width) {
        union { double lanes[8]; NAME(Vector) vectors[8 / LANES]; } sum = {{0}};
        for (int j = 0; j < width; j += 8)
            for (int k = 0; k < 8 / LANES; k++) {
                sum.vectors[k] += VECTOR(w + j + k * LANES) * VECTOR(g + j + k * LANES);
                VECTOR(dw + j + k * LANES) += VECTOR(g + j + k * LANES) * x[i];
            }
        const double *s = sum.lanes;
        dx[i] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
    for (int j = 0; j < width; j += LANES) VECTOR(dw + j) += VECTOR(g + j);
}

#undef LANES
#undef TARGET
#undef KERNEL
#undef NAME
