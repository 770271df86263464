"""Places for the nodes of a graph in layers, operands left of results (Sugiyama et al., 1981).

An edge that crosses a layer has a place there too, which all edges of its operand share, so that
none runs through a node.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

WIDTH, HEIGHT = 176, 66         # of a node, in pixels
ACROSS = 222                    # from layer to layer
NODE, EDGE = 84, 18             # what a node takes in its layer, and an edge that passes
MARGIN = 12
ROUNDS = 6

Place = tuple[int, int]         # (node, layer): the node, or its edges that pass by
Edge = tuple[int, int]          # (operand, result)
Point = tuple[int, int]


def layers_of(operands: list[list[int]]) -> list[int]:
    """The layer of each node: as far right as its results let it be."""
    to_root = [0] * len(operands)
    for i in reversed(range(len(operands))):
        for k in operands[i]:
            if k < i:               # always, except in a cycle
                to_root[k] = max(to_root[k], to_root[i] + 1)
    farthest = max(to_root)
    return [farthest - steps for steps in to_root]


def links_of(operands: list[list[int]], layers: list[int]) -> dict[Place, list[Place]]:
    """{place: the places in the next layer it leads to}"""
    links: dict[Place, list[Place]] = {(i, layer): [] for i, layer in enumerate(layers)}
    for i, under in enumerate(operands):
        for k in under:
            for layer in range(layers[k] + 1, layers[i]):
                if (k, layer) not in links:
                    links[k, layer] = []
                    links[k, layer - 1].append((k, layer))
            if layers[k] < layers[i]:
                links[k, layers[i] - 1].append((i, layers[i]))
    return links


def layout(operands: list[list[int]]) -> tuple[list[Point], dict[Edge, list[Point]]]:
    """The centre of each node, and the points that each edge passes."""
    layers = layers_of(operands)
    links = links_of(operands, layers)
    heights = heights_of(links, layers)
    points = {place: (place[1] * ACROSS + WIDTH // 2, round(y)) for place, y in heights.items()}
    centres = [points[i, layer] for i, layer in enumerate(layers)]
    edges = {}
    for i, under in enumerate(operands):
        for k in under:
            passed = [points[k, layer] for layer in range(layers[k] + 1, layers[i])]
            edges[k, i] = [centres[k], *passed, centres[i]]
    return centres, edges


def picture(operands: list[list[int]]) -> dict[str, Any]:
    """The layout as the page wants it."""
    centres, edges = layout(operands)
    right, bottom = [max(place) for place in zip(*centres, *chain(*edges.values()))]
    return {
        "nodes": [{"x": x + MARGIN, "y": y + MARGIN, "operands": under}
                  for (x, y), under in zip(centres, operands)],
        "edges": [{"from": k, "to": i, "points": [(x + MARGIN, y + MARGIN) for x, y in points]}
                  for (k, i), points in edges.items()],
        "width": right + WIDTH // 2 + 2 * MARGIN,
        "height": bottom + HEIGHT // 2 + 2 * MARGIN,
        "box": {"width": WIDTH, "height": HEIGHT},
    }


def heights_of(links: dict[Place, list[Place]], layers: list[int]) -> dict[Place, float]:
    """The y of each place: near what it is linked to, and no two of a layer too close."""
    columns: dict[int, list[Place]] = {}
    back: dict[Place, list[Place]] = {place: [] for place in links}
    for place, nexts in links.items():
        columns.setdefault(place[1], []).append(place)
        for following in nexts:
            back[following].append(place)
    heights = {place: float(NODE * i) for column in columns.values()
               for i, place in enumerate(column)}
    size: Callable[[Place], int] = lambda place: NODE if layers[place[0]] == place[1] else EDGE
    for turn in range(2 * ROUNDS):
        for x in sorted(columns, reverse=turn % 2 == 1):
            settle(columns[x], heights, links if turn % 2 else back, size)
    top = min(heights[place] - size(place) / 2 for place in heights)
    return {place: y - top for place, y in heights.items()}


def settle(column: list[Place], heights: dict[Place, float], links: dict[Place, list[Place]],
           size: Callable[[Place], int]) -> None:
    """Move the places of a layer to the mean of what they are linked to, and apart again."""
    wanted = {place: sum(heights[p] for p in links[place]) / len(links[place]) if links[place]
              else heights[place] for place in column}
    column.sort(key=wanted.__getitem__)
    edge = -float("inf")
    for place in column:
        heights[place] = max(wanted[place], edge + size(place) / 2)
        edge = heights[place] + size(place) / 2
    drift = sum(heights[place] - wanted[place] for place in column) / len(column)
    for place in column:
        heights[place] -= drift
