"""The page of promises, docs/promises.md, names files that exist and has the last extended run's
numbers; and that run records what it did: also when a part fails, does nothing, is interrupted."""
import json
import os
import pathlib
import re
import signal
import sys

import pytest

import page
import prove

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_the_files_on_the_page_exist():
    names = re.findall(r"`([\w/]+\.(?:py|h))`", page.PAGE.read_text())
    assert len(names) > 20
    folders = [ROOT / "tests", ROOT / "tools"]
    assert [name for name in names if not any((folder / name).exists() for folder in folders)] == []


def test_the_page_has_the_recorded_numbers():
    if not page.NUMBERS.exists():
        pytest.skip("no extended run is recorded")
    text = page.PAGE.read_text()
    assert page.replaced(text, page.numbers(json.loads(page.NUMBERS.read_text()))) == text


def recorded(parts):
    """Whether all of these parts passed, and what prove writes after each."""
    written = []
    passed = prove.prove(parts, {"parts": {}},
                         lambda record: written.append(json.loads(json.dumps(record))))
    return passed, [record["parts"] for record in written]


@pytest.fixture(autouse=True)
def a_folder_without_git(tmp_path, monkeypatch):
    monkeypatch.setattr(prove, "LOGS", tmp_path)
    monkeypatch.setattr(prove, "commit", lambda: "a commit")


def part(code, counts=prove.TESTS):
    return prove.Part("test_a.py", ["-c", code], counts)


def test_what_is_counted():
    text = ("    - 20 passing, 0 failing, and 2 invalid test cases\n    - 3 passing\n"
            ".7 passed in 1s\n")
    assert prove.PROGRAMS["programs"](text) == 23
    assert prove.TESTS["tests"](text) == 7
    text = ("#20 NEW\n#31\tDONE   cov: 5\nstat::number_of_executed_units: 32\n"
            "Test unit written to ./crash-1")
    assert ({what: count(text) for what, count in prove.FUZZED.items()}
            == {"executions": 32, "crashes": 1})


def test_a_part_that_fails_or_does_nothing():
    good, bad = part("print('3 passed')"), part("print('3 passed'); exit(1)")
    passed, records = recorded({"good": good})
    assert passed and records[-1]["good"]["counts"] == {"tests": 3}
    passed, records = recorded({"bad": bad, "idle": part(""), "good": good})
    assert not passed and len(records) == 3
    assert ([records[-1][name]["result"] for name in ("bad", "idle", "good")]
            == ["failed", "failed", "passed"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupted_run_is_recorded():
    signal.signal(signal.SIGINT, signal.default_int_handler)   # a shell's background job ignores it
    long = part(f"import os, signal, time; print(5, 'passed', flush=True); "
                f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(60)")
    passed, records = recorded(
        {"first": part("print('3 passed')"), "long": long, "never": part("")})
    assert not passed and list(records[-1]) == ["first", "long"]
    assert (records[-1]["long"]["result"] == "interrupted"
            and records[-1]["long"]["counts"] == {"tests": 5})
