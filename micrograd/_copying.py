"""copy, deepcopy and pickle of Values, of both engines.

A Value is made empty by its class and then gets its parts, so that it may stand in a cycle. The
engine, `core` below, takes one apart and puts it together:

    core._nodes_under(root)     the nodes under a root that are no leaves, and itself, operands
                                before results
    core._parts_of(value, shared)       its operation, as (name, operands), or None where there is
                                        none, or the attributes have it;
                                        {attribute: what it holds} of all else that a Value has,
                                        and DELETED: the names of what the program has deleted;
                                        {attribute: what stands in the __dict__} of the engine's
                                        attributes that the class overrides;
                                        `shared` for copy, which shares `_prev` and `_backward`
    core._restore(value, *parts)        gives them to an empty Value
    core._reduction             __reduce__ and __reduce_ex__ of Value, as shipped
"""
import copy
from copyreg import __newobj__, _slotnames, dispatch_table
from threading import local


def copied(value, core):
    """A second Value with all that the first has."""
    if reduces_itself(value, core):
        return rebuilt(value)
    twin = new_like(value, core)
    core._restore(twin, *core._parts_of(value, shared=True))
    if type(value) is not core.Value:
        set_slots(twin, slots_of(value))
    return twin


def deep_copied(root, memo, core):
    """A copy of the whole graph under root, of any depth, with gradients of its own."""
    for value in core._nodes_under(root):
        deep_copied_node(value, memo, core)
    return memo[id(root)]


def deep_copied_node(value, memo, core):
    """The copy of one node; its operands that are no leaves have been copied before."""
    twin = memo.get(id(value))
    if twin is not None:
        return twin
    if reduces_itself(value, core):
        twin = memo[id(value)] = rebuilt(value, memo)
        return twin
    twin = memo[id(value)] = new_like(value, core)
    operation, attributes, own = core._parts_of(value, shared=False)
    if operation:
        copies = []
        for x in operation[1]:
            copies.append(deep_copied_node(x, memo, core) if isinstance(x, core.Value)
                          else copy.deepcopy(x, memo))
        operation = operation[0], copies
    core._restore(twin, operation, deep_copied_dict(attributes, memo),
                  own and deep_copied_dict(own, memo))
    if type(value) is not core.Value:
        set_slots(twin, deep_copied_dict(slots_of(value), memo))
    return twin


def deep_copied_dict(attributes, memo):
    """The dict, which nobody else has, with copies of what it holds."""
    for name in attributes:     # not items(), which crashes CPython 3.11 where memory is out
        x = attributes[name]
        attributes[name] = x if type(x) in (float, int) else copy.deepcopy(x, memo)
    return attributes


# pickle. A root's state lists all nodes under it, operands first. When pickle comes to one of them,
# it has written its operands, so that a deep graph needs no deep recursion.

class Marks(local):
    """The ids of the nodes that are in such a list, and need none of their own; by threads, each of
    which may dump the same nodes."""

    def __init__(self):
        self.ids = set()


marks = Marks()


class EndOfNodes:
    """Wipes the marks of a list of nodes when pickle comes to it, or fails; restored as None."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.marked = marks.ids         # kept, as another thread may delete this
        self.marked.update(map(id, nodes))

    def wipe(self):
        self.marked.difference_update(map(id, self.nodes))
        self.nodes = []

    __del__ = wipe

    def __reduce__(self):
        self.wipe()
        return type(None), ()


DELETED = "deleted attributes"      # no attribute of a program has such a name
ENTRIES = {"_graph", "_slots", "_attributes", "_own values"}   # of a state, beside attributes


def reduced(value, core):
    """What __reduce__ gives."""
    cls = type(value)
    if cls is not core.Value and states_itself(value, core):
        return __newobj__, new_arguments(value), value.__getstate__()
    operation, attributes, own = core._parts_of(value, shared=False)
    slots = {} if cls is core.Value else slots_of(value)
    state = {}
    nodes = [] if id(value) in marks.ids else core._nodes_under(value)[:-1]
    marks.ids.discard(id(value))
    if nodes or operation:
        nodes = [*nodes, EndOfNodes(nodes)] if nodes else []
        state["_graph"] = nodes, *(operation or (None, ()))
    if slots:
        state["_slots"] = slots
    if own:
        state["_own values"] = own
    if ENTRIES.isdisjoint(attributes):
        state.update(attributes)
    else:                               # a program may have attributes of these names
        state["_attributes"] = attributes
    return __newobj__, (cls,) if cls is core.Value else new_arguments(value), state


def restored(value, state, core):
    """Give value, an empty one, the state that `reduced` has made."""
    rest = dict(state)
    if ENTRIES.isdisjoint(rest):        # a leaf, as most are
        return core._restore(value, None, rest, {})
    _, name, operands = rest.pop("_graph", ([], None, ()))
    operation = None if name is None else (name, operands)
    slots, own = rest.pop("_slots", {}), rest.pop("_own values", {})
    core._restore(value, operation, dict(rest.pop("_attributes", rest)), own)
    if slots:
        set_slots(value, slots)


# What a program says for itself.

def reduces_itself(value, core):
    """Whether it says, by a __reduce__ or in copyreg, what a copy is made of."""
    cls = type(value)
    return cls in dispatch_table or (cls.__reduce__, cls.__reduce_ex__) != core._reduction


def states_itself(value, core):
    """Whether a subclass of Value has both a __getstate__ and a __setstate__ of its own."""
    own = getattr(type(value), "__getstate__", None)
    return (own is not getattr(core.Value, "__getstate__", None)
            and type(value).__setstate__ is not core.Value.__setstate__)


def rebuilt(value, memo=None):
    """The copy of a value that reduces itself; with a memo, the deep copy."""
    reducer = dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(4) if reducer is None else reducer(value)
    return value if isinstance(reduced, str) else copy._reconstruct(value, memo, *reduced)


def new_arguments(value):
    """What __new__ makes an object of: its class, and what its __getnewargs__ says, if any."""
    return type(value), *(value.__getnewargs__() if hasattr(value, "__getnewargs__") else ())


def new_like(value, core):
    cls = type(value)
    return cls.__new__(cls) if cls is core.Value else __newobj__(*new_arguments(value))


def slots_of(value):
    """{name: value} of a subclass's slots, for copies; its dict has the other attributes."""
    return {name: getattr(value, name)
            for name in _slotnames(type(value)) if hasattr(value, name)}


def set_slots(twin, slots):
    for name, x in slots.items():
        setattr(twin, name, x)
