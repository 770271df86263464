"""Time the README's expression and the two-moons step on this Python, and its floor (parts.py).

    python benchmarks/pythons.py >>benchmarks/results/pythons.jsonl    a line of docs/speed.md

In seconds; the median of ROUNDS. For a newer Python:
`tools/pythons run 3.14 python benchmarks/pythons.py`.
"""
import json
import platform
import statistics
import timeit

import conditions
import parts
import workloads

ROUNDS = 300


def expression():
    """The time of the README's expression, forward and backward."""
    workload = workloads.entries(quick=True)["readme"].make()
    return statistics.median(timeit.repeat(workload.run, number=20, repeat=ROUNDS)) / 20


def main():
    graph, floor = (sum(part.values()) / 1e6 for part in parts.measured())
    print(json.dumps({"python": platform.python_version(), "expression": expression(),
                      "step": graph, "floor": floor,
                      "processor": conditions.machine()["processor"]}))


if __name__ == "__main__":
    main()
