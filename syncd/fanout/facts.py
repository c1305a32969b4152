"""Every kind of fact to its place: orders, level hints, catalogue news, and what only a sweep can tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db import bookmark, catalog, shelf
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking, Heard
from syncd.fanout.listings import CataloguePage, enter_page
from syncd.fanout.orders import book_orders
from syncd.stock.model import (
    ChannelGone,
    ItemGone,
    ItemSeen,
    LevelSeen,
    OrderHint,
    OrderSeen,
    OrderUnreadable,
    SubscriptionChanged,
    Truth,
)

Hint = tuple[int, str, str, int | None, datetime | None]

PATIENCE_S = 5.0
"""Where one reading costs one call, a hint waits so long for the order or answer that explains it."""


async def book(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    """Book facts of any kinds and channels in one go; the order among them does not matter."""
    await _news_of_items(conn, booking, heard)
    orders = [h for h in heard if isinstance(h.fact, OrderSeen)]
    if orders:
        await book_orders(conn, booking, orders)
    await _hints(conn, booking, heard)
    fetch = [(h.channel_id, h.fact.order) for h in heard if isinstance(h.fact, OrderHint)]
    if fetch:
        await bookmark.wish_orders(conn, fetch, booking.now)
        booking.lanes.update(channel for channel, _ in fetch)
    for one in heard:
        if isinstance(one.fact, ChannelGone):
            booking.closed[one.channel_id] = one.fact.reason
        elif isinstance(one.fact, SubscriptionChanged):
            booking.sweeps.add(one.channel_id)
        elif isinstance(one.fact, OrderUnreadable):
            detail: dict[str, object] = {"order": one.fact.order}
            line = Line("unreadable", "", one.channel_id, reason=one.fact.reason, detail=detail)
            booking.journal.append(line)
            booking.outcomes[one.channel_id, "poison"] += 1


async def _news_of_items(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    for one in heard:
        rules = booking.rules.channels.get(one.channel_id)
        if rules is None:
            continue
        if isinstance(one.fact, ItemSeen):
            page = CataloguePage(rules, one.fact.listings)
            await enter_page(conn, booking, page)
        elif isinstance(one.fact, ItemGone):
            gone = await catalog.mark_gone(
                conn, one.channel_id, one.fact.remotes, one.fact.group, booking.now
            )
            for listing_id, sku in gone:
                booking.journal.append(Line("gone", sku, one.channel_id, listing_id))


async def _hints(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    """Level messages become looks, one per listing however many there are."""
    merged: dict[tuple[int, str, str], Hint] = {}
    for one in heard:
        fact, rules = one.fact, booking.rules.channels.get(one.channel_id)
        if rules is None or rules.truth is Truth.NONE:
            continue
        if isinstance(fact, LevelSeen):
            key = one.channel_id, fact.location, fact.remote
            if key in merged:
                booking.outcomes[one.channel_id, "merged"] += 1
                # two different numbers: only a reading tells which is newer
                quantity = fact.quantity if merged[key][3] == fact.quantity else None
                merged[key] = (*merged[key][:3], quantity, merged[key][4])
            else:
                merged[key] = (*key, fact.quantity, one.received_at)
    if not merged:
        return
    patience_s = [
        PATIENCE_S if booking.rules.channels[channel].reads_one_by_one else 0.0
        for channel, _, _ in merged
    ]
    done = await shelf.hint(conn, list(merged.values()), booking.now, patience_s)
    booking.lanes.update(done.channels)
    any_channel = next(iter(merged))[0]
    booking.outcomes[any_channel, "echo"] += done.echoes
    if done.unknown:
        booking.outcomes[any_channel, "unknown_listing"] += done.unknown
        booking.skipped["unknown_listing"] += done.unknown
