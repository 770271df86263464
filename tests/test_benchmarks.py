"""The workloads compute the same on both engines, and the README says what was measured."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import conftest

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
NAMES = ["readme", "chain", "tree", "mlp-4x2", "mlp-16x2", "microgpt"]
CODE = f"""
import json, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import workloads
results = {{}}
for name in {NAMES}:
    entry = workloads.entries(quick=True)[name]
    work = entry.make()
    work.run()
    results[name] = work.result(), entry.nodes and [entry.nodes, work.nodes()]
json.dump(results, sys.stdout)
"""


def results(engine):
    ran = subprocess.run([sys.executable, "-c", CODE], env={**os.environ, "MICROGRAD_ENGINE": engine},
                         stdout=subprocess.PIPE, text=True, check=True, cwd=sys.prefix)
    return json.loads(ran.stdout)


def test_the_workloads_agree():
    by_engine = [results(engine) for engine in conftest.ENGINES]
    for name in NAMES:
        for numbers, nodes in (r[name] for r in by_engine):
            assert numbers == pytest.approx(by_engine[-1][name][0], rel=1e-9)
            assert nodes is None or nodes[0] == nodes[1]


def test_the_readme_has_the_measured_numbers():
    import readme
    section = readme.section(json.loads(readme.NUMBERS.read_text()))
    assert section in (readme.ROOT / "README.md").read_text()
