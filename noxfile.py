"""The project's jobs, each in an environment of its own: `nox -l` lists them.

    nox -s test -- tests/test_nn.py -q      the tests of one file
    nox -s test -P 3.12                     the tests on another Python
    nox -s lint docs                        several jobs
"""
import hashlib
import pathlib

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["test", "lint", "docs"]

ROOT = pathlib.Path(__file__).resolve().parent
COMPILED = {"MICROGRAD_ENGINE": "c"}        # a missing compiled engine is an error
EVERYWHERE = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]


@nox.session
def demo(session):
    """Train the two-moons classifier, and draw what it learned."""
    prepare(session, "demo")
    session.run("python", "examples/moons.py", *session.posargs, env=COMPILED)


@nox.session
def test(session):
    """Run the tests, or those of the files named."""
    prepare(session, "test")
    session.run("pytest", *spread(session.posargs), *session.posargs, env=COMPILED,
                interrupt_timeout=None)


@nox.session
def bench(session):
    """Measure the engine beside its peers (--quick: two minutes, to see that they agree)."""
    prepare(session, "bench")
    session.run("python", "benchmarks/suite.py", *session.posargs, env=COMPILED)


@nox.session
def sanitize(session):
    """Run the tests under AddressSanitizer and a debug allocator (--quick: two minutes)."""
    prepare(session, "sanitize")
    session.run("python", "tools/sanitize.py", *session.posargs, env=COMPILED)


@nox.session
def cover(session):
    """Say which lines of csrc/ the tests do not reach."""
    prepare(session, "cover", build=False)      # it builds for itself
    session.run("python", "tools/cover.py", *spread(session.posargs), *session.posargs,
                env=COMPILED, interrupt_timeout=None)


@nox.session
def fuzz(session):
    """Run programs in bytes, made up by a fuzzer: run SECONDS, minimise, replay FILE."""
    prepare(session, "fuzz", build=False)       # it builds for itself
    session.run("python", "tools/fuzz.py", *session.posargs, env=COMPILED, interrupt_timeout=None)


@nox.session
def prove(session):
    """Run all tests that look for errors, at length, and record what they found."""
    prepare(session, "prove")
    session.run("python", "tools/prove.py", *session.posargs, env=COMPILED, interrupt_timeout=None)


@nox.session
def wheels(session):
    """Build the sdist and a wheel for each Python named, and test them."""
    prepare(session, "wheels", build=False)
    session.run("python", "tools/wheels.py", *session.posargs, external=True)


@nox.session
def lint(session):
    """Check the style of Python and Cython."""
    prepare(session, "lint", build=False)
    session.run("ruff", "check", ".")
    session.run("cython-lint", "csrc")


@nox.session
def docs(session):
    """Build the pages of docs/ into build/docs (serve: show them at localhost:8000)."""
    prepare(session, "docs", build=False)
    serve = "serve" in session.posargs
    session.run("mkdocs", *(["serve"] if serve else ["build", "--strict", "--quiet"]))


def spread(words):
    """Tests are spread over the processors, but for those that are named: they are few, and in one
    process pytest can show what they print and stop in a debugger."""
    return [] if any(word.startswith("tests") for word in words) else EVERYWHERE


def prepare(session, group, build=True):
    """Install a dependency group and micrograd, each only if it has changed since."""
    pyproject = nox.project.load_toml("pyproject.toml")
    packages = repr(nox.project.dependency_groups(pyproject, group))
    once(session, "packages", packages, "--group", group)
    if build:
        once(session, "micrograd", sources(), "--force-reinstall", "--no-deps", ".")


def once(session, name, state, *arguments):
    """pip install, unless this was done in the same state before."""
    stamp = pathlib.Path(session.virtualenv.location) / f"{name}.stamp"
    state = hashlib.sha256(state.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        session.install(*arguments)
        stamp.write_text(state)


def sources():
    """All that a build of micrograd reads, as one text."""
    files = [ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "README.md"]
    files += [path for folder in ("csrc", "micrograd")
              for path in sorted((ROOT / folder).glob("*.*"))]
    return "\n".join(f"{path.relative_to(ROOT)}\n{path.read_text()}" for path in files
                     if path.suffix not in (".so", ".pyd"))
