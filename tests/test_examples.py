"""The programs and notebooks of examples/: they run, come to what they say, hold no outputs."""
import json
import pathlib
import runpy

import pytest

from micrograd import engine
from processes import python

FOLDER = pathlib.Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="not in a checkout")


def run(name):
    """What the code of a notebook has defined in the end."""
    defined = {"__name__": "__main__"}
    for cell in json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), defined)
    return defined


@pytest.fixture
def pyplot():
    pytest.importorskip("sklearn")
    matplotlib = pytest.importorskip("matplotlib")
    if engine.__engine__ != "c":
        pytest.skip("takes minutes on the reference")
    matplotlib.use("Agg")
    from matplotlib import pyplot
    yield pyplot
    pyplot.close("all")


def test_both_programs_have_the_statements_of_the_notebook():
    """Between two lines of dashes; benchmark and example are each complete without the other."""
    example, benchmark = [(folder / "moons.py").read_text(encoding="utf-8").split("    # ---")
                          for folder in (FOLDER, FOLDER.parent / "benchmarks")]
    assert len(example) == 3 and example[1] == benchmark[1]


def test_moons(pyplot):
    defined = run("moons.ipynb")
    assert defined["acc"] == 1.0 and f"{defined['total_loss'].data:.6f}" == "0.010978"
    assert {bool(z) for z in defined["Z"].flat} == {False, True}
    assert len(pyplot.get_fignums()) == 2


def test_digits(pyplot):
    defined = run("digits.ipynb")
    assert defined["checks"][0][1] < defined["checks"][-1][1] > 0.93
    assert len(pyplot.get_fignums()) == 3


def test_the_demo(pyplot, tmp_path):
    pytest.importorskip("tqdm")
    said = python(FOLDER / "moons.py", "--picture", tmp_path / "moons.png")
    assert "step 99 loss 0.010978" in said and "times faster" in said
    assert "README's multiple is over micrograd 0.1.0" in said
    assert (tmp_path / "moons.png").stat().st_size > 10_000


def test_microgpt_recorded_and_eager():
    train = runpy.run_path(str(FOLDER / "microgpt.py"))["train"]
    (_, eager, _), (_, recorded, _) = (train(4, 1, eager=eager) for eager in (True, False))
    assert eager == pytest.approx(recorded, rel=0, abs=1e-9)
    assert len(set(eager)) == 4 and eager[-1] < eager[0]


def test_microgpt_says_how_fast_it_was():
    if engine.__engine__ != "c":
        pytest.skip("takes minutes on the reference")
    said = python(FOLDER / "microgpt.py", "--steps", 40, "--compare").splitlines()
    assert [line.split(":")[0] for line in said[:2]] == ["eager", "recorded"]
    # Names; and no bar, for this is no terminal.
    assert len(said) == 3 and len(said[2].split(" ")) == 20


def test_distributed():
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("PyTorch without its gloo")
    before, after, apart = (float(line.split()[-1]) for line in
                            python(FOLDER / "distributed.py", "--steps", 30).splitlines())
    assert after < before / 2 and apart < 1e-12


def test_tracing():
    defined = run("tracing.ipynb")
    assert defined["page"]._repr_html_().startswith("<iframe")
    assert len(defined["nodes"]) == 39 and [defined[v].grad for v in "abc"] == [-3.0, 2.0, 1.0]


def test_lecture():
    defined = run("lecture.ipynb")
    assert defined["trained"] < 0.001
    assert defined["twice"] == pytest.approx(2 * defined["once"])
    assert defined["with_zero"][-1] < 0.01 < defined["without"][-1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_clean_and_small(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    assert path.stat().st_size < 12_000
    try:
        import nbformat
    except ImportError:
        return
    nbformat.validate(notebook)
