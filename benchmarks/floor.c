/* The arithmetic of the workloads by hand, with no graph: what compiled code cannot go below.
   Gradients are written to `grads`, in micrograd's order of parameters; the output is returned. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double relu(double x) { return x > 0 ? x : 0; }

/* The README's expression with its repeated sums worked out, as a person would differentiate it. */
double readme(const double *x, double *grads)
{
    double a = x[0], b = x[1], add = a + b, sub = b - a;
    double c = 4 * add + 2 - a;                         /* c += c + 1, then c += 1 + c + (-a) */
    c += 1;
    double d0 = a * b + b * b * b, d = 12 * d0 + 4 * relu(add) + relu(sub);
    double e = c - d, f = e * e, df = 0.5 - 10.0 / (f * f), de = 2 * e * df;
    double da = b, db = a + 3 * b * b, up = add > 0, down = sub > 0;
    grads[0] = de * (3 - (12 * da + 4 * up - down));
    grads[1] = de * (4 - (12 * db + 4 * up + down));
    return f / 2.0 + 10.0 / f;
}

double chain(const double *in, double *grads, long steps)
{
    double *x = malloc((steps + 1) * sizeof *x), a = in[1], b = in[2], up = 1, out;
    x[0] = in[0];
    for (long i = 0; i < steps; i++)
        x[i + 1] = x[i] * a + b;
    grads[1] = grads[2] = 0;
    for (long i = steps; i-- > 0; up *= a) {
        grads[1] += up * x[i];
        grads[2] += up;
    }
    grads[0] = up;
    out = x[steps];
    free(x);
    return out;
}

double tree(const double *x, double *grads, long size)
{
    double sum = 0;
    for (long i = 0; i < size; i++) {
        sum += x[i] * x[i];
        grads[i] = 2 * x[i];
    }
    return sum;
}

/* Layers of the sizes size[0..depth], all but the last ReLU; w holds each neuron's weights, then
   its bias. y holds the input and each layer's output, one after another. */
static void forward(long depth, const long *size, const double *w, double *y)
{
    for (long l = 0; l < depth; l++) {
        long nin = size[l], nout = size[l + 1];
        double *out = y + nin;
        for (long j = 0; j < nout; j++, w += nin + 1) {
            double sum = w[nin];
            for (long i = 0; i < nin; i++)
                sum += w[i] * y[i];
            out[j] = l < depth - 1 ? relu(sum) : sum;
        }
        y = out;
    }
}

/* dy, of y's shape, holds the gradient of the last layer's output and zeros; adds to grads. */
static void backward(long depth, const long *size, const double *w, const double *y, double *dy,
                     double *grads)
{
    long at = 0, first = 0;
    for (long l = 0; l < depth; l++) {
        at += size[l];
        first += (size[l] + 1) * size[l + 1];
    }
    for (long l = depth; l-- > 0;) {
        long nin = size[l], nout = size[l + 1], in = at - nin;
        first -= (nin + 1) * nout;
        for (long j = 0; j < nout; j++) {
            const double *weights = w + first + j * (nin + 1);
            double *g = grads + first + j * (nin + 1), up = dy[at + j];
            if (l < depth - 1 && y[at + j] <= 0)
                continue;
            for (long i = 0; i < nin; i++) {
                g[i] += up * y[in + i];
                dy[in + i] += up * weights[i];
            }
            g[nin] += up;
        }
        at = in;
    }
}

static long total(long depth, const long *size)
{
    long sum = 0;
    for (long l = 0; l <= depth; l++)
        sum += size[l];
    return sum;
}

static long count(long depth, const long *size)
{
    long sum = 0;
    for (long l = 0; l < depth; l++)
        sum += (size[l] + 1) * size[l + 1];
    return sum;
}

double mlp(long depth, const long *size, const double *w, const double *x, double *grads)
{
    long all = total(depth, size), nout = size[depth];
    double *y = malloc(all * sizeof *y), *dy = calloc(all, sizeof *dy), sum = 0;
    memcpy(y, x, size[0] * sizeof *x);
    memset(grads, 0, count(depth, size) * sizeof *grads);
    forward(depth, size, w, y);
    for (long j = all - nout; j < all; j++) {
        sum += y[j];
        dy[j] = 1;
    }
    backward(depth, size, w, y, dy, grads);
    free(y);
    free(dy);
    return sum;
}

/* A step of the two-moons demo over `points` points; changes w. */
double moons(long depth, const long *size, double *w, const double *X, const double *labels,
             long points, double rate, double *grads)
{
    long all = total(depth, size), parameters = count(depth, size);
    double *y = malloc(all * sizeof *y), *dy = malloc(all * sizeof *dy), data = 0, reg = 0;
    memset(grads, 0, parameters * sizeof *grads);
    for (long p = 0; p < points; p++) {
        memcpy(y, X + p * size[0], size[0] * sizeof *X);
        forward(depth, size, w, y);
        double margin = 1 - labels[p] * y[all - 1];
        if (margin <= 0)
            continue;
        data += margin;
        memset(dy, 0, all * sizeof *dy);
        dy[all - 1] = -labels[p] / points;
        backward(depth, size, w, y, dy, grads);
    }
    for (long i = 0; i < parameters; i++) {
        reg += w[i] * w[i];
        w[i] -= rate * (grads[i] + 2e-4 * w[i]);
    }
    free(y);
    free(dy);
    return data / points + 1e-4 * reg;
}
