"""One engine in a process of its own: reads a question a line, answers a line, in JSON.

    python worker.py ENGINE         answer questions until the input ends
"""
import gc
import json
import os
import sys
import time


def micrograd():
    """The micrograd on the path, whichever it is."""
    import micrograd.engine
    found = getattr(micrograd.engine, "__engine__", "as published")
    wanted = os.environ["BENCHMARK_MICROGRAD"]
    if found != wanted:
        raise ImportError(f"the micrograd found is {found!r}, not {wanted!r}")
    return lambda kind, workload: workload


def only(kinds):
    """Peers that have some workloads, written by hand."""
    def prepare(kind, workload):
        if kind not in kinds:
            raise NotImplementedError("not written for this engine")
        return kinds[kind](workload)
    return prepare


def torch_tensors():
    import tensors
    return only(tensors.KINDS)


def floats():
    import floors
    return only(floors.FLOATS)


def c_floor():
    import floors
    floors.compile_c()
    return only(floors.C)


def opened(engine):
    """The function that turns a workload into one that the engine can run."""
    import peers
    makers = {"torch-scalars": peers.torch_scalars, "torch-tensors": torch_tensors,
              "xad": peers.xad, "casadi": peers.casadi, "floats": floats, "c": c_floor}
    return makers.get(engine, micrograd)()


def peak_memory():
    """The largest resident size of this process so far, in bytes."""
    try:
        with open("/proc/self/status") as status:   # getrusage would count the parent's as well
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10


class Worker:
    def __init__(self, engine):
        self.prepare = opened(engine)
        import workloads  # not before: a peer's stand-in must be in place
        self.entries, self.name, self.workload = workloads.entries(), None, None
        if os.environ.get("BENCHMARK_GC") == "off":
            gc.disable()

    def open(self, name):
        if name != self.name:
            self.name = self.workload = None
            gc.collect()
            self.workload = self.prepare(name.split("-")[0], self.entries[name].make())
            self.name = name

    def prepared(self, name):
        """Make the workload ready, so that the time of a round does not have that."""
        self.open(name)
        return {}

    def timed(self, number):
        run = self.workload.run
        start = time.perf_counter()
        for _ in range(number):
            run()
        return (time.perf_counter() - start) / number

    def round(self, name, number):
        """Seconds a run, with the release of the graph before; of the first run alone where number
        is 0. The results are those of the first runs, from the first state."""
        self.open(name)
        gc.collect()                    # where the collector is off, this alone frees the graphs
        self.workload.reset()
        answer = {"seconds": self.timed(1), "results": [self.workload.result()]}
        if number:
            answer["seconds"] = self.timed(1)
            answer["results"].append(self.workload.result())    # a step from the changed state
        if number > 1:
            answer["seconds"] = self.timed(number)
        if hasattr(self.workload, "build_seconds"):
            answer["build_seconds"] = self.workload.build_seconds
        return answer

    def nodes(self, name):
        self.open(name)
        return {"nodes": self.workload.nodes()}

    def memory(self, name):
        """Bytes that the graph takes, and the peak of the process after its backward pass."""
        self.open(name)
        gc.collect()
        before = peak_memory()
        self.workload.forward()
        graph = peak_memory() - before
        self.workload.backward()
        return {"bytes": graph, "peak": peak_memory()}

    def answer(self, ask, **arguments):
        try:
            return getattr(self, ask)(**arguments)
        except NotImplementedError as error:
            return {"skipped": str(error)}
        except (Exception, MemoryError) as error:
            return {"failed": f"{type(error).__name__}: {error}"}


def main(engine):
    replies, sys.stdout = sys.stdout, sys.stderr        # a peer that prints must not disturb

    def reply(answer):
        print(json.dumps(answer), file=replies, flush=True)

    try:
        worker = Worker(engine)
    except Exception as error:
        return reply({"skipped": f"{type(error).__name__}: {error}"})
    reply({"ready": engine})
    for line in sys.stdin:
        reply(worker.answer(**json.loads(line)))


if __name__ == "__main__":
    main(sys.argv[1])
