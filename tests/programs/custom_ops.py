"""Operations added by a subclass and on the class, state on nodes, two roots over one graph."""
import gc
import math

from micrograd.engine import Value


class Named(Value):
    def __init__(self, data, _children=(), _op='', name='?'):
        super().__init__(data, _children=_children, _op=_op)
        self.name = name

    def log(self):
        out = Named(math.log(self.data), (self,), 'log', name=f"log {self.name}")

        def backward():
            self.grad += out.grad / self.data

        out._backward = backward
        return out


t = Named(3.0, name="t")
y = t.log() * 2 + t
print(type(t + 1).__name__, type(y).__name__, y)
del_me = t.log()
z = del_me * t
del del_me
gc.collect()
z.backward()
print(z, t, sorted(getattr(c, 'name', '-') for c in z._prev),
      [c._op for c in z._prev if c is not t])

v = Value(0.5)
v.note = {"deep": [1, 2]}
w = v * 2
del v
gc.collect()
print([c.note for c in w._prev if hasattr(c, "note")])

a, b = Value(2.0), Value(-3.0)
shared = a * b + a
left, right = shared * 2, shared ** 2
left.backward()
print(a, b, shared, left, right)
right.backward()
print(a, b, shared, left, right)
left.backward()
print(a, b, shared)

p = Value(4)
r = (p * 3) * 2
r.backward()
r.backward()
print(p, [c for c in r._prev if c._op], r)

big = sum([Value(float(i)) for i in range(50)], Value(0)) / 7
big.backward()
print(big)


def boom():
    raise RuntimeError("boom")


m = a * 5
m._backward = boom
n = m + b
a.grad = b.grad = 0
try:
    n.backward()
except RuntimeError as error:
    print(error, a.grad, b.grad, m.grad, n.grad)
ok = a * 5
ok.backward()
print(a)

s = {a, b, a}
d = {a: "a", b: "b"}
print(len(s), d[a], d[b], a in s, Value(2.0) in s, [a, b].index(b))

x = Value(3.0, [a, b, m], 'three')
print(len(x._prev), x._op, a in x._prev, (x + 1)._op)
x += 1
x *= 2
x -= a
x /= 4
print(x, x._op)
for bad in (lambda: Value(0.0) ** -1, lambda: 1 / Value(0), lambda: Value(1e200) ** 2,
            lambda: a + "a", lambda: float(a), lambda: Value(-8.) ** .5):
    try:
        print(bad())
    except Exception as error:
        print(type(error).__name__, error)
e = Value(0.0)
h = e ** 0.5 + e
try:
    h.backward()
except ZeroDivisionError as error:
    print(error, e.grad, h)
