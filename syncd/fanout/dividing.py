"""Locations that divide a target: what is read at one of them may change what the others are to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncd.db.ledger import LevelNow
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf, ShelfChange
from syncd.fanout.booking import Booking
from syncd.fanout.owing import levels_now
from syncd.stock.spread import Spread

LevelKey = tuple[int, int]


async def read_again(
    conn: Connection,
    booking: Booking,
    changes: Sequence[ShelfChange],
    rows: Sequence[Shelf],
    levels: Mapping[LevelKey, LevelNow],
) -> tuple[dict[LevelKey, LevelNow], set[int]]:
    """After these shelves changed: the levels as they are divided now, and whom that concerns besides
    those that were read: the other locations of their channels.
    """
    changed = {change.listing_id for change in changes}
    moved = {
        (row.channel_id, row.item_id, row.warehouse_id)
        for row in rows
        if row.listing_id in changed
        and _divides(booking, row.channel_id)
        and (now := levels.get((row.item_id or 0, row.warehouse_id or 0))) is not None
        and now.places
    }
    if not moved:
        return dict(levels), set()
    keys = {(item, warehouse) for _, item, warehouse in moved if item and warehouse}
    beside = {
        row.listing_id for row in rows if (row.channel_id, row.item_id, row.warehouse_id) in moved
    }
    return dict(levels) | await levels_now(conn, keys), beside


def _divides(booking: Booking, channel_id: int) -> bool:
    """True where locations of a channel may divide what is in their warehouse."""
    rules = booking.rules.channels.get(channel_id)
    return rules is not None and rules.spread is Spread.DIVIDE
