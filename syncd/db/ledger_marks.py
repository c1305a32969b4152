"""Marks on long ledgers: sums by kind at some movements of an item that has many, made behind the sales.

Whoever looks back adds what follows the nearest mark; without marks all is as true, and slower.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from syncd.db.pool import Connection

PIECE = 250_000
"""So many movements are marked at once."""

BUSY = 250
"""An item with as many in a piece gets a mark after each so many of them."""

SETTLED = timedelta(minutes=10)
"""What was recorded less long ago may have company still uncommitted."""

Sums = dict[str, tuple[int, int]]
"""Count and units by kind."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an item's movements in one warehouse need not be read.

    `base`: they are in `sums` up to this one; 0: none are. `ceiling`: none after it was recorded by
    the instant asked for; None: unknown.
    """

    warehouse_id: int
    base: int
    ceiling: int | None
    sums: str


NEAREST = """
select v.warehouse_id, coalesce(b.movement_id, 0) as base, c.movement_id as ceiling,
    coalesce(b.sums, '{}')::text as sums
from level v
left join lateral (
    select movement_id, sums from mark x
    where x.item_id = v.item_id and x.warehouse_id = v.warehouse_id
      and ($2::timestamptz is null or x.recorded_at <= $2)
    order by movement_id desc limit 1) b on true
left join lateral (
    select movement_id from mark x
    where x.item_id = v.item_id and x.warehouse_id = v.warehouse_id and x.recorded_at > $2
    order by movement_id limit 1) c on true
where v.item_id = $1
"""


async def nearest(conn: Connection, item_id: int, until: datetime | None) -> list[Mark]:
    """The marks around an instant (None: now), one for each warehouse that counts the item."""
    return [Mark(*row) for row in await conn.fetch(NEAREST, item_id, until)]


def sums_in(mark: Mark) -> Sums:
    """What a mark holds."""
    return {kind: (count, units) for kind, (count, units) in json.loads(mark.sums).items()}


THROUGH = "select movement_id from marked for update"
NEWEST = (
    "select coalesce(max(last_value), 0) from pg_sequences where sequencename = 'movement_id_seq'"
)
RECORDED = "select max(recorded_at) from movement where id > $1 and id <= $2"
MARKED = "update marked set movement_id = $1"


async def advance(conn: Connection, now: datetime) -> bool:
    """Mark the next piece of the ledger; False where it is not full, or too young, to be marked."""
    through: int = await conn.fetchval(THROUGH)
    newest: int = await conn.fetchval(NEWEST)
    end = through + PIECE
    if newest < end:
        return False
    recorded: datetime | None = await conn.fetchval(RECORDED, through, end)
    if recorded is not None:
        if recorded > now - SETTLED:
            return False
        await _unmark(conn, through, end)
        await _mark(conn, through, end, recorded - SETTLED)
    await conn.execute(MARKED, end)
    return True


REACHED_BACK = """
delete from mark x using (
    select item_id, warehouse_id, min(recorded_at) as first_at from movement
    where id > $1 and id <= $2 group by item_id, warehouse_id) p
where x.item_id = p.item_id and x.warehouse_id = p.warehouse_id and x.recorded_at >= p.first_at
"""


async def _unmark(conn: Connection, through: int, end: int) -> None:
    """A clock that was set back recorded behind some marks: those hold no more."""
    await conn.execute(REACHED_BACK, through, end)


BUCKETS = """
with part as materialized (
    select item_id, warehouse_id, id, kind, delta, recorded_at from movement where id > $1 and id <= $2
), busy as (
    select item_id, warehouse_id from part group by item_id, warehouse_id having count(*) >= $3
), placed as (
    select p.*, (row_number() over (partition by p.item_id, p.warehouse_id order by p.id) - 1) / $3 as bucket
    from part p join busy using (item_id, warehouse_id)
)
select item_id, warehouse_id, bucket, kind, count(*) as count, sum(delta)::bigint as units, max(id) as last_id,
    min(recorded_at) as first_at, max(recorded_at) as last_at
from placed group by item_id, warehouse_id, bucket, kind
order by item_id, warehouse_id, bucket
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The movements of one kind among some hundred that follow each other."""

    item_id: int
    warehouse_id: int
    bucket: int
    kind: str
    count: int
    units: int
    last_id: int
    first_at: datetime
    last_at: datetime


async def _buckets(conn: Connection, through: int, end: int) -> list[Bucket]:
    return [Bucket(*row) for row in await conn.fetch(BUCKETS, through, end, BUSY)]


BEFORE = """
select g.item_id, g.warehouse_id, k.kind, sum(k.count)::bigint as count, sum(k.units)::bigint as units
from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
left join lateral (
    select movement_id, sums from mark x
    where x.item_id = g.item_id and x.warehouse_id = g.warehouse_id and x.movement_id <= $3
    order by movement_id desc limit 1) b on true
cross join lateral (
    select e.key as kind, (e.value ->> 0)::bigint as count, (e.value ->> 1)::bigint as units
    from jsonb_each(coalesce(b.sums, '{}')) e
    union all
    select m.kind, count(*), sum(m.delta) from movement m
    where m.item_id = g.item_id and m.warehouse_id = g.warehouse_id
      and m.id > coalesce(b.movement_id, 0) and m.id <= $3
    group by m.kind) k
group by g.item_id, g.warehouse_id, k.kind
"""

KEEP = """
insert into mark (item_id, warehouse_id, movement_id, recorded_at, sums)
select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::timestamptz[], $5::jsonb[])
"""


async def _mark(conn: Connection, through: int, end: int, until: datetime) -> None:
    buckets = await _buckets(conn, through, end)
    keys = list(dict.fromkeys((b.item_id, b.warehouse_id) for b in buckets))
    before: defaultdict[tuple[int, int], Sums] = defaultdict(dict)
    for item, warehouse, kind, count, units in await conn.fetch(
        BEFORE, [k[0] for k in keys], [k[1] for k in keys], through
    ):
        before[item, warehouse][kind] = count, units
    marks = [
        (*key, *mark)
        for key, own in groupby(buckets, lambda b: (b.item_id, b.warehouse_id))
        for mark in _marks(list(own), before[key], until)
    ]
    if marks:
        await conn.execute(KEEP, *(list(column) for column in zip(*marks, strict=True)))


def _marks(
    buckets: Sequence[Bucket], before: Mapping[str, tuple[int, int]], until: datetime
) -> list[tuple[int, datetime, str]]:
    """(movement, recorded, sums) after each full bucket behind which no later one was recorded."""
    sums, found = dict(before), []
    parts = [list(part) for _, part in groupby(buckets, lambda b: b.bucket)]
    later, earliest = until, []
    for part in reversed(parts):
        earliest.append(later)
        later = min(later, *(b.first_at for b in part))
    last_at = buckets[0].first_at
    for part, following in zip(parts, reversed(earliest), strict=True):
        for one in part:
            count, units = sums.get(one.kind, (0, 0))
            sums[one.kind] = count + one.count, units + one.units
        last_at = max(last_at, *(b.last_at for b in part))
        if last_at < following:
            found.append((max(b.last_id for b in part), last_at, json.dumps(sums)))
    return found
