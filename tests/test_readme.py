"""The README's examples print what it says."""
import doctest
import pathlib


def test_the_examples():
    path = pathlib.Path(__file__).parent.parent / "README.md"
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert tried > 20 and failed == 0
