"""What an explanation is made of: how an item stands, its listings and all that waits for them, its newest lines.

Read only, in one snapshot (`history.snapshot`), and without a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from syncd.db.pool import Connection
from syncd.db.standing import changed_at, columns, is_bundle
from syncd.stock.standing import Standing


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item, or (`id` None) a sku that listings have and no item does."""

    id: int | None
    sku: str
    listed: bool


ITEM = """
select (select id from item where sku = $1) as id, $1::text as sku, exists (
    select from channel c join listing l on l.channel_id = c.id and l.sku = $1) as listed
"""


async def item(conn: Connection, sku: str) -> ItemRow:
    """What a sku is."""
    return ItemRow(*await conn.fetchrow(ITEM, sku))


@dataclass(frozen=True, slots=True)
class LevelRow(Standing):
    """How an item stands in one warehouse."""

    warehouse_id: int
    warehouse: str
    changed_at: datetime | None
    seeded_at: datetime | None
    """None: a bundle that never had a level of its own."""


LEVELS = f"""
select {columns("g", "v")}, g.warehouse_id, w.name as warehouse, {changed_at("g", "v")} as changed_at,
    v.seeded_at
from (
    select item_id, warehouse_id from level where item_id = $1
    union
    select l.item_id, l.warehouse_id from listing l
    where l.item_id = $1 and l.warehouse_id is not null and {is_bundle("l")}
) g
join warehouse w on w.id = g.warehouse_id
left join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
order by w.name
"""


async def levels(conn: Connection, item_id: int) -> list[LevelRow]:
    """How an item stands, a row for each warehouse."""
    return [LevelRow(*row) for row in await conn.fetch(LEVELS, item_id)]


@dataclass(frozen=True, slots=True)
class ListingRow:
    """A listing of an item with its shelf, and whatever waits for it."""

    listing_id: int
    channel_id: int
    channel: str
    platform: str
    location: str
    remote: str
    sku: str
    title: str
    item_id: int | None
    warehouse_id: int | None
    managed: bool
    skip: str
    withheld: str
    orphaned: bool
    gone_at: datetime | None
    shown: int | None
    shown_at: datetime | None
    surprised_at: datetime | None
    observed: int | None
    observed_at: datetime | None
    quarantined: bool
    held_by: int | None
    keeps: int | None
    held: bool
    owed_at: datetime | None
    version: int | None
    risk: int | None
    forced: bool | None
    not_before: datetime | None
    tries: int | None
    parked_at: datetime | None
    outbox_reason: str | None
    before_it: int
    """Deliveries of its channel that are owed and were owed earlier, counted up to a hundred."""
    look: str | None
    look_not_before: datetime | None
    attempt_id: UUID | None
    op: str | None
    created_at: datetime | None
    times_sent: int | None
    last_sent_at: datetime | None
    attempt_not_before: datetime | None
    from_quantity: int | None
    to_quantity: int | None
    level: int | None
    inputs: str | None
    rows: int
    orders_asked_at: datetime | None
    swept_at: datetime | None


LISTINGS = """
select l.id as listing_id, l.channel_id, c.name as channel, c.platform, l.location, l.remote,
    coalesce(l.known_as, l.sku) as sku, l.title, l.item_id, l.warehouse_id, l.managed, l.skip, l.withheld,
    l.orphaned, l.gone_at, s.shown, s.shown_at, s.surprised_at, s.observed, s.observed_at,
    s.quarantined_at is not null as quarantined, s.held_by, s.keeps, coalesce(s.held, false) as held,
    o.owed_at, o.version, o.risk, o.forced, o.not_before, o.tries, o.parked_at,
    o.reason as outbox_reason,
    (select count(*) from (select from outbox x
        where x.channel_id = o.channel_id and x.parked_at is null and x.owed_at < o.owed_at
        limit 100) x) as before_it,
    k.reason as look, k.not_before as look_not_before,
    a.id as attempt_id, a.op, a.created_at, a.times_sent, a.last_sent_at,
    a.not_before as attempt_not_before, r.from_quantity, r.to_quantity, r.level, r.inputs,
    (select count(*) from attempt_row x where x.attempt_id = a.id) as rows,
    c.orders_asked_at, c.swept_at
from listing l
join channel c on c.id = l.channel_id
left join shelf s on s.listing_id = l.id
left join outbox o on o.listing_id = l.id
left join look k on k.listing_id = l.id
left join attempt_row r on r.listing_id = l.id
left join attempt a on a.id = r.attempt_id
where l.id in (
    select id from listing where item_id = $1
    union
    select x.id from channel y join listing x on x.channel_id = y.id and x.sku = $2
)
order by c.name, l.location, l.id
"""


async def listings(conn: Connection, item_id: int | None, sku: str) -> list[ListingRow]:
    """Every listing linked to an item, and those that have its sku without being linked."""
    return [ListingRow(*row) for row in await conn.fetch(LISTINGS, item_id, sku)]


@dataclass(frozen=True, slots=True)
class LineRow:
    """A journal line of a listing."""

    listing_id: int | None
    at: datetime
    outcome: str
    before: int | None
    after: int | None
    reason: str
    detail: str | None


NEWEST_LINES = """
select j.listing_id, j.at, j.outcome, j.before, j.after, j.reason, j.detail
from journal j where j.sku = any($1::text[]) and j.at <= $2
order by j.at desc, j.ctid desc limit $3
"""


async def newest_lines(
    conn: Connection, skus: Sequence[str], until: datetime, limit: int
) -> list[LineRow]:
    """The newest journal lines of these skus until then, newest first."""
    return [LineRow(*row) for row in await conn.fetch(NEWEST_LINES, skus, until, limit)]


LAST_WRITES = """
select g.listing_id, j.at, j.outcome, j.before, j.after, j.reason, j.detail
from unnest($1::bigint[], $2::text[]) as g(listing_id, sku)
cross join lateral (
    select * from journal j
    where j.sku = g.sku and j.at <= $3 and j.listing_id = g.listing_id and j.detail ? 'attempt'
    order by j.at desc limit 1
) j
"""


async def last_writes(
    conn: Connection, listings_of: Sequence[tuple[int, str]], until: datetime
) -> list[LineRow]:
    """The newest line about a write of each (listing, sku), until then: with what it was made from."""
    rows = await conn.fetch(
        LAST_WRITES, [x[0] for x in listings_of], [x[1] for x in listings_of], until
    )
    return [LineRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class SuspenseRow:
    """An amount of a listing that waits for a person."""

    id: int
    listing_id: int
    reason: str
    candidates: list[int]
    proposal: int
    created_at: datetime


SUSPENSE = """
select id, listing_id, reason, candidates, proposal, created_at from suspense
where listing_id = any($1::bigint[]) and resolved_at is null order by id
"""


async def suspense(conn: Connection, listing_ids: Sequence[int]) -> list[SuspenseRow]:
    """What is in suspense of these listings."""
    return [SuspenseRow(*row) for row in await conn.fetch(SUSPENSE, listing_ids)]


CHANNEL_IDS = "select name, id from channel"


async def channel_ids(conn: Connection) -> dict[str, int]:
    """Ids of the channels that were ever configured, by name."""
    return {row[0]: row[1] for row in await conn.fetch(CHANNEL_IDS)}


WAREHOUSE_IDS = "select name, id from warehouse"


async def warehouse_ids(conn: Connection) -> dict[str, int]:
    """Ids of the warehouses that were ever configured, by name."""
    return {row[0]: row[1] for row in await conn.fetch(WAREHOUSE_IDS)}


STOPPED = """
select c.name, j.reason
from channel c cross join lateral (
    select * from (
        (select at, outcome, reason from journal
         where outcome = 'channel_stopped' and channel_id = c.id and at <= $2 order by at desc limit 1)
        union all
        (select at, outcome, reason from journal
         where outcome = 'channel_resumed' and channel_id = c.id and at <= $2 order by at desc limit 1)
        union all
        (select at, outcome, reason from journal
         where outcome = 'started' and at <= $2 order by at desc limit 1)
    ) x order by x.at desc limit 1
) j
where c.name = any($1::text[]) and j.outcome = 'channel_stopped'
"""


async def stopped(conn: Connection, channels: Sequence[str], now: datetime) -> dict[str, str]:
    """Of these channels those that make no calls since the daemon started, with why."""
    return {row[0]: row[1] for row in await conn.fetch(STOPPED, channels, now)}


OWN_SINCE = """
select g.listing_id, coalesce((
    select sum(m.delta) from movement m
    where m.item_id = $1 and m.warehouse_id = g.warehouse_id and m.channel_id = g.channel_id
      and m.recorded_at > g.since and m.recorded_at <= $2
      -- a mark on a long ledger says what need not be read
      and m.id > coalesce((
        select x.movement_id from mark x
        where x.item_id = $1 and x.warehouse_id = g.warehouse_id and x.recorded_at <= g.since
        order by x.movement_id desc limit 1), 0)), 0)::bigint
from unnest($3::bigint[], $4::int[], $5::int[], $6::timestamptz[])
    as g(listing_id, channel_id, warehouse_id, since)
"""


async def own_since(
    conn: Connection,
    item_id: int,
    until: datetime,
    asked: Sequence[tuple[int, int, int, datetime]],
) -> dict[int, int]:
    """Units by which channels moved an item themselves since a write: (listing, channel, warehouse, when)."""
    rows = await conn.fetch(OWN_SINCE, item_id, until, *map(list, zip(*asked, strict=True)))
    return {row[0]: row[1] for row in rows}
