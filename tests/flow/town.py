"""A town of memory stores around the real walkers and a real PostgreSQL, stepped by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from random import Random
from types import MappingProxyType
from typing import Any

from multidict import CIMultiDict

from syncd.app import bundles
from syncd.app.build import make_channel, problems_in
from syncd.app.inforce import InForce, in_force, keep
from syncd.bulk import Bulk
from syncd.config import Settings
from syncd.connectors import memory
from syncd.connectors.memory import MemoryStore
from syncd.corridor import Channel, Core
from syncd.db import attempts, bookmark, inbox, levels, outbox, shelf
from syncd.db.inbox import NewEvent
from syncd.db.pool import Database
from syncd.intake import Intake
from syncd.lane import Lane
from syncd.lane.cutover import CuttingOver
from syncd.reconcile import Sweeper, SweepPlan
from syncd.stock.model import Truth
from syncd.stock.rulebook import Rulebook
from syncd.telemetry.metrics import Metrics

ROUNDS = 200

Happening = Callable[[], Awaitable[None]]

LEVELS: Mapping[str, Any] = {"truth": "levels", "write": "cas", "key_lifetime_s": 72000.0}
ORDERS: Mapping[str, Any] = {"truth": "orders", "write": "absolute", "edits": ["overwrite"]}
FOLLOWED: Mapping[str, Any] = {"truth": "orders", "write": "absolute"}
"""A blind store whose channel says what is done with edits."""
ONE_BY_ONE: Mapping[str, Any] = {**ORDERS, "read_max": 1, "batch_max": 15}


class Clock:
    """Our clock and the stores': moves by a millisecond a look, and by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Town:
    """Stores by channel name; the first one is the source of warehouse main."""

    def __init__(self, database: Database, prefix: str) -> None:
        self.db = database
        self.prefix = prefix
        self.clock = Clock()
        self.stores: dict[str, MemoryStore] = {}
        self.settings: dict[str, dict[str, Any]] = {}
        self.posting: dict[str, dict[str, Any]] = {}
        """Channels that post their movements, by name."""
        self.core = Core(database, Metrics(), Rulebook({}), clock=self.clock, rng=Random(1))
        self.intake = Intake(self.core)
        self.bulk = Bulk(self.core)
        self.lanes: dict[str, Lane] = {}
        self.sweepers: dict[str, Sweeper] = {}
        self.delivered = 0
        self.warehouses: Mapping[str, Any] = {}
        self.bundles: dict[str, dict[str, int]] = {}
        """Bundles that are configured: units by component."""
        self._sent: dict[str, int] = {}

    def store(self, name: str, character: Mapping[str, Any], **channel: Any) -> MemoryStore:
        """A store of this character and the channel on it."""
        store = memory.store(f"{self.prefix}-{name}")
        store.clock = self.clock
        store.character = memory.MemoryOptions(
            **{**character, "store": store.name, "budget_capacity": 1e6, "budget_rate": 1e6}
        )
        self.stores[name] = store
        self.settings[name] = channel
        self._sent[name] = 0
        return store

    def parsed(self, warehouses: Mapping[str, Any]) -> Settings:
        source = next(iter(self.stores))
        return Settings.model_validate(
            {
                "warehouses": {"main": {"source": source}, **warehouses},
                "bundles": {sku: {"components": made} for sku, made in self.bundles.items()},
                "channels": {
                    name: {
                        "platform": "memory",
                        "locations": {"*": "main"},
                        "options": store.options(),
                        **self.settings[name],
                    }
                    for name, store in self.stores.items()
                }
                | {
                    name: {"platform": "api", "locations": {"*": "main"}, **channel}
                    for name, channel in self.posting.items()
                },
            }
        )

    async def open(self, warehouses: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Bring rulebook, channels, lanes and sweepers into being; `warehouses` besides main."""
        settings = self.parsed(warehouses)
        assert problems_in(settings) == []
        async with self.db.transaction("open") as conn:
            await bookmark.ensure_partitions(conn, self.clock().date())
        self.warehouses = warehouses
        await self.adopt()
        for rules in self.core.rulebook.channels.values():
            if rules.name not in self.stores:
                continue
            channel = make_channel(
                rules, settings.channels[rules.name], self.core.metrics, self.clock
            )
            self.core.channels[rules.id] = channel
            self.core.metrics.channel_added(rules.name, "memory")
            await channel.connector.open()
            await self.start_lane(rules.name)
            plan = SweepPlan(timedelta(minutes=15), timedelta(minutes=10), "https://town.example")
            self.sweepers[rules.name] = Sweeper(self.core, channel, plan)

    async def adopt(self) -> InForce:
        """Go by the rules in force, as a reload does; gives what is still to be cut over."""
        settings = self.parsed(self.warehouses)
        assert problems_in(settings) == []
        async with self.db.transaction("in_force") as conn:
            found = await in_force(conn, settings)
            await keep(conn, found, self.clock())
        self.core.rulebook = found.rulebook
        self.core.paused.clear()
        for rules in found.rulebook.channels.values():
            if rules.name in found.pending:
                self.core.paused.add(rules.id)
            if rules.id in self.core.channels:
                self.core.channels[rules.id].rules = rules
        await bundles.take_up(self.core, settings)
        return found

    async def change(self, name: str, **settings: Any) -> None:
        """Configure a channel otherwise, as by SIGHUP, and cut it over."""
        self.settings[name] |= settings
        await self.cut_over(name)

    async def cut_over(self, name: str, *, rounds: int = 50) -> CuttingOver | None:
        """Make the cut-over of a channel that is pending, and give it its walkers again."""
        found = await self.adopt()
        walker = None
        if name in found.pending:
            walker = CuttingOver(self.core, self.channel(name), found.pending[name])
            for _ in range(rounds):
                if await walker._try():
                    break
                self.clock.forward(1)
            assert walker.switched, "the cut-over is not made"
            await self.adopt()
        await self.start_lane(name)
        await self.sweepers[name].sweep()
        return walker

    async def close(self) -> None:
        """Forget the stores, and with them what may still land."""
        for store in self.stores.values():
            await store.stop()

    async def start_lane(self, name: str) -> None:
        """A (new) lane takes the channel over, as after a restart."""
        lane = Lane(self.core, self.channel(name))
        async with self.db.transaction("take") as conn:
            lane.writing.lease_gen = await attempts.take_lane(
                conn, self.channel(name).id, self.clock()
            )
        await lane.writing.inferring.begin()
        self.lanes[name] = lane

    def channel(self, name: str) -> Channel:
        return next(c for c in self.core.channels.values() if c.name == name)

    async def seed(self) -> None:
        """First counts from the source, then everything settles."""
        await self.bulk.seed([])
        for sweeper in self.sweepers.values():
            await sweeper.sweep()
        await self.settle()

    async def knock(self, *, copies: int = 1, backwards: bool = False) -> int:
        """Carry the webhooks sent since the last knock through verify into the inbox."""
        found: list[NewEvent] = []
        for name, store in self.stores.items():
            hooks = store.sender.sent[self._sent[name] :]
            self._sent[name] = len(store.sender.sent)
            channel = self.channel(name)
            for hook in hooks * copies:
                said = channel.connector.verify(CIMultiDict(hook.headers), hook.body)
                if said.answer is None:
                    digest = blake2b(said.dedupe.encode(), digest_size=16).digest()
                    found.append(
                        NewEvent(channel.id, digest, said.topic, hook.body, None, self.clock())
                    )
        if backwards:
            found.reverse()
        if found:
            async with self.db.transaction("store") as conn:
                await inbox.store(conn, found, self.clock())
        return len(found)

    def lose_webhooks(self) -> None:
        """What was sent since the last knock never arrives."""
        for name, store in self.stores.items():
            self._sent[name] = len(store.sender.sent)

    async def settle(self, *, knocking: bool = True) -> None:
        """Step every walker until nobody has anything to do now."""
        for _ in range(ROUNDS):
            busy = await self.knock() if knocking else 0
            while await self.intake.step():
                busy += 1
            for lane in self.lanes.values():
                busy += await self.step(lane)
            if not busy:
                return
        raise AssertionError("the town does not come to rest")

    async def book_orders(self) -> None:
        """Book what was sent, and read nothing."""
        await self.knock()
        while await self.intake.step():
            pass

    async def book(self) -> None:
        """Book what was sent, and what the readings it asks for show where levels are the truth."""
        for _ in range(3):
            await self.book_orders()
            for channel in self.core.channels.values():
                if channel.rules.truth is Truth.LEVELS:
                    await self.lanes[channel.name].reading.read_wished(lambda: None)

    async def look(self, name: str, sku: str) -> None:
        """Somebody wishes that a listing is read."""
        async with self.db.transaction("look") as conn:
            found = await conn.fetch(
                "select id from listing where channel_id = $1 and sku = $2",
                self.channel(name).id,
                sku,
            )
            await shelf.wish(conn, [row[0] for row in found], "asked", self.clock())

    @contextmanager
    def before_write(self, name: str, happen: Happening) -> Iterator[None]:
        """Inside, something happens once, just before the store does what a write asks."""
        store, pending = self.stores[name], [happen]
        serve = store.serve

        async def serving(token: str, work: Callable[[], Any], *, writes: bool) -> Any:
            if writes and pending:
                await pending.pop()()
            return await serve(token, work, writes=writes)

        with self._served(store, serving):
            yield
        assert not pending, "nothing was written"

    @contextmanager
    def after_reading(self, name: str, happen: Happening) -> Iterator[None]:
        """Inside, something happens once, between what a store answers to a reading and its arrival."""
        store, pending = self.stores[name], [happen]
        serve = store.serve

        async def serving(token: str, work: Callable[[], Any], *, writes: bool) -> Any:
            answer = await serve(token, work, writes=writes)
            if not writes and pending:
                await pending.pop()()
            return answer

        with self._served(store, serving):
            yield
        assert not pending, "nothing was read"

    @contextmanager
    def _served(self, store: MemoryStore, serving: Callable[..., Any]) -> Iterator[None]:
        serve = store.serve
        store.serve = serving  # type: ignore[method-assign]
        try:
            yield
        finally:
            store.serve = serve  # type: ignore[method-assign]

    async def ask(
        self,
        kind: str,
        channel: str | None = None,
        skus: Sequence[str] | None = None,
        **more: Any,
    ) -> None:
        """A person asks for something, and it is carried out."""
        async with self.db.transaction("ask") as conn:
            await bookmark.ask(conn, kind, channel, skus, self.clock(), **more)
        assert await self.bulk.step()

    async def step(self, lane: Lane) -> int:
        """Do each kind of work of a lane once; gives how many did something."""
        channel = lane._channel
        if channel.closed:
            return 0
        async with self.db.transaction("due") as conn:
            due = await outbox.due(conn, channel.id, self.clock(), [], [])
        did = 0
        jobs = [
            (due.attempts, lane.writing.resume),
            (due.orders, lane.fetching.fetch_wished),
            (lane.fetching.wanted, lane.fetching.fetch_changed),
            (due.edits, lane.writing.inferring.settle_due),
            (due.looks, lane.reading.read_wished),
            (due.writes, lane.writing.write_owed),
        ]
        for wanted, job in jobs:
            if wanted:
                did += bool(await job(lambda: None))
        did += lane.fetching.wanted
        return did

    async def level(self, sku: str) -> int | None:
        async with self.db.transaction("level") as conn:
            sums = await levels.level_sums(conn, [sku])
        for _, _, quantity, total in sums:
            assert quantity == total
        return sums[0][2] if sums else None

    def shelves(self, sku: str) -> dict[str, int]:
        return {name: store.shelf(sku) for name, store in self.stores.items()}

    async def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        async with self.db.transaction("rows") as conn:
            return [tuple(row) for row in await conn.fetch(sql, *args)]
