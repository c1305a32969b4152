"""Channels, warehouses, items and listings: what exists, and which listing is which item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.standing import columns, is_bundle
from syncd.stock.standing import Standing

ENTER_CHANNEL = """
insert into channel (name, platform) values ($1, $2)
on conflict (name) do update set platform = excluded.platform
returning id
"""


async def enter_channel(conn: Connection, name: str, platform: str) -> int:
    """The id of a channel, made on first sight."""
    found: int = await conn.fetchval(ENTER_CHANNEL, name, platform)
    return found


ENTER_WAREHOUSE = """
insert into warehouse (name) values ($1) on conflict (name) do update set name = excluded.name
returning id
"""


async def enter_warehouse(conn: Connection, name: str) -> int:
    """The id of a warehouse, made on first sight."""
    found: int = await conn.fetchval(ENTER_WAREHOUSE, name)
    return found


CHANNEL_IDS = "select name, id from channel"


async def channel_ids(conn: Connection) -> dict[str, int]:
    """Every channel the database knows, by name."""
    return {row[0]: row[1] for row in await conn.fetch(CHANNEL_IDS)}


WAREHOUSE_IDS = "select name, id from warehouse"


async def warehouse_ids(conn: Connection) -> dict[str, int]:
    """Every warehouse the database knows, by name."""
    return {row[0]: row[1] for row in await conn.fetch(WAREHOUSE_IDS)}


SEEDED_WAREHOUSES = "select id from warehouse where seeded_at is not null"


async def seeded_warehouses(conn: Connection) -> set[int]:
    """Warehouses whose source gave them their first counts."""
    return {row[0] for row in await conn.fetch(SEEDED_WAREHOUSES)}


MARK_SEEDED = "update warehouse set seeded_at = coalesce(seeded_at, $2) where id = any($1::int[])"


async def mark_seeded(conn: Connection, warehouse_ids: Sequence[int], now: datetime) -> None:
    """From now on, items that appear at the source join by themselves."""
    await conn.execute(MARK_SEEDED, warehouse_ids, now)


@dataclass(frozen=True, slots=True)
class LineWanted:
    """How an order line names its listing."""

    channel_id: int
    location: str
    remote: str
    alias: str
    sku: str
    warehouse_id: int | None
    """Where the line's location leads when no listing is found."""
    by_sku: bool = True
    """False where the channel's skus do not name items."""


@dataclass(frozen=True, slots=True)
class LineFound:
    """What an order line is, aligned with what was wanted; None where nothing is known."""

    listing_id: int | None
    item_id: int | None
    warehouse_id: int | None
    seeded_at: datetime | None
    """When the item was first counted there; None: it has no level yet."""
    bundle: bool
    """It is made of other items, which are counted instead."""
    managed: bool = True
    """False where the platform counts no stock of its listing."""


RESOLVE = f"""
select f.listing_id, f.item_id, f.warehouse_id, v.seeded_at, {is_bundle("f")} as bundle, f.managed
from (
    select w.n,
        l.id as listing_id,
        coalesce(l.managed, true) as managed,
        coalesce(l.item_id, (select i.id from item i
            where i.sku = w.sku and w.by_sku
              and (l.id is null or l.linked_by <> 'cut' and l.skip <> 'ambiguous'))) as item_id,
        coalesce(l.warehouse_id, w.warehouse_id) as warehouse_id
    from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::boolean[])
        with ordinality as w(channel_id, location, remote, alias, sku, warehouse_id, by_sku, n)
    left join listing l on l.id = coalesce(
        (select id from listing x
         where x.channel_id = w.channel_id and x.location = w.location and x.remote = w.remote),
        (select min(id) from listing x
         where w.alias <> '' and x.channel_id = w.channel_id and x.alias = w.alias and x.alias <> ''
           and (w.location = '' or x.location = w.location)),
        (select min(id) from listing x
         where w.sku <> '' and x.channel_id = w.channel_id and x.sku = w.sku and x.gone_at is null
           and (w.location = '' or x.location = w.location)))
) f
left join level v on v.item_id = f.item_id and v.warehouse_id = f.warehouse_id
order by f.n
"""


async def resolve(conn: Connection, wanted: Sequence[LineWanted]) -> list[LineFound]:
    """What each order line is: by remote id, else alias, else sku; in the order asked."""
    rows = await conn.fetch(
        RESOLVE,
        [w.channel_id for w in wanted],
        [w.location for w in wanted],
        [w.remote for w in wanted],
        [w.alias for w in wanted],
        [w.sku for w in wanted],
        [w.warehouse_id for w in wanted],
        [w.by_sku for w in wanted],
    )
    return [LineFound(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class NewListing:
    """A listing as the catalogue has it, with the warehouse its location feeds."""

    location: str
    remote: str
    alias: str
    batch_group: str
    sku: str
    title: str
    warehouse_id: int | None
    managed: bool
    skip: str
    """Why nothing is delivered to it, as far as its place and its link say."""
    barcode: str = ""
    handle: str = ""
    tagged: bool = False
    """It bears a tag that its channel excludes."""
    item_id: int | None = None
    """What it is to be linked to; a link that is there stays."""
    linked_by: str = ""


@dataclass(frozen=True, slots=True)
class ListingNow(Standing):
    """A stored listing, aligned with what was looked up; `quantity` None: not counted there yet."""

    listing_id: int
    item_id: int | None
    warehouse_id: int | None
    shown: int | None
    turn: int
    attempt_open: bool
    skip: str
    linked_by: str
    sku: str
    """By which rules and journal know it: its item's, else its own."""
    own_sku: str
    withheld: str
    orphaned: bool
    managed: bool
    followed: bool
    """Stretches of it are kept."""
    same: bool
    """True where what the platform says of it is stored already; its link may still be another."""


LOOK_UP = f"""
select {columns("l", "v")}, l.id as listing_id, l.item_id, l.warehouse_id, s.shown, s.turn,
    s.attempt_id is not null as attempt_open, l.skip, l.linked_by,
    coalesce(l.known_as, l.sku) as sku, l.sku as own_sku, l.withheld, l.orphaned, l.managed, s.followed,
    (l.alias = g.alias and l.batch_group = g.batch_group and l.sku = g.sku and l.title = g.title
        and l.managed = g.managed and l.warehouse_id is not distinct from g.warehouse_id
        and l.barcode = g.barcode and l.handle = g.handle and l.tagged = g.tagged
        and l.gone_at is null) as same
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::boolean[], $10::text[], $11::text[], $12::boolean[])
    with ordinality as g(location, remote, alias, batch_group, sku, title, warehouse_id, managed,
                         barcode, handle, tagged, n)
left join listing l on l.channel_id = $1 and l.location = g.location and l.remote = g.remote
left join shelf s on s.listing_id = l.id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
order by g.n
"""


async def look_up(
    conn: Connection, channel_id: int, listings: Sequence[NewListing]
) -> list[ListingNow | None]:
    """The stored listings for a page of a catalogue, in its order; None: not known yet."""
    rows = await conn.fetch(LOOK_UP, channel_id, *_columns(listings))
    return [None if row["listing_id"] is None else ListingNow(*row) for row in rows]


ENTER_LISTINGS = """
with given as (
    select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::int[], $9::boolean[], $10::text[], $11::text[], $12::boolean[],
                         $13::bigint[], $14::text[], $15::text[])
        as g(location, remote, alias, batch_group, sku, title, warehouse_id, managed, barcode, handle,
             tagged, item_id, linked_by, skip)
), others as materialized (
    select location, remote, sku from listing
    where $16 and channel_id = $1 and (sku in (select sku from given)) is true and sku <> ''
      and gone_at is null and linked_by <> 'cut'
), twice as materialized (
    select location, sku from (
        select location, sku from given where $16 and sku <> '' and linked_by <> 'cut'
        union all
        select location, sku from others
        where (location, remote) not in (select location, remote from given)
    ) p
    group by location, sku having count(*) > 1
), judged as (
    select g.*, case when g.skip in ('no_sku', 'unmapped') or g.linked_by in ('hand', 'cut') then g.skip
        when (g.location, g.sku) in (select location, sku from twice) then 'duplicate'
        else g.skip end as verdict
    from given g
), entered as (
    insert into listing (channel_id, location, remote, alias, batch_group, sku, title, item_id,
                         warehouse_id, managed, skip, barcode, handle, tagged, linked_by)
    select $1, location, remote, alias, batch_group, sku, title, case when verdict = '' then item_id end,
        warehouse_id, managed, verdict, barcode, handle, tagged,
        case when verdict = '' then linked_by else '' end
    from judged order by location, remote
    on conflict (channel_id, remote, location) do update set
        alias = excluded.alias, batch_group = excluded.batch_group, sku = excluded.sku,
        title = excluded.title, managed = excluded.managed, gone_at = null,
        barcode = excluded.barcode, handle = excluded.handle, tagged = excluded.tagged,
        (item_id, linked_by) = (
            select case when open then excluded.item_id else listing.item_id end,
                case when open then excluded.linked_by else listing.linked_by end
            from (select listing.item_id is null and listing.skip <> 'duplicate'
                    and listing.linked_by <> 'cut' and excluded.item_id is not null as open) o),
        warehouse_id = coalesce(listing.warehouse_id, excluded.warehouse_id),
        skip = case
            when excluded.skip in ('no_sku', 'unmapped') then excluded.skip
            when listing.skip = 'duplicate' and listing.linked_by not in ('hand', 'cut')
                then listing.skip
            when listing.item_id is not null and excluded.skip in ('unlinked', 'ambiguous') then ''
            else excluded.skip end
    returning id
)
insert into shelf (listing_id, turn, held_by)
select id, 0, (select min(p.id) from plan p where p.channel_id = $1
               and p.kind in ('first_sync', 'division') and p.state = 'open') as held_by
from entered order by id on conflict do nothing
"""
# Every part is one pass over its rows, whatever the planner believes of a table that just grew.
# `is true` keeps the look into a hash of the page from becoming a join, looped row by row.
# turn 0: nothing was written to a listing nobody knew, so the page that brought it may be believed


async def enter_listings(
    conn: Connection, channel_id: int, listings: Sequence[NewListing], *, by_sku: bool = True
) -> None:
    """Store listings; a new one is linked as judged, a link once made stays.

    Where skus name items (`by_sku`), one whose sku is listed at its location already is a
    'duplicate' and not linked: nothing says which of them is the item.
    """
    await conn.execute(
        ENTER_LISTINGS,
        channel_id,
        *_columns(listings),
        [x.item_id for x in listings],
        [x.linked_by for x in listings],
        [x.skip for x in listings],
        by_sku,
    )


def _columns(listings: Sequence[NewListing]) -> tuple[list[object], ...]:
    return (
        [x.location for x in listings],
        [x.remote for x in listings],
        [x.alias for x in listings],
        [x.batch_group for x in listings],
        [x.sku for x in listings],
        [x.title for x in listings],
        [x.warehouse_id for x in listings],
        [x.managed for x in listings],
        [x.barcode for x in listings],
        [x.handle for x in listings],
        [x.tagged for x in listings],
    )


LIVE_LISTINGS = """
select id, remote from listing
where channel_id = $1 and gone_at is null and id > $2 order by id limit $3
"""


async def live_listings(
    conn: Connection, channel_id: int, after: int, limit: int
) -> list[tuple[int, str]]:
    """A keyset page of a channel's present listings: (id, remote)."""
    return [tuple(row) for row in await conn.fetch(LIVE_LISTINGS, channel_id, after, limit)]


LISTINGS_OF_SKUS = """
select l.id, l.channel_id from listing l join item i on i.id = l.item_id
where ($1::text[] is null or i.sku = any($1)) and ($2::int is null or l.channel_id = $2)
  and l.gone_at is null
order by l.id
"""


async def listings_of(
    conn: Connection, skus: Sequence[str] | None, channel_id: int | None
) -> list[tuple[int, int]]:
    """(listing, channel) of these skus (None: all) on one channel (None: on all)."""
    rows = await conn.fetch(LISTINGS_OF_SKUS, skus, channel_id)
    return [tuple(row) for row in rows]


LEVELS_OF_LISTINGS = """
select distinct item_id, warehouse_id from listing
where id = any($1::bigint[]) and item_id is not null and warehouse_id is not null
order by item_id, warehouse_id
"""


async def levels_of_listings(conn: Connection, listing_ids: Sequence[int]) -> list[tuple[int, int]]:
    """The (item, warehouse) pairs these listings show."""
    return [tuple(row) for row in await conn.fetch(LEVELS_OF_LISTINGS, listing_ids)]
