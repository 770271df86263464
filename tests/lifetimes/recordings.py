"""Recordings: called, swept, checked, refused, replaced; of instances, structures, in cycles."""
from growth import check

from micrograd.engine import Value
from micrograd.nn import MLP
from micrograd.recording import RecordingError, pick, record

model = MLP(2, [3, 1])
table = [[Value(0.5), Value(-0.5)] for _ in range(3)]


@record(static="n", threads=2)
def loss(x, t, n=1):
    return ((model(x) - t) ** 2) * n + pick(pick(table, t), 0)


class Machine:
    def __init__(self):
        self.w = Value(2.0)

    @record
    def times(self, x):
        return [self.w * y for y in x]


def refused(x):
    return x * model.parameters()[0].data


def fails(function, *arguments):
    try:
        function(*arguments)
    except (RecordingError, ValueError, IndexError):
        return
    raise AssertionError("should have failed")


def step(i):
    x = Value(i % 7)
    total = loss([x, 1.0], i % 3) + loss.mean([[1.0, x], [2, 3]] * 9, [0, 1] * 9)
    total = total + sum(loss.map([[x, x]], [2]))
    model.zero_grad()
    total.backward()
    for p in model.parameters():
        p.data -= 0.001 * p.grad
    if i % 10 == 0:
        machine = Machine()
        y = machine.times([x] * (i % 5))
        machine.w.results = y, machine

        @record
        def own(v):
            return own and (v * machine.w).log()

        own.sum([1.0, 2.0]).backward()
        fails(own.sum, [1.0, 0.0])
        fails(record(refused), x)
        fails(loss, [1.0, 2.0], 3)


check(step, 10_000)
