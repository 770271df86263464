"""Time programs whose class is a subclass of Value or is put on Value (tests/programs/lessons).

    python benchmarks/open_class.py [ROUNDS]    multiples of the time of micrograd 0.1.0

The tests check that they print the same. Each run has a process of its own; imports are not timed.
"""
import pathlib
import statistics
import subprocess
import sys

import engines
from report import duration

PROGRAMS = pathlib.Path(__file__).parent.parent / "tests" / "programs" / "lessons"
CODE = """
import collections, math, pathlib, random, sys, time
import micrograd.engine, micrograd.nn
code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1], "exec")
start = time.perf_counter()
exec(code, {"__name__": "__main__"})
print(time.perf_counter() - start)
"""


def seconds(program, engine):
    ran = subprocess.run([sys.executable, "-c", CODE, program], env=engines.ENGINES[engine].environ(),
                         cwd=sys.prefix, stdout=subprocess.PIPE, text=True, check=True)
    return float(ran.stdout.split()[-1])


def main(rounds=7):
    engines.install_published()
    slower = []
    for program in sorted(PROGRAMS.glob("*.py")):
        pairs = [(seconds(program, "compiled"), seconds(program, "published")) for _ in range(int(rounds))]
        multiple = statistics.median(ours / theirs for ours, theirs in pairs)
        ours, theirs = (duration(statistics.median(column)) for column in zip(*pairs))
        print(f"{program.stem:12} {multiple:.2f}   {ours} instead of {theirs}", flush=True)
        slower += [program.stem] * (multiple > 1)
    sys.exit(f"slower than micrograd 0.1.0: {', '.join(slower)}" if slower else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
