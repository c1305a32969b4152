"""Explain: the whole derivation of an item's numbers, now and at a past instant, over 10 000 000 movements."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg

from bench import Row
from bench.scene import SETTINGS
from syncd.cli.output import as_text
from syncd.db import bookmark, ledger_marks
from syncd.db.migrate import migrate
from syncd.db.pool import Database
from syncd.explain import explain
from syncd.stock.model import Edits, Truth
from syncd.stock.policy import Policy
from syncd.stock.rulebook import ChannelRules, Rulebook
from tests.postgres import Cluster

MOVEMENTS = int(os.environ.get("SYNCD_BENCH_MOVEMENTS", "10000000"))
ITEMS = MOVEMENTS // 100
ASKED = 2000
ASKED_MS = 50.0
SPAN = timedelta(days=300)
LINES_PER_LISTING = 5

FILL: Sequence[str] = (
    """insert into channel (name, platform, orders_asked_at)
       select name, 'memory', $1 from unnest(array['uk', 'sw', 'woo']) name""",
    "insert into warehouse (name, seeded_at) values ('main', $1)",
    "insert into place (channel_id, location, warehouse_id) select id, '', 1 from channel",
    f"insert into item (sku, created_at) select 'SKU-' || n, $1 from generate_series(1, {ITEMS}) n",
    """insert into listing (channel_id, location, remote, sku, title, item_id, warehouse_id, managed)
       select c.id, '', 'r' || i.id, i.sku, 'Thing ' || i.id, i.id, 1, true from channel c, item i""",
    "alter table movement drop constraint movement_pkey",
    "alter table movement drop constraint movement_cause_item_id_warehouse_id_key",
    # as things sell: the best of a hundred thousand two in a hundred, half of them hardly ever
    f"""insert into movement (item_id, warehouse_id, delta, kind, cause, channel_id, actor, note,
                              occurred_at, recorded_at)
        select case when n <= {ITEMS} then n else 1 + floor({ITEMS} * random() ^ 3)::bigint end, 1,
            case when n <= {ITEMS} then 1000 when random() < 0.9 then -1 else 9 end,
            case when n <= {ITEMS} then 'seed' when random() < 0.95 then 'sale' else 'adjustment' end,
            'uk:order:' || n || ':line:1:r1', 1 + n % 3, 'uk', '#' || n,
            $1::timestamptz + interval '{SPAN.days} days' * (n::float8 / {MOVEMENTS}),
            $1::timestamptz + interval '{SPAN.days} days' * (n::float8 / {MOVEMENTS})
        from generate_series(1::bigint, {MOVEMENTS}::bigint) n""",
    "alter table movement add primary key (item_id, warehouse_id, id)",
    "alter table movement add unique (cause, item_id, warehouse_id)",
    """insert into level (item_id, warehouse_id, quantity, changed_at, seeded_at)
       select item_id, 1, sum(delta), max(recorded_at), min(recorded_at) from movement group by item_id""",
    """insert into shelf (listing_id, shown, shown_at)
       select l.id, v.quantity, v.changed_at from listing l join level v on v.item_id = l.item_id""",
    """insert into outbox (listing_id, channel_id, rank, risk, owed_at, not_before)
        select id, channel_id, 1, 1, now(), now() from listing where id % 100 = 0""",
    f"""insert into journal (at, channel_id, listing_id, sku, outcome, before, after, detail)
        select $1::timestamptz + interval '{SPAN.days} days' * ((n + random()) / {LINES_PER_LISTING}),
            l.channel_id, l.id, l.sku, 'delivered', 9, 8,
            jsonb_build_object('attempt', gen_random_uuid(), 'op', 'set', 'level', 8)
        from listing l, generate_series(0, {LINES_PER_LISTING - 1}) n""",
)


def run() -> list[Row]:
    made = Cluster(durable=True, settings=SETTINGS)
    try:
        made.start()
        return asyncio.run(_measure(made))
    finally:
        made.remove()


async def _measure(made: Cluster) -> list[Row]:
    began = datetime.now(UTC) - SPAN
    database = Database(made.dsn(), min_size=1, max_size=2)
    await database.open()
    try:
        await migrate(database)
        fill_s = await _fill(made.dsn(), began)
        began_s = time.perf_counter()
        more = True
        while more:
            async with database.transaction("mark_ledger") as conn:
                more = await ledger_marks.advance(conn, datetime.now(UTC) + timedelta(days=1))
        mark_s = time.perf_counter() - began_s
        async with database.transaction("hottest") as conn:
            hottest = await conn.fetch(
                "select item_id, count(*) from movement group by 1 order by 2 desc limit 1"
            )
        dice = Random(1)

        def sold() -> str:
            return f"SKU-{1 + int(ITEMS * dice.random() ** 3)}"

        def any_item() -> str:
            return f"SKU-{dice.randint(1, ITEMS)}"

        def best() -> str:
            return f"SKU-{hottest[0][0]}"

        rows = [
            Row(
                f"filled with {MOVEMENTS} movements of {ITEMS} items, {3 * ITEMS} listings",
                "-",
                f"{fill_s:.0f} s; the best has {hottest[0][1]}",
            ),
            Row("marks made on all of them, behind the sales", "-", f"{mark_s:.1f} s"),
        ]
        for words, choose, count in (
            ("items as they sell", sold, ASKED),
            ("items at random", any_item, ASKED),
            ("the best seller", best, ASKED // 10),
        ):
            for when, at in (("now", None), ("at a past instant", began)):

                async def ask(choose: Callable[[], str] = choose, at: datetime | None = at) -> None:
                    past = None if at is None else at + SPAN * dice.random()
                    async with database.transaction("explain") as conn:
                        found = await explain(conn, RULES, choose(), datetime.now(UTC), at=past)
                    assert found is not None
                    assert len(found.listings) == 3
                    json.dumps(found.plain(), default=as_text)

                rows.append(await _timed(f"{words}, {when}", ask, count))
        return rows
    finally:
        await database.close()


RULES = Rulebook(
    {
        n: ChannelRules(
            n, name, "memory", Truth.ORDERS, Edits.OVERWRITE,
            blind=True, locations={"*": 1}, policy=Policy(percent=50, buffer=2, cap=20),
        )
        for n, name in enumerate(("uk", "sw", "woo"), 1)
    }
)  # fmt: skip


async def _fill(dsn: str, began: datetime) -> float:
    before_s = time.perf_counter()
    conn = await asyncpg.connect(dsn)
    try:
        day = began.date()
        while day <= (began + SPAN).date():
            await bookmark.ensure_partitions(conn, day)
            day += timedelta(days=25)
        for statement in FILL:
            await conn.execute(statement, *([began] if "$1" in statement else []), timeout=1800)
        await conn.execute("vacuum analyze", timeout=1800)
    finally:
        await conn.close()
    return time.perf_counter() - before_s


async def _timed(what: str, ask: Callable[[], Awaitable[None]], count: int) -> Row:
    took_ms = []
    for _ in range(count):
        began_s = time.perf_counter()
        await ask()
        took_ms.append((time.perf_counter() - began_s) * 1000)
    took_ms.sort()
    p50, p99 = took_ms[count // 2], took_ms[int(count * 0.99)]
    return Row(
        f"explain of {words_of(count)}{what}: p99", f"<= {ASKED_MS:.0f} ms",
        f"{p99:.1f} ms (p50 {p50:.1f})", p99 <= ASKED_MS,
    )  # fmt: skip


def words_of(count: int) -> str:
    return f"{count} " if count > 1 else ""
