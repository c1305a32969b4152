"""One store falls ill in every way there is: the others keep their pace, and all agree at the end.

Each platform has a daemon and three stores of its own, so that nobody who recovers is measured; its
cells run in order, and the last test asks all of them for agreement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from syncd.demo.judge import percentile
from syncd.demo.standins.base import Faults, Standin
from tests.daemon.conftest import fresh_database
from tests.daemon.daemon import Process, found_in, say, until
from tests.daemon.secrets import canaries
from tests.daemon.shoppers import Tally, make_stores, never_give_up, wrong
from tests.postgres import Cluster

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.pace]

PLATFORMS = ("woocommerce", "shopwired", "shopify")
SHARE = 10
"""Items that one cell sells: those of earlier cells may still wait for what became of a write."""
UNITS = {f"SKU-{n:03d}": 900 for n in range(SHARE * 10)}
RATE = 15.0
LOOK_S = 0.002
SALES = 20
AGAIN = 3
"""A window that was slower than allowed is measured again, beside a new one in which all are well:
the machine may have become busy."""
SLOWER = 1.2
SLOWER_S = 0.010
AGREE_S = 75.0
"""Thirty seconds for a call that hangs, thirty for what it may still apply, and what follows."""

Fault = Callable[[Faults, list[str]], None]
"""Makes a store ill, on these items where it is about items."""


def _set(**values: Any) -> Fault:
    def fall_ill(faults: Faults, _: list[str]) -> None:
        for name, value in values.items():
            setattr(faults, name, value)

    return fall_ill


def _refuse(faults: Faults, skus: list[str]) -> None:
    faults.refuse_skus = set(skus[::3])


FAULTS: dict[str, Fault] = {
    "late application": _set(late=1.0, late_s=0.5),
    "lost answers": _set(lose_answer=1.0),
    "hangs": _set(hang=True),
    "5xx": _set(status=502),
    "HTML for JSON": _set(html=True),
    "429": _set(status=429),
    "429 with Retry-After": _set(status=429, retry_after_s=0.3),
    "partial batch failure": _refuse,
    "expired token": _set(expired=True),
}
"""In an order in which none hides from the next: a closed channel is asked again after 30 s."""

WELL = {name: getattr(Faults(), name) for name in ("late", "lose_answer", "status", "html")} | {
    "retry_after_s": None,
    "expired": False,
    "hang": False,
}


@dataclass
class World:
    """A daemon on three stores of which one, `sick`, suffers. `healthy`: ways while none did, in s."""

    sick: str
    process: Process
    stores: dict[str, Standin]
    healthy: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    sold: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    skus: list[str] = field(default_factory=lambda: list(UNITS)[:SHARE])
    asked_before: int = 0

    @property
    def asked(self) -> int:
        """Requests that reached the sick store's API, over its restarts."""
        store: Any = self.stores[self.sick]
        return self.asked_before + int(store._runner.server.requests_count)

    async def refused(self) -> float:
        """Deliveries that the sick store refused, named or not."""
        metrics = await self.process.metrics()
        return sum(metrics["deliveries_total", self.sick, one] for one in ("refused", "unnamed"))

    async def _well(self) -> bool:
        return (await self.process.metrics())["breaker_state", self.sick] == 0

    async def recover(self) -> None:
        """Well again; whoever hangs is hung up on."""
        store: Any = self.stores[self.sick]
        hung = store.faults.hang
        _set(**WELL)(store.faults, [])
        store.faults.refuse_skus = set()
        if hung:
            port, self.asked_before = store._port, self.asked
            await store._runner.cleanup()
            await store.start(port)
        if not self.process.said("channel.closed"):
            await until(self._well, 15, "its breaker closed")

    async def ways_s(self) -> list[float]:
        """Sell in the two well stores in turn; gives each sale's way to the other one's shelf."""
        pair = [name for name in self.stores if name != self.sick]
        found: list[float] = []
        watching: list[tuple[Standin, str, int, float]] = []
        loop = asyncio.get_running_loop()
        at = loop.time()
        sold = 0
        give_up = at + SALES / RATE + 10
        while sold < SALES or watching:
            now = loop.time()
            if sold < SALES and now >= at:
                sku = self.skus[sold % SHARE]
                seller, other = self._pair(pair, sold)
                await seller.sell({sku: 1})
                self.sold[sku] += 1
                # ShopWired's budget is two calls a second: its own shelf is not timed
                if other.platform != "shopwired":
                    watching.append((other, sku, UNITS[sku] - self.sold[sku], loop.time()))
                sold += 1
                at += 1 / RATE
            done = [one for one in watching if one[0].shelf(one[1]) <= one[2]]
            found += [loop.time() - one[3] for one in done]
            watching = [one for one in watching if one not in done]
            if now > give_up:
                raise AssertionError(f"never shown: {watching}\n{self.process.words()}")
            await asyncio.sleep(LOOK_S)
        return found

    def _pair(self, pair: list[str], sold: int) -> tuple[Standin, Standin]:
        first, second = (self.stores[name] for name in pair)
        return (first, second) if sold % 2 else (second, first)


async def _more(count: Callable[[], Any], than: float) -> bool:
    return bool(await count() > than)


@dataclass
class Worlds:
    durable: Cluster
    folder: Path
    stack: AsyncExitStack
    made: dict[str, World] = field(default_factory=dict)

    async def of(self, sick: str) -> World:
        """The world of this platform, measured while all are well when it is first asked for."""
        if sick in self.made:
            return self.made[sick]
        stores = make_stores(UNITS)
        dsn = await self.stack.enter_async_context(fresh_database(self.durable))
        for store in stores.values():
            await store.start()
            self.stack.push_async_callback(store.stop)
        process = Process(self.folder / sick, dsn, stores)
        self.stack.push_async_callback(process.close)
        process.write()
        await process.start()
        await process.seeded()
        for name, store in stores.items():
            never_give_up(name, store, Tally())
        made = World(sick, process, stores)
        await made.ways_s()
        windows = [await made.ways_s() for _ in range(3)]
        made.healthy = min(windows, key=lambda ways: percentile(ways, 0.99) or 0.0)
        self.made[sick] = made
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds(
    durable: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worlds]:
    async with AsyncExitStack() as stack:
        yield Worlds(durable, tmp_path_factory.mktemp("sick"), stack)


def steady(ill_s: float, base_s: float) -> bool:
    return ill_s <= max(base_s * SLOWER, base_s + SLOWER_S)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sick", PLATFORMS)
async def test_the_others_keep_their_pace(worlds: Worlds, sick: str, fault: str) -> None:
    world = await worlds.of(sick)
    first = SHARE * (1 + list(FAULTS).index(fault))
    world.skus = list(UNITS)[first : first + SHARE]
    tried: list[tuple[float, float]] = []
    # from before the first window: what it left without an answer is asked for after its late window
    asked, refused = world.asked, await world.refused()
    try:
        while len(tried) < AGAIN:
            if tried:
                await world.recover()
                world.healthy = await world.ways_s()
            FAULTS[fault](world.stores[sick].faults, world.skus)
            base_s = percentile(world.healthy, 0.99) or 0.0
            tried.append((percentile(await world.ways_s(), 0.99) or 0.0, base_s))
            if steady(*tried[-1]):
                break
        await until(lambda: world.asked > asked, 15, "the sick store asked for anything")
        if fault == "partial batch failure":
            await until(lambda: _more(world.refused, refused), 120, "a batch that failed in part")
    finally:
        await world.recover()
    ill_s, base_s = tried[-1]
    world.told.append(
        f"{sick:<12} {fault:<22} others' p99 {ill_s * 1000:4.0f} ms, "
        f"while all were well {base_s * 1000:4.0f} ms, windows measured {len(tried)}"
    )
    assert steady(ill_s, base_s), world.told[-1]


@pytest.mark.parametrize("sick", PLATFORMS)
async def test_all_agree_at_the_end(worlds: Worlds, sick: str) -> None:
    world = await worlds.of(sick)
    await world.process.done("retry")
    agree_s = await until(
        lambda: not wrong(UNITS, world.stores),
        AGREE_S,
        lambda: f"{wrong(UNITS, world.stores)}\n{world.process.words()}",
    )
    metrics = await world.process.metrics()
    say("\n".join([*world.told, f"{sick}: all agree, waited for {agree_s:.1f} s"]))
    assert {line["channel"] for line in world.process.said("channel.closed")} == {sick}
    assert metrics["ambiguous_total",] > 0, "no answer was lost"
    assert metrics["throttled_total",] > 0, "nothing was throttled"
    assert await world.refused() > 0, "no batch failed in part"
    for name, store in world.stores.items():
        assert store.counters.invalid == []
        assert name == sick or metrics["breaker_state", name] == 0
    told = [world.process.log.read_text(), (await world.process.get("/metrics"))[1]]
    assert found_in(canaries(world.process), *told) == []
