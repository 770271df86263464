"""How much memory steps leave behind: what the scripts beside this one are made with.

Each script is run by test_lifetimes.py in a process of its own, and by hand:

    PYTHONPATH=tests python tests/lifetimes/training.py [steps, and as many before to warm up]
"""
import gc
import os
import sys

from allocations import counter, living_allocations

LIMIT = 1_000_000    # bytes; and 20 a step: a Value that is left takes more than four times as much


def resident():
    """The bytes of memory this process has."""
    import resource
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def values_alive():
    """Those in the pool; 0 for the reference, which has none."""
    core = sys.modules.get("micrograd._core")
    return core._count_values() if core else 0


def steps(default):
    return (int(sys.argv[1]) if len(sys.argv) > 1
            else default // int(os.environ.get("MICROGRAD_SMALLER", 1)))


def sanitized():
    """Whether this is a sanitizer's build: it counts the engine's blocks, and keeps freed ones."""
    return "micrograd._core" in sys.modules and counter("living_allocations") is not None


def check(step, default, settle=gc.collect):
    """Run step(i) many times, and as often before to warm up; no Values and no memory may be left.

    A leak leaves memory in every run. Python takes an arena of 1 MB in some run and keeps it, so
    one that leaves nothing is looked for, among three. Of Python's own blocks, not one in a hundred
    steps may be left. Cycles are collected often: where many wait for Python's own collections,
    what is left, like the memory that a layer keeps for its next call, lies in as many arenas.
    """
    count = steps(default)

    def run():
        for i in range(count):
            step(i)
            if i % 1000 == 0:
                gc.collect()
        settle()
        gc.collect()
        engine_blocks = living_allocations() if sanitized() else 0
        return values_alive(), engine_blocks, sys.getallocatedblocks(), resident()

    before = run()
    for _ in range(3):
        after = run()
        values, blocks, python_blocks, growth = (a - b for a, b in zip(after, before))
        print(f"{count} steps: {growth / 1000:+.0f} kB")
        assert values == 0, f"{values} Values are left"
        assert blocks <= 0, f"{blocks} blocks of the engine's memory are left"
        assert python_blocks < 100 + count / 100, f"{python_blocks} of Python's blocks are left"
        if growth < max(LIMIT, 20 * count) or sanitized():
            return
        before = after
    raise AssertionError(f"each run of {count} steps leaves memory, the last one {growth} bytes")
