"""Run the tests where memory errors cannot hide:

    address     under AddressSanitizer and UndefinedBehaviorSanitizer, with a block of memory for
                every Value, every block of the engine counted, and allocations that fail
                (tests/allocations.h)
    debug       under Python's debug allocator, with fresh and freed memory filled

    python3 run.py sanitize [test files]        one after the other; needs gcc on Linux
    python3 run.py sanitize debug [test files]  one of them; debug needs no gcc
    python3 run.py sanitize --quick             the tests that look for such errors, in two minutes
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(sys.prefix) / "sanitized"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# Those that look at how much memory or time the process takes, which a sanitizer changes.
NOT_HERE = ("not five_million and not does_not_grow and not by_python_itself and not interrupt "
            "and not test_a_limit and not long_chain")
EVERYWHERE = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
QUICK = ["test_attacks.py", "test_callbacks.py", "test_memory.py", "test_engine.py",
         "test_failures.py", "test_fuzz.py", "test_machine.py", "test_properties.py",
         "test_threads.py"]


def library(name):
    return subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()


def build(target=TARGET, flags=""):
    """The engine with sanitizers, into the folder target."""
    flags = (f"{FLAGS} {flags} -include {ROOT / 'tests' / 'allocations.h'} "
             "-fno-omit-frame-pointer -g")
    environ = {**os.environ, "LDFLAGS": FLAGS, "CFLAGS": f"{flags} -DMICROGRAD_CHUNK=128"}
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
                    "--no-cache-dir", "--target", target, ROOT], env=environ, check=True)


def sanitized(target=TARGET):
    """The environment of a process that uses that build."""
    return {**os.environ, "PYTHONPATH": str(target), "PYTHONMALLOC": "malloc",
            "MICROGRAD_ENGINE": "c", "MICROGRAD_SMALLER": "20",
            "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:malloc_context_size=10"}


def tests(files, environ):
    command = [sys.executable, "-m", "pytest", "-q", *EVERYWHERE, "-p", "no:cacheprovider", "-k",
               NOT_HERE]
    return subprocess.run([*command, *files], env=environ, cwd=TARGET.parent).returncode


def address(files):
    print("AddressSanitizer and UndefinedBehaviorSanitizer", flush=True)
    build()
    return tests(files, sanitized())


def debug(files):
    print("Python's debug allocator", flush=True)
    return tests(files, {**os.environ, "PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165"})


JOBS = {"address": address, "debug": debug}


def main(arguments):
    jobs = [JOBS[word] for word in arguments if word in JOBS] or JOBS.values()
    files = [word for word in arguments if word not in JOBS]
    if "--quick" in files:
        files = [f"tests/{name}" for name in QUICK]
        os.environ.setdefault("MICROGRAD_EXAMPLES", "30")
    files = [ROOT / file for file in files or ["tests"]]
    return int(any([job(files) for job in jobs]))     # both, also where the first one fails


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
