"""Fuzz the compiled engine with programs in bytes (program.py), guided by coverage of its C code.

    python3 run.py fuzz run SECONDS     fuzz; new programs go to a folder beside the build
    python3 run.py fuzz minimise        keep in tests/fuzz/corpus a small set that reaches as much
    python3 run.py fuzz replay FILE     run the program that a crash has left in a file crash-...

Each builds the engine first, with AddressSanitizer and coverage: needs gcc on Linux, and atheris.
"""
import ctypes
import gc
import os
import pathlib
import subprocess
import sys
import warnings

import sanitize

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
BUILD = pathlib.Path(sys.prefix) / "micrograd-fuzz"
CORPUS = TESTS / "fuzz" / "corpus"
COVERAGE = f"-fsanitize-coverage=trace-pc -include {HERE / 'coverage.h'}"
OPTIONS = ["-max_len=200", "-timeout=60", "-rss_limit_mb=3000", "-handle_int=0",
           "-print_final_stats=1", "-reload=0", "-len_control=0"]


def build():
    (BUILD / "found").mkdir(parents=True, exist_ok=True)
    sanitize.build(BUILD / "lib", COVERAGE)


def again(job, *arguments):
    """Do a job in a process that has the sanitizers loaded, and finds the tests' modules."""
    environ = sanitize.sanitized(BUILD / "lib")
    environ["PYTHONPATH"] = os.pathsep.join(map(str, [BUILD / "lib", TESTS, TESTS / "fuzz"]))
    files = [os.path.abspath(word) if os.path.exists(word) else word for word in arguments]
    return subprocess.run([sys.executable, __file__, job, *files], cwd=BUILD,
                          env=environ).returncode


def get_ready():
    """Programs may fail in finalizers and threads, and collections look at the program only."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda *_: None
    gc.collect()
    gc.freeze()


def counters():
    """How often each place of the engine's code was reached."""
    from micrograd import _core
    engine = ctypes.CDLL(_core.__file__)
    count = ctypes.c_int.in_dll(engine, "coverage_places").value
    return (ctypes.c_ubyte * count).in_dll(engine, "coverage_counters")


def show_to_libfuzzer(atheris, counters):
    fuzzer = ctypes.CDLL(str(*pathlib.Path(atheris.__file__).parent.glob("core_with_libfuzzer*")))
    count, start = len(counters), ctypes.addressof(counters)
    places = (ctypes.c_size_t * (2 * count))(*range(1, 2 * count + 1))
    fuzzer.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(start),
                                              ctypes.c_void_p(start + count))
    fuzzer.__sanitizer_cov_pcs_init(
        places, ctypes.c_void_p(ctypes.addressof(places) + ctypes.sizeof(places)))
    return places       # libFuzzer reads it to the end


def fuzz(seconds):
    import atheris

    import program
    places = show_to_libfuzzer(atheris, counters())
    get_ready()
    atheris.Setup(
        [sys.argv[0], str(BUILD / "found"), str(CORPUS), f"-max_total_time={seconds}", *OPTIONS],
        program.run)
    atheris.Fuzz()      # does not return
    return places


def minimise():
    import program
    get_ready()
    reached = counters()

    def places(file):
        """Those that the program reaches, as the bits of an int."""
        ctypes.memset(reached, 0, len(reached))
        program.run(file.read_bytes())
        return int.from_bytes(bytes(map(bool, reached)), "big")

    files = sorted([*CORPUS.iterdir(), *(BUILD / "found").iterdir()],
                   key=lambda file: file.stat().st_size)
    kept = {file.name[:12]: file.read_bytes()
            for file in cover({file: places(file) for file in files})}
    for file in CORPUS.iterdir():
        file.unlink()
    for name, data in kept.items():
        (CORPUS / name).write_bytes(data)
    print(f"{len(files)} programs, {len(kept)} kept")


def replay(file):
    import program
    get_ready()
    program.run(pathlib.Path(file).read_bytes())


def cover(places):
    """Which of {file: places} to keep: the one that reaches most, then the one that reaches most of
    what is left, and so on. (libFuzzer's own merge counts visits, too, and keeps hundreds.)"""
    while any(places.values()):
        best = max(places, key=lambda file: places[file].bit_count())
        yield best
        places = {file: more & ~places[best] for file, more in places.items()}


def main(job="", *arguments):
    jobs = {"run": fuzz, "minimise": minimise, "replay": replay}
    if job.removeprefix("inside-") not in jobs:
        sys.exit(__doc__)
    if job in jobs:
        build()
        return again(f"inside-{job}", *arguments)
    return jobs[job.removeprefix("inside-")](*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
