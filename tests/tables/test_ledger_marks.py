"""Marks change no sum, at any instant, however the clock that recorded was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from syncd.db import history, ledger_marks
from syncd.db.pool import Connection, Database

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = 3000


@pytest.fixture
async def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Two items in two warehouses, one selling ten times as fast; the clock jitters and was set back once."""
    monkeypatch.setattr(ledger_marks, "PIECE", 700)
    monkeypatch.setattr(ledger_marks, "BUSY", 40)
    dice = Random(3)
    kinds = ["sale", "restock", "adjustment"]
    rows = []
    for n in range(ROWS):
        at = BEGAN + timedelta(seconds=60 * n - (9000 if 1500 < n < 1530 else 0))
        item = 1 if dice.random() < 0.9 else 2
        rows.append(
            (item, dice.choice([1, 2]), dice.randint(-3, 3), dice.choice(kinds), f"c{n}", "x",
             at, at + timedelta(seconds=dice.randint(0, 150)))
        )  # fmt: skip
    async with database.transaction("fill") as conn:
        await conn.execute("insert into warehouse (name) values ('a'), ('b')")
        await conn.execute("insert into item (sku, created_at) values ('X', $1), ('Y', $1)", BEGAN)
        await conn.executemany(
            "insert into movement (item_id, warehouse_id, delta, kind, cause, actor, occurred_at, recorded_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
            rows,
        )
        await conn.execute(
            "insert into level select item_id, warehouse_id, sum(delta), $1, $1 from movement group by 1, 2",
            BEGAN,
        )
    return database


async def summed(
    conn: Connection, item: int, until: datetime | None
) -> dict[tuple[int, str], tuple[int, int]]:
    rows = await conn.fetch(
        "select warehouse_id, kind, count(*), sum(delta)::bigint from movement"
        " where item_id = $1 and ($2::timestamptz is null or recorded_at <= $2) group by 1, 2",
        item,
        until,
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def test_marks_change_no_sum(filled: Database) -> None:
    dice = Random(5)
    instants = [
        None,
        BEGAN,
        NOW,
        *(BEGAN + timedelta(seconds=dice.randint(0, 60 * ROWS)) for _ in range(60)),
    ]
    async with filled.transaction("mark") as conn:
        rounds = 0
        while await ledger_marks.advance(conn, NOW):
            rounds += 1
        assert rounds == ROWS // 700
        made = await conn.fetchval("select count(*) from mark")
        assert made >= 20
        for item in (1, 2):
            for until in instants:
                marks = await ledger_marks.nearest(conn, item, until)
                found = await history.sums(conn, item, marks, until)
                told = {(x.warehouse_id, x.kind): (x.count, x.units) for x in found}
                assert told == await summed(conn, item, until), until
        newest = await ledger_marks.nearest(conn, 1, None)
        assert all(m.base > 2000 for m in newest), "the newest marks are used"


async def test_what_may_have_company_is_not_marked_yet(filled: Database) -> None:
    async with filled.transaction("mark") as conn:
        assert not await ledger_marks.advance(conn, BEGAN + timedelta(minutes=705))
        assert await ledger_marks.advance(conn, BEGAN + timedelta(minutes=800))
        assert not await ledger_marks.advance(conn, BEGAN + timedelta(minutes=800))


async def test_a_past_instant_reads_few_of_many(filled: Database) -> None:
    """Between the marks around it, an instant has no more movements than one bucket or two."""
    async with filled.transaction("mark") as conn:
        while await ledger_marks.advance(conn, NOW):
            pass
        until = BEGAN + timedelta(seconds=60 * 900)
        for mark in await ledger_marks.nearest(conn, 1, until):
            assert mark.ceiling is not None
            read = await conn.fetchval(
                "select count(*) from movement where item_id = 1 and warehouse_id = $1 and id > $2 and id <= $3",
                mark.warehouse_id,
                mark.base,
                mark.ceiling,
            )
            assert 0 < read <= 160
