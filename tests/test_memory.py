"""The life of a node: everything the original would free is freed, at any depth."""
import gc
import inspect
import weakref

import pytest

from conftest import ENGINES
from processes import python

if "c" not in ENGINES:
    pytest.skip("about the compiled engine", allow_module_level=True)
core = ENGINES["c"]
Value = core.Value


def test_five_million_nodes_in_at_most_100_bytes_each():
    printed = python("-c", """if True:
        import resource
        from micrograd.engine import Value
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
        x, one = Value(0.0), Value(1.0)
        before = resident()
        for _ in range(5_000_000):
            x = x + one
        size = resident() - before
        x.backward()
        assert one.grad == 5_000_000, one.grad
        del x
        print(size / 5_000_000, (resident() - before) / 5_000_000)
        """)
    each, left = map(float, printed.split())
    assert each <= 100
    assert left <= 10       # the pool gave its chunks back


def test_a_million_operands_and_a_graph_dropped_from_its_middle():
    values = [Value(1.0) for _ in range(300_000)]
    total = sum(values)
    middle = total * 2
    top = middle + 1
    total.backward()
    assert total.data == 300_000 and values[7].grad == 1
    del total, middle
    assert top.data == 600_001
    del top, values


def cycle_of_a_closure():
    x = Value(2.0)
    out = Value(x.data ** 2, (x,), "square")

    def backward():
        x.grad += 2 * x.data * out.grad

    out._backward = backward
    return weakref.ref(out)


def cycle_through_plain_nodes():
    leaf = Value(1.0)
    root = (leaf * 2 + 1) * leaf
    leaf.root = root
    return weakref.ref(leaf)


def cycle_through_a_list_and_a_subclass():
    class Box(Value):
        pass

    leaf = Box(1.0)
    root = leaf * 2 + 1
    leaf.held = [root]
    return weakref.ref(root)


def cycle_through_data():
    holder = []
    v = Value(1.0)
    holder.append(v * 2)
    v.data = holder
    return weakref.ref(v)


def cycle_of_nested_customs():
    x = Value(1.0)
    for _ in range(50):
        y = Value(x.data, (x,), "id")

        def backward(y=y, x=x):
            x.grad += y.grad

        y._backward = backward
        x = (y * 1.5 + y) * 0.5
    return weakref.ref(y)


def cycle_of_a_node_that_is_its_own_operand():
    v = Value(1.0)
    v.__init__(2.0, (v,), "self")
    return weakref.ref(v)


CYCLES = [f for n, f in sorted(globals().items()) if n.startswith("cycle_")]


@pytest.mark.parametrize("make", CYCLES)
def test_cycles_are_collected(make):
    reference = make()
    gc.collect()
    assert reference() is None
    assert core._count_values() == 0


@pytest.mark.parametrize("make", CYCLES)
def test_cycles_are_collected_by_python_itself(make):
    """A program that makes cycles and never calls gc.collect() loses all of them."""
    python("-c", inspect.getsource(make) + f"""
import weakref
from micrograd.engine import Value
for _ in range(3):
    watched, made = [{make.__name__}() for _ in range(100)], 0
    while any(cycle() is not None for cycle in watched):
        {make.__name__}()
        made += 1
        assert made < 500_000, "some of the first hundred are left"
""")


def test_a_cycle_that_is_in_use_is_kept():
    leaf = Value(1.0)
    root = (leaf * 2 + 1) * leaf
    leaf.root = root
    del root
    gc.collect()
    gc.collect()
    leaf.root.backward()
    assert leaf.grad == 5.0
    del leaf.root


def test_a_finalizer_may_resurrect_and_use_the_engine():
    saved = []

    class Phoenix(Value):
        def __del__(self):
            saved.append(self)
            (self * 2).backward()

    p = Phoenix(3.0)
    q = p * 2
    del p, q
    assert [v.grad for v in saved] == [2]
    saved.clear()


def test_a_chain_of_subclass_instances():
    class Node(Value):
        pass

    x = Node(0.0)
    for _ in range(100_000):
        x = Node(0.0, (x,), "link")
    del x
    gc.collect()


def test_attributes_that_hold_deep_graphs():
    x = Value(0.0)
    for _ in range(50_000):
        y = Value(1.0)
        y.previous = x
        x = y * 1.0
    del x, y


def test_a_chain_of_bound_methods():
    x = Value(0.0)
    for _ in range(200_000):
        y = Value(1.0)
        y._backward = x.relu
        x = y
    del x, y


def test_a_chain_of_arrays_of_values():
    np = pytest.importorskip("numpy")
    x = Value(0.0)
    for _ in range(50_000):
        x = Value(np.array([x, None]))
    del x


def test_training_does_not_grow():
    printed = python("-c", """if True:
        import random, resource, sys
        from micrograd.engine import Value
        from micrograd.nn import MLP
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
        def tanh(v):
            out = Value(v.data * 0.5, (v,), "half")
            def backward():
                v.grad += 0.5 * out.grad
            out._backward = backward
            return out
        model = MLP(2, [3, 1])
        def step(i):
            loss = (tanh(model([1.0, i % 3])) - 1) ** 2
            loss.label = "loss"
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.data -= 0.01 * p.grad
        for i in range(3000): step(i)
        before = resident()
        for i in range(20000): step(i)
        print(resident() - before)
        """)
    assert int(printed) < 2_000_000


def test_interpreter_exit_and_fork():
    python("-c", """if True:
        import os
        from micrograd.engine import Value
        x = Value(1.0)
        for _ in range(100_000): x = x * 1.0
        x.me = x
        pid = os.fork()
        if pid == 0:
            x.backward()
            del x
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """)


def test_classes_of_nn_that_a_reload_replaces_are_released():
    assert python("-c", """if True:
        import gc, importlib, weakref
        from micrograd import nn
        old = weakref.ref(nn.MLP)
        nn.MLP(2, [2, 1])([1.0, 2.0]).backward()
        importlib.reload(nn)
        nn.MLP(2, [2, 1])([1.0, 2.0]).backward()
        gc.collect()
        print(old())""") == "None\n"
