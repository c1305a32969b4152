"""Items with all their listings, by key: a page costs the same wherever it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.db.pool import Connection
from syncd.db.standing import columns
from syncd.stock.standing import Standing


@dataclass(frozen=True, slots=True)
class Item:
    """An item in the order of skus. `channels`: those it is offered on alone; None: every one."""

    id: int
    sku: str
    channels: list[int] | None
    bundle: bool


ITEM_PAGE = """
select id, sku, channels, exists (select from bundle b where b.item_id = item.id) as bundle from item
where sku > $1 and ($2::text[] is null or sku = any($2)) order by sku limit $3
"""


async def item_page(
    conn: Connection, after: str, skus: Sequence[str] | None, limit: int
) -> list[Item]:
    """Items (None: all, else of these skus) from after one sku on."""
    return [Item(*row) for row in await conn.fetch(ITEM_PAGE, after, skus, limit)]


@dataclass(frozen=True, slots=True)
class Listing(Standing):
    """A listing with all that says how it stands."""

    id: int
    item_id: int | None
    channel_id: int
    channel: str
    location: str
    remote: str
    sku: str
    item_sku: str | None
    title: str
    warehouse_id: int | None
    warehouse: str | None
    managed: bool
    skip: str
    withheld: str
    orphaned: bool
    linked_by: str
    gone: bool
    shown: int | None
    writing: bool
    owed: bool
    parked: bool
    reason: str
    retired: bool
    """The platform confirmed that it is out of sale."""


_LISTING = f"""
    {columns("l", "v")}, l.id, l.item_id, l.channel_id, c.name as channel, l.location, l.remote, l.sku, i.sku as item_sku,
    l.title, l.warehouse_id, w.name as warehouse, l.managed, l.skip, l.withheld,
    l.orphaned, l.linked_by, l.gone_at is not null as gone, s.shown,
    s.attempt_id is not null as writing, o.listing_id is not null as owed,
    o.parked_at is not null as parked, coalesce(o.reason, '') as reason,
    exists (select from retirement r where r.listing_id = l.id and r.retired) as retired
from listing l join channel c on c.id = l.channel_id join shelf s on s.listing_id = l.id
left join item i on i.id = l.item_id
left join warehouse w on w.id = l.warehouse_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
left join outbox o on o.listing_id = l.id"""

OF_ITEMS = f"""
select {_LISTING}
where l.item_id = any($1::bigint[]) and ($2::int is null or l.channel_id = $2)
order by l.item_id, c.name, l.location, l.id
"""


async def of_items(conn: Connection, items: Sequence[int], channel_id: int | None) -> list[Listing]:
    """The listings of these items on one channel (None: on all)."""
    return [Listing(*row) for row in await conn.fetch(OF_ITEMS, items, channel_id)]


OF_NO_ITEM = f"""
select {_LISTING}
where l.item_id is null and l.gone_at is null and l.id > $1
  and ($2::int is null or l.channel_id = $2) and ($3::text[] is null or l.sku = any($3))
order by l.id limit $4
"""


async def of_no_item(
    conn: Connection, after: int, channel_id: int | None, skus: Sequence[str] | None, limit: int
) -> list[Listing]:
    """Present listings that are no item, from after one on."""
    return [Listing(*row) for row in await conn.fetch(OF_NO_ITEM, after, channel_id, skus, limit)]
