"""What the README and docs/speed.md say of speed, from the committed numbers.

    python benchmarks/readme.py             print it
    python benchmarks/readme.py --write     put it into both, and draw the pictures of docs/
"""
import json
import pathlib
import sys

import report

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NUMBERS, RECORDINGS = RESULTS / "speed.json", RESULTS / "recordings.json"
PYTHONS = RESULTS / "pythons.jsonl"
README, SPEED = ROOT / "README.md", ROOT / "docs" / "speed.md"
ROWS = ["readme", "moons", "mlp-64x2", "microgpt"]
COLUMNS = ["compiled", "published", "torch-scalars", "torch-tensors"]
RECORDED_COLUMNS = ["recorded", "eager", "torch", "jax"]


def short(data):
    """The README's table: four workloads on four engines."""
    titles = {**data["engines"], "compiled": "micrograd-native"}
    machine, moons = data["machine"], data["workloads"]["moons"]["results"]
    without = report.duration(moons["published-nogc"]["median"])
    return (f"{chosen(data, ROWS, COLUMNS, titles)}\n\nWith Python's garbage collector off, "
            f"micrograd 0.1.0 takes {without} for a two-moons step.\n{machine['processor']}, "
            f"{machine['cores']} cores, {machine['system']}, {machine['implementation']} "
            f"{machine['python']}.\n")


def short_recordings(data):
    """The README's table of recordings."""
    table = chosen(data, data["workloads"], RECORDED_COLUMNS, data["engines"])
    return f"Time of a step, and its ratio to the recording's:\n\n{table}\n"


def chosen(data, rows, columns, titles):
    """A table of some workloads on some engines."""
    works = [data["workloads"][name] for name in rows]
    lines = [[w["title"], *(report.cell(w["results"].get(e, {})) for e in columns)] for w in works]
    return report.table(["lower is better", *(titles[e] for e in columns)], lines)


def replaced(text, kind, new):
    """A page with other numbers between its two marks of this kind."""
    begin, end = f"<!-- {kind}: begin -->\n", f"<!-- {kind}: end -->\n"
    before, rest = text.split(begin)
    return before + begin + new + end + rest.split(end)[1]


def parts():
    """[(page, kind, what it says)] of all numbers there are."""
    data = json.loads(NUMBERS.read_text(encoding="utf-8"))
    found = [(README, "measured", short(data)), (SPEED, "measured", report.rendered(data))]
    if RECORDINGS.exists():
        data = json.loads(RECORDINGS.read_text(encoding="utf-8"))
        found += [(README, "recordings", short_recordings(data)),
                  (SPEED, "recordings", report.recordings(data))]
    if PYTHONS.exists():
        data = [json.loads(line) for line in PYTHONS.read_text(encoding="utf-8").splitlines()]
        found.append((SPEED, "pythons", report.pythons(data)))
    return found


def main(write=None):
    for page, kind, new in parts():
        if write:
            text = page.read_text(encoding="utf-8")
            page.write_text(replaced(text, kind, new), encoding="utf-8")
        else:
            print(new)
    if write:
        import pictures
        data = json.loads(NUMBERS.read_text(encoding="utf-8"))
        pictures.draw_ratios(data, SPEED.with_name("speed-ratios.png"))
        pictures.draw_growth(data, SPEED.with_name("speed-growth.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
