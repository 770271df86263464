"""Gradients that are Values: first, second and third derivatives against PyTorch in double
precision, with its create_graph, and against finite differences; both engines. The programs are
those of test_gradients, the points those of test_functions.

MICROGRAD_EXAMPLES sets how many programs are tried, 60 if unset.
"""
import math

import pytest

pytest.importorskip("hypothesis")
from hypothesis import assume, given

from micrograd.gradients import nodes_under
from test_functions import CASES, THEIRS, ids
from test_gradients import (
    ByHand,
    function,
    inputs,
    made,
    models,
    parameters,
    programs,
    run,
    settled,
)

torch = pytest.importorskip("torch")
ORDERS = 3
OVERFLOWS = [(1e-300,)]                 # the second derivatives of log and sqrt there
# Of **; see test_powers_...
LEFT_OUT = [(3.0, 0.0), (-2.0, 0.0), (0.0, 0.0), (0.0, 1.0), (0.0, 2.0)]
differentiable = programs.map(lambda program: [step for step in program if step[0] != "custom"])


@pytest.fixture(autouse=True, scope="module")
def softplus_is_smooth():
    """PyTorch's is linear above a threshold, 20, which shows in the derivatives to 1e-9."""
    softplus = torch.nn.functional.softplus
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "softplus",
                      lambda x, threshold=100: softplus(x, 1, threshold))
        yield


def weights(order, count):
    """The weights of the derivatives of an order, in one number to differentiate further."""
    return [math.sin(1 + 3 * order + 7 * i) for i in range(count)]


def derivatives(y, xs, grad, orders=ORDERS):
    """For each order, the gradients of the weighed sum of those of the order before."""
    found = []
    for order in range(orders):
        found.append(grad(y, xs))
        y = sum(g * w for g, w in zip(found[-1], weights(order, len(xs))))
    return found


def torch_grad(y, xs):
    if not torch.is_tensor(y) or not y.requires_grad:
        return [torch.zeros((), dtype=torch.double) for _ in xs]
    found = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, xs)]


def tensor(x):
    return torch.tensor(x, dtype=torch.double, requires_grad=True)


def second_derivatives(twin, f, point):
    values = [twin.Value(x) for x in point]
    found = twin.gradients.grad(f(*values), values)
    return [[h.data for h in twin.gradients.grad(g, values)] for g in found]


def assert_close(found, expected, tolerance):
    scale = 1 + max(map(abs, expected))
    close = [abs(a - b) <= tolerance * scale for a, b in zip(found, expected, strict=True)]
    assert all(close), (found, expected)


@pytest.mark.parametrize("operation, f, point", [case for case in CASES
                                                if case[2] not in OVERFLOWS + LEFT_OUT], ids=ids)
def test_every_function(twin, operation, f, point):
    values, tensors = [twin.Value(x) for x in point], [tensor(x) for x in point]
    y = f(*values)
    expected = (THEIRS[operation](torch.nn.functional, *tensors) if operation in THEIRS
                else f(*tensors))
    found = derivatives(y, values, twin.gradients.grad)
    for ours, theirs in zip(found, derivatives(expected, tensors, torch_grad)):
        assert [g.data for g in ours] == pytest.approx([g.item() for g in theirs], rel=1e-12,
                                                       abs=1e-300, nan_ok=True)


def test_powers_where_pytorch_has_nan_or_forgets_a_term(twin):
    """d2(a**b)/(da db) is a**(b-1) * (1 + b*log(a)), so 1/a at b = 0, where PyTorch 2.13 has 0."""
    log3 = math.log(3)
    assert second_derivatives(twin, lambda a, b: a ** b, (3.0, 0.0)) == [
        [0, pytest.approx(1 / 3)], [pytest.approx(1 / 3), pytest.approx(log3 * log3)]]
    assert second_derivatives(twin, lambda a, b: a ** b, (0.0, 2.0)) == [[2, 0], [0, 0]]
    assert second_derivatives(twin, lambda a, b: a ** b, (0.0, 3.0)) == [[0, 0], [0, 0]]
    assert second_derivatives(twin, lambda a: a ** a, (1.0,)) == [[2]]


@pytest.mark.parametrize("x", [0.0, math.nan])
def test_the_slope_of_a_power_of_0(twin, x):
    a = twin.Value(x)
    for b in (0, twin.Value(0.0)):
        assert twin.gradients.grad(a ** b, [a])[0].data == 0


class Dual:
    """x + slope * e, where e * e is 0; it has no abs and no order."""

    def __init__(self, x, slope):
        self.x, self.slope = x, slope

    def __add__(self, other):
        return self if other == 0 else Dual(self.x + other.x, self.slope + other.slope)

    def __mul__(self, other):
        x, slope = (other.x, other.slope) if isinstance(other, Dual) else (other, 0)
        return Dual(self.x * x, self.x * slope + self.slope * x)

    def __pow__(self, n):
        return Dual(self.x ** n, n * self.x ** (n - 1) * self.slope)

    __radd__, __rmul__ = __add__, __mul__


def test_powers_of_a_class_of_numbers(twin):
    a = twin.Value(Dual(2.0, 1.0))
    for y, slope in ((1 / a, Dual(-0.25, 0.25)), (a ** 3, Dual(12.0, 12.0))):
        found, = twin.gradients.grad(y, [a])
        assert vars(found.data) == vars(slope)


def test_poles(twin):
    for f in (lambda a: a.sqrt(), lambda a: a ** 0.5, lambda a: a ** twin.Value(0.5)):
        assert second_derivatives(twin, f, (0.0,)) == [[-math.inf]]
    assert second_derivatives(twin, lambda a: a ** 1, (0.0,)) == [[0]]
    assert second_derivatives(twin, lambda a: a ** 2, (0.0,)) == [[2]]
    assert second_derivatives(twin, lambda a: a.relu() + a.abs() + a.leaky_relu(), (2.0,)) == [[0]]


def has_exponent_of_0(y):
    """Or one that is 0 in a derivative."""
    return any(node._op == "**" and any(x.data in range(ORDERS) for x in node._prev)
               for node in nodes_under(y))


@settled
@given(program=differentiable, numbers=inputs, model=models)
def test_like_pytorch(twin, program, numbers, model):
    count = len(numbers)
    leaves, ours = [twin.Value(x) for x in numbers], made(twin, model)
    y = run(program, leaves, ours, model[0][0])
    assume(not has_exponent_of_0(y))            # where PyTorch forgets a term, see above
    tensors = [tensor(x) for x in numbers + parameters(model)]
    expected = run(program, tensors[:count], ByHand(model, tensors[count:]), model[0][0])
    found = derivatives(y, leaves + ours.parameters(), twin.gradients.grad)
    for row, theirs in zip(found, derivatives(expected, tensors, torch_grad)):
        assert_close([g.data for g in row], [g.item() for g in theirs], 1e-8)


@settled
@given(program=differentiable, numbers=inputs, model=models)
def test_like_finite_differences(twin, program, numbers, model):
    """The derivatives of each order, against differences of those of the order before."""
    def at(h, orders):
        """All derivatives at the point moved by h in the direction of the order's weights."""
        direction = weights(orders - 1, len(numbers))
        leaves = [twin.Value(x + h * w) for x, w in zip(numbers, direction)]
        y = run(program, leaves, ours, model[0][0])
        return [[g.data for g in row]
                for row in derivatives(y, leaves, twin.gradients.grad, orders)]

    ours = made(twin, model)
    for order in range(1, ORDERS):
        here, h = at(0, order + 1), 1e-6
        below, above = at(-h, order)[-1], at(h, order)[-1]
        left = [(b - a) / h for a, b in zip(below, here[-2])]
        right = [(b - a) / h for a, b in zip(here[-2], above)]
        scale = 1 + max(map(abs, left)) + 1e-2 * max(map(abs, here[-2]))
        # No kink, no cliff.
        if all(abs(a - b) < 1e-3 * scale for a, b in zip(left, right)) and scale < 1e6:
            assert all(abs(a - b) < 2e-3 * scale
                       for a, b in zip(here[-1], right)), (here[-1], left, right)


def rosenbrock(x):
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def readme(x):
    a, b = x
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    f = (c - d)**2
    return f / 2.0 + 10.0 / f


@pytest.mark.parametrize("f, point", [(readme, [-4.0, 2.0]), (rosenbrock, [0.3, -1.2, 0.7, 2.0])])
def test_hessian_of_expressions(twin, f, point):
    at = torch.tensor(point, dtype=torch.double)
    expected = torch.func.hessian(lambda x: f(list(x)))(at)
    assert_rows(twin.gradients.hessian(f, point), expected)
    assert_rows([twin.gradients.jacobian(f, point)],
                torch.func.jacrev(lambda x: f(list(x)))(at)[None])
    v = [0.5, -2.0, 1.0, 0.25][:len(point)]
    found = twin.gradients.hvp(f, point, v)
    assert_rows([found], (expected @ torch.tensor(v, dtype=torch.double))[None])


def assert_rows(found, expected):
    for row, theirs in zip(found, expected.tolist(), strict=True):
        assert row == pytest.approx(theirs, rel=1e-10, abs=1e-10)


def network(model, numbers, x):
    """The output of a network of tensors."""
    shape, nonlin, _ = model
    left = iter(numbers)
    for depth, count in enumerate(shape[1:], start=2):
        x = [sum([next(left) * xi for xi in x]) + next(left) for _ in range(count)]
        x = [function(nonlin, y) for y in x] if depth < len(shape) else x
    return x


@pytest.mark.parametrize("nonlin", ["tanh", "relu", "softplus", "leaky_relu", "sigmoid"])
def test_hessian_of_a_small_network(twin, nonlin):
    """Of its mean squared error over three rows, by all its parameters."""
    model = (2, 4, 1), nonlin, 5
    ours, numbers = made(twin, model), parameters(model)
    rows, targets = [[0.5, -1.0], [1.5, 0.25], [-0.75, -0.3]], [1.0, -1.0, 0.5]

    def loss(f):
        return sum((f(x) - t) ** 2 for x, t in zip(rows, targets)) * (1 / 3)

    hessian = torch.func.hessian(lambda p: loss(lambda x: network(model, p, x)[0]))
    found = twin.gradients.hessian(lambda _: loss(ours), ours.parameters())
    assert_rows(found, hessian(torch.tensor(numbers, dtype=torch.double)))
    assert all(p.grad == 0 for p in ours.parameters())


def test_jacobian_of_a_network(twin):
    model = (2, 3, 2), "tanh", 8
    expected = torch.func.jacrev(lambda x: torch.stack(network(model, parameters(model), list(x))))
    found = twin.gradients.jacobian(made(twin, model), [0.5, -1.0])
    assert_rows(found, expected(torch.tensor([0.5, -1.0], dtype=torch.double)))


def test_a_gradient_penalty(twin):
    """The squared norm of the inputs' gradient, in a loss whose gradients go to the parameters."""
    def penalized(f, x, grad):
        y = f(x)
        return y * y + sum(g ** 2 for g in grad(y, x))

    model, point = ((2, 4, 1), "tanh", 3), [0.5, -1.0]
    ours, tensors = made(twin, model), [tensor(p) for p in parameters(model)]
    loss = penalized(ours, [twin.Value(x) for x in point], twin.gradients.grad)
    loss.backward()
    expected = penalized(lambda x: network(model, tensors, x)[0], [tensor(x) for x in point],
                         torch_grad)
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-12)
    assert ([p.grad for p in ours.parameters()]
            == pytest.approx([t.grad.item() for t in tensors], rel=1e-10))
