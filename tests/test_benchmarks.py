"""The workloads compute the same on both engines, and the pages say what was measured."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import conftest
import readme

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
NAMES = ["readme", "chain", "tree", "mlp-4x2", "mlp-16x2", "microgpt",
         "own-closures", "own-subclass", "own-locals", "own-above",
         "own-counted", "own-patched"]      # which patch Value
CODE = f"""
import json, sys, workloads
results = {{}}
for name in {NAMES}:
    entry = workloads.entries(quick=True)[name]
    work = entry.make()
    work.reset()
    work.run()
    results[name] = work.result(), entry.nodes and [entry.nodes, work.nodes()]
json.dump(results, sys.stdout)
"""


def results(engine):
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(BENCHMARKS)]))
    ran = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True,
                         check=True,
                         cwd=sys.prefix,
                         env={**os.environ, "MICROGRAD_ENGINE": engine, "PYTHONPATH": path})
    return json.loads(ran.stdout)


def test_the_workloads_agree():
    by_engine = [results(engine) for engine in conftest.ENGINES]
    for name in NAMES:
        for numbers, nodes in (r[name] for r in by_engine):
            assert numbers == pytest.approx(by_engine[-1][name][0], rel=1e-9)
            assert nodes is None or nodes[0] == nodes[1]


@pytest.mark.parametrize("page, kind, new", readme.parts(),
                         ids=lambda part: getattr(part, "name", ""))
def test_the_pages_have_the_measured_numbers(page, kind, new):
    text = page.read_text(encoding="utf-8")
    assert readme.replaced(text, kind, new) == text
