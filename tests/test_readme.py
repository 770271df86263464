"""The examples of README.md and docs/ print what they say, and the files named there exist."""
import doctest
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


@pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="not in a checkout")
def test_the_files_that_are_named_exist():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"`((?:csrc|micrograd|tests|tools|benchmarks|examples|docs)/[\w./]+)`",
                           text)
        links = re.findall(r"\]\(([\w./-]+)\)", text)
        assert [name for name in named if not (ROOT / name).exists()] == [], path.name
        assert [link for link in links if not (path.parent / link).exists()] == [], path.name
