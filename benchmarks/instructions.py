"""How many instructions each statement of the two-moons step takes, and whose they are.

    python benchmarks/instructions.py

Counts do not vary from run to run as times do. They come from valgrind's callgrind, whose program
and header must be installed, and a C compiler. (It has no AVX-512: the layers are computed with
AVX2.)
"""
import collections
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile

STEPS = 20
REQUESTS = """
#include <valgrind/callgrind.h>
void zero(void) { CALLGRIND_ZERO_STATS; }
void dump(const char *part) { CALLGRIND_DUMP_STATS_AT(part); }
"""
OWNERS = {"/numpy/": "numpy", "/micrograd/": "engine", "python": "Python"}  # by the object's path


class Counter:
    """Stands in for the clock of parts.py: has callgrind write down each part by itself."""

    def __init__(self, library):
        self.requests = ctypes.CDLL(library)

    def start(self):
        self.requests.zero()

    def __call__(self, part):
        self.requests.dump(part.encode())
        self.requests.zero()


def count(library):
    """What runs under callgrind."""
    import moons
    import parts
    X, y, model = moons.problem()
    for k in range(5):
        moons.step(model, X, y, k)
    counter = Counter(library)
    for k in range(STEPS):
        parts.with_graph(counter, X, y, model, k)


def owner(path):
    return next((name for word, name in OWNERS.items() if word in path), "C library")


def read(dump):
    """The part, and {owner: instructions}, of one of callgrind's files."""
    part, who, counts, called = None, None, collections.Counter(), False
    for line in dump.read_text().splitlines():
        if line.startswith("desc: Trigger: Client Request: "):
            part = line.rsplit(": ", 1)[1]
        elif line.startswith("ob="):
            who = owner(line[3:])
        elif line.startswith("calls="):
            called = True       # the next line is what the callee took
        elif re.match(r"[\d+*-]", line):
            if not called:
                counts[who] += int(line.split()[1])
            called = False
    return part, counts


def run(folder):
    source, library = folder / "requests.c", folder / "requests.so"
    source.write_text(REQUESTS)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    subprocess.run(["valgrind", "--tool=callgrind", "--compress-strings=no", "-q",
                    f"--callgrind-out-file={folder}/out",
                    sys.executable, __file__, "count", library], check=True,
                   env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
                   stderr=subprocess.DEVNULL)
    steps = collections.defaultdict(list)
    for dump in sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:])):
        part, counts = read(dump)
        if part:
            steps[part].append(counts)
    return {part: median(counts) for part, counts in steps.items()}


def median(counts):
    """That of the step in the middle: a garbage collection is in one or two of them."""
    return sorted(counts, key=lambda c: sum(c.values()))[len(counts) // 2]


def main():
    with tempfile.TemporaryDirectory() as folder:
        table = run(pathlib.Path(folder))
    owners = [*OWNERS.values(), "C library"]
    print(f"{'thousands a step':18}" + "".join(f"{name:>11}" for name in owners) + f"{'all':>11}")
    table["together"] = sum(table.values(), collections.Counter())
    for part, counts in table.items():
        numbers = [counts[name] / 1e3 for name in owners]
        print(f"{part:18}" + "".join(f"{n:11.0f}" for n in [*numbers, sum(numbers)]))


if __name__ == "__main__":
    count(sys.argv[2]) if sys.argv[1:2] == ["count"] else main()
