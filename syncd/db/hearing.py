"""When each channel was last heard of, and which are silent: kept, so that a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from syncd.db.pool import Connection
from syncd.stock.hearing import Hearing

HEARD = """
update channel c set heard_at = g.at
from unnest($1::int[], $2::timestamptz[]) as g(id, at)
where c.id = g.id and (c.heard_at is null or c.heard_at < g.at)
"""


async def heard(conn: Connection, at: Mapping[int, datetime]) -> None:
    """Channels were heard of at these times, by our clock."""
    await conn.execute(HEARD, list(at), list(at.values()))


HEARINGS = """
select id as channel_id, heard_at, silent_from, silent_at, orders_asked_at, swept_at from channel
where heard_at is not null
order by id
"""


async def hearings(conn: Connection) -> list[Hearing]:
    """How it stands with each channel that was ever heard of."""
    return [Hearing(*row) for row in await conn.fetch(HEARINGS)]


FALL_SILENT = """
update channel set silent_from = heard_at, silent_at = $2
where id = any($1::int[]) and silent_at is null
"""


async def fall_silent(conn: Connection, channel_ids: Sequence[int], now: datetime) -> None:
    """Nothing is heard of these channels."""
    await conn.execute(FALL_SILENT, channel_ids, now)


HEAR_AGAIN = """
update channel set silent_from = null, silent_at = null where id = any($1::int[])
"""


async def hear_again(conn: Connection, channel_ids: Sequence[int]) -> None:
    """These channels are silent no more."""
    await conn.execute(HEAR_AGAIN, channel_ids)


SILENT = "select id from channel where silent_at is not null order by id"


async def silent(conn: Connection) -> list[int]:
    """The channels that are silent."""
    return [row[0] for row in await conn.fetch(SILENT)]
