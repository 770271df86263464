"""The suite's numbers as JSON and as tables."""
import json
import re

SWEEPS = ("chain", "tree")


def write(data, path):
    """The JSON, with an engine's numbers of a workload on one line, to four digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(data), indent=1)
    path.write_text(re.sub(r"{[^{}]*}", lambda one: " ".join(one[0].split()), text) + "\n")


def rounded(data):
    if isinstance(data, dict):
        return {name: rounded(part) for name, part in data.items()}
    return float(f"{data:.4g}") if isinstance(data, float) else data


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-9)} ns"


def digits(x):
    """Three of them; two of a small ratio."""
    if x < 0.1:
        return f"{x:.2g}"
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def amount(size):
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{digits(size / scale)} {unit}"
    return f"{digits(size / 1e3)} kB"


def cell(result):
    """Time, and how many times that of the compiled engine."""
    if "median" not in result:
        return reason(result)
    text = duration(result["median"])
    return f"{text} ({digits(result['ratio'])}x)" if "ratio" in result else text


def reason(result):
    if "wrong" in result:
        return "WRONG"
    if "failed" in result:
        return result["failed"].split(":")[0]
    return "left out" if "would" in result.get("skipped", "") else "-"


def table(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def measured(data):
    """The engines that were not skipped, with their titles."""
    return {n: t for n, t in data["engines"].items() if n not in data["skipped"]}


def times(data, names):
    engines, rows = measured(data), []
    for name in names:
        workload = data["workloads"][name]
        nodes = f"{workload['nodes']:,}" if workload["nodes"] else "-"
        results = workload["results"]
        rows.append([workload["title"], nodes, *(cell(results.get(e, {})) for e in engines)])
    return table(["", "nodes", *engines.values()], rows)


def memory(data):
    engines, rows = measured(data), []
    weighed = {n: w for n, w in data["workloads"].items() if w.get("memory")}
    engines = {e: t for e, t in engines.items() if any(e in w["memory"] for w in weighed.values())}
    for workload in weighed.values():
        cells = [weight(workload["memory"].get(e, {})) for e in engines]
        rows.append([workload["title"], f"{workload['nodes']:,}", *cells])
    return table(["", "nodes", *engines.values()], rows)


def weight(found):
    if "peak" not in found:
        return reason(found)
    return f"{found['bytes_per_node']:.0f} B, {amount(found['peak'])}"


def spreads(data):
    """The widest spread of an engine: the distance of the quartiles over the median."""
    rows = []
    for engine, title in measured(data).items():
        results = [w["results"].get(engine, {}) for w in data["workloads"].values()]
        widths = [(r["high"] - r["low"]) / r["median"] for r in results if r.get("rounds", 0) > 2]
        if widths:
            rows.append([title, f"{sorted(widths)[len(widths) // 2]:.1%}", f"{max(widths):.1%}"])
    return table(["", "median spread", "widest"], rows)


def wrong(data):
    """What disagreed or broke, one line each. Too deep or large a graph is a finding instead."""
    lines = []
    for workload in data["workloads"].values():
        for part in (workload["results"], workload.get("memory", {})):
            for engine, result in part.items():
                why = result.get("wrong") or result.get("failed")
                if why and not why.startswith(("RecursionError", "MemoryError")):
                    lines.append(f"{workload['title']}, {data['engines'][engine]}: {why}")
    return lines


def remarks(data):
    """Every reason why there is no number."""
    lines = [f"{data['engines'][e]}: skipped: {why}" for e, why in data["skipped"].items()]
    missing = {}
    for workload in data["workloads"].values():
        for part in (workload["results"], workload.get("memory", {})):
            for engine, result in part.items():
                why = (result.get("failed") or result.get("skipped") or "").split("\n")[0]
                missing.setdefault((engine, why), []).append(workload["title"])
    lines += [f"{data['engines'][engine]}: {why}: {'; '.join(titles)}"
              for (engine, why), titles in missing.items() if why]
    return "\n".join(f"- {line}" for line in lines) or "none"


def recordings(data):
    """The tables of recordings.py, a table for each workload, as Markdown."""
    parts = [f"### {work['title']}\n\n{steps(work['results'], data['engines'])}\n"
             for work in data["workloads"].values()]
    return "\n".join([*parts, f"{conditions(data)}\n"])


def pythons(lines):
    """The table of the Pythons: from results/pythons.jsonl, a line each."""
    rows = [[line["python"], *(duration(line[what]) for what in ("expression", "step", "floor")),
             f"{line['step'] / line['floor']:.2f}x"] for line in lines]
    head = ["CPython", "README expression", "two-moons step", "on plain numbers", "multiple"]
    return f"{table(head, rows)}\n\n{lines[0]['processor']}.\n"


def steps(results, engines):
    """Engine by engine: a step, the first result, and the lines that a person writes."""
    rows = [[engines[name], cell(result), *([duration(result["first"]), str(result["lines"])]
                                            if "first" in result else ["", ""])]
            for name, result in results.items()]
    return table(["lower is better", "a step", "first result", "lines"], rows)


def conditions(data):
    machine, versions = data["machine"], data["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
            f"{machine['implementation']} {machine['python']}, {machine['compiler']}; {peers}.")


def workloads(data):
    return times(data, [n for n, w in data["workloads"].items() if w["sweep"] not in SWEEPS])


def growth(data):
    return times(data, [n for n, w in data["workloads"].items() if w["sweep"] in SWEEPS])


def rendered(data):
    """All tables, as Markdown."""
    kind = " (quick: a check, not a timing)" if data["quick"] else ""
    tables = {
        "Workloads" + kind: workloads(data),
        "Growth of time": growth(data),
        "Memory: bytes a node, peak of the process": memory(data),
        "Spread: distance of the quartiles over the median": spreads(data),
        "Disagreements and errors": "\n".join(wrong(data)) or "none",
        "Left out": remarks(data),
        "Conditions": conditions(data),
    }
    return "\n".join(f"### {title}\n\n{text}\n" for title, text in tables.items())
