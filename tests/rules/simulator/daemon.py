"""The daemon as it is, in virtual time: real intake, lanes and sweepers on dictionaries.

Nothing here decides: it starts the walkers, ends them in the middle of whatever they do, and starts
them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import syncd.corridor.core
import syncd.corridor.fetch
import syncd.intake
import syncd.lane.loop
import syncd.lane.reading
import syncd.lane.writing
import syncd.reconcile
from syncd.connectors.base import (
    Capabilities,
    Event,
    Page,
    Ref,
    RowResult,
    Whoami,
    Write,
    WriteKind,
)
from syncd.connectors.breaker import Breaker
from syncd.corridor import Channel, Core
from syncd.intake import Intake
from syncd.lane import Lane
from syncd.reconcile import Sweeper, SweepPlan
from syncd.stock.model import Fact, OrderSeen, Reading
from syncd.stock.rulebook import ChannelRules, Rulebook
from tests.rules.simulator.loop import STEPS, VirtualLoop
from tests.rules.simulator.platform import NOON, Platform
from tests.rules.simulator.registry import replacements
from tests.rules.simulator.setting import Setting
from tests.rules.simulator.tables import CrashError, Gate, Tables

POLL_S = 10.0
"""Walkers poll behind their bells; more seldom here, to spare the runs their idle rounds."""

LOGGED = (
    syncd.corridor.core,
    syncd.corridor.fetch,
    syncd.intake,
    syncd.lane.loop,
    syncd.lane.reading,
    syncd.lane.writing,
    syncd.reconcile,
)


class Nothing:
    """Metrics nobody looks at."""

    def __getattr__(self, name: str) -> Nothing:
        return self

    def __call__(self, *_: Any, **__: Any) -> Nothing:
        return self


class Heard(Nothing):
    """A log of which only what went wrong by itself is kept."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def exception(self, event: str, **said: Any) -> None:
        import traceback

        self.failures.append(f"{event} {said}: {traceback.format_exc()}")

    def error(self, event: str, **said: Any) -> None:
        self.failures.append(f"{event} {said}")


class Free:
    """Budget and connection of a channel that is never paced."""

    budget: Any = None
    timeout_s: float = 0.0

    def gather_window_s(self, _: float) -> float:
        return 0.0

    def reserved(self, *_: Any) -> Free:
        return self

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


class Connector:
    """Speaks to a platform of this process. Its messages carry facts as they are."""

    def __init__(self, platform: Platform) -> None:
        shop = platform.shop
        self._platform = platform
        self.capabilities = Capabilities(
            truth=shop.truth,
            edits=frozenset({shop.edits}),
            write=shop.write,
            batch_max=shop.batch_max,
            read_max=shop.read_max,
            topics=frozenset(),
            batch_atomic=shop.atomic,
            late_apply_s=platform.setting.late_s,
            key_lifetime_s=shop.key_lifetime_s if shop.keyed else 0.0,
        )

    async def open(self) -> Whoami:
        found: Whoami = await self._platform.call(lambda: Whoami(self._platform.shop.name))
        return found

    async def close(self) -> None:
        """Nothing is held open."""

    def parse(self, event: Event) -> Sequence[Fact]:
        return [event.body]  # type: ignore[list-item]

    async def listings(self) -> AsyncIterator[Page]:
        rows, at = await self._platform.look(lambda: (self._platform.page(), self._platform.now()))
        yield Page(rows, answered_at=at)

    async def read(self, refs: Sequence[Ref]) -> list[Reading]:
        assert len(refs) <= self.capabilities.read_max
        found: list[Reading] = await self._platform.look(partial(self._platform.read, refs))
        return found

    async def write(self, write: Write) -> list[RowResult]:
        assert len(write.rows) <= self.capabilities.batch_max
        self._platform.sent(write)
        found: list[RowResult] = await self._platform.call(
            partial(self._platform.write, write), writes=True
        )
        return found

    async def orders_since(self, since: datetime) -> AsyncIterator[list[OrderSeen]]:
        oldest = since.timestamp() * 1_000_000
        yield await self._platform.call(
            lambda: [
                seen
                for order in self._platform.visible()
                if (seen := self._platform.seen(order)).version >= oldest
            ]
        )

    async def orders(self, ids: Sequence[str]) -> list[OrderSeen]:
        found: list[OrderSeen] = await self._platform.call(
            lambda: [self._platform.seen(self._platform.orders[one]) for one in ids]
        )
        return found


@contextmanager
def on_dictionaries(log: Heard) -> Iterator[None]:
    """Inside, every function of `syncd.db` does what it does to `Tables` instead."""
    wanted: list[tuple[Any, str, Any]] = [*replacements(), *((one, "log", log) for one in LOGGED)]
    wanted += [(syncd.intake, "POLL_S", POLL_S), (syncd.lane.loop, "POLL_S", POLL_S)]
    replaced = [(module, name, getattr(module, name), given) for module, name, given in wanted]
    try:
        for module, name, _, given in replaced:
            setattr(module, name, given)
        yield
    finally:
        for module, name, before, _ in replaced:
            setattr(module, name, before)


@dataclass
class Daemon:
    """Lives, ends and lives again on the same tables."""

    loop: VirtualLoop
    tables: Tables
    setting: Setting
    rules: Rulebook
    platforms: dict[int, Platform]
    rng: Random
    calm: bool = False
    lives: int = 0
    keys: int = 0
    core: Core | None = None
    _gate: Gate | None = None
    _tasks: tuple[asyncio.Task[Any], ...] = ()

    def clock(self) -> datetime:
        return NOON + timedelta(seconds=self.loop.time() + self.setting.clock_s)

    def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        self._gate = gate = Gate(self.tables, self._passing)
        core = Core(
            gate,  # type: ignore[arg-type]
            Nothing(),  # type: ignore[arg-type]
            self.rules,
            clock=self.clock,
            rng=Random(self.rng.random()),
            new_key=self._new_key,
        )
        self.core = core
        walkers: list[Any] = [Intake(core).run()]
        plan = SweepPlan(timedelta(seconds=self.setting.sweep_s), timedelta(minutes=10))
        for rules in self.rules.channels.values():
            http: Any = Free()
            http.budget, http.timeout_s = http, self.setting.timeout_s
            breaker = Breaker(clock=self.loop.time, rng=core.rng)
            connector: Any = Connector(self.platforms[rules.id])
            channel = Channel(rules, connector, http, breaker)
            core.channels[rules.id] = channel
            walkers += [Lane(core, channel).run(), Sweeper(core, channel, plan).run()]
        self._tasks = tuple(self.loop.create_task(walker) for walker in walkers)

    def _new_key(self) -> UUID:
        """Keys in the order of their making: the judge compares them."""
        self.keys += 1
        return UUID(int=self.keys)

    def _passing(self, _: str) -> None:
        if not self.calm and self.rng.random() < self.setting.weather.crash:
            self.end()
            raise CrashError

    def end(self) -> None:
        """The process is gone; it starts again a little later."""
        if self._gate is None or not self._gate.alive:
            return
        self._gate.alive = False
        self.core = None
        for task in self._tasks:
            task.cancel()
        self.loop.call_later(self.rng.uniform(0.5, 12.0), self.start)

    def ended_badly(self) -> list[str]:
        """Walkers that ended by themselves: each should go on until it is stopped."""
        return [f"{task.get_coro()} ended: {task!r}" for task in self._tasks if task.done()]

    def stop(self) -> None:
        """The run is over: nothing is left half done in memory."""
        if self._gate is not None:
            self._gate.alive = False
        for task in self._tasks:
            task.cancel()
        self.loop.left = STEPS
        while not all(task.done() for task in self._tasks):
            self.loop.run_until(self.loop.time())


def rules_of(setting: Setting) -> dict[int, ChannelRules]:
    """The channels' rules by id, as their configuration would make them."""
    return {
        number: ChannelRules(
            number,
            shop.name,
            "simulated",
            shop.truth,
            shop.edits,
            commit_on=shop.commit_on,
            restock=shop.restock,
            blind=shop.write is WriteKind.ABSOLUTE,
            reads_one_by_one=shop.read_max <= 1,
            locations=dict(shop.places),
            policy=shop.policy,
            late_apply_s=setting.late_s,
        )
        for number, shop in enumerate(setting.shops, 1)
    }
