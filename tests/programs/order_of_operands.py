"""`_prev` in an order that the program gives: so go the callbacks, and the sums of floats."""
from micrograd.engine import Value


def announced(name, v):
    """Let v say when it is swept, too."""
    sweep = v._backward

    def backward():
        print(name, end=" ")
        sweep()

    v._backward = backward
    return v


for kind in (tuple, list, dict.fromkeys):
    leaves = [Value(0.1 * i) for i in range(4)]
    nodes = [announced(name, leaf * 3) for name, leaf in zip("abcd", leaves)]
    y = Value(1.0, (), "y")
    y._prev = kind(nodes)
    y.backward()
    print()

# Each adds another term to the one gradient of x.
x = Value(1.0)
terms = []
for factor in (1e16, 1.0, -1e16, 1.0):
    node = Value(factor, (), "term")
    node._prev = [x]

    def backward(node=node):
        x.grad += node.data * node.grad

    node._backward = backward
    terms.append(node)
y = Value(0.0, (), "sum")
y._prev = terms


def to_all():
    for node in terms:
        node.grad += y.grad


y._backward = to_all
y.backward()
print(x)
