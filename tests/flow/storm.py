"""A storm: seeded random trade under faults over stores of mixed character, judged by their own books.

Walkers overlap: while one call is under way somewhere, trade and other walkers go on. The same seed
is the same storm every time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from syncd.connectors.memory import MemoryStore
from syncd.db.pool import Database
from syncd.errors import ChannelClosed, Refused, RetryLater
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

STEPS = 120
SKUS = ("MUG", "TEE", "CAP")
FIRST = 30

CHARACTERS = {
    "levels": LEVELS,
    "levels_atomic": {**LEVELS, "batch_atomic": True},
    "orders": ORDERS,
    "orders_grouped": {**ORDERS, "group_size": 2},
    "one_by_one": ONE_BY_ONE,
}

MANY = {"workers": 1000}
"""A call made while another is under way never waits for its place: that would be for ever here."""


class Storm:
    """One seed's town, weather and shoppers."""

    def __init__(self, town: Town, rng: Random) -> None:
        self.town = town
        self.rng = rng
        self.calm = False
        self.overlapping = False
        self.open_orders: list[tuple[MemoryStore, str, str, int]] = []

    def let_calls_overlap(self) -> None:
        """From now on something may happen before and after a store does what a call asks."""
        for store in self.town.stores.values():
            store.serve = self._serving(store.serve)  # type: ignore[method-assign]
        for channel in self.town.core.channels.values():
            # fewer calls at once after failures: a call made during another would wait for ever
            channel.http.budget.failed = lambda: None  # type: ignore[method-assign]

    def _serving(self, serve: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def overlapped(token: str, work: Callable[[], Any], *, writes: bool) -> Any:
            await self._meanwhile()
            answer = await serve(token, work, writes=writes)
            await self._meanwhile()
            return answer

        return overlapped

    async def _meanwhile(self) -> None:
        if self.calm or self.overlapping or self.rng.random() < 0.7:
            return
        self.overlapping = True
        try:
            if self.rng.random() < 0.5:
                await self._sell(self.rng.choice(list(self.town.stores.values())))
            await self._work()
        finally:
            self.overlapping = False

    async def step(self) -> None:
        """Something happens somewhere, and somebody works."""
        rng, town = self.rng, self.town
        town.clock.forward(rng.choice((0.01, 0.5, 3.0, 20.0)))
        name = rng.choice(list(town.stores))
        store = town.stores[name]
        act = rng.random()
        if act < 0.45:
            await self._sell(store)
        elif act < 0.53 and self.open_orders:
            await self._give_back()
        elif act < 0.60:
            sku = rng.choice(SKUS)
            await store.edit(sku, max(0, store.shelf(sku) + rng.randint(-3, 6)))
        elif act < 0.70:
            self._weather(store)
        elif act < 0.74:
            store.land()
        elif act < 0.78:
            await town.start_lane(name)
        elif act < 0.82:
            town.lose_webhooks()
        await self._work()

    async def _sell(self, store: MemoryStore) -> None:
        sku, units = self.rng.choice(SKUS), self.rng.randint(1, 2)
        with suppress(ValueError):
            order = await store.sell({sku: units})
            self.open_orders.append((store, order, sku, units))

    async def _give_back(self) -> None:
        store, order, sku, units = self.open_orders.pop(self.rng.randrange(len(self.open_orders)))
        if self.rng.random() < 0.5:
            await store.cancel(order)
        else:
            await store.refund(order, sku, units, restock=self.rng.random() < 0.7)

    def _weather(self, store: MemoryStore) -> None:
        faults, rng = store.faults, self.rng
        faults.down = rng.random() < 0.15
        faults.status = rng.choice((None, None, None, 500, 429))
        # a real pause of the budget after every 429 would be all that a storm waits for
        faults.retry_after_s = 0.0
        faults.lose_answer = rng.choice((0.0, 0.3))
        faults.late = rng.choice((0.0, 0.2))
        faults.late_s = 3600.0
        faults.stale = rng.choice((0.0, 0.3))
        faults.unnamed = rng.choice((0.0, 0.2))

    async def _work(self) -> None:
        """Some of the walkers take some steps; what a platform refuses them is no news here."""
        rng, town = self.rng, self.town
        if rng.random() < 0.7:
            await town.knock(copies=rng.choice((1, 1, 2)), backwards=rng.random() < 0.3)
        if rng.random() < 0.7:
            await town.intake.step()
        for name, lane in town.lanes.items():
            if rng.random() < 0.7:
                with suppress(RetryLater, ChannelClosed, Refused):
                    await town.step(lane)
            if rng.random() < 0.03:
                with suppress(RetryLater, ChannelClosed, Refused):
                    await town.sweepers[name].sweep()

    async def pass_by(self) -> None:
        """The weather clears; what may still land lands; every channel is swept until all is still."""
        self.calm = True
        for store in self.town.stores.values():
            store.land()
            store.faults.down, store.faults.status = False, None
            store.faults.lose_answer = store.faults.late = store.faults.stale = 0.0
            store.faults.unnamed = 0.0
        for _ in range(4):
            self.town.clock.forward(400)
            await self.town.settle()
            for sweeper in self.town.sweepers.values():
                await sweeper.sweep()
            await self.town.settle()

    def truth(self, sku: str) -> int:
        """What the ledger must hold: the seed, all trade, and the edits that are adopted."""
        total = FIRST
        for store in self.town.stores.values():
            total += store.book.total(sku, "sale", "cancel", "refund")
            if store.character.truth == "levels":
                total += store.book.total(sku, "edit")
        return total

    async def wrong(self) -> list[str]:
        """What does not agree with the stores' books; nothing, if all is well."""
        found = []
        for sku in SKUS:
            expected, level = self.truth(sku), await self.town.level(sku)
            if level != expected:
                found.append(f"{sku}: the level is {level}, not {expected}")
            shelves = self.town.shelves(sku)
            if set(shelves.values()) != {max(0, expected)}:
                found.append(f"{sku}: shelves {shelves} at a level of {expected}")
        for name, store in self.town.stores.items():
            found += [f"{name} was asked nonsense: {why}" for why in store.counters.invalid]
        doubts = await self.town.rows("select count(*) from suspense")
        if doubts != [(0,)]:
            found.append(f"{doubts[0][0]} doubts although every key lives")
        return found


async def run_storm(database: Database, seed: int) -> list[str]:
    """One storm from first count to calm; gives what went wrong."""
    rng = Random(seed)
    town = Town(database, f"storm-{seed}")
    characters = [rng.choice(list(CHARACTERS)) for _ in range(3)]
    for number, character in enumerate(characters):
        store = town.store(f"{number}-{character}", {**CHARACTERS[character], **MANY})
        store.faults.rng = Random(seed * 7 + number)
        for sku in SKUS:
            store.add(sku, FIRST)
    try:
        await town.open()
        await town.seed()
        storm = Storm(town, rng)
        storm.let_calls_overlap()
        for _ in range(STEPS):
            await storm.step()
        await storm.pass_by()
        return [f"seed {seed} {characters}: {what}" for what in await storm.wrong()]
    finally:
        await town.close()
