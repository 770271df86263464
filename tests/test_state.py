"""A model's numbers by name, and in a file."""
import json
import os
import random
import sys
import types
from fractions import Fraction

import pytest

import processes
from micrograd import nn, optim, state
from micrograd.engine import Value
from micrograd.state import load, save


def small():
    random.seed(2)
    return nn.MLP(2, [2, 1])


def test_names_are_paths(twin):
    model = twin.nn.MLP(1, [2, 1])
    assert [name for name, _ in model.named_parameters()] == [
        "layers.0.neurons.0.w.0", "layers.0.neurons.0.b",
        "layers.0.neurons.1.w.0", "layers.0.neurons.1.b",
        "layers.1.neurons.0.w.0", "layers.1.neurons.0.w.1", "layers.1.neurons.0.b"]
    assert [p for _, p in model.named_parameters()] == model.parameters()


def module_with(parameters, **attributes):
    module = nn.Module()
    module.parameters = lambda: parameters
    vars(module).update(attributes)
    return module


def names(module):
    return [name for name, _ in module.named_parameters()]


def test_names_through_tuples_dicts_and_circles():
    a, b, c, d = map(Value, range(4))
    inner = module_with([a], a=a)
    module = module_with([c, c, d, b, a], t=({"k": b, 2: c},), inner=inner)
    module.itself = module.t[0]["list"] = [module]
    assert names(module) == ["t.0.2", "parameters.2", "t.0.k", "inner.a"]


def test_a_shared_parameter_has_its_first_name():
    a = Value(1.0)
    assert names(module_with([a, a], z=a, y=a)) == ["z"]


def test_keys_that_give_the_same_path():
    a, b = Value(1.0), Value(2.0)
    assert names(module_with([a, b], d={1: a, "1": b})) == ["d.1", "parameters.1"]


def test_nested_deeper_than_the_stack():
    a = nested = Value(1.0)
    for _ in range(5000):
        nested = [nested]
    module = module_with([a], x=nested)
    assert names(module) == ["x" + ".0" * 5000]
    while isinstance(nested, list):
        nested = nested[0]


def test_out_and_in_again(twin):
    random.seed(1)
    model, other = twin.nn.MLP(2, [3, 1]), twin.nn.MLP(2, [3, 1])
    before = model.state_dict()
    other.load_state_dict(before)
    assert [p.data for p in other.parameters()] == [p.data for p in model.parameters()]
    assert other([1.0, 2.0]).data == model([1.0, 2.0]).data
    model.layers[0].neurons[0].w[0].data = 5.0
    assert before["layers.0.neurons.0.w.0"] != 5.0      # a copy


def test_numbers_are_kept_as_given():
    np = pytest.importorskip("numpy")
    model = small()
    numbers = model.state_dict()
    first = next(iter(numbers))
    for x in (3, np.float64(0.5), np.float32(0.5), np.int64(2), Fraction(1, 3), float("nan")):
        model.load_state_dict({**numbers, first: x})
        kept = model.parameters()[0].data
        assert type(kept) is type(x) and repr(kept) == repr(x)


@pytest.mark.parametrize("bad", [True, "1.0", None, 1j, [1.0], Value])
def test_nothing_is_set_where_something_is_no_number(bad):
    model = small()
    before = model.state_dict()
    numbers = dict.fromkeys(before, 9.0)
    last = list(numbers)[-1]
    with pytest.raises(ValueError, match=f"{last} must be a real number, not {type(bad).__name__}"):
        model.load_state_dict({**numbers, last: bad})
    assert model.state_dict() == before


def test_nothing_is_set_where_a_parameter_is_no_value(tmp_path):
    model, numbers = small(), small().state_dict()
    model.layers[1].neurons[0].b = 5.0
    before = [p.data for p in model.parameters()[:-1]]
    for call in (model.named_parameters, model.state_dict, lambda: save(model, tmp_path / "x"),
                 lambda: model.load_state_dict(dict.fromkeys(numbers, 1.0))):
        with pytest.raises(TypeError, match="parameter 8 must be a Value, not float: 5.0"):
            call()
    assert [p.data for p in model.parameters()[:-1]] == before
    with pytest.raises(TypeError, match=r"parameters\(\) must be a list of Values, not NoneType"):
        module_with(None).state_dict()


def test_nothing_is_set_where_names_do_not_fit():
    model = small()
    before = model.state_dict()
    numbers = dict.fromkeys(list(before)[5:], 9.0)
    message = (r"missing 5 \('layers.0.neurons.0.w.0', .*, \.\.\.\); unexpected 1 \('weight'\)")
    with pytest.raises(ValueError, match=message):
        model.load_state_dict({**numbers, "weight": 1.0})
    assert model.state_dict() == before


@pytest.mark.parametrize("bad", ["moons.json", None, [("a", 1.0)], 1.0])
def test_a_state_is_a_mapping(bad):
    with pytest.raises(TypeError, match="a mapping of names to numbers, not "):
        small().load_state_dict(bad)


def test_any_mapping_will_do(tmp_path):
    numbers = types.MappingProxyType(small().state_dict())
    model = small()
    model.load_state_dict(numbers)
    save(numbers, os.fsencode(tmp_path / "x"))
    assert load(os.fsencode(tmp_path / "x")) == model.state_dict() == numbers


def test_a_file_gives_every_bit_back(tmp_path):
    rng = random.Random(4)
    numbers = {str(i): x for i, x in enumerate(
        [0.1, -0.0, 5e-324, sys.float_info.max, 3, -2**80, 0, int(sys.float_info.max), 1e22]
        + [rng.uniform(-1, 1) * 10 ** rng.randrange(-300, 300) for _ in range(500)])}
    save(numbers, tmp_path / "x.json")
    assert repr(load(tmp_path / "x.json")) == repr(numbers)


def test_a_model_comes_back_from_its_file(tmp_path):
    model, other = small(), nn.MLP(2, [2, 1])
    save(model, str(tmp_path / "x.json"))
    other.load_state_dict(load(str(tmp_path / "x.json")))
    assert other.state_dict() == model.state_dict()
    assert os.listdir(tmp_path) == ["x.json"]


def test_numbers_of_numpy_are_saved_as_pythons(tmp_path):
    np = pytest.importorskip("numpy")
    save({"a": np.float32(0.1), "b": np.float64(0.1), "c": np.int64(7), "d": Fraction(1, 2)},
         tmp_path / "x")
    assert repr(load(tmp_path / "x")) == "{'a': 0.10000000149011612, 'b': 0.1, 'c': 7, 'd': 0.5}"


@pytest.mark.filterwarnings("error")
def test_numbers_of_numpy_are_saved_without_a_warning(tmp_path):
    np = pytest.importorskip("numpy")
    save({"a": np.float32(0.1), "b": np.float16(0.1), "c": np.longdouble(0.5)}, tmp_path / "x")


@pytest.mark.parametrize("bad", [
    float("nan"), float("inf"), -float("inf"), True, None, "1", 1j, 10**309, 10**5000,
    Fraction(1, 3), Fraction(10**400)],
    ids=lambda x: type(x).__name__)
def test_what_is_not_saved_leaves_the_old_file(tmp_path, bad):
    save({"a": 1}, tmp_path / "x")
    with pytest.raises(ValueError, match="the_name must be"):
        save({"a": 2, "the_name": bad}, tmp_path / "x")
    assert load(tmp_path / "x") == {"a": 1}
    assert os.listdir(tmp_path) == ["x"]


def test_a_model_without_parameters_is_not_saved(tmp_path):
    class Doubled(nn.Module):
        def __init__(self):
            self.inner = small()

    with pytest.raises(ValueError, match=r"Doubled defines no parameters\(\), so there is nothing"):
        save(Doubled(), tmp_path / "x")
    assert os.listdir(tmp_path) == []
    save(module_with([]), tmp_path / "x")       # has said that there are none
    assert load(tmp_path / "x") == {}


def test_what_is_no_model_is_not_saved(tmp_path):
    for bad in ([Value(1.0)], Value(1.0), None):
        with pytest.raises(TypeError, match=f"a model is a Module, .*, not {type(bad).__name__}"):
            save(bad, tmp_path / "x")
    for bad in (small(), 3):        # a module has a state_dict too
        with pytest.raises(TypeError, match="an optimizer is one of micrograd.optim, not "):
            save(small(), tmp_path / "x", optimizer=bad)
    assert os.listdir(tmp_path) == []


def test_a_file_is_named_by_a_path():
    """An int is an open file, for `open`, which would close it."""
    for call in (lambda: load(2), lambda: state.load_optimizer(2), lambda: save(nn.Neuron(1), 2)):
        with pytest.raises(TypeError, match="not int"):
            call()
    os.fstat(2)


def trained(optimizer, model, steps):
    for k in range(steps):
        optimizer.zero_grad()
        ((model([0.5, k / 7]) - 1) ** 2).backward()
        optimizer.step()


@pytest.mark.parametrize("name, arguments", [
    ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1}), ("Adam", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": 1, "maximize": None})])
@pytest.mark.parametrize("steps", [0, 5])
def test_training_goes_on_where_it_stopped(tmp_path, name, arguments, steps):
    model, other = small(), small()
    optimizer = getattr(optim, name)(model.parameters(), **arguments)
    trained(optimizer, model, steps)
    save(model, tmp_path / "x", optimizer=optimizer)
    again = getattr(optim, name)(other.parameters(), lr=7.0)
    other.load_state_dict(load(tmp_path / "x"))
    again.load_state_dict(state.load_optimizer(tmp_path / "x"))
    for training in ((optimizer, model), (again, other)):
        trained(*training, 5)
    assert repr(again.state_dict()) == repr(optimizer.state_dict())
    assert repr(other.state_dict()) == repr(model.state_dict())


def test_files_with_and_without_an_optimizer(tmp_path):
    model = small()
    optimizer = optim.SGD(model.parameters(), 0.1)
    save(model, tmp_path / "x")
    assert json.loads((tmp_path / "x").read_text())["version"] == 1     # as ever
    with pytest.raises(ValueError, match="x: saved without an optimizer; save"):
        state.load_optimizer(tmp_path / "x")
    save(model.state_dict(), tmp_path / "y", optimizer=optimizer.state_dict())
    assert load(tmp_path / "y") == load(tmp_path / "x") == model.state_dict()
    assert json.loads((tmp_path / "y").read_text())["version"] == 2


def test_an_optimizer_that_is_not_saved_leaves_the_old_file(tmp_path):
    model = small()
    optimizer = optim.Adam(model.parameters())
    save(model, tmp_path / "x")
    optimizer.mean[2] = float("nan")
    with pytest.raises(ValueError, match="mean must be finite"):
        save(model, tmp_path / "x", optimizer=optimizer)
    assert load(tmp_path / "x") == model.state_dict() and os.listdir(tmp_path) == ["x"]


def test_names_are_strings(tmp_path):
    with pytest.raises(ValueError, match="must be a string, not int: 1"):
        save({1: 1.0}, tmp_path / "x")


def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    save({"a": 1}, tmp_path / "x")
    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises(OSError, match="disk is full"):
                save({"a": 2}, tmp_path / "x")
        assert load(tmp_path / "x") == {"a": 1}
        assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs kill -9")
def test_killed_while_writing(tmp_path):
    save({"a": 1}, tmp_path / "x")
    code = ("import os, signal; from micrograd.state import save;"
            "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
            f"save({{'a': 2}}, {str(tmp_path / 'x')!r})")
    assert processes.run("-c", code).returncode == -9
    assert load(tmp_path / "x") == {"a": 1}


@pytest.mark.skipif(os.name == "nt", reason="has no such permissions")
def test_permissions_are_kept(tmp_path):
    save({"a": 1}, tmp_path / "x")
    os.chmod(tmp_path / "x", 0o600)
    save({"a": 2}, tmp_path / "x")
    assert os.stat(tmp_path / "x").st_mode & 0o777 == 0o600


def test_what_is_no_file_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder is there, and is no file"):
        save({"a": 1}, tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_link_stays_a_link(tmp_path):
    save({"a": 1}, tmp_path / "x")
    os.symlink(tmp_path / "x", tmp_path / "link")
    save({"a": 2}, tmp_path / "link")
    assert os.path.islink(tmp_path / "link") and load(tmp_path / "x") == {"a": 2}


GOOD = '{"format": "micrograd state", "version": 1, "parameters": {"a": 1.5}}'
FOREIGN = {
    "": "Expecting value",
    GOOD[:-9]: "Expecting|Unterminated",
    GOOD + "x": "Extra data",
    "[1]": "format",
    GOOD.replace("micrograd state", "pickle"): "format",
    GOOD.replace('"version": 1', '"version": 3'): "version must be 1 or 2, not 3",
    GOOD.replace('"version": 1', '"version": true'): "version must be 1 or 2, not True",
    GOOD.replace('"version": 1', '"version": 1.0'): "version must be 1 or 2, not 1.0",
    GOOD.replace('"version": 1, ', ""): "version must be 1 or 2, not None",
    GOOD.replace('{"a": 1.5}', "[1]"): "an object of parameters",
    GOOD.replace('"version"', '"more": 1, "version"'): "nothing else",
    GOOD.replace('"version"', '"optimizer": {}, "version"'): "nothing else",
    GOOD.replace('"version": 1', '"version": 2'): "parameters and one of optimizer, nothing else",
    GOOD.replace('"version": 1', '"optimizer": [], "version": 2'): "one of optimizer, nothing else",
    GOOD.replace('"version": 1', '"optimizer": {"t": null}, "version": 2'): "'t' must be a finite",
    GOOD.replace('"version": 1', '"optimizer": {"t": [{}]}, "version": 2'): "'t' must be a finite",
    GOOD.replace('"a": 1.5', '"a": 1.5, "a": 2'): "name 'a' is there twice",
    GOOD.replace('"version": 1', '"version": 1, "version": 1'): "name 'version' is there twice",
    GOOD.replace("1.5", "NaN"): "NaN is no number",
    GOOD.replace("1.5", "-Infinity"): "-Infinity is no number",
    GOOD.replace("1.5", "1e999"): "'a' must be a finite number, not float: inf",
    GOOD.replace("1.5", "9" * 309): "'a' must be a finite number, not int",
    GOOD.replace("1.5", "-" + "9" * 5000): "integer of 5000 digits",
    GOOD.replace("1.5", "true"): "'a' must be a finite number, not bool",
    GOOD.replace("1.5", "null"): "'a' must be a finite number, not NoneType",
    GOOD.replace("1.5", '"1.5"'): "'a' must be a finite number, not str",
    GOOD.replace("1.5", '{"b": 1}'): "'a' must be a finite number, not dict",
    "[" * 200_000: "nested too deep",
    GOOD.replace("1.5", '{"a":' * 200_000): "nested too deep",
    "\ufeff" + GOOD: "BOM",
}


@pytest.mark.parametrize("text", FOREIGN, ids=range(len(FOREIGN)))
def test_foreign_files_are_refused(tmp_path, text):
    (tmp_path / "x").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=FOREIGN[text]) as caught:
        load(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: no micrograd state: ")
    assert len(str(caught.value)) < 400


def test_every_truncation_is_refused(tmp_path):
    save(small(), tmp_path / "x")
    whole = (tmp_path / "x").read_bytes().rstrip()
    for end in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:end])
        with pytest.raises(ValueError, match="no micrograd state"):
            load(tmp_path / "x")


def test_bytes_that_are_no_text(tmp_path):
    for junk in (b"\x80\x04K\x01.", GOOD.encode("utf-16"), bytes(range(256))):
        (tmp_path / "x").write_bytes(junk)
        with pytest.raises(ValueError, match="no micrograd state"):
            load(tmp_path / "x")


def test_a_good_file(tmp_path):
    (tmp_path / "x").write_text(GOOD)
    assert load(tmp_path / "x") == {"a": 1.5} and json.loads(GOOD)["version"] == state.VERSION


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "x")


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing.x'$") as caught:
        save({"a": 1.0}, tmp_path / "missing" / "x")
    assert caught.value.filename == os.path.realpath(tmp_path / "missing" / "x")


@pytest.mark.skipif(os.name == "nt", reason="a path has 260 characters there")
def test_a_long_name(tmp_path):
    """As long as the file system takes."""
    path = tmp_path / ("n" * 255)
    save({"a": 1.5}, path)
    assert load(path) == {"a": 1.5} and os.listdir(tmp_path) == [path.name]
