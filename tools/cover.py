"""Which lines of the engine no test reaches: csrc/ built for gcc's gcov, by Cython's line numbers.

    python3 run.py cover [what pytest takes]        needs gcc
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "cover"
# What is no statement: comments, and headers of functions, which count as run when these fail.
NO_CODE = re.compile(r'\s*($|#|"""|//|/\*|@|(cdef|def) .*[(:,]$)')


def build():
    """micrograd with counters, into build/cover/micrograd."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(ROOT / "micrograd", HOME / "micrograd", ignore=shutil.ignore_patterns("*.so"))
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--force",
                    "--build-lib", HOME, "--build-temp", HOME], cwd=ROOT, check=True,
                   env={**os.environ, "CFLAGS": "--coverage", "LDFLAGS": "--coverage"})


def counted():
    """{file: {line: how often it ran}}"""
    files = {}
    counters, = HOME.rglob("_core.gcda")
    gcov = subprocess.check_output(["gcov", "--json-format", "--stdout", counters], cwd=HOME)
    for file in json.loads(gcov)["files"]:
        lines = files.setdefault(pathlib.Path(file["file"]).name, {})
        for line in file["lines"]:
            lines[line["line_number"]] = lines.get(line["line_number"], 0) + line["count"]
    return files


def report(path, counts):
    """How many of a file's lines ran, and those that did not."""
    text = dict(enumerate(path.read_text().splitlines(), 1))
    lines = [n for n in sorted(counts) if not NO_CODE.match(text.get(n, ""))]
    missed = [f"{n:8} {text[n]}" for n in lines if not counts[n]]
    print(f"{path.name}: {len(lines) - len(missed)} of {len(lines)} lines", *missed, sep="\n")


if __name__ == "__main__":
    build()
    subprocess.run(["pytest", *sys.argv[1:]], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(HOME)})
    for name, counts in sorted(counted().items()):
        if (ROOT / "csrc" / name).exists():
            report(ROOT / "csrc" / name, counts)
