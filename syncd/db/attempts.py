"""Attempts: writes as stored before they are sent, taken over by whoever has the lane, settled once.

Every statement here touches only listings whose shelf the transaction has locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from syncd.db.outbox import pull_back
from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One listing of an attempt."""

    listing_id: int
    from_quantity: int | None
    to_quantity: int
    level: int
    version: int
    received_at: datetime | None
    inputs: str | None
    """What the target was made from, as JSON (`stock/policy.py: stored`); None: of the level alone."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write as stored before it is sent; its id is the key."""

    id: UUID
    channel_id: int
    op: str
    created_at: datetime
    not_before: datetime


OPEN_ATTEMPT = """
with opened as (
    insert into attempt (id, channel_id, op, lease_gen, created_at, not_before)
    select $1, c.id, $3, c.lease_gen, $4, $5 from channel c where c.id = $2 and c.lease_gen = $6
    returning id
), stored as (
    insert into attempt_row (listing_id, attempt_id, position, from_quantity, to_quantity, level,
                             version, received_at, inputs, turn)
    select g.listing_id, a.id, g.n - 1, g.from_quantity, g.to_quantity, g.level, g.version,
        g.received_at, g.inputs, nextval('turn')
    from opened a, unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
                          $12::timestamptz[], $13::jsonb[])
        with ordinality as g(listing_id, from_quantity, to_quantity, level, version, received_at,
                             inputs, n)
    returning listing_id, turn
)
update shelf s set attempt_id = $1, turn = r.turn from stored r where s.listing_id = r.listing_id
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
        [r.listing_id for r in rows],
        [r.from_quantity for r in rows],
        [r.to_quantity for r in rows],
        [r.level for r in rows],
        [r.version for r in rows],
        [r.received_at for r in rows],
        [r.inputs for r in rows],
    )
    return not tag.endswith(" 0")


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
    await pull_back(conn, channel_id, now)
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
    inputs: str | None


OPEN_DUE = """
select a.id as attempt_id, a.op, a.created_at, a.times_sent, a.last_sent_at, r.listing_id, l.remote, l.location,
    coalesce(l.known_as, l.sku) as sku, l.batch_group, r.from_quantity, r.to_quantity, r.level, r.version, r.received_at,
    r.inputs
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


PUT_OFF = "update attempt set not_before = $2 where id = $1 and lease_gen = $3"


async def put_off(conn: Connection, attempt_id: UUID, not_before: datetime, lease_gen: int) -> None:
    """The attempt is looked after again then."""
    await conn.execute(PUT_OFF, attempt_id, not_before, lease_gen)


LOCK_ATTEMPT = """
select s.listing_id, s.turn = r.turn as undisturbed, s.shown, s.shown_at
from attempt_row r join attempt a on a.id = r.attempt_id join shelf s on s.listing_id = r.listing_id
where r.attempt_id = $1 and a.lease_gen = $2
order by s.listing_id
for no key update of s
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """A locked shelf of an attempt. `undisturbed`: nothing was booked on it since the claim."""

    listing_id: int
    undisturbed: bool
    shown: int | None
    shown_at: datetime | None


async def lock_attempt(conn: Connection, attempt_id: UUID, lease_gen: int) -> dict[int, Locked]:
    """Lock the shelves of an attempt, by listing.

    Empty when another daemon has taken the lane or the attempt is settled.
    """
    rows = await conn.fetch(LOCK_ATTEMPT, attempt_id, lease_gen)
    return {row[0]: Locked(*row) for row in rows}


@dataclass(frozen=True, slots=True)
class Settled:
    """How one row of an attempt ended. `changed`: its shelf shows `shown` now, else what it did.

    `stale`: its comparison failed once more. `applied`: the delivery of this version is made; a
    newer one stays owed.
    """

    listing_id: int
    shown: int | None = None
    shown_at: datetime | None = None
    changed: bool = False
    stale: bool = False
    applied: int | None = None


SETTLE = """
with given as (
    select * from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::boolean[], $6::boolean[],
                         $7::bigint[])
        as g(listing_id, shown, shown_at, changed, stale, applied)
), closed as (
    delete from attempt where id = $1
), delivered as (
    delete from outbox o using given g where o.listing_id = g.listing_id and o.version = g.applied
)
update shelf s set
    shown = case when g.changed then g.shown else s.shown end,
    shown_at = case when g.changed then g.shown_at else s.shown_at end,
    stale_times = case when g.stale then s.stale_times + 1
                       when g.changed then 0 else s.stale_times end,
    surprised_at = case when g.changed then null else s.surprised_at end,
    attempt_id = null, lag_asks = 0, turn = nextval('turn')
from given g where s.listing_id = g.listing_id
"""


async def settle(conn: Connection, attempt_id: UUID, rows: Sequence[Settled]) -> None:
    """Close an attempt: its locked shelves show what the answer says, their turn moves, and what
    is applied is owed no more.
    """
    await conn.execute(
        SETTLE,
        attempt_id,
        [r.listing_id for r in rows],
        [r.shown for r in rows],
        [r.shown_at for r in rows],
        [r.changed for r in rows],
        [r.stale for r in rows],
        [r.applied for r in rows],
    )
