"""Channels, warehouses, items and listings: what exists, and which listing is which item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection

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


@dataclass(frozen=True, slots=True)
class LineFound:
    """What an order line is, aligned with what was wanted; None where nothing is known."""

    listing_id: int | None
    item_id: int | None
    warehouse_id: int | None
    seeded_at: datetime | None
    """When the item was first counted there; None: it has no level yet."""


RESOLVE = """
select f.listing_id, f.item_id, f.warehouse_id, v.seeded_at
from (
    select w.n,
        l.id as listing_id,
        coalesce(l.item_id, (select i.id from item i where i.sku = w.sku)) as item_id,
        coalesce(l.warehouse_id, w.warehouse_id) as warehouse_id
    from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[])
        with ordinality as w(channel_id, location, remote, alias, sku, warehouse_id, n)
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


@dataclass(frozen=True, slots=True)
class ListingNow:
    """A stored listing, aligned with what was entered. `fresh`: it was unknown before."""

    listing_id: int
    item_id: int | None
    warehouse_id: int | None
    shown: int | None
    turn: int
    attempt_open: bool
    quantity: int | None
    """The level of its item there; None: not counted yet."""
    skip: str
    same: bool
    """True where every stored field already is as seen."""


LOOK_UP = """
select l.id as listing_id, l.item_id, l.warehouse_id, s.shown, s.turn,
    s.attempt_id is not null as attempt_open, v.quantity, l.skip,
    (l.alias = g.alias and l.batch_group = g.batch_group and l.sku = g.sku and l.title = g.title
        and l.managed = g.managed and l.warehouse_id is not distinct from g.warehouse_id
        and l.gone_at is null and (
            (l.skip = g.skip and (g.skip <> '' or i.id is null or i.id = l.item_id))
            or (g.skip = '' and l.skip = 'duplicate')
            or (g.skip = '' and l.skip = 'relinked' and i.id <> l.item_id)
            or (g.skip = '' and l.skip = 'unlinked' and i.id is null))) as same
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::boolean[], $10::text[])
    with ordinality as g(location, remote, alias, batch_group, sku, title, warehouse_id, managed, skip, n)
left join listing l on l.channel_id = $1 and l.location = g.location and l.remote = g.remote
left join shelf s on s.listing_id = l.id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
left join item i on i.sku = g.sku
order by g.n
"""


async def look_up(
    conn: Connection, channel_id: int, listings: Sequence[NewListing]
) -> list[ListingNow | None]:
    """The stored listings for a page of a catalogue, in its order; None: not known yet."""
    rows = await conn.fetch(LOOK_UP, channel_id, *_columns(listings))
    return [None if row[0] is None else ListingNow(*row) for row in rows]


ENTER_LISTINGS = """
with given as (
    select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::int[], $9::boolean[], $10::text[])
        as g(location, remote, alias, batch_group, sku, title, warehouse_id, managed, skip)
), others as materialized (
    select location, remote, sku from listing
    where channel_id = $1 and (sku in (select sku from given)) is true and sku <> '' and gone_at is null
), twice as materialized (
    select location, sku from (
        select location, sku from given
        union all
        select location, sku from others
        where (location, remote) not in (select location, remote from given)
    ) p
    group by location, sku having count(*) > 1
), judged as (
    select g.location, g.remote, g.alias, g.batch_group, g.sku, g.title, g.warehouse_id, g.managed,
        i.id as item_id,
        case when g.skip <> '' then g.skip
            when (g.location, g.sku) in (select location, sku from twice) then 'duplicate'
            when i.id is null then 'unlinked'
            else '' end as skip
    from given g left join item i on i.sku = g.sku and g.sku <> ''
), entered as (
    insert into listing (channel_id, location, remote, alias, batch_group, sku, title, item_id,
                         warehouse_id, managed, skip)
    select $1, location, remote, alias, batch_group, sku, title, case when skip = '' then item_id end,
        warehouse_id, managed, skip
    from judged order by location, remote
    on conflict (channel_id, remote, location) do update set
        alias = excluded.alias, batch_group = excluded.batch_group, sku = excluded.sku,
        title = excluded.title, managed = excluded.managed, gone_at = null,
        item_id = case when listing.item_id is null and listing.skip <> 'duplicate'
                       then excluded.item_id else listing.item_id end,
        warehouse_id = coalesce(listing.warehouse_id, excluded.warehouse_id),
        skip = case
            when excluded.skip not in ('', 'unlinked', 'duplicate') then excluded.skip
            when listing.skip = 'duplicate' then listing.skip
            when excluded.skip = 'duplicate' or listing.item_id is null then excluded.skip
            when exists (select from item i where i.sku = excluded.sku and i.id <> listing.item_id)
                then 'relinked'
            else '' end
    returning id
)
insert into shelf (listing_id, turn) select id, 0 from entered order by id on conflict do nothing
"""
# Every part is one pass over its rows, whatever the planner believes of a table that just grew.
# `is true` keeps the look into a hash of the page from becoming a join, looped row by row.
# turn 0: nothing was written to a listing nobody knew, so the page that brought it may be believed


async def enter_listings(conn: Connection, channel_id: int, listings: Sequence[NewListing]) -> None:
    """Store listings; a new one is linked to the item of its sku, a link once made stays.

    One whose sku is listed at its location already is a 'duplicate' and not linked: nothing says
    which of them is the item. One that took the sku of another item than its own is 'relinked'.
    """
    await conn.execute(ENTER_LISTINGS, channel_id, *_columns(listings))


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
        [x.skip for x in listings],
    )


ENTER_ITEMS = """
insert into item (sku, created_at) select distinct sku, $2::timestamptz from unnest($1::text[]) as g(sku)
on conflict (sku) do nothing
"""


async def enter_items(conn: Connection, skus: Sequence[str], now: datetime) -> None:
    """Make the items that do not exist yet."""
    await conn.execute(ENTER_ITEMS, skus, now)


ITEMS_OF = "select sku, id from item where sku = any($1::text[])"


async def items_of(conn: Connection, skus: Sequence[str]) -> dict[str, int]:
    """Item ids by sku, of those that exist."""
    return {row[0]: row[1] for row in await conn.fetch(ITEMS_OF, skus)}


LINK_ITEMS = """
update listing l set item_id = i.id, skip = ''
from item i
where i.sku = l.sku and l.item_id is null and l.skip = 'unlinked' and i.sku = any($1::text[])
returning l.id
"""


async def link_items(conn: Connection, skus: Sequence[str]) -> list[int]:
    """Link every waiting listing of these skus; gives their ids."""
    return [row[0] for row in await conn.fetch(LINK_ITEMS, skus)]


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
select id, channel_id from listing
where ($1::text[] is null or sku = any($1)) and ($2::int is null or channel_id = $2)
  and gone_at is null and item_id is not null
order by id
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
