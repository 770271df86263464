"""The suite's numbers as text and as pictures."""
import json

SWEEPS = ("chain", "tree")
ORIGIN = "compiled"         # the engine whose time is 1 in the ratios


def write(data, path):
    """The JSON, the table and the two pictures, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
    text = rendered(data)
    path.with_suffix(".md").write_text(text)
    print(text)
    ratios = path.with_name(path.stem + "-ratios.png")
    growth = path.with_name(path.stem + "-growth.png")
    try:
        draw_ratios(data, ratios)
        draw_growth(data, growth)
    except ImportError as error:
        return print(f"no pictures: {error}; the numbers are in {path}")
    print(f"written: {path}, {path.with_suffix('.md').name}, {ratios.name}, {growth.name}")


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


def cell(result, ratio=True):
    """Time, and how many times that of the compiled engine."""
    if "median" not in result:
        return reason(result)
    text = duration(result["median"])
    return f"{text} ({digits(result['ratio']['median'])}x)" if ratio and "ratio" in result else text


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


def times(data, names, engines=None):
    engines = engines or measured(data)
    rows = []
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


def processes(data):
    found = data["processes"]
    if "skipped" in found:
        return f"left out: {found['skipped']}"
    rows = [[data["engines"][e], cell(result), f"{duration(result['low'])} to "
             f"{duration(result['high'])}" if "low" in result else ""]
            for e, result in found.items()]
    return table(["", "median", "quartiles"], rows)


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


def section(title, text):
    return f"## {title}\n\n{text}\n"


def conditions(data):
    return "\n".join(f"- {key.replace('_', ' ')}: {value}"
                     for key, value in {**data["machine"], **data["versions"]}.items())


def rendered(data):
    workloads = data["workloads"]
    single = [n for n, w in workloads.items() if w["sweep"] not in SWEEPS]
    growth = [n for n, w in workloads.items() if w["sweep"] in SWEEPS]
    disagreed = wrong(data)
    kind = " (quick: a check, not a timing)" if data["quick"] else ""
    return "\n".join([
        f"# Benchmarks{kind}\n",
        "Median time of a run, and in brackets the multiple of the compiled engine's.\n",
        section("Workloads", times(data, single)),
        section("Growth of time", times(data, growth)),
        section("Memory: bytes a node, peak of the process", memory(data)),
        section("A whole process: import, README expression, exit", processes(data)),
        section("Spread: distance of the quartiles over the median", spreads(data)),
        section("Disagreements and errors", "\n".join(disagreed) or "none"),
        section("Left out", remarks(data)),
        section("Conditions", conditions(data)),
    ])


def draw_ratios(data, path):
    """A row for each workload, a dot for each engine, the compiled engine at 1."""
    plt = pyplot()
    single = [w for w in data["workloads"].values() if w["sweep"] not in SWEEPS]
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(single) + 2))
    for i, (engine, title) in enumerate(measured(data).items()):
        points = [(w["results"][engine]["ratio"]["median"], row) for row, w in enumerate(single)
                  if "ratio" in w["results"].get(engine, {})]
        if points:
            axes.plot(*zip(*points), linestyle="", markersize=6, label=title, **style(i))
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(single)), [w["title"] for w in single])
    axes.invert_yaxis()
    axes.set_xlabel("time, in multiples of the compiled engine's")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(bbox_to_anchor=(1.01, 1), loc="upper left", fontsize=8)
    save(plt, figure, path)


def draw_growth(data, path):
    """Time and peak memory against the nodes of a graph, both axes logarithmic."""
    plt = pyplot()
    figure, panels = plt.subplots(2, 2, figsize=(11, 8), sharex=True)
    for column, sweep in enumerate(SWEEPS):
        top, bottom = panels[0][column], panels[1][column]
        points = [w for w in data["workloads"].values() if w["sweep"] == sweep]
        for i, (engine, title) in enumerate(measured(data).items()):
            drawn = {**style(i), "markersize": 4, "label": title}
            curve(top, points, "results", engine, "median", drawn)
            curve(bottom, points, "memory", engine, "peak", drawn)
        top.set_title(sweep)
        bottom.set_xlabel("nodes")
    panels[0][0].set_ylabel("seconds, forward and backward")
    panels[1][0].set_ylabel("peak memory of the process, bytes")
    panels[0][1].legend(bbox_to_anchor=(1.01, 1), loc="upper left", fontsize=8)
    save(plt, figure, path)


def curve(axes, workloads, part, engine, key, drawn):
    found = [(w["nodes"], w.get(part, {}).get(engine, {}).get(key)) for w in workloads]
    found = [point for point in found if point[1] is not None]
    if found:
        axes.loglog(*zip(*found), **drawn)
    axes.grid(alpha=0.3)


def style(i):
    """How the i-th engine is drawn."""
    return {"marker": "os^vD<>Ph*X"[i % 11], "color": "black" if i % 11 == 10 else f"C{i % 11}"}


def pyplot():
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot
    return matplotlib.pyplot


def save(plt, figure, path):
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
