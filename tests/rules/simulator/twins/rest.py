"""Twins of the smaller modules: bookmark, inbox, journal, suspense."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from syncd.db.bookmark import AHEAD, Bookmark
from syncd.db.inbox import QueuedEvent
from tests.rules.simulator.tables import OrderLook, Tables

# --- bookmark -----------------------------------------------------------------------------------


async def bookmark_bookmark(t: Tables, channel_id: int) -> Bookmark:
    channel = t.channels[channel_id]
    return Bookmark(channel.orders_through, channel.orders_asked_at, channel.swept_at)


async def facts_ahead(t: Tables, channel_id: int, now: datetime) -> None:
    late, before = now + AHEAD, now - timedelta(microseconds=1)
    for one, o in t.outbox.items():
        if o.channel_id != channel_id or o.parked_at is not None:
            continue
        s, level = t.shelves[one], t.level_of(t.listings[one])
        if s.surprised_at is not None and s.surprised_at > late:
            s.surprised_at = before
        if level is not None and level.changed_at > late:
            level.changed_at = before


async def orders_fetched(t: Tables, channel_id: int, through: datetime, began_at: datetime) -> None:
    channel = t.channels[channel_id]
    channel.orders_through, channel.orders_asked_at = through, began_at


async def swept(t: Tables, channel_id: int, now: datetime) -> None:
    t.channels[channel_id].swept_at = now


async def wish_orders(t: Tables, orders: Sequence[tuple[int, str]], not_before: datetime) -> None:
    for key in sorted(set(orders)):
        turn = t.next_turn()
        row = t.order_looks.get(key)
        if row is None:
            t.order_looks[key] = OrderLook(turn, 0, not_before)
        else:
            row.wish, row.tries, row.not_before = t.next_turn(), 0, not_before


async def due_orders(
    t: Tables, channel_id: int, now: datetime, limit: int
) -> list[tuple[str, int]]:
    due = [
        (row.not_before, key[1], row.wish)
        for key, row in t.order_looks.items()
        if key[0] == channel_id and row.not_before <= now
    ]
    return [(order, wish) for _, order, wish in sorted(due)[:limit]]


async def postpone_orders(
    t: Tables,
    channel_id: int,
    orders: Sequence[str],
    now: datetime,
    low_s: float,
    high_s: float,
) -> None:
    for order in orders:
        row = t.order_looks.get((channel_id, order))
        if row is not None:
            row.not_before = now + timedelta(seconds=min(low_s * 2.0**row.tries, high_s))
            row.tries = min(row.tries + 1, 30)


async def orders_looked(t: Tables, channel_id: int, fetched: Sequence[tuple[str, int]]) -> None:
    for order, wish in fetched:
        row = t.order_looks.get((channel_id, order))
        if row is not None and row.wish == wish:
            del t.order_looks[channel_id, order]


# --- inbox --------------------------------------------------------------------------------------


async def inbox_store_fresh(
    t: Tables, events: Sequence[Any], now: datetime, *, stored_before: int = 0
) -> set[tuple[int, bytes]]:
    fresh = set()
    for event in events:
        name = event.channel_id, event.digest
        if name in t.seen:
            continue
        t.seen.add(name)
        fresh.add(name)
        t.last_event += 1
        t.inbox[t.last_event] = QueuedEvent(
            t.last_event, event.channel_id, event.topic, event.body, now
        )
        t.queue[t.last_event] = now
    return fresh


async def inbox_store(t: Tables, events: Sequence[Any], now: datetime) -> int:
    return len(await inbox_store_fresh(t, events, now))


async def inbox_claim(
    t: Tables, now: datetime, limit: int, paused: Sequence[int] = ()
) -> list[QueuedEvent]:
    due = sorted(
        one
        for one, not_before in t.queue.items()
        if not_before <= now and t.inbox[one].channel_id not in paused
    )
    return [t.inbox[one] for one in due[:limit]]


async def inbox_done(t: Tables, event_ids: Sequence[int]) -> None:
    for one in event_ids:
        t.queue.pop(one, None)


async def inbox_park(
    t: Tables, event_ids: Sequence[int], reasons: Sequence[str], now: datetime
) -> None:
    for one, reason in zip(event_ids, reasons, strict=True):
        if t.queue.pop(one, None) is not None:
            t.parked[one] = reason


# --- journal, suspense --------------------------------------------------------------------------


async def journal_write(t: Tables, lines: Sequence[Any], now: datetime) -> None:
    t.journal += lines


async def suspense_keep(t: Tables, doubts: Sequence[Any], now: datetime) -> None:
    t.doubts += [(doubt.listing_id, doubt) for doubt in doubts]
