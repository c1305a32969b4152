"""The decisions about one listing: is a delivery owed, and what does a reading mean.

Three numbers decide: the level's target, what is shown, what was observed (model.md §3.2, §4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

LAG_ASKS = 5
"""A reading older than our own write is asked for again this often, then believed."""


class Rank(IntEnum):
    """Order of deliveries in a lane before age: what is shown too high comes first."""

    ZERO = 0
    FALL = 1
    RISE = 2


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that is owed: its rank and the units shown too high."""

    rank: Rank
    risk: int


def owed(target: int, shown: int | None, *, attempt_open: bool) -> Owed | None:
    """What is owed to a listing that shows `shown`; None when it shows its target for certain."""
    if shown is None:
        return Owed(Rank.ZERO if target == 0 else Rank.FALL, 0)
    if target < shown:
        return Owed(Rank.ZERO if target <= 0 else Rank.FALL, shown - target)
    if target > shown:
        return Owed(Rank.RISE, 0)
    return Owed(Rank.RISE, 0) if attempt_open else None


def is_raise(target: int, shown: int | None) -> bool:
    """True where writing `target` may show more than before; an unknown shelf may rise."""
    return shown is None or target > shown


def announced_now(target: int, shown: int | None, restock_threshold: int) -> bool:
    """False for a rise that can wait for the next sweep: of fewer units than the threshold.

    A shelf that is empty, too high or not known is told at once.
    """
    if shown is None or shown <= 0 or target <= shown:
        return True
    return target - shown >= restock_threshold


class Meaning(StrEnum):
    """What a reading of one listing means."""

    DROPPED = "dropped"
    """It overlapped a write: it says nothing, look again."""
    LAGGING = "lagging"
    """It is older than our own newest confirmed write: ask again."""
    BASELINE = "baseline"
    """The first number known of this shelf: nothing moved."""
    SAME = "same"
    DIFFERS = "differs"
    """Levels: the difference is a movement. Orders: the shelf is not what was predicted."""


@dataclass(frozen=True, slots=True)
class ShelfNow:
    """One shelf as locked: see the table of that name."""

    shown: int | None
    shown_at: datetime | None
    turn: int
    attempt_open: bool
    lag_asks: int = 0


def meaning(
    shelf: ShelfNow, observed: int, observed_at: datetime | None, asked_turn: int
) -> Meaning:
    """Judge a reading that was asked for when the turn counter stood at `asked_turn`."""
    if shelf.attempt_open or shelf.turn > asked_turn:
        return Meaning.DROPPED
    if shelf.shown is None:
        return Meaning.BASELINE
    if observed == shelf.shown:
        return Meaning.SAME
    lags = observed_at is not None and shelf.shown_at is not None and observed_at < shelf.shown_at
    if lags and shelf.lag_asks < LAG_ASKS:
        return Meaning.LAGGING
    return Meaning.DIFFERS


def predicted(
    shelf: ShelfNow,
    taken_more: int,
    span: tuple[datetime, datetime],
    margin_s: float,
    *,
    guarded: bool = False,
) -> tuple[int | None, bool]:
    """What an `orders` shelf shows after an order step of `taken_more` units made in this span.

    Gives the value (None: not known) and whether it is certain: a step whose span, widened by the
    clock margin, holds the newest reading or write may lie on either side of it. `guarded`: writes
    there compare first, so a step told during one came after it or stops it: it counts either way.
    """
    if shelf.shown is None or (shelf.attempt_open and not guarded):
        return shelf.shown, False
    if shelf.shown_at is None:
        return shelf.shown - taken_more, False
    margin = timedelta(seconds=margin_s)
    first, last = span
    if first > shelf.shown_at + margin:
        return shelf.shown - taken_more, True
    if last < shelf.shown_at - margin:
        return shelf.shown, True
    return shelf.shown - taken_more, False


def needs_orders_first(
    *, blind: bool, raises: bool, changed_at: datetime, orders_asked_at: datetime | None
) -> bool:
    """True while a blind raise must wait for an order fetch that began after the newest fact."""
    return blind and raises and (orders_asked_at is None or orders_asked_at <= changed_at)


class SpentKey(StrEnum):
    """What a reading says of a write whose key is not recognised any more."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNCLEAR = "unclear"


def spent_key(
    from_quantity: int,
    to_quantity: int,
    observed: int,
    observed_at: datetime | None,
    created_at: datetime,
    landed_by: datetime,
    margin_s: float,
) -> SpentKey:
    """Settle a write by the platform's value and stamp; an edit can imitate our write.

    `landed_by`: when its last sending could land no more.
    """
    margin = timedelta(seconds=margin_s)
    if observed_at is None:
        return SpentKey.UNCLEAR
    if observed == from_quantity and observed_at < created_at - margin:
        return SpentKey.NOT_APPLIED
    if observed == to_quantity and created_at - margin <= observed_at <= landed_by + margin:
        return SpentKey.APPLIED
    return SpentKey.UNCLEAR
