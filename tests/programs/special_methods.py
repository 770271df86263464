"""Each special method, on a subclass and patched onto the class, under every kind of expression."""

from micrograd import nn
from micrograd.engine import Value

METHODS = ["add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "truediv",
           "rtruediv", "pow", "neg", "pos", "invert", "matmul", "rmatmul", "mod", "floordiv",
           "rfloordiv", "divmod", "and", "lshift", "call", "contains", "getitem", "eq", "ne",
           "repr", "copy", "deepcopy", "reversed"]
GIVEN = {"float": 1.5, "int": 7, "index": 2, "complex": 1j, "trunc": 1, "ceil": 4, "bool": False,
         "len": 3, "hash": 5, "str": "STR", "bytes": b"b"}
EXPRESSIONS = ["a + b", "a - b", "a * b", "a / b", "a ** 2", "-a", "+a", "~a", "a @ b", "1 @ a",
               "a % b", "a // b", "1 // a", "1 + a", "1 - a", "2 * a", "1 / a", "divmod(a, 1)",
               "a & 1", "a << 1", "float(a)", "int(a)", "complex(a)", "[1, 2, 3][a]",
               "math.ceil(a)", "math.trunc(a)", "math.exp(a)", "bool(a)", "len(a)", "list(a)",
               "a[4]", "9 in a", "a(1, 2)", "a == b", "a != b", "a == a", "a != a", "a in [b]",
               "[a, b].index(b)", "{a: 1}.get(a)", "{a: 1}.get(b)", "not a", "a and 1", "str(a)",
               "repr(a)",
               "'%s' % a", "f'{a}'", "bytes(a)", "list(reversed(a))", "copy.copy(a)", "sum([a, b])",
               "a.relu()", "(a * b + a).relu()", "layer([1.0, 2.0])", "layer([a, b])",
               "swept(a * b + a)", "augmented(a)"]
layer = nn.Layer(2, 1)
for i, p in enumerate(layer.parameters()):
    p.data = i + 0.5


def swept(root):
    root.backward()
    return [v.grad for v in root._prev if isinstance(v, Value)] and root.grad


def augmented(a):
    b = a
    b += 1
    b *= 2
    b -= 1
    return b


def outcome(expression, a, b):
    try:
        found = eval(expression, {**globals(), "a": a, "b": b})
    except Exception as error:
        return type(error).__name__
    return f"a Value of {found.data}" if isinstance(found, Value) else str(found)


def tried(name, cls):
    a, b = cls(2.0), cls(3.0)
    print(name, "; ".join(outcome(expression, a, b) for expression in EXPRESSIONS))


def made(name):
    if name == "getitem":
        return lambda self, i: [5, 6, 7][i]
    return lambda self, *others: GIVEN.get(name, f"{name} of {len(others)}")


for name in [*METHODS, *GIVEN]:
    tried(name, type("Own", (Value,), {"__hash__": Value.__hash__, f"__{name}__": made(name)}))
for name in [*METHODS, *GIVEN]:
    before = vars(Value).get(f"__{name}__")
    setattr(Value, f"__{name}__", made(name))
    tried(name, Value)
    if before is None:
        delattr(Value, f"__{name}__")
    else:
        setattr(Value, f"__{name}__", before)
tried("as it was", Value)
