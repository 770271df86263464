"""The README's section on speed, out of the committed numbers.

    python benchmarks/readme.py             print it
    python benchmarks/readme.py --write     put it into README.md, in place of the one there
"""
import json
import pathlib
import sys

from report import amount, cell, digits, duration, table

ROOT = pathlib.Path(__file__).parent.parent
NUMBERS = ROOT / "benchmarks" / "results" / "speed.json"
TITLE = "## How fast"
ROWS = ("readme", "chain", "tree", "moons", "microgpt", "mlp-4x2", "mlp-64x2", "mlp-512x2")
COLUMNS = ("compiled", "reference", "published", "torch-scalars", "torch-tensors", "xad", "casadi",
           "c")


def section(data):
    """The section, as Markdown."""
    engines = {e: data["engines"][e] for e in COLUMNS if e in data["engines"]}
    workloads = [data["workloads"][name] for name in ROWS if name in data["workloads"]]
    rows = [[w["title"], *(cell(w["results"].get(e, {})) for e in engines)] for w in workloads]
    parts = [
        TITLE,
        "The median time of one run, forward and backward (a whole training step where it says "
        "step), and in brackets the multiple of the compiled engine's:",
        table(["", *engines.values()], rows),
        collector(data),
        growth(data),
        left_out(data),
        conditions(data),
        "![time in multiples of the compiled engine's](benchmarks/results/speed-ratios.png)\n"
        "![time and memory against graph size](benchmarks/results/speed-growth.png)",
        "How this was measured, and every number: [benchmarks](benchmarks/README.md).",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def collector(data):
    """What the pure engines take when Python's cyclic garbage collector is off."""
    results = data["workloads"]["moons"]["results"]
    found = [f"{data['engines'][e]} {cell(results[e])}"
             for e in ("reference-nogc", "published-nogc") if "median" in results.get(e, {})]
    return found and "The two-moons step with the garbage collector off: " + ", ".join(found) + "."


def growth(data):
    """The largest graph of each engine, its time and memory a node."""
    lines = []
    for engine in ("compiled", "reference", "published", "torch-scalars"):
        for sweep in ("chain", "tree"):
            largest = [w for w in data["workloads"].values()
                       if w["sweep"] == sweep and "median" in w["results"].get(engine, {})]
            if largest:
                lines.append(line(data["engines"][engine], sweep, largest[-1], engine))
    head = ["", "largest graph", "nodes", "a node", "memory a node", "peak"]
    return "The largest graphs measured, and what a node of them costs:\n\n" + table(head, lines)


def line(title, sweep, workload, engine):
    nodes = workload["nodes"]
    memory = workload.get("memory", {}).get(engine, {})
    weight = [f"{digits(memory['bytes_per_node'])} B", amount(memory["peak"])] \
        if "peak" in memory else ["-", "-"]
    seconds = workload["results"][engine]["median"]
    return [title, sweep, f"{nodes:,}", duration(seconds / nodes), *weight]


def left_out(data):
    return "\n".join(f"Skipped: {data['engines'][engine]} ({why})."
                     for engine, why in data["skipped"].items())


def conditions(data):
    machine, versions = data["machine"], data["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
            f"{machine['implementation']} {machine['python']}, {machine['compiler']}; {peers}.")


def replaced(text, new):
    """The README with its section on speed replaced, or with one at its end."""
    if TITLE not in text:
        return text.rstrip("\n") + "\n\n" + new
    before, rest = text.split(TITLE, 1)
    after = rest.find("\n## ")
    return before + new + (rest[after:] if after >= 0 else "")


def main(write=None):
    new = section(json.loads(NUMBERS.read_text()))
    if write:
        path = ROOT / "README.md"
        path.write_text(replaced(path.read_text(), new))
    else:
        print(new)


if __name__ == "__main__":
    main(*sys.argv[1:])
