"""Keys of a dict that run code of the program's when they are compared."""


class Key(str):
    """A key with the hash of a name. When it is asked whether it is that name, `do` is called."""

    do = staticmethod(lambda: None)

    def __new__(cls, name):
        self = str.__new__(cls, "key")
        self.hash = hash(name)
        return self

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        Key.do()
        return False


def put_key(owner, name):
    """Put it before the attribute of that name."""
    attributes = vars(owner)
    value = attributes.pop(name)
    attributes[Key(name)] = 0
    attributes[name] = value
