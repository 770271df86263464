import random
from micrograd.engine import Value, __core__


class Module(__core__._ModuleBase):
    """Anything with parameters."""

    def zero_grad(self):
        """Set the gradients of all parameters to 0."""
        if not __core__._zero_grad(self):
            parameters = self.parameters()
            if not __core__._zeroed(parameters):
                for p in parameters:
                    p.grad = 0

    def parameters(self):
        """The list of all parameters, which are Values."""
        return []

    def named_parameters(self):
        """[(name, parameter)], a name saying where it stands: 'layers.0.neurons.1.w.0'."""
        from micrograd import state
        return state.named_parameters(self)

    def state_dict(self):
        """{name: number}, a copy of the parameters' data; `micrograd.state` saves it to a file."""
        from micrograd import state
        return state.state_dict(self)

    def load_state_dict(self, numbers):
        """Set parameters' data from {name: number}; ValueError, and nothing set, unless all fit."""
        from micrograd import state
        state.load_state_dict(self, numbers)

    def predict(self, X):
        """The outputs for each row of X, as numbers, without a graph; an array if X is one."""
        from micrograd import arrays
        return arrays.predict(self, X)


class Neuron(Module, __core__._NeuronParts):
    """f(w . x + b), for nin inputs. nonlin says what f is: the ReLU where it is true, no activation
    where it is false, or a function of Value such as Value.tanh, or its name, "tanh"; ValueError
    for anything else. The weights are drawn evenly from -1..1 by `random`, the bias is 0."""

    @staticmethod
    def _check_activation(nonlin):
        """ValueError unless nonlin is false, a number, a function of one Value, or its name."""
        if not nonlin or hasattr(nonlin, "__bool__") and not callable(nonlin):
            return
        x = y = Value(0.5)
        try:
            y = getattr(x, nonlin)() if isinstance(nonlin, str) else nonlin(x)
        except (AttributeError, TypeError):
            y = None
        except (ArithmeticError, ValueError):
            return                      # 0.5 is outside its domain
        if not isinstance(y, Value) or y is not x and not y._prev:     # no gradient would come back
            raise ValueError("nonlin must be True (the ReLU), False, a function from Value to "
                             f"Value, or the name of a function of Value, not {nonlin!r:.60}")

    def __init__(self, nin, nonlin=True):
        __class__._check_activation(nonlin)     # self may be of a class that borrows this
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x):
        """The output, a Value, for a list of nin numbers or Values."""
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        nonlin = self.nonlin
        if not nonlin:
            return act
        if isinstance(nonlin, str):
            return getattr(act, nonlin)()
        return nonlin(act) if callable(nonlin) else act.relu()

    def parameters(self):
        return self.w + [self.b]

    def __repr__(self):
        kind = self.nonlin or "Linear"
        if not isinstance(kind, str):
            kind = getattr(kind, "__name__", kind) if callable(kind) else "ReLU"
        return f"{kind}Neuron({len(self.w)})"


class Layer(Module, __core__._LayerParts):
    """nout neurons over the same nin inputs. One neuron gives a Value, several give a list."""

    def __init__(self, nin, nout, **kwargs):
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x):
        """The neurons' outputs in a list, or the only one, for a list of nin numbers or Values."""
        out = __core__._fused([self], x)
        if out is not None:
            return out
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self):
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """Layers of widths nouts over nin inputs; all but the last have nonlin, which is a Neuron's.
    TypeError unless nouts is a list."""

    def __init__(self, nin, nouts, *, nonlin=True):
        if not isinstance(nouts, list):
            raise TypeError("nouts must be a list of the layers' widths, "
                            f"not {type(nouts).__name__}: {nouts!r:.60}")
        sizes = [nin] + nouts
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last and nonlin)
                       for i in range(len(nouts))]

    @staticmethod
    def _takes_lists(layer):
        """Whether the layer and its neurons are called as written here. What is called as the
        program has written it gets what the original gives it: the Value of a single neuron."""
        def as_written(part):
            return callable(part) and getattr(type(part).__call__, "__module__", None) == __name__

        return as_written(layer) and all(map(as_written, getattr(layer, "neurons", ())))

    def __call__(self, x):
        """The outputs of the last layer, for a list of nin numbers or Values."""
        layers = self.layers
        out = __core__._fused(layers, x)   # the same as one node; None where it must run as written
        if out is not None:
            return out
        for i, layer in enumerate(layers):
            if i > 0 and isinstance(x, Value) and __class__._takes_lists(layer):
                x = [x]                 # from a layer of one neuron
            x = layer(x)
        return x

    def parameters(self):
        layers = self.layers
        parameters = __core__._parameters_of(layers)
        if parameters is not None:
            return parameters
        return [p for layer in layers for p in layer.parameters()]

    def __repr__(self):
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


# The compiled engine fuses layers while these are what they are here.
__core__._ships(Neuron, Layer, MLP)
