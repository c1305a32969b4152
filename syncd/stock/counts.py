"""Counts: what somebody counted at a time, and by how much it moves the level, whenever it is heard of.

A count is an effect from state (model.md §2): counted − level as of its time. A movement that occurred
before it and is heard of later is booked, and the first count after it takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Counted(StrEnum):
    """What somebody counted."""

    AVAILABLE = "available"
    """What can be sold."""
    ON_HAND = "on_hand"
    """What lies there, the units sold and neither picked nor shipped among it."""


@dataclass(frozen=True, slots=True)
class CountKnown:
    """A count as it is known: what was counted when, what waits then, and what is booked of it.

    `waiting`: units sold and neither picked nor shipped at that time. `level_then`: the sum of all
    movements that occurred until then, those of this count and of others among them.
    """

    at: datetime
    quantity: int
    of: Counted
    waiting: int
    level_then: int
    booked: int


def sellable(quantity: int, of: Counted, waiting: int) -> int:
    """What could be sold of what was counted."""
    return quantity - waiting if of is Counted.ON_HAND else quantity


def recounted(counts: Sequence[CountKnown]) -> list[int]:
    """By how much each of these counts must move the level, all its revisions together.

    `counts` of one item and warehouse, the oldest first, with none missing after the first.
    """
    effects: list[int] = []
    for one in counts:
        own = sum(other.booked for other in counts if other.at <= one.at)
        others = one.level_then - own
        effects.append(sellable(one.quantity, one.of, one.waiting) - others - sum(effects))
    return effects


@dataclass(frozen=True, slots=True)
class Parts:
    """A difference on either side of a count: units, and when the last of those before it moved.

    `undated`: units among `after` that nobody explains; they may have moved before.
    """

    before: int
    before_at: datetime | None
    after: int
    undated: int


def spanned(
    counted_at: datetime | None,
    since: datetime | None,
    until: datetime,
    units: int,
    dated: Sequence[tuple[datetime, int]],
) -> Parts | None:
    """The parts of a difference that came about between two readings; None: no count lies between them.

    `dated`: what its orders say that they moved, and when; the rest counts as after the count.
    """
    if counted_at is None or since is None or not since < counted_at < until:
        return None
    inside = [(at, moved) for at, moved in dated if at <= counted_at]
    before = sum(moved for _, moved in inside)
    undated = units - sum(moved for _, moved in dated)
    last = max((at for at, _ in inside), default=None)
    return Parts(before, last, units - before, undated)
