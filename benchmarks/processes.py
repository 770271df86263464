"""Whole processes, timed by pyperf, and the summary of a few numbers."""
import pathlib
import statistics
import subprocess
import sys
import tempfile

from engines import ENGINES, HERE


def spread(numbers):
    """The median, and the quartiles where there are enough numbers."""
    low, middle, high = (statistics.quantiles(numbers, method="inclusive") if len(numbers) > 1
                         else numbers * 3)
    return {"median": middle, "low": low, "high": high, "rounds": len(numbers)}


def whole_processes(names, count):
    """By pyperf: a process that imports its engine, runs the README expression and leaves."""
    try:
        import pyperf
    except ImportError as error:
        return {"skipped": str(error)}
    return {name: whole_process(pyperf, name, count) for name in names}


def whole_process(pyperf, name, count):
    program = [sys.executable, str(HERE / "worker.py"), name, "once"]
    environ = ENGINES[name].environ()
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "times.json"
        run = subprocess.run(
            [sys.executable, "-m", "pyperf", "command", "--quiet", "--processes", str(count),
             "--values", "1", "--warmups", "1", "--loops", "1", "--output", str(made),
             "--inherit-environ", ",".join(environ), "--", *program],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode:
            return {"failed": run.stdout.strip().splitlines()[-1]}
        return spread(list(pyperf.BenchmarkSuite.load(str(made)).get_benchmarks()[0].get_values()))
