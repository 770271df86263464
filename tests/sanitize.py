"""Run the tests where memory errors cannot hide: under AddressSanitizer and UndefinedBehaviorSanitizer,
with a block of memory for every Value, and under Python's debug allocator.

    python3 run.py sanitize [test files]        needs gcc on Linux
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(sys.prefix) / "sanitized"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# Those that look at how much memory the process has, which a sanitizer changes.
NOT_HERE = "not five_million and not does_not_grow"


def library(name):
    return subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()


def build():
    environ = {**os.environ, "LDFLAGS": FLAGS,
               "CFLAGS": f"{FLAGS} -fno-omit-frame-pointer -g -DMICROGRAD_CHUNK=128"}
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
                    "--no-cache-dir", "--target", TARGET, ROOT], env=environ, check=True)


def tests(files, **environ):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NOT_HERE,
               *[ROOT / file for file in files or ["tests"]]]
    return subprocess.run(command, env={**os.environ, **environ}, cwd=TARGET.parent).returncode


def main(files):
    build()
    print("AddressSanitizer and UndefinedBehaviorSanitizer", flush=True)
    failed = tests(files, PYTHONPATH=str(TARGET), PYTHONMALLOC="malloc",
                   LD_PRELOAD=f"{library('libasan.so')} {library('libubsan.so')}",
                   ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1")
    print("Python's debug allocator", flush=True)
    return tests(files, PYTHONMALLOC="debug", MALLOC_PERTURB_="165") or failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
