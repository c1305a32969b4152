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
