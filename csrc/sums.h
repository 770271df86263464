/* y = b + w0 x0 + w1 x1 + ..., for `width` neurons and `rows` inputs, in the order of the
   original's sum: kernels.h includes this file for doubles and for floats, with
       SCALAR      double or float,
       MASK        an integer of the same size,
       NAME(f)     the name of f for these.
   Sums of several neurons and rows are computed side by side: they hide each other's latency, and
   share the loads of weights. */

#if LANES > 1
#define WIDTH (int)(LANES * sizeof(double) / sizeof(SCALAR))
typedef SCALAR NAME(Vector)
    __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(SCALAR)), may_alias));
#else
#define WIDTH 1
typedef SCALAR NAME(Vector);
#endif

#define SUMS(ROWS, COUNT)                                                                       \
    for (; j + (COUNT) * WIDTH <= width; j += (COUNT) * WIDTH) {                                \
        NAME(Vector) sum[ROWS][COUNT];                                                          \
        for (int r = 0; r < (ROWS); r++)                                                        \
            for (int k = 0; k < (COUNT); k++)                                                   \
                sum[r][k] = VECTOR(w + (long)nin * width + j + k * WIDTH);                      \
        for (int i = 0; i < nin; i++)                                                           \
            for (int r = 0; r < (ROWS); r++)                                                    \
                for (int k = 0; k < (COUNT); k++)                                               \
                    sum[r][k] += VECTOR(w + (long)i * width + j + k * WIDTH) * x[r * stride + i];\
        for (int r = 0; r < (ROWS); r++)                                                        \
            for (int k = 0; k < (COUNT); k++)                                                   \
                VECTOR(y + r * (long)width + j + k * WIDTH) = sum[r][k];                        \
    }

/* The numbers of a row stand together; one row begins `stride` numbers after the one before. */
TARGET static void NAME(sums)(int rows, int nin, int width, const SCALAR *w, const SCALAR *x,
                              long stride, SCALAR *y) {
    int j;
    for (; rows >= 4 && width > 1; rows -= 4, x += 4 * stride, y += 4 * (long)width) {
        j = 0;
        SUMS(4, LANES > 4 ? 4 : 2)
        SUMS(4, 1)
    }
    for (; rows > 0; rows--, x += stride, y += width) {
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

/* Apply the activations to the sums of a row; 0 where a number is infinite or nan. Where the ReLU
   gives 0 for each of them, `odd` is set. */
TARGET static int NAME(activate)(const Layer *l, SCALAR *y, unsigned char *odd) {
    MASK wrong = 0, any = -!l->relu;
    for (int j = 0; j < l->nout; j++) {
        wrong |= -(MASK)!(y[j] - y[j] == 0);
        any |= -(MASK)(y[j] >= 0);
        y[j] = l->relu && y[j] < 0 ? 0 : y[j];
    }
    for (int j = 0; l->op && j < l->nout && !wrong; j++)
        if (l->op[j] != ADD) {
            Number n = apply(l->op[j], y[j], REAL, SLOPE, REAL);
            wrong = -!is_plain(n);
            y[j] = (SCALAR)n.x;
        }
    *odd |= !any;
    return !wrong;
}

/* The outputs y of a network for some rows; 0 where a number is infinite or nan. `odd` tells of
   each row, `numbers` has room twice for the widest layer's sums. */
TARGET static int NAME(predict)(const Layer *layers, int depth, int rows, const void *inputs,
                                void *numbers, long room, double *y, unsigned char *odd) {
    const SCALAR *x = inputs;
    long stride = layers->nin;
    for (int k = 0; k < depth; k++) {
        const Layer *l = layers + k;
        SCALAR *sums = (SCALAR *)numbers + k % 2 * room;
        NAME(sums)(rows, l->nin, l->width, l->w, x, stride, sums);
        for (int r = 0; r < rows; r++)
            if (!NAME(activate)(l, sums + r * (long)l->width, odd + r)) return 0;
        x = sums;
        stride = l->width;
    }
    for (int r = 0, nout = layers[depth - 1].nout; r < rows; r++)
        for (int j = 0; j < nout; j++) *y++ = x[r * stride + j];
    return 1;
}

#undef SCALAR
#undef MASK
#undef WIDTH
#undef SUMS
