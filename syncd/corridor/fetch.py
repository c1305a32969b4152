"""Fetching orders: the net under lost webhooks, and what a blind raise waits for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor.core import Channel, Core
from syncd.db import bookmark
from syncd.fanout import Heard, book
from syncd.stock.facts import told
from syncd.stock.model import OrderNews, OrderSeen

FIRST_FETCH = timedelta(days=14)
"""A channel never fetched before is asked for the orders changed in this time. So is one on which
nothing changed for longer: an empty window costs nothing, and our clock may be wrong by all of it."""

CLOCK_ALLOWANCE = timedelta(hours=1)
"""A platform's clock is believed to be ahead of ours by this much at most."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def fetch_orders(
    core: Core, channel: Channel, level: Priority, overlap: timedelta = timedelta(minutes=10)
) -> int:
    """Fetch and book the orders changed since the watermark, less `overlap`; gives how many.

    The watermark is the newest change seen, by the platform's own clock: ours may be wrong. It moves
    only when the whole fetch is booked. Raises what the connector raises.
    """
    began = core.clock()
    async with core.db.statement("facts_ahead") as conn:
        await bookmark.facts_ahead(conn, channel.id, began)
    async with core.db.statement("bookmark_read") as conn:
        mark = (await bookmark.bookmark(conn, channel.id)).orders_through
    if mark is None or mark > began + CLOCK_ALLOWANCE:
        # what lies that far ahead was written by a clock since set back, and says nothing
        mark = began - FIRST_FETCH
    fetched, through = 0, None
    with priority(level):
        async for page in channel.connector.orders_since(min(mark, began) - overlap):
            if page:
                news = [told(one) for one in page]
                async with core.booking("orders_fetched") as (conn, booking):
                    await book(conn, booking, [Heard(channel.id, one) for one in news])
                fetched += len(page)
                through = _newest(news, began + CLOCK_ALLOWANCE, through)
    async with core.db.statement("bookmark_move") as conn:
        quiet = max(mark, began - FIRST_FETCH)
        await bookmark.orders_fetched(conn, channel.id, through or quiet, began)
    return fetched


def _newest(
    news: Iterable[OrderNews], at_most: datetime, before: datetime | None
) -> datetime | None:
    """The newest change among these orders and `before`, but for those that cannot have been yet."""
    limit = (at_most - EPOCH) // timedelta(microseconds=1)
    versions = [one.version for one in news if isinstance(one, OrderSeen) and one.version <= limit]
    if not versions:
        return before
    newest = EPOCH + timedelta(microseconds=max(versions))
    return newest if before is None else max(before, newest)
