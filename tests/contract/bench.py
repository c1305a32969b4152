"""Puts a connector and a stand-in store on one bench, with an address that receives its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from syncd.connectors import PLATFORMS
from syncd.connectors.base import (
    Connector,
    Delivered,
    Event,
    Platform,
    Ref,
    RowResult,
    Write,
    WriteOp,
    WriteRow,
)
from syncd.connectors.budget import Budget
from syncd.connectors.http import Http
from syncd.demo.standins.base import Standin
from syncd.errors import Unsigned
from syncd.stock.model import Fact, ListingSeen, OrderHint, OrderSeen, Reading

BOUND_S = 15.0
"""Nothing on the bench takes longer."""


@dataclass(frozen=True)
class Received:
    """One webhook as it arrived at our address."""

    headers: CIMultiDict[str] | CIMultiDictProxy[str]
    body: bytes


@dataclass
class Bench:
    """`connector` speaks to `store`; `hooks` are the webhooks that arrived, `pings` the others."""

    platform: Platform
    store: Standin
    options: Mapping[str, Any]
    connector: Connector
    http: Http
    hooks: list[Received] = field(default_factory=list)
    pings: list[Received] = field(default_factory=list)
    address: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Goes to the connector besides its options."""
    _made: list[tuple[Connector, Http]] = field(default_factory=list)

    def again(self, *, timeout_s: float = 5.0, **changes: Any) -> Connector:
        """Another connector on the same store, with changed options or patience."""
        connector, http = make(self.platform, {**self.options, **changes}, timeout_s, self.more)
        self._made.append((connector, http))
        return connector

    async def subscribe(self) -> None:
        """Register every topic at our address; what arrives meanwhile are pings."""
        for topic in sorted(self.connector.capabilities.topics):
            await self.connector.subscribe(topic, self.address)
        await self.drain()
        self.pings += self.hooks
        self.hooks.clear()

    async def drain(self) -> None:
        """Wait until the store has sent everything it had to say."""
        async with asyncio.timeout(BOUND_S):
            await self.store.sender.idle()

    async def said(self) -> list[Received]:
        """The webhooks since the last call."""
        await self.drain()
        hooks, self.hooks = self.hooks, []
        return hooks

    def parse(self, hook: Received) -> Sequence[Fact]:
        delivered = self.connector.verify(hook.headers, hook.body)
        if delivered.answer is not None:
            return []
        return self.connector.parse(Event(delivered.topic, hook.body, datetime.now(UTC)))

    async def facts(self) -> list[Fact]:
        """What the webhooks since the last call mean, hints about orders followed."""
        found = [fact for hook in await self.said() for fact in self.parse(hook)]
        asked = {fact.order for fact in found if isinstance(fact, OrderHint)}
        return [*found, *(await self.connector.orders(sorted(asked)) if asked else [])]

    async def listings(self) -> list[ListingSeen]:
        rows: list[ListingSeen] = []
        async with asyncio.timeout(BOUND_S):
            async for page in self.connector.listings():
                rows += page.rows
                await asyncio.sleep(min(page.wait_s, 0.05))
        return rows

    async def refs(self) -> dict[str, Ref]:
        """One name per sku; where several locations show it, the one that shows most."""
        rows = sorted(await self.listings(), key=lambda row: row.quantity or 0)
        return {row.sku: Ref(row.remote, row.location, row.sku, row.group) for row in rows}

    async def taken(self, orders: Sequence[OrderSeen]) -> dict[str, int]:
        """Units off the shelf by sku, each order in its newest state."""
        newest: dict[str, OrderSeen] = {}
        for order in orders:
            known = newest.get(order.order)
            if known is None or order.version >= known.version:
                newest[order.order] = order
        names: dict[str, str] = {}
        for row in await self.listings():
            names |= {row.remote: row.sku} | ({row.alias: row.sku} if row.alias else {})
        total: dict[str, int] = {}
        for order in newest.values():
            for line in order.lines:
                sku = line.sku or names.get(line.remote) or names[line.alias]
                total[sku] = total.get(sku, 0) + line.taken
        return total

    async def read(self, refs: Sequence[Ref]) -> list[Reading]:
        """Read any number, in calls as large as allowed."""
        size = self.connector.capabilities.read_max
        found: list[Reading] = []
        for start in range(0, len(refs), size):
            found += await self.connector.read(refs[start : start + size])
        return found

    async def write(
        self, *rows: tuple[Ref, int | None, int], op: WriteOp = WriteOp.SET, key: str = ""
    ) -> list[RowResult]:
        """Rows are (ref, from, to); without a key a new one is used."""
        return list(await self.connector.write(attempt(*rows, op=op, key=key)))


_keys = iter(range(1, 10**9))


def attempt(*rows: tuple[Ref, int | None, int], op: WriteOp = WriteOp.SET, key: str = "") -> Write:
    key = key or f"00000000-0000-4000-8000-{next(_keys):012d}"
    return Write(key, op, tuple(WriteRow(*row) for row in rows))


def make(
    platform: Platform, options: Mapping[str, Any], timeout_s: float, more: Mapping[str, Any]
) -> tuple[Connector, Http]:
    """A connector with a client and a budget of its own, built as the daemon builds them."""
    parsed = platform.options(**options)
    budget = Budget(1e9, 1e9, workers=platform.capabilities.workers)
    http = Http(parsed.base_url, budget, total_timeout_s=timeout_s)
    return platform.connector(parsed, http, lambda: datetime.now(UTC), **more), http


@asynccontextmanager
async def opened(
    store: Standin, more: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncIterator[Bench]:
    """Start the store and everything around it; at the end nothing is left, nor was malformed."""
    await store.start()
    store.faults.buckets = False
    platform = PLATFORMS[store.platform]
    options = {**store.options(), **changes}
    connector, http = make(platform, options, 5.0, more or {})
    bench = Bench(platform, store, options, connector, http, more=more or {})
    bench._made.append((connector, http))
    try:
        async with _receiver(bench):
            yield bench
            await store.sender.close()
    finally:
        await store.stop()
        for made, client in bench._made:
            await made.close()
            await client.close()
            client.budget.close()
    assert store.counters.invalid == [], "the connector sent what the platform refuses"


@asynccontextmanager
async def _receiver(bench: Bench) -> AsyncIterator[None]:
    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            delivered: Delivered = bench.connector.verify(request.headers, body)
        except Unsigned:
            return web.Response(status=401)
        arrived = bench.hooks if delivered.answer is None else bench.pings
        arrived.append(Received(request.headers, body))
        return web.Response(text=delivered.answer or "")

    app = web.Application()
    app.router.add_post("/webhooks/bench", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bench.address = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/bench"
    try:
        yield
    finally:
        await runner.cleanup()
