/* The passes through the steps of a recording, for ROWS rows at a time. replay.h includes this file
   for each kind of vector, with
       KERNEL(f)               the name of f for it, as in kernels.h,
       TARGET                  as in kernels.h,
       WIDEST                  how many doubles such a vector has;
   and it includes itself, for one row and for eight, with
       ROWS, LANES             the doubles of a slot, and of the vectors that are used,
       NAME(f)                 the name of f for these.
   A slot is ROWS numbers, one of each row. Each row is computed as it would be alone. */

#if !defined(ROWS)

#define ROWS 1
#define LANES 1
#define NAME(f) KERNEL(f##_row)
#include "lanes.h"
#undef ROWS
#undef LANES
#undef NAME

#define ROWS 8
#define LANES WIDEST
#define NAME(f) KERNEL(f##_rows)
#include "lanes.h"
#undef ROWS
#undef LANES
#undef NAME

#undef KERNEL
#undef TARGET
#undef WIDEST

#else

#define PARTS (ROWS < LANES ? 1 : ROWS / LANES)     /* vectors in a slot */
#if ROWS > 1 && LANES > 1
typedef double NAME(Part) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef long long NAME(Mask) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#define POSITIVE_ELSE(y, a, b)                                                                  \
    (NAME(Part))((((y) > 0) & (NAME(Mask))(a)) | (~((y) > 0) & (NAME(Mask))(b)))
#define ZERO_IF_NEGATIVE(a) (NAME(Part))(~((a) < 0) & (NAME(Mask))(a))
#else
typedef double NAME(Part);
#define POSITIVE_ELSE(y, a, b) ((y) > 0 ? (a) : (b))
#define ZERO_IF_NEGATIVE(a) ((a) < 0 ? 0 : (a))
#endif
#define SLOT(numbers, place) ((numbers) + (size_t)(place) * ROWS)
#define PART(p, k) (((NAME(Part) *)(p))[k])
#define EACH_ROW for (int r = 0; r < ROWS; r++)
#define EACH_PART for (int k = 0; k < PARTS; k++)

/* y = c + a0 b0 + a1 b1 + ..., added up from the left. */
TARGET static void NAME(dot)(const int *terms, int count, const double *v, double *RESTRICT y) {
    NAME(Part) sum[PARTS];
    const int *term = terms + 1, *end = term + 2 * count;
    if (terms[0] >= 0)
        EACH_PART sum[k] = PART(SLOT(v, terms[0]), k);
    else {
        EACH_PART sum[k] = PART(SLOT(v, term[0]), k) * PART(SLOT(v, term[1]), k);
        term += 2;
    }
    for (; term < end; term += 2) {
        const double *a = SLOT(v, term[0]), *b = SLOT(v, term[1]);
        EACH_PART sum[k] += PART(a, k) * PART(b, k);
    }
    EACH_PART PART(y, k) = sum[k];
}

TARGET static void NAME(dot_backward)(const int *terms, int count, const double *v, double *d,
                                      const double *g) {
    if (terms[0] >= 0)
        EACH_PART PART(SLOT(d, terms[0]), k) += PART(g, k);
    for (const int *term = terms + 1, *end = term + 2 * count; term < end; term += 2) {
        EACH_PART PART(SLOT(d, term[0]), k) += PART(SLOT(v, term[1]), k) * PART(g, k);
        EACH_PART PART(SLOT(d, term[1]), k) += PART(SLOT(v, term[0]), k) * PART(g, k);
    }
}

#if ROWS == 1
/* A layer: y = b + w x for `width` neurons. */
static void NAME(dense)(const Dense *l, const int *xs, const double *w, const double *v, double *y,
                        double *x) {
    for (int i = 0; i < l->nin; i++) x[i] = v[xs[i]];
    KERNEL(sums)(1, l->nin, l->width, w, x, 0, y);
}

static void NAME(dense_backward)(const Dense *l, const int *xs, const double *w, const double *v,
                                 double *d, const double *g, double *dw, double *x,
                                 const unsigned char *live, int first) {
    double *dx = x + l->nin;
    (void)first;
    for (int i = 0; i < l->nin; i++) x[i] = v[xs[i]];
    if (all_live(live, l->nout) || (all_finite(x, l->nin) && all_finite(w, l->nin * l->width)))
        KERNEL(sums_backward)(l->nin, l->width, w, x, g, dw, dx);
    else
        live_sums_backward(l, w, x, g, dw, dx, live);
    for (int i = 0; i < l->nin; i++) d[xs[i]] += dx[i];
}
#else
/* Several sums are computed side by side: they hide each other's latency, and share the loads of
   factors. Subtracting 0 turns the weight into a vector, and keeps a -0.0. */
#define SIDE LANES

#define SUMS(COUNT, FIRST, TERMS, FACTOR, WEIGHT, TAKE)                                         \
    {                                                                                           \
        NAME(Part) sum[COUNT][PARTS];                                                           \
        for (int s = 0; s < (COUNT); s++)                                                       \
            EACH_PART sum[s][k] = (FIRST) - (NAME(Part)){0};                                    \
        for (int t = 0; t < (TERMS); t++) {                                                     \
            const double *factor = (FACTOR);                                                    \
            for (int s = 0; s < (COUNT); s++)                                                   \
                EACH_PART sum[s][k] += PART(factor, k) * (WEIGHT);                              \
        }                                                                                       \
        for (int s = 0; s < (COUNT); s++)                                                       \
            EACH_PART TAKE;                                                                     \
    }

TARGET static void NAME(sums)(const Dense *l, const int *xs, const double *w, const double *b,
                              const double *v, double *y) {
    const int width = l->width, nin = l->nin;
    int j = 0;
    for (; j + SIDE <= width; j += SIDE)
        SUMS(SIDE, b[j + s], nin, SLOT(v, xs[t]), w[(size_t)t * width + j + s],
             PART(SLOT(y, j + s), k) = sum[s][k])
    for (; j < width; j++)
        SUMS(1, b[j + s], nin, SLOT(v, xs[t]), w[(size_t)t * width + j + s],
             PART(SLOT(y, j + s), k) = sum[s][k])
}

TARGET static void NAME(dense)(const Dense *l, const int *xs, const double *w, const double *v,
                               double *y, double *scratch) {
    (void)scratch;
    NAME(sums)(l, xs, w, w + (size_t)l->nin * l->width, v, y);
}

/* dw += the sum of x g over the rows, for COUNT inputs and eight neurons at a time; gt is g
   transposed, with the numbers of a row side by side. */
#define WEIGHTS(COUNT, X)                                                                       \
    for (int j = 0; j < width; j += 8) {                                                        \
        NAME(Part) sum[COUNT][PARTS];                                                           \
        for (int s = 0; s < (COUNT); s++)                                                       \
            EACH_PART sum[s][k] = (X)[0] * PART(gt + j, k);                                     \
        for (int r = 1; r < ROWS; r++)                                                          \
            for (int s = 0; s < (COUNT); s++)                                                   \
                EACH_PART sum[s][k] += (X)[r] * PART(gt + (size_t)r * width + j, k);            \
        for (int s = 0; s < (COUNT); s++)                                                       \
            EACH_PART PART(dw + (size_t)(i + s) * width + j, k) += sum[s][k];                   \
    }

TARGET static void NAME(weights_backward)(const Dense *l, const int *xs, const double *v,
                                          const double *gt, double *RESTRICT dw) {
    static const double one[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    const int width = l->width, nin = l->nin;
    int i = 0;
    for (; width == 1 && i <= nin; i++) {
        const double *x = i < nin ? SLOT(v, xs[i]) : one;
        double p[ROWS];
        EACH_ROW p[r] = x[r] * gt[r];
        dw[i] += ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
    }
    for (; i + 4 <= nin; i += 4) WEIGHTS(4, SLOT(v, xs[i + s]))
    for (; i < nin; i++) WEIGHTS(1, SLOT(v, xs[i + s]))
    if (i == nin) WEIGHTS(1, one)
}

TARGET static void NAME(dense_backward)(const Dense *l, const int *xs, const double *w,
                                        const double *v, double *d, const double *g, double *dw,
                                        double *gt, const unsigned char *live, int first) {
    (void)live;
    const int width = l->width, nin = l->nin, nout = l->nout;
    int i = 0;
    while (i < nin && xs[i] < first) i++;
    for (; i + SIDE <= nin; i += SIDE)
        SUMS(SIDE, 0, nout, SLOT(g, t), w[(size_t)(i + s) * width + t],
             PART(SLOT(d, xs[i + s]), k) += sum[s][k])
    for (; i < nin; i++)
        SUMS(1, 0, nout, SLOT(g, t), w[(size_t)(i + s) * width + t],
             PART(SLOT(d, xs[i + s]), k) += sum[s][k])
    for (int j = 0; j < width; j++)
        EACH_ROW gt[(size_t)r * width + j] = SLOT(g, j)[r];
    NAME(weights_backward)(l, xs, v, gt, dw);
}
#undef WEIGHTS
#undef SUMS
#undef SIDE
#endif

TARGET static void NAME(forward)(const Code *c, const double *parameters, const double *packed,
                                 double *v, double *scratch, unsigned char *odd) {
    for (const Step *s = c->steps, *end = s + c->step_count; s < end; s++) {
        const double *a = SLOT(v, s->a), *b = SLOT(v, s->b);
        double *RESTRICT y = SLOT(v, s->y);
        switch (s->op) {
        case ADD: EACH_PART PART(y, k) = PART(a, k) + PART(b, k); break;
        case MUL: EACH_PART PART(y, k) = PART(a, k) * PART(b, k); break;
        case RELU: EACH_PART PART(y, k) = ZERO_IF_NEGATIVE(PART(a, k)); break;
        case DETACH: EACH_PART PART(y, k) = PART(a, k); break;
        case SIGN_OF: EACH_ROW y[r] = SIGN(a[r]); break;
        case DOT: NAME(dot)(c->places + s->a, s->b, v, y); break;
        case DENSE: {
            const Dense *l = c->layers + s->a;
            NAME(dense)(l, c->places + l->xs, packed + l->weights, v, y, scratch);
            break;
        }
        case PICK:
            EACH_ROW {
                const int *choices = c->places + s->b;
                int at = chosen(choices, a[r]);
                if (at < 0) odd[r] = 1;
                int place = choices[at < 0 ? 1 : at];
                y[r] = place < 0 ? parameters[-1 - place] : SLOT(v, place)[r];
            }
            break;
        default:
            EACH_ROW {
                y[r] = apply(s->op, a[r], REAL, b[r], REAL).x;
                if (!(fabs(y[r]) <= DBL_MAX) && a[r] == a[r]) odd[r] = 1;   /* nan raises none */
            }
        }
    }
}

/* Only steps marked in `live` are swept: they lead to an output that has a gradient. The gradients
   of slots before `first` are not needed. */
TARGET static void NAME(backward)(const Code *c, const double *packed, const double *v, double *d,
                                  double *parameter_grads, double *packed_grads, double *scratch,
                                  const unsigned char *live, int first, unsigned char *odd) {
    for (const Step *s = c->steps + c->step_count - 1; s >= c->steps; s--) {
        const double *a = SLOT(v, s->a), *b = SLOT(v, s->b), *y = SLOT(v, s->y), *g = SLOT(d, s->y);
        double *da = SLOT(d, s->a), *db = SLOT(d, s->b);
        if (!live[s->y]) continue;
        switch (s->op) {
        case ADD:
            EACH_PART PART(da, k) += PART(g, k);
            EACH_PART PART(db, k) += PART(g, k);
            break;
        case MUL:
            EACH_PART PART(da, k) += PART(b, k) * PART(g, k);
            EACH_PART PART(db, k) += PART(a, k) * PART(g, k);
            break;
        case RELU:
            EACH_PART PART(da, k) += POSITIVE_ELSE(PART(y, k), PART(g, k), 0 * PART(g, k));
            break;
        case DETACH: case SIGN_OF: break;
        case DOT: NAME(dot_backward)(c->places + s->a, s->b, v, d, g); break;
        case DENSE: {
            const Dense *l = c->layers + s->a;
            NAME(dense_backward)(l, c->places + l->xs, packed + l->weights, v, d, g,
                                 packed_grads + l->weights, scratch, live + s->y, first);
            break;
        }
        case PICK:
            EACH_ROW {
                const int *choices = c->places + s->b;
                int at = chosen(choices, a[r]), place = choices[at < 0 ? 1 : at];
                *(place < 0 ? parameter_grads - 1 - place : SLOT(d, place) + r) += g[r];
            }
            break;
        default:
            EACH_ROW {
                Pair p = derivatives(s->op, a[r], REAL, b[r], REAL, y[r], REAL, g[r], REAL);
                if (!(fabs(p.a.x) <= DBL_MAX) && slope_raises(s->op, a[r], b[r])) odd[r] = 1;
                da[r] += p.a.x;
                if (gradients[s->op] == 2) db[r] += p.b.x;
            }
        }
    }
}

#if ROWS > 1
/* Forward mode: t, the derivatives of each slot in eight directions, from the slots v of one row
   and the derivatives of its steps by their operands. */
TARGET static void NAME(directions)(const Code *c, const double *packed, const double *v,
                                    const Slopes *slopes, double *t, const double *zeros) {
    for (const Step *s = c->steps, *end = s + c->step_count; s < end; s++, slopes++) {
        const double *ta = SLOT(t, s->a), *tb = SLOT(t, s->b);
        double *RESTRICT ty = SLOT(t, s->y);
        const int *places = c->places + (s->op == DOT ? s->a : s->b);
        if (s->op == DOT) {
            NAME(Part) sum[PARTS];
            EACH_PART sum[k] = places[0] < 0 ? (NAME(Part)){0} : PART(SLOT(t, places[0]), k);
            for (const int *term = places + 1, *last = term + 2 * s->b; term < last; term += 2)
                EACH_PART sum[k] += v[term[1]] * PART(SLOT(t, term[0]), k)
                                    + v[term[0]] * PART(SLOT(t, term[1]), k);
            EACH_PART PART(ty, k) = sum[k];
        } else if (s->op == DENSE) {
            const Dense *l = c->layers + s->a;
            NAME(sums)(l, c->places + l->xs, packed + l->weights, zeros, t, ty);
        } else if (s->op == PICK) {
            int at = chosen(places, v[s->a]), place = places[at < 0 ? 1 : at];
            EACH_PART PART(ty, k) = place < 0 ? (NAME(Part)){0} : PART(SLOT(t, place), k);
        } else if (s->op >= DETACH)
            EACH_PART PART(ty, k) = (NAME(Part)){0};
        else if (gradients[s->op] == 2)
            EACH_PART PART(ty, k) = slopes->a * PART(ta, k) + slopes->b * PART(tb, k);
        else
            EACH_PART PART(ty, k) = slopes->a * PART(ta, k);
    }
}
#endif

#undef PARTS
#undef POSITIVE_ELSE
#undef ZERO_IF_NEGATIVE
#undef SLOT
#undef PART
#undef EACH_ROW
#undef EACH_PART

#endif
