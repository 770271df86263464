"""Time programs whose class is a subclass of Value or is put on Value (tests/programs/lessons).

    python benchmarks/open_class.py [ROUNDS]    multiples of the time of micrograd 0.1.0

The fastest of ROUNDS runs, in the processor's time, each in a process of its own and without the
imports. The tests check that the programs print the same.
"""
import pathlib
import subprocess
import sys

import engines
from report import duration

PROGRAMS = pathlib.Path(__file__).parent.parent / "tests" / "programs" / "lessons"
CODE = """
import collections, math, pathlib, random, sys, time
import micrograd.engine, micrograd.nn
code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1], "exec")
start = time.process_time()
exec(code, {"__name__": "__main__"})
print(time.process_time() - start)
"""


def seconds(program, engine):
    ran = subprocess.run([sys.executable, "-c", CODE, program],
                         env=engines.ENGINES[engine].environ(),
                         cwd=sys.prefix, stdout=subprocess.PIPE, text=True, check=True)
    return float(ran.stdout.split()[-1])


def fastest(program, rounds):
    """On the compiled engine and on micrograd 0.1.0, in turn."""
    runs = [(seconds(program, "compiled"), seconds(program, "published")) for _ in range(rounds)]
    return map(min, zip(*runs))


def main(rounds=7):
    engines.install_published()
    slower = []
    for program in sorted(PROGRAMS.glob("*.py")):
        ours, theirs = fastest(program, int(rounds))
        print(f"{program.stem:12} {ours / theirs:.2f}   {duration(ours)} instead of "
              f"{duration(theirs)}",
              flush=True)
        slower += [program.stem] * (ours > theirs)
    sys.exit(f"slower than micrograd 0.1.0: {', '.join(slower)}" if slower else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
