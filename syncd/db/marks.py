"""Marks on listings that keep them from being served: listed twice, gone, not tracked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db.pool import Connection

MISMARKED = """
select id from (
    select id, skip, count(*) over (partition by location, sku) > 1 as twice from listing
    where channel_id = $1 and sku <> '' and gone_at is null
      and ($2::text[] is null or sku = any($2))
) c
where (twice and skip in ('', 'unlinked')) or (not twice and skip = 'duplicate')
order by id
"""


async def mismarked(
    conn: Connection, channel_id: int, skus: Sequence[str] | None = None
) -> list[int]:
    """Present listings of these skus (None: all) to be marked as duplicates, or to be no longer.

    Lock them before they are marked.
    """
    return [row[0] for row in await conn.fetch(MISMARKED, channel_id, skus)]


MARK_DUPLICATES = """
with counted as (
    select id, skip, count(*) over (partition by location, sku) > 1 as twice from listing
    where channel_id = $1 and sku <> '' and gone_at is null
), wrong as materialized (
    select c.id, c.twice, i.id as item_id
    from counted c join listing x on x.id = c.id left join item i on i.sku = x.sku
    where c.id = any($2::bigint[])
      and ((c.twice and c.skip in ('', 'unlinked')) or (not c.twice and c.skip = 'duplicate'))
)
update listing l set
    skip = case when w.twice then 'duplicate'
        when l.item_id is null and w.item_id is null then 'unlinked'
        when l.item_id <> w.item_id then 'relinked'
        else '' end,
    item_id = case when w.twice then l.item_id else coalesce(l.item_id, w.item_id) end
from wrong w where l.id = w.id
returning l.id, l.sku, l.skip
"""


async def mark_duplicates(
    conn: Connection, channel_id: int, listing_ids: Sequence[int]
) -> list[tuple[int, str, str]]:
    """A sku listed twice at one location is served by nobody; gives (listing, sku, skip) changed.

    Links stay: what is counted by them stays counted. One that is single again and was never
    linked is linked now. The shelves of these listings are locked by the caller.
    """
    rows = await conn.fetch(MARK_DUPLICATES, channel_id, listing_ids)
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
