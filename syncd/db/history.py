"""Looking back at the ledger: an item's movements in the order they were recorded, each with its level.

Read only, and without a lock: a reader never keeps a sale waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.ledger_marks import Mark, sums_in
from syncd.db.pool import Connection

SNAPSHOT = "set transaction isolation level repeatable read, read only"


async def snapshot(conn: Connection) -> None:
    """Everything this transaction reads is of one moment. Its first statement."""
    await conn.execute(SNAPSHOT)


OWN_PLANS = "set local plan_cache_mode = force_custom_plan"


async def own_plans(conn: Connection) -> None:
    """From here on plans are made for the item that is asked for.

    One for all of them reads the whole ledger of the best seller (observed on PostgreSQL 18).
    """
    await conn.execute(OWN_PLANS)


@dataclass(frozen=True, slots=True)
class LevelRow:
    """The level of an item in one warehouse."""

    item_id: int
    warehouse_id: int
    warehouse: str
    quantity: int
    changed_at: datetime
    seeded_at: datetime


LEVELS = """
select v.item_id, v.warehouse_id, w.name as warehouse, v.quantity, v.changed_at, v.seeded_at
from item i join level v on v.item_id = i.id join warehouse w on w.id = v.warehouse_id
where i.sku = $1 order by w.name
"""


async def levels(conn: Connection, sku: str) -> list[LevelRow]:
    """The levels of an item, a row for each warehouse."""
    return [LevelRow(*row) for row in await conn.fetch(LEVELS, sku)]


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement as it stands in the ledger."""

    id: int
    warehouse_id: int
    warehouse: str
    kind: str
    delta: int
    cause: str
    channel: str | None
    actor: str
    note: str
    event_id: int | None
    occurred_at: datetime
    recorded_at: datetime


MOVEMENTS = """
select m.id, m.warehouse_id, w.name as warehouse, m.kind, m.delta, m.cause, c.name as channel, m.actor,
    m.note, m.event_id, m.occurred_at, m.recorded_at
from unnest($1::int[]) as g(warehouse_id)
cross join lateral (
    select * from movement x
    where x.item_id = $2 and x.warehouse_id = g.warehouse_id and ($3::bigint is null or x.id < $3)
      and ($5::timestamptz is null or x.recorded_at <= $5)
    order by x.id desc limit $4
) m
join warehouse w on w.id = m.warehouse_id
left join channel c on c.id = m.channel_id
order by m.id desc limit $4
"""


async def movements(
    conn: Connection,
    item_id: int,
    warehouse_ids: list[int],
    limit: int,
    *,
    before: int | None = None,
    until: datetime | None = None,
) -> list[Moved]:
    """The newest movements of an item in these warehouses, newest first.

    `before`: older than that one; `until`: recorded by then.
    """
    rows = await conn.fetch(MOVEMENTS, warehouse_ids, item_id, before, limit, until)
    return [Moved(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a history begins: before this movement, with these levels by warehouse."""

    before: int | None
    item_id: int
    levels: Mapping[int, int]


async def newest(conn: Connection, sku: str, warehouse: str | None = None) -> Place | None:
    """The beginning of an item's history; None: no such item has a level."""
    rows = [row for row in await levels(conn, sku) if warehouse in (None, row.warehouse)]
    if not rows:
        return None
    return Place(None, rows[0].item_id, {row.warehouse_id: row.quantity for row in rows})


async def page(
    conn: Connection, place: Place, limit: int
) -> tuple[list[tuple[Moved, int]], Place | None]:
    """Movements with the level each of them made, newest first, and where the next page begins."""
    rows = await movements(conn, place.item_id, sorted(place.levels), limit, before=place.before)
    left, found = dict(place.levels), []
    for row in rows:
        found.append((row, left[row.warehouse_id]))
        left[row.warehouse_id] -= row.delta
    following = Place(rows[-1].id, place.item_id, left) if len(rows) == limit else None
    return found, following


@dataclass(frozen=True, slots=True)
class KindSum:
    """What movements of one kind add up to."""

    warehouse_id: int
    kind: str
    count: int
    units: int


SUMS = """
select g.warehouse_id, m.kind, count(*) as count, sum(m.delta)::bigint as units
from unnest($1::int[], $2::bigint[], $3::bigint[]) as g(warehouse_id, base, ceiling)
join movement m on m.item_id = $4 and m.warehouse_id = g.warehouse_id and m.id > g.base
    and m.id <= coalesce(g.ceiling, 9223372036854775807)
    and ($5::timestamptz is null or m.recorded_at <= $5)
group by g.warehouse_id, m.kind
"""


async def sums(
    conn: Connection, item_id: int, marks: Sequence[Mark], until: datetime | None
) -> list[KindSum]:
    """What an item's movements add up to by kind, those recorded until then (None: all)."""
    rows = await conn.fetch(
        SUMS,
        [m.warehouse_id for m in marks],
        [m.base for m in marks],
        [m.ceiling for m in marks],
        item_id,
        until,
    )
    found = [KindSum(*row) for row in rows]
    added = {(x.warehouse_id, x.kind): (x.count, x.units) for x in found}
    for mark in marks:
        for kind, (count, units) in sums_in(mark).items():
            more = added.get((mark.warehouse_id, kind), (0, 0))
            added[mark.warehouse_id, kind] = count + more[0], units + more[1]
    return [KindSum(warehouse, kind, *total) for (warehouse, kind), total in sorted(added.items())]
