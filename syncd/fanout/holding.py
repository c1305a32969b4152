"""What a plan holds yields to facts: an order lowers a held listing, and nothing raises it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from syncd.db import holds
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.stock.plans import kept


async def yielding(conn: Connection, booking: Booking, shelves: Iterable[Shelf]) -> list[Shelf]:
    """These locked shelves, the held ones among them after what orders and readings took.

    What a plan or a policy moved is no fact: a held listing stays where it is.
    """
    rows, changed = list(shelves), []
    for n, row in enumerate(rows):
        if row.held_by is None:
            continue
        fell = booking.fell.get((row.item_id or 0, row.warehouse_id or 0), 0)
        if row.made_of:
            # so many bundles fewer can be made of what is left of any component
            fell = max(
                -(-booking.fell.get((part, row.warehouse_id or 0), 0) // units)
                for part, units in row.made_of
            )
        keeps = kept(row.keeps, row.shown, fell, booking.rose.get(row.listing_id, 0))
        if keeps is not None and keeps != row.keeps:
            rows[n] = replace(row, keeps=keeps)
            changed.append((row.listing_id, keeps))
    booking.fell.clear()
    booking.rose.clear()
    if changed:
        await holds.keep(conn, changed)
    return rows
