/* The table of operations, and the kinds of number they compute with.
   Nothing in this file knows of nodes or of Python. */
#ifndef MICROGRAD_OPS_H
#define MICROGRAD_OPS_H

#include <float.h>
#include <math.h>

/* A kind says which Python type stands behind a double. Kinds are nested sets of bits, so that the
   kind of a result is the intersection of its operands' kinds, as in Python: int and float give
   float, float and numpy.float32 give numpy.float32, that and numpy.float64 give numpy.float64, and
   an OBJECT (which has no double) gives whatever its own operators give. */
enum { OBJECT = 0, NUMPY = 1, FLOAT32 = 3, REAL = 7, INTEGER = 15,
       /* A number that a layer keeps (parameters.pxi). No result is plain that has it for an
          operand: its intersection with any other kind is OBJECT. */
       PACKED = 16 };

/* One operation a line. In a column's expression
       a, b, y    are the data of the operands and of the result,  A, B, Y  their kinds,
       g          is the gradient of the result,                   G        its kind.
   There are `args` operands, and `grads` of them get a gradient: the exponent of ** gets none.
   The kind OBJECT leaves a case to Python's own operators: powers of ints are exact there, and
   numpy rounds a numpy.float32 at each step of an expression.

      name  symbol  args  grads  y = f(a, b)    kind      a.grad +=            kind
                                                          b.grad +=            kind            */
#define OPERATIONS(OP) ARITHMETIC(OP) FUNCTIONS(OP)
#define ARITHMETIC(OP)                                                                          \
    OP(ADD,  "+",    2, 2, SUM(a, b, A & B),      A & B,  g,                   G,               \
                                                          g,                   G)               \
    OP(MUL,  "*",    2, 2, PRODUCT(a, b, A & B),  A & B,  PRODUCT(b, g, B & G),  B & G,         \
                                                          PRODUCT(a, g, A & G),  A & G)         \
    OP(POW,  "**",   2, 1, power(a, b), ALIKE(INEXACT(A), B), b * pow(a, b-1) * g,              \
                                                          ALIKE(ALIKE(INEXACT(A), B), G),       \
                                                          0,                   OBJECT)          \
    OP(RELU, "ReLU", 1, 1, a < 0 ? 0 : a, A && a < 0 ? INTEGER : A,                             \
                                                          (y > 0) * g,         STEP(Y, G),      \
                                                          0,                   OBJECT)

/* The operations that the original does not have. Each has its line in micrograd/_functions.py too,
   under its symbol, for operands that are no plain numbers. */
#define FUNCTIONS(OP)                                                                           \
    OF_ONE(OP, EXP,      "exp",      exp(a),      FLOAT(A), y * g,            Y & G)            \
    OF_ONE(OP, LOG,      "log",      log(a),      FLOAT(A), g / a,            FLOAT(A) & A & G) \
    OF_ONE(OP, TANH,     "tanh",     tanh(a),     FLOAT(A), (1 - y * y) * g,  Y & G)            \
    OF_ONE(OP, LOG1P,    "log1p",    log1p(a),    FLOAT(A), g / (1 + a),                        \
                                                            FLOAT(ALIKE(A, A)) & A & G)         \
    OF_ONE(OP, TAN,      "tan",      tan(a),      FLOAT(A), (1 + y * y) * g,  Y & G)            \
    OF_ONE(OP, ERF,      "erf",      erf(a),      FLOAT(A), TWO_BY_ROOT_PI * exp(-(a * a)) * g, \
                                                            FLOAT(ALIKE(A, A)) & G)             \
    OF_ONE(OP, GELU,     "gelu",     gelu(a),     ALIKE(A, REAL), slope_of_gelu(a) * g,         \
                                                            ALIKE(A, REAL) & G)                 \
    OF_ONE(OP, SIGMOID,  "sigmoid",  sigmoid(a),  FLOAT(A), y * (1 - y) * g,  Y & G)            \
    OF_ONE(OP, SIN,      "sin",      sin(a),      FLOAT(A), cos(a) * g,       FLOAT(A) & G)     \
    OF_ONE(OP, COS,      "cos",      cos(a),      FLOAT(A), -sin(a) * g,      FLOAT(A) & G)     \
    OF_ONE(OP, SQRT,     "sqrt",     sqrt(a),     FLOAT(A), (y ? 0.5 / y : HUGE_VAL) * g,       \
                                                            FLOAT(Y) & Y & G)                   \
    OF_ONE(OP, ABS,      "abs",      fabs(a),     A,        SIGN(a) * g,      A ? G : OBJECT)   \
    OF_ONE(OP, SOFTPLUS, "softplus", softplus(a), FLOAT(A), sigmoid(a) * g,   FLOAT(A) & G)     \
    OP(LEAKY_RELU, "leaky_relu", 2, 1, a > 0 ? a : b * a,                                       \
                                    !(A & B) ? OBJECT : a > 0 ? A : ALIKE(A, B),                \
                                    (a > 0 ? 1 : b) * g,                                        \
                                    !(A & B) ? OBJECT : a > 0 ? G : ALIKE(B, G),                \
                                    0, OBJECT)                                                  \
    OP(MAXIMUM, "maximum", 2, 2, LEADS(a, >=, b) ? a : b,                                       \
                           !ALIKE(A, B) ? OBJECT : LEADS(a, >=, b) ? A : B,                     \
                           SHARE(a, b), KIND_OF_SHARE(a, b), SHARE(b, a), KIND_OF_SHARE(b, a))  \
    OP(MINIMUM, "minimum", 2, 2, LEADS(a, <=, b) ? a : b,                                       \
                           !ALIKE(A, B) ? OBJECT : LEADS(a, <=, b) ? A : B,                     \
                           SHARE(b, a), KIND_OF_SHARE(b, a), SHARE(a, b), KIND_OF_SHARE(a, b))  \
    OP(POWER, "**", 2, 2, power(a, b), ALIKE(INEXACT(A), B),                                    \
                       (b ? b * pow(a || b >= 1 ? a : 0, b-1) : 0) * g,     /* -0.0 is 0 */     \
                       b ? ALIKE(ALIKE(INEXACT(A), B) & ALIKE(B, B), G) : A & B ? G : OBJECT,   \
                       y * LOG_OF_BASE * g, ALIKE(FLOAT(A & B) & ALIKE(Y, Y), G))

#define OF_ONE(OP, name, symbol, y, kind, da, da_kind)                                          \
    OP(name, symbol, 1, 1, y, kind, da, ALIKE(da_kind, INTEGER), 0, OBJECT)
#define LOG_OF_BASE (a > 0 ? log(a) : a ? NAN : b < 0 ? -HUGE_VAL : 0)   /* as PyTorch has it */
#define SLOPE 0.01      /* of leaky_relu below 0, where none is given, as in PyTorch */
#define INEXACT(K) ((K) == INTEGER ? OBJECT : (K))
#define FLOAT(K) ((K) ? REAL : OBJECT)      /* what the functions of Python's math return */
/* (y > 0) * g is a bool times g. With numpy's bool, an int g gives a numpy.int64, a float g a
   numpy.float64. */
#define STEP(Y, G)                                                                              \
    ((Y) == OBJECT ? OBJECT : (Y) >= REAL ? (G)                                                 \
     : (G) == INTEGER ? OBJECT : (G) == REAL ? NUMPY : (G))
/* numpy compares a float with a numpy.float32 in single precision, and rounds each step of an
   expression of these two to it. */
#define ALIKE(A, B) (((A) & (B)) != FLOAT32 ? (A) & (B) : OBJECT)
/* A numpy.float32 is rounded before and after each operation; for these two, rounding what doubles
   give is the same as computing in single precision. */
#define SUM(a, b, K)                                                                            \
    ((K) == FLOAT32 ? (float)((double)(float)(a) + (double)(float)(b)) : (a) + (b))
#define PRODUCT(a, b, K)                                                                        \
    ((K) == FLOAT32 ? (float)((double)(float)(a) * (double)(float)(b)) : (a) * (b))
#define SIGN(a) (((a) > 0) - ((a) < 0))     /* of nan, as in PyTorch: 0 */
#define LEADS(a, than, b) ((a) than (b) || (a) != (a))  /* nan before all */
/* The gradient goes to the greater operand; two equal ones get half each. */
#define SHARE(a, b) ((a) < (b) ? 0 : (a) == (b) ? 0.5 * g : g)
#define KIND_OF_SHARE(a, b)                                                                     \
    (!ALIKE(A, B) ? OBJECT : (a) < (b) ? INTEGER : (a) == (b) ? ALIKE(REAL, G) : G)

/* a ** b, or nan where that is complex: pow would set a flag of the processor, too. */
static inline double power(double a, double b) {
    return isless(a, 0) && isfinite(a) && b != floor(b) ? NAN : pow(a, b);
}

static inline double sigmoid(double a) {
    return a >= 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a));
}

/* log(1 + exp(a)), without an overflow */
static inline double softplus(double a) {
    return (a > 0 ? a : 0) + log1p(exp(-fabs(a)));
}

#define TWO_BY_ROOT_PI 1.1283791670955126
#define ROOT_OF_2 1.4142135623730951
#define ROOT_OF_2_PI 2.5066282746310002

static inline double gelu(double a) {
    return a * (0.5 * (1 + erf(a / ROOT_OF_2)));
}

static inline double slope_of_gelu(double a) {
    return 0.5 * (1 + erf(a / ROOT_OF_2)) + a * (exp(-0.5 * (a * a)) / ROOT_OF_2_PI);
}

/* What a node can be: a leaf, which is 0, so that zeroed memory is a leaf; a result for which the
   program supplies the derivative (CUSTOM; with a `_prev` of its own CUSTOM_PREV), or the local
   gradients (LOCAL); an output of a call (OUTPUT) and that call (CALL), see call.pxi; the result of
   an operation. */
enum {
    LEAF,
    CUSTOM,
    CUSTOM_PREV,
    LOCAL,
    OUTPUT,
    CALL,
#define NAME(name, ...) name,
    OPERATIONS(NAME)
#undef NAME
    OPERATION_END
};
#define is_custom(op) ((op) == CUSTOM || (op) == CUSTOM_PREV)
#define is_operation(op) ((op) > CALL)

static const char *const names[] = {
    "LEAF", "CUSTOM", "CUSTOM_PREV", "LOCAL", "OUTPUT", "CALL",
#define NAME(name, ...) #name,
    OPERATIONS(NAME)
#undef NAME
};

static const char *const symbols[] = {
    "", "", "", "", "", "",
#define SYMBOL(name, symbol, ...) symbol,
    OPERATIONS(SYMBOL)
#undef SYMBOL
};

static const char operand_counts[] = {
    0, 2, 0, 1, 0, 0,
#define OPERANDS(name, symbol, args, ...) args,
    OPERATIONS(OPERANDS)
#undef OPERANDS
};

static const char gradients[] = {
    0, 2, 0, 0, 0, 0,
#define GRADIENTS(name, symbol, args, grads, ...) grads,
    OPERATIONS(GRADIENTS)
#undef GRADIENTS
};

typedef struct { double x; int kind; } Number;
typedef struct { Number a, b; } Pair;

/* An int keeps no sign on its zero. */
static inline Number number(double x, int kind) {
    Number result = {kind == INTEGER ? x + 0.0 : x, kind};
    return result;
}

/* The greatest size of a double that is a whole result: of an int, so that nothing was rounded, or
   of a finite float, for which Python raises no error and numpy gives no warning. */
static const double limit[PACKED + 1] = {
    -1, [NUMPY] = DBL_MAX, -1, [FLOAT32] = FLT_MAX, -1, -1, -1, [REAL] = DBL_MAX,
    -1, -1, -1, -1, -1, -1, -1, [INTEGER] = 9007199254740991.0, [PACKED] = -1};

/* Whether the double is the whole result. */
static inline int is_plain(Number n) {
    return fabs(n.x) <= limit[n.kind];
}

/* The same without the processor's flag that <= sets for nan, for operations within numpy's loops,
   which report it. (It takes longer in a sweep.) */
static inline int is_plain_result(Number n) {
    return islessequal(fabs(n.x), limit[n.kind]);
}

/* a + b and a * b for numbers of any kinds. */
static inline Number plus(Number a, Number b) {
    int kind = a.kind & b.kind;
    return number(SUM(a.x, b.x, kind), kind);
}

static inline Number times(Number a, Number b) {
    int kind = a.kind & b.kind;
    return number(PRODUCT(a.x, b.x, kind), kind);
}

/* Arithmetic is inlined, for a graph has millions of such nodes. Functions are called, for most of
   their time is the C library's. */

#define APPLY(name, symbol, args, grads, y, kind, ...) case name: return number(y, kind);
static Number apply_function(int op, double a, int A, double b, int B) {
    switch (op) {
        FUNCTIONS(APPLY)
        default: return number(0, OBJECT);
    }
}

static inline Number apply(int op, double a, int A, double b, int B) {
    switch (op) {
        ARITHMETIC(APPLY)
        default: return apply_function(op, a, A, b, B);
    }
}
#undef APPLY

#define DERIVE(name, symbol, args, grads, y_, kind, da, da_kind, db, db_kind)                   \
    case name: {                                                                                \
        Pair result = {number(da, da_kind), number(db, db_kind)};                               \
        return result;                                                                          \
    }
static Pair derivatives_of_function(int op, double a, int A, double b, int B, double y, int Y,
                                    double g, int G) {
    Pair none = {{0, OBJECT}, {0, OBJECT}};
    switch (op) {
        FUNCTIONS(DERIVE)
        default: return none;
    }
}

static inline Pair derivatives(int op, double a, int A, double b, int B, double y, int Y,
                               double g, int G) {
    switch (op) {
        ARITHMETIC(DERIVE)
        default: return derivatives_of_function(op, a, A, b, B, y, Y, g, G);
    }
}
#undef DERIVE

#endif
