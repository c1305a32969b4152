"""The outbox and its attempts: what is owed to listings, what is being written, and how it ended.

Every statement here touches only listings whose shelf the transaction has locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from syncd.db.pool import Connection

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
    forced = outbox.forced or excluded.forced
"""


async def owe(conn: Connection, owed: Sequence[Owe], now: datetime) -> None:
    """Owe deliveries; a row that waits already gets a newer version."""
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
    looking: bool


CANDIDATES = """
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
select s.listing_id, l.channel_id, l.remote, l.location, l.sku, l.batch_group, l.item_id,
    l.warehouse_id, o.version, o.forced, o.batch_cap, o.owed_at, o.received_at, s.shown,
    s.stale_times, exists (select from look k where k.listing_id = s.listing_id) as looking
from pick p
join shelf s on s.listing_id = p.listing_id
join listing l on l.id = p.listing_id
join outbox o on o.listing_id = p.listing_id
where s.attempt_id is null
for no key update of s skip locked
"""


async def candidates(
    conn: Connection,
    channel_id: int,
    now: datetime,
    limit: int,
    *,
    owed_before: datetime,
    despite_looks: bool,
) -> list[Candidate]:
    """Deliveries due on a channel, most urgent first and a share by age, without waiting for locks.

    A listing that is to be read first is left out while it was owed after `owed_before`.
    """
    aged = max(limit // 4, 1)
    rows = await conn.fetch(
        CANDIDATES, channel_id, now, limit - aged or 1, aged, owed_before, despite_looks
    )
    return [Candidate(*row) for row in rows]


VERSIONS = """
select o.listing_id, o.version, o.forced, o.received_at, v.quantity as level, v.changed_at
from outbox o join listing l on l.id = o.listing_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where o.listing_id = any($1::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a locked candidate's listing is owed, read after its lock was taken."""

    listing_id: int
    version: int
    forced: bool
    received_at: datetime | None
    level: int | None
    changed_at: datetime | None


async def wanted(conn: Connection, listing_ids: Sequence[int]) -> dict[int, Wanted]:
    """The newest versions and levels of locked listings: read after the locks, so nobody moves them."""
    return {row[0]: Wanted(*row) for row in await conn.fetch(VERSIONS, listing_ids)}


DROP = "delete from outbox where listing_id = any($1::bigint[])"


async def drop(conn: Connection, listing_ids: Sequence[int]) -> None:
    """Locked listings that show their target already are owed nothing."""
    await conn.execute(DROP, listing_ids)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One listing of an attempt. `turn` is the shelf's turn since the claim."""

    listing_id: int
    from_quantity: int | None
    to_quantity: int
    level: int
    version: int
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write as stored before it is sent; its id is the key."""

    id: UUID
    channel_id: int
    op: str
    created_at: datetime
    not_before: datetime


OPEN_ATTEMPT = """
insert into attempt (id, channel_id, op, lease_gen, created_at, not_before)
select $1, c.id, $3, c.lease_gen, $4, $5 from channel c where c.id = $2 and c.lease_gen = $6
"""

OPEN_ROWS = """
insert into attempt_row (listing_id, attempt_id, position, from_quantity, to_quantity, level, version,
                         received_at, turn)
select g.listing_id, $1, g.n - 1, g.from_quantity, g.to_quantity, g.level, g.version, g.received_at,
    nextval('turn')
from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
    with ordinality as g(listing_id, from_quantity, to_quantity, level, version, received_at, n)
"""

OPEN_SHELVES = """
update shelf s set attempt_id = $1, turn = r.turn
from attempt_row r where r.attempt_id = $1 and s.listing_id = r.listing_id
"""


async def open_attempt(
    conn: Connection, attempt: Attempt, lease_gen: int, rows: Sequence[AttemptRow]
) -> bool:
    """Store an attempt on locked shelves; False when another daemon has taken the lane."""
    tag = await conn.execute(
        OPEN_ATTEMPT,
        attempt.id,
        attempt.channel_id,
        attempt.op,
        attempt.created_at,
        attempt.not_before,
        lease_gen,
    )
    if tag.endswith(" 0"):
        return False
    await conn.execute(
        OPEN_ROWS,
        attempt.id,
        [r.listing_id for r in rows],
        [r.from_quantity for r in rows],
        [r.to_quantity for r in rows],
        [r.level for r in rows],
        [r.version for r in rows],
        [r.received_at for r in rows],
    )
    await conn.execute(OPEN_SHELVES, attempt.id)
    return True


TAKE_LANE = "update channel set lease_gen = lease_gen + 1 where id = $1 returning lease_gen"
ADOPT_ATTEMPTS = """
update attempt set lease_gen = $2,
    not_before = case when times_sent = 0 then least(not_before, $3) else not_before end
where channel_id = $1
"""


async def take_lane(conn: Connection, channel_id: int, now: datetime) -> int:
    """Fence off every earlier daemon on this channel and take over its open attempts.

    One whose outcome its daemon did not live to tell is due at once: nobody else waits for it.
    """
    lease_gen: int = await conn.fetchval(TAKE_LANE, channel_id)
    await conn.execute(ADOPT_ATTEMPTS, channel_id, lease_gen, now)
    return lease_gen


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A row of an open attempt with what names its listing to the connector."""

    attempt_id: UUID
    op: str
    created_at: datetime
    times_sent: int
    last_sent_at: datetime | None
    listing_id: int
    remote: str
    location: str
    sku: str
    batch_group: str
    from_quantity: int | None
    to_quantity: int
    level: int
    version: int
    received_at: datetime | None


OPEN_DUE = """
select a.id as attempt_id, a.op, a.created_at, a.times_sent, a.last_sent_at, r.listing_id, l.remote, l.location,
    l.sku, l.batch_group, r.from_quantity, r.to_quantity, r.level, r.version, r.received_at
from (select * from attempt where channel_id = $1 and not_before <= $2
        and not (id = any($3::uuid[])) order by not_before limit 1) a
join attempt_row r on r.attempt_id = a.id
join listing l on l.id = r.listing_id
order by r.position
"""


async def open_due(
    conn: Connection, channel_id: int, now: datetime, busy: Sequence[UUID]
) -> list[OpenRow]:
    """The rows of the open attempt that is longest due to be sent or settled again; [] for none."""
    return [OpenRow(*row) for row in await conn.fetch(OPEN_DUE, channel_id, now, busy)]


SENT = """
update attempt set times_sent = times_sent + 1, last_sent_at = $2, not_before = $3
where id = $1 and lease_gen = $4
"""


async def sent(
    conn: Connection, attempt_id: UUID, now: datetime, not_before: datetime, lease_gen: int
) -> bool:
    """The attempt ended without a clear answer: it stays open and is due again then."""
    tag = await conn.execute(SENT, attempt_id, now, not_before, lease_gen)
    return not tag.endswith(" 0")


LOCK_ATTEMPT = """
select s.listing_id, s.turn = r.turn, s.shown
from attempt_row r join attempt a on a.id = r.attempt_id join shelf s on s.listing_id = r.listing_id
where r.attempt_id = $1 and a.lease_gen = $2
order by s.listing_id
for no key update of s
"""


async def lock_attempt(
    conn: Connection, attempt_id: UUID, lease_gen: int
) -> dict[int, tuple[bool, int | None]]:
    """Lock the shelves of an attempt: listing → (nothing was booked on it since the claim, shown).

    Empty when another daemon has taken the lane or the attempt is settled.
    """
    rows = await conn.fetch(LOCK_ATTEMPT, attempt_id, lease_gen)
    return {row[0]: (row[1], row[2]) for row in rows}


@dataclass(frozen=True, slots=True)
class Settled:
    """How one row of an attempt ended. `changed`: its shelf shows `shown` now, else what it did.

    `stale`: its comparison failed once more.
    """

    listing_id: int
    shown: int | None = None
    shown_at: datetime | None = None
    changed: bool = False
    stale: bool = False


SETTLE = """
update shelf s set
    shown = case when g.changed then g.shown else s.shown end,
    shown_at = case when g.changed then g.shown_at else s.shown_at end,
    stale_times = case when g.stale then s.stale_times + 1
                       when g.changed then 0 else s.stale_times end,
    attempt_id = null, lag_asks = 0, turn = nextval('turn')
from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::boolean[], $5::boolean[])
    as g(listing_id, shown, shown_at, changed, stale)
where s.listing_id = g.listing_id
"""

CLOSE = "delete from attempt where id = $1"


async def settle(conn: Connection, attempt_id: UUID, rows: Sequence[Settled]) -> None:
    """Close an attempt: its locked shelves show what the answer says and their turn moves."""
    await conn.execute(
        SETTLE,
        [r.listing_id for r in rows],
        [r.shown for r in rows],
        [r.shown_at for r in rows],
        [r.changed for r in rows],
        [r.stale for r in rows],
    )
    await conn.execute(CLOSE, attempt_id)


ACK = """
delete from outbox o using unnest($1::bigint[], $2::bigint[]) as g(listing_id, version)
where o.listing_id = g.listing_id and o.version = g.version
"""


async def ack(conn: Connection, sent_versions: Sequence[tuple[int, int]]) -> None:
    """These versions are on their shelves; a newer one stays owed."""
    await conn.execute(ACK, [x[0] for x in sent_versions], [x[1] for x in sent_versions])


PARK = """
update outbox o set parked_at = $3, reason = g.reason
from unnest($1::bigint[], $2::text[]) as g(listing_id, reason)
where o.listing_id = g.listing_id
"""


async def park(conn: Connection, parked: Sequence[tuple[int, str]], now: datetime) -> None:
    """Given up until a person acts: (listing, the platform's words)."""
    await conn.execute(PARK, [x[0] for x in parked], [x[1] for x in parked], now)


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


PEEK = """
select o.listing_id from outbox o join shelf s on s.listing_id = o.listing_id
where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2 and s.attempt_id is null
order by o.rank, o.owed_at limit $3
"""


async def peek(conn: Connection, channel_id: int, now: datetime, limit: int) -> list[int]:
    """Listings whose delivery is due, most urgent first, without locking them."""
    return [row[0] for row in await conn.fetch(PEEK, channel_id, now, limit)]


@dataclass(frozen=True, slots=True)
class Due:
    """What a lane could do now, and when the next thing falls due (None: nothing waits)."""

    attempts: bool
    orders: bool
    looks: bool
    writes: bool
    next_at: datetime | None


DUE = """
select
    exists (select from attempt a where a.channel_id = $1 and a.not_before <= $2
            and not (a.id = any($3::uuid[]))) as attempts,
    exists (select from order_look where channel_id = $1 and not_before <= $2) as orders,
    -- the order makes the planner walk the channel's index; exists () would let it read the table
    coalesce((select true from look k join shelf s on s.listing_id = k.listing_id
              where k.channel_id = $1 and k.not_before <= $2 and s.attempt_id is null
                and not (k.listing_id = any($4::bigint[]))
              order by k.not_before limit 1), false) as looks,
    coalesce((select true from outbox o join shelf s on s.listing_id = o.listing_id
              where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2
                and s.attempt_id is null
              order by o.owed_at limit 1), false) as writes,
    least(
        (select min(not_before) from outbox
         where channel_id = $1 and parked_at is null and not_before > $2),
        (select min(not_before) from attempt where channel_id = $1 and not_before > $2),
        (select min(not_before) from look where channel_id = $1 and not_before > $2),
        (select min(not_before) from order_look where channel_id = $1 and not_before > $2)) as next_at
"""


async def due(
    conn: Connection,
    channel_id: int,
    now: datetime,
    busy_attempts: Sequence[UUID],
    busy_looks: Sequence[int],
) -> Due:
    """What the lane of a channel has to do."""
    return Due(*await conn.fetchrow(DUE, channel_id, now, busy_attempts, busy_looks))
