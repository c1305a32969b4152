"""Every kind of fact to its place: orders, level hints, catalogue news, and what only a sweep can tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from syncd.db import bookmark, marks, order_holds, shelf
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking, Heard
from syncd.fanout.joining import CataloguePage
from syncd.fanout.listings import enter_page
from syncd.fanout.orders import book_steps, levels_of, listings_of, take_orders
from syncd.fanout.switching import follow_source
from syncd.stock.facts import unusable
from syncd.stock.model import (
    ChannelGone,
    Fact,
    ItemGone,
    ItemSeen,
    LevelSeen,
    ListingSeen,
    OrderHint,
    OrderSeen,
    OrderUnreadable,
    SubscriptionChanged,
    Truth,
)

Hint = tuple[int, str, str, int | None, datetime | None]

AMBIGUOUS_WAIT = timedelta(seconds=2)
"""Two states under one version: fetched again after the platform's second has passed."""

PATIENCE_S = 5.0
"""Where orders explain what a level shows, a hint waits so long for the order or answer that does."""


async def book(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    """Book facts of any kinds and channels in one go; the order among them does not matter."""
    await _news_of_items(conn, booking, heard)
    orders = [h for h in heard if isinstance(h.fact, OrderSeen)]
    steps = await take_orders(conn, booking, orders) if orders else []
    hints = _merged_hints(booking, heard)
    if steps or hints:
        # every shelf at once and in order, before any level, delivery or look of it is touched
        rows = await shelf.lock(conn, listings_of(steps), levels_of(steps), hinted=list(hints))
        if steps:
            await book_steps(conn, booking, steps, rows)
        if hints:
            await _hint(conn, booking, list(hints.values()))
    await _wish_orders(conn, booking, heard)
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


async def _wish_orders(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    """Orders that have to be fetched; and those that are gone, which nobody pays any more."""
    fetch = [(h.channel_id, h.fact.order) for h in heard if isinstance(h.fact, OrderHint)]
    if fetch:
        await bookmark.wish_orders(conn, fetch, booking.now)
        booking.lanes.update(channel for channel, _ in fetch)
    gone = [
        (h.channel_id, h.fact.order) for h in heard if isinstance(h.fact, OrderSeen) and h.fact.gone
    ]
    if gone:
        await order_holds.end(conn, gone)
    if booking.unclear:
        await bookmark.wish_orders(conn, booking.unclear, booking.now + AMBIGUOUS_WAIT)
        booking.lanes.update(channel for channel, _ in booking.unclear)


async def _news_of_items(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> None:
    """Listings told of in a row are entered together, a page for each channel."""
    seen: dict[int, list[ListingSeen]] = {}
    for one in heard:
        if one.channel_id not in booking.rules.channels:
            continue
        if isinstance(one.fact, ItemSeen):
            seen.setdefault(one.channel_id, []).extend(one.fact.listings)
        elif isinstance(one.fact, ItemGone):
            await _enter(conn, booking, seen)
            gone = await marks.mark_gone(
                conn, one.channel_id, one.fact.remotes, one.fact.group, booking.now
            )
            ids = [listing_id for listing_id, _ in gone]
            await follow_source(conn, booking, one.channel_id, ids)
            for listing_id, sku in gone:
                booking.relisted.setdefault(one.channel_id, set()).add(sku)
                booking.journal.append(Line("gone", sku, one.channel_id, listing_id))
    await _enter(conn, booking, seen)


async def _enter(conn: Connection, booking: Booking, seen: dict[int, list[ListingSeen]]) -> None:
    for channel_id in sorted(seen):
        rows = seen.pop(channel_id)
        await enter_page(conn, booking, CataloguePage(booking.rules.channels[channel_id], rows))


def _merged_hints(booking: Booking, heard: Sequence[Heard]) -> dict[tuple[int, str, str], Hint]:
    """One hint per listing named, however many messages there are."""
    merged: dict[tuple[int, str, str], Hint] = {}
    for one in heard:
        fact, rules = one.fact, booking.rules.channels.get(one.channel_id)
        if rules is None or rules.truth is Truth.NONE:
            continue
        for said in _levels_said(fact):
            key = one.channel_id, said.location, said.remote
            if key in merged:
                booking.outcomes[one.channel_id, "merged"] += 1
                # two different numbers: only a reading tells which is newer
                quantity = said.quantity if merged[key][3] == said.quantity else None
                merged[key] = (*merged[key][:3], quantity, merged[key][4])
            else:
                merged[key] = (*key, said.quantity, one.received_at)
    return merged


def _levels_said(fact: Fact) -> Sequence[LevelSeen | ListingSeen]:
    """What a message says of levels; one about a product does so by the way."""
    if isinstance(fact, LevelSeen):
        return (fact,)
    if isinstance(fact, ItemSeen):
        return [row for row in fact.listings if row.quantity is not None and not unusable(row)]
    return ()


async def _hint(conn: Connection, booking: Booking, hints: Sequence[Hint]) -> None:
    """Level messages become looks at the listings, whose shelves are locked."""
    patience_s = [
        PATIENCE_S if booking.rules.channels[channel].awaits_orders else 0.0
        for channel, *_ in hints
    ]
    done = await shelf.hint(conn, hints, booking.now, patience_s)
    booking.lanes.update(done.channels)
    any_channel = hints[0][0]
    booking.outcomes[any_channel, "echo"] += done.echoes
    if done.unknown:
        booking.outcomes[any_channel, "unknown_listing"] += done.unknown
        booking.skipped["unknown_listing"] += done.unknown
