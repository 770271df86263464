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
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "cover"
# What is no statement: comments, and headers of functions, which count as run when these fail.
NO_CODE = re.compile(r'\s*($|#|"""|//|/\*|@|(cdef|def) .*[(:,]$)')


def run(*command):
    return subprocess.run(command, cwd=HOME, check=True, stdout=subprocess.PIPE).stdout


def build():
    """micrograd with counters, into build/cover/micrograd."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(ROOT / "micrograd", HOME / "micrograd", ignore=shutil.ignore_patterns("*.so"))
    run(sys.executable, "-m", "cython", "--line-directives", "--module-name", "micrograd._core",
        "-I", ROOT / "csrc", "-o", "_core.c", ROOT / "csrc" / "_core.pyx")
    run("gcc", "-c", "--coverage", "-O1", "-fPIC", "-ffp-contract=off", "-DCYTHON_USE_TYPE_SPECS=1",
        "-DCYTHON_COMPRESS_STRINGS=0", "-I", sysconfig.get_path("include"), "-I", ROOT / "csrc",
        "_core.c")
    run("gcc", "--coverage", "-shared", "-pthread", "_core.o", "-o",
        f"micrograd/_core{sysconfig.get_config_var('EXT_SUFFIX')}")


def counted():
    """{file: {line: how often it ran}}"""
    files = {}
    for file in json.loads(run("gcov", "--json-format", "--stdout", "_core.gcda"))["files"]:
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
