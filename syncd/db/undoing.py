"""What a plan booked, turned round: its rows as those of another plan, and what moved since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.db.pool import Connection

UNDONE_BY = """
select u.id from plan u
where u.undoes = $1 and u.state in ('open', 'applying', 'applied')
  and not exists (select from plan x where x.undoes = u.id and x.state = 'applied')
order by u.id limit 1
"""


async def undone_by(conn: Connection, plan_id: int) -> int | None:
    """The plan that undoes this one and was not undone itself; None: there is none."""
    found: int | None = await conn.fetchval(UNDONE_BY, plan_id)
    return found


TURN_ROUND = """
insert into plan_row (plan_id, position, source_row, sku, item_id, warehouse_id, units, first, of_count,
                      counted_at, listing_id, began_at)
select $2, r.position, r.source_row, r.sku, r.item_id, r.warehouse_id,
    case when s.id is null then -r.delta when s.undone then s.booked else -s.booked end, r.first, s.cause,
    s.counted_at, r.listing_id, r.began_at
from plan_row r
left join stock_count s on s.item_id = r.item_id and s.warehouse_id = r.warehouse_id
    and s.cause = coalesce(r.of_count, 'plan:' || r.plan_id || ':' || r.position)
where r.plan_id = $1 and r.position > $3 and r.position <= $4 and (r.delta <> 0 or r.first)
  and not ($5 and exists (
    select from movement m
    where m.item_id = r.item_id and m.warehouse_id = r.warehouse_id and m.recorded_at > r.applied_at))
"""


async def turn_round(
    conn: Connection, plan_id: int, into: int, after: int, through: int, *, skip_moved: bool
) -> int:
    """Rows of an applied plan between these positions become units to book back; gives how many.

    `skip_moved`: without those whose level moved since.
    """
    tag = await conn.execute(TURN_ROUND, plan_id, into, after, through, skip_moved)
    return int(tag.rsplit(" ", 1)[1])


@dataclass(frozen=True, slots=True)
class MovedSince:
    """What moved a level since a plan did: how often, by how much, and why."""

    position: int
    sku: str
    warehouse: str
    units: int
    movements: int
    kinds: list[str]


MOVED_SINCE = """
select r.position, r.sku, w.name as warehouse, m.units, m.movements, m.kinds
from plan_row r
join warehouse w on w.id = r.warehouse_id
join lateral (
    select sum(m.delta)::bigint as units, count(*) as movements,
        array_agg(distinct m.kind order by m.kind) as kinds
    from movement m
    where m.item_id = r.item_id and m.warehouse_id = r.warehouse_id and m.recorded_at > r.applied_at
) m on m.movements > 0
where r.plan_id = $1 and r.position > $2 and r.position <= $3 and (r.delta <> 0 or r.first)
order by r.position
"""


async def moved_since(conn: Connection, plan_id: int, after: int, through: int) -> list[MovedSince]:
    """Rows of an applied plan between these positions whose levels moved since."""
    return [MovedSince(*row) for row in await conn.fetch(MOVED_SINCE, plan_id, after, through)]


LAST = "select coalesce(max(position), 0) from plan_row where plan_id = $1"


async def last(conn: Connection, plan_id: int) -> int:
    """The last position of a plan."""
    found: int = await conn.fetchval(LAST, plan_id)
    return found


UNCOUNT = """
delete from level v using unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
where v.item_id = g.item_id and v.warehouse_id = g.warehouse_id and v.quantity = 0
  and (select count(*) from movement m
       where m.item_id = v.item_id and m.warehouse_id = v.warehouse_id
         and m.delta <> 0 and m.kind <> 'correction' and m.kind <> 'seed') = 0
returning v.item_id, v.warehouse_id
"""


async def uncount(conn: Connection, keys: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Items whose first count was just taken back are not counted there, if nothing else moved.

    Gives those (item, warehouse) pairs.
    """
    rows = await conn.fetch(UNCOUNT, [k[0] for k in keys], [k[1] for k in keys])
    return {(row[0], row[1]) for row in rows}
