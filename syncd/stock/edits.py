"""Edits on channels with blind writes: what is booked of a stretch, asked, and counted meanwhile.

Nobody tells us that a person changed a count on an `orders` channel. What a shelf's movement leaves
when its order steps are taken off is the edit, computed per stretch from readings, own writes and
orders (edits.md). What no rule can know: an edit between our reading and our write is erased unseen;
an edit that equals our unanswered write looks like it; a step within the clock margin of a moment
beside an edit may count on either side; edits may cancel between two readings; a write may land
after LATE, or twice; an order may never become visible.

What a caller does, in the transaction that stores it, per listing and one thing at a time (every
time, `now` too, by the platform's clock):

- First reading of a listing: `from_reading`. Any other reading: `observed`, then `judged`.
- Before every write (adopt, alert): read; if that surprises (`proposal != booked`), fetch orders and
  judge again; then compute the target from `open_amounts` and compare it with the reading.
- While `waits`: write nothing. Whenever `must_read`: read.
- The write was answered: `ended` with the reading before it, then `from_answer`, then read at once.
  It was not, or the process died meanwhile: `ended`, then `from_silence`. It was certainly not
  applied: `observed`.
- Whenever a stretch is open: `splits_at`, and if that gives a reading, `split` and `judged` both.
- Whenever a stretch has ended and is not settled: fetch orders, then `settle`.
- An order step turned up: `heard` with every stretch of the listing, for neighbours may merge.
- A person answered: `answer`.

Every `Change` is stored; where `book` is not 0, that movement is booked under `cause`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from syncd.stock.histories import verdict
from syncd.stock.model import Edits, LineSeen, OrderSeen
from syncd.stock.stretches import (
    Doubt,
    End,
    Margins,
    OrderStep,
    Stretch,
    merge,
    merges,
    touches,
)


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch as it is now, and the units to book as an `edit` (0: none) under its revision."""

    stretch: Stretch
    book: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What an order step changed: stretches as they are now, and the t0 of those that are no more."""

    changes: tuple[Change, ...]
    absorbed: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class OpenAmounts:
    """What is suspected and not booked: for the listing's own target, and for every other's level.

    `own` is added to its own target after the cap; `others` is never above 0.
    """

    own: int
    others: int


def step_of(
    seen: OrderSeen, line: LineSeen, taken: int, known_at: datetime | None
) -> OrderStep | None:
    """How an order's line moved its shelf since its last known state, in which it held `taken`.

    `known_at`: when that state was the order's; None: it was not known. Whatever the order did
    between the two is dated by its newest change alone, and may have been several changes.
    """
    units = line.taken - taken
    first, last = seen.span or (seen.created or seen.at, seen.at)
    if known_at is not None:
        first = max(first, known_at) if seen.span else known_at
    at = min(max(seen.at, first), last)
    most = max(units, 0) if known_at is not None else max(units, line.sold or 0, 0)
    if last <= first:
        return OrderStep(at, units) if units else None
    if not units and not most:
        return None
    return OrderStep(at, units, Doubt(first, last, min(units, 0), most))


def judged(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Stretch:
    """The stretch with its candidates and proposal by all order steps known; books nothing."""
    seen = verdict(stretch, steps, margins)
    return replace(stretch, candidates=seen.candidates, proposal=seen.proposal)


def settle(
    stretch: Stretch,
    steps: Iterable[OrderStep],
    *,
    now: datetime,
    fetched_at: datetime | None,
    edits: Edits,
    margins: Margins,
) -> Change | None:
    """Book, journal or ask what a stretch amounts to; None while it cannot be said yet.

    `fetched_at`: when the newest complete fetch of the channel's orders began.
    """
    if stretch.settled or not ripe(stretch, now, margins) or fetched_at is None:
        return None
    if now - fetched_at > timedelta(seconds=margins.fetched_s):
        return None
    return _concluded(judged(stretch, steps, margins), edits)


def ripe(stretch: Stretch, now: datetime, margins: Margins) -> bool:
    """True where a stretch has ended and SETTLE has passed since: all it lacks is a fetch."""
    if stretch.end_kind is End.OPEN or stretch.b is None:
        return False
    return now - stretch.b > timedelta(seconds=margins.settle_s)


def heard(
    stretches: Sequence[Stretch],
    steps: Sequence[OrderStep],
    news: OrderStep,
    edits: Edits,
    margins: Margins,
) -> Heard:
    """What `news`, one of `steps` and unknown until now, means for a listing's stretches.

    Every stretch it can touch is judged again, settled or not; a person's answer too. Only what was
    settled books: the others do when they settle.
    """
    changes, absorbed = [], []
    last: Stretch | None = None
    merged = False
    ordered = sorted(stretches, key=lambda one: one.t0)
    for stretch in (*ordered, None):
        if last is not None and stretch is not None and merges(last, stretch, news, margins):
            last, merged = merge(last, stretch), True
            absorbed.append(stretch.t0)
            continue
        if last is not None and (merged or touches(last, news, margins)):
            again = judged(last, steps, margins)
            changes.append(_concluded(again, edits) if again.settled else Change(again, 0))
        last, merged = stretch, False
    return Heard(tuple(changes), tuple(absorbed))


def _concluded(stretch: Stretch, edits: Edits) -> Change:
    """The difference between what a judged stretch should have booked and what it has.

    What was adopted under an earlier setting is still revised as adopted: else the order that
    explains it would count twice. What was asked stays asked until it is nothing.
    """
    settled = replace(stretch, settled=True)
    if stretch.rejected:
        # merged with a half that was booked before the push: nobody can tell the two apart
        return _book(settled, stretch.booked, asks=stretch.booked != 0)
    if edits is Edits.ADOPT or stretch.booked != 0:
        clear = len(stretch.candidates) == 1
        return _book(settled, stretch.candidates[0] if clear else 0, asks=not clear)
    asks = edits is Edits.ALERT or stretch.in_suspense
    return _book(settled, 0, asks=asks and stretch.candidates != (0,))


def answer(stretch: Stretch, amount: int) -> Change:
    """A person says what the edits of a stretch in suspense sum to: a revision like any other.

    Raises ValueError where nothing was asked: the stretch moved on while the person thought.
    """
    if not stretch.in_suspense:
        raise ValueError(f"listing {stretch.listing}: nothing is asked of {stretch.t0}")
    return _book(stretch, amount, asks=False)


def _book(stretch: Stretch, amount: int, *, asks: bool) -> Change:
    book = amount - stretch.booked
    revision = stretch.revision + (1 if book else 0)
    return Change(replace(stretch, booked=amount, in_suspense=asks, revision=revision), book)


def cause(channel: str, stretch: Stretch) -> str:
    """The text that lets a revision of a stretch be booked at most once."""
    began = stretch.t0.astimezone(UTC).isoformat()
    return f"{channel}:stretch:{stretch.listing}:{began}:r{stretch.revision}"


def open_amounts(stretches: Iterable[Stretch], edits: Edits) -> OpenAmounts:
    """What is neither settled nor answered of one listing's stretches.

    A suspected rise raises nobody else, not even against a suspected fall of another stretch.
    """
    if edits is Edits.OVERWRITE:
        return OpenAmounts(0, 0)
    waiting = [one for one in stretches if one.in_suspense or not (one.settled or one.rejected)]
    return OpenAmounts(
        own=sum(one.proposal - one.booked for one in waiting),
        others=sum(min(0, one.candidates[0] - one.booked) for one in waiting),
    )


def own_target(target: int, amounts: OpenAmounts) -> int:
    """What a listing with open amounts should show: after its policy, and never below 0."""
    return max(0, target + amounts.own)
