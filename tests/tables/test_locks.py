"""Locks are taken in one order: whatever walks at once, no transaction is a deadlock's victim."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from syncd.app import desk
from syncd.db import bundles, catalog, ledger, links, pool, shelf, suspicion
from syncd.db.ledger import Movement
from syncd.db.pool import Database
from syncd.db.shelf import ShelfChange
from syncd.db.suspicion import Suspicion
from syncd.errors import ChannelError, DatabaseAway
from syncd.fanout import hold_items, owe_items
from syncd.intake import Intake
from syncd.stock.bundles import Bundle
from tests.flow.town import FOLLOWED, LEVELS, ONE_BY_ONE, ORDERS, Town

SKUS = [f"SKU-{n:02}" for n in range(20)]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BOUND_S = 90.0


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every transaction that lost a race, as the pool saw it."""
    found: list[str] = []
    translate = pool._away

    def seen(error: BaseException, name: str, *, gone: bool) -> Any:
        away = translate(error, name, gone=gone)
        if isinstance(error, pool._LOST_RACE):
            found.append(f"{name}: {error}")
        return away

    monkeypatch.setattr(pool, "_away", seen)
    return found


@pytest.fixture
async def busy(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Stores of all characters that list the same items."""
    town = Town(database, request.node.nodeid)
    for name, character in (("uk", LEVELS), ("us", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        town.store(name, {**character, "workers": 4})
    town.store("till", {**FOLLOWED, "workers": 4}, edits="adopt")
    for store in town.stores.values():
        for sku in SKUS:
            store.add(sku, 500)
    await town.open()
    await town.seed()
    yield town
    await town.close()


async def shop(town: Town, rng: Random) -> None:
    """Customers buy several things at once, in any order."""
    for _ in range(40):
        town.clock.forward(1)
        store = town.stores[rng.choice(list(town.stores))]
        await store.sell(dict.fromkeys(rng.sample(SKUS, 6), 1))
        await town.knock(backwards=rng.random() < 0.5)
        town.core.bells.intake.set()
        await asyncio.sleep(0)


async def sweep(town: Town, name: str) -> None:
    for _ in range(8):
        try:
            await town.sweepers[name].sweep()
        except (ChannelError, DatabaseAway):
            await asyncio.sleep(0)


async def push(town: Town, rng: Random) -> None:
    for _ in range(8):
        await town.ask("push", rng.choice(list(town.stores)), rng.sample(SKUS, 10))


async def suspect(town: Town, rng: Random) -> None:
    """Open amounts come and go on several listings at once; in the end there are none."""
    found = await town.rows("select id, item_id, warehouse_id from listing")
    for turn in range(30):
        chosen = rng.sample(found, 12) if turn < 29 else found
        lowest = -(turn % 3) if turn < 29 else 0
        async with town.core.booking("suspect") as (conn, booking):
            await hold_items(conn, {(item, warehouse) for _, item, warehouse in chosen})
            amounts = [Suspicion(*row, lowest, lowest) for row in chosen]
            await owe_items(conn, booking, await suspicion.keep(conn, amounts, booking.now))
        await asyncio.sleep(0)


async def describe(town: Town) -> None:
    """People say what bundles are made of, again and again."""
    for turn in range(12):
        made_of = {SKUS[turn % 4]: 1 + turn % 2, SKUS[4 + turn % 3]: 1}
        await desk.describe(town.core, [Bundle(SKUS[-1], made_of)], "hand", "me")
        await asyncio.sleep(0)


async def test_bundles_that_are_sold_and_made_otherwise_never_deadlock(
    busy: Town, lost: list[str]
) -> None:
    busy.bundles = {SKUS[-2]: {SKUS[0]: 1, SKUS[1]: 2}, SKUS[-3]: {SKUS[1]: 1, SKUS[5]: 1}}
    await busy.adopt()
    walkers = [Intake(busy.core).run(), Intake(busy.core).run()]
    running = [asyncio.create_task(w) for w in (*walkers, *(x.run() for x in busy.lanes.values()))]
    try:
        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(
                shop(busy, Random(4)),
                *(sweep(busy, name) for name in ("uk", "woo")),
                describe(busy),
            )
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert lost == []
    for _ in range(6):
        busy.clock.forward(3600)
        for name in busy.stores:
            await busy.start_lane(name)
        await busy.settle()
        for sweeper in busy.sweepers.values():
            await sweeper.sweep()
        await busy.settle()
    async with busy.db.transaction("bundles") as conn:
        found = await bundles.stock(conn, await bundles.page(conn))
    assert len(found) == 3
    for row, [stock] in found:
        assert set(busy.shelves(row.sku).values()) == {stock.makes}


async def test_fanouts_claims_sweeps_and_pushes_never_deadlock(busy: Town, lost: list[str]) -> None:
    walkers = [Intake(busy.core).run(), Intake(busy.core).run()]
    running = [asyncio.create_task(w) for w in (*walkers, *(x.run() for x in busy.lanes.values()))]
    try:
        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(
                shop(busy, Random(1)),
                *(sweep(busy, name) for name in busy.stores),
                push(busy, Random(2)),
                suspect(busy, Random(3)),
            )
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert lost == []
    busy.clock.forward(3600)
    for name in busy.stores:
        await busy.start_lane(name)
    for _ in range(10):  # what was cut off is watched until it can land no more
        await busy.settle()
        busy.clock.forward(10)
    busy.clock.forward(3600)  # the late window of writes that were under way when their lane ended
    await busy.settle()
    for sweeper in busy.sweepers.values():
        await sweeper.sweep()
    await busy.settle()
    for sku in SKUS:
        sold = sum(store.book.total(sku, "sale") for store in busy.stores.values())
        assert await busy.level(sku) == 500 + sold
        assert set(busy.shelves(sku).values()) == {500 + sold}


async def test_a_lost_race_would_be_seen(database: Database, lost: list[str]) -> None:
    async with database.transaction("fill") as conn:
        await links.enter_items(conn, [links.NewItem(sku) for sku in SKUS[:2]], NOW)
    both = asyncio.Barrier(2)

    async def cross(first: str, second: str) -> None:
        async with database.transaction("cross") as conn:
            await conn.execute("update item set created_at = now() where sku = $1", first)
            await both.wait()
            await conn.execute("update item set created_at = now() where sku = $1", second)

    ended = await asyncio.gather(
        cross(SKUS[0], SKUS[1]), cross(SKUS[1], SKUS[0]), return_exceptions=True
    )
    assert len([one for one in ended if isinstance(one, DatabaseAway)]) == 1
    assert len(lost) == 1


COUNTED = """
select relname, n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables
where relname in ('shelf', 'level')
"""


def movement(item: int, sale: int) -> Movement:
    return Movement(item, 1, -1, "sale", f"x{sale}", 1, None, "c1", "", NOW)


async def test_updates_of_shelves_and_levels_touch_no_index(database: Database) -> None:
    """Heap-only updates: a sale rewrites two small rows and no index of theirs."""
    rows = 2000
    async with database.transaction("fill") as conn:
        await catalog.enter_channel(conn, "c1", "memory")
        await catalog.enter_warehouse(conn, "main")
        await conn.execute(
            "insert into item (sku, created_at) select 's' || n, now()"
            " from generate_series(1, 2000) n"
        )
        await conn.execute("insert into place values (1, '', 1)")
        await conn.execute(
            "insert into listing (channel_id, location, remote, sku, item_id, warehouse_id, managed)"
            " select 1, '', 'r' || n, 's' || n, n, 1, true from generate_series(1, 2000) n"
        )
        await conn.execute("insert into shelf (listing_id, shown) select id, 5 from listing")
        await conn.execute("insert into level select id, 1, 5, now(), now() from item")
    rng, updated, hot = Random(3), Counter[str](), Counter[str]()
    for sale in range(60):
        ids = sorted(rng.sample(range(1, rows + 1), 100))
        async with database.transaction("sale") as conn:
            before = await conn.fetch(COUNTED)
            await shelf.lock(conn, ids, [])
            await shelf.change(conn, [ShelfChange(n, sale, NOW) for n in ids])
            await ledger.book(conn, [movement(n, sale) for n in ids], NOW)
            for counted, sign in ((await conn.fetch(COUNTED), 1), (before, -1)):
                for table, all_of_them, heap_only in counted:
                    updated[table] += sign * all_of_them
                    hot[table] += sign * heap_only
    assert updated == {"shelf": 6000, "level": 6000}
    assert all(hot[table] >= 0.98 * updated[table] for table in updated), hot
