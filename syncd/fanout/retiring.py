"""What shows 0 is taken out of sale where its policy says so, and brought back once it may show more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncd.db import retiring
from syncd.db.ledger import LevelNow
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.stock.policy import Zero
from syncd.stock.rulebook import Asked, ChannelRules

LevelKey = tuple[int, int]


async def follow(
    conn: Connection,
    booking: Booking,
    shelves: Iterable[Shelf],
    levels: Mapping[LevelKey, LevelNow],
) -> None:
    """Of these locked listings, those that show 0 and should are retired; those with more are relisted."""
    if not any(rules.retires for rules in booking.rules.channels.values()):
        return
    out: list[tuple[int, int]] = []
    back: list[int] = []
    for row in shelves:
        rules = booking.rules.channels.get(row.channel_id)
        level = levels.get((row.item_id or 0, row.warehouse_id or 0))
        if rules is None or level is None or not _served(rules, row):
            continue
        wants = _wants(booking, rules, row, level)
        if wants > 0 or rules.policy_of(row.sku).zero is not Zero.RETIRE:
            if not rules.withholds(row.sku, wants, row.shown, orphaned=row.orphaned):
                back.append(row.listing_id)
        elif row.shown == 0 and not row.attempt_open:
            out.append((row.listing_id, row.channel_id))
    if out:
        await retiring.retire(conn, out, booking.now)
    if back:
        await retiring.relist(conn, back, booking.now)


def _served(rules: ChannelRules, row: Shelf) -> bool:
    """True for a listing of a channel that retires some, which is not left alone."""
    if not rules.retires or row.gone or row.skip or not row.managed:
        return False
    return not rules.leaves_out(row.sku, row.withheld)


def _wants(booking: Booking, rules: ChannelRules, row: Shelf, level: LevelNow) -> int:
    none = booking.rules.shows_none(level.warehouse_id, orphaned=row.orphaned)
    asked = Asked(row.listing_id, row.sku, level.warehouse_id, none, row.keeps, row.shown)
    return rules.target_of(asked, level)


async def zeroed(
    conn: Connection, booking: Booking, channel_id: int, rows: Sequence[tuple[int, str]]
) -> None:
    """The platform confirmed that these locked listings (listing, sku) show 0."""
    rules = booking.rules.channels.get(channel_id)
    if rules is None or not rules.retires:
        return
    out = [
        (listing_id, channel_id)
        for listing_id, sku in rows
        if rules.policy_of(sku).zero is Zero.RETIRE
    ]
    if out:
        await retiring.retire(conn, out, booking.now)
