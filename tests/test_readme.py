"""The examples of README.md and docs/ print what they say, and the files named there exist."""
import doctest
import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
         if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples(path):
    failed, tried = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert tried and failed == 0


def test_the_examples_with_torch():
    pytest.importorskip("torch")
    text = (ROOT / "docs" / "added.md").read_text(encoding="utf-8")
    names = {}
    for example in doctest.DocTestParser().get_examples(text):
        exec(compile(example.source, "added.md", "single"), names)
    before = [p.data for p in names["model"].parameters()]
    blocks = re.findall(r"^```python\n(?!>>> )(.*?)^```", text, re.M | re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert [p.data for p in names["twin"].parameters()] == before
    assert [p.data for p in names["model"].parameters()] != before      # PyTorch has trained it


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="not in a checkout")
def test_the_reference_lists_what_each_module_gives():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    pages = re.findall(r"::: (micrograd\.\w+)\n    options:\n      members: \[(.*)\]", text)
    assert len(pages) == 9
    for name, members in pages:
        if name != "micrograd.nn":      # `import *` gives what it gives in the original
            assert importlib.import_module(name).__all__ == members.split(", ")


@pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="not in a checkout")
def test_the_files_that_are_named_exist():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"`((?:csrc|micrograd|tests|tools|benchmarks|examples|docs)/[\w./]+)`",
                           text)
        links = re.findall(r"\]\(([\w./-]+)\)", text)
        assert [name for name in named if not (ROOT / name).exists()] == [], path.name
        assert [link for link in links if not (path.parent / link).exists()] == [], path.name
