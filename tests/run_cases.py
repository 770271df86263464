"""Run the cases of surface.md on this process's micrograd; print {name: text} as JSON.

test_surface.py runs it in processes of its own: on the compiled engine, on the reference, and on
the original as published.
"""
import contextlib
import difflib
import io
import json
import pathlib
import re
import sys
from typing import NamedTuple

PREAMBLE = """
import copy, gc, math, operator, pickle, random, re, sys
from micrograd.engine import Value as V
from micrograd import nn
"""
PATH = pathlib.Path(__file__).with_name("surface.md")
# ### name - remark, then the code, what the original prints, what an engine prints if it differs
CASE = re.compile(r"^### (\S+)(.*)\n```python\n([\s\S]*?)```\n((?:```.*\n[\s\S]*?```\n)+)", re.M)
OUTPUT = re.compile(r"```(.*)\n([\s\S]*?)```\n")


class Case(NamedTuple):
    remark: str
    code: str
    original: str       # what the original prints on CPython 3.11
    improved: dict      # {engine: what it prints instead}


def read():
    """{name: Case}"""
    cases = {}
    for name, remark, code, outputs in CASE.findall(PATH.read_text()):
        texts = {kind: text for kinds, text in OUTPUT.findall(outputs)
                 for kind in kinds.split() or [""]}
        cases[name] = Case(remark, code, texts.pop(""), texts)
    return cases


def improved(case, original, engine):
    """What the engine should print where the original, on this Python, prints this text: lines that
    the case has for both are worded by the Python, the others are as the case says."""
    if engine not in case.improved:
        return original
    texts = case.original, original, case.improved[engine]
    recorded, here, lines = (text.splitlines(True) for text in texts)
    if len(recorded) == len(here):
        for start, at, size in difflib.SequenceMatcher(None, recorded, lines).get_matching_blocks():
            lines[at:at + size] = here[start:start + size]
    return "".join(lines)


def run(code):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(PREAMBLE + code, "<case>", "exec"), {"__name__": "case"})
        except Exception as error:
            print("raised", type(error).__name__, error)
    return printed.getvalue()


if __name__ == "__main__":
    json.dump({name: run(case.code) for name, case in read().items()}, sys.stdout)
