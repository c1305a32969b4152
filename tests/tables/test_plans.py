"""Hot statements find their rows by an index, however large the tables have grown."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncd.db import (
    bookmark,
    catalog,
    inbox,
    ledger,
    links,
    outbox,
    shelf,
    standing,
    stocklist,
    suspicion,
)
from syncd.db.pool import Database

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ITEMS = 20_000
BIG = {
    "listing",
    "shelf",
    "item",
    "level",
    "movement",
    "order_line",
    "sales_order",
    "inbox",
    "inbox_queue",
    "outbox",
    "look",
    "suspicion",
    "suspense",
}

FILL = (
    "insert into channel (name, platform) select 'c' || n, 'memory' from generate_series(1, 4) n",
    "insert into warehouse (name) values ('main')",
    f"insert into item (sku, created_at) select 'SKU-' || n, '{NOW}' from generate_series(1, {ITEMS}) n",
    "insert into place select c, '', 1 from generate_series(1, 3) c",
    f"""insert into listing (channel_id, location, remote, alias, sku, item_id, warehouse_id, managed)
        select c, '', 'r' || n, 'a' || n, 'SKU-' || n, n, 1, true
        from generate_series(1, 3) c, generate_series(1, {ITEMS}) n""",
    "insert into shelf (listing_id, shown) select id, 5 from listing",
    f"insert into level select id, 1, 5, '{NOW}', '{NOW}' from item",
    f"""insert into movement (item_id, warehouse_id, delta, kind, cause, actor, occurred_at, recorded_at)
        select i.id, 1, 1, 'sale', 'c' || n, 'c1', '{NOW}', '{NOW}'
        from item i, generate_series(1, 3) n""",
    f"""insert into sales_order select 1, 'o' || n, '', 1, '\\x00', false
        from generate_series(1, {ITEMS}) n""",
    f"""insert into order_line select 1, 'o' || n, '1', '', n, n, 1, 1, 1, 1
        from generate_series(1, {ITEMS}) n""",
    f"""insert into inbox (channel_id, topic, body, received_at)
        select 1, 'orders/update', convert_to(repeat('x', 700), 'UTF8'), '{NOW}' from generate_series(1, {ITEMS})""",
    "insert into inbox_queue select id, channel_id, received_at, received_at from inbox",
    f"""insert into outbox (listing_id, channel_id, rank, risk, owed_at, not_before)
        select id, channel_id, id % 3, 0, '{NOW}'::timestamptz - id * interval '1 ms', '{NOW}'
        from listing where id % 2 = 0""",
    f"""insert into suspicion select id, item_id, warehouse_id, 1, -1, '{NOW}'
        from listing where id % 3 = 0""",
    f"""insert into suspense (listing_id, item_id, warehouse_id, reason, candidates, proposal, evidence, created_at)
        select id, item_id, warehouse_id, 'spent_key', '{{-1, 0}}', 0, '{{}}', '{NOW}'
        from listing where id % 3 = 1""",
    f"""insert into look (listing_id, channel_id, reason, wished_at, not_before)
        select id, channel_id, 'hint', '{NOW}', '{NOW}' from listing where id % 5 = 0""",
)

SOME = range(100, 300)


class Explaining:
    """A connection that explains what it is asked before it does it."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.read: list[tuple[str, str]] = []
        """(kind of scan, table) of all that was asked."""

    async def _explain(self, statement: str, arguments: Sequence[Any]) -> None:
        said = await self._conn.fetchval(f"explain (format json) {statement}", *arguments)
        self.read += scans(json.loads(said)[0]["Plan"])

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, arguments)
        return await self._conn.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, arguments)
        return await self._conn.fetchrow(statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, arguments)
        return await self._conn.execute(statement, *arguments)


def scans(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    if "Relation Name" in node:
        table = str(node["Relation Name"])
        found.append((str(node["Node Type"]), "inbox" if table == f"inbox_{NOW:%Y%m%d}" else table))
    for child in node.get("Plans", []):
        found += scans(child)
    return found


def movement(n: int) -> ledger.Movement:
    return ledger.Movement(n, 1, -1, "sale", f"x{n}", 1, None, "c1", "", NOW)


def listing(n: int) -> catalog.NewListing:
    return catalog.NewListing("", f"r{n}", f"a{n}", "", f"SKU-{n}", "", 1, True, "")


def line(n: int) -> catalog.LineWanted:
    return catalog.LineWanted(1, "", f"r{n}" if n % 2 else "", f"a{n}", f"SKU-{n}", 1)


def order(n: int) -> ledger.OrderNew:
    return ledger.OrderNew(1, f"o{n}", "", 2, b"", False)


def owe(n: int) -> outbox.Owe:
    return outbox.Owe(n, 1, 1, 1, None)


def suspected(n: int) -> suspicion.Suspicion:
    return suspicion.Suspicion(n, n, 1, n % 2, -(n % 2))


CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "inbox.claim": lambda c: inbox.claim(c, NOW, 500),
    "outbox.candidates": lambda c: outbox.candidates(
        c, 1, NOW, 50, owed_before=NOW - timedelta(seconds=1), despite_looks=False
    ),
    "outbox.wanted": lambda c: outbox.wanted(c, list(SOME)),
    "shelf.owed_looks": lambda c: shelf.owed_looks(c, 1, NOW, 50, []),
    "outbox.due": lambda c: outbox.due(c, 1, NOW, [], []),
    "suspicion.keep": lambda c: suspicion.keep(c, [suspected(n) for n in SOME], NOW),
    "standing.date": lambda c: standing.date(c, [(n, 1) for n in SOME], NOW),
    "outbox.owe": lambda c: outbox.owe(c, [owe(n) for n in SOME], NOW),
    "shelf.lock": lambda c: shelf.lock(c, list(SOME), [(n, 1) for n in SOME]),
    "shelf.wish": lambda c: shelf.wish(c, list(SOME), "hint", NOW),
    "shelf.due_looks": lambda c: shelf.due_looks(c, 1, NOW, 50, []),
    "shelf.change": lambda c: shelf.change(c, [shelf.ShelfChange(n, 1, NOW) for n in SOME]),
    "shelf.hint": lambda c: shelf.hint(
        c, [(1, "", f"r{n}", 3, NOW) for n in SOME], NOW, [0.0] * len(SOME)
    ),
    "catalog.resolve": lambda c: catalog.resolve(c, [line(n) for n in SOME]),
    "catalog.look_up": lambda c: catalog.look_up(c, 1, [listing(n) for n in SOME]),
    "links.bearers": lambda c: links.bearers(
        c, *([f"{word}-{n}" for n in SOME] for word in ("SKU", "B", "H"))
    ),
    "links.waiting": lambda c: links.waiting(
        c, [links.NewItem(f"SKU-{n}", f"B-{n}", f"H-{n}") for n in SOME]
    ),
    "links.link_by_sku": lambda c: links.link_by_sku(c, [f"SKU-{n}" for n in SOME]),
    "links.occupied": lambda c: links.occupied(c, 1, list(SOME)),
    "links.follow": lambda c: links.follow(c, listing_ids=list(SOME)),
    "links.listed": lambda c: links.listed(c, 1, "r7", None),
    "stocklist.item_page": lambda c: stocklist.item_page(c, "SKU-1", None, 500),
    "stocklist.of_items": lambda c: stocklist.of_items(c, list(SOME), None),
    "ledger.enter_orders": lambda c: ledger.enter_orders(c, [order(n) for n in SOME]),
    "ledger.lines": lambda c: ledger.lines(c, [(1, f"o{n}") for n in SOME]),
    "ledger.levels": lambda c: ledger.levels(c, [(n, 1) for n in SOME]),
    "ledger.book": lambda c: ledger.book(c, [movement(n) for n in SOME], NOW),
}


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.transaction("fill") as conn:
        await bookmark.ensure_partitions(conn, NOW.date())
        for statement in FILL:
            await conn.execute(statement)
    async with database.connection("analyze") as conn:
        await conn.execute("analyze")
    return database


async def test_no_hot_statement_reads_a_big_table_from_end_to_end(filled: Database) -> None:
    """One test for all: filling the tables is what takes the time."""
    offending = {}
    for name, call in CALLS.items():
        async with filled.transaction("explain") as conn:
            explaining = Explaining(conn)
            await call(explaining)
        assert explaining.read, name
        wrong = {table for kind, table in explaining.read if kind == "Seq Scan" and table in BIG}
        if wrong:
            offending[name] = sorted(wrong)
    assert offending == {}


async def test_a_scan_from_end_to_end_would_be_seen(filled: Database) -> None:
    async with filled.transaction("explain") as conn:
        explaining = Explaining(conn)
        await explaining.fetch("select count(*) from shelf where shown = 5")
    assert ("Seq Scan", "shelf") in explaining.read
