"""Raises that are told in steps: when a listing was last raised by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db.pool import Connection

ANNOUNCE = """
insert into announcement (listing_id, at) select x, $2 from unnest($1::bigint[]) as x order by x
on conflict (listing_id) do update set at = excluded.at
"""


async def announce(conn: Connection, listing_ids: Sequence[int], now: datetime) -> None:
    """These locked listings are raised by a step now."""
    await conn.execute(ANNOUNCE, listing_ids, now)


RECENT = "select listing_id from announcement where listing_id = any($1::bigint[]) and at > $2"


async def recent(conn: Connection, listing_ids: Sequence[int], since: datetime) -> set[int]:
    """Those of these locked listings that were raised by a step since then."""
    return {row[0] for row in await conn.fetch(RECENT, listing_ids, since)}
