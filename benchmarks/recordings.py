"""Time recordings beside eager Values and libraries of arrays, check that all agree, print tables.

    python benchmarks/recordings.py             about four minutes, most of them to compile
    python benchmarks/recordings.py --write     the same; the numbers go to results/recordings.json

Each engine has a process of its own on one core, the last that this process may use; they take
turns. The time to the first result begins with the library imported and ends with the first step.
Lines are statements, one a line, without imports: of the engine's function and of all in this
folder that it calls.
"""
import argparse
import ast
import inspect
import itertools
import multiprocessing
import os
import random
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import arrays
import conditions
import microgpt
import moons
import recorded
import report
import suite
from micrograd.nn import MLP, Module

RESULTS = Path(__file__).parent / "results" / "recordings.json"
WORKLOADS = {"moons": "two-moons step", "microgpt": "microgpt",
             "classifier": "MLP(64, [128, 128, 10]), 256 rows",
             "hessian": "Hessian of 63 parameters"}
ENGINES = {"recorded": "recorded", "threads": "recorded, 2 threads", "eager": "not recorded",
           "torch": "PyTorch", "compiled": "torch.compile", "jax": "JAX jit",
           "pytensor": "PyTensor", "casadi": "CasADi"}
TOLERANCE = 1e-9        # relative, between the numbers of two engines


def problem(workload):
    """The weights, as a model or as numbers, and the data."""
    random.seed(1337)
    draw = np.random.RandomState(1337)
    if workload == "moons":
        X, y, model = moons.problem()
        return model, X, y
    if workload == "microgpt":
        return microgpt.initial(), microgpt.tokens()
    if workload == "hessian":
        return draw.normal(size=63).tolist(), draw.normal(size=(8, 4)), draw.normal(size=8)
    model = MLP(64, [128, 128, 10])
    for p in model.parameters():
        p.data *= 0.1               # else the probabilities are 0 and 1
    return model, draw.normal(size=(256, 64)), draw.randint(10, size=256)


def numbers(result):
    """What a step gave, as one flat list."""
    if isinstance(result, MLP):
        return numbers(list(arrays.matrices(result, "grad")))
    if isinstance(result, Module):
        return [p.grad for p in result.parameters()]
    if isinstance(result, (list, tuple)):
        return [x for part in result for x in numbers(part)]
    return np.asarray(result, float).ravel().tolist()


class Worker:
    """An engine, in its own process."""

    def __init__(self, name):
        if hasattr(os, "sched_setaffinity") and name != "threads":
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        self.engine, self.steps = {**recorded.ENGINES, **arrays.ENGINES}[name](), {}
        self.in_values = name in recorded.ENGINES

    def first(self, workload):
        """The answer of `started`, or why there is none."""
        try:
            return self.started(workload)
        except NotImplementedError as error:
            return {"skipped": str(error)}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}".replace("\n", " ")}

    def started(self, workload):
        """The time to the first result, the results, and the lines."""
        data = problem(workload)
        if not self.in_values:
            data = arrays.prepared(workload, *data)
        written = self.written(workload)
        make = partial(*written)
        start = time.perf_counter()
        self.steps[workload] = step = make(*data)
        result = step(0)
        seconds = time.perf_counter() - start
        results = [numbers(result)]
        if workload == "moons":
            results += [numbers(step(k)) for k in range(1, moons.STEPS)]
        return {"first": seconds, "numbers": sum(results, []), "lines": lines(written, self.engine)}

    def written(self, workload):
        """What a person writes: a function and what it takes before the data."""
        if hasattr(self.engine, workload):
            return [getattr(self.engine, workload)]
        how, loss = arrays.KINDS[workload]
        return [getattr(self.engine, how), loss]

    def round(self, workload, seconds=0.1):
        """The time of a step, measured over at least `seconds`."""
        start, step = time.perf_counter(), self.steps[workload]
        for k in itertools.count(1):
            step(k % moons.STEPS)
            passed = time.perf_counter() - start
            if passed > seconds:
                return passed / k


def lines(written, engine):
    """How many statements there are in functions and in all of ours that they name."""
    found, ours = list(written), ("arrays", "recorded", "microgpt")
    for thing in found:             # which grows
        scope = vars(sys.modules[thing.__module__])
        for node in ast.walk(parsed(thing)):
            named = scope.get(getattr(node, "id", None))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = engine if node.value.id == "self" else scope.get(node.value.id)
                named = getattr(owner, node.attr, None)
            if (getattr(named, "__module__", None) in ours and named not in found
                    and (inspect.isroutine(named) or inspect.isclass(named))):
                found.append(named)
    return sum(len([line for line in ast.unparse(parsed(thing)).splitlines() if line])
               for thing in found)


def parsed(thing):
    """Its statements, without docstrings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            del node.body[0]
    return tree


WORKER = None       # of this process, where it has an engine


def begin(name):
    """Open the engine of this process; or why that cannot be."""
    global WORKER
    try:
        WORKER = Worker(name)
    except ImportError as error:
        return str(error)


def ask(question, *arguments):
    return getattr(WORKER, question)(*arguments)


def opened(names):
    """{name: its process} of the engines that are installed."""
    pools = {name: ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for name in names}
    objections = {name: pool.submit(begin, name).result() for name, pool in pools.items()}
    for name, objection in objections.items():
        if objection:
            print(f"{ENGINES[name]}: skipped: {objection}")
            pools.pop(name).shutdown()
    return pools


def measured(workload, pools, rounds, bar):
    """{engine: its times, the time to its first result and its lines, or why it failed}"""
    found, times = {}, {}
    for name, pool in pools.items():
        bar.set_postfix_str(f"{workload}, {ENGINES[name]}")
        found[name] = pool.submit(ask, "first", workload).result()
    compare(found)
    able = [name for name in found if "first" in found[name]]
    for _ in range(rounds):
        for name in able:
            seconds = pools[name].submit(ask, "round", workload).result()
            times.setdefault(name, []).append(seconds)
        bar.update()
    for name, seconds in times.items():
        found[name].update(suite.spread(seconds))
        if "recorded" in times:
            found[name]["ratio"] = suite.ratio(seconds, times["recorded"])
    return found


def compare(found):
    """Take the results out, and say that an engine failed whose results are not the first one's."""
    results = {name: part.pop("numbers") for name, part in found.items() if "numbers" in part}
    first = next(iter(results), None)
    for name, numbers in results.items():
        if (len(numbers) != len(results[first])
                or not np.allclose(numbers, results[first], TOLERANCE, 1e-12)):
            found[name] = {"failed": f"the results differ from those of {ENGINES[first]}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this engine")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this workload")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--write", action="store_true", help=f"write the numbers to {RESULTS.name}")
    options = parser.parse_args()
    workloads = options.workload or list(WORKLOADS)
    with tempfile.TemporaryDirectory() as empty:        # else a first result may come from a cache
        os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TORCHINDUCTOR_CACHE_DIR=empty,
                          PYTENSOR_FLAGS=f"base_compiledir={empty}")
        pools = opened(options.engine or ENGINES)
        with tqdm(total=options.rounds * len(workloads), unit="round", file=sys.stdout) as bar:
            found = {name: {"title": WORKLOADS[name],
                            "results": measured(name, pools, options.rounds, bar)}
                     for name in workloads}
        for pool in pools.values():
            pool.shutdown()
    data = {"machine": conditions.machine(), "versions": conditions.versions(), "engines": ENGINES,
            "workloads": found}
    print(report.recordings(data))
    if options.write:
        report.write(data, RESULTS)
    sys.exit(any("failed" in part for work in found.values() for part in work["results"].values()))


if __name__ == "__main__":
    main()
