"""What moved on a channel while it was off: told before it is switched on, so that nobody is surprised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from syncd.app.survey import spoken
from syncd.config import Settings
from syncd.corridor import Channel, Core
from syncd.db import catalog
from syncd.db.catalog import NewListing
from syncd.db.journal import Line
from syncd.stock.model import ListingSeen

PIECE = 1000


@dataclass(frozen=True, slots=True)
class Gap:
    """A listing that shows another number than is accounted for.

    `booked`: the level once the difference is booked, which is what happens. `discarded`: the level as
    it is, which the listing would be written back to.
    """

    sku: str
    location: str
    listing_id: int
    shown: int
    observed: int
    booked: int
    discarded: int


async def gaps(core: Core, settings: Settings, name: str) -> list[Gap]:
    """Every gap of a channel, read from the platform now; told in the journal. Raises ChannelError."""
    found: list[Gap] = []
    async with spoken(core, settings, name) as channel:
        async for rows in _pieces(channel):
            found += await _of(core, channel, rows)
    for first in range(0, len(found), PIECE):
        async with core.booking("gaps") as (_, booking):
            booking.journal += [
                Line(
                    "gap",
                    gap.sku,
                    channel.id,
                    gap.listing_id,
                    gap.shown,
                    gap.observed,
                    "moved while the channel was off",
                    {"level_booked": gap.booked, "level_discarded": gap.discarded},
                )
                for gap in found[first : first + PIECE]
            ]
    return found


async def _pieces(channel: Channel) -> AsyncIterator[Sequence[ListingSeen]]:
    async for page in channel.connector.listings():
        for first in range(0, len(page.rows), PIECE):
            yield page.rows[first : first + PIECE]


async def _of(core: Core, channel: Channel, rows: Sequence[ListingSeen]) -> list[Gap]:
    named = [
        NewListing(x.location, x.remote, x.alias, x.group, x.sku, x.title, None, x.managed, "")
        for x in rows
    ]
    async with core.db.transaction("gap_listings") as conn:
        known = await catalog.look_up(conn, channel.id, named)
    return [
        Gap(
            now.sku,
            row.location,
            now.listing_id,
            now.shown,
            row.quantity,
            now.quantity + row.quantity - now.shown,
            now.quantity,
        )
        for row, now in zip(rows, known, strict=True)
        if now is not None
        and now.shown is not None
        and now.quantity is not None
        and row.quantity is not None
        and row.quantity != now.shown
    ]
