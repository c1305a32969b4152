"""Claiming: how a delivery that is owed is written, and which of all go now, in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.stock.decide import Rank, owed

STALE_TIMES = 2
"""A row whose comparison failed this often goes as a keyed delta, which cannot be stale."""

STARVING = timedelta(seconds=30)
"""A delivery owed for longer goes before more urgent ones."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one delivery is written: how urgent it is, and as a keyed delta or not."""

    rank: Rank
    risk: int
    delta: bool


def way(
    target: int,
    shown: int | None,
    *,
    compared: bool,
    forced: bool,
    stale_times: int,
    looking: bool,
) -> Way | None:
    """How a listing that shows `shown` is made to show `target`; None: it does already.

    `compared`: the platform compares before it writes. What keeps failing there, or is to be read
    and cannot wait, goes as a delta. `forced`: it is written whatever it is believed to show, but
    never where a comparison would tell.
    """
    must = owed(target, shown, attempt_open=False)
    if must is None:
        return Way(Rank.FALL, 0, delta=False) if forced and not compared else None
    hot = stale_times >= STALE_TIMES or looking
    return Way(must.rank, must.risk, delta=compared and hot)


@dataclass(frozen=True, slots=True)
class Ready:
    """A delivery that can go now. Only equals in `delta`, `group` and `batch_cap` share a write."""

    way: Way
    owed_at: datetime
    group: str
    batch_cap: int


def batch(ready: Sequence[Ready], now: datetime, batch_max: int) -> list[int]:
    """The places of those that go in one write: the most urgent first, and what starves before them."""
    if not ready:
        return []

    def urgency(place: int) -> tuple[bool, int, int, datetime]:
        one = ready[place]
        starving = now - one.owed_at > STARVING
        return (not starving, one.way.rank, -one.way.risk, one.owed_at)

    ordered = sorted(range(len(ready)), key=urgency)
    first = ready[ordered[0]]
    limit = min(batch_max, first.batch_cap)
    return [place for place in ordered if _shares(ready[place], first)][:limit]


def _shares(one: Ready, first: Ready) -> bool:
    return (
        one.way.delta is first.way.delta
        and one.group == first.group
        and one.batch_cap == first.batch_cap
    )
