"""Several locations of one channel in one warehouse divide its target: the platform sells their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Spread(StrEnum):
    """What several locations of one channel in one warehouse show of its target."""

    DIVIDE = "divide"
    """Together they show it: the platform sells their sum."""
    EACH = "each"
    """Each shows all of it."""


def divide(target: int, shown: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    """What each location shows of `target`, so that all together show just that.

    Each keeps what it shows; what must change goes to the first in `order` and spills to the next.
    `shown` holds what every location shows now: one that is missing shows nothing, one that `order`
    does not name comes last. Nobody shows less than nothing. Without a location the answer is {}.
    """
    names = [*order, *sorted(shown.keys() - set(order))]
    parts = {name: max(shown.get(name, 0), 0) for name in names}
    if not parts:
        return {}
    missing = max(target, 0) - sum(parts.values())
    if missing >= 0:
        parts[names[0]] += missing
        return parts
    for name in names:
        less = min(parts[name], -missing)
        parts[name] -= less
        missing += less
    return parts


def part_of(target: int, shown: Sequence[int | None], place: int) -> int:
    """What one of several locations, in their order, shows of a target.

    While it is not known what another shows, nobody is raised: the sum could be too much.
    """
    names = [str(n) for n in range(len(shown))]
    known = {str(n): units for n, units in enumerate(shown) if units is not None}
    part = divide(target, known, names)[str(place)]
    own, others = shown[place], [x for n, x in enumerate(shown) if n != place]
    return min(part, max(own, 0)) if own is not None and None in others else part


@dataclass(frozen=True, slots=True)
class Placed:
    """A location that feeds a warehouse, and whether it divides its target with others there."""

    location: str
    warehouse_id: int
    divided: bool
    position: int


def arranged(places: Sequence[Placed], spread: Spread, order: Sequence[str]) -> list[Placed]:
    """The locations of a channel as they divide from now on: as configured, then by id.

    Who is alone in a warehouse has nothing to divide.
    """
    many = Counter(place.warehouse_id for place in places)
    named = {location: n for n, location in enumerate(order)}
    ranked = sorted(places, key=lambda x: (named.get(x.location, len(named)), x.location))
    return [
        Placed(x.location, x.warehouse_id, spread is Spread.DIVIDE and many[x.warehouse_id] > 1, n)
        for n, x in enumerate(ranked)
    ]
