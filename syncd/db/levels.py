"""Levels as plans and files see them: as of a moment, by name, and the listings that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.standing import columns
from syncd.stock.standing import Standing


@dataclass(frozen=True, slots=True)
class LevelThen:
    """A level as it is now, and what was booked of what happened later than a moment."""

    item_id: int
    warehouse_id: int
    quantity: int
    later: int


LEVELS_THEN = """
select v.item_id, v.warehouse_id, v.quantity,
    coalesce(case when v.changed_at > g.at
        then (select sum(m.delta) from movement m
              where m.item_id = v.item_id and m.warehouse_id = v.warehouse_id
                and m.occurred_at > g.at) end, 0)::bigint as later
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as g(item_id, warehouse_id, at)
join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
"""


async def levels_then(
    conn: Connection, asked: Sequence[tuple[int, int, datetime]]
) -> list[LevelThen]:
    """The levels of (item, warehouse, moment) that are counted, to be seen as of that moment."""
    columns = [a[0] for a in asked], [a[1] for a in asked], [a[2] for a in asked]
    return [LevelThen(*row) for row in await conn.fetch(LEVELS_THEN, *columns)]


LISTED = f"""
select {columns("l", "v")}, l.id as listing_id, l.channel_id, l.item_id, l.warehouse_id,
    coalesce(l.known_as, l.sku) as sku, s.shown, l.withheld, l.orphaned
from (
    select g.item_id, g.warehouse_id from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
    union
    select p.bundle_id, g.warehouse_id from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
    join component p on p.component_id = g.item_id
) g
join listing l on l.item_id = g.item_id and l.warehouse_id = g.warehouse_id
join shelf s on s.listing_id = l.id
left join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
where l.gone_at is null and l.skip = '' and l.managed
"""


@dataclass(frozen=True, slots=True)
class Listed(Standing):
    """A listing that is served, with what it shows."""

    listing_id: int
    channel_id: int
    item_id: int
    warehouse_id: int
    sku: str
    shown: int | None
    withheld: str
    orphaned: bool


async def listed(conn: Connection, keys: Sequence[tuple[int, int]]) -> list[Listed]:
    """The listings that show these (item, warehouse) pairs, and those of bundles made of them."""
    rows = await conn.fetch(LISTED, [k[0] for k in keys], [k[1] for k in keys])
    return [Listed(*row) for row in rows]


SERVED = """
select channel_id, count(*) from listing
where item_id is not null and gone_at is null and skip = '' group by channel_id
"""


async def served(conn: Connection) -> dict[int, int]:
    """How many listings of each channel are served."""
    return {row[0]: row[1] for row in await conn.fetch(SERVED)}


LEVEL_PAGE = """
select i.sku, w.id as warehouse_id, w.name as warehouse, v.quantity
from item i
join level v on v.item_id = i.id
join warehouse w on w.id = v.warehouse_id
where i.sku >= $2 and (i.sku, w.id) > ($2, $3) and ($1::text is null or w.name = $1)
  and not exists (select from bundle b where b.item_id = i.id)
order by i.sku, w.id limit $4
"""


@dataclass(frozen=True, slots=True)
class LevelRow:
    """A level by its names."""

    sku: str
    warehouse_id: int
    warehouse: str
    quantity: int


async def level_page(
    conn: Connection, warehouse: str | None, after: tuple[str, int], limit: int
) -> list[LevelRow]:
    """Levels in order of sku and warehouse, after this one; of one warehouse, or of all.

    A bundle has none: what it had before is not told.
    """
    rows = await conn.fetch(LEVEL_PAGE, warehouse, *after, limit)
    return [LevelRow(*row) for row in rows]


WAREHOUSES = "select id, name from warehouse order by name"


async def warehouses(conn: Connection) -> dict[str, int]:
    """Every warehouse ever configured: ids by name."""
    return {row[1]: row[0] for row in await conn.fetch(WAREHOUSES)}


LEVEL_OF = """
select v.quantity from level v join item i on i.id = v.item_id join warehouse w on w.id = v.warehouse_id
where i.sku = $1 and w.name = $2
"""


async def level_of(conn: Connection, sku: str, warehouse: str) -> int | None:
    """The level of one sku; None: it is not counted there."""
    found: int | None = await conn.fetchval(LEVEL_OF, sku, warehouse)
    return found


LEVEL_SUMS = """
select i.sku, w.name, v.quantity, coalesce(sum(m.delta), 0)::bigint
from level v
join item i on i.id = v.item_id
join warehouse w on w.id = v.warehouse_id
left join movement m on m.item_id = v.item_id and m.warehouse_id = v.warehouse_id
where $1::text[] is null or i.sku = any($1)
group by i.sku, w.name, v.quantity order by i.sku, w.name
"""


async def level_sums(
    conn: Connection, skus: Sequence[str] | None = None
) -> list[tuple[str, str, int, int]]:
    """(sku, warehouse, level, sum of movements): the last two are always equal."""
    return [tuple(row) for row in await conn.fetch(LEVEL_SUMS, skus)]
