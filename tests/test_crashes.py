"""What crashed the interpreter once, each in a process of its own: it must end well."""
import pytest

from conftest import ENGINES
from processes import python

if "c" not in ENGINES:
    pytest.skip("about the compiled engine", allow_module_level=True)


def ends_well(code):
    python("-c", f"if True:\n    from micrograd.engine import Value\n{code}", PYTHONMALLOC="debug",
           MALLOC_PERTURB_="165")


def test_a_value_that_is_its_own_data():
    """The reference runs into a RecursionError."""
    ends_well("""
    v = Value(1.0)
    v.data = v
    for operate in (lambda: v + 1, lambda: v * v, v.relu, lambda: v ** 2, lambda: repr(v)):
        try:
            operate()
        except (RecursionError, TypeError):     # a Value has no <
            pass
    w = Value(1.0)
    for _ in range(100_000):            # data in data in data
        w = Value(w)
    try:
        w + 1
    except RecursionError:
        pass
    """)


def test_a_subclass_that_forgets_to_initialise():
    """The original raises AttributeError, for what was never set."""
    ends_well("""
    class Forgetful(Value):
        def __init__(self, x):
            pass

    for use in (lambda v: v.backward(), lambda v: v._backward(), lambda v: (v * 2).backward(),
                lambda v: v + v, lambda v: repr(v)):
        try:
            use(Forgetful(1.0))
        except AttributeError:
            pass
    """)


def test_a_prev_that_makes_its_values():
    """Set where no property looks, in the instance's __dict__: nobody else holds what it yields."""
    ends_well("""
    class Fresh:
        def __iter__(self):
            yield Value(1.0) * 2
            kept.clear()
            yield Value(2.0) * 3

    for _ in range(100):
        kept = [Value(1.0) * 3]
        v = Value(1.0)
        v._prev = [kept[0]]
        vars(v)["_prev"] = Fresh()
        try:
            (v * 2 + kept[0]).backward()
        except TypeError:
            pass
    """)
