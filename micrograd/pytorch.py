"""Networks and recordings to PyTorch and back, their outputs and gradients equal to rounding.

    torch_model = to_torch(model)       # a Sequential of Linear, in double precision
    twin = from_torch(torch_model)      # an MLP with the same parameters, bit by bit

    module = to_torch(loss)             # of a recording, for all rows at once
    from_torch_parameters(module, loss) # the numbers that PyTorch trained, into its parameters
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from micrograd import nn
from micrograd._checks import described
from micrograd.engine import Value
from micrograd.recording import Kept, Recording

__all__ = ["to_torch", "from_torch", "from_torch_parameters"]

# {nonlin: the module of PyTorch, and its arguments}. Above a threshold, PyTorch's Softplus gives x
# for softplus(x). With a threshold of 40, from where on the two are equal in double precision, it
# is ours.
ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "relu": ("ReLU", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {"threshold": 40}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
}


def to_torch(model: nn.MLP | Recording) -> Any:
    """A torch.nn.Module, float64, of what an MLP or a recording computes.

    Of an MLP a Sequential, (n, nin) to (n, nout). TypeError for what is neither, or has a
    `__call__` of its own. ValueError for a nonlin that is no bool and none of ACTIVATIONS, for a
    layer whose neurons differ in nonlin or in width, and for layers that do not fit each other.

    Of a recording, which must have been called with arguments of one structure, else ValueError, a
    module of ordinary operations. It takes a tensor for each argument, (n,) for a number and
    (n, ...) for a list of them, and gives tensors (n,) in place of Values. All parameters are one
    vector, `weights`, in the order in which the recording has them, which need not be that of
    model.parameters(): from_torch_parameters takes them back. Where micrograd raises an error, its
    results are infinite or nan, or PyTorch raises one, as for a place that `pick` does not have.
    """
    import torch
    if isinstance(model, Recording):
        from micrograd._recorded_torch import RecordedModule
        return RecordedModule(*only(model))
    if not isinstance(model, nn.MLP):
        raise TypeError(f"to_torch takes an MLP or a recording, not {described(model)}")
    check_call(model, nn.MLP, "__call__")
    modules = []
    kinds = [kind(layer, i) for i, layer in enumerate(model.layers)]
    check_widths([nin for nin, _ in kinds], [len(layer.neurons) for layer in model.layers])
    for layer, (nin, name) in zip(model.layers, kinds):
        linear = blank_linear(nin, len(layer.neurons))
        fill(linear.weight, [[float(w.data) for w in neuron.w] for neuron in layer.neurons])
        fill(linear.bias, [float(neuron.b.data) for neuron in layer.neurons])
        modules.append(linear)
        if name:
            activation, arguments = ACTIVATIONS[name]
            modules.append(getattr(torch.nn, activation)(**arguments))
    return torch.nn.Sequential(*modules)


def from_torch_parameters(module: Any, recording: Recording) -> None:
    """Set the parameters of a recording to those of a module that to_torch made of it, or of one
    that PyTorch has wrapped around that. ValueError where their number differs; TypeError for what
    is no module or no recording, and for complex parameters, and nothing is set."""
    import torch
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"the parameters come from a torch.nn.Module, not {described(module)}")
    if not isinstance(recording, Recording):
        raise TypeError(f"the parameters go to a recording, not to {described(recording)}")
    _, kept = only(recording)
    weights = [x for p in module.parameters() for x in floats_of(p.flatten())]
    if len(weights) != len(kept.program.parameters):
        raise ValueError(f"the recording has {len(kept.program.parameters)} parameters, "
                         f"the module {len(weights)}")
    for p, x in zip(kept.program.parameters, weights):
        p.data = x


def only(recording: Recording) -> tuple[Any, Kept]:
    """The structure of the arguments that a recording was called with, and what is kept for it."""
    if len(recording._kept) != 1:
        raise ValueError(f"{recording!r} must have been called with arguments of one structure; "
                         f"it has recordings for {len(recording._kept)}")
    (structure, kept), = recording._kept.items()
    return structure, kept


def check_call(x: object, cls: type, method: str) -> None:
    """TypeError unless x is one of a class, and works as that class does."""
    if not isinstance(x, cls):
        raise TypeError(f"it must be of class {cls.__name__}, not {described(x)}")
    if getattr(x, "_forward_hooks", None) or getattr(x, "_forward_pre_hooks", None):
        raise TypeError(f"{type(x).__name__} has forward hooks, whose work would be lost")
    if getattr(getattr(x, method), "__func__", None) is not getattr(cls, method):
        raise TypeError(f"{type(x).__name__} has a {method} of its own, whose work would be lost")


def check_widths(nins: list[int], nouts: list[int]) -> None:
    for i, (nin, nout) in enumerate(zip(nins[1:], nouts), 1):
        if nin != nout:
            raise ValueError(f"layer {i} takes {nin} inputs, but there are {nout}")


def kind(layer: nn.Layer, i: int) -> tuple[int, str]:
    """The width and the activation, '' for none, that the neurons of layer i have in common."""
    check_call(layer, nn.Layer, "__call__")
    for neuron in layer.neurons:
        check_call(neuron, nn.Neuron, "__call__")
    kinds = {(len(neuron.w), activation_name(neuron.nonlin)) for neuron in layer.neurons}
    if len(kinds) != 1:
        raise ValueError(f"the neurons of a layer must have one width and one nonlin; "
                         f"those of layer {i} have {sorted(kinds)}")
    return kinds.pop()


def activation_name(nonlin: Any) -> str:
    name = nonlin if isinstance(nonlin, str) else "relu" if nonlin else ""
    if callable(nonlin):        # a function of Value, by its name
        name = getattr(nonlin, "__name__", "")
        name = name if getattr(Value, name, None) is nonlin else repr(nonlin)
    if name and name not in ACTIVATIONS:
        raise ValueError(f"nonlin must be a bool or one of {', '.join(ACTIVATIONS)}, not {name!r}")
    return name


def floats_of(parameter: Any) -> Any:
    """A parameter of PyTorch as a list of floats, or of lists of them."""
    if parameter.is_complex():
        raise TypeError(f"weights must be real, not {parameter.dtype}")
    return parameter.detach().double().tolist()


def blank_linear(nin: int, nout: int) -> Any:
    """A Linear whose parameters were not set: torch's random generator stays where it was."""
    import torch
    return torch.nn.utils.skip_init(    # type: ignore[no-untyped-call]
        torch.nn.Linear, nin, nout, dtype=torch.float64)


def fill(parameter: Any, numbers: list[Any]) -> None:
    parameter.data = parameter.new_tensor(numbers).reshape(parameter.shape)


def from_torch(sequential: Any) -> nn.MLP:
    """The MLP that computes what a torch.nn.Sequential of Linear and activations does.

    The parameters are copied, exactly; a Linear without a bias gets biases of 0. Sequentials in it
    are gone through. ValueError for modules other than Linear and ACTIVATIONS, for a LeakyReLU
    whose slope is not 0.01 and a Softplus whose beta is not 1 (above its threshold it differs from
    ours: by 2e-9, if that is PyTorch's 20), and for Linears that do not fit each other. TypeError
    for modules with a forward of their own or with forward hooks, and for complex weights.
    """
    linears, names = parsed(list(flat(sequential)))
    nouts = [linear.out_features for linear in linears]
    check_widths([linear.in_features for linear in linears], nouts)
    model = undrawn_mlp(linears[0].in_features, nouts)
    for layer, linear, name in zip(model.layers, linears, names):
        copy(linear, layer, name)
    return model


def flat(module: Any) -> Iterator[Any]:
    import torch
    if isinstance(module, torch.nn.Sequential):
        check_call(module, torch.nn.Sequential, "forward")
        for part in module:
            yield from flat(part)
    else:
        yield module


def parsed(modules: list[Any]) -> tuple[list[Any], list[str]]:
    """The Linears, and for each the activation that follows it, '' for none."""
    import torch
    linears: list[Any] = []
    names: list[str] = []
    for i, module in enumerate(modules):
        if isinstance(module, torch.nn.Linear):
            check_call(module, torch.nn.Linear, "forward")
            linears.append(module)
            names.append("")
        elif not names or names[-1]:
            recognised(module)
            raise ValueError(f"module {i}, {module}, must come after a Linear")
        else:
            names[-1] = recognised(module)
    if not linears:
        raise ValueError("there is no Linear")
    return linears, names


def recognised(module: Any) -> str:
    """The name of an activation of PyTorch."""
    import torch
    usual = getattr(module, "negative_slope", 0.01) == 0.01 and getattr(module, "beta", 1) == 1
    for name, (activation, _) in ACTIVATIONS.items():
        if type(module) is getattr(torch.nn, activation) and usual:
            check_call(module, type(module), "forward")
            return name
    raise ValueError("a module must be Linear, ReLU, Tanh, Sigmoid, Softplus with beta 1 or "
                     f"LeakyReLU with negative_slope 0.01, not {module}")


def undrawn_mlp(nin: int, nouts: list[int]) -> nn.MLP:
    """An MLP whose random weights are not wanted: the generator stays where it was."""
    state = random.getstate()
    try:
        return nn.MLP(nin, nouts)
    finally:
        random.setstate(state)


def copy(linear: Any, layer: nn.Layer, name: str) -> None:
    """Set the parameters and the activation of a layer to those of a Linear."""
    weights = floats_of(linear.weight)
    biases = [0.0] * len(weights) if linear.bias is None else floats_of(linear.bias)
    nonlin = True if name == "relu" else name or False
    for neuron, w, b in zip(layer.neurons, weights, biases):
        for p, x in zip(neuron.w, w):
            p.data = x
        neuron.b.data = b
        neuron.nonlin = nonlin
