"""Readings that said nothing: their listings are read again, now or where one reading is dear by the next sweep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from syncd.db import shelf
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.stock.decide import Meaning

LAG_WAIT = timedelta(seconds=1)


async def ask_again(
    conn: Connection,
    booking: Booking,
    rows: Sequence[Shelf],
    meanings: Mapping[int, Meaning],
    asked_turn: int,
    unannounced: Collection[int],
    unsure: Collection[int] = (),
) -> None:
    """Wish for another reading of what said nothing; `unannounced`: listings that a sweep read.

    `unsure`: it depends on an order that came just then: asked again a moment later it is clear.
    """
    dropped = [
        row.listing_id
        for row in rows
        if meanings.get(row.listing_id) is Meaning.DROPPED
        and row.listing_id not in unsure
        and not (row.listing_id in unannounced and _dear(booking, row))
    ]
    lagging = [i for i, said in meanings.items() if said is Meaning.LAGGING]
    if dropped:
        await shelf.wish(conn, sorted(dropped), "overlapped", booking.now)
    if unsure:
        later = booking.now + LAG_WAIT
        await shelf.wish(conn, sorted(unsure), "unsure", booking.now, not_before=later)
    if lagging:
        await shelf.count_lag(conn, lagging)
        later = booking.now + LAG_WAIT
        await shelf.wish(
            conn,
            sorted(lagging),
            "lagging",
            booking.now,
            not_before=later,
            asked_turn=asked_turn,
        )


def _dear(booking: Booking, row: Shelf) -> bool:
    """One call reads one listing there: a whole page would cost minutes of the channel's budget."""
    rules = booking.rules.channels.get(row.channel_id)
    return rules is not None and rules.reads_one_by_one
