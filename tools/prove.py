"""The extended run: the tests that look for errors, at length, one part after the other, each in
processes of its own.

    python3 run.py prove [--minutes N]    all of it, in about 45 minutes, and N of fuzzing: 60 if
                                          unset, 0 for none
    python3 run.py prove depth fuzz       these parts, beside what was recorded of this engine
                                          before
    python3 run.py prove --quick          all of it with small numbers, to see that it works

Needs gcc on Linux. After each part, what is known is written to tools/results/extended.json and as
a table into docs/promises.md; of a quick run, to build/prove/quick.json alone. What a part prints
goes to build/prove/PART.log. The status is 0 if no part failed.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import page

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
LOGS = ROOT / "build" / "prove"
PACKAGES = ["micrograd-native", "pytest", "hypothesis", "numpy", "torch", "atheris"]


class Effort(NamedTuple):
    programs: int       # of each property, and of the state machine
    steps: int          # of each script that watches memory
    minutes: float      # of fuzzing
    tests: list         # under the sanitizers and the debug allocator


WHOLE = Effort(programs=20_000, steps=200_000, minutes=60, tests=[])
QUICK = Effort(programs=100, steps=1_000, minutes=0.2, tests=["--quick"])


class Part(NamedTuple):
    files: str          # that it runs
    command: list       # of Python
    counts: dict        # what to count in its output; without the first, nothing was done
    environ: dict = {}


# What there is to count.

def total(pattern):
    return lambda text: sum(map(int, re.findall(pattern, text)))


def largest(pattern, number=int):
    return lambda text: max(map(number, re.findall(pattern, text, re.M)), default=0)


TESTS = {"tests": total(r"(\d+) passed")}
PROGRAMS = {"programs": total(r"(\d+) passing")}
STEPS = {"steps": total(r"(\d+) steps:")}
INTERRUPTS = {**TESTS,
              "s from Ctrl-C to KeyboardInterrupt": largest(r"([\d.]+) s to Keyboard", float)}
FUZZED = {"executions": largest(r"^(?:#|stat::number_of_executed_units: )(\d+)"),
          "crashes": lambda text: len(re.findall(r"Test unit written to (?!\S*slow-unit)", text))}


def parts(effort):
    """{name: Part}"""
    def pytest(files, counts, **environ):
        options = ["-s", "-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics"]
        paths = [ROOT / "tests" / file for file in files.split()]
        return Part(files, ["-m", "pytest", *options, *paths], counts, environ)

    def script(file, counts, *arguments):
        return Part(file, [HERE / file, *arguments], counts)

    examples = {"MICROGRAD_EXAMPLES": f"{effort.programs}"}
    found = {
        "properties": pytest("test_properties.py test_gradients.py", PROGRAMS, **examples),
        "machine": pytest("test_machine.py", PROGRAMS, **examples),
        "lifetimes": pytest("test_lifetimes.py", STEPS, MICROGRAD_STEPS=f"{effort.steps}"),
        "depth": pytest("test_depth.py", TESTS),
        "threads": pytest("test_threads.py", INTERRUPTS),
        "address": script("sanitize.py", TESTS, "address", *effort.tests),
        "debug": script("sanitize.py", TESTS, "debug", *effort.tests),
        "fuzz": script("fuzz.py", FUZZED, "run", f"{effort.minutes * 60:.0f}"),
    }
    if not effort.minutes:
        del found["fuzz"]
    return found


def run(name, part):
    """Run a part; what to record of it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    print(f"{name}: ", end="", flush=True)
    start = time.monotonic()
    with open(log, "w") as out:
        result = ended(start_process(part, out))
    seconds = time.monotonic() - start
    text = log.read_text(errors="replace")
    counts = {what: count(text) for what, count in part.counts.items()}
    if result == "passed" and not counts[next(iter(counts))]:
        result = "failed"
    print(result if result == "passed" else f"{result}\n{text[-3000:]}\nsee {log}", flush=True)
    return {"files": part.files.split(), "commit": commit(), "counts": counts, "seconds": seconds,
            "result": result}


def start_process(part, out):
    command = [sys.executable, *map(str, part.command)]
    return subprocess.Popen(command, env={**os.environ, **part.environ}, stdout=out, stderr=out,
                            cwd=sys.prefix,     # far from the source, which Python would import
                            start_new_session=True)


def ended(process):
    """How the process ended; on Ctrl-C it and its children are asked to end, and then made to."""
    try:
        return "failed" if process.wait() else "passed"
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        return "interrupted"


def prove(chosen, record, write):
    """Run the parts, and write the record after each; whether none has failed."""
    for name, part in chosen.items():
        record["parts"][name] = run(name, part)
        write(record)
        if record["parts"][name]["result"] == "interrupted":
            return False
    return all(part["result"] == "passed" for part in record["parts"].values())


def about():
    """What was tested, by what, and where."""
    asked = subprocess.check_output([sys.executable, ROOT / "benchmarks" / "conditions.py"],
                                    cwd=sys.prefix)
    return {"engine": engine(), "machine": json.loads(asked),
            "versions": {name: version(name) for name in PACKAGES}}


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def engine():
    """The source of the package, as git knows it: equal in all commits that leave it alone."""
    return {folder: git("rev-parse", f"HEAD:{folder}") for folder in ("csrc", "micrograd")}


def commit():
    changes = git("status", "--porcelain", "--", ".", ":!tools/results", ":!docs/promises.md")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changes else "")


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def earlier(record, path):
    """The record there is, if it is of the same engine, versions and machine as this empty one."""
    before = json.loads(path.read_text()) if path.exists() else record
    return before if {**before, "parts": {}} == record else record


def options():
    plainly = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plainly)
    parser.add_argument("parts", nargs="*", help="only these parts")
    parser.add_argument("--minutes", type=float, help="how long to fuzz")
    parser.add_argument("--quick", action="store_true", help="small numbers: a check")
    return parser.parse_args()


def main():
    given = options()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    effort = QUICK if given.quick else WHOLE
    if given.minutes is not None:
        effort = effort._replace(minutes=given.minutes)
    there = parts(effort)
    path = LOGS / "quick.json" if given.quick else page.NUMBERS
    record = {**about(), "parts": {}}
    if given.parts:
        there = {name: there[name] for name in given.parts}
        record = earlier(record, path)

    def write(record):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        if not given.quick:
            page.write(record)

    passed = prove(there, record, write)
    print(page.numbers(record), f"written: {path}", sep="\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
