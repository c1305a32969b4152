"""Listings taken out of sale and back: what is wanted, and what the platform confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection

RETIRE = """
insert into retirement as r (listing_id, channel_id, wants, owed_at, not_before)
select g.listing_id, g.channel_id, true, $3, $3
from unnest($1::bigint[], $2::int[]) as g(listing_id, channel_id) order by g.listing_id
on conflict (listing_id) do update set wants = true, owed_at = excluded.owed_at,
    not_before = excluded.not_before, tries = 0, parked_at = null, reason = ''
where not r.wants
"""


async def retire(conn: Connection, listings: Sequence[tuple[int, int]], now: datetime) -> None:
    """These locked listings (listing, channel) are to be taken out of sale."""
    await conn.execute(RETIRE, [x[0] for x in listings], [x[1] for x in listings], now)


RELIST = """
update retirement set wants = false, owed_at = $2, not_before = $2, tries = 0, parked_at = null,
    reason = ''
where listing_id = any($1::bigint[]) and wants
"""


async def relist(conn: Connection, listing_ids: Sequence[int], now: datetime) -> None:
    """These locked listings are to be on sale, if they were taken out of it."""
    await conn.execute(RELIST, listing_ids, now)


@dataclass(frozen=True, slots=True)
class Owed:
    """A listing that is to be taken out of sale (`wants`) or back."""

    listing_id: int
    remote: str
    location: str
    sku: str
    batch_group: str
    wants: bool
    unsure: bool
    """It was asked before, and not answered."""
    tries: int


OWED = """
select r.listing_id, l.remote, l.location, coalesce(l.known_as, l.sku) as sku, l.batch_group,
    r.wants, r.unsure, r.tries
from retirement r join listing l on l.id = r.listing_id
where r.channel_id = $1 and r.parked_at is null and (r.unsure or r.wants <> r.retired)
  and r.not_before <= $2 and l.gone_at is null
order by r.not_before, r.listing_id limit $3
"""


async def owed(conn: Connection, channel_id: int, now: datetime, limit: int) -> list[Owed]:
    """What is due of a channel, the oldest first."""
    return [Owed(*row) for row in await conn.fetch(OWED, channel_id, now, limit)]


ASKING = "update retirement set unsure = true where listing_id = any($1::bigint[])"


async def asking(conn: Connection, listing_ids: Sequence[int]) -> None:
    """The platform is about to be asked: until it answers nobody knows what it did."""
    await conn.execute(ASKING, listing_ids)


FORGET = """
delete from retirement where listing_id = any($1::bigint[]) and not retired and not unsure
"""
STAY = """
update retirement set wants = false where listing_id = any($1::bigint[]) and not retired
"""


async def call_off(conn: Connection, listing_ids: Sequence[int]) -> None:
    """These locked listings need not be taken out of sale after all."""
    await conn.execute(STAY, listing_ids)
    await conn.execute(FORGET, listing_ids)


ANSWERED = """
update retirement r set retired = g.retired, unsure = false, tries = 0
from unnest($1::bigint[], $2::boolean[]) as g(listing_id, retired)
where r.listing_id = g.listing_id
"""
OVER = """
delete from retirement where listing_id = any($1::bigint[]) and not wants and not retired
  and not unsure
"""


async def answered(conn: Connection, confirmed: Sequence[tuple[int, bool]]) -> None:
    """The platform confirmed: (listing, whether it is out of sale). What is back on sale is over."""
    ids = [x[0] for x in confirmed]
    await conn.execute(ANSWERED, ids, [x[1] for x in confirmed])
    await conn.execute(OVER, ids)


PARK = """
update retirement r set parked_at = $3, reason = g.reason, unsure = false
from unnest($1::bigint[], $2::text[]) as g(listing_id, reason)
where r.listing_id = g.listing_id
"""


async def park(conn: Connection, refused: Sequence[tuple[int, str]], now: datetime) -> None:
    """The platform refused these, in its words: until its target changes or a person acts."""
    await conn.execute(PARK, [x[0] for x in refused], [x[1] for x in refused], now)


LEAVE = """
update retirement set not_before = 'infinity', unsure = false, reason = $2
where listing_id = any($1::bigint[])
"""


async def leave(conn: Connection, listing_ids: Sequence[int], reason: str) -> None:
    """These locked listings are out of sale by somebody else's doing: asked no more until they sell."""
    await conn.execute(LEAVE, listing_ids, reason)


POSTPONE = """
update retirement set not_before = $2, tries = least(tries + 1, 30), reason = $3
where listing_id = any($1::bigint[])
"""


async def postpone(
    conn: Connection, listing_ids: Sequence[int], not_before: datetime, reason: str
) -> None:
    """No answer, or none yet: the same is asked again later."""
    await conn.execute(POSTPONE, listing_ids, not_before, reason)


UNPARK = """
update retirement set parked_at = null, tries = 0, not_before = $2, reason = ''
where parked_at is not null
  and ($1::text is null or channel_id = (select id from channel where name = $1))
"""


async def unpark(conn: Connection, channel: str | None, now: datetime) -> int:
    """What was refused on one channel (None: on all) is asked again; gives how many."""
    tag = await conn.execute(UNPARK, channel, now)
    return int(tag.rsplit(" ", 1)[1])


EMPTY = """
select l.id from listing l join shelf s on s.listing_id = l.id
where l.channel_id = $1 and l.id > $2 and s.shown = 0 and l.gone_at is null
order by l.id limit $3
"""


async def empty(conn: Connection, channel_id: int, after: int, limit: int) -> list[int]:
    """A page of a channel's listings that show 0."""
    return [row[0] for row in await conn.fetch(EMPTY, channel_id, after, limit)]


RETIRED = """
select listing_id from retirement where channel_id = $1 and listing_id > $2
order by listing_id limit $3
"""


async def retired(conn: Connection, channel_id: int, after: int, limit: int) -> list[int]:
    """A page of a channel's listings that are out of sale, or about to be."""
    return [row[0] for row in await conn.fetch(RETIRED, channel_id, after, limit)]


COUNTS = """
select channel_id, count(*) filter (where retired), count(parked_at) from retirement
group by channel_id
"""


async def counts(conn: Connection) -> dict[int, tuple[int, int]]:
    """By channel: listings out of sale, and those of which the platform refused to take them there."""
    return {row[0]: (row[1], row[2]) for row in await conn.fetch(COUNTS)}
