"""Marks on listings that keep them from being served: listed twice, gone, not tracked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db.pool import Connection

MISMARKED = """
select id from (
    select id, skip, linked_by,
        ($3 and sku <> '' and count(*) over (partition by location, sku) > 1)
            or (item_id is not null and count(*) over (partition by location, item_id) > 1) as twice
    from listing
    where channel_id = $1 and gone_at is null and linked_by <> 'cut'
      and ($2::text[] is null or sku = any($2))
) c
where linked_by <> 'hand'
  and ((twice and skip in ('', 'unlinked')) or (not twice and skip = 'duplicate'))
order by id
"""


async def mismarked(
    conn: Connection, channel_id: int, skus: Sequence[str] | None = None, *, by_sku: bool = True
) -> list[int]:
    """Present listings of these skus (None: all) to be marked as duplicates, or to be no longer.

    Twice is one sku, where skus name items (`by_sku`), or one item. What people linked or unlinked by
    hand is no matter of marks. Lock them before they are marked.
    """
    return [row[0] for row in await conn.fetch(MISMARKED, channel_id, skus, by_sku)]


MARK_DUPLICATES = """
with counted as (
    select id, skip,
        ($3 and sku <> '' and count(*) over (partition by location, sku) > 1)
            or (item_id is not null and count(*) over (partition by location, item_id) > 1) as twice
    from listing
    where channel_id = $1 and gone_at is null and linked_by <> 'cut'
), wrong as materialized (
    select c.id, c.twice, i.id as item_id
    from counted c join listing x on x.id = c.id
    left join item i on $3 and i.sku = x.sku and not exists (
        select from listing o where o.item_id = i.id and o.channel_id = x.channel_id
          and o.location = x.location and o.gone_at is null and o.id <> x.id)
    where c.id = any($2::bigint[]) and x.linked_by <> 'hand'
      and ((c.twice and c.skip in ('', 'unlinked')) or (not c.twice and c.skip = 'duplicate'))
)
update listing l set
    skip = case when w.twice then 'duplicate'
        when l.item_id is null and w.item_id is null then 'unlinked'
        when l.item_id <> w.item_id and l.linked_by = 'sku' then 'relinked'
        else '' end,
    item_id = case when w.twice then l.item_id else coalesce(l.item_id, w.item_id) end,
    linked_by = case when w.twice or l.item_id is not null or w.item_id is null then l.linked_by
        else 'sku' end
from wrong w where l.id = w.id
returning l.id, l.sku, l.skip
"""


async def mark_duplicates(
    conn: Connection, channel_id: int, listing_ids: Sequence[int], *, by_sku: bool = True
) -> list[tuple[int, str, str]]:
    """What is listed twice at one location is served by nobody; gives (listing, sku, skip) changed.

    Links stay: what is counted by them stays counted. One that is single again and was never
    linked is linked now. The shelves of these listings are locked by the caller.
    """
    rows = await conn.fetch(MARK_DUPLICATES, channel_id, listing_ids, by_sku)
    return [tuple(row) for row in rows]


MARK_GONE = """
update listing set gone_at = $4
where channel_id = $1 and gone_at is null
  and (remote = any($2::text[]) or ($3 <> '' and batch_group = $3))
returning id, sku
"""


async def mark_gone(
    conn: Connection, channel_id: int, remotes: Sequence[str], group: str, now: datetime
) -> list[tuple[int, str]]:
    """These listings vanished from every location of the channel; their items keep their levels."""
    return [tuple(row) for row in await conn.fetch(MARK_GONE, channel_id, remotes, group, now)]


MARK_LISTINGS_GONE = """
update listing set gone_at = $2 where id = any($1::bigint[]) and gone_at is null
returning id
"""


async def mark_listings_gone(
    conn: Connection, listing_ids: Sequence[int], now: datetime
) -> set[int]:
    """These listings vanished, each at its own location; gives those that were there till now.

    Their items keep their levels.
    """
    return {row[0] for row in await conn.fetch(MARK_LISTINGS_GONE, listing_ids, now)}


SET_UNMANAGED = "update listing set managed = false where id = any($1::bigint[])"


async def set_unmanaged(conn: Connection, listing_ids: Sequence[int]) -> None:
    """The platform does not track these: nothing is delivered to them, and nothing is zero."""
    await conn.execute(SET_UNMANAGED, listing_ids)
