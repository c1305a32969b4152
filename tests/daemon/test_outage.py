"""The database away: honest answers meanwhile, recovery by itself, and a quick start with work waiting."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b

import aiohttp

from syncd.db import inbox
from syncd.db.inbox import NewEvent
from syncd.db.pool import Database
from syncd.demo.standins.base import Standin
from syncd.demo.standins.shopify import ShopifyStandin
from tests.daemon.daemon import Process, say, until
from tests.daemon.shoppers import Tally, never_give_up, wrong
from tests.postgres import Cluster

HONEST_S = 1.0
BACK_S = 5.0
WAITING = 10_000


class Poster:
    """Posts signed webhooks to one channel; keeps statuses and seconds."""

    def __init__(self, process: Process, shop: ShopifyStandin, session: aiohttp.ClientSession):
        self.url = f"http://127.0.0.1:{process.door}/webhooks/shopify"
        self.shop = shop
        self.session = session
        self.sent = 0

    async def __call__(self) -> tuple[int, float, str]:
        self.sent += 1
        body = json.dumps({"inventory_item_id": 1, "location_id": 1, "n": self.sent}).encode()
        headers = self.shop.headers("inventory_levels/update", body, "event")
        began = time.monotonic()
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            await answer.read()
            return (
                answer.status,
                time.monotonic() - began,
                answer.headers.get("Retry-After", ""),
            )


async def test_without_a_database_nothing_is_said_to_be_stored(
    make_process: Callable[..., Process],
    new_cluster: Callable[..., Cluster],
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    cluster = await asyncio.to_thread(new_cluster)
    process = make_process(cluster.dsn(), stores)
    await process.start()
    await process.seeded()
    shop = stores["shopify"]
    assert isinstance(shop, ShopifyStandin)
    async with aiohttp.ClientSession() as session:
        post = Poster(process, shop, session)
        assert (await post())[0] == 200
        pid = process.pid
        await asyncio.to_thread(cluster.stop, "immediate")
        answers = [await post() for _ in range(10)]
        answers += await asyncio.gather(*(post() for _ in range(200)))
        status, body = await process.get("/health/ready")
        assert {status for status, _, _ in answers} == {503}
        assert all(int(after) > 0 for _, _, after in answers)
        worst_s = max(took_s for _, took_s, _ in answers)
        assert worst_s <= HONEST_S + 0.25, "the answer came too late"
        assert status == 503
        assert json.loads(body)["checks"]["database"]["ok"] is False
        assert (await process.get("/health/live"))[0] == 200
        await asyncio.to_thread(cluster.start)
        began = time.monotonic()

        async def taken() -> bool:
            return (await post())[0] == 200

        back_s = await until(taken, BACK_S, lambda: f"storing again\n{process.words()}")
        await until(process.is_ready, BACK_S)
        ready_s = time.monotonic() - began
    assert process.running
    assert process.pid == pid
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    await stores["woocommerce"].sell({"ITEM-00": 1})
    await until(lambda: not wrong(units, stores), 20, lambda: str(wrong(units, stores)))
    assert process.said("walker.failed") == []
    say(
        f"database down: {len(answers)} webhooks, all 503, slowest {worst_s:.2f} s; "
        f"stored again {back_s:.2f} s and ready {ready_s:.2f} s after it was back"
    )


async def test_a_database_that_goes_and_comes_costs_no_webhook(
    make_process: Callable[..., Process],
    new_cluster: Callable[..., Cluster],
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    """Sales while it is away are shown everywhere as soon as senders and database meet again."""
    cluster = await asyncio.to_thread(new_cluster)
    process = make_process(cluster.dsn(), stores)
    await process.start()
    await process.seeded()
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    for _ in range(2):
        await asyncio.to_thread(cluster.stop, "immediate")
        for store in stores.values():
            await store.sell({"ITEM-01": 2, "ITEM-02": 1})
        await until(lambda: tally.refused >= 3, 10, "refusals")
        await asyncio.to_thread(cluster.start)
        await until(lambda: not wrong(units, stores), 20, lambda: str(wrong(units, stores)))


async def test_ready_soon_after_a_kill_with_work_waiting(process: Process, own_dsn: str) -> None:
    await process.kill()
    await wait_in_line(own_dsn, WAITING)
    ready_s = await process.start()
    assert ready_s <= 10
    booked_s = await until(process.inbox_empty, 60, "the inbox booked")
    say(
        f"ready {ready_s:.2f} s after the start with {WAITING} events, booked {booked_s:.1f} s later"
    )


async def wait_in_line(dsn: str, count: int) -> None:
    """Put so many hints of Shopify's first level into the inbox, as the door does."""
    database = Database(dsn, min_size=1, max_size=1)
    await database.open()
    try:
        now = datetime.now(UTC)
        async with database.transaction("wait_in_line") as conn:
            sql = """
                select c.id, l.remote, l.location from listing l join channel c on c.id = l.channel_id
                where c.name = 'shopify' order by l.id limit 1
            """
            channel, remote, location = await conn.fetchrow(sql)
            row = {"inventory_item_id": int(remote), "location_id": int(location), "available": 1}
            events = [
                NewEvent(
                    channel,
                    blake2b(b"%d" % n, digest_size=16).digest(),
                    "inventory_levels/update",
                    json.dumps(row).encode(),
                    None,
                    now,
                )
                for n in range(count)
            ]
            assert await inbox.store(conn, events, now) == count
    finally:
        await database.close()
