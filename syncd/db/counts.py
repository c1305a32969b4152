"""Counts: what was counted when, what the ledger had then, and what of it was picked already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.db.pool import Connection

LevelKey = tuple[int, int]
"""(item, warehouse)."""

LOCK_LEVELS = """
select v.item_id, v.warehouse_id,
    case when (select m.kind from movement m
               where m.item_id = v.item_id and m.warehouse_id = v.warehouse_id
               order by m.item_id, m.warehouse_id, m.id limit 1) = 'seed' then v.seeded_at end
from level v
where (v.item_id, v.warehouse_id) in (
    select g.item_id, g.warehouse_id from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id))
order by v.item_id, v.warehouse_id
for no key update of v
"""


async def lock_levels(
    conn: Connection, keys: Sequence[LevelKey]
) -> dict[LevelKey, datetime | None]:
    """Keep these levels still; gives those that exist, with the time of their first count.

    None: it began with a movement, and nothing is inside that.
    """
    rows = await conn.fetch(LOCK_LEVELS, [k[0] for k in keys], [k[1] for k in keys])
    return {(row[0], row[1]): row[2] for row in rows}


@dataclass(frozen=True, slots=True)
class NewCount:
    """A count to be entered."""

    item_id: int
    warehouse_id: int
    counted_at: datetime
    quantity: int
    counted: str
    cause: str
    channel_id: int | None
    actor: str
    note: str
    booked: int | None = None
    """What its cause moved the level by already; None: nothing is booked of it yet."""


ENTER = """
insert into stock_count (item_id, warehouse_id, counted_at, quantity, counted, cause, channel_id,
                         actor, note, booked, revision, recorded_at)
select g.*, $12 from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::bigint[], $5::text[],
                            $6::text[], $7::int[], $8::text[], $9::text[], $10::bigint[],
                            $11::int[]) as g
on conflict (item_id, warehouse_id, cause) do nothing
"""


async def enter(conn: Connection, made: Sequence[NewCount], now: datetime) -> None:
    """Enter counts, each cause once; the levels are locked."""
    await conn.execute(
        ENTER,
        [c.item_id for c in made],
        [c.warehouse_id for c in made],
        [c.counted_at for c in made],
        [c.quantity for c in made],
        [c.counted for c in made],
        [c.cause for c in made],
        [c.channel_id for c in made],
        [c.actor for c in made],
        [c.note for c in made],
        [c.booked or 0 for c in made],
        [0 if c.booked is None else 1 for c in made],
        now,
    )


MARK_COUNTED = """
update level v set counted_at = s.counted_at
from (select item_id, warehouse_id, max(counted_at) as counted_at from stock_count
      where not undone and (item_id, warehouse_id) in (
          select g.item_id, g.warehouse_id
          from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id))
      group by item_id, warehouse_id) s
where v.item_id = s.item_id and v.warehouse_id = s.warehouse_id
  and v.counted_at is distinct from s.counted_at
"""


async def mark_counted(conn: Connection, keys: Sequence[LevelKey]) -> None:
    """Levels learn when they were counted last."""
    await conn.execute(MARK_COUNTED, [k[0] for k in keys], [k[1] for k in keys])


@dataclass(frozen=True, slots=True)
class CountRow:
    """A count with the level as of its time, whatever was booked since."""

    id: int
    item_id: int
    warehouse_id: int
    counted_at: datetime
    quantity: int
    counted: str
    waiting: int
    booked: int
    revision: int
    cause: str
    channel_id: int | None
    actor: str
    note: str
    first: bool
    """True where its item has no level yet."""
    level_then: int


SINCE = """
select s.id, s.item_id, s.warehouse_id, s.counted_at, s.quantity, s.counted, s.waiting, s.booked,
    s.revision, s.cause, s.channel_id, s.actor, s.note, v.item_id is null as first,
    (coalesce(v.quantity, 0) - coalesce(case when v.changed_at > s.counted_at then (
        select sum(m.delta) from movement m
        where m.item_id = s.item_id and m.warehouse_id = s.warehouse_id
          and m.occurred_at > s.counted_at) end, 0))::bigint as level_then
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as g(item_id, warehouse_id, since)
join stock_count s on s.item_id = g.item_id and s.warehouse_id = g.warehouse_id
    and s.counted_at >= g.since and not s.undone
left join level v on v.item_id = s.item_id and v.warehouse_id = s.warehouse_id
order by s.item_id, s.warehouse_id, s.counted_at, s.id
"""


async def since(conn: Connection, asked: Sequence[tuple[LevelKey, datetime]]) -> list[CountRow]:
    """Counts of locked levels from a moment on, the oldest first."""
    rows = await conn.fetch(
        SINCE, [a[0][0] for a in asked], [a[0][1] for a in asked], [a[1] for a in asked]
    )
    return [CountRow(*row) for row in rows]


REBOOK = """
update stock_count s set booked = g.booked, revision = g.revision, waiting = g.waiting
from unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[]) as g(id, booked, revision, waiting)
where s.id = g.id
"""


async def rebook(conn: Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """What is booked of counts now: (id, booked, revision, waiting)."""
    await conn.execute(REBOOK, *map(list, zip(*rows, strict=True)))


@dataclass(frozen=True, slots=True)
class Sold:
    """Units of one order held when a count was made, and those of it that had left by then."""

    count_id: int
    units: int
    picked: int
    shipped: int


UNPICKED = """
with counted as materialized (
    select g.* from unnest($1::bigint[], $3::bigint[], $4::int[], $5::timestamptz[])
        as g(id, item_id, warehouse_id, counted_at)
), later as materialized (
    select c.id, m.channel_id, m.delta,
        split_part(substr(m.cause, length(h.name) + 8), ':line:', 1) as order_id
    from counted c
    join movement m on m.item_id = c.item_id and m.warehouse_id = c.warehouse_id
        and m.occurred_at > c.counted_at
    join channel h on h.id = m.channel_id
    where starts_with(m.cause, h.name || ':order:')
), held as (
    select c.id, c.item_id, c.warehouse_id, c.counted_at, o.channel_id, o.order_id, o.number,
        sum(l.booked) as booked
    from counted c
    join order_line l on l.item_id = c.item_id and l.warehouse_id = c.warehouse_id
    join sales_order o on o.channel_id = l.channel_id and o.order_id = l.order_id
    join level v on v.item_id = c.item_id and v.warehouse_id = c.warehouse_id
    where o.placed_at > (select min(counted_at) from counted) - $2::interval
      and o.placed_at > c.counted_at - $2::interval and o.placed_at <= c.counted_at
      and o.placed_at > v.seeded_at
    group by c.id, c.item_id, c.warehouse_id, c.counted_at, o.channel_id, o.order_id, o.number
), then_held as (
    select h.*, (h.booked + coalesce((
        select sum(x.delta) from later x
        where x.id = h.id and x.channel_id = h.channel_id and x.order_id = h.order_id), 0))::bigint
        as units
    from held h
)
select h.id as count_id, h.units,
    coalesce((-sum(p.delta) filter (where p.post = 'pick')), 0)::bigint as picked,
    coalesce((-sum(p.delta) filter (where p.post = 'shipment')), 0)::bigint as shipped
from then_held h
left join posting p on p.order_ref in (h.order_id, h.number, ltrim(h.number, '#'))
    and p.order_ref <> '' and p.item_id = h.item_id and p.warehouse_id = h.warehouse_id
    and (p.order_channel_id is null or p.order_channel_id = h.channel_id)
    and p.occurred_at <= h.counted_at
where h.units > 0
group by h.id, h.channel_id, h.order_id, h.units
"""


async def unpicked(
    conn: Connection, counts: Sequence[tuple[int, int, int, datetime]], picked_within: timedelta
) -> list[Sold]:
    """The orders that held units at counts (any number, item, warehouse, when), save those placed long before.

    An order from before the item's first count, or older than `picked_within`, counts as picked.
    """
    ids, items, warehouses, times = map(list, zip(*counts, strict=True))
    rows = await conn.fetch(UNPICKED, ids, picked_within, items, warehouses, times)
    return [Sold(*row) for row in rows]


BOOKED = """
select s.item_id, s.warehouse_id, s.cause, s.booked
from unnest($1::bigint[], $2::int[], $3::text[]) as g(item_id, warehouse_id, cause)
join stock_count s on s.item_id = g.item_id and s.warehouse_id = g.warehouse_id and s.cause = g.cause
"""


async def booked(
    conn: Connection, keys: Sequence[tuple[int, int, str]]
) -> dict[tuple[int, int, str], int]:
    """What is booked of counts, by (item, warehouse, cause)."""
    columns = [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys]
    return {(r[0], r[1], r[2]): r[3] for r in await conn.fetch(BOOKED, *columns)}


TURN = """
update stock_count s set undone = not s.undone
from unnest($1::bigint[], $2::int[], $3::text[]) as g(item_id, warehouse_id, cause)
where s.item_id = g.item_id and s.warehouse_id = g.warehouse_id and s.cause = g.cause
returning s.item_id, s.warehouse_id, s.cause, case when s.undone then -s.booked else s.booked end
"""


async def turn(
    conn: Connection, keys: Sequence[tuple[int, int, str]]
) -> dict[tuple[int, int, str], int]:
    """Counts of locked levels hold no more, or again; gives by how much their levels must move for it."""
    columns = [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys]
    return {(r[0], r[1], r[2]): r[3] for r in await conn.fetch(TURN, *columns)}
