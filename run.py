"""Do one of the project's jobs, with nothing installed but Python and a C compiler:

    python3 run.py demo     build micrograd and train the two-moons classifier with it
    python3 run.py test     build micrograd and run its tests
    python3 run.py JOB ...  any other job of noxfile.py; `python3 run.py` lists them

This makes an environment that has nox, in .nox/, and calls it: with nox at hand,
`nox -s JOB -- ...` is the same.
"""
import os
import pathlib
import signal
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent
HOME = ROOT / ".nox" / "nox-{}.{}".format(*sys.version_info)
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")


def make_environment():
    print(f"making an environment in {HOME}", flush=True)
    venv.create(HOME, clear=True, with_pip=True)
    subprocess.run([BIN / "python", "-m", "pip", "install", "--quiet", "nox"], check=True)
    (HOME / "ready").touch()


def main(job=None, *arguments):
    if not (HOME / "ready").exists():
        make_environment()
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the job, which may clean up
    what = ["--session", job, "--", *arguments] if job else ["--list"]
    return subprocess.run([BIN / "nox", "--noxfile", ROOT / "noxfile.py", *what]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
