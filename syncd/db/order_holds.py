"""Holds of orders: units that order lines promise and the ledger does not have, and how long they last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.ledger import LineRow
from syncd.db.pool import Connection

KEEP = """
update order_line l
set held = g.held, held_until = g.held_until, based = g.based, came_back = g.came_back
from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
            $7::timestamptz[], $8::bigint[], $9::bigint[])
    as g(channel_id, order_id, line_id, location, part, held, held_until, based, came_back)
where l.channel_id = g.channel_id and l.order_id = g.order_id and l.line_id = g.line_id
  and l.location = g.location and l.part = g.part
"""


async def keep(conn: Connection, rows: Sequence[LineRow]) -> None:
    """Store what these lines hold, and from what they are counted; their orders are locked.

    What holds change, targets show: the caller goes on to lock the shelves of all listings of their
    items and owes them what they need.
    """
    await conn.execute(
        KEEP,
        [r.channel_id for r in rows],
        [r.order_id for r in rows],
        [r.line_id for r in rows],
        [r.location for r in rows],
        [r.part for r in rows],
        [r.held for r in rows],
        [r.held_until for r in rows],
        [r.based for r in rows],
        [r.came_back for r in rows],
    )


END = """
update order_line l set held_until = '-infinity'
from unnest($1::int[], $2::text[]) as g(channel_id, order_id)
where l.channel_id = g.channel_id and l.order_id = g.order_id and l.held <> 0
"""


async def end(conn: Connection, orders: Sequence[tuple[int, str]]) -> None:
    """Nobody can pay these orders any more: what they hold is over."""
    await conn.execute(END, [o[0] for o in orders], [o[1] for o in orders])


END_ALL = """
update order_line l set held_until = '-infinity'
where l.held <> 0 and l.channel_id = any($1::int[])
"""


async def end_all(conn: Connection, channel_ids: Sequence[int]) -> None:
    """These channels sell nothing any more."""
    await conn.execute(END_ALL, channel_ids)


LAPSED = """
select o.channel_id, o.order_id from sales_order o
where (o.channel_id, o.order_id) in (
    select l.channel_id, l.order_id from order_line l join channel c on c.id = l.channel_id
    where l.held_until <= $1 and l.held <> 0
      and (c.orders_asked_at > l.held_until or c.id = any($2::int[]))
    limit $3
)
order by o.channel_id, o.order_id
for update of o skip locked
"""


async def lapsed(
    conn: Connection, now: datetime, unasked: Sequence[int], limit: int
) -> list[tuple[int, str]]:
    """Lock orders with a hold that is over; gives them.

    One is over once its channel's orders were fetched after its time: what was paid until then is
    known. Of `unasked` channels nobody has to be asked.
    """
    return [tuple(row) for row in await conn.fetch(LAPSED, now, unasked, limit)]


@dataclass(frozen=True, slots=True)
class Released:
    """A hold that was given up."""

    channel_id: int
    order_id: str
    number: str
    listing_id: int | None
    item_id: int
    warehouse_id: int
    sku: str
    units: int


HELD_BY = """
select l.item_id, l.warehouse_id from order_line l
join unnest($1::int[], $2::text[]) as g(channel_id, order_id)
    on g.channel_id = l.channel_id and g.order_id = l.order_id
where l.held <> 0 and l.item_id is not null and l.warehouse_id is not null
group by l.item_id, l.warehouse_id order by l.item_id, l.warehouse_id
"""


async def held_by(conn: Connection, orders: Sequence[tuple[int, str]]) -> list[tuple[int, int]]:
    """The (item, warehouse) pairs of which these orders hold units."""
    columns = [o[0] for o in orders], [o[1] for o in orders]
    return [tuple(row) for row in await conn.fetch(HELD_BY, *columns)]


RELEASE = """
with over as (
    select l.channel_id, l.order_id, l.line_id, l.location, l.part, l.held
    from order_line l
    join unnest($1::int[], $2::text[]) as g(channel_id, order_id)
        on g.channel_id = l.channel_id and g.order_id = l.order_id
    where l.held <> 0 and l.held_until <= $3
), freed as (
    update order_line l set held = 0, held_until = null from over x
    where l.channel_id = x.channel_id and l.order_id = x.order_id and l.line_id = x.line_id
      and l.location = x.location and l.part = x.part
    returning l.channel_id, l.order_id, l.listing_id, l.item_id, l.warehouse_id, x.held as units
)
select f.channel_id, f.order_id, o.number, f.listing_id, f.item_id, f.warehouse_id,
    coalesce(i.sku, '') as sku, f.units
from freed f
join sales_order o on o.channel_id = f.channel_id and o.order_id = f.order_id
left join item i on i.id = f.item_id
order by f.channel_id, f.order_id, sku
"""


async def release(
    conn: Connection, orders: Sequence[tuple[int, str]], until: datetime
) -> list[Released]:
    """Give up what these locked orders hold and what ends by then; the shelves are locked."""
    columns = [o[0] for o in orders], [o[1] for o in orders]
    return [Released(*row) for row in await conn.fetch(RELEASE, *columns, until)]


@dataclass(frozen=True, slots=True)
class Hold:
    """Units of an item that an order promises, as it is shown to a person."""

    channel: str
    order_id: str
    number: str
    line_id: str
    location: str
    part: int
    sku: str
    warehouse: str
    units: int
    """By so many other listings are lowered."""
    taken: int
    """By so many its own listing is: they are off its shelf already."""
    placed_at: datetime | None
    until: datetime | None


OPEN = """
select c.name as channel, l.order_id, o.number, l.line_id, l.location, l.part, i.sku, w.name as warehouse,
    l.held as units, least(l.held, greatest(l.taken - l.booked, 0)) as taken, o.placed_at,
    l.held_until as until
from order_line l
join sales_order o on o.channel_id = l.channel_id and o.order_id = l.order_id
join channel c on c.id = l.channel_id
join item i on i.id = l.item_id
join warehouse w on w.id = l.warehouse_id
where l.held <> 0 and ($1::text is null or c.name = $1) and ($2::text is null or i.sku = $2)
  and (c.name, l.order_id, l.line_id, l.location, l.part) > ($3, $4, $5, $6, $7)
order by c.name, l.order_id, l.line_id, l.location, l.part limit $8
"""

ALL = 100_000
Key = tuple[str, str, str, str, int]
"""(channel, order, line, location, component)."""

START: Key = ("", "", "", "", 0)


async def open_holds(
    conn: Connection,
    channel: str | None = None,
    sku: str | None = None,
    after: Key = START,
    limit: int = ALL,
) -> list[Hold]:
    """What orders hold, by channel and order; after the one of this channel, order, line and location."""
    return [Hold(*row) for row in await conn.fetch(OPEN, channel, sku, *after, limit)]


@dataclass(frozen=True, slots=True)
class Undated:
    """An open order of which nobody says when it moved its shelf; `units` of it are off it."""

    channel_id: int
    channel: str
    order_id: str
    number: str
    placed_at: datetime | None
    units: int


UNDATED = """
select o.channel_id, c.name as channel, o.order_id, o.number, o.placed_at,
    sum(l.taken)::bigint as units
from sales_order o
join order_line l on l.channel_id = o.channel_id and l.order_id = o.order_id
join channel c on c.id = o.channel_id
where o.channel_id = any($1::int[]) and l.warehouse_id = any($2::int[]) and not o.terminal
  and o.placed_at > $3 and l.taken <> 0 and l.part = 0
group by o.channel_id, c.name, o.order_id, o.number, o.placed_at
order by c.name, o.placed_at, o.order_id limit $4
"""


async def undated(
    conn: Connection,
    channel_ids: Sequence[int],
    warehouse_ids: Sequence[int],
    since: datetime,
    limit: int,
) -> list[Undated]:
    """Open orders of these channels, placed since then, that hold units of these warehouses."""
    columns = channel_ids, warehouse_ids, since, limit
    return [Undated(*row) for row in await conn.fetch(UNDATED, *columns)]
