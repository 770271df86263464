"""Fuzz the compiled engine with programs in bytes (program.py), guided by coverage of its C code.

    python tests/fuzz/fuzz.py build             the engine with AddressSanitizer and coverage; gcc, Linux
    python tests/fuzz/fuzz.py run SECONDS       fuzz; new programs go to a folder beside the build
    python tests/fuzz/fuzz.py minimise          keep in corpus/ a small set that reaches as much

Needs atheris (pip install atheris cython setuptools numpy). A crash leaves the program in a file
crash-...; `python tests/fuzz/program.py FILE` replays it.
"""
import ctypes
import pathlib
import shutil
import subprocess
import sys
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import sanitize

BUILD = pathlib.Path(sys.prefix) / "micrograd-fuzz"
COVERAGE = f"-fsanitize-coverage=trace-pc -include {HERE / 'coverage.h'}"


def build():
    sanitize.build(BUILD / "lib", COVERAGE)


def again(*arguments):
    """This script in a process that has the sanitizers loaded."""
    return subprocess.run([sys.executable, __file__, "inside", *map(str, arguments)],
                          cwd=BUILD, env=sanitize.sanitized(BUILD / "lib")).returncode


def show_coverage_to_libfuzzer(atheris):
    from micrograd import _core
    engine = ctypes.CDLL(_core.__file__)
    fuzzer = ctypes.CDLL(str(*pathlib.Path(atheris.__file__).parent.glob("core_with_libfuzzer*")))
    count = ctypes.c_int.in_dll(engine, "coverage_places").value
    counters = ctypes.addressof(ctypes.c_char.in_dll(engine, "coverage_counters"))
    places = (ctypes.c_size_t * (2 * count))(*range(1, 2 * count + 1))
    fuzzer.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(counters), ctypes.c_void_p(counters + count))
    fuzzer.__sanitizer_cov_pcs_init(places, ctypes.c_void_p(ctypes.addressof(places) + ctypes.sizeof(places)))
    return places       # libFuzzer reads it to the end


def inside(arguments):
    import gc
    import atheris
    import program
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda *_: None
    places = show_coverage_to_libfuzzer(atheris)
    gc.collect()
    gc.freeze()         # so that a collection looks at the program only
    atheris.Setup([sys.argv[0], *arguments], program.run)
    atheris.Fuzz()      # does not return
    return places


def fuzz(seconds):
    (BUILD / "found").mkdir(exist_ok=True)
    return again(BUILD / "found", HERE / "corpus", f"-max_total_time={seconds}", "-max_len=200",
                 "-timeout=60", "-rss_limit_mb=3000", "-handle_int=0", "-print_final_stats=1",
                 "-reload=0", "-len_control=0")


def minimise():
    (BUILD / "small").mkdir(exist_ok=True)
    code = again("-merge=1", BUILD / "small", HERE / "corpus", BUILD / "found", "-max_len=200")
    for file in (HERE / "corpus").iterdir():
        file.unlink()
    for file in sorted((BUILD / "small").iterdir()):
        shutil.copy(file, HERE / "corpus" / file.name[:12])
    return code


def main(job="", *arguments):
    jobs = {"build": build, "run": fuzz, "minimise": minimise,
            "inside": lambda *arguments: inside(arguments)}
    if job not in jobs:
        sys.exit(__doc__)
    return jobs[job](*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
