"""The components of union_find.py by breadth-first search over a dict: the definition it is tested against."""

from collections import defaultdict, deque
from collections.abc import Iterable


def components_reference(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """{node: the smallest node of its component}, in ascending order of nodes."""
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    labels: dict[int, int] = {}
    for smallest in sorted(neighbours):
        if smallest in labels:
            continue
        labels[smallest] = smallest
        queue = deque([smallest])
        while queue:
            for neighbour in neighbours[queue.popleft()]:
                if neighbour not in labels:
                    labels[neighbour] = smallest
                    queue.append(neighbour)
    return dict(sorted(labels.items()))
