"""The lecture's habits: labels, operations written by hand, `_backward` called node by node."""
import math

from micrograd.engine import Value


def tanh(self):
    t = (math.exp(2 * self.data) - 1) / (math.exp(2 * self.data) + 1)
    out = Value(t, (self,), 'tanh')

    def _backward():
        self.grad += (1 - t**2) * out.grad

    out._backward = _backward
    return out


def exp(self):
    out = Value(math.exp(self.data), (self,), 'exp')

    def _backward():
        self.grad += out.data * out.grad

    out._backward = _backward
    return out


Value.tanh = tanh
Value.exp = exp


def trace(root):
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def named(value, label):
    value.label = label
    return value


x1, x2 = named(Value(2.0), 'x1'), named(Value(0.0), 'x2')
w1, w2 = named(Value(-3.0), 'w1'), named(Value(1.0), 'w2')
b = named(Value(6.8813735870195432), 'b')
n = named(named(x1 * w1, 'x1w1') + named(x2 * w2, 'x2w2') + b, 'n')
o = named(n.tanh(), 'o')

o.grad = 1.0                    # by hand, node by node
o._backward()
n._backward()
b._backward()
for v in n._prev:
    v._backward()
for v in [c for m in n._prev for c in m._prev]:
    v._backward()
for v in (o, n, b, x1, w1, x2, w2):
    print(v.label, v)

nodes, edges = trace(o)
print(len(nodes), len(edges), sorted(getattr(v, 'label', '-') for v in nodes),
      sorted(v._op for v in nodes))
print(sorted(f"{getattr(a, 'label', '-')}->{getattr(z, 'label', '-')}" for a, z in edges))

for v in nodes:
    v.grad = 0.0
o.backward()
print(w1.grad, w2.grad, x1.grad, x2.grad)

e = (2 * n).exp()               # tanh from its parts
q = (e - 1) / (e + 1)
for v in trace(q)[0]:
    v.grad = 0
q.backward()
print(f"{q.data:.6f} {w1.grad:.6f} {x1.grad:.6f} {n.grad:.6f}", n.label)

a = Value(3.0)
c = a + a
c.backward()
print(a, c._prev == {a}, c)
d = Value(-2.0)
f = (a * d) * (a + d)
f.backward()
print(a, d, f)
print(Value(7.0, (a, d), '+'), sorted(v.data for v in Value(7.0, (a, d), '+')._prev),
      Value(1, (a,), 'mine')._op)
