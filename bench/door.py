"""The door: webhooks stored and answered per second, beside the rawest door there could be.

`python -m bench.door DSN` is the served half, the real Door with a real connector and the grouped
store. Neither intake nor a lane runs beside it: the figure is the door's own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from pydantic import SecretStr

from bench import Row
from bench.serving import run as run_served
from bench.serving import serve
from bench.signing import SECRET
from syncd.connectors.budget import Budget
from syncd.connectors.http import Http
from syncd.connectors.woocommerce import WooCommerce, WooCommerceOptions
from syncd.db.bookmark import ensure_partitions
from syncd.db.migrate import migrate
from syncd.db.pool import Database
from syncd.server import Address, Door, DoorChannel, GroupedStore
from syncd.telemetry.metrics import Metrics
from tests.postgres import Cluster

SECONDS = 4.0
ROUNDS = 5
CONNECTIONS = 32
OFFERED_RATE = 500
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "2GB"}

ASKED_RATIO = 0.75
ASKED_RATE = 4500
ASKED_P99_MS = 40
ASKED_OFFERED_P99_MS = 15


def now() -> datetime:
    return datetime.now(UTC)


async def main(dsn: str) -> None:
    options = WooCommerceOptions(
        base_url="https://shop.example",
        consumer_key=SecretStr("ck"),
        consumer_secret=SecretStr("cs"),
        webhook_secret=(SecretStr(SECRET.decode()),),
    )
    http = Http(options.base_url, Budget(1, 1, workers=1))  # never used: the door only verifies
    connector = WooCommerce(options, http, now)
    database = Database(dsn)
    await database.open()
    store = GroupedStore(database, now, lambda: None)
    door = Door(store, {"shop": DoorChannel(1, connector)}, Metrics(), now)
    [bound] = await door.start(Address("127.0.0.1", 0))
    await serve(bound.port)
    await door.stop()
    await database.close()


@contextmanager
def served(module: str, dsn: str) -> Iterator[int]:
    """That door in a process of its own; gives its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stdout.close()


def load(port: int, rate: int = 0) -> dict[str, Any]:
    """Send for a while; everything must have been answered 200."""
    words = [str(port), str(SECONDS), str(CONNECTIONS), *([str(rate)] if rate else [])]
    answer = subprocess.run(
        [sys.executable, "-m", "bench.load", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=SECONDS * 6 + 60,
    )
    result: dict[str, Any] = json.loads(answer.stdout)
    if set(result["statuses"]) != {"200"}:
        raise RuntimeError(f"not everything was stored: {result['statuses']}")
    return result


async def prepare(dsn: str) -> None:
    database = Database(dsn)
    await database.open()
    await migrate(database)
    async with database.transaction("partitions") as conn:
        await ensure_partitions(conn, now().date())
    await database.close()


async def ask(dsn: str, statement: str) -> Any:
    conn = await asyncpg.connect(dsn)
    try:
        return await conn.fetchval(statement)
    finally:
        await conn.close()


def measure(dsn: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Raw door and real door in turn, so that a busy minute hurts both; then the offered rate."""
    raw, real = [], []
    with served("bench.rawdoor", dsn) as raw_port, served("bench.door", dsn) as port:
        for _ in range(ROUNDS):
            raw.append(load(raw_port))
            real.append(load(port))
        offered = load(port, OFFERED_RATE)
    acked = sum(result["statuses"]["200"] for result in [*real, offered])
    kept = asyncio.run(ask(dsn, "select count(*) from inbox_queue"))
    if kept != acked:
        raise RuntimeError(f"{acked} were answered 200, {kept} are stored")
    return raw, real, offered


def median(results: list[dict[str, Any]], name: str) -> float:
    return sorted(float(result[name]) for result in results)[len(results) // 2]


def run() -> list[Row]:
    cluster = Cluster(durable=True, settings=SETTINGS)
    try:
        cluster.start()
        asyncio.run(prepare(cluster.dsn()))
        raw, real, offered = measure(cluster.dsn())
    finally:
        cluster.remove()
    raw_rate, rate = median(raw, "rate"), median(real, "rate")
    # of neighbouring rounds, so that a machine busy with something else hurts both sides
    pairs = sorted(one["rate"] / other["rate"] for one, other in zip(real, raw, strict=True))
    ratio, p99_ms = pairs[len(pairs) // 2], median(real, "p99_ms")
    offered_ms = offered["p99_ms"]
    raw_words = f"{raw_rate:.0f}/s, p99 {median(raw, 'p99_ms'):.1f} ms"
    return [
        Row(f"raw door, {CONNECTIONS} connections", "-", raw_words),
        Row("door, same load", f">= {ASKED_RATE}/s", f"{rate:.0f}/s", rate >= ASKED_RATE),
        Row("door / raw door", f">= {ASKED_RATIO}", f"{ratio:.2f}", ratio >= ASKED_RATIO),
        Row("door, p99", f"<= {ASKED_P99_MS} ms", f"{p99_ms:.1f} ms", p99_ms <= ASKED_P99_MS),
        Row(
            f"door, p99 at {OFFERED_RATE}/s offered",
            f"<= {ASKED_OFFERED_P99_MS} ms",
            f"{offered_ms:.1f} ms ({offered['rate']:.0f}/s)",
            offered_ms <= ASKED_OFFERED_P99_MS,
        ),
    ]


if __name__ == "__main__":
    run_served(main(sys.argv[1]))
