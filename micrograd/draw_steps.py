"""What draw.animate shows: the forward pass and the sweep over a graph, a step for each node.

A graph is here the list of its nodes, operands before results; a node is its place in that list.
"""
from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

from micrograd.draw import NOT_IN_XML, shown
from micrograd.engine import Value

NAME, SHORT = 24, 11        # characters of a label that are shown in the text, in a box
# dy/da of y = f(a), in words. An operation that is not here gets its number alone.
SLOPES = {
    "ReLU": "(1 if {y} > 0 else 0)", "exp": "{y}", "log": "1/{a}", "tanh": "1 - {y}²",
    "sigmoid": "{y} · (1 - {y})", "sin": "cos({a})", "cos": "-sin({a})", "sqrt": "1/(2 · {y})",
    "abs": "sign({a})", "softplus": "sigmoid({a})",
}


class Graph:
    """The nodes in their order, their names (labels, or v and a place), numbers and operands."""

    def __init__(self, order: list[Value]) -> None:
        places = {node: i for i, node in enumerate(order)}
        self.order = order
        self.names = [label(node) or f"v{i}" for i, node in enumerate(order)]
        self.numbers = [plain(shown(node.data)) for node in order]
        self.operands = [sorted((places[operand] for operand in node._prev), key=self.by_label)
                         for node in order]

    def by_label(self, i: int) -> tuple[bool, str, int]:
        """Where an operand stands among others, which are a set: labels come first."""
        text = label(self.order[i])
        return not text, text, i

    def op(self, i: int) -> str:
        return plain(self.order[i]._op or "f")


def label(node: Value) -> str:
    return cut(plain(getattr(node, "label", None) or ""), NAME)


def plain(x: object) -> str:
    """A text of one line, without what no page can show."""
    return NOT_IN_XML.sub(" ", str(x))


def boxes(graph: Graph) -> Iterator[dict[str, str]]:
    """What the box of each node says: its name, in short and whole, its operation, its number."""
    for i, operands in enumerate(graph.operands):
        yield {"name": graph.names[i], "short": cut(graph.names[i], SHORT),
               "number": graph.numbers[i], "op": cut(graph.op(i), SHORT) if operands else ""}


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length - 1] + "…"


def steps(graph: Graph) -> Iterator[dict[str, Any]]:
    """All steps: {phase, node, title, lines, grads}; grads are the (node, text) that change."""
    inner = [i for i, operands in enumerate(graph.operands) if operands]
    yield step("start", None, "The leaves have their numbers")
    for i in inner:
        yield step("forward", i, f"{graph.names[i]} = {expression(graph, i, graph.names)}",
                   [f"= {expression(graph, i, graph.numbers)}", f"= {graph.numbers[i]}"])
    yield from sweep(graph, inner[::-1])


def step(phase: str, node: int | None, title: str, lines: list[str] | None = None,
         grads: list[tuple[int, str]] | None = None) -> dict[str, Any]:
    return {"phase": phase, "node": node, "title": title, "lines": lines or [],
            "grads": grads or []}


def expression(graph: Graph, i: int, texts: list[str]) -> str:
    """Node i as its operation on these texts of its operands."""
    op, operands = graph.op(i), graph.operands[i]
    terms = [texts[k] for k in operands]
    if op in ("+", "*", "**") and len(terms) == 1:          # a + a has one operand
        terms *= 2
    if op == "**" and not is_power(graph, operands, i):
        terms.reverse()
    if op in ("+", "*", "**") and len(terms) == 2:
        return f" {op} ".join(terms)
    if op.startswith("**") and op != "**":
        return f"{terms[0]} ** {op[2:]}"
    return f"{op}({', '.join(terms)})"


def is_power(graph: Graph, operands: list[int], i: int) -> bool:
    """Whether the first operand is the base; a set does not tell."""
    a, b, y = [graph.order[k].data for k in (operands[0], operands[-1], i)]
    try:
        return bool(a ** b == y)
    except (ArithmeticError, TypeError, ValueError):
        return False


def sweep(graph: Graph, inner: list[int]) -> Iterator[dict[str, Any]]:
    """The steps of the sweep, from all gradients 0. It is taken by the nodes' own _backward; their
    gradients are what they were when it is done."""
    kept = [node.grad for node in graph.order]
    root = len(graph.order) - 1
    grads: list[Any] = [0] * root + [1]
    try:
        taken = [(i, grads[i], shares(graph, i, grads)) for i in inner]
    finally:
        for node, grad in zip(graph.order, kept):
            node.grad = grad
    yield step("backward", root, f"{graph.names[root]}.grad = 1", grads=[(root, shown(1))])
    so_far: dict[int, Any] = {}
    for i, grad, added in taken:
        title = f"backward through {graph.names[i]} = {expression(graph, i, graph.names)}"
        lines = [line for k, share in added
                 for line in chain_rule(graph, i, k, grad, share, so_far)]
        yield step("backward", i, title, lines, [(k, shown(so_far[k])) for k, _ in added])


def shares(graph: Graph, i: int, grads: list[Any]) -> list[tuple[int, Any]]:
    """[(operand, what node i adds to its gradient)]; adds these to grads."""
    node, operands = graph.order[i], graph.operands[i]
    for k in operands:
        graph.order[k].grad = 0
    node.grad = grads[i]
    node._backward()
    added = [(k, graph.order[k].grad) for k in operands]
    for k, share in added:
        grads[k] = grads[k] + share
    return added


def chain_rule(graph: Graph, i: int, k: int, grad: Any, share: Any,
               so_far: dict[int, Any]) -> Iterator[str]:
    """a.grad += y.grad * dy/da, first in names, then in numbers; dy/da is the share over y.grad."""
    y, a = graph.names[i], graph.names[k]
    formula = slope_in_words(graph, i, k)
    slope_is = f"    where ∂{y}/∂{a} = {formula}" if formula else ""
    yield f"{a}.grad += {y}.grad · ∂{y}/∂{a}{slope_is}"
    first = k not in so_far
    so_far[k] = share if first else so_far[k] + share
    total = "" if first else f"    in all {shown(so_far[k])}"
    yield f"{' ' * len(a)}      += {shown(grad)} · {slope(share, grad)} = {shown(share)}{total}"


def slope(share: Any, grad: Any) -> str:
    """dy/da in numbers; an ellipsis where the gradient hides it."""
    if not isinstance(share, Real) or not isinstance(grad, Real) or not grad:
        return "…"
    try:
        return shown(float(share) / float(grad))
    except OverflowError:       # an int beyond the floats
        return "…"


def slope_in_words(graph: Graph, i: int, k: int) -> str:
    """dy/da as a formula; empty where there is none to say."""
    op, operands, y, a = graph.op(i), graph.operands[i], graph.names[i], graph.names[k]
    others = [graph.names[j] for j in operands if j != k]
    if op == "+":
        return "1" if others else "1 + 1"
    if op == "*":
        return others[0] if others else f"{a} + {a}"
    if op.startswith("**") and op != "**":
        return f"{op[2:]} · {a} ** ({op[2:]} - 1)"
    return SLOPES.get(op, "").format(y=y, a=a)
