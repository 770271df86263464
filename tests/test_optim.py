"""Optimisers and clipping against torch.optim in double precision; schedules."""
import math
import random
from fractions import Fraction

import pytest

from micrograd import optim
from micrograd.engine import Value
from micrograd.nn import MLP, Layer

KINDS = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.05, momentum=0.5, weight_decay=0.1)),
    ("SGD", dict(lr=0.1, weight_decay=0.01)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    ("Adam", dict(lr=0.05, betas=(0.0, 0.0))),
    ("AdamW", dict()),
    ("AdamW", dict(lr=0.05, betas=(0.7, 0.9), weight_decay=0.3)),
    ("SGD", dict(lr=0.1, maximize=True, weight_decay=0.01)),
    ("SGD", dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("SGD", dict(lr=0.05, momentum=0.9, nesterov=True, maximize=True)),
    ("Adam", dict(lr=0.05, amsgrad=True, betas=(0.5, 0.5))),
    ("Adam", dict(lr=0.05, maximize=True, weight_decay=0.1)),
    ("AdamW", dict(lr=0.05, amsgrad=True, maximize=True, betas=(0.5, 0.5))),
]


@pytest.fixture(params=["engine", "python"], autouse=True)
def hooks(request, monkeypatch):
    """With the engine's steps, which the reference does not have, and without."""
    if request.param == "python":
        monkeypatch.setattr(optim.__core__, "_sgd", lambda *_: None)
        monkeypatch.setattr(optim.__core__, "_adam", lambda *_: None)
    return request.param


def values(*data, grads=None):
    parameters = [Value(x) for x in data]
    for p, g in zip(parameters, grads or [1.0] * len(data)):
        p.grad = g
    return parameters


@pytest.mark.parametrize("name, arguments", KINDS)
def test_fifty_steps_are_those_of_torch(name, arguments):
    torch = pytest.importorskip("torch")
    rng = random.Random(3)
    parameters = values(*[rng.uniform(-1, 1) for _ in range(7)])
    tensors = [torch.tensor(p.data, dtype=torch.double, requires_grad=True) for p in parameters]
    ours = getattr(optim, name)(parameters, **arguments)
    theirs = getattr(torch.optim, name)(tensors, **arguments)
    for k in range(50):
        for p, t in zip(parameters, tensors):
            p.grad = rng.uniform(-1, 1) * 10 ** rng.randrange(-3, 3)
            t.grad = torch.tensor(p.grad, dtype=torch.double)
        if k == 30:
            ours.lr = theirs.param_groups[0]["lr"] = 0.02
        ours.step()
        theirs.step()
        assert [p.data for p in parameters] == pytest.approx([t.item() for t in tensors], rel=1e-12)


@pytest.mark.parametrize("name, arguments", KINDS)
def test_infinite_numbers_are_those_of_torch(name, arguments):
    torch = pytest.importorskip("torch")
    numbers = [math.inf, -math.inf, math.nan, 1e300, 0.5]
    cases = [(x, g) for x in numbers for g in [*numbers, 0.0]]
    parameters = values(*[x for x, g in cases])
    tensors = [torch.tensor(x, dtype=torch.double, requires_grad=True) for x, g in cases]
    ours = getattr(optim, name)(parameters, **arguments)
    theirs = getattr(torch.optim, name)(tensors, **arguments)
    for _ in range(3):
        for (_, g), p, t in zip(cases, parameters, tensors):
            p.grad, t.grad = g, torch.tensor(g, dtype=torch.double)
        ours.step()
        theirs.step()
        assert [p.data for p in parameters] == pytest.approx([t.item() for t in tensors], rel=1e-12,
                                                             nan_ok=True)


@pytest.mark.parametrize("name, arguments", KINDS)
def test_the_engines_step_is_pythons(name, arguments, monkeypatch):
    results = []
    for hook in (optim.__core__._sgd, optim.__core__._adam), (lambda *_: None,) * 2:
        monkeypatch.setattr(optim.__core__, "_sgd", hook[0])
        monkeypatch.setattr(optim.__core__, "_adam", hook[1])
        rng = random.Random(5)
        parameters = values(*[rng.uniform(-1, 1) for _ in range(9)])
        optimizer = getattr(optim, name)(parameters, **{"lr": 0.1, **arguments})
        for _ in range(20):
            for p in parameters:
                p.grad = rng.choice([rng.uniform(-1, 1), 0, -0.0, 2])
            optimizer.step()
        results.append([p.data for p in parameters])
    assert results[0] == pytest.approx(results[1], rel=1e-13)


@pytest.mark.parametrize("name, arguments", KINDS)
def test_the_parameters_of_a_called_network_move_as_any(name, arguments):
    """Their numbers stand in the matrices of its layers."""
    results = []
    for called in True, False:
        random.seed(7)
        model = MLP(3, [9, 2])
        if called:
            model([1.0, 2.0, 3.0])
        optimizer = getattr(optim, name)(model.parameters(), **{"lr": 0.1, **arguments})
        for _ in range(5):
            for p in model.parameters():
                p.grad = random.uniform(-1, 1)
            optimizer.step()
        results.append([p.data for p in model.parameters()])
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_step_gives_floats(name):
    np = pytest.importorskip("numpy")
    parameters = values(1, np.float64(2.0), np.float32(0.5), Fraction(1, 2), True,
                        grads=[2, np.float32(1.0), 0, Fraction(1, 3), np.int64(1)])
    getattr(optim, name)(parameters, lr=np.float64(0.5)).step()
    assert [type(p.data) for p in parameters] == [float] * 5
    assert optim.SGD(parameters, 0).zero_grad() is None
    assert [p.grad for p in parameters] == [0] * 5


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("attribute, bad", [
    ("data", 1j), ("grad", None), ("grad", "1"), ("data", [1])])
def test_a_step_is_all_or_nothing(name, attribute, bad):
    parameters, twins = values(1.0, 2.0, 3.0), values(1.0, 2.0, 3.0)
    arguments = {"momentum": 0.9} if name == "SGD" else {}
    steps = [getattr(optim, name)(ps, lr=0.1, **arguments) for ps in (parameters, twins)]
    kept = getattr(parameters[2], attribute)
    setattr(parameters[2], attribute, bad)
    message = f"{attribute} of parameter 2 must be a real number, not {type(bad).__name__}"
    with pytest.raises(TypeError, match=message):
        steps[0].step()
    setattr(parameters[2], attribute, kept)
    assert [p.data for p in parameters] == [1.0, 2.0, 3.0]
    for _ in range(2):
        for step in steps:
            step.step()
    assert [p.data for p in parameters] == [p.data for p in twins]


ARGUMENTS = [
    (dict(lr=-0.1), "lr must be at least 0, not -0.1"),
    (dict(lr=math.nan), "lr must be at least 0, not nan"),
    (dict(weight_decay=-1), "weight_decay must be at least 0, not -1"),
]
ARGUMENTS_OF_ADAM = ARGUMENTS + [
    (dict(eps=-1), "eps must be at least 0"),
    (dict(betas=(1.0, 0.9)), r"betas\[0\] must be at least 0 and below 1, not 1.0"),
    (dict(betas=(0.9, -0.1)), r"betas\[1\] must be at least 0 and below 1, not -0.1"),
]


@pytest.mark.parametrize("name, arguments, message", [
    ("SGD", dict(momentum=-1), "momentum must be at least 0"),
    *[("SGD", *case) for case in ARGUMENTS],
    *[("Adam", *case) for case in ARGUMENTS_OF_ADAM],
    *[("AdamW", *case) for case in ARGUMENTS_OF_ADAM]])
def test_arguments(name, arguments, message):
    assert_refused(name, arguments, ValueError, message)


@pytest.mark.parametrize("bad", ["0.1", None, 1j, Value])
def test_arguments_are_numbers(bad):
    message = f"must be a real number, not {type(bad).__name__}"
    for arguments in (dict(lr=bad), dict(weight_decay=bad), dict(eps=bad), dict(betas=(0.9, bad))):
        assert_refused("Adam", arguments, TypeError, message)
    assert_refused("SGD", dict(momentum=bad), TypeError, message)
    for betas in ((0.9,), (0.9, 0.9, 0.9), [0.9], 0.9):
        assert_refused("Adam", dict(betas=betas), ValueError, "betas must be two numbers, not ")


@pytest.mark.parametrize("name, setting", [
    ("SGD", "maximize"), ("SGD", "nesterov"), ("Adam", "maximize"), ("AdamW", "amsgrad")])
def test_arguments_are_true_or_false(name, setting):
    assert_refused(name, {setting: "no"}, TypeError, f"{setting} must be True or False, not str")


def assert_refused(name, arguments, error, message):
    """By the constructor, and by a step where they are set later; then nothing has moved."""
    make = getattr(optim, name)
    with pytest.raises(error, match=message):
        make(values(1.0), **{"lr": 0.1, **arguments})
    parameters = values(1.0, grads=[1.0])
    optimizer = make(parameters, lr=0.1)
    for setting, bad in arguments.items():
        setattr(optimizer, setting, bad)
    with pytest.raises(error, match=message):
        optimizer.step()
    assert parameters[0].data == 1.0 and optimizer.state_dict().get("t", 0) == 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("attribute", ["lr", "weight_decay"])
@pytest.mark.parametrize("bad, error", [("0.1", TypeError), (-0.1, ValueError),
                                        (math.nan, ValueError), (10**400, ValueError)])
def test_lr_and_weight_decay(name, attribute, bad, error):
    assert_refused(name, {attribute: bad}, error, f"{attribute} must be ")


class Grid:
    """With a shape that is no tuple."""

    def __init__(self, items):
        self.items, self.shape = items, [1, len(items)]

    def __iter__(self):
        return iter(self.items)


def test_parameters():
    a, b = values(1.0, 2.0)
    with pytest.raises(ValueError, match="no parameters to optimise"):
        optim.SGD([], 0.1)
    with pytest.raises(ValueError, match="parameters 0 and 2 are the same Value"):
        optim.Adam([a, b, a])
    with pytest.raises(TypeError, match="parameters must be a list of Values, not Value"):
        optim.SGD(Value(1.0))
    assert optim.SGD(Grid([a, b])).parameters == [a, b]
    with pytest.raises(TypeError, match=r"parameters must be a list of Values, not ndarray: array"):
        optim.SGD(pytest.importorskip("numpy").array(1.0))
    with pytest.raises(TypeError, match="parameter 1 must be a Value, not float: 1.0"):
        optim.AdamW([a, 1.0])
    assert optim.SGD((p for p in (a, b)), 0.1).parameters == [a, b]


def test_parameters_that_two_neurons_share():
    """The error says how to list each once, and that list is taken."""
    model = Layer(1, 2)
    model.neurons[1].w = model.neurons[0].w
    with pytest.raises(ValueError, match="model.named_parameters.* has each once"):
        optim.SGD(model.parameters(), 0.1)
    assert optim.SGD([p for _, p in model.named_parameters()], 0.1).parameters == [
        *model.neurons[0].parameters(), model.neurons[1].b]


@pytest.mark.parametrize("name, arguments", KINDS)
def test_the_state_of_an_optimizer(name, arguments):
    """Given to another one, which then takes the same steps."""
    rng = random.Random(7)
    twins = [values(0.5, -0.5), values(0.5, -0.5)]
    ours, other = [getattr(optim, name)(ps, **{"lr": 0.1, **arguments}) for ps in twins]
    for k in range(6):
        for pair in zip(*twins):
            pair[0].grad = pair[1].grad = rng.uniform(-1, 1)
        if k == 3:      # after other steps than ours
            state = ours.state_dict()
            other.load_state_dict(state)
            assert other.state_dict() == state == ours.state_dict()
            for p, q in zip(*twins):
                q.data = p.data
        if k >= 3:
            other.step()
        ours.step()
        if k == 1:
            other.lr = 3.0
            other.step()
    assert [repr(p.data) for p in twins[0]] == [repr(q.data) for q in twins[1]]
    assert all(x is not y for x, y in zip(ours.state_dict().values(), state.values())
               if isinstance(x, list))


@pytest.mark.parametrize("change, error, message", [
    (None, TypeError, "a state is a mapping, as state_dict"),
    ({"t": 1}, ValueError, "the names do not fit the optimizer: unexpected 't'"),
    ({"first": ...}, ValueError, "fit the optimizer: missing 'first'$"),
    ({"optimizer": "Adam"}, ValueError, "the state is that of 'Adam', not of 'SGD'"),
    ({"lr": -1}, ValueError, "lr must be at least 0, not -1"),
    ({"lr": "1"}, TypeError, "lr must be a real number, not str"),
    ({"velocity": [1.0]}, ValueError, "velocity must have 2 numbers, not 1"),
    ({"velocity": [1.0, "2"]}, ValueError, "velocity must be a list of numbers, not list"),
    ({"velocity": 1.0}, ValueError, "velocity must be a list of numbers, not float: 1.0"),
    ({"velocity": [1.0, 10 ** 400]}, ValueError, "be a list of numbers in the range of floats$"),
    ({"maximize": "no"}, TypeError, "maximize must be True or False, not str: 'no'"),
    ({"nesterov": [1]}, TypeError, "nesterov must be True or False, not list"),
    ({"first": 0}, ValueError, "first must be a bool, not int: 0")], ids=range(13))
def test_states_that_do_not_fit(change, error, message):
    optimizer = optim.SGD(values(1.0, 2.0), 0.1, momentum=0.5)
    optimizer.step()
    before = optimizer.state_dict()
    state = change and {name: x for name, x in {**before, **change}.items() if x is not ...}
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict() == before


def test_amsgrad_that_is_set_between_steps():
    """What it has seen stays while it is off, and the state is taken back at any time."""
    twins = [values(0.5), values(0.5)]
    ours, other = [optim.Adam(ps, 0.1, (0.5, 0.5)) for ps in twins]
    for k, (amsgrad, maximize) in enumerate(
            [(False, False), (True, False), (False, True), (False, False), (True, False)]):
        for optimizer in ours, other:
            optimizer.amsgrad, optimizer.maximize = amsgrad, maximize
            optimizer.parameters[0].grad = 5.0 if k == 1 else 0.5
        other.load_state_dict(ours.state_dict())
        ours.step()
        other.step()
        assert ours.state_dict() == other.state_dict()
    assert twins[0][0].data == twins[1][0].data
    assert ours.greatest[0] > ours.square[0]


def test_a_gradient_that_is_small_beside_the_mean():
    """With betas of 0 the mean is the gradient, exactly."""
    torch = pytest.importorskip("torch")
    p, = values(1.0)
    for make in (optim.Adam, lambda ps, **settings: python_step(optim.Adam(ps, **settings))):
        p.data = 1.0
        q = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
        ours = make([p], lr=0.1, betas=(0.0, 0.0), eps=0.0)
        theirs = torch.optim.Adam([q], lr=0.1, betas=(0.0, 0.0), eps=0.0)
        for g in (1.0, 1e-17, -1e-30):
            p.grad, q.grad = g, torch.tensor(g, dtype=torch.double)
            ours.step()
            theirs.step()
            assert list(ours.mean) == [g]
            assert p.data == pytest.approx(q.item(), rel=1e-15)


def python_step(optimizer):
    """The optimizer, which takes no step in C."""
    optimizer._step_in_c = lambda: False
    return optimizer


@pytest.mark.parametrize("name", ["square", "greatest"])
def test_a_state_with_negative_squares(name):
    optimizer = optim.Adam(values(1.0, 2.0), amsgrad=True)
    optimizer.step()
    with pytest.raises(ValueError, match=f"{name} must be a list of numbers from 0, .* has -1.0"):
        optimizer.load_state_dict({**optimizer.state_dict(), name: [math.nan, -1.0]})


def test_a_negative_count_of_steps():
    optimizer = optim.Adam(values(1.0))
    with pytest.raises(ValueError, match="t must be an int from 0, not int: -1"):
        optimizer.load_state_dict({**optimizer.state_dict(), "t": -1})


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        optim.SGD(values(1.0), 0.1, nesterov=True)


def test_momentum_that_comes_later():
    torch = pytest.importorskip("torch")
    parameters = values(1.0)
    tensor = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
    ours, theirs = optim.SGD(parameters, 0.1), torch.optim.SGD([tensor], 0.1)
    for k in range(6):
        parameters[0].grad = 1.0 + k
        tensor.grad = torch.tensor(1.0 + k, dtype=torch.double)
        ours.momentum = theirs.param_groups[0]["momentum"] = [0, 0.9, 0.9, 0, 0, 0.5][k]
        ours.step()
        theirs.step()
    assert parameters[0].data == pytest.approx(tensor.item(), rel=1e-13)


def test_division_by_zero_is_that_of_torch():
    torch = pytest.importorskip("torch")
    parameters = values(1.0, 1.0, 1.0, grads=[0.0, 1e-200, -1e-200])
    tensors = [torch.tensor(1.0, dtype=torch.double, requires_grad=True) for _ in parameters]
    for p, t in zip(parameters, tensors):
        t.grad = torch.tensor(p.grad, dtype=torch.double)
    optim.Adam(parameters, eps=0).step()
    torch.optim.Adam(tensors, eps=0).step()
    assert [repr(p.data) for p in parameters] == [repr(t.item()) for t in tensors]


def test_a_model_learns():
    random.seed(3)
    model = MLP(1, [4, 1], nonlin="tanh")
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for k in range(300):
        loss = sum((model([x]) - x * x) ** 2 for x in (0.0, 0.5, 1.0, 1.5))
        optimizer.lr = optim.cosine(k, 300, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.data < 0.1


@pytest.mark.parametrize("grads", [[3.0, -4.0, 0], [0.3, 0.4, 0.0], [0, 0, 0], [1e200, 1.0, 2.0],
                                   [math.inf, 1.0, 0.0], [math.nan, 1.0, 0.0]])
def test_clip_grad_norm(Value, grads):
    torch = pytest.importorskip("torch")
    parameters = [Value(1.0) for _ in grads]
    for p, g in zip(parameters, grads):
        p.grad = g
    tensor = torch.zeros(3, dtype=torch.double, requires_grad=True)
    tensor.grad = torch.tensor(grads, dtype=torch.double)
    expected = torch.nn.utils.clip_grad_norm_([tensor], 1.0).item()
    norm = optim.clip_grad_norm(iter(parameters), 1.0)
    clipped = [p.grad for p in parameters]
    if grads[0] == 1e200:       # where torch overflows
        assert (norm, clipped) == (1e200, [1.0, 1e-200, 2e-200])
    else:
        assert norm == pytest.approx(expected, rel=1e-15, nan_ok=True)
        assert clipped == pytest.approx(tensor.grad.tolist(), rel=1e-15, nan_ok=True)


def test_clip_grad_value(Value):
    parameters = [Value(1.0) for _ in range(5)]
    for p, g in zip(parameters, [3, -0.5, -7.0, math.inf, math.nan]):
        p.grad = g
    optim.clip_grad_value(parameters, 1.0)
    assert repr([p.grad for p in parameters]) == "[1.0, -0.5, -1.0, 1.0, nan]"


def test_clipping_takes_parameters():
    for clip in (optim.clip_grad_norm, optim.clip_grad_value):
        for bad, message in ((Value(1.0), "parameters must be a list of Values, not Value"),
                             ([1.0], "parameter 0 must be a Value, not float: 1.0")):
            with pytest.raises(TypeError, match=message):
                clip(bad, 1.0)


@pytest.mark.parametrize("optimizer", [
    lambda ps: optim.SGD(ps, momentum=0.9), lambda ps: optim.SGD(ps, maximize=True), optim.Adam,
    lambda ps: optim.AdamW(ps, amsgrad=True)])
def test_a_list_of_parameters_that_has_changed(optimizer):
    """What is remembered of one parameter must not move another, nor a new one stay where it is."""
    parameters = values(1.0, 2.0)
    for change in (lambda ps: ps.append(Value(3.0)), lambda ps: ps.pop(0)):
        stepping = optimizer(parameters)
        change(stepping.parameters)
        with pytest.raises(ValueError,
                           match="was made for 2 parameters, and has [13] now: make anot"):
            stepping.step()


def test_clip_grad_norm_of_a_parameter_that_is_there_twice(Value):
    p, q = Value(1.0), Value(1.0)
    p.grad, q.grad = 3.0, 4.0
    assert optim.clip_grad_norm([p, p, q], 6.0) == 5.0
    assert [p.grad, q.grad] == [3.0, 4.0]
    assert optim.clip_grad_norm([p, q, q, p], 1.0) == 5.0
    assert [p.grad, q.grad] == pytest.approx([0.6, 0.8])


def test_numbers_beyond_the_floats():
    message = "grad of parameter 1 must be in the range of floats, not int: 10000"
    for use in (optim.SGD, optim.Adam):
        parameters = values(1.0, 2.0, grads=[1.0, 10**400])
        with pytest.raises(ValueError, match=message):
            use(parameters, 0.1).step()
        for clip in (optim.clip_grad_norm, optim.clip_grad_value):
            with pytest.raises(ValueError, match=message):
                clip(parameters, 1.0)
        assert [p.data for p in parameters] == [1.0, 2.0]
    with pytest.raises(ValueError, match="lr must be in the range of floats, not int$"):
        optim.SGD(values(1.0), lr=10**5000)     # of which Python makes no text


def test_clipping_is_all_or_nothing(Value):
    parameters = [Value(1.0), Value(2.0)]
    parameters[0].grad, parameters[1].grad = 5.0, 1j
    for clip in (optim.clip_grad_norm, optim.clip_grad_value):
        with pytest.raises(TypeError, match="grad of parameter 1 must be a real number, not comp"):
            clip(parameters, 1.0)
        with pytest.raises(ValueError, match="must be at least 0, not -1"):
            clip(parameters, -1)
    assert parameters[0].grad == 5.0


def test_linear_is_the_notebooks():
    for k in range(100):
        assert optim.linear(k, 100, 1.0, 0.1) == 1.0 - 0.9*k/100
    assert [optim.linear(k, 4, 0, 2.0) for k in range(6)] == [0, 0.5, 1.0, 1.5, 2.0, 2.0]


def test_schedules():
    assert [optim.cosine(k, 2, 1.0) for k in range(4)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert optim.cosine(0, 9, 0.3, 0.1) == 0.3 and optim.cosine(9, 9, 0.3, 0.1) == 0.1
    assert [optim.exponential(k, 0.8, 0.5) for k in range(3)] == [0.8, 0.4, 0.2]
    assert [optim.warmup(k, 4, 1.0) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_schedules_of_no_steps():
    assert optim.linear(0, 0, 1.0, 0.1) == optim.cosine(0, 0, 1.0, 0.1) == 0.1
    assert optim.warmup(0, 0, 0.1) == 0.1


def test_a_parameter_of_another_class():
    class Weight(Value):
        pass

    for make in (optim.SGD, optim.Adam):
        parameters = Weight(1.0), Value(1.0)
        for p in parameters:
            p.grad = 2.0
            make([p], lr=0.1).step()
        assert parameters[0].data == parameters[1].data != 1
