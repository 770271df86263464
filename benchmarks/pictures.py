"""The suite's numbers as pictures."""
from report import SWEEPS, measured


def draw_ratios(data, path):
    """A row for each workload, a dot for each engine, the compiled engine at 1."""
    plt = pyplot()
    single = [w for w in data["workloads"].values() if w["sweep"] not in SWEEPS]
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(single) + 2))
    for i, (engine, title) in enumerate(measured(data).items()):
        points = [(w["results"][engine]["ratio"], row) for row, w in enumerate(single)
                  if "ratio" in w["results"].get(engine, {})]
        if points:
            axes.plot(*zip(*points), linestyle="", markersize=6, label=title, **style(i))
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(single)), [w["title"] for w in single])
    axes.invert_yaxis()
    axes.set_xlabel("time, in multiples of the compiled engine's (lower is better)")
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
    panels[0][0].set_ylabel("seconds a run (lower is better)")
    panels[1][0].set_ylabel("peak memory, bytes (lower is better)")
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
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)
