"""A lane in virtual time: it does what the functions of `syncd.stock` say, and decides nothing.

It remembers what they return, as the database would.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncd.stock import decide, edits, stretches
from syncd.stock.decide import ShelfNow
from syncd.stock.edits import Change, OpenAmounts
from syncd.stock.model import Edits
from syncd.stock.stretches import End, OrderStep, Seen, Stretch
from tests.rules.edit_world import MARGINS, STOCK, Traffic, Walk, World, at

LISTING = 7


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `asked`: questions open at the end; `ever`: stretches that were ever asked.

    `invented`: stretches with an edit booked in which nobody typed.
    """

    right: bool
    asked: int
    ever: int
    settled_shelf: bool
    raised_others: bool
    invented: int
    edits: int
    silences: int

    @property
    def fine(self) -> bool:
        return self.right and self.settled_shelf and not (self.raised_others or self.invented)

    @property
    def silently_wrong(self) -> bool:
        return not self.right and not self.asked


class Lane:
    """What a lane does, as told; `rows` are the stretches of the listing."""

    def __init__(self, world: World, mode: Edits) -> None:
        self.world = world
        self.mode = mode
        self.level = STOCK
        self.steps: list[OrderStep] = []
        self.rows = [stretches.from_reading(LISTING, Seen(at(0), STOCK))]
        self.shown = ShelfNow(STOCK, at(0), 0, attempt_open=False)
        self.changed_at = at(0)
        self.fetched_at = at(0)
        self.asked: set[datetime] = set()
        self.raised_others = False
        self._swept_s = 0.0
        world.hear = self.hear
        world.sold_elsewhere = self.sold_elsewhere

    # --- what is heard ---

    def sold_elsewhere(self, units: int) -> None:
        self.level -= units
        self.changed_at = at(self.world.now)

    def hear(self, step: OrderStep) -> None:
        if step in self.steps:
            return
        self.steps.append(step)
        self.sold_elsewhere(step.units)
        self._show(decide.predicted(self.shown, step.units, (step.at, step.at), MARGINS.clock_s)[0])
        news = edits.heard(self.rows, self.steps, step, self.mode, MARGINS)
        self.rows = [row for row in self.rows if row.t0 not in news.absorbed]
        for change in news.changes:
            self._store(change)

    def _show(self, value: int | None, when: datetime | None = None) -> None:
        self.shown = ShelfNow(value, when or self.shown.shown_at, 0, attempt_open=False)

    def _store(self, change: Change) -> None:
        place = next(i for i, row in enumerate(self.rows) if row.t0 == change.stretch.t0)
        self.rows[place] = change.stretch
        self.level += change.book
        if change.stretch.in_suspense:
            self.asked.add(change.stretch.t0)

    def _judged(self, stretch: Stretch) -> Stretch:
        return edits.judged(stretch, self.steps, MARGINS)

    # --- what it does ---

    def walk(self) -> Walk:
        while True:
            yield from self._step()
            yield 1.0 if stretches.waits(self.rows[-1]) else 5.0

    def _step(self) -> Walk:
        now = at(self.world.now)
        if stretches.waits(self.rows[-1]):
            if stretches.must_read(self.rows[-1], now, MARGINS):
                yield from self._look()
            return
        if self.world.now - self._swept_s >= self.world.traffic.sweep_s:
            self._swept_s = self.world.now
            yield from self._look()
        self._split()
        yield from self._settle()
        if self._target() != self.shown.shown:
            yield from self._deliver()

    def _look(self) -> Walk:
        seen = yield from self.world.read()
        self.rows[-1] = self._judged(stretches.observed(self.rows[-1], seen, MARGINS))
        self._show(seen.value, seen.at)
        return seen

    def _split(self) -> None:
        where = stretches.splits_at(self.rows[-1], self.steps, at(self.world.now), MARGINS)
        if where is not None:
            self.rows[-1:] = [self._judged(half) for half in stretches.split(self.rows[-1], where)]

    def _settle(self) -> Walk:
        now = at(self.world.now)
        if not any(not row.settled and edits.ripe(row, now, MARGINS) for row in self.rows):
            return
        yield from self._fetch()
        for row in list(self.rows):
            change = edits.settle(
                row, self.steps, now=at(self.world.now), fetched_at=self.fetched_at,
                edits=self.mode, margins=MARGINS,
            )  # fmt: skip
            if change is not None:
                self._store(change)

    def _fetch(self) -> Walk:
        self.fetched_at = yield from self.world.fetch()

    def amounts(self) -> OpenAmounts:
        amounts = edits.open_amounts(self.rows, self.mode)
        self.raised_others = self.raised_others or amounts.others > 0
        return amounts

    def _target(self) -> int:
        return edits.own_target(self.level, self.amounts())

    def _deliver(self) -> Walk:
        before = yield from self._look()
        if self.rows[-1].proposal != self.rows[-1].booked:
            yield from self._fetch()
        if decide.needs_orders_first(
            blind=True,
            raises=decide.is_raise(self._target(), before.value),
            changed_at=self.changed_at,
            orders_asked_at=self.fetched_at,
        ):
            yield from self._fetch()
        target = self._target()
        if target == before.value:
            return
        answered = yield from self.world.write(target)
        self.rows[-1] = self._judged(stretches.ended(self.rows[-1], before))
        if answered is None:
            timed_out = at(self.world.now)
            begun = stretches.from_silence(LISTING, before, target, timed_out, MARGINS)
        else:
            begun = stretches.from_answer(LISTING, before, answered, target)
        self.rows.append(self._judged(begun))
        yield from self._look()

    # --- how it ended ---

    def outcome(self) -> Outcome:
        gaps = {0}
        adopted = self.world.seen_edits if self.mode is Edits.ADOPT else 0
        truth = self.world.sold_level + adopted
        asked = [row for row in self.rows if row.in_suspense]
        for row in asked:
            gaps = {gap + amount for gap in gaps for amount in row.candidates}
        return Outcome(
            right=truth - self.level in gaps and self._named(),
            asked=len(asked),
            ever=len(self.asked),
            settled_shelf=self.world.shelf == self._target(),
            raised_others=self.raised_others,
            invented=sum(1 for row in self.rows if row.booked and not self._typed_in(row)),
            edits=len(self.world.typed_at),
            silences=self.world.silences,
        )

    def _typed_in(self, row: Stretch) -> bool:
        first, last = row.t0 - MARGINS.clock, row.b or at(self.world.now)
        return any(first <= typed <= last + MARGINS.clock for typed in self.world.typed_at)

    def _named(self) -> bool:
        """Each stretch has a name of its own, and only the newest is open."""
        names = {row.t0 for row in self.rows}
        closed = [row for row in self.rows if row.end_kind is not End.OPEN]
        return len(names) == len(self.rows) and len(closed) == len(self.rows) - 1


class NaiveLane(Lane):
    """The obvious way: what a reading shows beside the orders known by then is an edit, at once."""

    def hear(self, step: OrderStep) -> None:
        if step not in self.steps:
            self.steps.append(step)
            self.sold_elsewhere(step.units)
            self._show(decide.predicted(self.shown, step.units, (step.at, step.at), 0.0)[0])

    def _step(self) -> Walk:
        if self.world.now - self._swept_s >= self.world.traffic.sweep_s:
            self._swept_s = self.world.now
            yield from self._look()
        if self.level != self.shown.shown:
            yield from self._deliver()

    def _look(self) -> Walk:
        seen = yield from self.world.read()
        if seen.value != self.shown.shown:
            yield from self._fetch()
        self.level += seen.value - (self.shown.shown or 0)
        self._show(seen.value, seen.at)
        return seen

    def _deliver(self) -> Walk:
        before = yield from self._look()
        if self.level == before.value:
            return
        value = self.level
        answered = yield from self.world.write(value)
        if answered is None:
            seen = yield from self.world.read()
            self._show(seen.value, seen.at)
        else:
            self._show(value, answered)


def ran(seed: int, traffic: Traffic, mode: Edits = Edits.ADOPT, lane: type[Lane] = Lane) -> Outcome:
    """One run from its seed to its end."""
    world = World(seed, traffic)
    walker = lane(world, mode)
    world.start(world.shoppers())
    world.start(world.person())
    world.start(walker.walk())
    world.run()
    return walker.outcome()
