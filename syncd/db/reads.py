"""What the API shows: pages by key, so that a page costs the same wherever it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class ItemRow:
    sku: str
    created_at: datetime
    levels: str
    """JSON: quantity by warehouse."""
    listings: int
    bundle: bool


ITEMS = """
select i.sku, i.created_at,
    coalesce((select jsonb_object_agg(w.name, v.quantity) from level v
              join warehouse w on w.id = v.warehouse_id where v.item_id = i.id), '{}')::text as levels,
    (select count(*) from listing l where l.item_id = i.id and l.gone_at is null) as listings,
    exists (select from bundle b where b.item_id = i.id) as bundle
from item i
where ($1::text is null or i.sku > $1) and ($2::text is null or starts_with(i.sku, $2))
  and ($3::text is null or exists (select from level v join warehouse w on w.id = v.warehouse_id
                                   where v.item_id = i.id and w.name = $3))
order by i.sku limit $4
"""


async def items(
    conn: Connection, after: str | None, prefix: str | None, warehouse: str | None, limit: int
) -> list[ItemRow]:
    """Items by sku, from after one sku on."""
    return [ItemRow(*row) for row in await conn.fetch(ITEMS, after, prefix, warehouse, limit)]


ITEM = "select id from item where sku = $1"


async def item(conn: Connection, sku: str) -> int | None:
    """The id of an item."""
    found: int | None = await conn.fetchval(ITEM, sku)
    return found


SKUS_OF = "select id, sku from item where id = any($1::bigint[])"


async def skus_of(conn: Connection, item_ids: Sequence[int]) -> dict[int, str]:
    """Skus by item."""
    return {row[0]: row[1] for row in await conn.fetch(SKUS_OF, item_ids)}


@dataclass(frozen=True, slots=True)
class LevelRow:
    warehouse: str
    quantity: int
    changed_at: datetime
    first_counted_at: datetime


ITEM_LEVELS = """
select w.name as warehouse, v.quantity, v.changed_at, v.seeded_at as first_counted_at
from level v join warehouse w on w.id = v.warehouse_id where v.item_id = $1 order by w.name
"""


async def item_levels(conn: Connection, item_id: int) -> list[LevelRow]:
    """The levels of an item."""
    return [LevelRow(*row) for row in await conn.fetch(ITEM_LEVELS, item_id)]


@dataclass(frozen=True, slots=True)
class ListingRow:
    listing_id: int
    channel: str
    location: str
    remote: str
    sku: str
    title: str
    warehouse: str | None
    managed: bool
    skip: str
    gone_at: datetime | None
    shown: int | None
    shown_at: datetime | None
    attempt_open: bool
    owed_at: datetime | None
    parked_at: datetime | None
    reason: str | None


ITEM_LISTINGS = """
select l.id as listing_id, c.name as channel, l.location, l.remote, l.sku, l.title,
    w.name as warehouse, l.managed, l.skip, l.gone_at, s.shown, s.shown_at,
    s.attempt_id is not null as attempt_open, o.owed_at, o.parked_at, o.reason
from listing l join channel c on c.id = l.channel_id join shelf s on s.listing_id = l.id
left join warehouse w on w.id = l.warehouse_id
left join outbox o on o.listing_id = l.id
where l.item_id = $1 order by c.name, l.location, l.id
"""


async def item_listings(conn: Connection, item_id: int) -> list[ListingRow]:
    """The listings of an item on every channel."""
    return [ListingRow(*row) for row in await conn.fetch(ITEM_LISTINGS, item_id)]


@dataclass(frozen=True, slots=True)
class MovementRow:
    id: int
    warehouse: str
    delta: int
    kind: str
    cause: str
    channel: str | None
    event_id: int | None
    actor: str
    note: str
    occurred_at: datetime
    recorded_at: datetime


HISTORY = """
select m.id, w.name as warehouse, m.delta, m.kind, m.cause, c.name as channel, m.event_id, m.actor,
    m.note, m.occurred_at, m.recorded_at
from movement m join warehouse w on w.id = m.warehouse_id
left join channel c on c.id = m.channel_id
where m.item_id = $1 and ($2::bigint is null or m.id < $2) and ($3::text is null or w.name = $3)
  and ($4::text is null or m.kind = $4) and ($5::timestamptz is null or m.occurred_at >= $5)
order by m.id desc limit $6
"""


async def history(
    conn: Connection,
    item_id: int,
    before: int | None,
    *,
    warehouse: str | None,
    kind: str | None,
    since: datetime | None,
    limit: int,
) -> list[MovementRow]:
    """Movements of an item, the one recorded last first."""
    rows = await conn.fetch(HISTORY, item_id, before, warehouse, kind, since, limit)
    return [MovementRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ParkedRow:
    kind: str
    id: int
    channel: str | None
    sku: str | None
    location: str | None
    parked_at: datetime
    reason: str


PARKED = """
select p.kind, p.id, c.name as channel, p.sku, p.location, p.parked_at, p.reason
from (
    select 'delivery' as kind, o.listing_id as id, o.channel_id, l.sku, l.location, o.parked_at, o.reason
    from outbox o join listing l on l.id = o.listing_id where o.parked_at is not null
    union all
    select 'event', q.event_id, q.channel_id, null, null, q.parked_at, q.reason from inbox_parked q
) p left join channel c on c.id = p.channel_id
where ($1::text is null or (p.kind, p.id) > ($1, $2::bigint)) and ($3::text is null or c.name = $3)
  and ($4::text is null or p.kind = $4)
order by p.kind, p.id limit $5
"""


async def parked(
    conn: Connection,
    after: tuple[str, int] | None,
    channel: str | None,
    kind: str | None,
    limit: int,
) -> list[ParkedRow]:
    """Deliveries and events that were given up until a person acts."""
    key = after or (None, None)
    return [ParkedRow(*row) for row in await conn.fetch(PARKED, *key, channel, kind, limit)]


@dataclass(frozen=True, slots=True)
class WishRow:
    id: int
    kind: str
    channel: str | None
    skus: Sequence[str] | None
    asked_at: datetime
    started_at: datetime | None
    done_at: datetime | None
    result: str | None


WISH = """
select id, kind, channel, skus, asked_at, started_at, done_at, result::text as result
from wish where id = $1
"""


async def wish(conn: Connection, wish_id: int) -> WishRow | None:
    """A wish and what became of it."""
    row = await conn.fetchrow(WISH, wish_id)
    return WishRow(*row) if row else None


@dataclass(frozen=True, slots=True)
class SuspenseRow:
    id: int
    channel: str | None
    sku: str | None
    warehouse: str | None
    location: str | None
    reason: str
    candidates: Sequence[int]
    proposal: int
    evidence: str
    created_at: datetime


SUSPENSE = """
select s.id, c.name as channel, coalesce(i.sku, l.sku) as sku, w.name as warehouse, l.location, s.reason,
    s.candidates, s.proposal, s.evidence::text as evidence, s.created_at
from suspense s
left join listing l on l.id = s.listing_id
left join channel c on c.id = coalesce(l.channel_id, s.channel_id)
left join item i on i.id = s.item_id
left join warehouse w on w.id = s.warehouse_id
where s.resolved_at is null and ($1::bigint is null or s.id > $1)
  and ($2::text is null or c.name = $2) and ($3::text is null or coalesce(i.sku, l.sku) = $3)
  and ($4::text is null or s.reason = $4)
order by s.id limit $5
"""


async def in_suspense(
    conn: Connection,
    after: int | None,
    *,
    channel: str | None,
    sku: str | None,
    reason: str | None,
    limit: int,
) -> list[SuspenseRow]:
    """Amounts that wait for a person, the oldest first."""
    rows = await conn.fetch(SUSPENSE, after, channel, sku, reason, limit)
    return [SuspenseRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class PostedRow:
    channel_id: int
    channel: str
    item_id: int
    sku: str
    warehouse: str
    post: str
    delta: int | None
    order_ref: str
    standing: str
    booked: int
    actor: str
    note: str
    occurred_at: datetime
    recorded_at: datetime


POSTED = """
select p.channel_id, c.name as channel, p.item_id, i.sku, w.name as warehouse, p.post, p.delta,
    p.order_ref, p.standing, coalesce(s.booked, p.booked) as booked, p.actor, p.note, p.occurred_at,
    p.recorded_at
from posting p
join channel c on c.id = p.channel_id
join item i on i.id = p.item_id
join warehouse w on w.id = p.warehouse_id
left join stock_count s on p.delta is null and s.item_id = p.item_id
    and s.warehouse_id = p.warehouse_id and s.cause = c.name || ':post:' || p.cause
where p.cause = $1 and ($2::text is null or c.name = $2)
order by c.name, i.sku, w.name limit $3
"""


async def posted(conn: Connection, cause: str, channel: str | None, limit: int) -> list[PostedRow]:
    """What was posted under a cause, with all that is booked of it now."""
    return [PostedRow(*row) for row in await conn.fetch(POSTED, cause, channel, limit)]


CAUSED = """
select m.id, w.name as warehouse, m.delta, m.kind, m.cause, c.name as channel, m.event_id, m.actor,
    m.note, m.occurred_at, m.recorded_at
from movement m join warehouse w on w.id = m.warehouse_id
left join channel c on c.id = m.channel_id
where m.item_id = any($1::bigint[]) and starts_with(m.cause, $2)
order by m.id
"""


async def caused(conn: Connection, item_ids: Sequence[int], prefix: str) -> list[MovementRow]:
    """Movements of items whose cause begins so."""
    return [MovementRow(*row) for row in await conn.fetch(CAUSED, item_ids, prefix)]
