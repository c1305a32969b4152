"""Movements into the ledger, from wherever they come: the one place that inserts them.

What occurred before a count and is heard of after it is inside that count, which takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db import ledger
from syncd.db.ledger import LevelNow, Movement
from syncd.db.pool import Connection
from syncd.fanout import accounts
from syncd.fanout.booking import Booking
from syncd.fanout.recounting import recount


async def book(
    conn: Connection,
    booking: Booking,
    movements: Sequence[Movement],
    counted_at: datetime | None = None,
) -> list[LevelNow]:
    """Insert movements, each cause at most once; gives the levels they made, counts and all.

    The shelves of their items are locked. `counted_at`: see `ledger.book`.
    """
    found = await ledger.book(conn, movements, booking.now, counted_at)
    for now in found:
        if now.delta < 0:
            booking.fell[now.item_id, now.warehouse_id] -= now.delta
    inside = {(now.item_id, now.warehouse_id) for now in found if now.inside}
    if not inside:
        return await accounts.follow(conn, booking, movements, found)
    since: dict[tuple[int, int], datetime] = {}
    for one in movements:
        key = one.item_id, one.warehouse_id
        if key in inside:
            since[key] = min(since.get(key, one.occurred_at), one.occurred_at)
    recounted = await recount(conn, booking, since)
    after = [recounted.get((now.item_id, now.warehouse_id), now) for now in found]
    return await accounts.follow(conn, booking, movements, after)
