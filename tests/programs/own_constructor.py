"""Constructors of the program's own that set every attribute, under the engine's operators."""
from micrograd import nn
from micrograd.engine import Value


def init(self, data, _children=(), _op=""):
    self.data, self.grad = data, 0
    self._backward, self._prev, self._op = lambda: None, set(_children), _op


def show(root, *leaves):
    for v in leaves:
        v.grad = 0
    root.backward()
    print(root, root._op, len(root._prev), *[v.grad for v in leaves])


class Own(Value):
    __init__ = init


def run(make):
    a, b = make(2.0), make(-3.0)
    show(a * b + a, a, b)
    show((a - b) / 4, a, b)
    show(a**3 + b.relu() + a.relu(), a, b)
    show(sum([a, b, a * 2]), a, b)
    root = a * b
    root._prev = [a]                    # the sweep goes by `_prev`, the rule by the operands
    show(root, a, b)
    root._prev = root._prev + [b]
    show(root + 1, a, b)
    v = make(1.0)
    v._prev = {v, a}
    v._op = "own"
    show(v, a)
    v.__init__(5.0, (b,))
    show(v, b)
    del v._prev
    print(hasattr(v, "_prev"), v._op == "")


run(Value)
run(Own)
Value.__init__ = init
run(Value)
run(Own)
model = nn.MLP(2, [3, 1])
for i, p in enumerate(model.parameters()):
    p.data = (i * 7 % 5 - 2) / 4
out = model([1.0, 2.0])
out.backward()
print(out.data, [p.grad for p in model.parameters()])
