/* y = b + w0 x0 + w1 x1 + ..., for `width` neurons and `rows` inputs, in the order of the original's sum:
   layer.h includes this file for doubles and for floats, and for each kind of vector, with
       SCALAR      double or float,
       MASK        an integer of the same size,
       WIDTH       how many of these a vector has,
       TARGET, NAME(f)     as in kernels.h.
   Sums of several neurons and rows are computed side by side: they hide each other's latency, and share the
   loads of weights. */

#if WIDTH > 1
typedef SCALAR NAME(Vector)
    __attribute__((vector_size(sizeof(SCALAR) * WIDTH), aligned(sizeof(SCALAR)), may_alias));
#else
typedef SCALAR NAME(Vector);
#endif
#define VECTOR(p) (*(NAME(Vector) *)(p))

#define SUMS(ROWS, COUNT)                                                                           \
    for (; j + (COUNT) * WIDTH <= width; j += (COUNT) * WIDTH) {                                    \
        NAME(Vector) sum[ROWS][COUNT];                                                              \
        for (int r = 0; r < (ROWS); r++)                                                              \
            for (int k = 0; k < (COUNT); k++)                                                         \
                sum[r][k] = VECTOR(w + (long)nin * width + j + k * WIDTH);                          \
        for (int i = 0; i < nin; i++)                                                               \
            for (int r = 0; r < (ROWS); r++)                                                          \
                for (int k = 0; k < (COUNT); k++)                                                     \
                    sum[r][k] += VECTOR(w + (long)i * width + j + k * WIDTH) * x[r * (long)nin + i]; \
        for (int r = 0; r < (ROWS); r++)                                                              \
            for (int k = 0; k < (COUNT); k++) VECTOR(y + r * (long)width + j + k * WIDTH) = sum[r][k]; \
    }

TARGET static void NAME(sums)(int rows, int nin, int width, const SCALAR *w, const SCALAR *x, SCALAR *y) {
    int j;
    for (; rows >= 4 && width > 1; rows -= 4, x += 4 * (long)nin, y += 4 * (long)width) {
        j = 0;
        SUMS(4, WIDTH * sizeof(SCALAR) > 32 ? 4 : 2)
        SUMS(4, 1)
    }
    for (; rows > 0; rows--, x += nin, y += width) {
        j = 0;
        SUMS(1, 32 / WIDTH)
        SUMS(1, (WIDTH < 8 ? 8 : WIDTH) / WIDTH)
        if (width == 1) {
            SCALAR sum = w[nin];
            for (int i = 0; i < nin; i++) sum += w[i] * x[i];
            y[0] = sum;
        }
    }
}

/* Apply the activation to each sum: none, or with `relu` the ReLU. Returns 0 where a sum is infinite or nan,
   1 where all of them are negative and the ReLU gives 0 for each, else 2. */
TARGET static int NAME(activations)(int nout, int relu, const SCALAR *sum, SCALAR *RESTRICT y) {
    MASK wrong = 0, any = -!relu;
    for (int j = 0; j < nout; j++) {
        wrong |= -(MASK)!(sum[j] - sum[j] == 0);
        any |= -(MASK)(sum[j] >= 0);
        y[j] = relu && sum[j] < 0 ? 0 : sum[j];
    }
    return wrong ? 0 : 1 - (int)any;
}

#undef SUMS
#undef VECTOR
