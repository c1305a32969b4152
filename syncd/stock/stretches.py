"""Stretches: what is kept of one listing's shelf between two of our own writes, as plain values.

A channel with blind writes tells nobody that a person changed a count; it is inferred from what is
kept here (edits.md, rules 1–4). All times are the platform's clock. What a caller does, and when,
stands at the head of `edits.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

KEPT = 60
"""Readings an open stretch keeps beside those of its wait, however long it cannot be split."""


@dataclass(frozen=True, slots=True)
class Margins:
    """What is believed of one platform's clock and speed, in seconds.

    `clock_s` (M): how far a stamp may be off, either way. `late_s` (LATE): how long after its
    time-out a write may still be applied. `settle_s` (SETTLE): how long orders are waited for.
    `reread_s`: how often a write nobody answered is read. `fetched_s`: how fresh a fetch of orders
    must be where a stretch settles. `stamp_s`: an order step moved by no more is as good as unmoved.
    `keep_s`: how far apart the readings are that an open stretch keeps.
    """

    clock_s: float = 2.5
    late_s: float = 30.0
    settle_s: float = 300.0
    reread_s: float = 3.0
    fetched_s: float = 30.0
    stamp_s: float = 0.5
    keep_s: float = 60.0

    @property
    def clock(self) -> timedelta:
        return timedelta(seconds=self.clock_s)


class Start(StrEnum):
    """How a stretch began."""

    READING = "reading"
    """At an exact reading: (t0, v0). Nothing moves across it."""
    WRITE = "write"
    """By a write of `va` that lies anywhere between the reading at t0 and its answer at a."""
    UNKNOWN = "unknown"
    """At the reading (t0, v0) before a write of `va` that nobody answered."""


class End(StrEnum):
    """How a stretch ended."""

    WRITE = "write"
    """At the reading (b, vb) before the next write."""
    SPLIT = "split"
    """At an exact reading: (b, vb). Nothing moves across it."""
    OPEN = "open"


class Doubt(NamedTuple):
    """From `first` to `last` nobody knows how much of an order step has moved: `least` to `most` units.

    A platform dates the newest change of an order alone; what changed twice before it was heard of
    moved its units anywhere in between.
    """

    first: datetime
    last: datetime
    least: int
    most: int


class OrderStep(NamedTuple):
    """An order moved the shelf at `at` by `units` taken; negative when units were put back.

    `doubt`: where it may have done so in several steps, or at another time.
    """

    at: datetime
    units: int
    doubt: Doubt | None = None

    @property
    def first(self) -> datetime:
        """Before then none of it had moved."""
        return self.doubt.first if self.doubt else self.at

    @property
    def last(self) -> datetime:
        """By then all of it had moved."""
        return self.doubt.last if self.doubt else self.at

    def beside(self, moment: datetime, reach: timedelta) -> bool:
        """True where some of it may have moved within `reach` of a moment."""
        return self.first - reach <= moment <= self.last + reach


class Seen(NamedTuple):
    """The shelf showed `value` at `at`."""

    at: datetime
    value: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time between two own writes, or two exact readings, of one listing: one row of a table.

    `(listing, t0)` names it. `watch` holds the readings inside it; the last of them stands for the
    end while it is open. `booked` is what the ledger holds of it, by `revision` steps so far: both
    only ever move together. `candidates` (ascending) and `proposal` are as of the newest step.
    `settled`: it was booked, journalled or put to a person once; since then only an order step or a
    person changes it. `in_suspense`: it waits for a person.
    """

    listing: int
    start_kind: Start
    t0: datetime
    v0: int
    a: datetime | None = None
    va: int | None = None
    late_until: datetime | None = None
    watch: tuple[Seen, ...] = ()
    b: datetime | None = None
    vb: int | None = None
    end_kind: End = End.OPEN
    settled: bool = False
    booked: int = 0
    candidates: tuple[int, ...] = (0,)
    proposal: int = 0
    in_suspense: bool = False
    revision: int = 0
    rejected: bool = False
    """A push overwrote what it amounts to: nothing of it is booked, whatever orders say later."""

    @property
    def end(self) -> Seen | None:
        """The reading that ended it, or the newest one so far; None: not read since it began."""
        if self.b is not None and self.vb is not None:
            return Seen(self.b, self.vb)
        return self.watch[-1] if self.watch else None


def from_reading(listing: int, seen: Seen) -> Stretch:
    """The first stretch of a listing: its baseline."""
    return Stretch(listing, Start.READING, seen.at, seen.value)


def from_answer(listing: int, before: Seen, answered_at: datetime, value: int) -> Stretch:
    """A write of `value` was answered; `before` is the reading that it was made from."""
    a = max(before.at, answered_at)
    return Stretch(listing, Start.WRITE, before.at, before.value, a=a, va=value)


def from_silence(
    listing: int, before: Seen, value: int, timed_out: datetime, margins: Margins
) -> Stretch:
    """Nobody answered a write of `value`: the stretch begins at the reading *before* it.

    Edits between that reading and the next would otherwise fall into no stretch.
    """
    late_until = timed_out + timedelta(seconds=margins.late_s)
    return Stretch(listing, Start.UNKNOWN, before.at, before.value, va=value, late_until=late_until)


def ended(stretch: Stretch, before: Seen) -> Stretch:
    """The stretch as the reading before an own write ends it, answered or not.

    `before` may have been observed already. A write that was certainly not applied ends nothing.
    Raises ValueError while an earlier write may still land: nothing may be written then.
    """
    before = _not_before(stretch, before)
    if stretch.end_kind is not End.OPEN or _within_wait(stretch, before.at):
        raise ValueError(f"listing {stretch.listing}: no write may end the stretch of {stretch.t0}")
    watch = stretch.watch[:-1] if stretch.watch[-1:] == (before,) else stretch.watch
    return replace(stretch, watch=watch, b=before.at, vb=before.value, end_kind=End.WRITE)


def observed(stretch: Stretch, seen: Seen, margins: Margins) -> Stretch:
    """The open stretch with a reading more; `candidates` are as before it.

    While a write may land every reading is kept. After that one a minute is, so that some reading
    grows older than SETTLE on a listing that is read all the time; the newest is always there.
    Raises ValueError where it has ended: the reading belongs to another.
    """
    if stretch.end_kind is not End.OPEN:
        raise ValueError(f"listing {stretch.listing}: the stretch of {stretch.t0} has ended")
    seen = _not_before(stretch, seen)
    wait = [one for one in stretch.watch if _within_wait(stretch, one.at)]
    after = list(stretch.watch[len(wait) :])
    if after and not (stretch.start_kind is Start.UNKNOWN and len(after) == 1):
        earlier = after[-2].at if len(after) > 1 else stretch.t0
        if after[-1].at - earlier < timedelta(seconds=margins.keep_s):
            after.pop()
    after.append(seen)
    if len(after) > KEPT:
        del after[1]
    return replace(stretch, watch=(*wait, *after))


def _not_before(stretch: Stretch, seen: Seen) -> Seen:
    """A platform's clock may step back; the moments of a stretch never do."""
    newest = stretch.end
    floor = newest.at if newest is not None else stretch.t0
    return seen if seen.at >= floor else Seen(floor, seen.value)


def _within_wait(stretch: Stretch, at: datetime) -> bool:
    return stretch.late_until is not None and at <= stretch.late_until


def waits(stretch: Stretch) -> bool:
    """True while an unanswered write may still land: nothing is written to this listing.

    Only a reading after `late_until` ends it; one that equals `va` says nothing.
    """
    if stretch.late_until is None or stretch.end_kind is not End.OPEN:
        return False
    return stretch.end is None or _within_wait(stretch, stretch.end.at)


def must_read(stretch: Stretch, now: datetime, margins: Margins) -> bool:
    """True where a write nobody answered must be read now: at its time-out, then every 3 s."""
    if stretch.late_until is None or not waits(stretch):
        return False
    newest = stretch.end
    if newest is None:
        return now >= stretch.late_until - timedelta(seconds=margins.late_s)
    return now - newest.at >= timedelta(seconds=margins.reread_s)


def splits_at(
    stretch: Stretch, steps: Iterable[OrderStep], now: datetime, margins: Margins
) -> Seen | None:
    """The newest reading at which an open stretch may be split: old enough, and no step near it."""
    if stretch.end_kind is not End.OPEN:
        return None
    known = list(steps)
    settle, clock = timedelta(seconds=margins.settle_s), margins.clock
    for seen in reversed(stretch.watch):
        old = now - seen.at > settle and not _within_wait(stretch, seen.at)
        if old and not any(step.beside(seen.at, clock) for step in known):
            return seen
    return None


def split(stretch: Stretch, seen: Seen) -> tuple[Stretch, Stretch]:
    """Both halves of an open stretch, split at one of its readings; they must be judged anew.

    What was booked stays with the first half, and both count revisions on from the whole's: a name
    and a revision never come twice, however often a stretch is split and merged. Raises ValueError
    where it holds no such reading.
    """
    place = stretch.watch.index(seen)
    left = replace(
        stretch,
        watch=stretch.watch[:place],
        b=seen.at,
        vb=seen.value,
        end_kind=End.SPLIT,
    )
    right = Stretch(
        stretch.listing,
        Start.READING,
        seen.at,
        seen.value,
        watch=stretch.watch[place + 1 :],
        revision=stretch.revision,
    )
    return left, right


def merges(left: Stretch, right: Stretch, step: OrderStep, margins: Margins) -> bool:
    """True where a step that turned up lies so near a split that neither half is exact."""
    if left.end_kind is not End.SPLIT or left.b is None or left.b != right.t0:
        return False
    reach = timedelta(seconds=margins.clock_s + margins.stamp_s)
    return left.listing == right.listing and step.beside(left.b, reach)


def merge(left: Stretch, right: Stretch) -> Stretch:
    """The stretch whose halves these are, `booked` added; it must be judged anew.

    It is settled if both halves are; else a question that a half has asked is asked when the whole
    settles.
    """
    settled = left.settled and right.settled
    return replace(
        left,
        watch=(*left.watch, Seen(right.t0, right.v0), *right.watch),
        b=right.b,
        vb=right.vb,
        end_kind=right.end_kind,
        settled=settled,
        booked=left.booked + right.booked,
        in_suspense=settled and (left.in_suspense or right.in_suspense),
        revision=max(left.revision, right.revision),
        rejected=left.rejected or right.rejected,
    )


def touches(stretch: Stretch, step: OrderStep, margins: Margins) -> bool:
    """True where a history of this stretch can count the step."""
    exact = timedelta(0)
    early = exact if stretch.start_kind is Start.READING else margins.clock
    late = exact if stretch.end_kind is End.SPLIT else margins.clock
    if step.last < stretch.t0 - early:
        return False
    return stretch.b is None or step.first <= stretch.b + late
