"""A metaclass of the program's own: layers ask it nothing about the classes of what they get."""
import random

from micrograd.nn import Layer


class Meta(type):
    __hash__ = type.__hash__
    __name__ = property(lambda cls: print("named"))

    def __eq__(cls, other):
        print("compared")
        return True


class Switch(metaclass=Meta):
    def __bool__(self):
        return True


class Row(metaclass=Meta):
    def __iter__(self):
        return iter([1.0, 2.0])


random.seed(1)
layer = Layer(2, 2)
for neuron in layer.neurons:
    neuron.nonlin = Switch()
print(layer([1.0, 2.0]), layer(Row()))
