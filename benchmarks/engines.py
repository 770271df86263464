"""The engines that are compared, each in a process that answers questions (worker.py)."""
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
PUBLISHED = pathlib.Path(sys.prefix) / "micrograd-as-published"


class Engine:
    """How an engine is called and started. `graph` is false where there is none to weigh."""

    def __init__(self, title, micrograd=None, gc="on", graph=True):
        self.title, self.micrograd, self.gc, self.graph = title, micrograd, gc, graph

    def environ(self):
        """The environment in which the right micrograd is found."""
        environ = {**os.environ, "BENCHMARK_GC": self.gc}
        environ.pop("MICROGRAD_ENGINE", None)
        if self.micrograd:
            environ["BENCHMARK_MICROGRAD"] = self.micrograd
        if self.micrograd in ("c", "python"):
            environ["MICROGRAD_ENGINE"] = self.micrograd
        if self.micrograd == "as published":
            paths = [str(PUBLISHED), os.environ.get("PYTHONPATH")]
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return environ


ENGINES = {
    "compiled": Engine("compiled", "c"),
    "reference": Engine("pure reference", "python"),
    "reference-nogc": Engine("pure reference, GC off", "python", gc="off", graph=False),
    "published": Engine("micrograd 0.1.0", "as published"),
    "published-nogc": Engine("micrograd 0.1.0, GC off", "as published", gc="off", graph=False),
    "torch-scalars": Engine("PyTorch 0-d"),
    "torch-tensors": Engine("PyTorch batched", graph=False),
    "xad": Engine("XAD"),
    "casadi": Engine("CasADi SX, built once"),
    "floats": Engine("Python floats", graph=False),
    "c": Engine("C by hand", graph=False),
}


def install_published():
    """micrograd as published, in a folder of its own: it must not replace the compiled one."""
    if not (PUBLISHED / "micrograd").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                        "--target", PUBLISHED, "micrograd==0.1.0"], check=True)


class Process:
    """A worker. `ask` gives its answer, with the time that took as `wall`."""

    def __init__(self, name):
        self.name, self.skipped = name, None
        self.start()

    def start(self):
        """Start, without waiting for the imports."""
        self.process = subprocess.Popen(
            [sys.executable, HERE / "worker.py", self.name], env=ENGINES[self.name].environ(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self):
        """Wait until it can be asked; or say why it never can, in `skipped`."""
        first = self.read()
        self.skipped = first.get("skipped") or first.get("failed")
        return self.skipped is None

    def read(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"failed": f"the process died (exit status {self.process.wait()})"}

    def ask(self, ask, name, **arguments):
        if self.process.poll() is not None:
            self.start()
            if not self.ready():
                return {"failed": self.skipped}
        start = time.perf_counter()
        print(json.dumps({"ask": ask, "name": name, **arguments}), file=self.process.stdin,
              flush=True)
        return {**self.read(), "wall": time.perf_counter() - start}

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def alone(engine, ask, name):
    """One question to a fresh process."""
    process = Process(engine)
    try:
        return process.ask(ask, name) if process.ready() else {"failed": process.skipped}
    finally:
        process.close()
