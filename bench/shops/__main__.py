"""`python -m bench.shops ITEMS SHOP:PLATFORM… [--limited]`: prints the ports, then obeys.

One JSON line is an order: `do` names it, the rest is what it needs; one JSON line answers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvloop
from msgspec.json import decode, encode

from bench.shops.shelf import Bucket
from bench.shops.shoppers import Load, buy, like_shoppers
from bench.shops.world import World

SHOWN_S = 10
"""How long after the last sale a watched one may still be shown."""

Words = dict[str, Any]


async def sell(world: World, asked: Words) -> Words:
    """Shoppers for `seconds` at `rate`; `watch`: until the last other shelf shows each sale."""
    load, watch = Load(), bool(asked.get("watch"))
    await load.connect(asked["door"], asked.get("connections", 32))
    world.sales.clear()
    bought = await buy(world, load, asked["rate"], asked["seconds"], watch=watch)
    if watch:
        await _until(lambda: all(sale.shown_s for sale in world.sales), SHOWN_S)
    load.close()
    counted = world.sales[len(world.sales) // 10 :]
    shown_s = [sale.shown_s - sale.at_s for sale in counted if sale.shown_s]
    return {
        "orders": bought.orders,
        "webhooks": sum(load.statuses.values()),
        "rate": bought.orders / bought.all_acked_s,
        "offered_s": bought.offered_s,
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "most_late": load.most_late,
        "ack_ms": spread_ms(load.acks_s),
        "propagation_ms": spread_ms(shown_s),
        "unshown": sum(not sale.shown_s for sale in world.sales),
    }


async def backlog(world: World, asked: Words) -> Words:
    """Put events straight into the inbox, as the door would have, while nobody books."""
    conn = await asyncpg.connect(asked["dsn"])
    ids = {row[1]: row[0] for row in await conn.fetch("select id, name from channel")}
    shops, choose = list(world.shops.values()), like_shoppers(world.items)
    now, events = datetime.now(UTC), list[tuple[int, str, bytes, datetime]]()
    number = 0
    while len(events) < asked["events"]:
        shop = shops[number % len(shops)]
        number += 1
        for topic, payload in world.sale(shop, next(choose), watch=False):
            events.append((ids[shop.shelf.name], topic, payload, now))
    async with conn.transaction():
        columns = ["channel_id", "topic", "body", "received_at"]
        await conn.copy_records_to_table("inbox", records=events, columns=columns)
        await conn.execute(
            "insert into inbox_queue (event_id, channel_id, received_at, not_before)"
            " select id, channel_id, received_at, received_at from inbox where received_at = $1",
            now,
        )
    await conn.execute("analyze inbox_queue")
    await conn.close()
    return {"events": len(events), "orders": number}


async def settled(world: World, asked: Words) -> Words:
    """Wait until every shelf shows what is left."""
    began_s = time.perf_counter()
    await _until(lambda: not world.unequal(), asked["seconds"])
    return {"unequal": world.unequal(), "seconds": time.perf_counter() - began_s}


async def limit(world: World, _: Words) -> Words:
    """From now on every shop has its platform's real bucket, and it is full."""
    for shop in world.shops.values():
        shop.shelf.bucket = Bucket(*shop.real_bucket)
    return {}


async def counts(world: World, _: Words) -> Words:
    """How often each shop did what."""
    return {name: dict(shop.shelf.tally) for name, shop in world.shops.items()}


ORDERS: dict[str, Callable[[World, Words], Awaitable[Words]]] = {
    "sell": sell,
    "backlog": backlog,
    "settled": settled,
    "counts": counts,
    "limit": limit,
}


async def _until(true: Callable[[], bool], timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not true():  # noqa: ASYNC110 - shelves ring no bell
                await asyncio.sleep(0.1)


def spread_ms(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    return {
        "p50": 1000 * ordered[len(ordered) // 2],
        "p99": 1000 * ordered[int(len(ordered) * 0.99)],
        "max": 1000 * ordered[-1],
    }


async def main(items: int, shops: list[str], *, limited: bool) -> None:
    world = World(items, shops, limited=limited)
    print(encode(await world.open()).decode(), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = decode(line)
        print(encode(await ORDERS[asked["do"]](world, asked)).decode(), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    real = "--limited" in words
    uvloop.run(main(int(words[0]), [w for w in words[1:] if ":" in w], limited=real))
