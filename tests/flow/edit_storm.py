"""A storm of edits: seeded trade and people's counts on blind channels that follow edits, under faults.

The real walkers over the stores' own books. Clocks of stores are apart from ours, stamps are off by a
second, orders are slow to be seen, answers are lost and writes late. What no rule can know is left
out: nobody types the number of an unanswered write, and edits are larger than sales.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from random import Random
from typing import Any

from syncd.connectors.base import Ref, Write
from syncd.connectors.memory_store import MemoryStore
from syncd.db.pool import Database
from syncd.lane import Lane
from syncd.stock.model import OrderSeen, Reading
from tests.flow.storm import MANY, Storm
from tests.flow.town import FOLLOWED, LEVELS, Town

SKUS = ("MUG", "TEE")
FIRST = 400
STEPS = 110
LATE_S = 30.0
SLOW = 0.06
"""The share of orders that nobody is told of, and that nobody can fetch for minutes."""

DEATHS = 0.05
"""The share of writes during which the daemon ends."""

QUIET = (400.0, 400.0, 400.0, 400.0, 700.0, 400.0)
"""Seconds that pass when the storm is over, each followed by a sweep of every channel."""


class Died(BaseException):
    """The daemon ends in the middle of a write; another takes the lane over."""


class BlindShop:
    """A blind store and the one thing its book does not know: which edits a reading has seen."""

    def __init__(self, town: Town, store: MemoryStore, rng: Random, apart_s: float) -> None:
        self._town, self.store, self._rng = town, store, rng
        self._apart, self._jitter_s = timedelta(seconds=apart_s), 0.0
        self._stamped = town.clock.now + self._apart
        self.seen = dict.fromkeys(SKUS, 0)
        self.unseen = dict.fromkeys(SKUS, 0)
        self.writing: dict[str, int] = {}
        self.typed = 0
        self.hidden: dict[str, datetime] = {}
        self.late: list[tuple[datetime, Callable[[], object]]] = []
        store.clock = self._clock
        self._read, self._put = store.read, store._put
        self._write, self._changed = store.write, store.changed_since
        store.read, store._put = self.read, self.put  # type: ignore[method-assign]
        store.write, store.changed_since = self.write, self.changed  # type: ignore[method-assign]

    def _clock(self) -> datetime:
        now = self._town.clock() + self._apart
        if not self._jitter_s:
            return now
        # stamps of orders are off, but never in another order than the orders
        off = timedelta(seconds=self._rng.uniform(-self._jitter_s, self._jitter_s))
        self._stamped = max(self._stamped, now + off)
        return self._stamped

    def read(self, refs: Sequence[Ref]) -> list[Reading]:
        for ref in refs:
            self.seen[ref.sku] += self.unseen[ref.sku]
            self.unseen[ref.sku] = 0
        return self._read(refs)

    def write(self, write: Write) -> Any:
        self.writing.update({row.ref.sku: row.to_quantity for row in write.rows})
        return self._write(write)

    def put(self, row: Any, op: Any) -> Any:
        self.unseen[row.ref.sku] = 0  # erased, and nobody has seen it
        return self._put(row, op)

    def changed(self, since: datetime) -> list[OrderSeen]:
        now = self._town.clock()
        return [one for one in self._changed(since) if self.hidden.get(one.order, now) <= now]

    async def sell(self, sku: str, units: int) -> str | None:
        """A shopper buys; an order that is slow has no webhook either."""
        told = len(self.store.sender.sent)
        self._jitter_s = 1.0
        order = await self.store.sell({sku: units})
        self._jitter_s = 0.0
        if self._rng.random() < SLOW:
            later = timedelta(seconds=self._rng.uniform(60, 480))
            self.hidden[order] = self._town.clock.now + later
            topic = "X-Memory-Topic"
            sent = self.store.sender.sent
            sent[told:] = [one for one in sent[told:] if one.headers[topic] != "orders/update"]
            return None
        return order

    async def type(self, sku: str) -> None:
        """A person changes a count by more than any sale."""
        by = self._rng.choice((-1, 1)) * self._rng.randint(7, 20)
        if self.store.shelf(sku) + by == self.writing.get(sku):
            by += 1
        self.unseen[sku] += by
        self.typed += 1
        await self.store.edit(sku, self.store.shelf(sku) + by)

    def take_late(self) -> None:
        """What was not answered lands within its window, or never."""
        for work in self.store._late:
            at = self._town.clock.now + timedelta(seconds=self._rng.uniform(0.5, LATE_S - 3))
            if self._rng.random() < 0.6:
                self.late.append((at, work))
        self.store._late.clear()

    def land_until(self, then: datetime) -> None:
        for at, work in sorted(self.late, key=lambda one: one[0]):
            if at <= then:
                self._town.clock.now = max(self._town.clock.now, at)
                self.late.remove((at, work))
                work()


class EditStorm(Storm):
    """One seed's town with blind shops, weather and people who type counts."""

    shops: dict[str, BlindShop]

    def forward(self, seconds: float) -> None:
        """Time passes, and what is late lands in it."""
        then = self.town.clock.now + timedelta(seconds=seconds)
        for shop in self.shops.values():
            shop.take_late()
            shop.land_until(then)
        self.town.clock.now = max(self.town.clock.now, then)

    async def step(self) -> None:
        rng, town = self.rng, self.town
        self.forward(rng.choice((0.5, 3.0, 10.0, 30.0)))
        name = rng.choice(list(town.stores))
        act = rng.random()
        if act < 0.40:
            await self._sell(town.stores[name])
        elif act < 0.44 and self.open_orders:
            await self._give_back()
        elif act < 0.50:
            await rng.choice(list(self.shops.values())).type(rng.choice(SKUS))
        elif act < 0.62:
            self._weather(town.stores[name])
        elif act < 0.66:
            await town.start_lane(name)
        elif act < 0.70:
            town.lose_webhooks()
        await self._work()

    def let_daemons_die(self) -> None:
        """From now on some end after the store did what a write asked, and before its answer came."""
        step = self.town.step

        async def mortal(lane: Lane) -> int:
            try:
                return await step(lane)
            except Died:
                await self.town.start_lane(lane._channel.name)
                return 1

        self.town.step = mortal  # type: ignore[method-assign]
        for store in self.town.stores.values():
            store.serve = self._dying(store.serve)  # type: ignore[method-assign]

    def _dying(self, serve: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def dying(token: str, work: Callable[[], Any], *, writes: bool) -> Any:
            answer = await serve(token, work, writes=writes)
            if writes and not self.calm and self.rng.random() < DEATHS:
                raise Died
            return answer

        return dying

    async def _sell(self, store: MemoryStore) -> None:
        sku, units = self.rng.choice(SKUS), self.rng.randint(1, 3)
        shop = self._shop(store)
        with suppress(ValueError):
            order = await (shop.sell(sku, units) if shop else store.sell({sku: units}))
            if order is not None:
                self.open_orders.append((store, order, sku, units))

    def _shop(self, store: MemoryStore) -> BlindShop | None:
        return next((one for one in self.shops.values() if one.store is store), None)

    async def pass_by(self) -> None:
        """The weather clears, and everything has time to settle."""
        self.calm = True
        for store in self.town.stores.values():
            store.faults.down, store.faults.status = False, None
            store.faults.lose_answer = store.faults.late = store.faults.stale = 0.0
            store.faults.unnamed = 0.0
        for seconds in QUIET:
            self.forward(seconds)
            await self._rest()
            for sweeper in self.town.sweepers.values():
                await sweeper.sweep()
            await self._rest()

    async def _rest(self) -> None:
        """Everybody works until all is still, and every wait is over."""
        for _ in range(30):
            await self.town.settle()
            self.forward(3.1)

    def truth(self, sku: str) -> int:
        """What the ledger should say: all trade, and every edit that a reading saw."""
        total = FIRST
        for name, store in self.town.stores.items():
            shop = self.shops.get(name)
            causes = ("sale", "cancel", "refund") if shop else ()
            total += store.book.total(sku, *causes)
            total += shop.seen[sku] if shop else 0
        return total

    async def wrong(self) -> list[str]:
        """What does not agree with the stores' books, but for what is asked."""
        found = []
        for sku in SKUS:
            level = await self.town.level(sku)
            asked = await self.town.rows(
                "select s.candidates from suspense s join listing l on l.id = s.listing_id"
                " where l.sku = $1 and s.resolved_at is null",
                sku,
            )
            gaps = {sum(one) for one in product(*(row[0] for row in asked))}
            assert level is not None
            if self.truth(sku) - level not in gaps:
                found.append(f"{sku}: level {level}, true {self.truth(sku)}, asked {asked}")
            if not asked and set(self.town.shelves(sku).values()) != {level}:
                found.append(f"{sku}: shelves {self.town.shelves(sku)} at a level of {level}")
        for name, store in self.town.stores.items():
            found += [f"{name} was asked nonsense: {why}" for why in store.counters.invalid]
        return found

    async def questions(self) -> int:
        return int((await self.town.rows("select count(*) from suspense"))[0][0])


async def run_edit_storm(database: Database, seed: int) -> tuple[list[str], int, int]:
    """One storm; gives what went wrong, the questions that were ever asked, and the edits made."""
    rng = Random(seed)
    town = Town(database, f"edits-{seed}")
    blind = {**FOLLOWED, **MANY, "late_apply_s": LATE_S}
    town.store("uk", {**LEVELS, **MANY})
    for name in ("shop", "till"):
        town.store(name, {**blind, "read_max": rng.choice((1, 50))}, edits="adopt")
    shops = {}
    for number, (name, store) in enumerate(town.stores.items()):
        store.faults.rng = Random(seed * 7 + number)
        if name != "uk":
            shops[name] = BlindShop(town, store, rng, rng.choice((-40.0, 0.0, 25.0)))
        for sku in SKUS:
            store.add(sku, FIRST)
    try:
        await town.open()
        for name, shop in shops.items():
            town.stores[name].clock = shop._clock
        await town.seed()
        town.clock.forward(400)
        storm = EditStorm(town, rng)
        storm.shops = shops
        storm.let_calls_overlap()
        storm.let_daemons_die()
        for _ in range(STEPS):
            await storm.step()
        await storm.pass_by()
        wrong = [f"seed {seed}: {what}" for what in await storm.wrong()]
        return wrong, await storm.questions(), sum(shop.typed for shop in shops.values())
    finally:
        await town.close()
