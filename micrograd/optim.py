"""Optimisers, the clipping of gradients, and schedules of the learning rate.

    optimizer = Adam(model.parameters(), lr=0.01)
    for k in range(steps):
        optimizer.lr = cosine(k, steps, 0.01)
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()

    numbers = optimizer.state_dict()    # what it remembers; load_state_dict takes it back

The formulas are those of torch.optim. A step sets all data, as Python floats; on an error it sets
none, unless memory ends, or a class of the program's own raises it when a parameter is set.
"""
from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from micrograd._checks import check_real, described, listed_values
from micrograd.engine import Value, __core__

__all__ = ["Optimizer", "SGD", "Adam", "AdamW", "clip_grad_norm", "clip_grad_value", "linear",
           "cosine", "exponential", "warmup"]


class Optimizer:
    """What they share: the parameters, `lr`, which may be set between steps, `weight_decay`, and
    `maximize`, with which steps go along the gradient and not against it.

    The constructors raise TypeError for a parameter that is no Value and a setting that is no real
    number, ValueError for no parameters, one that is there twice, and a setting out of its range.
    """

    arguments: tuple[str, ...] = ("lr", "weight_decay", "maximize")
    memory: tuple[str, ...] = ()        # what one step leaves for the next

    def __init__(self, parameters: Iterable[Value], lr: float, weight_decay: float,
                 maximize: bool) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.maximize = maximize
        self._check_settings()
        self.parameters = distinct(parameters)

    def _check_settings(self) -> None:
        """TypeError or ValueError for a setting that is no number, or out of its range. The flags
        become bools, which state_dict gives."""
        check("lr", self.lr)
        check("weight_decay", self.weight_decay)
        self.maximize = flag("maximize", self.maximize)

    def zero_grad(self) -> None:
        """Set the gradients to 0."""
        if not __core__._zeroed(self.parameters):
            for p in self.parameters:
                p.grad = 0

    def step(self) -> None:
        """Move every parameter against its gradient. TypeError or ValueError, and nothing changed,
        unless all gradients and data are real numbers, and the settings as in the constructor."""
        self._check_settings()
        self._check_count(getattr(self, self.memory[0]))
        if not self._step_in_c():
            self._step_in_python()

    def _step_in_c(self) -> bool:
        """Take a step where all are plain numbers; False, and nothing changed, where not."""
        raise NotImplementedError

    def _step_in_python(self) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """{name: number or list of numbers}: what a step depends on, except data and gradients."""
        state = {name: getattr(self, name) for name in self.arguments + self.memory}
        lists = {name: list(x) for name, x in state.items() if isinstance(x, (array, tuple, list))}
        return {"optimizer": type(self).__name__, **state, **lists}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the optimizer that gave this state would, to the last bit.

        ValueError or TypeError, and nothing set, for the state of another kind of optimizer, of
        another number of parameters, or no state at all.
        """
        check_names(state, {"optimizer", *self.arguments, *self.memory})
        if state["optimizer"] != type(self).__name__:
            raise ValueError(f"the state is that of {state['optimizer']!r:.60}, "
                             f"not of {type(self).__name__!r}")
        new = type(self)(self.parameters, **{name: state[name] for name in self.arguments})
        for name in self.memory:
            setattr(new, name, remembered(name, state[name], getattr(new, name),
                                           len(self.parameters)))
        vars(self).update(vars(new))

    def _zeros(self) -> array[float]:
        """A 0.0 for each parameter."""
        return array("d", bytes(8 * len(self.parameters)))

    def _check_count(self, kept: array[float]) -> None:
        """ValueError where the list of parameters has got longer or shorter."""
        if len(kept) != len(self.parameters):
            raise ValueError(f"the optimizer was made for {len(kept)} parameters, and has "
                             f"{len(self.parameters)} now: make another")

    def _read(self) -> Iterable[tuple[float, float]]:
        """(datum, gradient) of each parameter, with `maximize` minus the gradient; TypeError unless
        all are real numbers."""
        gradients = numbers(self.parameters, "grad")
        if self.maximize:
            gradients = [-g for g in gradients]
        return zip(numbers(self.parameters, "data"), gradients)

    def _write(self, data: Iterable[float]) -> None:
        for p, x in zip(self.parameters, data):
            p.data = x


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * v, where v = momentum * v + (grad + weight_decay * p).

    The first v is the gradient itself, as in torch.optim.SGD. With `nesterov` (Sutskever et al.,
    2013) the step is lr * (grad + weight_decay * p + momentum * v); ValueError where there is no
    momentum.
    """

    arguments = (*Optimizer.arguments, "momentum", "nesterov")
    memory = ("velocity", "first")

    def __init__(self, parameters: Iterable[Value], lr: float = 1e-3, momentum: float = 0,
                 weight_decay: float = 0, *, nesterov: bool = False,
                 maximize: bool = False) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        super().__init__(parameters, lr, weight_decay, maximize)
        self.velocity = self._zeros()
        self.first = True       # the velocity is unset

    def _check_settings(self) -> None:
        super()._check_settings()
        check("momentum", self.momentum)
        self.nesterov = flag("nesterov", self.nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")

    def step(self) -> None:
        super().step()
        self.first = self.first and not self.momentum

    def _step_in_c(self) -> bool:
        return bool(__core__._sgd(
            self.parameters, self.velocity, self.lr, self.momentum, self.weight_decay,
            self.nesterov, self.maximize, self.first))

    def _step_in_python(self) -> None:
        lr, momentum, decay = float(self.lr), float(self.momentum), float(self.weight_decay)
        data, velocity = [], array("d")
        for (x, g), v in zip(self._read(), self.velocity):
            if decay:       # an infinite x times 0 is nan
                g += decay * x
            v = g if self.first or not momentum else momentum * v + g
            data.append(x - lr * (g + momentum * v if self.nesterov else v))
            velocity.append(v)
        if momentum:
            self.velocity[:] = velocity
        self._write(data)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014, algorithm 1), as torch.optim.Adam: with running means m of the
    gradient and s of its square, `p -= lr * m' / (sqrt(s') + eps)`, where `m' = m / (1 - beta1**t)`
    and `s' = s / (1 - beta2**t)` at step t. weight_decay * p is added to the gradient. With
    `amsgrad` (Reddi et al., 2018) the greatest s so far takes the place of s.
    """

    arguments = (*Optimizer.arguments, "betas", "eps", "amsgrad")
    memory = ("mean", "square", "greatest", "t")
    decoupled = False

    def __init__(self, parameters: Iterable[Value], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, *, amsgrad: bool = False, maximize: bool = False) -> None:
        self.betas = betas
        self.eps = eps
        self.amsgrad = amsgrad
        super().__init__(parameters, lr, weight_decay, maximize)
        self.mean = self._zeros()
        self.square = self._zeros()
        self.greatest = array("d")      # until a step with amsgrad
        self.t = 0              # steps taken

    def _check_settings(self) -> None:
        super()._check_settings()
        check("eps", self.eps)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, not {described(self.betas)}")
        check("betas[0]", self.betas[0], below=1)
        check("betas[1]", self.betas[1], below=1)
        self.amsgrad = flag("amsgrad", self.amsgrad)

    def step(self) -> None:
        super().step()
        self.t += 1

    def _step_in_c(self) -> bool:
        greatest = (self.greatest or self._zeros()) if self.amsgrad else None
        done = __core__._adam(
            self.parameters, self.mean, self.square, greatest, self.lr, *self.betas, self.eps,
            self.weight_decay, self.decoupled, self.maximize, self.t + 1)
        if done and greatest:
            self.greatest = greatest
        return bool(done)

    def _step_in_python(self) -> None:
        lr, eps, decay = float(self.lr), float(self.eps), float(self.weight_decay)
        beta1, beta2 = map(float, self.betas)
        rate = lr / (1 - beta1 ** (self.t + 1))
        scale = math.sqrt(1 - beta2 ** (self.t + 1))
        tops = self.greatest or self._zeros()
        data, mean, square, greatest = [], array("d"), array("d"), array("d")
        for (x, g), m, s, top in zip(self._read(), self.mean, self.square, tops):
            if self.decoupled:
                x *= 1 - lr * decay
            elif decay:
                g += decay * x
            m = mixed(m, g, 1 - beta1)
            s = beta2 * s + (1 - beta2) * g * g
            mean.append(m)
            square.append(s)
            if self.amsgrad:
                s = top if top > s else s       # nan stays
                greatest.append(s)
            data.append(x - rate * quotient(m, math.sqrt(s) / scale + eps))
        self.mean, self.square, self.greatest = mean, square, greatest or self.greatest
        self._write(data)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017), as torch.optim.AdamW: p
    shrinks by lr * weight_decay * p, and the means see nothing of it.
    """

    decoupled = True

    def __init__(self, parameters: Iterable[Value], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, *, amsgrad: bool = False,
                 maximize: bool = False) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad=amsgrad,
                         maximize=maximize)


def check(name: str, x: float, below: float = math.inf) -> None:
    """ValueError unless 0 <= x < below, or x is infinite and so is the bound, and for what is
    greater than a float; TypeError for what is no real number."""
    check_real(x, name)
    if not 0 <= x <= below or x == below != math.inf:
        bound = "" if below == math.inf else f" and below {below}"
        raise ValueError(f"{name} must be at least 0{bound}, not {x!r}")


def flag(name: str, x: object) -> bool:
    """The truth of x; TypeError for what has none of its own, such as a word."""
    if not hasattr(x, "__bool__"):
        raise TypeError(f"{name} must be True or False, not {described(x)}")
    return bool(x)


def check_names(state: object, names: set[str]) -> None:
    """TypeError unless a state is a mapping, ValueError unless it has these names."""
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a mapping, as state_dict() gives it, not {described(state)}")
    problems = [f"{kind} {', '.join(sorted(map(repr, there)))}" for kind, there in [
        ("missing", names - set(state)), ("unexpected", set(state) - names)] if there]
    if problems:
        raise ValueError(f"the names do not fit the optimizer: {'; '.join(problems)}")


def remembered(name: str, x: Any, like: Any, parameters: int) -> Any:
    """What is remembered, of the kind of `like`: an array of a number for each parameter, or an
    empty one where `like` is empty; a bool or a count."""
    if not isinstance(like, array):
        if type(x) is not type(like) or x < 0:
            kind = "a bool" if isinstance(like, bool) else "an int from 0"
            raise ValueError(f"{name} must be {kind}, not {described(x)}")
        return x
    if not isinstance(x, (list, tuple)) or not all(isinstance(number, Real) for number in x):
        raise ValueError(f"{name} must be a list of numbers, not {described(x)}")
    if len(x) not in (len(like), parameters):
        raise ValueError(f"{name} must have {parameters} numbers, not {len(x)}: the state is that "
                         "of another number of parameters")
    try:
        kept = array("d", x)
    except OverflowError:
        raise ValueError(f"{name} must be a list of numbers in the range of floats") from None
    for number in kept if name in ("square", "greatest") else ():
        if number < 0:
            raise ValueError(f"{name} must be a list of numbers from 0, as squares are, and has "
                             f"{number!r}")
    return kept


def distinct(parameters: Iterable[Value]) -> list[Value]:
    """The parameters in a list, each of them a Value and there once."""
    parameters = listed_values(parameters, "parameters", "parameter")
    if not parameters:
        raise ValueError("there are no parameters to optimise")
    places: dict[int, int] = {}
    for i, p in enumerate(parameters):
        if places.setdefault(id(p), i) != i:
            raise ValueError(f"parameters {places[id(p)]} and {i} are the same Value; "
                             "[p for _, p in model.named_parameters()] has each once")
    return parameters


def numbers(parameters: Iterable[Value], name: str) -> list[float]:
    """An attribute of all parameters as floats; TypeError for the first that is no real number,
    ValueError for one that is too large."""
    values = [getattr(p, name) for p in parameters]
    for i, x in enumerate(values):
        if type(x) is not float:
            check_real(x, f"{name} of parameter {i}")
    return [float(x) for x in values]


def mixed(a: float, b: float, weight: float) -> float:
    """a + weight * (b - a), as torch.lerp has it: exactly a finite b where the weight is 1."""
    return a + weight * (b - a) if weight < 0.5 else b - (b - a) * (1 - weight)


def quotient(a: float, b: float) -> float:
    """a / b for b >= 0, as the hardware has it: infinite or nan where b is 0."""
    return a / b if b else a * math.inf


def clip_grad_norm(parameters: Iterable[Value], max_norm: float) -> float:
    """Scale the gradients so that their Euclidean norm is max_norm at most; returns what it was.

    As torch.nn.utils.clip_grad_norm_: the factor is max_norm / (norm + 1e-6), where below 1.
    A parameter that is there twice counts once. TypeError, and nothing changed, where a gradient is
    no real number; ValueError for one that is too large, and for a negative max_norm.
    """
    check("max_norm", max_norm)
    parameters = listed_values(parameters, "parameters", "parameter")
    parameters = list({id(p): p for p in parameters}.values())
    gradients = numbers(parameters, "grad")
    norm = math.hypot(*gradients)
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:         # also where it is nan
        for p, g in zip(parameters, gradients):
            p.grad = g * factor
    return norm


def clip_grad_value(parameters: Iterable[Value], limit: float) -> None:
    """Clip every gradient to -limit..limit, as torch.nn.utils.clip_grad_value_. Errors as from
    clip_grad_norm."""
    check("limit", limit)
    parameters = listed_values(parameters, "parameters", "parameter")
    for p, g in zip(parameters, numbers(parameters, "grad")):
        if abs(g) > limit:
            p.grad = math.copysign(limit, g)


def linear(k: int, steps: int, start: float, end: float) -> float:
    """The learning rate of step k, an int from 0: from start at step 0 evenly to end at step
    `steps`, and staying there.

    The notebook's 1.0 - 0.9*k/100 is linear(k, 100, 1.0, 0.1).
    """
    return end if k >= steps else start - (start - end) * k / steps


def cosine(k: int, steps: int, start: float, end: float = 0.0) -> float:
    """As linear, but along half a period of the cosine (Loshchilov and Hutter, 2016)."""
    return end if k >= steps else end + (start - end) * (1 + math.cos(math.pi * k / steps)) / 2


def exponential(k: int, start: float, factor: float) -> float:
    """start * factor**k, for step k."""
    return start * factor ** k


def warmup(k: int, steps: int, lr: float) -> float:
    """lr/steps at step 0, rising evenly to lr at the last of `steps` steps, and staying."""
    return lr if k + 1 >= steps else lr * (k + 1) / steps
