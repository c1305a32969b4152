"""How fast items sell, and how many a silent channel may have sold: written now and then, read with every level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Sold:
    """Units sold of an item on a channel (0: on none), where they are not what is written down."""

    item_id: int
    warehouse_id: int
    channel_id: int
    sku: str
    sold: int
    known: int
    """What is written down; 0: nothing."""
    unseen: int
    """What is reserved for it."""


CHANGED = """
with counted as (
    select m.item_id, m.warehouse_id, coalesce(m.channel_id, 0) as channel_id,
        -sum(m.delta)::bigint as sold
    from movement m
    where m.kind = 'sale' and m.recorded_at > $1 and m.warehouse_id = any($2::int[])
    group by 1, 2, 3 having sum(m.delta) < 0
)
select coalesce(c.item_id, r.item_id) as item_id,
    coalesce(c.warehouse_id, r.warehouse_id) as warehouse_id,
    coalesce(c.channel_id, r.channel_id) as channel_id, i.sku,
    coalesce(c.sold, 0) as sold, coalesce(r.sold, 0) as known,
    coalesce(r.unseen, 0) as unseen
from counted c
full join sales r on r.item_id = c.item_id and r.warehouse_id = c.warehouse_id
    and r.channel_id = c.channel_id
join item i on i.id = coalesce(c.item_id, r.item_id)
where (c.sold is distinct from r.sold or r.hours <> $3)
  and coalesce(c.channel_id, r.channel_id) <> all($4::int[])
order by 1, 2, 3
"""


async def changed(
    conn: Connection,
    since: datetime,
    hours: int,
    warehouses: Sequence[int],
    but_for: Sequence[int],
) -> list[Sold]:
    """Sales of these warehouses booked `since`, so many `hours` ago, where they differ from what is
    written down; `but_for` those of some channels.
    """
    rows = await conn.fetch(CHANGED, since, warehouses, hours, but_for)
    return [Sold(*row) for row in rows]


KEPT = "select exists (select from sales)"


async def kept(conn: Connection) -> bool:
    """Whether anything is written down."""
    found: bool = await conn.fetchval(KEPT)
    return found


KEEP = """
with given as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[])
        as g(item_id, warehouse_id, channel_id, sold)
), over as (
    delete from sales r using given g
    where r.item_id = g.item_id and r.warehouse_id = g.warehouse_id and r.channel_id = g.channel_id
      and g.sold = 0
)
insert into sales as r (item_id, warehouse_id, channel_id, sold, hours)
select g.*, $5 from given g where g.sold > 0
order by g.item_id, g.warehouse_id, g.channel_id
on conflict (item_id, warehouse_id, channel_id) do update set
    sold = excluded.sold, hours = excluded.hours
"""


async def keep(conn: Connection, rows: Sequence[tuple[int, int, int, int]], hours: int) -> None:
    """So many units were sold in these hours: (item, warehouse, channel, units; 0: none).

    The caller holds the shelves of these items' listings.
    """
    columns = ([r[n] for r in rows] for n in range(4))
    await conn.execute(KEEP, *columns, hours)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an item sells on a channel, and what is reserved for it."""

    item_id: int
    warehouse_id: int
    channel_id: int
    sold: int
    hours: int
    unseen: int


PACES = """
select item_id, warehouse_id, channel_id, sold, hours, unseen from sales
where channel_id = any($1::int[]) or unseen > 0
order by item_id, warehouse_id, channel_id
"""


async def paces(conn: Connection, silent: Sequence[int]) -> list[Pace]:
    """How fast items sell on these channels, and everything that is reserved for any."""
    return [Pace(*row) for row in await conn.fetch(PACES, silent)]


RESERVE = """
update sales r set unseen = g.unseen
from unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[])
    as g(item_id, warehouse_id, channel_id, unseen)
where r.item_id = g.item_id and r.warehouse_id = g.warehouse_id and r.channel_id = g.channel_id
"""


async def reserve(conn: Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """A channel may have sold so many unseen: (item, warehouse, channel, units).

    The caller holds the shelves of these items' listings.
    """
    await conn.execute(RESERVE, *([r[n] for r in rows] for n in range(4)))


UNSEEN = "select channel_id, sum(unseen)::bigint from sales where unseen > 0 group by channel_id"


async def unseen(conn: Connection) -> dict[int, int]:
    """Units that are reserved for each channel."""
    return {row[0]: row[1] for row in await conn.fetch(UNSEEN)}
