"""The programs that fuzzing has found worth keeping (fuzz/corpus), and those that once crashed the
engine (fuzz/crashes), run again. The fuzzer itself: tools/fuzz.py."""
import gc
import pathlib
import sys
import warnings

import pytest

import fuzz
import program
import twins

if twins.COMPILED is None:
    pytest.skip("compares the compiled engine with the reference", allow_module_level=True)

FOLDER = pathlib.Path(__file__).resolve().parent / "fuzz"


@pytest.fixture(autouse=True)
def quietly(monkeypatch):
    """What these programs raise in finalizers and threads is meant, as is a collection after it."""
    monkeypatch.setattr(sys, "unraisablehook", lambda *_: None)
    gc.collect()
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    gc.unfreeze()


@pytest.mark.parametrize("folder", ["corpus", "crashes"])
def test_programs_in_bytes(folder):
    for file in sorted((FOLDER / folder).glob("*")):
        try:
            program.run(file.read_bytes())
        except Exception as error:
            raise AssertionError(f"{folder}/{file.name}") from error


def test_a_small_corpus_reaches_as_much():
    assert list(fuzz.cover({"a": 0b0011, "b": 0b1110, "c": 0b0110, "d": 0b1000})) == ["b", "a"]
