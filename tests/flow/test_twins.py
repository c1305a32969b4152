"""The twins of simulated runs do to dictionaries what SQL does to tables: a storm in which both are asked.

Every call of the walkers goes to the database and to the dictionaries, and both must give the same;
in the end both must hold the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from syncd.db.ledger import LineRow
from syncd.db.pool import Database
from syncd.db.shelf import Hinted
from tests.flow.storm import CHARACTERS, FIRST, MANY, SKUS, Storm
from tests.flow.town import Town
from tests.rules.simulator.registry import twins
from tests.rules.simulator.tables import (
    ChannelRow,
    LevelRow,
    Listing,
    LookRow,
    OrderLook,
    OrderState,
    OutboxRow,
    ShelfRow,
    Tables,
)

STEPS = 80


def columns(row: type) -> list[str]:
    return [field.name for field in dataclasses.fields(row)]


async def keyed(town: Town, table: str, keys: str, row: type) -> dict[Any, Any]:
    """The rows of a table by key, as the dictionaries have them."""
    there = {
        one[0]
        for one in await town.rows(
            "select column_name::text from information_schema.columns where table_name = $1", table
        )
    }
    names = [name for name in columns(row) if name in there]
    width = len(keys.split(","))
    found = await town.rows(f"select {keys}, {', '.join(names)} from {table}")
    return {
        (one[0] if width == 1 else one[:width]): row(**dict(zip(names, one[width:], strict=True)))
        for one in found
    }


async def loaded(town: Town) -> Tables:
    """The dictionaries as a database at rest fills them."""
    t = Tables()
    t.turn = (await town.rows("select last_value - (not is_called)::int from turn"))[0][0]
    t.channels = await keyed(town, "channel", "id", ChannelRow)
    t.warehouses = dict(await town.rows("select id, seeded_at from warehouse"))
    t.items = dict(await town.rows("select sku, id from item"))
    t.listings = await keyed(town, "listing", "id", Listing)
    t.named = {(x.channel_id, x.location, x.remote): x.id for x in t.listings.values()}
    t.movements = {tuple(x): None for x in await town.rows("select item_id, warehouse_id, cause from movement")}  # fmt: skip
    t.seen = set(await town.rows("select channel_id, digest from delivery_seen"))
    t.last_event = (await town.rows("select last_value - (not is_called)::int from inbox_id"))[0][0]
    await _fill(town, t)
    for line in await _lines(town):
        t.lines[line.channel_id, line.order_id][line.line_id, line.location] = line
    return t


async def _fill(town: Town, t: Tables) -> None:
    t.levels = await keyed(town, "level", "item_id, warehouse_id", LevelRow)
    t.shelves = await keyed(town, "shelf", "listing_id", ShelfRow)
    t.orders = await keyed(town, "sales_order", "channel_id, order_id", OrderState)
    t.looks = await keyed(town, "look", "listing_id", LookRow)
    t.order_looks = await keyed(town, "order_look", "channel_id, order_id", OrderLook)
    t.outbox = await keyed(town, "outbox", "listing_id", OutboxRow)


async def _lines(town: Town) -> list[LineRow]:
    names = [name for name in columns(LineRow) if name != "seeded_at"]
    found = await town.rows(f"select {', '.join(names)} from order_line")
    return [LineRow(**dict(zip(names, row, strict=True))) for row in found]


def told(value: Any) -> Any:
    """A result as it is compared: SQL gives rows, and distinct channels, in any order."""
    if isinstance(value, Hinted):
        return dataclasses.replace(value, channels=sorted(value.channels))
    return sorted(value, key=repr) if isinstance(value, list | set) else value


def both(
    name: str, real: Callable[..., Any], twin: Callable[..., Any], tables: Tables
) -> Callable[..., Any]:
    async def asked(conn: Any, *args: Any, **how: Any) -> Any:
        found = await real(conn, *args, **how)
        mine = await twin(tables, *args, **how)
        if name == "candidates":
            # which of equally urgent ones are taken is left to the database
            mine = [x for x in mine if x in found] if len(mine) == len(found) else mine
        assert told(mine) == told(found), f"{name}{args}: the twin gives {mine}, SQL {found}"
        return found

    return asked


@pytest.mark.parametrize("seed", range(4))
async def test_twins_do_what_sql_does(
    database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = Random(seed)
    town = Town(database, f"twins-{seed}")
    for number, character in enumerate(rng.sample(list(CHARACTERS), 3)):
        store = town.store(f"{number}-{character}", {**CHARACTERS[character], **MANY})
        store.faults.rng = Random(seed * 7 + number)
        for sku in SKUS:
            store.add(sku, FIRST)
    try:
        await town.open()
        await town.seed()
        tables = await loaded(town)
        for module, name, twin in list(twins()):
            if name not in ("pull_back", "store_fresh"):  # called by other functions with a twin
                monkeypatch.setattr(module, name, both(name, getattr(module, name), twin, tables))
        storm = Storm(town, rng)
        storm.let_calls_overlap()
        for _ in range(STEPS):
            await storm.step()
        now = Tables()
        await _fill(town, now)
        for kept in ("levels", "shelves", "orders", "looks", "order_looks", "outbox"):
            assert getattr(tables, kept) == getattr(now, kept), kept
        attempts = dict(await town.rows("select id, times_sent from attempt"))
        assert {key: a.times_sent for key, a in tables.attempts.items()} == attempts
        lines = [line for of_order in tables.lines.values() for line in of_order.values()]
        assert sorted(lines, key=repr) == sorted(await _lines(town), key=repr)
    finally:
        await town.close()
