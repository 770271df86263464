"""Local gradients in place of an operation's name: Value(y, (a, b), (dy/da, dy/db))."""
import copy
import math
import pickle
from fractions import Fraction

import pytest

from micrograd import engine


def test_they_are_swept(Value):
    a, b = Value(2.0), Value(-3.0)
    y = Value(a.data * b.data, (a, b), (b.data, a.data))
    (y * 2).backward()
    assert (a.grad, b.grad, y.grad, y._op, y._prev) == (-6.0, 4.0, 2, "", {a, b})
    y._backward()
    assert (a.grad, b.grad) == (-12.0, 8.0)


def test_an_operand_that_stands_twice(Value):
    a, b = Value(3.0), Value(1.0)
    y = Value(0.0, [a, b, a, a], [1, 10, 100, 1000])
    y.backward()
    assert (a.grad, b.grad, y._prev) == (1101, 10, {a, b})


def test_values_for_local_gradients(Value):
    """Their data is read when it is swept; they get no gradient."""
    a, slope = Value(3.0), Value(2.0)
    y = Value(6.0, (a,), (slope,))
    slope.data = 5.0
    y.backward()
    assert (a.grad, slope.grad) == (5.0, 0)


@pytest.mark.parametrize("name", ["data", "grad", "_prev", "_op", "_backward", "__setattr__"])
def test_of_a_class_with_attributes_of_its_own(Value, name):
    """All of what the constructor sets goes through them."""
    seen = {}
    own = (object.__setattr__ if name == "__setattr__" else
           property(lambda self: seen[self], lambda self, new: seen.__setitem__(self, new)))
    kind = type("Own", (Value,), {name: own})
    a, b = Value(2.0), kind(-3.0)
    y = kind(5.0, iter((a, b)), (10.0, 20.0))
    (y * 2).backward()
    assert (a.grad, b.grad, y.grad, y._op, y._prev) == (20.0, 40.0, 2, "", {a, b})
    y._backward()
    assert (a.grad, b.grad) == (40.0, 80.0)
    if name == "__setattr__":
        copied, operand = copy.deepcopy((y, a))
        copied.backward()
        assert (a.grad, operand.grad) == (40.0, 50.0)
    y.__init__(1.0)
    y.backward()
    assert (a.grad, b.grad, y._prev) == (40.0, 80.0, set())


@pytest.mark.parametrize("local", [Fraction(1, 3), 1j, 10**20, math.inf, True, -0.0])
def test_numbers_of_any_kind(Value, local):
    a = Value(1.0)
    Value(2.0, (a,), (local,)).backward()
    assert a.grad == local and type(a.grad) is type(0 + local * 1)


def test_what_is_refused(Value):
    a = Value(1.0)
    with pytest.raises(ValueError, match="one local gradient for each operand, not 1 for 2"):
        Value(1.0, (a, a), (1.0,))
    with pytest.raises(ValueError, match="one local gradient for each operand, not 2 for 0"):
        Value(1.0, (), (1.0, 2.0))
    with pytest.raises(TypeError,
                       match="a local gradient must be a number or a Value, not str: 'x'"):
        Value(1.0, (a,), ("x",))
    with pytest.raises(TypeError, match="the operands of a node must be Values, not int: 3"):
        Value(1.0, (3,), (1.0,))
    for unordered in (set, frozenset):
        with pytest.raises(TypeError, match="must be in order, and a set has none"):
            Value(1.0, unordered([a, Value(2.0)]), (1.0, 2.0))
        assert Value(1.0, unordered([a]), (1.0,))._prev == {a}
    assert len(Value(1.0, (v for v in (a, Value(2.0))), (1.0, 2.0))._prev) == 2


def test_copies_and_pickles(Value):
    a = Value(2.0)
    y = Value(4.0, (a,), (4.0,)) * 3
    twins = [copy.deepcopy(y), copy.deepcopy(copy.deepcopy(y))]
    if Value is engine.Value:       # pickle finds a class by its name
        twins.append(pickle.loads(pickle.dumps(y)))
    for twin in twins:
        twin.backward()
        (inner,) = [v for v in twin._prev if v._prev]
        assert [v.grad for v in inner._prev] == [12.0]
    assert a.grad == 0


def test_in_a_sweep_with_callbacks_and_networks(Value):
    a = Value(0.5)
    y = Value(1.0, (a,), (2.0,))
    out = Value(y.data * 3, (y,), "triple")

    def backward():
        y.grad += 3 * out.grad

    out._backward = backward
    (out * out).backward()
    assert a.grad == 36.0


def test_a_class_that_overrides_grad(Value):
    class Clipped(Value):
        grad = property(lambda self: self.g, lambda self, new: setattr(self, "g", min(1, new)))

    c = Clipped(2.0)
    Value(4.0, (c, c), (50.0, 1.0)).backward()
    assert c.grad == 1


def test_microgpts_own_operators_run_unchanged(Value):
    class Scalar(Value):
        def __add__(self, other):
            other = other if isinstance(other, Scalar) else Scalar(other)
            return Scalar(self.data + other.data, (self, other), (1, 1))

        def __mul__(self, other):
            other = other if isinstance(other, Scalar) else Scalar(other)
            return Scalar(self.data * other.data, (self, other), (other.data, self.data))

        def __pow__(self, other):
            return Scalar(self.data**other, (self,), (other * self.data**(other - 1),))

        def log(self):
            return Scalar(math.log(self.data), (self,), (1 / self.data,))

    x = Scalar(3.0)
    y = (x * x + 1 - x / 2) ** 2
    loss = y.log()
    loss.backward()
    assert x.grad == pytest.approx(2 * (6 - 0.5) / (9 + 1 - 1.5), rel=1e-15)


def test_a_deep_chain_is_released(Value):
    x = y = Value(1.0)
    for _ in range(100_000):
        y = Value(y.data, (y,), (1.0,))
    y.backward()
    assert x.grad == 1.0
