"""Which panel stands where: the layouts for every size, and how they are cut to rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Place(NamedTuple):
    """A rectangle of the board, in cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Split:
    """Parts side by side (``across``) or one above another, each with its weight."""

    across: bool
    parts: tuple[tuple[int, str | Split], ...]


Node = str | Split

TINY: Final = (60, 16)
SMALL: Final = (110, 32)
LARGE: Final = (170, 46)


def _beside(*parts: tuple[int, Node]) -> Split:
    return Split(True, parts)


def _above(*parts: tuple[int, Node]) -> Split:
    return Split(False, parts)


def size_class(width: int, height: int) -> str:
    """Return ``tiny``, ``small``, ``medium`` or ``large`` for a board of this size."""
    if width < TINY[0] or height < TINY[1]:
        return "tiny"
    if width < SMALL[0] or height < SMALL[1]:
        return "small"
    return "large" if width >= LARGE[0] and height >= LARGE[1] else "medium"


def heat_by_default(layout: str, size: str) -> bool:
    """Say whether a layout shows the heat map unasked."""
    return layout == "book" or (layout == "overview" and size == "large")


def tree(layout: str, size: str, heat: bool) -> Node:
    """Return the panels of a layout. With little room the heat map takes the ladder's place, else it stands beside."""
    if size == "tiny":
        return "figures"
    book: Node = "heat" if heat else "depth"
    both: Node = _beside((4, "depth"), (6, "heat")) if heat else "depth"
    if layout == "pipeline":
        if size == "small":
            return _above((10, "pipeline"), (8, "throughput"), (4, _beside((1, "cores"), (1, "events"))))
        lower = _beside((4, "cores"), (3, "bundles"), (4, "events"))
        return _above((15, _beside((6, "pipeline"), (5, "throughput"))), (9, lower))
    if layout == "book":
        return _above((18, both), (4, "events") if size == "small" else (4, _beside((3, "throughput"), (2, "events"))))
    if layout == "latency":
        if size == "small":
            return _above((17, "latency"), (5, _beside((1, "throughput"), (1, "cores"))))
        return _above((24, "latency"), (12, _beside((5, "throughput"), (3, "cores"), (3, "events"))))
    if size == "small":
        return _above(
            (9, _beside((39, "throughput"), (41, "pipeline"))),
            (9, _beside((38, book), (42, "latency"))),
            (4, _beside((1, "cores"), (1, "events"))),
        )
    upper = _beside((64, "throughput"), (56, "pipeline"))
    if size == "medium":
        middle = _beside((42, book), (46, "latency"), (32, "bundles"))
        return _above((13, upper), (17, middle), (8, _beside((1, "cores"), (1, "events"))))
    beside = _beside((54, "depth"), (66, "heat"), (80, "latency")) if heat else _beside((110, "depth"), (90, "latency"))
    return _above((20, upper), (24, beside), (14, _beside((60, "cores"), (60, "bundles"), (80, "events"))))


def place(node: Node, width: int, height: int) -> dict[str, Place]:
    """Cut a board of this size; every cell belongs to one panel."""
    found: dict[str, Place] = {}
    _place(node, Place(0, 0, max(width, 0), max(height, 0)), found)
    return found


def _place(node: Node, room: Place, found: dict[str, Place]) -> None:
    if isinstance(node, str):
        found[node] = room
        return
    total = sum(weight for weight, _ in node.parts)
    length = room.width if node.across else room.height
    begin = summed = 0
    for weight, part in node.parts:
        summed += weight
        end = round(length * summed / total)
        if node.across:
            _place(part, Place(room.x + begin, room.y, end - begin, room.height), found)
        else:
            _place(part, Place(room.x, room.y + begin, room.width, end - begin), found)
        begin = end


def neighbour(places: dict[str, Place], current: str, direction: str) -> str | None:
    """Return the nearest panel in a direction (``left``, ``right``, ``up``, ``down``), ``None`` at the edge."""
    if current not in places:
        return next(iter(places), None)
    here = places[current]

    def distance(other: Place) -> tuple[int, int] | None:
        gaps = {
            "left": here.x - (other.x + other.width),
            "right": other.x - (here.x + here.width),
            "up": here.y - (other.y + other.height),
            "down": other.y - (here.y + here.height),
        }
        if gaps[direction] < 0:
            return None
        beside = abs(other.y - here.y) if direction in ("left", "right") else abs(other.x - here.x)
        return gaps[direction], beside

    near = {name: at for name, other in places.items() if name != current and (at := distance(other)) is not None}
    return min(near, key=lambda name: near[name]) if near else None
