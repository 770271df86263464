"""What the README and docs/speed.md say of speed, from the committed numbers.

    python benchmarks/readme.py             print it
    python benchmarks/readme.py --write     put it into both, and draw the pictures of docs/
"""
import json
import pathlib
import sys

import report

ROOT = pathlib.Path(__file__).parent.parent
NUMBERS = ROOT / "benchmarks" / "results" / "speed.json"
README, SPEED = ROOT / "README.md", ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
ROWS = ["readme", "moons", "mlp-64x2", "microgpt"]
COLUMNS = ["compiled", "published", "torch-scalars", "torch-tensors"]


def short(data):
    """The README's table: four workloads on four engines."""
    chosen = [data["workloads"][name] for name in ROWS]
    rows = [[w["title"], *(report.cell(w["results"].get(e, {})) for e in COLUMNS)] for w in chosen]
    titles = {**data["engines"], "compiled": "micrograd-native"}
    table = report.table(["lower is better", *(titles[e] for e in COLUMNS)], rows)
    machine, moons = data["machine"], data["workloads"]["moons"]["results"]
    without = report.duration(moons["published-nogc"]["median"])
    return (f"{table}\n\nWith Python's garbage collector off, micrograd 0.1.0 takes {without} for a "
            f"two-moons step.\n{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
            f"{machine['implementation']} {machine['python']}.\n")


def replaced(text, new):
    """A page with other numbers."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + new + END + rest.split(END)[1]


def pages(data):
    """{page: what it says}"""
    return {README: short(data), SPEED: report.rendered(data)}


def main(write=None):
    data = json.loads(NUMBERS.read_text())
    for page, new in pages(data).items():
        if write:
            page.write_text(replaced(page.read_text(), new))
        else:
            print(new)
    if write:
        import pictures
        pictures.draw_ratios(data, SPEED.with_name("speed-ratios.png"))
        pictures.draw_growth(data, SPEED.with_name("speed-growth.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
