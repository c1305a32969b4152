"""Suspicion: the open amounts of listings, which targets count before anything is booked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is suspected of a listing and not booked: `own` for its target, `others` for all others'."""

    listing_id: int
    item_id: int
    warehouse_id: int
    own: int
    others: int


KEEP = """
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::bigint[])
        as g(listing_id, item_id, warehouse_id, own, others)
), over as (
    delete from suspicion s using given g
    where s.listing_id = g.listing_id and g.own = 0 and g.others = 0
    returning s.item_id, s.warehouse_id
), kept as (
    insert into suspicion as s (listing_id, item_id, warehouse_id, own, others, changed_at)
    select g.*, $6 from given g where g.own <> 0 or g.others <> 0
    order by g.listing_id
    on conflict (listing_id) do update set
        item_id = excluded.item_id, warehouse_id = excluded.warehouse_id, own = excluded.own,
        others = excluded.others, changed_at = excluded.changed_at
    where (s.item_id, s.warehouse_id, s.own, s.others)
        <> (excluded.item_id, excluded.warehouse_id, excluded.own, excluded.others)
    returning s.item_id, s.warehouse_id
), changed as (
    select * from over union select * from kept
), dated as (
    update level v set changed_at = $6 from changed c
    where v.item_id = c.item_id and v.warehouse_id = c.warehouse_id
)
select item_id, warehouse_id from changed order by item_id, warehouse_id
"""


async def keep(
    conn: Connection, amounts: Sequence[Suspicion], now: datetime
) -> list[tuple[int, int]]:
    """These listings' open amounts are so now; gives the (item, warehouse) pairs whose targets moved.

    The caller holds the shelves of all listings of these pairs, and owes them what they need
    (`fanout.owe_items`). Each listing once.
    """
    rows = await conn.fetch(
        KEEP,
        [a.listing_id for a in amounts],
        [a.item_id for a in amounts],
        [a.warehouse_id for a in amounts],
        [a.own for a in amounts],
        [a.others for a in amounts],
        now,
    )
    return [(row[0], row[1]) for row in rows]


SUSPECTED = """
select s.listing_id, s.item_id, s.warehouse_id
from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
join suspicion s on s.item_id = g.item_id and s.warehouse_id = g.warehouse_id
order by s.listing_id
"""


async def suspected(
    conn: Connection, keys: Sequence[tuple[int, int]]
) -> list[tuple[int, tuple[int, int]]]:
    """Listings of these (item, warehouse) pairs of which something is suspected, with their pair."""
    found = await conn.fetch(SUSPECTED, [k[0] for k in keys], [k[1] for k in keys])
    return [(row[0], (row[1], row[2])) for row in found]
