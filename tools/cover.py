"""Which lines of the engine the tests reach: csrc/ built for gcc's gcov, by the lines that Cython names.

    python3 run.py cover [arguments of pytest]      needs gcc; 10 minutes
"""
import json
import os
import pathlib
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "cover"
INCLUDE = ["-I", sysconfig.get_path("include"), "-I", ROOT / "csrc"]


def build():
    """micrograd with counters, into build/cover/micrograd."""
    package = HOME / "micrograd"
    package.mkdir(parents=True, exist_ok=True)
    for path in [*(ROOT / "micrograd").glob("*.py*"), *HOME.glob("*.gcda")]:
        path.unlink() if path.suffix == ".gcda" else (package / path.name).write_bytes(path.read_bytes())
    run(sys.executable, "-m", "cython", "--line-directives", "--module-name", "micrograd._core",
        "-I", "csrc", "-o", HOME / "_core.c", "csrc/_core.pyx", cwd=ROOT)
    run("gcc", "-c", "--coverage", "-fprofile-update=atomic", "-O1", "-fPIC", "-ffp-contract=off",
        "-DCYTHON_USE_TYPE_SPECS=1", *INCLUDE, "_core.c")
    run("gcc", "--coverage", "-shared", "-pthread", "_core.o", "-o",
        package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}")


def run(*command, cwd=HOME):
    subprocess.run(command, cwd=cwd, check=True)


def counted():
    """{file: {line: how often it ran}}"""
    said = subprocess.run(["gcov", "--json-format", "--stdout", "_core.gcda"], cwd=HOME, check=True,
                          stdout=subprocess.PIPE)
    files = {}
    for file in json.loads(said.stdout)["files"]:
        lines = files.setdefault(pathlib.Path(file["file"]).name, {})
        for line in file["lines"]:
            lines[line["line_number"]] = lines.get(line["line_number"], 0) + line["count"]
    return files


def is_code(text):
    return text.strip() and not text.strip().startswith(("#", '"""', "//", "/*"))


def report(files):
    """A line for each file, and the lines of it that did not run."""
    for path in sorted((ROOT / "csrc").glob("*.*")):
        text = path.read_text().splitlines()
        lines = {n: count for n, count in files.get(path.name, {}).items()
                 if n <= len(text) and is_code(text[n - 1])}
        missed = sorted(n for n, count in lines.items() if not count)
        print(f"{path.name}: {len(lines) - len(missed)} of {len(lines)}")
        for n in missed:
            print(f"{n:8} {text[n - 1]}")


if __name__ == "__main__":
    build()
    environ = {**os.environ, "PYTHONPATH": str(HOME), "MICROGRAD_ENGINE": "c"}
    subprocess.run(["pytest", *sys.argv[1:]], cwd=ROOT, env=environ)
    report(counted())
