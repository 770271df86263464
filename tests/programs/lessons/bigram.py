"""The bigram model of names, a row of logits for each letter; log and softmax of its own."""
import math
import random

from micrograd.engine import Value


class Logit(Value):
    def exp(self): return unary(self, math.exp(self.data), math.exp(self.data))
    def log(self): return unary(self, math.log(self.data), 1 / self.data)

    def __add__(self, other):
        other = other if isinstance(other, Logit) else Logit(other)
        out = Logit(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __truediv__(self, other):
        out = Logit(self.data / other.data, (self, other), "/")

        def _backward():
            self.grad += out.grad / other.data
            other.grad -= out.grad * self.data / other.data**2

        out._backward = _backward
        return out


def unary(v, y, slope):
    out = Logit(y, (v,))

    def _backward():
        v.grad += slope * out.grad

    out._backward = _backward
    return out


names = ["emma", "olivia", "ava", "mia", "amelia"]
letters = sorted(set("." + "".join(names)))
pairs = [(letters.index(a), letters.index(b)) for n in names for a, b in zip("." + n, n + ".")]
random.seed(1)
table = [[Logit(random.gauss(0, 1)) for _ in letters] for _ in letters]
for step in range(100):
    losses = []
    for a, b in pairs:
        exps = [v.exp() for v in table[a]]
        losses.append((exps[b] / sum(exps[1:], exps[0])).log())
    total = sum(losses[1:], losses[0])
    total.backward()
    for v in sum(table, []):
        v.data, v.grad = v.data + 10 * v.grad / len(pairs), 0
    if step % 10 == 0:
        print(step, f"{-total.data / len(pairs):.8f}", type(total).__name__)
