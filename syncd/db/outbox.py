"""The outbox: what is owed to listings, which of it can go now, and what became of it.

Every statement here touches only listings whose shelf the transaction has locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from syncd.db.pool import Connection
from syncd.db.standing import changed_at, columns, is_bundle
from syncd.stock.standing import Standing

ALL = 32767
"""`batch_cap` of a row that may go in any batch."""


@dataclass(frozen=True, slots=True)
class Owe:
    """A delivery owed to a listing."""

    listing_id: int
    channel_id: int
    rank: int
    risk: int
    received_at: datetime | None
    forced: bool = False


OWE = """
insert into outbox (listing_id, channel_id, rank, risk, received_at, forced, owed_at, not_before)
select g.*, $7, $7 from unnest($1::bigint[], $2::int[], $3::smallint[], $4::bigint[],
                               $5::timestamptz[], $6::boolean[]) as g
on conflict (listing_id) do update set
    version = outbox.version + 1, rank = excluded.rank, risk = excluded.risk,
    received_at = least(outbox.received_at, excluded.received_at),
    forced = outbox.forced or excluded.forced, not_before = least(outbox.not_before, $7),
    -- a level that this very transaction moved carries its time; a sweep owes again and moves none
    (parked_at, tries, batch_cap, reason) = (
        select case when moved then null else outbox.parked_at end,
            case when moved then 0 else outbox.tries end,
            case when moved then 32767 else outbox.batch_cap end,
            case when moved then '' else outbox.reason end
        from (select outbox.parked_at is not null and exists (
            select from listing l left join component p on p.bundle_id = l.item_id
            join level v on v.item_id in (l.item_id, p.component_id) and v.warehouse_id = l.warehouse_id
            where l.id = outbox.listing_id and v.changed_at = $7) as moved) as m)
"""


async def owe(conn: Connection, owed: Sequence[Owe], now: datetime) -> None:
    """Owe deliveries; a row that waits already gets a newer version and goes at once.

    A parked one is tried again when a movement at `now` is behind it: what was refused was another
    target. Owed again for the same one, as by every sweep, it stays parked.
    """
    await conn.execute(
        OWE,
        [o.listing_id for o in owed],
        [o.channel_id for o in owed],
        [o.rank for o in owed],
        [o.risk for o in owed],
        [o.received_at for o in owed],
        [o.forced for o in owed],
        now,
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivery that could be made now; its shelf is locked until the transaction ends."""

    listing_id: int
    channel_id: int
    remote: str
    location: str
    sku: str
    batch_group: str
    item_id: int
    warehouse_id: int
    version: int
    forced: bool
    batch_cap: int
    owed_at: datetime
    received_at: datetime | None
    shown: int | None
    stale_times: int
    withheld: str
    orphaned: bool
    looking: bool
    held_by: int | None
    keeps: int | None
    bundle: bool


_CANDIDATE = f"""
    s.listing_id, l.channel_id, l.remote, l.location, coalesce(l.known_as, l.sku) as sku,
    l.batch_group, l.item_id, l.warehouse_id, o.version, o.forced, o.batch_cap, o.owed_at,
    o.received_at, s.shown, s.stale_times, l.withheld, l.orphaned,
    exists (select from look k where k.listing_id = s.listing_id) as looking, s.held_by, s.keeps,
    {is_bundle("l")} as bundle"""

CANDIDATES = f"""
with pick as (
    (select o.listing_id from outbox o join shelf s on s.listing_id = o.listing_id
     where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2 and s.attempt_id is null
       and ($6 or not exists (select from look k where k.listing_id = o.listing_id
                              and o.owed_at > $5))
     order by o.rank, o.owed_at limit $3)
    union
    (select o.listing_id from outbox o join shelf s on s.listing_id = o.listing_id
     where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2 and s.attempt_id is null
       and ($6 or not exists (select from look k where k.listing_id = o.listing_id
                              and o.owed_at > $5))
     order by o.owed_at limit $4)
)
select {_CANDIDATE}
from pick p
join shelf s on s.listing_id = p.listing_id
join listing l on l.id = p.listing_id
join outbox o on o.listing_id = p.listing_id
where s.attempt_id is null
for no key update of s skip locked
"""

THESE = f"""
select {_CANDIDATE}
from shelf s
join listing l on l.id = s.listing_id
join outbox o on o.listing_id = s.listing_id
where s.listing_id = any($1::bigint[]) and o.parked_at is null and o.not_before <= $2
  and s.attempt_id is null
for no key update of s skip locked
"""


async def candidates_among(
    conn: Connection, listing_ids: Sequence[int], now: datetime
) -> list[Candidate]:
    """Those of these listings that are owed a delivery which is due. Nobody's lock is waited for."""
    return [Candidate(*row) for row in await conn.fetch(THESE, listing_ids, now)]


async def candidates(
    conn: Connection,
    channel_id: int,
    now: datetime,
    limit: int,
    *,
    owed_before: datetime,
    despite_looks: bool,
) -> list[Candidate]:
    """The `limit` most urgent deliveries due on a channel, and the oldest of all: so many, and a
    quarter more where these are others. Nobody's lock is waited for.

    A listing that is to be read first is left out while it was owed after `owed_before`.
    """
    aged = max(limit // 4, 1)
    rows = await conn.fetch(CANDIDATES, channel_id, now, limit, aged, owed_before, despite_looks)
    return [Candidate(*row) for row in rows]


VERSIONS = f"""
select {columns("l", "v")}, o.listing_id, o.version, o.forced, o.received_at,
    greatest({changed_at("l", "v")}, s.surprised_at) as changed_at,
    l.gone_at is null and l.skip = '' and l.managed and s.quarantined_at is null as served, c.orders_asked_at, s.surprised_at
from outbox o join listing l on l.id = o.listing_id join shelf s on s.listing_id = o.listing_id
join channel c on c.id = o.channel_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where o.listing_id = any($1::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Wanted(Standing):
    """What a locked candidate's listing is owed, read after its lock was taken."""

    listing_id: int
    version: int
    forced: bool
    received_at: datetime | None
    changed_at: datetime | None
    """When the newest fact behind it was booked, by our clock: a movement, or a surprising reading."""
    served: bool
    """False where nothing may be written: gone, skipped, not tracked by the platform."""
    orders_asked_at: datetime | None
    """When the newest complete fetch of its channel's orders began, by our clock."""
    surprised_at: datetime | None
    """When a reading last found what no order explains, by our clock; null after our own write."""


async def wanted(conn: Connection, listing_ids: Sequence[int]) -> dict[int, Wanted]:
    """The newest versions and levels of locked listings: read after the locks, so nobody moves them."""
    rows = [Wanted(*row) for row in await conn.fetch(VERSIONS, listing_ids)]
    return {row.listing_id: row for row in rows}


DROP = "delete from outbox where listing_id = any($1::bigint[])"


async def drop(conn: Connection, listing_ids: Sequence[int]) -> None:
    """Locked listings that show their target already are owed nothing."""
    await conn.execute(DROP, listing_ids)


PARK = """
update outbox o set parked_at = $4, reason = g.reason
from unnest($1::bigint[], $2::bigint[], $3::text[]) as g(listing_id, version, reason)
where o.listing_id = g.listing_id and o.version = g.version
"""


async def park(conn: Connection, parked: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """Given up until a person or a movement acts: (listing, version sent, the platform's words).

    A version newer than the one sent was never refused: it stays owed.
    """
    await conn.execute(
        PARK, [x[0] for x in parked], [x[1] for x in parked], [x[2] for x in parked], now
    )


POSTPONE = """
update outbox o set tries = o.tries + 1, not_before = g.not_before, batch_cap = g.batch_cap,
    reason = g.reason
from unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::text[])
    as g(listing_id, not_before, batch_cap, reason)
where o.listing_id = g.listing_id
returning o.listing_id, o.tries
"""


async def postpone(
    conn: Connection, rows: Sequence[tuple[int, datetime, int, str]]
) -> dict[int, int]:
    """Try again later: (listing, not before, largest batch, reason); gives tries by listing."""
    found = await conn.fetch(
        POSTPONE,
        [r[0] for r in rows],
        [r[1] for r in rows],
        [r[2] for r in rows],
        [r[3] for r in rows],
    )
    return {row[0]: row[1] for row in found}


PUT_OFF = "update outbox set not_before = $2, reason = $3 where listing_id = $1"


async def put_off(conn: Connection, listing_id: int, not_before: datetime, reason: str) -> None:
    """Nothing was tried: the delivery waits until then, for this reason."""
    await conn.execute(PUT_OFF, listing_id, not_before, reason)


UNPARK = """
update outbox set parked_at = null, tries = 0, batch_cap = 32767, not_before = $2, reason = ''
where parked_at is not null
  and ($1::text is null or channel_id = (select id from channel where name = $1))
"""


async def unpark(conn: Connection, channel: str | None, now: datetime) -> int:
    """Parked deliveries of one channel (None: of all) are tried again; gives how many."""
    tag = await conn.execute(UNPARK, channel, now)
    return int(tag.rsplit(" ", 1)[1])


@dataclass(frozen=True, slots=True)
class OutboxNow:
    """What a channel is owed: rows waiting, oldest, units at risk, parked, open attempts."""

    channel_id: int
    waiting: int
    oldest: datetime | None
    risk: int
    parked: int
    open_attempts: int


OUTBOX_NOW = """
select c.id as channel_id, count(o.listing_id) filter (where o.parked_at is null) as waiting,
    min(o.owed_at) filter (where o.parked_at is null) as oldest,
    coalesce(sum(o.risk), 0)::bigint as risk, count(o.parked_at) as parked,
    (select count(*) from attempt a where a.channel_id = c.id) as open_attempts
from channel c left join outbox o on o.channel_id = c.id
group by c.id order by c.id
"""


async def now_owed(conn: Connection) -> list[OutboxNow]:
    """What every channel is owed just now."""
    return [OutboxNow(*row) for row in await conn.fetch(OUTBOX_NOW)]


LONGEST_PAUSE = timedelta(minutes=10)
"""Nothing is ever put off for longer: what is due later was so by a clock since set back."""

PULL_BACK = """
with deliveries as (
    update outbox set not_before = $2 where channel_id = $1 and not_before > $2
), writes as (
    update attempt set not_before = $2 where channel_id = $1 and not_before > $2
), readings as (
    update look set not_before = $2 where channel_id = $1 and not_before > $2
)
update order_look set not_before = $2 where channel_id = $1 and not_before > $2
"""


async def pull_back(conn: Connection, channel_id: int, now: datetime) -> None:
    """Put nothing of a channel off for longer than the longest pause."""
    await conn.execute(PULL_BACK, channel_id, now + LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Due:
    """What a lane could do now, and when the next thing falls due (None: nothing waits)."""

    attempts: bool
    orders: bool
    edits: bool
    looks: bool
    writes: bool
    blocked: bool
    """A delivery is due that waits until its listing has been read."""
    next_at: datetime | None


DUE = """
select
    exists (select from attempt a where a.channel_id = $1 and a.not_before <= $2
            and not (a.id = any($3::uuid[]))) as attempts,
    exists (select from order_look where channel_id = $1 and not_before <= $2) as orders,
    exists (select from stretch where channel_id = $1 and due_at <= $2) as edits,
    -- the order makes the planner walk the channel's index; exists () would let it read the table
    coalesce((select true from look k join shelf s on s.listing_id = k.listing_id
              where k.channel_id = $1 and k.not_before <= $2 and s.attempt_id is null
                and not (k.listing_id = any($4::bigint[]))
              order by k.not_before limit 1), false) as looks,
    coalesce((select true from outbox o join shelf s on s.listing_id = o.listing_id
              where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2
                and s.attempt_id is null and not (o.listing_id = any($5::bigint[]))
              order by o.owed_at limit 1), false) as writes,
    exists (select from outbox o where o.listing_id = any($5::bigint[]) and o.parked_at is null
            and o.not_before <= $2) as blocked,
    least(
        -- only a delivery that was tried is ever put off: an index of its own holds those
        (select min(not_before) from outbox
         where channel_id = $1 and parked_at is null and tries > 0 and not_before > $2),
        (select min(not_before) from attempt where channel_id = $1 and not_before > $2),
        (select min(due_at) from stretch where channel_id = $1 and due_at > $2),
        (select min(not_before) from look where channel_id = $1 and not_before > $2),
        (select min(not_before) from order_look where channel_id = $1 and not_before > $2)) as next_at
"""


async def due(
    conn: Connection,
    channel_id: int,
    now: datetime,
    busy_attempts: Sequence[UUID],
    busy_looks: Sequence[int],
    read_first: Sequence[int] = (),
) -> Due:
    """What the lane of a channel has to do.

    `busy_looks` are being read; of those `read_first` nothing is written before that has ended.
    """
    return Due(*await conn.fetchrow(DUE, channel_id, now, busy_attempts, busy_looks, read_first))
