"""Time sum and map of a recording over rows of many kinds, beside the same functions unrecorded.

    python benchmarks/rows.py [ROUNDS]      multiples of the time of plain nodes; a second

For 200 rows, forward and backward; each number is the median of the ratios within a round. Numbers
and gradients must agree to 1e-9, or the command fails.
"""
import math
import random
import statistics
import sys
import time
import warnings

import numpy as np

from micrograd import MLP, Value, record

ROWS, WIDTH, TOLERANCE = 200, 8, 1e-9


def kinds():
    """{kind: (function of a row, rows)}, and the parameters of the functions."""
    random.seed(1337)
    draw = random.random
    model = MLP(WIDTH, [16, 1])
    weights = [Value(draw()) for _ in range(WIDTH)]

    def neuron(row):
        return sum((x * w for x, w in zip(row, weights)), Value(0)).tanh()

    lists = [[draw() for _ in range(WIDTH)] for _ in range(ROWS)]
    return {
        "numbers": (neuron, lists),
        "an array": (neuron, np.array(lists)),
        "Values": (neuron, [[Value(x) for x in row] for row in lists]),
        "results": (neuron, [[Value(x) * 1 for x in row] for row in lists]),
        "dicts": (lambda row: neuron(row.values()),
                  [dict(zip("abcdefgh", row)) for row in lists]),
        "of many lengths": (neuron, [row[:random.randint(1, WIDTH)] for row in lists]),
        "numbers, an MLP": (model, lists),
        "Values, an MLP": (model, [[Value(x) for x in row] for row in lists]),
    }, weights + model.parameters()


def passed(total, parameters):
    """The time of a pass that gives the total, backward too; its number and the gradients."""
    for p in parameters:
        p.grad = 0
    start = time.perf_counter()
    result = total()
    result.backward()
    return time.perf_counter() - start, [result.data, *[p.grad for p in parameters]]


def ratios(function, rows, parameters, rounds):
    """Of the times of sum and of map to that of plain nodes."""
    recorded = record(function)
    ways = [lambda: sum([function(row) for row in rows]), lambda: recorded.sum(rows),
            lambda: sum(recorded.map(rows))]
    found = []
    for _ in range(rounds + 3):             # the first ones record
        (plain, numbers), *others = [passed(way, parameters) for way in ways]
        for _, other in others:
            assert all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
                       for a, b in zip(numbers, other, strict=True))
        found.append([seconds / plain for seconds, _ in others])
    return [statistics.median(column) for column in zip(*found[3:])]


def main(rounds=100):
    warnings.simplefilter("ignore")         # a recording for each of many lengths
    print(f"{'rows':16}   sum   map")
    functions, parameters = kinds()
    for kind, (function, rows) in functions.items():
        total, each = ratios(function, rows, parameters, int(rounds))
        print(f"{kind:16} {total:5.2f} {each:5.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
