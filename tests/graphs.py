"""What there is under a root, seen through `_prev`."""


def nodes_under(root):
    """All nodes of the graph, the root among them."""
    seen, stack = {root}, [root]
    while stack:
        for child in stack.pop()._prev:
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return seen


def clear_gradients(*roots):
    """Set the gradients of all nodes under the roots to 0."""
    for node in {node for root in roots for node in nodes_under(root)}:
        node.grad = 0


def edges_under(root):
    """[(node, operand)] for all nodes of the graph."""
    return [(node, child) for node in nodes_under(root) for child in node._prev]
