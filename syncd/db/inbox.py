"""Events as received: stored once, waiting in a queue, leaving it in the transaction that books them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from syncd.db.pool import Connection


class NewEvent(Struct, frozen=True):
    """A verified webhook to store; `digest` names the delivery among all of its channel."""

    channel_id: int
    digest: bytes
    topic: str
    body: bytes
    triggered_at: datetime | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event waiting to be booked."""

    event_id: int
    channel_id: int
    topic: str
    body: bytes
    received_at: datetime


STORE = """
with given as (
    select * from unnest($1::int[], $2::bytea[], $3::text[], $4::bytea[], $5::timestamptz[])
        with ordinality as g(channel_id, digest, topic, body, triggered_at, n)
), fresh as (
    insert into delivery_seen (channel_id, digest, seen_on)
    select distinct channel_id, digest, $7::date from given g
    where not exists (
        select from delivery_seen s where s.channel_id = g.channel_id and s.digest = g.digest
    )
    order by channel_id, digest
    on conflict do nothing
    returning channel_id, digest
), stored as (
    insert into inbox (channel_id, topic, body, triggered_at, received_at)
    select channel_id, topic, body, triggered_at, $6
    from (
        select distinct on (channel_id, digest) *
        from given join fresh using (channel_id, digest)
        order by channel_id, digest, n
    ) as once
    order by n
    returning id, channel_id
), queued as (
    insert into inbox_queue (event_id, channel_id, received_at, not_before)
    select id, channel_id, $6, $6 from stored
)
select channel_id, digest from fresh
"""


async def store_fresh(
    conn: Connection, events: Sequence[NewEvent], now: datetime, *, stored_before: int = 0
) -> set[tuple[int, bytes]]:
    """Store events once each, numbered in the order given; gives channel and digest of the new ones.

    Safe to repeat after an unclear commit. Two of these at once take their locks in one order.
    `stored_before`: roughly how many rows the caller has stored so far.
    """
    # a plan made while a partition had one page reads it whole, and is kept until the next analyze,
    # a minute away: with every doubling of what we stored, another text has another plan made
    rows = await conn.fetch(
        f"{STORE}-- {stored_before.bit_length()}",
        [e.channel_id for e in events],
        [e.digest for e in events],
        [e.topic for e in events],
        [e.body for e in events],
        [e.triggered_at for e in events],
        now,
        now.date(),
    )
    return {(row[0], row[1]) for row in rows}


async def store(conn: Connection, events: Sequence[NewEvent], now: datetime) -> int:
    """Store events once each; gives how many were new. Safe to repeat after an unclear commit."""
    return len(await store_fresh(conn, events, now))


CLAIM = """
with claimed as (
    select event_id, received_at from inbox_queue
    where not_before <= $1 and not (channel_id = any($3::int[]))
    order by event_id
    limit $2
    for update skip locked
)
select c.event_id, i.channel_id, i.topic, i.body, i.received_at
from claimed c
join inbox i on i.id = c.event_id and i.received_at = c.received_at
order by c.event_id
"""


async def claim(
    conn: Connection, now: datetime, limit: int, paused: Sequence[int] = ()
) -> list[QueuedEvent]:
    """The oldest waiting events, locked until the transaction ends; none of `paused` channels."""
    return [QueuedEvent(*row) for row in await conn.fetch(CLAIM, now, limit, paused)]


DONE = "delete from inbox_queue where event_id = any($1::bigint[])"


async def done(conn: Connection, event_ids: Sequence[int]) -> None:
    """These events are booked: they leave the queue with this transaction."""
    await conn.execute(DONE, event_ids)


PARK = """
with gone as (
    delete from inbox_queue where event_id = any($1::bigint[])
    returning event_id, channel_id, received_at
)
insert into inbox_parked (event_id, channel_id, received_at, parked_at, reason)
select g.event_id, g.channel_id, g.received_at, $3, r.reason
from gone g join unnest($1::bigint[], $2::text[]) as r(event_id, reason) using (event_id)
on conflict (event_id) do update set parked_at = excluded.parked_at, reason = excluded.reason
"""


async def park(
    conn: Connection, event_ids: Sequence[int], reasons: Sequence[str], now: datetime
) -> None:
    """These events cannot be booked: kept with their reasons until a person acts."""
    await conn.execute(PARK, event_ids, reasons, now)


UNPARK = """
with gone as (
    delete from inbox_parked where $1::text is null or channel_id = (select id from channel where name = $1)
    returning event_id, channel_id, received_at
)
insert into inbox_queue (event_id, channel_id, received_at, not_before)
select event_id, channel_id, received_at, $2 from gone
"""


async def unpark(conn: Connection, channel: str | None, now: datetime) -> int:
    """Parked events of one channel (None: of all) are tried again; gives how many."""
    tag = await conn.execute(UNPARK, channel, now)
    return int(tag.rsplit(" ", 1)[1])


OLDEST = "select min(received_at) from inbox_queue"


async def oldest(conn: Connection) -> datetime | None:
    """When the oldest waiting event was received; None: nothing waits."""
    found: datetime | None = await conn.fetchval(OLDEST)
    return found


PARKED_COUNTS = "select channel_id, count(*) from inbox_parked group by channel_id"


async def parked_counts(conn: Connection) -> dict[int, int]:
    """Parked events by channel."""
    return {row[0]: row[1] for row in await conn.fetch(PARKED_COUNTS)}
