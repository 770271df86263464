"""Networks to PyTorch and back."""
import random

import pytest

from micrograd import nn, record
from micrograd.engine import Value
from micrograd.pytorch import ACTIVATIONS, from_torch, from_torch_parameters, to_torch

torch = pytest.importorskip("torch")
ROW = [0.7, -1.3]


def model(*shape, nonlin=True):
    random.seed(8)
    made = nn.MLP(2, list(shape), nonlin=nonlin)
    for p in made.parameters():
        p.data = random.uniform(-1, 1)
    return made


def check_equal(model, torch_model):
    """The outputs and all gradients of both."""
    row = [Value(x) for x in ROW]
    tensor = torch.tensor([ROW], dtype=torch.double, requires_grad=True)
    out = model(row)
    outs = out if isinstance(out, list) else [out]
    expected = torch_model(tensor)
    assert [o.data for o in outs] == pytest.approx(expected[0].tolist(), rel=1e-12)
    model.zero_grad()
    sum(o * o for o in outs).backward()
    (expected ** 2).sum().backward()
    ours = [[w.grad for n in layer.neurons for w in n.w] + [n.b.grad for n in layer.neurons]
            for layer in model.layers]
    theirs = [m.weight.grad.flatten().tolist() + m.bias.grad.tolist()
              for m in torch_model.modules() if isinstance(m, torch.nn.Linear)]
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-15)
    assert [x.grad for x in row] == pytest.approx(tensor.grad[0].tolist(), rel=1e-12)


@pytest.mark.parametrize("nonlin", [True, False, *ACTIVATIONS])
@pytest.mark.parametrize("shape", [(1,), (3, 1), (4, 1, 2)])
def test_there_and_back(shape, nonlin):
    before = model(*shape, nonlin=nonlin)
    there = to_torch(before)
    assert all(p.dtype == torch.float64 and p.requires_grad for p in there.parameters())
    check_equal(before, there)
    after = from_torch(there)
    assert after.state_dict() == before.state_dict()
    if nonlin != "relu":        # which comes back as True
        assert repr(after) == repr(before)
    assert repr(after(ROW)) == repr(before(ROW))


def test_layers_of_their_own_activations():
    mixed = model(3, 2, 2)
    for layer, nonlin in zip(mixed.layers, ("softplus", False, "sigmoid")):
        for neuron in layer.neurons:
            neuron.nonlin = nonlin
    check_equal(mixed, to_torch(mixed))
    assert repr(from_torch(to_torch(mixed))) == repr(mixed)


def test_softplus_is_exact_where_torchs_own_is_not():
    m = model(1, nonlin=False)
    m.layers[0].neurons[0].nonlin = "softplus"
    for b in (19.0, 25.0, 36.0, 39.9, 41.0, -30.0, -800.0):
        m.layers[0].neurons[0].b.data = b
        check_equal(m, to_torch(m))


def test_neither_way_draws_random_numbers():
    states = random.getstate(), torch.random.get_rng_state()
    before = nn.MLP(2, [3, 1])
    random.setstate(states[0])
    from_torch(to_torch(before))
    assert random.getstate() == states[0]
    assert torch.equal(torch.random.get_rng_state(), states[1])


def test_float32_and_no_bias_and_nested():
    T = torch.nn
    there = T.Sequential(T.Sequential(T.Linear(2, 3, bias=False), T.Sequential(T.ReLU())),
                         T.Sequential(), T.Linear(3, 2), T.Tanh())
    here = from_torch(there)
    assert [n.b.data for n in here.layers[0].neurons] == [0.0] * 3
    assert here.layers[1].neurons[0].w[0].data == there[2].weight[0, 0].item()
    assert [n.nonlin for layer in here.layers for n in layer.neurons] == [True] * 3 + ["tanh"] * 2
    assert [o.data for o in here(ROW)] == pytest.approx(there(torch.tensor(ROW)).tolist(), rel=1e-5)


def test_the_copies_are_apart():
    before = model(2, 1)
    there = to_torch(before)
    with torch.no_grad():
        there[0].weight += 1
    assert to_torch(before)[0].weight[0, 0] != there[0].weight[0, 0]


def test_a_nonlin_torch_does_not_have():
    with pytest.raises(ValueError, match="nonlin must be a bool or one of relu, .*, not 'sin'"):
        to_torch(model(2, 1, nonlin="sin"))


def test_neurons_that_differ():
    m = model(2, 1)
    m.layers[0].neurons[0].nonlin = "tanh"
    with pytest.raises(ValueError, match="one nonlin; those of layer 0 have .*'relu'.*'tanh'"):
        to_torch(m)
    m = model(2, 1)
    m.layers[0].neurons[0].w.pop()
    with pytest.raises(ValueError, match="one width"):
        to_torch(m)


def test_layers_that_do_not_fit():
    m = model(2, 1)
    m.layers[0].neurons.pop()
    with pytest.raises(ValueError, match="layer 1 takes 2 inputs, but there are 1"):
        to_torch(m)


@pytest.mark.parametrize("cls, place", [
    (nn.MLP, lambda m: m), (nn.Layer, lambda m: m.layers[0]),
    (nn.Neuron, lambda m: m.layers[0].neurons[0])])
def test_what_is_called_in_a_way_of_its_own(cls, place):
    """It would be another function there."""
    m = model(2, 1)
    place(m).__class__ = type("Same", (cls,), {})
    check_equal(m, to_torch(m))
    place(m).__class__ = type("Other", (cls,), {"__call__": lambda self, x: None})
    with pytest.raises(TypeError, match="Other has a __call__ of its own, whose work"):
        to_torch(m)


@pytest.mark.parametrize("cls, arguments", [
    (torch.nn.Sequential, (torch.nn.Linear(1, 1),)), (torch.nn.Linear, (1, 1))])
def test_a_forward_of_its_own(cls, arguments):
    from_torch(type("Same", (cls,), {})(*arguments))
    with pytest.raises(TypeError, match="Other has a forward of its own"):
        from_torch(type("Other", (cls,), {"forward": lambda self, x: x})(*arguments))
    module = cls(*arguments)
    module.forward = lambda x: x
    with pytest.raises(TypeError, match=f"{cls.__name__} has a forward of its own"):
        from_torch(module)


def test_forward_hooks():
    module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU())
    for place, hook in [(module[0], "register_forward_pre_hook"),
                        (module[1], "register_forward_hook"), (module, "register_forward_hook")]:
        handle = getattr(place, hook)(lambda *_: None)
        with pytest.raises(TypeError, match=f"{type(place).__name__} has forward hooks"):
            from_torch(module)
        handle.remove()
    from_torch(module)


def test_what_is_no_network():
    for bad in (nn.Neuron(2), nn.Layer(2, 1), None, torch.nn.Linear(1, 1)):
        with pytest.raises(TypeError, match="to_torch takes an MLP or a recording, not "):
            to_torch(bad)
    with pytest.raises(TypeError, match="the parameters go to a recording, not to MLP"):
        from_torch_parameters(torch.nn.Linear(1, 1), nn.MLP(1, [1]))
    with pytest.raises(TypeError, match="the parameters come from a torch.nn.Module, not MLP"):
        from_torch_parameters(nn.MLP(1, [1]), record(lambda x: x))
    with pytest.raises(TypeError, match="weights must be real, not torch.complex64"):
        from_torch(torch.nn.Linear(1, 1, dtype=torch.complex64))


@pytest.mark.parametrize("modules, message", [
    ((), "there is no Linear"),
    ((torch.nn.ReLU(),), r"module 0, ReLU\(\), must come after a Linear"),
    ((torch.nn.Linear(1, 1), torch.nn.ReLU(), torch.nn.Tanh()), "module 2, .* come after a Linear"),
    ((torch.nn.Linear(1, 1), torch.nn.ReLU(), torch.nn.Dropout()),
     "must be Linear, .*, not Dropout"),
    ((torch.nn.Linear(1, 1), torch.nn.GELU()), "must be Linear, ReLU, Tanh, .*, not GELU"),
    ((torch.nn.Linear(1, 1), torch.nn.LeakyReLU(0.1)), "negative_slope 0.01, not LeakyReLU"),
    ((torch.nn.Linear(1, 1), torch.nn.Softplus(beta=2)), "Softplus with beta 1 .*, not Softplus"),
    ((torch.nn.Linear(1, 2), torch.nn.Linear(3, 1)), "layer 1 takes 3 inputs, but there are 2"),
], ids=range(8))
def test_what_does_not_come_in(modules, message):
    with pytest.raises(ValueError, match=message):
        from_torch(torch.nn.Sequential(*modules))


def test_modules_that_come_in_as_they_are():
    assert repr(from_torch(torch.nn.Linear(1, 1))) == "MLP of [Layer of [LinearNeuron(1)]]"
    there = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.LeakyReLU(), torch.nn.Linear(1, 1),
                                torch.nn.Softplus())
    assert ([layer.neurons[0].nonlin for layer in from_torch(there).layers]
            == ["leaky_relu", "softplus"])
