"""What crashed the interpreter once, each in a process of its own: it must end well."""
import pytest

from conftest import ENGINES
from processes import python

if "c" not in ENGINES:
    pytest.skip("about the compiled engine", allow_module_level=True)


def ends_well(code):
    python("-c", f"if True:\n    from micrograd.engine import Value\n{code}", PYTHONMALLOC="debug",
           MALLOC_PERTURB_="165")


def test_a_value_that_is_its_own_data():
    """The reference runs into a RecursionError."""
    ends_well("""
    v = Value(1.0)
    v.data = v
    for operate in (lambda: v + 1, lambda: v * v, v.relu, lambda: v ** 2, lambda: repr(v)):
        try:
            operate()
        except (RecursionError, TypeError):     # a Value has no <
            pass
    w = Value(1.0)
    for _ in range(100_000):            # data in data in data
        w = Value(w)
    try:
        w + 1
    except RecursionError:
        pass
    """)


def test_a_subclass_that_forgets_to_initialise():
    """The original raises AttributeError, for what was never set."""
    ends_well("""
    class Forgetful(Value):
        def __init__(self, x):
            pass

    for use in (lambda v: v.backward(), lambda v: v._backward(), lambda v: (v * 2).backward(),
                lambda v: v + v, lambda v: repr(v)):
        try:
            use(Forgetful(1.0))
        except AttributeError:
            pass
    """)


def test_a_cycle_through_a_layer_that_is_edited():
    """The sort leaves the cycle to the reference. It put the output after its layer before."""
    ends_well("""
    from micrograd.nn import Layer

    layer, x = Layer(1, 2, nonlin=False), Value(1.0)
    x._prev = prev = []
    a, b = layer([x])
    prev.append(a)

    def edit():
        layer.neurons[0].w[0].data += 1.0

    x._backward = edit
    b.backward()
    assert [p.grad for p in layer.parameters()] == [0, 0, 1, 1]
    """)


def test_a_constructor_called_without_an_object():
    """CPython's own short cut for methods of C classes takes the Value that lay on the stack."""
    ends_well("""
    def attempt():
        id(v)
        try:
            Value.__init__()
        except TypeError:
            pass

    v = Value(5.0)
    for _ in range(100):
        attempt()
    assert v.data == 5.0
    """)


def test_a_prev_that_makes_its_values():
    """Set where no property looks, in the instance's __dict__: nobody else holds what it yields."""
    ends_well("""
    class Fresh:
        def __iter__(self):
            yield Value(1.0) * 2
            kept.clear()
            yield Value(2.0) * 3

    for _ in range(100):
        kept = [Value(1.0) * 3]
        v = Value(1.0)
        v._prev = [kept[0]]
        vars(v)["_prev"] = Fresh()
        try:
            (v * 2 + kept[0]).backward()
        except TypeError:
            pass
    """)


def test_an_optimiser_without_nn():
    ends_well("""
    import sys
    from micrograd import optim
    for Optimizer in (optim.SGD, optim.Adam, optim.AdamW):
        p = Value(1.0)
        p.grad = 1.0
        optimizer = Optimizer([p], lr=0.1)
        optimizer.step()
        assert abs(p.data - 0.9) < 0.01, p
        optimizer.zero_grad()
        assert p.grad == 0
    assert "micrograd.nn" not in sys.modules
    """)


def test_states_of_too_few_operands_or_of_changing_ones():
    ends_well("""
    for name, count in (("POW", 1), ("LEAKY_RELU", 1), ("ADD", 1), ("RELU", 2), ("EXP", 0),
                        ("CALL", 1), ("OUTPUT", 1), ("LEAF", 0), (3, 1)):
        v = Value.__new__(Value)
        try:
            v.__setstate__({"data": 4.0, "grad": 0, "_graph": ([], name, [Value(2.0)] * count)})
        except ValueError:
            continue
        raise AssertionError(f"{name} of {count} was accepted")

    class Changing(list):
        def __len__(self): return 2
        def __getitem__(self, i): return None

    v = Value(1.0)
    v.__setstate__({"_graph": ([], "ADD", Changing([Value(1.0), Value(2.0)]))})
    assert {child.data for child in v._prev} == {1.0, 2.0}
    """)


@pytest.mark.parametrize("change", [
    "model.layers[0].neurons.clear()", "del model.layers[0].neurons[0].w[1:]",
    "model.layers.clear()",
    "model.layers[1].neurons[0].w[0] = Value(5.0)", "model.layers[0].neurons[0].b = 3"])
def test_a_finalizer_that_changes_the_model_within_its_call(change):
    ends_well(f"""
    import gc
    from micrograd.nn import MLP

    class Garbage:
        def __init__(self): self.me = self
        def __del__(self):
            try:
                {change}
            except IndexError:
                pass

    for threshold in (1, 2, 3, 5, 7, 11, 13):
        gc.set_threshold(threshold, 1, 1)
        model = MLP(2, [3, 2])
        for _ in range(30):
            Garbage()
            try:
                for out in model([1.0, 2.0]):
                    getattr(out, "_prev", None)
                model.parameters()
                model.zero_grad()
            except (IndexError, TypeError, AttributeError):
                pass
    """)


def test_a_hash_that_changes_the_children_or_the_node():
    ends_well("""
    class Clearing(Value):
        def __hash__(self):
            if len(children) == 2:
                children[:] = [1, 2, 3]
            return 1

    class Filling(Value):
        def __hash__(self):
            target.__init__(3.0, (Value(1.0), Value(2.0)))
            return id(self)

    children = [Clearing(1.0), Clearing(2.0)]
    assert {child.data for child in Value(1.0, children)._prev} == {1.0, 2.0}
    target = Value(0.0)
    target.__init__(1.0, (Filling(1.0), Filling(2.0)))
    assert len(target._prev) == 2
    """)


def test_a_hash_that_drops_its_node_while_prev_is_made():
    ends_well("""
    class Hashed(Value):
        def __hash__(self):
            root.__init__(0.0)
            return 1

    for operands in 1, 2:
        root = Hashed(3.0) * (Hashed(4.0) if operands == 2 else 2.0)
        prev = root._prev
        others = [Hashed(1.0) for _ in range(100)]
        assert sorted(v.data for v in prev)[-1] == 4.0 - (operands == 1)
        assert len(prev) == 2 and root._prev == set()
    """)


def test_a_key_whose_comparison_changes_the_graph():
    ends_well("""
    class Key(str):
        def __hash__(self): return hash("_prev")
        def __eq__(self, other):
            b.__init__(5.0)
            junk.clear()
            return False

    junk = [Value(1.0)]
    a = Value(2.0)
    b = a * 3
    c = b * junk[0]
    junk.append(c)
    d = Value(1.0, (b, c, a), "three")
    vars(d)[Key("_prev")] = vars(b)[Key("_backward")] = 1
    d.backward()
    """)


def test_functions_of_the_engine_given_what_is_no_value():
    ends_well("""
    from micrograd import _core
    some = [None], bytearray(8), 0.1, 0.0, 0.0, True
    calls = [(None,) * n for n in range(4)]
    calls += [some, some[:1] + some, ([1], 2.0), ({}, {}), ([None], b"x" * 8, 1)]
    calls += [(None, *[bytearray(8)] * arrays, *[0.1] * numbers, False, 1)
              for arrays in range(3) for numbers in (2, 5)]
    functions = [f for name, f in vars(_core).items() if name[0] == "_" != name[1]]
    for function in filter(callable, functions):
        for arguments in calls:
            try:
                function(*arguments)
            except (TypeError, ValueError, AttributeError, BufferError):
                pass
    """)


def test_functions_of_a_value_that_is_its_own_data():
    """They end, with an error or not."""
    ends_well("""
    from micrograd import _engine_py
    for cls in (Value, _engine_py.Value):
        v = cls(1.0)
        v.data = v
        for use in (v.leaky_relu, v.abs, v.sqrt, v.exp, lambda: v.maximum(2.0), lambda: v < 1,
                    lambda: f"{v:.2f}", lambda: round(v), lambda: v ** cls(2.0), v.gelu):
            try:
                use()
            except (RecursionError, TypeError):
                pass
        v.data = 1.0
    """)


def test_a_backward_of_a_node_that_is_its_own_backward():
    """RecursionError, as in the original."""
    ends_well("""
    from micrograd import _engine_py
    for cls in (Value, _engine_py.Value):
        v = cls(1.0)
        for function in (v.backward, (v * 2).backward):
            v._backward = function
            try:
                v.backward()
            except RecursionError:
                continue
            raise AssertionError(cls)
    """)


@pytest.mark.parametrize("attribute, value, use", [
    ("data", "property(cls.relu, lambda self, x: None)", "cls(1.0).data"),
    ("grad", "property(cls.backward, cls.__init__)", "cls(1.0)"),
    ("__setattr__", "cls.__init__", "cls(1.0)")])
def test_an_attribute_that_a_method_of_its_own_class_answers(attribute, value, use):
    """RecursionError, as in the original."""
    ends_well(f"""
    from micrograd import _engine_py
    for cls in (Value, _engine_py.Value):
        cls.{attribute} = {value}
        try:
            {use}
        except RecursionError:
            continue
        raise AssertionError(cls)
    """)


def test_methods_called_with_what_is_no_value():
    """TypeError, but for those that take anything, as the original's do: relu and backward go by
    attributes, __radd__ is self + other, __rmul__ self * other."""
    ends_well("""
    methods = {name: getattr(Value, name) for name, method in vars(Value).items()
               if callable(method) and name not in
               ("relu", "backward", "__radd__", "__rmul__", "__init__", "__repr__", "__new__",
                "__class__")}
    assert Value.__radd__(5, Value(3.0)).data == 8 and Value.__rmul__("x", 2) == "xx"
    for name in ("__lt__", "__le__", "__gt__", "__ge__"):       # Value.__lt__ is object's
        def method(bad, *arguments, comparison=vars(Value)[name]):
            return comparison.__get__(bad, Value)(*arguments)
        methods[name] = method
    assert len(methods) > 40
    for name, method in methods.items():
        for bad in (5, object(), Value, "x" * 1000):
            for arguments in ((), (Value(3.0),), (1, 2)):
                try:
                    found = method(bad, *arguments)
                except (TypeError, AttributeError):
                    continue
                raise AssertionError((name, bad, arguments, found))
    """)


def test_a_copy_whose_dict_has_a_key_that_equals_prev():
    """The copy keeps `_prev` in the dict under that key, where the engine does not find it."""
    ends_well("""
    import copy
    class Name(str):
        pass

    v = Value(2.0) * 3
    vars(v)[Name("_prev")] = 1
    assert copy.copy(v)._prev == v._prev
    """)


EVIL_KEY = """
    from micrograd import nn

    class Key:
        on = False

        def __hash__(self):
            return hash("__getattr__")      # which the engine looks for in all bases

        def __eq__(self, other):
            if Key.on:
                act()
            return False

    model, other = nn.MLP(2, [2, 1]), nn.MLP(2, [2, 1])
    nn.Neuron.__bases__ = type("Base", (nn.Module,), {Key(): 1}),
    assert other([1.0, 2.0]).data == other([1.0, 2.0]).data
"""


def test_a_key_whose_comparison_changes_the_class_that_is_looked_at():
    ends_well(EVIL_KEY + """
    def act():
        if nn.Neuron.count < 5:
            nn.Neuron.count += 1
            other([1.0, 2.0])

    nn.Neuron.count, Key.on = 0, True
    model([1.0, 2.0])
    assert nn.Neuron.count == 5
    """)


def test_a_key_whose_comparison_raises_while_classes_are_looked_at():
    """They count as not seen then, so that what overrides them is noticed."""
    ends_well(EVIL_KEY + """
    import sys
    def act():
        raise KeyError

    sys.unraisablehook = lambda error: None
    Key.on = True
    nn.Layer.__call__ = lambda self, x: 7
    for _ in range(3):
        assert model([1.0, 2.0]) == 7
    """)


def test_a_constructor_that_cannot_be_looked_up():
    """A key of the class dict raises; the original says AttributeError too."""
    ends_well("""
    from keys import Key

    def fail():
        raise KeyError

    V = type("V", (Value,), {Key("__init__"): 1})
    assert V(1.0).data == V(1.0).data       # from the first instance on, the engine calls the class
    Key.do, V.changed = fail, 1
    try:
        V(1.0)
    except AttributeError:
        pass
    else:
        raise AssertionError
    """)


def test_a_class_that_the_collector_has_cleared():
    """Its instance, still alive, has a weak reference to it from a finalizer."""
    ends_well("""
    import gc
    import weakref
    errors = []

    class Late:
        def __del__(self):
            try:
                seen()(1.0)
            except AttributeError as error:
                errors.append(error)

    class Holder:
        def __del__(self):
            global seen
            seen = weakref.ref(self.cls)
            self.late = Late()

    class V(Value):
        pass

    V(1.0).data = 2.0
    V.holder = holder = Holder()
    holder.late, holder.cls, holder.value, holder.me = None, V, V(1.0), holder
    del V, holder
    gc.collect()
    assert len(errors) <= 1
    """)


def test_a_key_whose_comparison_drops_the_dict():
    ends_well("""
    from keys import Key

    def drop():
        vars(v).clear()
        v.data = 1.0

    class V(Value):
        pass

    v = V(1.0)
    vars(v)[Key("_prev")] = 1
    Key.do = drop
    v.__init__(2.0)
    assert v.data == 2.0
    """)


DROPPING = """
    from keys import Key

    junk = []

    def fail():
        raise AssertionError

    def drop_top():
        Key.do = lambda: None
        top.__init__(0.0)
        for i in range(1000):       # in the places of nodes that were to be visited
            junk.append(Value(i))
            junk[i]._backward = fail
"""


def test_a_key_of_a_class_whose_comparison_changes_the_graph_that_is_sorted():
    ends_well(DROPPING + """
    V = type("V", (Value,), {Key("data"): 1})
    v, a, b = V(1.0), Value(2.0), Value(3.0)
    top = ((b + b * 2) * (v * 2 + a) * ((b * a) + v * v)) * ((b + a) * (b * b))
    V.changed, Key.do = 1, drop_top
    top.backward()
    assert top.data == 0
    """)


def test_a_key_of_a_result_whose_comparison_changes_the_graph_that_is_sorted():
    for sort in ("copy.deepcopy(top)", "top.backward()"):
        ends_well(DROPPING + f"""
    import copy
    from micrograd.recording import record

    w, x, a, b = Value(2.0), Value(3.0), Value(4.0), Value(5.0)
    y = record(lambda x: x * w + x)(x)
    top = ((b + b * 2) * (y + a) * ((b * a) + y)) * ((b + a) * (b * b))
    vars(y)[Key("_op")] = 1
    Key.do = drop_top
    x.grad = 2 ** 70            # no number of the engine's own
    {sort}
    del vars(y)[next(iter(vars(y)))]
    assert y._op == "<lambda>"
    """)


def test_a_thread_that_changes_what_is_being_recorded():
    ends_well("""
    from threading import Thread
    from micrograd.recording import RecordingError, record

    def change():
        for value in made:
            value.__init__(0.0)
        made.clear()
        junk.extend([Value(i) + 2 for i in range(1000)])

    class Slow(float):
        def __float__(self):
            thread = Thread(target=change)
            thread.start()
            thread.join()
            return 1.0

    def function(x):
        a, d = x * Value(Slow(3.0)), (x + 1.0) * w
        e = d * 2.0 + d
        g = e * x
        made.append(a * g + g * e + (a + e) * (x + w * 3.0))
        return made[0]

    made, junk, w = [], [], Value(2.0)
    try:
        record(function)(2.0)
    except RecordingError:
        pass
    else:
        raise AssertionError
    """)


def test_a_recording_whose_end_frees_what_its_function_made():
    """(Only AddressSanitizer sees it.)"""
    ends_well("""
    from micrograd.recording import record

    class V(Value):
        pass

    def function(x):
        y = x * 2.0
        v, _ = V(1.0), V(2.0)
        v.note = [Value(i) for i in range(40)]
        return y

    assert record(function)(1.0).data == 2.0
    """)


def test_a_class_that_dies_while_its_value_becomes_a_result():
    """(Only AddressSanitizer sees it, except on 3.10.)"""
    ends_well("""
    import gc

    class Other(Value):
        pass

    def make_class():
        class V(Value):
            def __setattr__(self, name, x):
                object.__setattr__(self, name, x)
                names.append(name)
                if names.count("_backward") == 2:       # the constructor's was the first
                    object.__setattr__(self, "__class__", Other)
                    classes.clear()
                    gc.collect()
                    junk.extend(type(f"X{i}", (), {}) for i in range(50))
        return V

    Value.__new__ = lambda cls, *args: object.__new__(classes[0] if classes else cls)
    classes, names, junk = [], [], []
    a, b = Value(1.0), Value(2.0)
    for _ in range(20):
        names.clear()
        classes.append(make_class())
        assert (a * b).data == 2.0
    """)


def test_local_gradients_that_are_initialised_again():
    """(Only AddressSanitizer sees it.)"""
    ends_well("""
    a = Value(1.0)
    v = Value(5.0, (a, Value(2.0)), (1.0, 2.0))
    pair = v.__reduce__()[2]["_graph"][2][0]
    try:
        pair.__init__((a,) * 5000, (1.0,))
    except (TypeError, ValueError):
        pass
    v.backward()
    assert a.grad == 1.0
    """)
