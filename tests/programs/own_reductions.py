"""What a copy is made of, as the program says it: in copyreg, or by a __reduce__ set on Value."""
import copy
import copyreg
import pickle

from micrograd.engine import Value
from micrograd.nn import MLP

model = MLP(2, [2, 1])
for i, p in enumerate(model.parameters()):
    p.data = 0.25 * i - 0.5
out = model([1.0, 2.0])
out.backward()


class Weight(Value):
    pass


weight = Weight(2.0)
weight.grad = 3.0
weight.label = "w"


def reduced(value):
    return type(value), (value.data,)


def show(how):
    print(how)
    for twin in copy.deepcopy(model), pickle.loads(pickle.dumps(model)):
        print(twin([1.0, 2.0]), [p.grad for p in twin.parameters()])
    for again in copy.copy, copy.deepcopy:
        print(again(out), again(out)._prev, repr(again(out)._op))
    twice = [weight, weight]
    for first, second in copy.deepcopy(twice), pickle.loads(pickle.dumps(twice)):
        print(first, type(first).__name__, hasattr(first, "label"), first is second)


copyreg.pickle(Value, reduced)
copyreg.pickle(Weight, reduced)
show("copyreg")
del copyreg.dispatch_table[Value], copyreg.dispatch_table[Weight]

before = Value.__reduce__
Value.__reduce__ = reduced
show("__reduce__")
Value.__reduce__ = before

before = Value.__reduce_ex__
Value.__reduce_ex__ = lambda self, protocol: reduced(self)
show("__reduce_ex__")
Value.__reduce_ex__ = before
print(copy.copy(out))
