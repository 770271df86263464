"""What a class inherits that derives from Value and, after it, from other classes."""

ATTRIBUTES = "data", "grad", "_prev", "_op", "_backward"       # of each instance

# What Value has in the original. Whatever else it has here must not hide what a further base has.
ORIGINAL = {
    "__init__", "__add__", "__mul__", "__pow__", "relu", "backward", "__neg__", "__radd__",
    "__sub__", "__rsub__", "__rmul__", "__truediv__", "__rtruediv__", "__repr__",
    "__module__", "__doc__", "__dict__", "__weakref__", *ATTRIBUTES}


def added_to(Value):
    """{name: attribute} of what Value has and the original has not."""
    return {name: x for name, x in vars(Value).items() if name not in ORIGINAL}


def take_from_further_bases(cls, Value, added):
    """Give the class what its bases after Value have of the names that were added to Value: in the
    original it finds them there. Not where the program has set Value's own since."""
    before = cls.__mro__[:cls.__mro__.index(Value)]
    further = cls.__mro__[len(before) + 1:-1]           # without object
    for name, shipped in added.items() if further else ():
        found = [vars(base)[name] for base in further if name in vars(base)]
        if (found and vars(Value).get(name) is shipped
                and not any(name in vars(base) for base in before)):
            type.__setattr__(cls, name, found[0])
