"""Draw the graph of an expression, as trace_graph.ipynb of micrograd does, or animate it.

The pictures are Graphviz's: its language DOT is written here; the program `dot` makes an image of
it.
"""
from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any
from zlib import crc32

from micrograd._checks import described
from micrograd._engine_py import operands_first
from micrograd.engine import Value

__all__ = ["draw_dot", "animate", "trace"]

# What has a meaning in the label of a record, and a line break.
ESCAPES = str.maketrans({**{c: "\\" + c for c in '\\{}|<>"'}, "&": "&amp;", "\n": "\\n"})
NOT_IN_XML = re.compile("[\0-\x1f\ud800-\udfff\ufffe\uffff]")   # and so not in SVG
DIRECTIONS = ("LR", "TB", "RL", "BT")
SMALL, LARGE = 5e-5, 1e15       # numbers beyond these are shown by their power of ten
INSTALL = ("To see the picture, install Graphviz, whose program dot draws it: apt install "
           "graphviz, brew install graphviz, or see https://graphviz.org/download")
WIDTH = 40      # of what is no number, in characters


class Dot(str):
    """A drawing in DOT. Notebooks show the picture, if there is a program `dot` to make it, and
    else the text, and what to install."""

    def _repr_svg_(self) -> str | None:
        import subprocess
        program = which_dot()
        if program is None:
            return None
        return subprocess.run([program, "-Tsvg"], input=self.encode(), check=True,
                              stdout=subprocess.PIPE).stdout.decode()

    def _repr_html_(self) -> str | None:
        if which_dot() is not None:
            return None
        return f"<p>{INSTALL}</p><pre>{html.escape(self)}</pre>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}; render "
                             "and view are those of a graphviz.Source: pip install graphviz")


def which_dot() -> str | None:
    import shutil
    return shutil.which("dot")


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR", limit: int = 1000) -> Any:
    """Draw the graph under root: a box for each node, an oval for each operation.

    rankdir is the direction: LR is left to right, TB top to bottom. Returns a graphviz.Source,
    which renders to `format`, if the package graphviz is installed, and else DOT text, as a str
    that a notebook shows as a picture. ValueError where there are more than `limit` nodes;
    TypeError where root is no Value.
    """
    if rankdir not in DIRECTIONS:
        raise ValueError(f"rankdir must be one of {', '.join(DIRECTIONS)}, not {rankdir!r}")
    check_size(root, limit)
    text = Dot("\n".join(["digraph {", f"  rankdir={rankdir}", *statements(root), "}", ""]))
    try:
        import graphviz     # type: ignore[import-untyped]
    except ImportError:
        return text
    return graphviz.Source(text, format=format)


class Animation:
    """A page of HTML that notebooks show, in a frame of its own."""

    def __init__(self, page: str) -> None:
        self.page = page

    def _repr_html_(self) -> str:
        return (f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts" '
                'style="width: 100%; height: 560px; border: 0"></iframe>')


def animate(root: Value, path: str | os.PathLike[str] | None = None,
            limit: int = 1000) -> Animation:
    """A page that goes through the forward pass and the sweep from root, node by node.

    Its buttons and the arrow keys go on and back; each step shows the chain rule with its numbers.
    It is one file of HTML, which loads nothing, written to `path` if one is given; a notebook shows
    what is returned. The sweep starts with gradients of 0, each `_backward` is called once, and the
    gradients are then as before. ValueError where there are more than `limit` nodes; TypeError
    where root is no Value.
    """
    from micrograd import draw_layout, draw_page, draw_steps
    check_size(root, limit)
    graph = draw_steps.Graph(topological_order(root))
    picture = draw_layout.picture(graph.operands)
    for node, more in zip(picture["nodes"], draw_steps.boxes(graph)):
        node.update(more)
    animation = Animation(draw_page.page({**picture, "steps": list(draw_steps.steps(graph))}))
    if path is not None:
        with open(os.fspath(path), "w", encoding="utf-8") as file:
            file.write(animation.page)
    return animation


def check_size(root: Value, limit: int) -> None:
    if not isinstance(limit, Integral) or limit < 1:
        raise ValueError(f"limit must be an int from 1, not {described(limit)}")
    for count, _ in enumerate(walk(root), 1):
        if count > limit:
            raise ValueError(f"the graph has more than {limit} nodes: draw a smaller part of it, "
                             "or pass a greater limit")


def trace(root: Value) -> tuple[set[Value], set[tuple[Value, Value]]]:
    """The set of the nodes under root, and that of the edges (operand, result)."""
    nodes = set(walk(root))
    return nodes, {(operand, node) for node in nodes for operand in node._prev}


def walk(root: Value) -> Iterator[Value]:
    """The nodes under root, each once, a result before its operands are entered."""
    if not hasattr(root, "_prev"):      # either engine's
        raise TypeError("a graph has a Value for its root, "
                        f"not {described(root)}")
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        yield node
        new = set(node._prev) - seen
        seen |= new
        stack += new


def statements(root: Value) -> Iterator[str]:
    """A line of DOT for each box, each oval and each edge."""
    order = topological_order(root)
    places = {node: i for i, node in enumerate(order)}
    for i, node in enumerate(order):
        yield f'  n{i} [shape=record label="{{ {" | ".join(cells(node))} }}"]'
        if node._op:
            yield f'  n{i}_op [label="{escaped(node._op)}"]'
            yield f"  n{i}_op -> n{i}"
        for place in sorted(places[operand] for operand in node._prev):
            yield f"  n{place} -> n{i}" + ("_op" if node._op else "")


def topological_order(root: Value) -> list[Value]:
    """The nodes under root, operands before results, in an order that every process finds.

    The operands of a node are a set, which has the order of addresses. They are sorted by
    fingerprint: a number made of what is drawn of a node, and under it.
    """
    fingerprints: dict[Value, int] = {}
    for node in operands_first(root):           # type: ignore[no-untyped-call]
        under = sorted(fingerprints.get(operand, 0) for operand in node._prev)    # 0 in a cycle
        fingerprints[node] = crc32(repr((cells(node), node._op, under)).encode())
    order: list[Value] = operands_first(        # type: ignore[no-untyped-call]
        root, operands=lambda node: sorted(node._prev, key=fingerprints.__getitem__, reverse=True))
    return order


def cells(node: Value) -> list[str]:
    """What a box says: the label if there is one, the data, the gradient."""
    label = getattr(node, "label", "")
    texts = [] if label in ("", None) else [label]
    texts += [f"data {shown(node.data)}", f"grad {shown(getattr(node, 'grad', None))}"]
    return [escaped(text) for text in texts]


def escaped(text: object) -> str:
    return NOT_IN_XML.sub(" ", str(text).translate(ESCAPES))


def shown(x: object) -> str:
    """A real number with four decimals, by its power of ten if large or if they were all 0;
    anything else as it prints, if that is short."""
    if isinstance(x, Real):
        try:
            number = float(x)
        except OverflowError:       # an int beyond the floats
            return "beyond the floats"
        if 0 < abs(number) < SMALL:
            return f"{number:.4g}"
        return f"{number:.4f}" if abs(number) < LARGE else f"{number:.4e}"
    text = str(x)
    return text if len(text) <= WIDTH else text[:WIDTH - 3] + "..."
