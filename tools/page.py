"""The last extended run's numbers on the page of promises, docs/promises.md, and those
of the run on emulated arm64, from the committed records.

    python tools/page.py            print them
    python tools/page.py --write    put them into the page, in place of those there
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
NUMBERS = HERE / "results" / "extended.json"
EMULATED = HERE / "results" / "emulated.json"    # apart: each engine's extended.json begins anew
PAGE = HERE.parent / "docs" / "promises.md"
BEGIN, END = "<!-- extended run: begin -->\n", "<!-- extended run: end -->\n"


def numbers(record):
    """What the runs did, as Markdown."""
    lines = ["| part | runs | did | in | | commit |", "| --- | --- | --- | --: | --- | --- |"]
    lines += [line(name, part) for name, part in record["parts"].items()]
    return "\n".join(lines) + "\n\n" + conditions(record) + "\n\n" + emulated() + "\n"


def line(name, part):
    took, result, commit = duration(part["seconds"]), part["result"], part["commit"]
    return f"| {name} | {files(part)} | {did(part)} | {took} | {result} | {commit} |"


def files(part):
    return ", ".join(f"`{file}`" for file in part["files"])


def did(part):
    return ", ".join(f"{count:,} {what}" for what, count in part["counts"].items())


def duration(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def conditions(record):
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (f"One and the same engine; {machine['processor']}, {machine['cores']} cores, "
            f"{machine['system']}, {machine['implementation']} {machine['python']}, "
            f"{machine['compiler']}; {versions}.")


def emulated():
    run = json.loads(EMULATED.read_text())
    machine = run["machine"]
    return (f"On emulated {machine['architecture']}, by `{run['command']}`: {files(run)}: "
            f"{did(run)}, in {duration(run['seconds'])} after the build: {run['result']}. "
            f"{run['date']}, commit {run['commit']}; {machine['emulator']}, {machine['system']}, "
            f"{machine['implementation']} {machine['python']}, {machine['compiler']}.")


def replaced(text, new):
    """The page with other numbers."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + new + END + rest.split(END)[1]


def write(record):
    PAGE.write_text(replaced(PAGE.read_text(), numbers(record)))


def main(option=None):
    record = json.loads(NUMBERS.read_text())
    if option == "--write":
        write(record)
    else:
        print(numbers(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
