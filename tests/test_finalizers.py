"""Python code that runs while the engine works on a network: finalizers, and keys of a dict that
compare themselves. It may do as it likes; the engine may raise, and goes on. Each program has
a process of its own, for it once crashed one. (A build with AddressSanitizer sees more.)"""
import os

import pytest

import twins
from processes import python

if twins.COMPILED is None:
    pytest.skip("about the compiled engine", allow_module_level=True)

PREAMBLE = """
import array, gc
from keys import Key, put_key
from micrograd import nn
from micrograd.engine import Value, __core__

class Dying:
    def __init__(self, do): self.do = do
    def __del__(self): self.do()

def soon(do, work, prepare=list):
    "Work again and again while a collection, each time a little later, finds garbage that does it."
    for later in range(1, 60):
        prepare()
        lists = [[] for _ in range(200)]        # Python has no spare ones now
        gc.collect(), gc.disable()
        garbage = Dying(do)
        garbage.me = garbage
        del garbage
        gc.set_threshold(gc.get_count()[0] + later)
        gc.enable()
        try: work()
        except (TypeError, ValueError, AttributeError, IndexError): pass
        finally: gc.set_threshold(700)
"""

ENDING = """
sum(nn.Layer(2, 3)([1.0, 2.0])).backward()
print("went on")
"""

PROGRAMS = {
    "a key like an operator's name, compared in the sort": """
class Name(str):
    def __hash__(self): return hash("__add__")
    def __eq__(self, other):
        if armed: armed.clear(), root.__init__(0.0)
        return False
armed = []
Odd = type("Odd", (Value,), {Name("k"): 1})
odd = Odd(1.0)
chain = first = Value(1.0)
for _ in range(1_000_000): chain = chain * first
root = chain + odd * 2
del chain
Odd.changed = 1                         # so that the engine looks at the class again
armed.append(1)
root.backward()
""",
    "a finalizer uses a result of the cycle that the collector has cleared": """
import copy, sys, weakref
from micrograd import grad, record
from micrograd.recording import pick

class Holder:
    def __del__(self):
        result = weakref.ref(self.result)
        self.late = Dying(lambda: use(result()))

used = []
def use(result):
    used.append(result)
    if result is not None: look(result)
def recorded(a, b):
    a.f = record(lambda x: x * a + x)
    return a.f(b)
def recorded_pick(a, b):
    a.f = record(lambda x, y: (pick([x, a], y * 0), x * y))
    return a.f(b * 1, Value(3.0))[0]
def mapped(a, b):
    a.f = record(lambda x: x * a)
    return a.f.map([b, 2.0, a])[0]
count = 0
for make in (lambda a, b: Value(5.0, (a, b), (1.0, 2.0)), recorded, recorded_pick, mapped):
    for look in (Value.backward, repr, copy.copy, Value.__reduce__, lambda v: v._backward(),
                 lambda v: v._prev, lambda v: v._op, lambda v: grad(v, [v]),
                 lambda v: (v * 2).backward()):
        a, b = Value(2.0), Value(3.0)
        result = make(a, b)         # its run is older than the holder, and is cleared before it
        a.holder = b.holder = Holder()
        a.holder.late, a.holder.result = None, result
        del a, b, result
        gc.collect()
        count += 1
assert len(used) == count
# From 3.14 on, such a weak reference is dead by then.
assert None not in used or sys.version_info >= (3, 14)
""",
    "a profile function drops the graph when a recorded slope fails in the sort": """
import copy, sys
from micrograd import record
w, x, chain, failed = Value(-0.5), Value(1e-300), Value(1.0), []
f = record(lambda x: x ** w)
f(1.0)
def profile(frame, event, argument):
    if frame.f_code.co_name == "slope_of_power":
        sys.setprofile(None)
        root.__init__(0.0)
for _ in range(1_000_000): chain = chain * 1.0
root = chain + f(x)
del chain
sys.setprofile(profile)
try: copy.deepcopy(root)
except OverflowError: failed.append(1)
sys.setprofile(None)
assert failed
""",
    "a training loop in a finalizer": """
def train():
    for _ in range(100):
        y = Value(1.0)
        for _ in range(100): y = y * 2.0 + 1.0
        y.backward()
    counts.append(__core__._count_values())
counts = []
first = Value(1.0)
first.note = Dying(train)
del first
assert counts and counts[0] < 1000
""",
    "a recorded result leaves its call while that is made plain": """
from micrograd import record
w, kept = Value(2.0), []
f = record(lambda x, z: (x * w + z, z * z))
for look in (Value.__reduce__, lambda v: v._backward(), lambda v: setattr(v, "_prev", ())):
    soon(lambda: kept[0].__init__(0.0), lambda: look(kept[0]),
         lambda: kept.__setitem__(slice(None), f(Value(1.5), Value(2.0))))
""",
    "a node loses its local gradients while it is swept": """
kept = []
def prepare():
    kept[:] = [Value(5.0, (Value(1.0), Value(2.0)), (1.0, 2.0))]
    kept.append(kept[0]._backward)
soon(lambda: kept[0].__init__(0.0), lambda: kept[1](), prepare)
""",
    "a node of a gradient that is being recorded loses its operands": """
from micrograd import grad, record
def function(x):
    z = x * 3.0
    u = z.detach()
    y = u * z + z
    garbage = Dying(lambda: u.__init__(0.0))
    garbage.me = garbage
    del garbage
    gc.set_threshold(later, 100000, 100000), gc.enable()
    try: return grad(y, [z])[0]
    finally: gc.disable()
for later in range(1, 120):
    gc.collect(), gc.disable()
    try: record(function)(1.0)
    except RuntimeError: pass
    gc.set_threshold(700, 10, 10), gc.enable()
""",
    "a constructor's _prev goes while it is looked at": """
shipped, y = Value.__init__, []
def constructor(self, data, _children=(), _op=""):
    shipped(self, data, (), _op)
    if _children:
        self._prev = set(_children)
        y[:] = [self]
        if later:
            garbage = Dying(lambda: setattr(y[0], "_prev", ()))
            garbage.me = garbage
            del garbage
            gc.set_threshold(later, 100000, 100000), gc.enable()
Value.__init__ = constructor
a, b = Value(1.0), Value(2.0)
for later in range(1, 60):
    gc.collect(), gc.disable()
    product = a * b
    gc.set_threshold(700, 10, 10), gc.enable()
    assert product.data == 2.0
later = 0
Value.__init__ = shipped
""",
    "an output's finalizer, which reaches its call by another output": """
import copy
from micrograd import record
w = Value(3.0)
recorded = record(lambda x, y: [x * w, y * w])
for make in (lambda: recorded(Value(1.0), Value(2.0)), lambda: nn.Layer(2, 2)([1.0, 2.0])):
    for look in (copy.deepcopy, lambda v: v._prev, lambda v: v._backward(), lambda v: v.backward()):
        for i in range(20):
            first, second = make()
            first.note = Dying(lambda: look(second))
            rest = Value(0.0, (Value(0.0), first)) if i % 2 else None   # dies before it
            first = rest = None
            look(second)
""",
    "a weight's finalizer in the sort": """
layer = nn.Layer(2, 2)
out = layer([1.0, 2.0])
root = out[0] * 2.0 + 1.0
layer.neurons[1].w[0].tag = Dying(lambda: (root.__init__(0.0), list(map(Value, range(50)))))
del layer, out
root.backward(), root.backward()
""",
    "a weight's finalizer before a callback": """
layer = nn.Layer(2, 2)
layer.neurons[1].w[0].tag = Dying(lambda: (root.__init__(0.0), list(map(Value, range(50)))))
root = Value(0.0)
root._prev = [layer([1.0, 2.0])[0] * 2.0]
root._backward = lambda: None
del layer
root.backward()
""",
    "an optimiser's list grows": """
parameters = nn.MLP(3, [4, 2]).parameters()
few, more = parameters[:], [Value(1.0) for _ in range(4000)]
zeros = array.array("d", bytes(8 * len(parameters)))
def work(step, *memory):
    parameters[:] = few
    nn.Neuron.changed = True        # so that the engine looks at the classes
    step(parameters, *memory)
soon(lambda: parameters.extend(more),
     lambda: work(__core__._sgd, zeros, 0.1, 0.9, 0.0, False, False, True))
soon(parameters.clear,
     lambda: work(__core__._adam, zeros, zeros[:], None, 0.1, 0.9, 0.9, 0.1, 0.0, False, False, 1))
""",
    "the layers are others during a prediction": """
model, other = nn.MLP(3, [4, 2]), nn.MLP(3, [400, 200])
other([1.0, 2.0, 3.0])
layers, rows = list(model.layers), array.array("f", [1.0] * 120)
def work():
    layers[:] = model.layers
    __core__._predict(layers, rows, 3)
for change in (lambda: layers.__iadd__(other.layers).reverse(), layers.clear,
               lambda: layers.append(None), lambda: layers.__setitem__(slice(None), other.layers)):
    soon(change, work)
""",
    "a recorded result becomes plain while its operands are looked for": """
from micrograd import record
f = record(lambda x, y: x * y)
kept = []
soon(lambda: setattr(kept[0], "_backward", None), lambda: kept[0]._prev,
     lambda: kept.__setitem__(slice(None), f.map([Value(1.0)], [3.0])))
""",
    "a key changes the weights": """
for change in (lambda w: w.__setitem__(slice(None), [object(), object()]), lambda w: w.clear(),
               lambda w: w.extend([Value(1.0)] * 9)):
    for which in (0, 1):
        for name in ("w", "b", "nonlin"):
            layer = nn.Layer(2, 2)
            w = layer.neurons[which].w
            put_key(layer.neurons[which], name)
            Key.do = lambda: change(w)
            try: layer([1.0, 2.0])
            except TypeError: pass
            Key.do = lambda: None
""",
    "a key gives the module another dict": """
def change():
    Key.do = lambda: None
    owner.__dict__ = {"w": [Value(1.0), Value(2.0)], "b": Value(3.0), "nonlin": False,
                      "neurons": [nn.Neuron(2)], "layers": []}
    [dict(a=1, b=2) for _ in range(100)]
for name in ("w", "b", "nonlin", "neurons", "layers"):
    model = nn.MLP(2, [2])
    owner = {"neurons": model.layers[0], "layers": model}.get(name) or model.layers[0].neurons[0]
    put_key(owner, name)
    Key.do = change
    try: model.zero_grad() if owner is model else model.layers[0]([1.0, 2.0])
    except AttributeError: pass
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_engine_goes_on(name):
    printed = python("-c", PREAMBLE + PROGRAMS[name] + ENDING,
                     PYTHONMALLOC=os.environ.get("PYTHONMALLOC", "debug"))
    assert "went on" in printed
