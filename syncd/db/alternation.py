"""Listings that somebody else writes too: how often a number came back, and who is in quarantine.

Every statement here touches only listings whose shelf the transaction has locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from syncd.db.pool import Connection
from syncd.stock.drift import Alternation

KNOWN = """
select listing_id, theirs, ours, times, repeats, at_once, last_at from alternation
where listing_id = any($1::bigint[])
"""


async def known(conn: Connection, listing_ids: Sequence[int]) -> dict[int, Alternation]:
    """What is known of these listings."""
    rows = await conn.fetch(KNOWN, listing_ids)
    return {row[0]: Alternation(row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows}


KEEP = """
insert into alternation (listing_id, theirs, ours, times, repeats, at_once, last_at)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[],
                     $6::smallint[], $7::timestamptz[])
on conflict (listing_id) do update set theirs = excluded.theirs, ours = excluded.ours,
    times = excluded.times, repeats = excluded.repeats, at_once = excluded.at_once, last_at = excluded.last_at
"""


async def keep(conn: Connection, found: Mapping[int, Alternation]) -> None:
    """Store what is known now."""
    ids = sorted(found)
    rows = [found[i] for i in ids]
    await conn.execute(
        KEEP,
        ids,
        [x.theirs for x in rows],
        [x.ours for x in rows],
        [min(x.times, 30000) for x in rows],
        [min(x.repeats, 30000) for x in rows],
        [min(x.at_once, 30000) for x in rows],
        [x.last_at for x in rows],
    )


QUARANTINE = """
update shelf set quarantined_at = $2 where listing_id = any($1::bigint[]) and quarantined_at is null
returning listing_id
"""


async def quarantine(conn: Connection, listing_ids: Sequence[int], now: datetime) -> set[int]:
    """Nothing more is written to these; gives those that were written until now."""
    return {row[0] for row in await conn.fetch(QUARANTINE, listing_ids, now)}


QUARANTINED = """
select a.listing_id
from alternation a join shelf s using (listing_id) join listing l on l.id = a.listing_id
join channel c on c.id = l.channel_id
where s.quarantined_at is not null and ($1::text is null or c.name = $1) order by a.listing_id
"""


async def quarantined(conn: Connection, channel: str | None) -> list[int]:
    """Listings of one channel (None: of all) in quarantine. Lock them before they are released."""
    return [row[0] for row in await conn.fetch(QUARANTINED, channel)]


RELEASE = """
with forgotten as (
    delete from alternation where listing_id = any($1::bigint[])
)
update shelf s set quarantined_at = null from listing l
where s.listing_id = any($1::bigint[]) and s.quarantined_at is not null and l.id = s.listing_id
returning s.listing_id, l.channel_id, coalesce(l.known_as, l.sku) as sku
"""


async def release(conn: Connection, listing_ids: Sequence[int]) -> list[tuple[int, int, str]]:
    """These are written again, and what was counted of them is forgotten; gives (listing, channel, sku)."""
    return [tuple(row) for row in await conn.fetch(RELEASE, listing_ids)]
