"""One listing of a blind channel in virtual time: shoppers, a person who types counts, a platform.

The world decides what happens: sales, edits, answers lost, writes late, orders slow. What the shelf
really went through, it alone knows.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from syncd.stock.stretches import Margins, OrderStep, Seen

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MARGINS = Margins()
STOCK = 400
TIMEOUT_S = 10.0
SILENT = 0.10
"""The share of writes nobody answers: a third of them never lands, a third lands late."""

SLOW_ORDERS = 0.06
"""The share of orders that nobody can fetch for one to eight minutes; of all, a fifth has no webhook."""

CALL_S = (0.05, 1.0)
SLOW_ANSWERS = 0.05
"""How long half a call takes, and the share of writes whose answer takes six times as long."""

QUIET_S = 1500.0
"""How long a run goes on without sales and edits."""

Walk = Generator[float, None, Any]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Traffic:
    """What happens in a run: seconds between sales, between edits and between unasked readings.

    `elsewhere` is the share of the sales that two other channels make.

    Edits change the count by 7 to 20 units and sales by 1 to 3, so that no sale beside a moment
    looks like an edit, which no rule can know.
    """

    run_s: float
    sale_s: tuple[float, float]
    edit_s: float
    sweep_s: float = 300.0
    elsewhere: float = 2 / 3


HEAVY = Traffic(run_s=1_200, sale_s=(10, 50), edit_s=240)
SLOW = Traffic(run_s=10_800, sale_s=(240, 480), edit_s=5_400)
ALONE = Traffic(run_s=2_400, sale_s=(10, 50), edit_s=240, sweep_s=20, elsewhere=0)
"""Nothing is sold elsewhere: few writes, long stretches, many splits."""


class World:
    """The platform, the shoppers, the person, and the clock."""

    def __init__(self, seed: int, traffic: Traffic) -> None:
        self.rng = random.Random(seed)
        self.traffic = traffic
        self.now = 0.0
        self._agenda: list[tuple[float, int, Walk]] = []
        self._number = 0
        self.shelf = STOCK
        self.sold_level = STOCK
        self.seen_edits = 0
        self._unseen = 0
        self._under_way: int | None = None
        self.typed_at: list[datetime] = []
        self.silences = 0
        self.visible: list[tuple[float, OrderStep]] = []
        self.hear: Callable[[OrderStep], None] = lambda step: None
        self.sold_elsewhere: Callable[[int], None] = lambda units: None

    # --- the clock ---

    def start(self, walk: Walk, delay_s: float = 0.0) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (self.now + delay_s, self._number, walk))

    def run(self) -> None:
        end = self.traffic.run_s + QUIET_S
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, walk = heapq.heappop(self._agenda)
            delay_s = next(walk, None)
            if delay_s is not None:
                self.start(walk, delay_s)

    def stamp(self, error_s: float) -> datetime:
        return at(self.now + self.rng.uniform(-error_s, error_s))

    # --- what people do ---

    def shoppers(self) -> Walk:
        while True:
            yield self.rng.uniform(*self.traffic.sale_s)
            if self.now > self.traffic.run_s:
                return
            units = self.rng.choice((1, 1, 1, 2, 3))
            if self.rng.random() < self.traffic.elsewhere:
                self.sold_level -= units
                self.start(self._told_elsewhere(units), self.rng.uniform(0.5, 15))
                continue
            self._moved(units)
            if self.rng.random() < 0.08:
                self.start(self._cancelled(units), self.rng.uniform(20, 200))

    def _told_elsewhere(self, units: int) -> Walk:
        self.sold_elsewhere(units)
        return
        yield

    def _cancelled(self, units: int) -> Walk:
        self._moved(-units)
        return
        yield

    def _moved(self, units: int) -> None:
        """An order moves the shelf; it is told by a slow webhook, a fetch, or both."""
        self.shelf -= units
        self.sold_level -= units
        step = OrderStep(self.stamp(1.0), units)
        late_s = self.rng.uniform(60, 500) if self.rng.random() < SLOW_ORDERS else 0.0
        appears_s = late_s + self.rng.uniform(0, 3)
        self.visible.append((self.now + appears_s, step))
        if self.rng.random() < 0.8:
            self.start(self._webhook(step), appears_s + self.rng.expovariate(1 / 8))

    def _webhook(self, step: OrderStep) -> Walk:
        self.hear(step)
        return
        yield

    def person(self) -> Walk:
        while True:
            yield self.traffic.edit_s * self.rng.uniform(0.5, 1.5)
            if self.now > self.traffic.run_s:
                return
            by = self.rng.choice((-1, 1)) * self.rng.randint(7, 20)
            if self.shelf + by == self._under_way:
                by += 1  # a number that equals our unanswered write looks like it: no rule can know
            self.shelf += by
            self._unseen += by
            self.typed_at.append(at(self.now))

    # --- what the platform answers ---

    def read(self) -> Walk:
        yield self.rng.uniform(*CALL_S)
        seen = Seen(self.stamp(0.3), self.shelf)
        self.seen_edits += self._unseen
        self._unseen = 0
        yield self.rng.uniform(*CALL_S)
        return seen

    def write(self, value: int) -> Walk:
        """When the write was answered, or None."""
        self._under_way = value
        if self.rng.random() > SILENT:
            yield self.rng.uniform(*CALL_S)
            self._land(value)
            slow = 6 if self.rng.random() < SLOW_ANSWERS else 1
            yield self.rng.uniform(*CALL_S) * slow
            return self.stamp(0.3)
        self.silences += 1
        fate = self.rng.randrange(3)
        if fate == 1:
            self.start(self._landing(value), self.rng.uniform(0.05, 2))
        if fate == 2:
            late_s = self.rng.uniform(0, MARGINS.late_s - 0.5)
            self.start(self._landing(value), TIMEOUT_S + late_s)
        yield TIMEOUT_S
        return None

    def _landing(self, value: int) -> Walk:
        self._land(value)
        return
        yield

    def _land(self, value: int) -> None:
        """A write erases what nobody has seen."""
        self.shelf = value
        self._unseen = 0

    def fetch(self) -> Walk:
        began = self.now
        yield 0.3
        found = [step for seen_at, step in self.visible if seen_at <= began]
        self.visible = [pair for pair in self.visible if pair[0] > began]
        for step in found:
            self.hear(step)
        return at(began)
