"""A scalar autograd engine and a small neural network library on top of it, compiled.

Here are Value, Module, Neuron, Layer, MLP, record and grad. The modules are engine and nn, which
the original has, losses, optim, recording, gradients, state, arrays, draw and pytorch.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False       # true for a type checker; typing's own is slow to import
if TYPE_CHECKING:
    from micrograd.engine import Value as Value
    from micrograd.gradients import grad as grad
    from micrograd.nn import MLP as MLP, Layer as Layer, Module as Module, Neuron as Neuron
    from micrograd.recording import record as record
else:
    __homes = {"Value": "engine", "MLP": "nn", "Layer": "nn", "Module": "nn", "Neuron": "nn",
               "grad": "gradients", "record": "recording"}

    def __getattr__(name):
        """Import what a name stands for when it is asked for (PEP 562)."""
        if name not in __homes:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module
        return getattr(import_module(f"{__name__}.{__homes[name]}"), name)

    def __dir__():
        return sorted({*globals(), *__homes})
del TYPE_CHECKING
