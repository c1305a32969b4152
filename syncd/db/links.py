"""Items and the links of listings to them: names that items bear, who waits for one, what follows from a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.stock.match import Bearers, Rule

BEARERS = """
select 'sku' as rule, sku as name, id from item where sku = any($1::text[])
union all
select 'barcode', barcode, id from item where barcode = any($2::text[]) and barcode <> ''
union all
select 'handle', handle, id from item where handle = any($3::text[]) and handle <> ''
order by 3
"""


async def bearers(
    conn: Connection, skus: Sequence[str], barcodes: Sequence[str], handles: Sequence[str]
) -> Bearers:
    """The items that bear these names."""
    found: dict[tuple[Rule, str], list[int]] = {}
    for rule, name, item_id in await conn.fetch(BEARERS, skus, barcodes, handles):
        found.setdefault((Rule(rule), name), []).append(item_id)
    return Bearers(found)


ENTER_ITEMS = """
insert into item (sku, barcode, handle, created_at)
select distinct on (sku) sku, barcode, handle, $4::timestamptz
from unnest($1::text[], $2::text[], $3::text[]) as g(sku, barcode, handle)
order by sku
on conflict (sku) do nothing
"""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item as its source calls it."""

    sku: str
    barcode: str = ""
    handle: str = ""
    item_id: int = 0
    """0: not known yet."""


async def enter_items(conn: Connection, items: Sequence[NewItem], now: datetime) -> None:
    """Make the items that do not exist yet."""
    columns = [x.sku for x in items], [x.barcode for x in items], [x.handle for x in items]
    await conn.execute(ENTER_ITEMS, *columns, now)


ITEMS_OF = "select sku, id from item where sku = any($1::text[])"


async def items_of(conn: Connection, skus: Sequence[str]) -> dict[str, int]:
    """Item ids by sku, of those that exist."""
    return {row[0]: row[1] for row in await conn.fetch(ITEMS_OF, skus)}


NAME_ITEMS = """
update item i set barcode = g.barcode, handle = g.handle
from unnest($1::bigint[], $2::text[], $3::text[]) as g(id, barcode, handle)
where i.id = g.id and (i.barcode <> g.barcode or i.handle <> g.handle)
"""


async def name_items(conn: Connection, items: Sequence[NewItem]) -> bool:
    """Items that are known bear these names at their source; True where that is news of any."""
    columns = [x.item_id for x in items], [x.barcode for x in items], [x.handle for x in items]
    return not (await conn.execute(NAME_ITEMS, *columns)).endswith(" 0")


RENAME_ITEM = """
update item set sku = $2 where id = $1 and not exists (select from item where sku = $2)
"""


async def rename_item(conn: Connection, item_id: int, sku: str) -> bool:
    """Call an item by another sku; False where another item has it."""
    return not (await conn.execute(RENAME_ITEM, item_id, sku)).endswith(" 0")


LINK_BY_SKU = """
update listing l set item_id = i.id, skip = '', linked_by = 'sku'
from item i
where i.sku = l.sku and l.item_id is null and l.skip = 'unlinked' and l.linked_by <> 'cut'
  and i.sku = any($1::text[]) and not exists (
    select from listing o where o.item_id = i.id and o.channel_id = l.channel_id
      and o.location = l.location and o.gone_at is null)
returning l.id
"""


async def link_by_sku(conn: Connection, skus: Sequence[str]) -> list[int]:
    """Link every waiting listing of these skus, where every channel goes by sku; gives their ids."""
    return [row[0] for row in await conn.fetch(LINK_BY_SKU, skus)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A listing that is no item yet, and what it is called."""

    id: int
    channel_id: int
    location: str
    sku: str
    barcode: str
    handle: str


WAITING = """
select id, channel_id, location, sku, barcode, handle from listing
where id in (
    select id from listing where item_id is null and sku = any($1::text[])
    union select id from listing where item_id is null and barcode <> '' and barcode = any($2::text[])
    union select id from listing where item_id is null and handle <> '' and handle = any($3::text[]))
  and gone_at is null and skip in ('unlinked', 'ambiguous') and linked_by <> 'cut'
order by id
"""


async def waiting(conn: Connection, items: Sequence[NewItem]) -> list[Waiting]:
    """Listings without an item that bear a name of these."""
    rows = await conn.fetch(
        WAITING,
        [x.sku for x in items],
        [x.barcode for x in items if x.barcode],
        [x.handle for x in items if x.handle],
    )
    return [Waiting(*row) for row in rows]


LINK = """
update listing l set item_id = g.item_id, linked_by = g.linked_by, skip = g.skip
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) as g(id, item_id, linked_by, skip)
where l.id = g.id
"""


async def link(conn: Connection, links: Sequence[tuple[int, int | None, str, str]]) -> None:
    """Link listings to items: (listing, item or None, by what, why it is not served)."""
    await conn.execute(LINK, *map(list, zip(*links, strict=True)))


OCCUPIED = """
select l.location, l.item_id, l.remote from listing l
where l.item_id = any($2::bigint[]) and l.channel_id = $1 and l.gone_at is null
"""


async def occupied(
    conn: Connection, channel_id: int, items: Sequence[int]
) -> dict[tuple[str, int], list[str]]:
    """The present listings of these items on a channel: (location, item) → remotes."""
    found: dict[tuple[str, int], list[str]] = {}
    for location, item_id, remote in await conn.fetch(OCCUPIED, channel_id, items):
        found.setdefault((location, item_id), []).append(remote)
    return found


@dataclass(frozen=True, slots=True)
class Linked:
    """A present listing with what links say of it; its shelf is locked by whoever asked for that."""

    id: int
    location: str
    remote: str
    sku: str
    barcode: str
    handle: str
    item_id: int | None
    item_sku: str | None
    warehouse_id: int | None
    skip: str
    linked_by: str


LISTED = """
select l.id, l.location, l.remote, l.sku, l.barcode, l.handle, l.item_id, i.sku as item_sku,
    l.warehouse_id, l.skip, l.linked_by
from listing l left join item i on i.id = l.item_id
where l.channel_id = $1 and l.remote = $2 and l.gone_at is null
  and ($3::text is null or l.location = $3)
order by l.id
"""


async def listed(
    conn: Connection, channel_id: int, remote: str, location: str | None
) -> list[Linked]:
    """The present listings under a platform's id, at one location (None: at all)."""
    return [Linked(*row) for row in await conn.fetch(LISTED, channel_id, remote, location)]


UNKNOWN = """
update shelf s set shown = null, shown_at = null, turn = nextval('turn')
where s.listing_id = any($1::bigint[])
"""


async def forget_shown(conn: Connection, listing_ids: Sequence[int]) -> None:
    """What these locked shelves show is not known: they are another item's from now on."""
    await conn.execute(UNKNOWN, listing_ids)


FOLLOW = """
update listing l set known_as = f.known_as, withheld = f.withheld, orphaned = f.orphaned
from (
    select b.id, nullif(i.sku, b.sku) as known_as, g.item_id is not null as orphaned,
        case when b.item_id is null then ''
            when coalesce(x.excluded, y.excluded) then 'excluded'
            when not coalesce(x.excluded, y.excluded) then 'included'
            when not (b.channel_id = any(i.channels)) then 'elsewhere'
            when b.tagged then 'tagged' else '' end as withheld
    from listing b
    left join item i on i.id = b.item_id
    left join exclusion x on x.item_id = b.item_id and x.channel_id = b.channel_id
    left join exclusion y on y.item_id = b.item_id and y.channel_id is null
    left join item_gone g on g.item_id = b.item_id and g.warehouse_id = b.warehouse_id
    where b.id = any($1::bigint[]) or b.item_id = any($2::bigint[])
) f
where l.id = f.id and (l.known_as is distinct from f.known_as or l.withheld <> f.withheld
    or l.orphaned <> f.orphaned)
"""


async def follow(
    conn: Connection, *, listing_ids: Sequence[int] = (), items: Sequence[int] = ()
) -> bool:
    """Write down with these listings, and those of these items, what follows from their links:
    the item's sku, whether it is offered there, whether its source has lost it. True where that is
    news for any of them.
    """
    return not (await conn.execute(FOLLOW, listing_ids, items)).endswith(" 0")


LISTINGS_OF = (
    "select id from listing where item_id = any($1::bigint[]) and gone_at is null order by id"
)


async def listings_of(conn: Connection, items: Sequence[int]) -> list[int]:
    """The present listings of these items."""
    return [row[0] for row in await conn.fetch(LISTINGS_OF, items)]
