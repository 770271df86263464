"""A subclass whose nodes have names, and the graph as text for graphviz."""
import math

from micrograd.engine import Value


class Node(Value):
    def __init__(self, data, _children=(), _op="", label=""):
        super().__init__(data, _children, _op)
        self.label = label

    def __add__(self, other):
        return self.joined(other, "+", self.data + other.data, 1.0, 1.0)

    def __mul__(self, other):
        return self.joined(other, "*", self.data * other.data, other.data, self.data)

    def joined(self, other, op, y, da, db):
        out = Node(y, (self, other), op, label=f"({self.label}{op}{other.label})")

        def _backward():
            self.grad += da * out.grad
            other.grad += db * out.grad

        out._backward = _backward
        return out


def dot(root):
    nodes, edges = set(), set()

    def trace(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                trace(child)

    trace(root)
    lines = [f'"{n.label}" [{n._op or "leaf"} {n.data:.4f} {n.grad:.4f}]' for n in nodes]
    return sorted(lines + [f'"{a.label}" -> "{b.label}"' for a, b in edges])


for turn in range(500):
    inputs = [(Node(0.1 * i + turn / 500, label=f"x{i}"), Node(math.cos(i), label=f"w{i}"))
              for i in range(8)]
    total = Node(6.88 / 8, label="b")
    for x, w in inputs:
        total = total + x * w
    total.backward()
    text = dot(total)
    if turn % 200 == 0:
        print(*text, sep="\n")
print(len(text), f"{sum(w.grad for _, w in inputs):.8f}")
