"""The types, as a type checker sees them: the modules, the stubs, and programs that use them."""
import doctest
import pathlib
import re

import pytest

import micrograd
import processes
import test_readme
from micrograd import engine

pytest.importorskip("mypy")
MODULES = ["_checks", "arrays", "draw", "draw_layout", "draw_page", "draw_steps", "gradients",
           "losses", "optim", "recording", "_recorded_arguments", "_recorded_errors",
           "_tape", "state"]

PROGRAM = """
from micrograd import Value, arrays, draw, grad, losses, nn, optim, record, state

model = nn.MLP(2, [3, 1], nonlin="tanh")
optimizer = optim.AdamW(model.parameters(), lr=0.1)
for k in range(3):
    scores: list[Value] = [model([1.0, Value(2.0)]), model([0.5, 1])]
    loss = losses.max_margin(scores, [1, -1]) + losses.l2(model.parameters(), Value(1e-4))
    optimizer.lr = optim.linear(k, 3, 1.0, 0.1)
    optimizer.zero_grad()
    loss.backward()
    norm: float = optim.clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()
numbers: dict[str, float] = model.state_dict()
state.save(model, "model.json")
model.load_state_dict(state.load("model.json"))
names = [name.upper() for name, p in model.named_parameters()]
y: Value = abs(Value(1.0).tanh().maximum(2) ** Value(2.0)) / 3
nodes, edges = draw.trace(y)
slope: Value = grad(y.detach() * y, [y])[0]
arrays.data(arrays.leaves([1.0])), model.predict([[1.0, 2.0]])

@record
def error(x: list[Value], t: Value) -> Value:
    score: Value = model(x)
    return (score - t) ** 2

error.mean([[1.0, 2.0]], [1.0]).backward()
reveal_type(loss)
"""

MISTAKES = """
import micrograd
from micrograd import losses, nn, optim
from micrograd.engine import Value

nn.MLP(2, 3)
nn.Neuron(2, nonlin=None)
optim.SGD([1.0], lr=0.1)
Value(1.0).tanh(2)
losses.mse([1.0], [2.0])
Value(1.0, label="a", lable="b")
micrograd.Valeu
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Runs mypy; what it learns of the standard library and of numpy serves all these tests."""
    cache = tmp_path_factory.mktemp("mypy")
    return lambda *arguments: processes.run("-m", "mypy", "--cache-dir", cache, *arguments)


def is_typed(modules, mypy):
    run = mypy("--strict", *[word for name in modules for word in ("-m", f"micrograd.{name}")])
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_modules_are_typed(mypy):
    is_typed(MODULES, mypy)


def test_the_modules_for_torch_are_typed(mypy):
    pytest.importorskip("torch")        # whose types they need
    is_typed(["pytorch", "_recorded_torch"], mypy)


def test_a_program(mypy, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    run = mypy("--strict", tmp_path / "program.py")
    assert 'Revealed type is "micrograd.engine.Value"' in run.stdout, run.stdout
    assert run.returncode == 0, run.stdout


def test_the_examples_of_the_pages(mypy, tmp_path):
    for page in test_readme.PAGES:
        examples = doctest.DocTestParser().get_examples(page.read_text(encoding="utf-8"))
        (tmp_path / f"{page.stem.replace('-', '_')}.py").write_text(
            "".join(e.source for e in examples))
    run = mypy(*sorted(tmp_path.glob("*.py")))
    assert run.returncode == 0, run.stdout


def test_mistakes_are_found(mypy, tmp_path):
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    run = mypy("--strict", tmp_path / "mistakes.py")
    lines = [int(n) for n in re.findall(r"mistakes.py:(\d+): error", run.stdout)]
    assert lines == [n for n, line in enumerate(MISTAKES.splitlines(), 1) if n > 5], run.stdout


# A Value takes any attribute, which only these two can say. The rest of the stub describes the
# compiled engine; the reference has some of it from object, or not at all.
NOT_THERE = [r"micrograd\.engine\.Value\.__(getattr|setattr|array_ufunc)__"]
ONLY_COMPILED = [r"micrograd\.engine\.Value",
                 r"micrograd\.engine\.Value\.__(copy|deepcopy|r?pow|array_priority)__"]


def test_the_stubs_fit_the_modules(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text(
        "\n".join(NOT_THERE + (ONLY_COMPILED if engine.__engine__ == "python" else [])))
    run = processes.run("-m", "mypy.stubtest", "micrograd.engine", "micrograd.nn", "--allowlist",
                        allowed, "--ignore-unused-allowlist", MICROGRAD_ENGINE=engine.__engine__)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_stubs_are_installed():
    folder = pathlib.Path(micrograd.__file__).parent
    assert all((folder / name).exists() for name in ("py.typed", "engine.pyi", "nn.pyi"))
