"""A recording as a module of PyTorch, for micrograd.pytorch.

A level is how many operations stand above a step. Steps of one level that do the same are a group,
which is computed at once: a tensor with a line for each step, and in it a number for each row of
the columns, or one for all where the rows make no difference. Sums of products of parameters by the
same numbers are a matrix product.
"""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from micrograd._recorded_arguments import rebuilt
from micrograd.recording import Kept

ELEMENTWISE: dict[str, Any] = {
    "+": torch.add, "*": torch.mul, "**": torch.pow, "pow": torch.pow, "maximum": torch.maximum,
    "minimum": torch.minimum, "ReLU": torch.relu, "exp": torch.exp, "log": torch.log,
    "log1p": torch.log1p, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "sin": torch.sin,
    "cos": torch.cos, "tan": torch.tan, "sqrt": torch.sqrt, "abs": torch.abs, "erf": torch.erf,
    "gelu": torch.nn.functional.gelu, "detach": Tensor.detach, "sign": torch.sign,
    "softplus": lambda a: torch.nn.functional.softplus(a, threshold=40),
    "leaky_relu": lambda a, slope: torch.where(a > 0, a, slope * a),
}
LEAVES = "input", "parameter", "constant"       # groups 0, 1 and 2


class Operand(NamedTuple):
    """Where the lines stand that a group takes: slices of RecordedModule.index."""
    parts: list[tuple[int, slice]]      # a group, and the lines taken of it
    order: slice | None                 # of all lines taken; None where they are in order


class Group(NamedTuple):
    kind: str
    size: int                           # how many steps
    operands: list[Operand]


class RecordedModule(torch.nn.Module):
    """What a function that was recorded computes, for all rows of its columns.

    Called with a tensor for each argument but the fixed ones: of shape (rows,) for a number, and
    (rows, ...) for the numbers in a list, an array or any nesting of them. Gives what the function
    gives, with tensors of shape (rows,) in place of Values. ValueError for columns of another
    shape, TypeError for complex ones. Where micrograd raises an error, as for the logarithm of 0,
    the result is infinite or nan, or PyTorch raises one, as for a place that `pick` does not have.
    All parameters are one vector, `weights`.
    """

    constants: Tensor
    index: Tensor

    def __init__(self, structure: Any, kept: Kept):
        super().__init__()
        steps, outputs = kept.program.listing()
        plan = Plan(steps, outputs)
        self.results = kept.results
        self.widths = [width for width in map(leaves_in, parts_of(structure)) if width]
        self.groups, self.outputs = plan.groups, [plan.place[y] for y in outputs]
        self.weights = torch.nn.Parameter(doubles(float(p.data) for p in kept.program.parameters))
        self.register_buffer("constants", doubles(plan.constants), persistent=False)
        self.register_buffer("index", torch.tensor(plan.index, dtype=torch.long), persistent=False)

    def forward(self, *columns: Any) -> Any:
        inputs = self.joined(columns)
        lines = [inputs, self.weights[:, None], self.constants[:, None]]
        for group in self.groups:
            operands = [self.taken(lines, operand) for operand in group.operands]
            lines.append(computed(group.kind, group.size, operands))
        results = [lines[group][i].expand(inputs.shape[1]) for group, i in self.outputs]
        return rebuilt(self.results, iter(results))

    def joined(self, columns: tuple[Any, ...]) -> Tensor:
        """The inputs, a line for each."""
        for column in columns:
            if "complex" in str(getattr(column, "dtype", "")):      # PyTorch's and numpy's
                raise TypeError(f"the columns must be real, not {column.dtype}")
        tensors = [torch.as_tensor(column, dtype=self.weights.dtype, device=self.weights.device)
                   for column in columns]
        shapes = [tuple(t.shape) for t in tensors]
        fits = [len(s) > 0 and t[:1].numel() == width
                for s, t, width in zip(shapes, tensors, self.widths)]
        if len(tensors) != len(self.widths) or not all(fits) or len({s[0] for s in shapes}) > 1:
            raise ValueError("the columns must have the same number of rows, of "
                             f"{', '.join(map(str, self.widths)) or 'no'} numbers each; their "
                             f"shapes are {', '.join(map(str, shapes)) or 'none'}")
        flat = [t.reshape(len(t), -1).T for t in tensors]
        return torch.cat(flat) if flat else self.weights.new_zeros(0, 1)

    def taken(self, lines: list[Tensor], operand: Operand) -> Tensor:
        parts = [lines[group][self.index[part]] for group, part in operand.parts]
        if len(parts) == 1:
            together = parts[0]
        else:
            rows = max(part.shape[1] for part in parts)
            together = torch.cat([part.expand(-1, rows) for part in parts])
        return together if operand.order is None else together[self.index[operand.order]]


def computed(kind: str, size: int, operands: list[Tensor]) -> Tensor:
    """The lines of a group; an operand has as many, or a multiple, those of one step together."""
    if kind == "layer":
        weights, x, *biases = operands
        return added(weights.reshape(size, -1) @ x, biases, size)
    if kind == "products":
        a, b, *plain = operands
        return added((a * b).reshape(size, -1, max(a.shape[1], b.shape[1])).sum(1), plain, size)
    if kind == "sum":
        return operands[0].reshape(size, -1, operands[0].shape[1]).sum(1)
    if kind == "pick":
        return picked(size, *operands)
    return ELEMENTWISE[kind](*operands)     # type: ignore[no-any-return]


def added(y: Tensor, plain: list[Tensor], size: int) -> Tensor:
    return y + computed("sum", size, plain) if plain else y


def picked(size: int, values: Tensor, i: Tensor) -> Tensor:
    """The value at place i, and nan where that is no whole number; PyTorch's error where there is
    no such place."""
    values = values.reshape(size, -1, values.shape[1])
    rows = max(values.shape[2], i.shape[1])
    place = i.detach().long().expand(-1, rows)
    from_start = torch.where(place < 0, place + values.shape[1], place)
    chosen = values.expand(-1, -1, rows).gather(1, from_start[:, None]).squeeze(1)
    return torch.where(place == i.detach(), chosen, torch.nan)


def doubles(numbers: Iterable[float]) -> Tensor:
    return torch.tensor(list(numbers), dtype=torch.double)


def parts_of(structure: Any) -> list[Any]:
    """The structure of each argument."""
    *arguments, keywords = structure
    return [*arguments, *[part for _, part in keywords]]


def leaves_in(structure: Any) -> int:
    """How many numbers and Values this structure is around."""
    numbers: Any = iter(range(2 ** 62))
    rebuilt(structure, numbers)
    return int(next(numbers))


# The groups.

class Plan:
    """The steps of a recording in groups, and where each of them stands: (group, line)."""

    def __init__(self, steps: list[Any], outputs: list[int]):
        self.steps = steps
        self.place: dict[int, tuple[int, int]] = {}
        self.index: list[int] = []
        self.constants = [step[1] for step in steps if step[0] == "constant"]
        self.groups: list[Group] = []
        self.add_leaves()
        operations = Operations(steps, outputs)
        for (_, _, kind, *_), places in sorted(operations.grouped().items(),
                                               key=lambda item: item[0][:2]):
            members = [operations.operands[place] for place in places]
            if kind == "layer":     # of one x
                members = [(w, x if i == 0 else [], *plain)
                           for i, (w, x, *plain) in enumerate(members)]
            operands = [self.operand([x for lists in column for x in lists])
                        for column in zip(*members)]
            self.place.update((place, (3 + len(self.groups), i)) for i, place in enumerate(places))
            self.groups.append(Group(kind, len(places), operands))

    def add_leaves(self) -> None:
        constants = 0
        for i, (symbol, *operands) in enumerate(self.steps):
            if symbol == "constant":
                self.place[i] = 2, constants
                constants += 1
            elif symbol in LEAVES:
                self.place[i] = LEAVES.index(symbol), operands[0]

    def operand(self, places: list[int]) -> Operand:
        lines: dict[int, list[int]] = defaultdict(list)
        for place in places:
            group, i = self.place[place]
            lines[group].append(i)
        parts = [(group, self.kept(lines[group])) for group in lines]
        starts, start = {}, 0
        for group in lines:
            starts[group] = start
            start += len(lines[group])
        order = []
        for place in places:
            group, _ = self.place[place]
            order.append(starts[group])
            starts[group] += 1
        return Operand(parts, None if order == sorted(order) else self.kept(order))

    def kept(self, numbers: list[int]) -> slice:
        """The numbers in the index."""
        self.index += numbers
        return slice(len(self.index) - len(numbers), len(self.index))


class Operations:
    """What leads to the outputs, with sums of products as one operation: its kind, and its operands
    as lists of places."""

    def __init__(self, steps: list[Any], outputs: list[int]):
        self.steps = steps
        uses = Counter(x for step in steps if step[0] not in LEAVES for x in step[1:])
        self.once = {x for x, count in uses.items() if count == 1}.difference(outputs)
        self.kinds: dict[int, str] = {}
        self.operands: dict[int, tuple[list[int], ...]] = {}
        self.level, self.varies = [0] * len(steps), [step[0] == "input" for step in steps]
        needed = self.needed(outputs)
        for i in sorted(needed):
            above = [x for places in self.operands.get(i, ()) for x in places]
            if above:
                self.level[i] = 1 + max(self.level[x] for x in above)
                self.varies[i] = any(self.varies[x] for x in above)

    def needed(self, outputs: list[int]) -> set[int]:
        """The places that lead to the outputs, but those within sums; sets kinds and operands."""
        needed, stack = set(outputs), list(outputs)
        while stack:
            i = stack.pop()
            if self.steps[i][0] not in LEAVES:
                self.kinds[i], self.operands[i] = self.operation(i)
                above = {x for places in self.operands[i] for x in places} - needed
                needed |= above
                stack += above
        return needed

    def operation(self, i: int) -> tuple[str, tuple[list[int], ...]]:
        symbol, *operands = self.steps[i]
        if symbol == "pick":
            return "pick", (operands[:-1], operands[-1:])
        if symbol != "+":
            return symbol, tuple([x] for x in operands)
        products, plain = self.terms(operands)
        if products:
            a, b = map(list, zip(*products))
            return "products", (a, b, plain) if plain else (a, b)
        return "sum", (plain,)

    def terms(self, operands: list[int]) -> tuple[list[list[int]], list[int]]:
        """The products and the other terms that a sum adds up, sums in it included."""
        products: list[list[int]] = []
        plain: list[int] = []
        stack = operands[::-1]
        while stack:
            x = stack.pop()
            symbol, *operands = self.steps[x]
            if symbol == "+" and x in self.once:
                stack += operands[::-1]
            elif symbol == "*" and x in self.once:
                products.append(operands)
            elif symbol != "constant" or operands[0] or not (products or plain or stack):
                plain.append(x)         # no 0, which sum() begins with
        return products, plain

    def grouped(self) -> dict[Any, list[int]]:
        """{(level, number, kind, ...): places of what is computed at once}"""
        self.find_layers()
        groups: dict[Any, list[int]] = defaultdict(list)
        numbers: dict[Any, int] = {}
        for i, kind in sorted(self.kinds.items()):
            key: Any = (kind, self.varies[i], *map(len, self.operands[i]))
            if kind == "layer":
                key += tuple(self.operands[i][1])
            groups[(self.level[i], numbers.setdefault(key, len(numbers)), *key)].append(i)
        return groups

    def find_layers(self) -> None:
        """Call it a layer where sums of products share the factors that are no parameters."""
        shared = defaultdict(list)
        for i, kind in self.kinds.items():
            if kind == "products":
                a, b, *plain = self.operands[i]
                pairs = [(x, y) if self.varies[y] else (y, x) for x, y in zip(a, b)]
                if not any(self.varies[x] for x, _ in pairs):
                    a, b = map(list, zip(*pairs))
                    shared[tuple(b)].append((i, (a, b, *plain)))
        for x, members in shared.items():
            if len(members) > 1 or len(x) > 8:
                for i, operands in members:
                    self.kinds[i], self.operands[i] = "layer", operands
