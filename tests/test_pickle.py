"""pickle: leaves, models and graphs come back as they were, their sharing included."""
import copy
import gc
import pickle
import random

import pytest

from micrograd import nn
from micrograd.engine import Value, __engine__
from processes import python

compiled = pytest.mark.skipif(__engine__ != "c", reason="about the compiled engine")
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Box(Value):
    pass


class Slotted(Value):
    __slots__ = ("name", "__secret", "unset")

    def __init__(self, data, name):
        super().__init__(data)
        self.name, self.__secret, self.note = name, [name], "in the dict"

    def told(self):
        return self.data, self.name, self.__secret, self.note


class Reduced(Value):
    def __reduce__(self):
        return Reduced, (self.data + 1,)


class Stated(Value):
    def __getstate__(self):
        return self.data, self.grad

    def __setstate__(self, state):
        self.__init__(state[0])
        self.grad, self.note = state[1], "set"


def again(o, protocol=pickle.DEFAULT_PROTOCOL):
    return pickle.loads(pickle.dumps(o, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("data", [2, -1.5, 1j, 10**30, float("inf"), "text", [1, 2]])
def test_leaves(data, protocol):
    v = Value(data)
    v.grad, v.note = 0.25, {"a": [1]}
    w = again(v, protocol)
    assert (w.data, w.grad, w.note, type(w)) == (data, 0.25, {"a": [1]}, Value)
    assert type(again(Box(data), protocol)) is Box


def test_a_leaf_goes_from_one_engine_to_the_other():
    code = ("import pickle, sys; v = pickle.loads(bytes.fromhex(sys.argv[1])); "
            "print(v, v.note, (v * 2).data)")
    v = Value(1.5)
    v.note = "n"
    said = python("-c", code, pickle.dumps(v).hex(), MICROGRAD_ENGINE="python")
    assert said == "Value(data=1.5, grad=0) n 3.0\n"


@compiled
@pytest.mark.parametrize("engines", [("c", "python"), ("python", "c")])
def test_a_leaf_of_a_subclass_goes_from_one_engine_to_the_other(engines, tmp_path):
    (tmp_path / "own.py").write_text("""
from micrograd.engine import Value
class Box(Value): pass
class Slotted(Value): __slots__ = ("note",)
class Own(Value):
    _op = "class's"
    @property
    def data(self): return self.__dict__["data"]
    @data.setter
    def data(self, x): self.__dict__["data"] = x
""")
    find = f"import pickle, sys; sys.path.append({str(tmp_path)!r}); import own; "

    def loaded(dump, load):
        pickled = python("-c", find + dump, MICROGRAD_ENGINE=engines[0]).strip()
        return python("-c", find + load, pickled, MICROGRAD_ENGINE=engines[1])

    dump = ("leaves = own.Box(1.5), own.Slotted(2.5), own.Box(3.5, (), 'name')\n"
            "for v in leaves: v.note = 'n'\n"
            "print(pickle.dumps(leaves).hex())")
    load = ("a, b, c = pickle.loads(bytes.fromhex(sys.argv[1])); y = a * b * c; y.backward()\n"
            "for v in (a, b, c): print(type(v).__name__, v, v.note, v._op, v._prev)")
    assert loaded(dump, load) == (
        "Box Value(data=1.5, grad=8.75) n  set()\n"
        "Slotted Value(data=2.5, grad=5.25) n  set()\n"
        "Box Value(data=3.5, grad=3.75) n name set()\n")
    dump = ("leaves = own.Box(1.5), own.Own(2.5)\n"
            "for v in leaves: v.note = 'n'; del v._op, v._prev, v._backward\n"
            "print(pickle.dumps((*leaves, own.Own(3.5))).hex())")
    load = ("a, b, c = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "for v in (a, b): print(v, v.note, *[hasattr(v, x) for x in ('_prev', '_backward')])\n"
            "print(hasattr(a, '_op'), b._op, repr(c._op), c, c._prev)")
    assert loaded(dump, load) == (
        "Value(data=1.5, grad=0) n False False\n"
        "Value(data=2.5, grad=0) n False False\n"
        "False class's '' Value(data=3.5, grad=0) set()\n")


@compiled
def test_a_graph_of_the_reference_is_swept_in_the_compiled_engine():
    dump = ("import pickle; from micrograd import Value, record\n"
            "x, w = Value(2.0), Value(4.0)\n"
            "graph = x, w, x * w + record(lambda v: v * w * 3)(x) + Value(6.0, (x,), (w,))\n"
            "print(pickle.dumps(graph).hex())")
    load = ("import pickle, sys; from micrograd import grad\n"
            "x, w, y = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "print([g.data for g in grad(y, [x, w])])\n"
            "y.backward(); print(type(y).__module__, y, x, w)")
    pickled = python("-c", dump, MICROGRAD_ENGINE="python").strip()
    for engine in ("python", "c"):
        assert python("-c", load, pickled, MICROGRAD_ENGINE=engine) == (
            "[20.0, 8.0]\n"
            "micrograd.engine Value(data=38.0, grad=1) Value(data=2.0, grad=20.0) "
            "Value(data=4.0, grad=8.0)\n")


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
@pytest.mark.parametrize("nonlin", [True, "tanh"])
def test_models(protocol, nonlin):
    random.seed(2)
    model = nn.MLP(3, [4, 1], nonlin=nonlin)
    first = model([1.0, -2.0, 0.5])
    twin = again(model, protocol)
    second = twin([1.0, -2.0, 0.5])
    first.backward()
    second.backward()
    assert second.data == first.data and repr(twin) == repr(model)
    assert [p.grad for p in twin.parameters()] == [p.grad for p in model.parameters()]
    assert twin.parameters()[0] is not model.parameters()[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_graph_keeps_its_sharing_and_its_gradients(protocol):
    a, b = Value(2.0), Value(3)
    c = (a * b + a ** 2).tanh().maximum(b / a) + 2 ** a + a.leaky_relu(0.5)
    c.backward()
    a2, b2, c2 = again([a, b, c], protocol)
    assert repr([a2, b2, c2]) == repr([a, b, c])
    c.backward()
    c2.backward()
    assert repr([a2, b2, c2]) == repr([a, b, c])


def test_a_fused_graph():
    random.seed(5)
    model = nn.MLP(2, [3, 3, 1], nonlin="sigmoid")
    loss = (model([1.0, -1.0]) - 1) ** 2
    model2, loss2 = again((model, loss))
    loss.backward()
    loss2.backward()
    assert ([p.grad for p in model2.parameters()]
            == pytest.approx([p.grad for p in model.parameters()]))


def test_a_deep_graph():
    x = first = Value(1.0)
    for _ in range(100_000):
        x = x + first
    y = again(x)
    y.backward()
    assert y.data == 100_001.0


def test_a_deep_graph_under_two_roots():
    inner = Value(1.0)
    for _ in range(20_000):
        inner = inner + 1
    again([inner, inner + 1])
    assert again(inner).data == 20_001.0


def test_a_deep_graph_after_a_dump_that_failed():
    """It is listed anew: nothing says any longer that its nodes are in a list."""
    x = first = Value(1.0)
    for _ in range(20_000):
        x = x + first
    first.note = lambda: None
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(x)
    del first.note
    assert again(next(v for v in x._prev if v is not first)).data == 20_000.0


@compiled
def test_a_pickled_graph_is_in_no_cycle():
    from micrograd import _core
    gc.collect()
    gc.disable()
    try:
        pickle.dumps(Value(1.0) * 2 + 3)
        assert _core._count_values() == 0
    finally:
        gc.enable()


def test_pickling_leaves_nothing_behind():
    a = Value(2.0)
    inner = a * 3
    outer = inner + a
    before = [list(vars(v)) for v in (a, inner, outer)]
    twins = again([inner, outer, a])
    assert [list(vars(v)) for v in (a, inner, outer)] == before
    assert [sorted(vars(v)) for v in (twins[2], *twins[:2])] == [sorted(names) for names in before]


def test_cycles_through_attributes():
    leaf = Box(1.0)
    root = leaf * 2 + 1
    leaf.root = root
    twin = again(root)
    inner = next(p for p in twin._prev if p._op == "*")
    assert next(p for p in inner._prev if isinstance(p, Box)).root is twin
    del leaf.root
    del next(p for p in inner._prev if isinstance(p, Box)).root


def test_a_closure_is_refused_and_the_graph_unharmed():
    a = Value(2.0)
    out = Value(4.0, (a,), "square")

    def backward():
        a.grad += 2 * a.data * out.grad

    out._backward = backward
    top = out + 1
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(top)
    top.backward()
    assert a.grad == 4.0


@compiled
@pytest.mark.parametrize("operation, count", [("NOPE", 0), ("MUL", 0), ("ADD", 3), ("FUSED", 1)])
def test_a_foreign_state_is_refused(operation, count):
    operands = [Value(1.0)] * count
    with pytest.raises(ValueError, match="a leaf cannot become"):
        Value(1.0).__setstate__({"data": 2.0, "_graph": ([], operation, operands)})
    with pytest.raises(TypeError, match="must be Values"):
        Value(1.0).__setstate__({"_graph": ([], "ADD", [1, 2])})


def test_a_truncated_pickle_is_refused():
    whole = pickle.dumps(nn.MLP(2, [2, 1]))
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(Exception):      # noqa: B017 - of any kind, and no crash
            pickle.loads(whole[:end])


def test_copies(Value):
    a = Value(2.0)
    b = a * 3
    c, d = copy.copy(b), copy.deepcopy(b)
    assert c.data == d.data == 6.0 and a in c._prev and a not in d._prev


def test_a_deep_copy_has_gradients_of_its_own(Value):
    a, b = Value(2.0), Value(3)
    c = (a * b + a ** 2).tanh().maximum(b / a) + 2 ** a + a.leaky_relu(0.5)
    a2, b2, c2 = copy.deepcopy([a, b, c])
    c2.backward()
    assert (a.grad, b.grad, c.grad) == (0, 0, 0)
    c.backward()
    assert repr([a2, b2, c2]) == repr([a, b, c])


def test_a_deep_copy_of_a_deep_graph(Value):
    x = first = Value(1.0)
    for _ in range(20_000):
        x = x + first
    first2, x2 = copy.deepcopy([first, x])
    x2.backward()
    assert (x2.data, first2.grad, first.grad) == (20_001.0, 20_001, 0)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *[
    lambda v, protocol=protocol: again(v, protocol) for protocol in PROTOCOLS]])
def test_slots_of_a_subclass(again):
    v = Slotted(2.0, "a")
    assert again(v).told() == (2.0, "a", ["a"], "in the dict")
    v.unset = v
    w = again(v)
    assert w.unset is (v if again is copy.copy else w)
    if again is not copy.copy:
        v, y = again([v, v * v])
        y.backward()
        assert v.grad == 4 and v.name == "a"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *[
    lambda v, protocol=protocol: again(v, protocol) for protocol in PROTOCOLS]])
def test_a_reduce_of_the_programs_own(again):
    v = Reduced(2.0)
    assert again(v).data == 3.0 and type(again(v)) is Reduced
    if again is not copy.copy:
        v, y = again([v, v * 2])
        y.backward()
        assert (v.data, v.grad, y.data) == (3.0, 2, 4.0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_state_of_the_programs_own(protocol):
    v = Stated(2.0)
    (v * 3).backward()
    w = again(v, protocol)
    assert (w.data, w.grad, w.note, type(w)) == (2.0, 3, "set", Stated)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_both_engines_copy_by_a_reduce_of_the_programs_own(Value, again):
    class Reduced(Value):
        def __reduce__(self):
            return Reduced, (self.data + 1,)

    assert again(Reduced(2.0)).data == 3.0
    if again is copy.deepcopy:
        assert sorted(v.data for v in again(Reduced(2.0) * 5)._prev) == [3.0, 5]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_slots_are_copied_by_both_engines(Value, again):
    class Slotted(Value):
        __slots__ = ("name",)

    v = Slotted(2.0)
    v.name = ["a"]
    assert again(v).name == ["a"] and (again(v).name is v.name) is (again is copy.copy)


def test_a_deep_graph_whose_root_was_copied_is_pickled():
    x = first = Value(1.0)
    for _ in range(20_000):
        x = x + first
    copy.copy(x)
    assert again(x).data == 20_001.0


@pytest.mark.parametrize("name", ["_graph", "_slots", "_attributes", "_deleted"])
def test_attributes_with_names_that_a_pickle_has_too(name):
    for v in (Value(2.0), Value(2.0) * 3, Slotted(2.0, "a")):
        for x in (3, {"q": 1}, ([], "ADD", [v, v])):
            setattr(v, name, x)
            for twin in (copy.copy(v), copy.deepcopy(v), again(v)):
                assert twin.data == v.data and len(twin._prev) == len(v._prev)
                assert type(getattr(twin, name)) is type(x) and getattr(twin, "name", "a") == "a"


def test_attributes_that_were_deleted_are_missing_in_a_copy():
    for name in ("_prev", "_op", "_backward"):
        for v in (Value(2.0), Value(2.0) * 3, Value(1.0, (Value(2.0),), "own")):
            delattr(v, name)
            for twin in (copy.copy(v), copy.deepcopy(v), again(v)):
                assert twin.data == v.data and not hasattr(twin, name)


def test_operands_that_the_program_sets_are_copied():
    a = Value(2.0)
    for v in (Value(1.0), Value(1.0, (a,), "own"), a * 3):
        name, v._prev = v._op, [a]
        for twin in (copy.copy(v), copy.deepcopy(v), again(v)):
            assert [child.data for child in twin._prev] == [2.0]
            assert twin._op == name
        assert copy.copy(v)._prev is v._prev
        root = copy.deepcopy(v)
        root.backward()
        assert root.grad == 1


def test_a_function_with_a_name_is_kept():
    for value in (Value(1.0), Value(1.0) * 2, Value(1.0, (Value(2.0),), "mine")):
        value._backward = gc.collect
        assert again(value)._backward is gc.collect


class Quantity(Value):
    def __new__(cls, data, unit):
        return super().__new__(cls)

    def __init__(self, data, unit):
        super().__init__(data)
        self.unit = unit

    def __getnewargs__(self):
        return self.data, self.unit


def test_a_class_whose_new_has_arguments():
    q = Quantity(2.0, "m")
    for twin in (copy.copy(q), copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert type(twin) is Quantity and (twin.data, twin.unit) == (2.0, "m")


class Defaulted(Value):
    data = 0.0
    grad = 0.0


def test_what_stands_in_the_dict_of_a_class_with_defaults():
    d = Defaulted(3.0)
    d.grad, d._own, d._backward = 2.0, 5, gc.collect
    for twin in (copy.copy(d), copy.deepcopy(d), again(d)):
        assert (twin.data, twin.grad, twin._own, twin._backward) == (3.0, 2.0, 5, gc.collect)
        twin.data += 1
    assert (d.data, Defaulted.data) == (3.0, 0.0)


def test_a_graph_whose_backward_was_put_back():
    a = Value(2.0)
    y = a.exp()
    own = y._backward
    y._backward = print
    y._backward = own
    copied = pickle.loads(pickle.dumps(y))
    copied.backward()
    assert [v.grad for v in copied._prev] == [y.data]
    assert a.grad == 0
