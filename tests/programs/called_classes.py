"""Each way of calling Value and its subclasses, with constructors that fail or are replaced."""
from micrograd.engine import Value

shipped = Value.__init__


class Own(Value):
    def __init__(self, data, _children=(), _op=""):
        super().__init__(data, _children, _op)


class Any(Value):
    def __init__(self, *args, **kwargs):
        super().__init__(*args)
        self.given = kwargs


class Returns(Value):
    def __init__(self, data, returned=5):
        self.data = data
        return returned


class Endless(Value):
    def __init__(self, data):
        super().__init__(data)
        self.next = Endless(data)


class New(Value):
    def __new__(cls, *args):
        new = super().__new__(cls)
        new.args = args
        return new


class Number(Value):
    def __new__(cls, *args):
        return 7


class Meta(type):
    def __call__(cls, *args):
        return "meta", type.__call__(cls, *args).data


class Made(Value, metaclass=Meta):
    pass


class Plain(Value):
    pass


def init(self, data, _children=(), _op=""):
    self.data, self.grad, self._prev, self._op, self.own = data, 0, set(_children), _op, _op


def show(make):
    try:
        print(make())
    except Exception as error:
        print(type(error).__name__, error if not isinstance(error, RecursionError) else "")


def call(cls):
    for make in [lambda: cls(1), lambda: cls(2.5, (cls(1),), "x")._op, lambda: cls(),
                 lambda: cls(1, (), "", 3), lambda: cls(data=3), lambda: cls(3, _op="y"),
                 lambda: cls(1, wrong=2), lambda: list(map(cls, [1, 2])), lambda: cls(*[1, ()]),
                 lambda: cls.__call__(4), lambda: cls(2) * cls(3) + 1]:
        show(make)


for _ in range(3):
    for cls in Value, Own, Any, Plain:
        call(cls)
    for make in [lambda: Returns(1), lambda: Returns(1, "text"), lambda: Returns(1, None),
                 lambda: Endless(1), lambda: New(1, (), "x").args, lambda: Number(3),
                 lambda: Made(4), lambda: Any(1, (), key=2).given]:
        show(make)
    Below = type("Below", (Own,), {})
    call(Below)
    Below.__init__ = lambda self, x: setattr(self, "data", x * 10)
    show(lambda: Below(5).data)
    Below.__new__ = lambda cls, x: 3
    show(lambda: Below(5))
    del Below.__init__, Below.__new__
    call(Below)
    Value.__init__ = init
    call(Value)
    call(Plain)
    show(lambda: Plain(1, (), "z").own)
    Value.__init__ = shipped
