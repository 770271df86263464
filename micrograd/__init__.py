"""A scalar autograd engine and a small neural network library on top of it, compiled."""

__version__ = "0.1.0"
