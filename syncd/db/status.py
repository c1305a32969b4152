"""Looks at the whole: what operators and gauges ask, the leader's lock, and knocks from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from syncd.db.pool import Connection

SKIPPED_LISTINGS = """
select case when gone_at is not null then 'gone' when skip <> '' then skip
        when not managed then 'unmanaged' when withheld not in ('', 'included') then withheld
        else 'gone_at_source' end as reason, count(*)
from listing
where skip <> '' or gone_at is not null or not managed or orphaned or withheld not in ('', 'included')
group by 1
union all
select 'quarantined', count(*) from alternation a join shelf s using (listing_id)
where s.quarantined_at is not null having count(*) > 0
"""


async def skipped_listings(conn: Connection) -> dict[str, int]:
    """Listings nothing is delivered to, by reason."""
    return {row[0]: row[1] for row in await conn.fetch(SKIPPED_LISTINGS)}


OLDEST_XMIN = """
select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8
from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
"""


async def oldest_xmin_age_s(conn: Connection) -> float:
    """Seconds for which somebody's open transaction has held back the cleaning of dead rows."""
    found: float = await conn.fetchval(OLDEST_XMIN)
    return max(found, 0.0)


LEAD = "select pg_try_advisory_lock(7310, 1)"
STILL_THERE = "select 1"
KEEPALIVE_S = 5.0


async def answer(conn: Connection) -> None:
    """Return when the database answers."""
    await conn.execute(STILL_THERE)


async def lead(conn: Connection) -> bool:
    """Take the leader's lock on this connection; False while another daemon holds it."""
    found: bool = await conn.fetchval(LEAD)
    return found


async def stay(conn: Connection) -> None:
    """Return never; raise when the connection, and with it the lock, is lost."""
    while True:
        await asyncio.sleep(KEEPALIVE_S)
        await conn.execute(STILL_THERE)


async def listen(conn: Connection, knock: Callable[[], None]) -> None:
    """Call `knock` for every NOTIFY on channel syncd; raises when the connection is lost."""

    def heard(*_: object) -> None:
        knock()

    await conn.add_listener("syncd", heard)
    try:
        await stay(conn)
    finally:
        # a connection that was lost has forgotten it already
        with suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
            await conn.remove_listener("syncd", heard)


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel as `syncd status` shows it."""

    name: str
    platform: str
    listings: int
    in_doubt: int
    """Listings of which nobody can tell the item, or that are in quarantine: not written until mended."""
    owed: int
    oldest_owed: datetime | None
    parked: int
    open_attempts: int
    looks: int
    events_waiting: int
    events_parked: int
    orders_through: datetime | None
    swept_at: datetime | None
    switched: bool | None
    """On or off as a person said, whatever is configured; None: as configured."""
    switched_by: str
    orphaned: int
    """Listings of items that their source lists no more: not raised."""
    silent_from: datetime | None
    """While nothing is heard of it: since when; None: it is not silent."""
    unseen: int
    """Units that the other channels keep in reserve for it."""
    suspense: int
    """Amounts that wait for a person."""
    plans: int
    """Plans of this channel that wait for a person."""


CHANNEL_STATUS = """
select c.name, c.platform,
    (select count(*) from listing l where l.channel_id = c.id and l.gone_at is null) as listings,
    (select count(*) from listing l where l.channel_id = c.id and l.gone_at is null
        and (l.skip in ('duplicate', 'relinked', 'ambiguous') or exists (
            select from alternation a join shelf s using (listing_id)
            where a.listing_id = l.id and s.quarantined_at is not null))) as in_doubt,
    (select count(*) from outbox o where o.channel_id = c.id and o.parked_at is null) as owed,
    (select min(owed_at) from outbox o where o.channel_id = c.id and o.parked_at is null)
        as oldest_owed,
    (select count(*) from outbox o where o.channel_id = c.id and o.parked_at is not null)
        + (select count(*) from retirement r where r.channel_id = c.id and r.parked_at is not null)
        as parked,
    (select count(*) from attempt a where a.channel_id = c.id) as open_attempts,
    (select count(*) from look k where k.channel_id = c.id) as looks,
    (select count(*) from inbox_queue q where q.channel_id = c.id) as events_waiting,
    (select count(*) from inbox_parked q where q.channel_id = c.id) as events_parked,
    c.orders_through, c.swept_at, c.switched, c.switched_by,
    (select count(*) from listing l where l.channel_id = c.id and l.gone_at is null
        and l.orphaned) as orphaned,
    c.silent_from,
    (select coalesce(sum(r.unseen), 0)::bigint from sales r where r.channel_id = c.id) as unseen,
    (select count(*) from suspense s left join listing l on l.id = s.listing_id
        where s.resolved_at is null and coalesce(l.channel_id, s.channel_id) = c.id) as suspense,
    (select count(*) from plan p where p.channel_id = c.id and p.state = 'open'
        and (p.kind <> 'first_sync' or p.rows > 0)) as plans
from channel c where left(c.name, 1) <> '_' order by c.name
"""


async def channels(conn: Connection) -> list[ChannelStatus]:
    """Every channel ever configured, with what waits for it."""
    return [ChannelStatus(*row) for row in await conn.fetch(CHANNEL_STATUS)]


PLATFORMS = "select name, platform from channel"


async def platforms(conn: Connection) -> dict[str, str]:
    """The platform of every channel ever configured, by name."""
    return {row[0]: row[1] for row in await conn.fetch(PLATFORMS)}
