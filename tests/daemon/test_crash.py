"""Killed and killed again, on a database that crashes: what was acknowledged is booked once, and shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

import asyncpg
import pytest
from multidict import CIMultiDict

from syncd.connectors import PLATFORMS
from syncd.connectors.base import Connector
from syncd.connectors.budget import Budget
from syncd.connectors.http import Http
from syncd.corridor.core import utc_now
from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, disagreeing, found_in, say, until
from tests.daemon.secrets import canaries
from tests.daemon.shoppers import Shoppers, Tally, never_give_up, wrong
from tests.postgres import Cluster

SETTLE_S = 60.0
"""The late window of a blind write, thirty seconds, and what follows it."""
CHAOS_SETTLE_S = 240.0
"""Hundreds of orders are fetched again from ShopWired, which takes two calls a second."""


@dataclass(frozen=True)
class Ordeal:
    """How much of it."""

    kills: int
    database_crashes: int
    orders: int
    rate: float
    events: int
    """Acknowledged deliveries at least."""
    gap_s: tuple[float, float] = (0.6, 1.8)
    settle_s: float = SETTLE_S


async def suffer(
    process: Process, cluster: Cluster, ordeal: Ordeal, shoppers: asyncio.Task[None]
) -> tuple[int, int, list[float]]:
    """Kill daemon and database at random moments until enough; gives how often, and restart times."""
    rng = Random(7)
    kills = crashes = 0
    ready_s: list[float] = []
    while kills < ordeal.kills or crashes < ordeal.database_crashes or not shoppers.done():
        await asyncio.sleep(rng.uniform(*ordeal.gap_s))
        if kills >= ordeal.kills and crashes >= ordeal.database_crashes:
            continue
        if crashes < ordeal.database_crashes and rng.random() < 0.25:
            crashes += 1
            await asyncio.to_thread(cluster.stop, "immediate")
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            await asyncio.to_thread(cluster.start)
        else:
            kills += 1
            await process.kill()
            # not waited for: it may be killed again before it is ready
            await process.start(ready=False)
    ready_s.append(await until(process.is_ready, 20, lambda: f"ready\n{process.words()}"))
    return kills, crashes, ready_s


def connector_of(store: Standin) -> Connector:
    platform = PLATFORMS[store.platform]
    options = platform.options.model_validate(store.options())
    caps = platform.capabilities
    budget = Budget(caps.budget_capacity, caps.budget_rate, workers=1)
    return platform.connector(options, Http(store.base_url, budget), utc_now)


async def check_ledger(dsn: str, stores: Mapping[str, Standin], tally: Tally) -> int:
    """Every acknowledged delivery was stored, nothing is parked, no cause counts twice."""
    connectors = {name: connector_of(store) for name, store in stores.items()}
    owner = await asyncpg.connect(dsn)
    try:
        ids = {row["name"]: row["id"] for row in await owner.fetch("select id, name from channel")}
        stored = {
            (row["channel_id"], row["digest"])
            for row in await owner.fetch("select channel_id, digest from delivery_seen")
        }
        missing = []
        for name, hook in tally.acknowledged:
            said = connectors[name].verify(CIMultiDict(hook.headers), hook.body)
            if said.answer is None:
                digest = blake2b(said.dedupe.encode(), digest_size=16).digest()
                if (ids[name], digest) not in stored:
                    missing.append((name, said.topic))
        assert missing == []
        assert await owner.fetch("select * from inbox_parked") == []
        twice = (
            "select cause from movement group by item_id, warehouse_id, cause having count(*) > 1"
        )
        assert await owner.fetch(twice) == []
        sums = """
            select v.item_id from level v left join movement m using (item_id, warehouse_id)
            group by v.item_id, v.warehouse_id, v.quantity
            having v.quantity <> coalesce(sum(m.delta), 0)
        """
        assert await owner.fetch(sums) == []
        return int(await owner.fetchval("select count(*) from movement"))
    finally:
        await owner.close()


async def check_no_secrets(dsn: str, process: Process) -> None:
    """No canary stands in what the daemon told anybody."""
    owner = await asyncpg.connect(dsn)
    try:
        told = [
            str(row)
            for sql in ("select * from journal", "select * from inbox_parked")
            for row in await owner.fetch(sql)
        ]
    finally:
        await owner.close()
    bodies = [
        (await process.get(path))[1] for path in ("/metrics", "/health/live", "/health/ready")
    ]
    secrets = canaries(process)
    assert len(secrets) >= 3
    assert found_in(secrets, process.log.read_text(), *told, *bodies) == []


async def live_through(
    ordeal: Ordeal,
    process: Process,
    cluster: Cluster,
    stores: Mapping[str, Standin],
    units: Mapping[str, int],
) -> None:
    """The whole run, from equal shops to the verdict of their books."""
    await process.start()
    await process.seeded()
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally, duplicates=0.2)
    shoppers = Shoppers(stores, list(units), ordeal.rate, seed=11)
    shopping = asyncio.create_task(shoppers.run(ordeal.orders))
    began = time.monotonic()
    try:
        kills, crashes, _ = await suffer(process, cluster, ordeal, shopping)
    finally:
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
    suffered_s = time.monotonic() - began
    began = time.monotonic()
    async with asyncio.timeout(ordeal.settle_s):
        await asyncio.gather(*(store.sender.idle() for store in stores.values()))
    await process.done("sweep")
    await until(
        lambda: not wrong(units, stores),
        ordeal.settle_s,
        lambda: f"{wrong(units, stores)}\n{process.words()}",
    )
    settled_s = time.monotonic() - began
    await until(process.inbox_empty, 10, "an empty inbox")
    movements = await check_ledger(process.dsn, stores, tally)
    assert disagreeing(stores) == {}
    await check_no_secrets(process.dsn, process)
    assert shoppers.sales >= ordeal.orders
    assert shoppers.cancels
    assert shoppers.refunds
    assert len(tally.acknowledged) >= ordeal.events
    assert tally.refused, "no sender ever met a dead daemon"
    say(
        f"{kills} kills and {crashes} database crashes in {suffered_s:.1f} s: "
        f"{shoppers.sales} orders, {shoppers.cancels} cancelled, {shoppers.refunds} refunded, "
        f"{len(tally.acknowledged)} events acknowledged after {tally.refused} refusals, "
        f"{movements} movements; 0 lost, 0 double, every shelf right {settled_s:.1f} s later"
    )


@pytest.fixture
async def cluster_to_crash(new_cluster: Callable[..., Cluster]) -> Cluster:
    return await asyncio.to_thread(new_cluster)


async def test_acknowledged_events_outlive_kills(
    cluster_to_crash: Cluster,
    make_process: Callable[..., Process],
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    process = make_process(cluster_to_crash.dsn(), stores)
    await live_through(Ordeal(15, 3, 150, 8.0, 500), process, cluster_to_crash, stores, units)


@pytest.mark.chaos
async def test_ten_thousand_events_outlive_kills(
    cluster_to_crash: Cluster,
    make_process: Callable[..., Process],
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    for store in stores.values():
        for sku, quantity in units.items():
            await store.edit(sku, 100_000 + quantity)
    process = make_process(cluster_to_crash.dsn(), stores)
    seeds = {sku: 100_000 + quantity for sku, quantity in units.items()}
    for store in stores.values():
        store.book.moves.clear()
    await live_through(
        Ordeal(50, 10, 2400, 25.0, 10_000, settle_s=CHAOS_SETTLE_S),
        process,
        cluster_to_crash,
        stores,
        seeds,
    )


async def test_a_write_cut_off_by_a_kill_goes_again_at_once(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    shopify = stores["shopify"]
    shopify.faults.latency_s = 1.0
    await stores["woocommerce"].sell({"ITEM-00": 1})
    await until(lambda: process.writing("shopify"), 10, "a write under way")
    await process.kill()
    shopify.faults.latency_s = 0.0
    await process.start()
    took_s = await until(
        lambda: shopify.shelf("ITEM-00") == units["ITEM-00"] - 1,
        15,
        lambda: f"the keyed write again\n{process.words()}",
    )
    say(f"sent again {took_s:.2f} s after the restart")
