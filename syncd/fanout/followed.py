"""One followed shelf in a transaction: its stretches as they were, and what they become.

Nothing is read or stored here; `edits.py` does that. What each step means stands in `stock/edits.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from syncd.db.shelf import Shelf
from syncd.db.stretches import Kept
from syncd.stock import edits, stretches
from syncd.stock.edits import Change, OpenAmounts
from syncd.stock.rulebook import ChannelRules
from syncd.stock.stretches import End, OrderStep, Seen, Stretch

MANY = 12
"""An open stretch with so many readings is split where it can be, though nothing is open in it."""

INSTANT = timedelta(microseconds=1)
AGAIN = timedelta(seconds=60)
"""What is due and can neither be split nor settled yet is tried again after it."""

SOON = timedelta(milliseconds=100)
"""Settled so long after SETTLE has passed, so that it has."""


@dataclass(slots=True)
class Followed:
    """The stretches of one locked shelf, by their start; `steps` are its orders'."""

    row: Shelf
    rules: ChannelRules
    now: datetime
    kept: dict[datetime, Kept]
    steps: list[OrderStep]
    before: dict[datetime, Kept] = field(init=False)
    gone: set[datetime] = field(default_factory=set)
    booked: list[tuple[Stretch, int]] = field(default_factory=list)
    """Revisions: the stretch after each, and the units to book."""
    answered: dict[datetime, str] = field(default_factory=dict)
    """What a person said of a stretch, and who."""

    def __post_init__(self) -> None:
        self.before = dict(self.kept)

    # --- what is there ---

    @property
    def open(self) -> Kept | None:
        """The newest stretch, if it has not ended."""
        return next((k for k in self.kept.values() if k.stretch.end_kind is End.OPEN), None)

    @property
    def newest(self) -> Seen | None:
        """The newest reading of the open stretch: what a write is made from."""
        found = self.open
        if found is None:
            return None
        return found.stretch.end or Seen(found.stretch.t0, found.stretch.v0)

    @property
    def waits(self) -> bool:
        """True while an unanswered write may still land."""
        return self.open is not None and stretches.waits(self.open.stretch)

    @property
    def surprises(self) -> bool:
        """True where the open stretch leaves something unexplained that is not booked."""
        found = self.open
        return found is not None and found.stretch.proposal != found.stretch.booked

    def amounts(self) -> OpenAmounts:
        """What is suspected here and not booked."""
        return edits.open_amounts((k.stretch for k in self.kept.values()), self.rules.edits)

    @property
    def changed(self) -> list[Kept]:
        """What must be stored."""
        return [k for t0, k in self.kept.items() if self.before.get(t0) != k]

    # --- what happens ---

    def begin(self, seen: Seen, read_at: datetime) -> None:
        """From this reading on, whatever was kept that is not settled."""
        for t0, kept in list(self.kept.items()):
            if not kept.stretch.settled:
                self._drop(t0)
        self.gone.discard(seen.at)
        stretch = stretches.from_reading(self.row.listing_id, seen)
        self._begin(stretch, read_at, seen.at - read_at)

    def begin_at_count(self, counted_at: datetime) -> None:
        """A count at `counted_at`, by our clock, holds whatever was seen before it and is not booked.

        Where the newest reading is younger, or a write may still land, nothing tells what lies before
        it: that stays, dated by the readings.
        """
        found, newest = self.open, self.newest
        if found is None or newest is None or self.waits:
            return
        if found.over_here(newest.at) <= counted_at:
            self.begin(newest, found.read_at)

    def read(self, seen: Seen, read_at: datetime) -> None:
        """A reading, asked for at `read_at` by our clock, that overlapped no write."""
        ahead, found = seen.at - read_at, self.open
        if found is None:
            self._begin(stretches.from_reading(self.row.listing_id, seen), read_at, ahead)
            return
        whole = stretches.observed(found.stretch, seen, self.rules.margins)
        self._put(replace(found, stretch=self._judged(whole), read_at=read_at, ahead=ahead))
        if not clear(whole := self._open().stretch) or len(whole.watch) >= MANY:
            self.split()

    def split(self) -> bool:
        """Split the open stretch where it may be; gives whether it was."""
        whole = self._open()
        where = stretches.splits_at(
            whole.stretch, self.steps, whole.over_there(self.now), self.rules.margins
        )
        if where is None:
            return False
        for half in stretches.split(whole.stretch, where):
            self._put(replace(whole, stretch=self._judged(half)))
        return True

    def answered_write(self, answered_at: datetime, value: int) -> None:
        """Our write was answered at `answered_at`, by the platform's clock."""
        before = self._end()
        stretch = stretches.from_answer(self.row.listing_id, before, answered_at, value)
        self._begin_after(stretch)

    def silent_write(self, value: int, *, late: bool) -> None:
        """Nobody knows whether our write was applied; `late`: it may still be."""
        before, over_there = self._end(), self._newest_row().over_there(self.now)
        margins = self.rules.margins
        stretch = stretches.from_silence(
            self.row.listing_id,
            before,
            value,
            max(over_there, before.at),
            margins if late else replace(margins, late_s=0.0),
        )
        self._begin_after(stretch)

    def abandon(self) -> None:
        """Nobody follows this shelf any more: its open stretch ends where it was read last."""
        found = self.open
        if found is None:
            return
        seen = found.stretch.end
        if seen is None:
            self._drop(found.stretch.t0)
            return
        watch = found.stretch.watch[:-1]
        stretch = replace(found.stretch, watch=watch, b=seen.at, vb=seen.value, end_kind=End.WRITE)
        self._put(replace(found, stretch=self._judged(stretch)))

    def hear(self, step: OrderStep) -> None:
        """An order moved this shelf, which was not known until now; it is one of `steps`."""
        rows = [kept.stretch for kept in self.kept.values()]
        news = edits.heard(rows, self.steps, step, self.rules.edits, self.rules.margins)
        merged = {t0: self.kept[t0] for t0 in news.absorbed}
        for t0 in news.absorbed:
            self._drop(t0)
        for change in news.changes:
            base = self.kept[change.stretch.t0]
            if change.stretch.end_kind is End.OPEN and merged:
                # the newest half knows when it was read last
                newest = max(merged.values(), key=lambda one: one.read_at)
                base = replace(base, read_at=newest.read_at, ahead=newest.ahead)
            self._apply(base, change)

    def come(self, fetched_at: datetime | None) -> bool:
        """Split and settle what is due; False where an open stretch needs another reading first."""
        found, readable = self.open, True
        if found is not None and found.due_at is not None and found.due_at <= self.now:
            readable = self.split()
        if fetched_at is not None:
            self.settle(fetched_at)
        for t0, kept in self.kept.items():
            if kept.due_at is not None and kept.due_at <= self.now:
                self.kept[t0] = replace(kept, due_at=self.now + AGAIN)
        return readable

    def settle(self, fetched_at: datetime) -> None:
        """Settle what is ripe; orders were fetched at `fetched_at`, by our clock."""
        for kept in list(self.kept.values()):
            change = edits.settle(
                kept.stretch,
                self.steps,
                now=kept.over_there(self.now),
                fetched_at=kept.over_there(fetched_at),
                edits=self.rules.edits,
                margins=self.rules.margins,
            )
            if change is not None:
                self._apply(kept, change)

    def answer(self, t0: datetime, amount: int | None, who: str) -> None:
        """A person says what the edits of a stretch sum to; None: a count holds them.

        Raises ValueError where nobody asks.
        """
        kept = self.kept.get(t0)
        if kept is None:
            raise ValueError(f"listing {self.row.listing_id}: no stretch began at {t0}")
        said = kept.stretch.booked if amount is None else amount
        self.answered[t0] = f"held by {who}" if amount is None else f"{amount:+} by {who}"
        self._apply(kept, edits.answer(kept.stretch, said))

    def reject(self) -> list[Stretch]:
        """A push overwrites what is open here: gives the stretches that leave something unbooked."""
        found = []
        for kept in list(self.kept.values()):
            stretch = kept.stretch
            if stretch.rejected or (stretch.settled and not stretch.in_suspense):
                continue
            if stretch.in_suspense:
                self.answered[stretch.t0] = "rejected by a push"
            rejected = replace(stretch, rejected=True, in_suspense=False)
            self._put(replace(kept, stretch=rejected))
            if stretch.proposal != stretch.booked:
                found.append(rejected)
        return found

    def discard(self) -> None:
        """Nothing that is not settled counts: the next reading begins anew."""
        for t0, kept in list(self.kept.items()):
            if kept.stretch.in_suspense or not kept.stretch.settled:
                self._drop(t0)

    # --- how it is kept ---

    def _open(self) -> Kept:
        found = self.open
        assert found is not None
        return found

    def _newest_row(self) -> Kept:
        return self.kept[max(self.kept)]

    def _judged(self, stretch: Stretch) -> Stretch:
        return edits.judged(stretch, self.steps, self.rules.margins)

    def _end(self) -> Seen:
        """End the open stretch at its newest reading, which our write was made from.

        Two stretches never begin in one instant: their names would be one.
        """
        found, seen = self._open(), self.newest
        assert seen is not None
        before = Seen(max(seen.at, found.stretch.t0 + INSTANT), seen.value)
        stretch = stretches.ended(found.stretch, before)
        self._put(replace(found, stretch=self._judged(stretch)))
        return before

    def _begin_after(self, stretch: Stretch) -> None:
        earlier = self._newest_row()
        self._begin(stretch, earlier.read_at, earlier.ahead)

    def _begin(self, stretch: Stretch, read_at: datetime, ahead: timedelta) -> None:
        self._put(Kept(self._judged(stretch), self.row.channel_id, read_at, ahead))

    def _apply(self, base: Kept, change: Change) -> None:
        if change.book:
            self.booked.append((change.stretch, change.book))
        self._put(replace(base, stretch=change.stretch))

    def _put(self, kept: Kept) -> None:
        self.kept[kept.stretch.t0] = replace(kept, due_at=self._due_at(kept))

    def _drop(self, t0: datetime) -> None:
        del self.kept[t0]
        self.gone.add(t0)

    def _due_at(self, kept: Kept) -> datetime | None:
        """When it can be settled, or split so that a part of it can; None: it waits for nothing."""
        stretch = kept.stretch
        settle = timedelta(seconds=self.rules.margins.settle_s) + SOON
        if stretch.end_kind is not End.OPEN and stretch.b is not None:
            return None if stretch.settled else kept.over_here(stretch.b) + settle
        if clear(stretch) or not stretch.watch or stretches.waits(stretch):
            return None
        return kept.over_here(stretch.watch[-1].at) + settle


def clear(stretch: Stretch) -> bool:
    """True where nothing is open in a stretch as it is judged now."""
    return stretch.candidates == (stretch.booked,)
