"""Do one of the project's jobs in an environment of its own, made on the spot:

    python3 run.py demo     build micrograd and train the two-moons classifier with it
    python3 run.py test     build micrograd and run its tests
    python3 run.py bench    build micrograd and measure it beside its peers (--quick: two minutes)
    python3 run.py sanitize run the tests under AddressSanitizer and a debug allocator
    python3 run.py fuzz     run programs in bytes, made up by a fuzzer
    python3 run.py prove    run all tests that look for errors, at length, and record what they found
    python3 run.py wheels python3.10 python3.11 ...
                            build the sdist and a wheel for each Python named, and test them
"""
import os
import pathlib
import signal
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent
JOBS = {
    "demo": ["python", "benchmarks/moons.py"],
    "test": ["pytest", "tests"],
    "bench": ["python", "benchmarks/suite.py"],
    "sanitize": ["python", "tests/sanitize.py"],
    "fuzz": ["python", "tests/fuzz/fuzz.py"],
    "prove": ["python", "tests/prove.py"],
    "wheels": ["python", "tests/wheels.py"],
}


def main(job, *arguments):
    group = "test" if job == "sanitize" else job
    home = ROOT / ".venv" / group
    if not (home / "ready").exists():
        print(f"making an environment in {home}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        pip(home, "--upgrade", "pip>=25.1")         # knows dependency groups
        pip(home, "--group", group)
        (home / "ready").touch()
    if job not in ("wheels", "fuzz"):               # which build for themselves
        print("building micrograd", flush=True)
        pip(home, "--force-reinstall", "--no-deps", ".")
    program, *rest = JOBS[job]
    signal.signal(signal.SIGINT, lambda *_: None)   # Ctrl-C is for the job, which may have to clean up
    environ = {**os.environ, "MICROGRAD_ENGINE": "c"}  # a missing compiled engine is an error
    return subprocess.run([bin(home, program), *rest, *arguments], cwd=ROOT, env=environ).returncode


def bin(home, program):
    return str(home / ("Scripts" if os.name == "nt" else "bin") / program)


def pip(home, *arguments):
    subprocess.run([bin(home, "python"), "-m", "pip", "install", "--quiet", *arguments],
                   cwd=ROOT, check=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
