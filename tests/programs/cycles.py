"""A cycle through a layer: a list that is the `_prev` of an input is filled with an output."""
from micrograd.engine import Value
from micrograd.nn import Layer, Neuron


def swept(nonlin, callback):
    layer, x = Layer(2, 2, nonlin=nonlin), Value(1.5)
    for i, p in enumerate(layer.parameters()):
        p.data = 0.5 + i
    x._prev = prev = []
    a, b = layer([x, 0.5])
    prev.append(a)
    if callback:
        def edit():
            a.grad += 2.0
        x._backward = edit
    (b * 3).backward()
    print(a, b, x, layer.parameters())


for nonlin in (False, True):
    swept(nonlin, False)
    swept(nonlin, True)

# One output, which is swept where it stands.
neuron, x = Neuron(1), Value(1.5)
neuron.w[0].data = 2.0
x._prev = prev = []
y = neuron([x])
prev.append(y)
(y * 2).backward()
print(y, x, neuron.parameters())
