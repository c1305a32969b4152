"""Pushes where edits are adopted: whose reading has not come yet, and what they rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.db.pool import Connection
from syncd.stock.pushes import Note

MARK = """
update shelf s set pushed = $1
where s.listing_id = any($2::bigint[])
  and exists (select from outbox o where o.listing_id = s.listing_id and o.forced)
  -- no edit of a bundle is ever booked
  and not exists (select from listing l join component p on p.bundle_id = l.item_id
                  where l.id = s.listing_id)
returning s.listing_id
"""


async def mark(conn: Connection, plan_id: int, listing_ids: Sequence[int]) -> list[int]:
    """What orders do not explain of these locked listings is rejected; gives those that are written."""
    return sorted(row[0] for row in await conn.fetch(MARK, plan_id, listing_ids))


DONE = "update shelf set pushed = null where listing_id = any($1::bigint[])"


async def done(conn: Connection, listing_ids: Sequence[int]) -> None:
    """These locked listings were read for their push."""
    await conn.execute(DONE, listing_ids)


NOTES = """
select id, listing_id, kind, coalesce(nullif(number, ''), order_id) as number, units, at
from annotation where listing_id = any($1::bigint[]) order by listing_id, at, id
"""


async def notes(conn: Connection, listing_ids: Sequence[int]) -> list[Note]:
    """What orders said about these listings since the last difference was booked."""
    return [Note(*row) for row in await conn.fetch(NOTES, listing_ids)]


NEWEST_NOTE = "select coalesce(max(id), 0) from annotation"


async def newest_note(conn: Connection) -> int:
    """The number up to which notes are known now."""
    found: int = await conn.fetchval(NEWEST_NOTE)
    return found


ACCOUNTED = """
select l.id, coalesce((
    select m.occurred_at
    from (select x.id, x.channel_id, x.cause, x.occurred_at from movement x
          where x.item_id = l.item_id and x.warehouse_id = l.warehouse_id order by x.id desc limit 20000) m
    where m.channel_id = l.channel_id and starts_with(m.cause, c.name || ':level:' || l.id || ':')
    order by m.id desc limit 1), v.seeded_at)
from listing l join channel c on c.id = l.channel_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where l.id = any($1::bigint[])
"""


async def accounted(conn: Connection, listing_ids: Sequence[int]) -> dict[int, datetime]:
    """When the newest difference was booked of these listings, by the platform's clock; else their first count.

    A note of before that is in what was booked, whoever told of it and when.
    """
    rows = await conn.fetch(ACCOUNTED, listing_ids)
    return {row[0]: row[1] for row in rows if row[1] is not None}


FORGET_NOTES = "delete from annotation where id = any($1::bigint[])"


async def forget_notes(conn: Connection, ids: Sequence[int]) -> None:
    """These notes have explained what they could."""
    await conn.execute(FORGET_NOTES, ids)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An edit that a push rejected. `began_at` names it with its listing; None `since`: see there."""

    plan_id: int
    listing_id: int
    sku: str
    item_id: int
    warehouse_id: int
    began_at: datetime
    units: int
    since: datetime | None = None
    """Where levels are the truth: the shelf was accounted for until then."""


TELL = """
with told as (
    update plan set rows = rows + cardinality($2::bigint[]), done = done + cardinality($2::bigint[])
    where id = $1 returning rows - cardinality($2::bigint[]) as before
)
insert into plan_row (plan_id, position, sku, item_id, warehouse_id, delta, applied_at, listing_id, began_at)
select $1, told.before + g.n, g.sku, g.item_id, g.warehouse_id, -g.units, $8, g.listing_id, g.began_at
from told, unnest($2::bigint[], $3::text[], $4::bigint[], $5::int[], $6::bigint[], $7::timestamptz[])
    with ordinality as g(listing_id, sku, item_id, warehouse_id, units, began_at, n)
"""

REJECT = """
insert into rejection (listing_id, at, since, units, recorded_at)
select g.*, $5 from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[]) as g
on conflict (listing_id, at) do update set units = rejection.units + excluded.units
"""
FOLLOWED = "update shelf set rejected = true where listing_id = any($1::bigint[])"


async def reject(conn: Connection, rejected: Sequence[Rejected], now: datetime) -> None:
    """Keep what pushes rejected of locked listings as rows of their plans, so that it can be undone.

    The plan's row is locked last: nobody who holds it waits for a shelf.
    """
    levels = [one for one in rejected if one.since is not None]
    if levels:
        await conn.execute(
            REJECT,
            [x.listing_id for x in levels],
            [x.began_at for x in levels],
            [x.since for x in levels],
            [x.units for x in levels],
            now,
        )
        await conn.execute(FOLLOWED, [x.listing_id for x in levels])
    for plan_id in sorted({one.plan_id for one in rejected}):
        ours = [one for one in rejected if one.plan_id == plan_id]
        await conn.execute(
            TELL,
            plan_id,
            [x.listing_id for x in ours],
            [x.sku for x in ours],
            [x.item_id for x in ours],
            [x.warehouse_id for x in ours],
            [x.units for x in ours],
            [x.began_at for x in ours],
            now,
        )


@dataclass(frozen=True, slots=True)
class LateNote:
    """A note that explains a part of what a push rejected before it was heard."""

    id: int
    listing_id: int
    kind: str
    number: str
    units: int
    at: datetime
    rejected_at: datetime
    undone: bool


LATE_NOTES = """
select distinct on (a.id) a.id, a.listing_id, a.kind, coalesce(nullif(a.number, ''), a.order_id) as number,
    a.units, a.at, r.at as rejected_at, r.undone
from annotation a
join rejection r on r.listing_id = a.listing_id and a.at > r.since and a.at <= r.at
where a.listing_id = any($1::bigint[])
order by a.id, r.at
"""


async def late_notes(conn: Connection, listing_ids: Sequence[int]) -> list[LateNote]:
    """Notes of these locked listings that a push should have known."""
    return [LateNote(*row) for row in await conn.fetch(LATE_NOTES, listing_ids)]


LESS = """
with less as (
    update rejection r set units = r.units - g.units
    from unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) as g(listing_id, at, units)
    where r.listing_id = g.listing_id and r.at = g.at
)
update plan_row p set delta = p.delta + g.units
from unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) as g(listing_id, at, units)
where p.listing_id = g.listing_id and p.began_at = g.at
  and exists (select from plan x where x.id = p.plan_id and x.kind = 'push')
"""


async def less(conn: Connection, changes: Sequence[tuple[int, datetime, int]]) -> None:
    """So many units of a rejection (listing, when) are an order's after all."""
    await conn.execute(LESS, *map(list, zip(*changes, strict=True)))


REVISE = """
update plan_row p set delta = -g.units
from unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) as g(listing_id, began_at, units)
where p.listing_id = g.listing_id and p.began_at = g.began_at
  and exists (select from plan x where x.id = p.plan_id and x.kind = 'push')
"""


async def revise(conn: Connection, changes: Sequence[tuple[int, datetime, int]]) -> None:
    """What was rejected of stretches (listing, beginning) is so many units now."""
    await conn.execute(REVISE, *map(list, zip(*changes, strict=True)))


TURN_STRETCHES = """
update stretch s set rejected = not s.rejected, booked = s.booked + g.units, revision = s.revision + 1
from unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) as g(listing_id, t0, units)
where s.listing_id = g.listing_id and s.t0 = g.t0
"""
TURN_REJECTIONS = """
update rejection r set undone = not r.undone
from unnest($1::bigint[], $2::timestamptz[]) as g(listing_id, at)
where r.listing_id = g.listing_id and r.at = g.at
"""


async def turn(conn: Connection, rows: Sequence[tuple[int, datetime, int]]) -> None:
    """What was rejected (listing, when, units) is booked after all, or rejected again; shelves are locked."""
    listings, times, units = map(list, zip(*rows, strict=True))
    await conn.execute(TURN_STRETCHES, listings, times, units)
    await conn.execute(TURN_REJECTIONS, listings, times)


PRUNE = """
with old as (delete from rejection where recorded_at < $1 returning listing_id)
update shelf s set rejected = false from (select distinct listing_id from old) o
where s.listing_id = o.listing_id
  and not exists (select from rejection r where r.listing_id = s.listing_id and r.recorded_at >= $1)
"""


async def prune(conn: Connection, now: datetime, keep: timedelta) -> None:
    """No order so late is believed to explain what was rejected so long ago."""
    await conn.execute(PRUNE, now - keep)
