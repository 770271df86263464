"""Time every workload on every engine, check that the results agree, and write JSON."""
import argparse
import math
import pathlib
import statistics
import subprocess
import sys

from tqdm import tqdm

import conditions
import engines
import report
import workloads
from engines import ENGINES

ROOT = pathlib.Path(__file__).parent.parent
TOLERANCE = 1e-9        # relative, between the results of two engines


class Effort:
    """How long to measure. A run predicted to take longer than `limit` seconds is left out."""

    def __init__(self, quick):
        self.quick = quick
        self.rounds = 3 if quick else 9
        self.round_seconds = 0.01 if quick else 0.05
        self.engine_seconds = 0.2 if quick else 1.5     # for all rounds of one workload
        self.limit = 3 if quick else 10

    def plan(self, first):
        """Runs a round, and rounds, from the first answer; no rounds: the first must do."""
        if 2 * first["seconds"] > self.limit:
            return 0, 0
        if 2 * first["seconds"] > self.engine_seconds:
            return 1, 1
        number = max(1, math.ceil(self.round_seconds / first["seconds"]))
        round_seconds = first["wall"] + number * first["seconds"]
        return number, max(1, min(self.rounds, int(self.engine_seconds / round_seconds)))


def agree(a, b):
    """Whether two lists of results begin alike: a slow engine has the first run's alone."""
    return all(len(x) == len(y) and all(map(close, x, y)) for x, y in zip(a, b))


def close(x, y):
    return math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=1e-12)


def spread(numbers):
    """The median and, as low and high, the quartiles."""
    low, middle, high = (statistics.quantiles(numbers, method="inclusive") if len(numbers) > 1
                         else numbers * 3)
    return {"median": middle, "low": low, "high": high, "rounds": len(numbers)}


def ratio(seconds, others):
    """The median of the ratios within a round; of a single round, which the others' first would
    meet cold, the ratio to their median."""
    if len(seconds) == 1:
        return seconds[0] / statistics.median(others)
    return statistics.median([s / o for s, o in zip(seconds, others)])


class History:
    """What an engine took for the workloads of a sweep so far, to foresee the next."""

    def __init__(self):
        self.seconds, self.failures = {}, {}

    def objection(self, engine, entry, limit):
        """Why not to try, or None."""
        key = engine, entry.sweep
        nodes, reason = self.failures.get(key, (math.inf, None))
        if nodes < entry.nodes:
            return {"failed": reason}
        if key in self.seconds:
            nodes, seconds = self.seconds[key]
            foreseen = 2 * seconds * entry.nodes / nodes    # the model has to be made, too
            if foreseen > limit:
                return {"skipped": f"would take about {foreseen:.0f} s"}

    def note(self, engine, entry, answer):
        if "failed" in answer:
            self.failures[engine, entry.sweep] = entry.nodes, answer["failed"]
        elif "seconds" in answer:
            seconds = answer["seconds"] + answer.get("build_seconds", 0)
            self.seconds[engine, entry.sweep] = entry.nodes, seconds


class Suite:
    def __init__(self, quick, only, kinds):
        self.effort, self.history = Effort(quick), History()
        self.entries = {name: entry for name, entry in workloads.entries(quick).items()
                        if not kinds or name.split("-")[0] in kinds}
        self.processes, self.skipped = {}, {}
        self.only = only or list(ENGINES)

    def start(self):
        for name in self.only:
            if ENGINES[name].micrograd == "as published":
                try:
                    engines.install_published()
                except subprocess.CalledProcessError as error:
                    self.skipped[name] = f"could not be installed: {error}"
                    continue
            self.processes[name] = engines.Process(name)
        for name, process in list(self.processes.items()):
            if not process.ready():
                self.skipped[name] = process.skipped
                del self.processes[name]

    def first_answers(self, name, entry, bar):
        answers = {}
        for engine, process in self.processes.items():
            bar.set_postfix_str(f"{name}, {ENGINES[engine].title}")
            objection = entry.sweep and self.history.objection(engine, entry, self.effort.limit)
            answers[engine] = objection or self.first_answer(process, name)
            if entry.sweep:
                self.history.note(engine, entry, answers[engine])
            bar.update()
        return answers

    def first_answer(self, process, name):
        prepared = process.ask("prepared", name)
        if list(prepared) != ["wall"]:
            return prepared
        answer = process.ask("round", name, number=0)
        if answer.get("seconds", 1) < 0.1:      # the first run may take thirty times as long
            number = math.ceil(self.effort.round_seconds / answer["seconds"])
            answer = process.ask("round", name, number=number)
        return answer

    def measure(self, name, entry, bar):
        """The results of one workload: rounds over the engines in turn."""
        answers = self.first_answers(name, entry, bar)
        plans = {e: self.effort.plan(a) for e, a in answers.items() if "seconds" in a}
        samples = {e: [] for e in plans}
        for turn in range(max((rounds for _, rounds in plans.values()), default=0)):
            for engine, (number, rounds) in plans.items():
                if turn < rounds:
                    samples[engine].append(
                        self.processes[engine].ask("round", name, number=number))
        if entry.patches:
            for process in self.processes.values():
                process.close()         # the next question starts it anew
        samples = {engine: rounds or [answers[engine]] for engine, rounds in samples.items()}
        return self.summary(answers, plans, samples)

    def summary(self, answers, plans, samples):
        compiled = [s.get("seconds") for s in samples.get("compiled", [])]
        standard = self.standard(plans, answers, samples)
        return {e: self.line(answer, samples.get(e), compiled, standard)
                for e, answer in answers.items()}

    def standard(self, plans, answers, samples):
        """The results to compare with: the reference's, or those of the first engine there is."""
        engine = next((e for e in ("reference", *plans) if e in plans), None)
        found = [a["results"] for a in [*samples.get(engine, []), answers.get(engine, {})]
                 if "results" in a]
        return max(found, key=len, default=None)

    def line(self, answer, samples, compiled, standard):
        """One engine's seconds, spread, ratio and verdict."""
        for given in [answer, *(samples or [])]:
            if "seconds" not in given:
                return {k: v for k, v in given.items() if k in ("failed", "skipped")}
            if not agree(given["results"], standard):
                return {"wrong": f"{given['results']} instead of {standard}"}
        seconds = [s["seconds"] for s in samples]
        line = spread(seconds)
        if "build_seconds" in answer:
            line["build_seconds"] = answer["build_seconds"]
        if compiled and None not in compiled:
            line["ratio"] = ratio(seconds, compiled)
        return line

    def nodes(self, name, entry):
        if entry.nodes:
            return entry.nodes
        process = self.processes.get("reference") or self.processes.get("compiled")
        return process.ask("nodes", name)["nodes"] if process else None

    def weigh(self, results, bar):
        """Bytes a node and peak memory, each in a process of its own."""
        for name in self.weighed():
            weights = {}
            for engine in self.processes:
                if ENGINES[engine].graph and "median" in results[name]["results"].get(engine, {}):
                    bar.set_postfix_str(f"memory of {name}, {ENGINES[engine].title}")
                    weights[engine] = self.weight(engine, name)
                bar.update()
            results[name]["memory"] = weights

    def weighed(self):
        """The workloads whose memory is measured: smaller ones fit into what a process has."""
        return [name for name, entry in self.entries.items()
                if entry.sweep in report.SWEEPS and entry.nodes > 9000]

    def weight(self, engine, name):
        answer = engines.alone(engine, "memory", name)
        if "bytes" not in answer:
            return {k: v for k, v in answer.items() if k != "wall"}
        return {"bytes_per_node": answer["bytes"] / self.entries[name].nodes,
                "peak": answer["peak"]}

    def run(self):
        self.start()
        total = len(self.processes) * (len(self.entries) + len(self.weighed()))
        results = {}
        with tqdm(total=total, unit="part", file=sys.stdout) as bar:
            for name, entry in self.entries.items():
                results[name] = {"title": entry.title, "sweep": entry.sweep,
                                 "nodes": self.nodes(name, entry),
                                 "results": self.measure(name, entry, bar)}
            self.weigh(results, bar)
        for process in self.processes.values():
            process.close()
        return {"quick": self.effort.quick, "machine": conditions.machine(),
                "versions": conditions.versions(),
                "engines": {n: ENGINES[n].title for n in self.only}, "skipped": self.skipped,
                "workloads": results}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: a check")
    parser.add_argument("--json", type=pathlib.Path, help="where to write the numbers")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this engine")
    parser.add_argument("--kind", action="append",
                        help="only workloads of this kind, as mlp or own")
    options = parser.parse_args()
    default = "build/benchmarks/quick.json" if options.quick else "benchmarks/results/speed.json"
    path = options.json or ROOT / default
    data = Suite(options.quick, options.engine, options.kind).run()
    report.write(data, path)
    print(report.rendered(data), f"written: {path}", sep="\n")
    sys.exit(1 if report.wrong(data) else 0)


if __name__ == "__main__":
    main()
