"""The accounts of items in escrow, and the transfers between them that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection

Key = tuple[int, int]
"""(item, warehouse)."""


@dataclass(frozen=True, slots=True)
class Held:
    """An item in a warehouse with its accounts, its transfers and who lists it there."""

    item_id: int
    warehouse_id: int
    sku: str
    quantity: int
    accounts: list[list[int]] | None
    """(channel, units)."""
    transfers: list[list[int]] | None
    """(giver, taker, units)."""
    listed: list[int] | None
    """Channels whose listings of it are not gone."""
    served: list[int] | None
    """Channels that have a listing of it to which something can be written."""


HELD = """
select v.item_id, v.warehouse_id, i.sku, v.quantity,
    (select array_agg(array[a.channel_id::bigint, a.units] order by a.channel_id) from account a
     where a.item_id = v.item_id and a.warehouse_id = v.warehouse_id) as accounts,
    (select array_agg(array[t.giver_id::bigint, t.taker_id::bigint, t.units]
                      order by t.giver_id, t.taker_id)
     from transfer t where t.item_id = v.item_id and t.warehouse_id = v.warehouse_id) as transfers,
    (select array_agg(distinct l.channel_id) from listing l
     where l.item_id = v.item_id and l.warehouse_id = v.warehouse_id and l.gone_at is null)
        as listed,
    (select array_agg(distinct l.channel_id) from listing l
     where l.item_id = v.item_id and l.warehouse_id = v.warehouse_id and l.gone_at is null
       and l.skip = '' and l.managed and l.withheld in ('', 'included')) as served
from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
join item i on i.id = v.item_id
order by v.item_id, v.warehouse_id
"""


async def held(conn: Connection, keys: Sequence[Key]) -> list[Held]:
    """How these items stand, whose shelves are locked."""
    rows = await conn.fetch(HELD, [k[0] for k in keys], [k[1] for k in keys])
    return [Held(*row) for row in rows]


MOVED = """
select m.item_id, m.warehouse_id, m.channel_id, m.kind = 'edit' as edited, sum(m.delta)::bigint
from unnest($1::bigint[], $2::int[], $3::text[]) as g(item_id, warehouse_id, cause)
join movement m on m.item_id = g.item_id and m.warehouse_id = g.warehouse_id and m.cause = g.cause
where m.recorded_at = $4 and m.channel_id is not null
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""


async def moved(
    conn: Connection, causes: Sequence[tuple[int, int, str]], now: datetime
) -> list[tuple[int, int, int, bool, int]]:
    """What channels moved by these causes (item, warehouse, cause), as far as it was booked `now`.

    Gives (item, warehouse, channel, whether by an edit, units).
    """
    rows = await conn.fetch(MOVED, *([c[n] for c in causes] for n in range(3)), now)
    return [tuple(row) for row in rows]


KEEP = """
insert into account as a (item_id, warehouse_id, channel_id, units)
select * from unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[])
    as g(item_id, warehouse_id, channel_id, units)
order by item_id, warehouse_id, channel_id
on conflict (item_id, warehouse_id, channel_id) do update set units = excluded.units
where a.units <> excluded.units
"""


async def keep(conn: Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """Accounts hold so many units now: (item, warehouse, channel, units)."""
    await conn.execute(KEEP, *([r[n] for r in rows] for n in range(4)))


BEGIN = """
insert into transfer (item_id, warehouse_id, giver_id, taker_id, units, begun_at)
select g.*, $6 from unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::bigint[]) as g
"""


async def begin(
    conn: Connection, rows: Sequence[tuple[int, int, int, int, int]], now: datetime
) -> None:
    """Units are under way: (item, warehouse, giver, taker, units)."""
    await conn.execute(BEGIN, *([r[n] for r in rows] for n in range(5)), now)


END = """
delete from transfer t
using unnest($1::bigint[], $2::int[], $3::int[], $4::int[])
    as g(item_id, warehouse_id, giver_id, taker_id)
where t.item_id = g.item_id and t.warehouse_id = g.warehouse_id and t.giver_id = g.giver_id
  and t.taker_id = g.taker_id
"""


async def end(conn: Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """These transfers are over: (item, warehouse, giver, taker)."""
    await conn.execute(END, *([r[n] for r in rows] for n in range(4)))


DROP = """
with over as (
    delete from transfer t using unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
    where t.item_id = g.item_id and t.warehouse_id = g.warehouse_id
)
delete from account a using unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
where a.item_id = g.item_id and a.warehouse_id = g.warehouse_id
"""


async def drop(conn: Connection, keys: Sequence[Key]) -> None:
    """These items are in escrow no more."""
    await conn.execute(DROP, [k[0] for k in keys], [k[1] for k in keys])


UNDER_WAY = """
select distinct item_id, warehouse_id from transfer order by item_id, warehouse_id
"""


async def under_way(conn: Connection) -> list[Key]:
    """Items of which units are under way."""
    return [(row[0], row[1]) for row in await conn.fetch(UNDER_WAY)]


PAGE = """
select item_id, warehouse_id from account
where (item_id, warehouse_id) > ($1, $2)
group by item_id, warehouse_id
having $3 or max(units) > 2 * greatest(min(units), 0)
order by item_id, warehouse_id limit $4
"""


async def page(conn: Connection, after: Key, limit: int, *, whole: bool) -> list[Key]:
    """A page of the items that have accounts; unless `whole`, of those whose accounts differ much."""
    rows = await conn.fetch(PAGE, *after, whole, limit)
    return [(row[0], row[1]) for row in rows]


WITHOUT = """
select distinct l.item_id, l.warehouse_id
from listing l join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where l.channel_id = any($1::int[]) and l.gone_at is null and (l.item_id, l.warehouse_id) > ($2, $3)
  and not exists (select from account a
                  where a.item_id = l.item_id and a.warehouse_id = l.warehouse_id)
order by 1, 2 limit $4
"""


async def without(
    conn: Connection, channel_ids: Sequence[int], after: Key, limit: int
) -> list[Key]:
    """A page of the counted items that these channels list and that have no accounts."""
    rows = await conn.fetch(WITHOUT, channel_ids, *after, limit)
    return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class Account:
    """An account as people are told of it; `going`, `coming`: units under way from and to it."""

    warehouse_id: int
    channel: str
    units: int
    going: int
    coming: int


TOLD = """
select a.warehouse_id, c.name as channel, a.units,
    (select coalesce(sum(t.units), 0) from transfer t where t.item_id = a.item_id
     and t.warehouse_id = a.warehouse_id and t.giver_id = a.channel_id)::bigint as going,
    (select coalesce(sum(t.units), 0) from transfer t where t.item_id = a.item_id
     and t.warehouse_id = a.warehouse_id and t.taker_id = a.channel_id)::bigint as coming
from account a join channel c on c.id = a.channel_id
where a.item_id = $1 order by a.warehouse_id, c.name
"""


async def told(conn: Connection, item_id: int) -> list[Account]:
    """The accounts of an item, in every warehouse."""
    return [Account(*row) for row in await conn.fetch(TOLD, item_id)]


NAMED = """
select distinct v.item_id, v.warehouse_id from item i join level v on v.item_id = i.id
where i.sku = any($1::text[]) order by 1, 2
"""


async def named(conn: Connection, skus: Sequence[str]) -> list[Key]:
    """The counted items of these skus."""
    return [(row[0], row[1]) for row in await conn.fetch(NAMED, skus)]


SUMS = """
select i.sku, v.warehouse_id, v.quantity,
    (select coalesce(sum(a.units), 0) from account a
     where a.item_id = v.item_id and a.warehouse_id = v.warehouse_id)::bigint as held,
    (select coalesce(sum(t.units), 0) from transfer t
     where t.item_id = v.item_id and t.warehouse_id = v.warehouse_id)::bigint as moving
from level v join item i on i.id = v.item_id
where exists (select from account a where a.item_id = v.item_id and a.warehouse_id = v.warehouse_id)
order by i.sku, v.warehouse_id
"""


async def sums(conn: Connection) -> list[tuple[str, int, int, int, int]]:
    """(sku, warehouse, level, on accounts, under way): the last two always make the third."""
    return [tuple(row) for row in await conn.fetch(SUMS)]
