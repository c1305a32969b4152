"""Plans: what a row of one books, what it does to counts and listings, and when that is too much.

A plan shows these numbers before anything is made, and they are computed again when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Effect(StrEnum):
    """What a change does to what a listing shows."""

    ZEROED = "zeroed"
    RAISED = "raised"
    LOWERED = "lowered"
    SAME = "same"


def effect(before: int, after: int) -> Effect:
    """What it means that a listing shows `after` where it would show `before`."""
    if after == before:
        return Effect.SAME
    if after > before:
        return Effect.RAISED
    return Effect.ZEROED if after <= 0 else Effect.LOWERED


def booked_by(
    quantity: int | None,
    seen: int | None,
    units: int | None,
    level: int | None,
    later: int = 0,
    waiting: int = 0,
) -> int:
    """Units to book for a row of a plan where the level is this now (None: not counted yet).

    `units` are booked as they are. A quantity over what was `seen` is a central edit: what moved
    since stays applied. A quantity alone is a count: against the level without what was booked
    `later` than it was counted (model.md §2). `waiting`: units of it that are sold and still lie there.
    """
    if units is not None:
        return units
    assert quantity is not None
    if level is None:
        return quantity
    if seen is not None:
        return quantity - seen
    return quantity - waiting - (level - later)


def kept(keeps: int | None, shown: int | None, fell: int, rose: int = 0) -> int | None:
    """What a held listing shows meanwhile: what it showed, less the units that facts took.

    `rose`: units by which its own count was found higher there. None: not known yet.
    """
    if keeps is None:
        return shown
    return max(keeps - fell, min(keeps, 0)) + rose


@dataclass(slots=True)
class Tally:
    """What a plan does to counts, in all."""

    rows: int = 0
    same: int = 0
    new: int = 0
    raised: int = 0
    lowered: int = 0
    zeroed: int = 0
    units_up: int = 0
    units_down: int = 0

    def add(self, level: int | None, delta: int) -> None:
        """One more row: it books `delta` on this level (None: not counted yet)."""
        self.rows += 1
        if level is None:
            self.new += 1
            self.units_up += max(delta, 0)
            return
        what = effect(level, level + delta)
        self.same += what is Effect.SAME
        self.raised += what is Effect.RAISED
        self.lowered += what is Effect.LOWERED
        self.zeroed += what is Effect.ZEROED
        self.units_up += max(delta, 0)
        self.units_down += max(-delta, 0)

    @property
    def changed(self) -> int:
        """Rows that book anything."""
        return self.rows - self.same


@dataclass(slots=True)
class Reach:
    """What a change does to the listings of one channel, of which there are `listings`."""

    listings: int = 0
    zeroed: int = 0
    raised: int = 0
    lowered: int = 0
    units_up: int = 0
    units_down: int = 0

    def add(self, before: int, after: int) -> None:
        """One more listing: it would show `before`, and shows `after`."""
        what = effect(before, after)
        self.zeroed += what is Effect.ZEROED
        self.raised += what is Effect.RAISED
        self.lowered += what is Effect.LOWERED
        self.units_up += max(after - before, 0)
        self.units_down += max(before - after, 0)

    @property
    def changed(self) -> int:
        """Listings that would show something else."""
        return self.zeroed + self.raised + self.lowered


@dataclass(frozen=True, slots=True)
class Radius:
    """How many of a channel's listings one change may zero, end or raise unasked."""

    share: float = 0.2
    count: int | None = None
    """A number of listings instead of a share."""
    least: int = field(default=10)
    """So many never are too many, however few listings there are."""

    def exceeded(self, reach: Reach) -> bool:
        """True where a person has to say yes."""
        touched = reach.zeroed + reach.raised
        if self.count is not None:
            return touched > self.count
        return touched > max(self.least, self.share * reach.listings)
