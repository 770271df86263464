"""Rows and weights of every type of number: a network forward, backward and after steps."""
import random

import numpy as np

from micrograd import nn
from micrograd.engine import Value


def text(x, digits=4):
    """The type of a number, and the number to so many digits: gradients are sums in any order."""
    return f"{type(x).__name__} {complex(x).real:.{digits}g}"


def train(row_type, weight_type, shape, root):
    random.seed(4)
    model = nn.MLP(2, shape)
    for p in model.parameters():
        p.data = weight_type(p.data)
    rows = np.array([[1, 2], [0, 3], [2, 0], [1, 1]]).astype(row_type)
    for k in range(3):
        scores = [model(list(map(Value, row))) for row in rows] + [model(row) for row in rows]
        outputs = [out for score in scores
                   for out in (score if isinstance(score, list) else [score])]
        if k == 0:          # to the last bit, until a gradient was added
            print(*[repr(out) for out in outputs[:3]], *[text(out.data, 17) for out in outputs])
        print(*[text(out.data) for out in outputs])
        model.zero_grad()
        root(outputs).backward()
        print(*[text(p.grad) for p in model.parameters()])
        for p in model.parameters():
            p.data -= 0.01 * p.grad
        print(*[text(p.data) for p in model.parameters()])


def hinge(outputs):
    return sum((1 + -y * out).relu()
               for out, y in zip(outputs, [1, -1] * 99)) * (1.0 / len(outputs))


def square(outputs):
    return sum((out - y) * (out - y) for out, y in zip(outputs, [0.5, -1.0] * 99))


def first(outputs):
    return outputs[0]


def single(outputs):
    return sum(out * np.float32(0.3) for out in outputs)


for row_type in ("float64", "float32", "int64", "int32", "int8", "uint8", "uint64", "bool"):
    for weight_type in (float, np.float32, np.float64):
        for shape in ([3, 1], [2], [1], [2, 2, 1]):
            for root in (hinge, square, first, single):
                print(row_type, weight_type.__name__, shape, root.__name__)
                train(row_type, weight_type, shape, root)

# The graph inside: data and gradients of every node.
random.seed(1)
model = nn.MLP(2, [2, 1])
for row in ([np.float32(0.1), np.float32(2)], [np.uint8(3), np.bool_(True)],
            [np.float32(0.5), 0.25]):
    out = model(row)
    out.backward()
    seen, stack = [], [out]
    while stack:
        node = stack.pop()
        seen.append((node._op, text(node.data, 17), text(node.grad)))
        stack += node._prev
    print(*sorted(seen), sep="\n")
    print(out.data + np.float32(1), repr(Value(np.float32(0.1)) * 3 + 1),
          repr(Value(0.1) + np.float32(0.1)))

# Texts, as np.array(["0.5", "abc"]) holds them, are no numbers.
for given in np.str_("0.5"), np.bytes_(b"0.5"):
    for compute in (lambda: given + Value(1.0), lambda: Value(1.0) + given,
                    lambda: given * Value(1.0), lambda: given - Value(1.0),
                    lambda: given / Value(2.0), lambda: given * Value(2)):
        try:
            print(compute())
        except TypeError as error:
            print(error)
