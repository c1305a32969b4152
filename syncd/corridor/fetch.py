"""Fetching orders: the net under lost webhooks, and what a blind raise waits for."""

from __future__ import annotations

from datetime import timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor.core import Channel, Core
from syncd.db import bookmark
from syncd.fanout import Heard, book
from syncd.stock.facts import told

FIRST_FETCH = timedelta(days=14)
"""A channel never fetched before is asked for the orders changed in this time."""


async def fetch_orders(
    core: Core, channel: Channel, level: Priority, overlap: timedelta = timedelta(minutes=10)
) -> int:
    """Fetch and book the orders changed since the watermark, less `overlap`; gives how many.

    The watermark moves only when the whole fetch is booked. Raises what the connector raises.
    """
    began = core.clock()
    async with core.db.statement("bookmark_read") as conn:
        mark = await bookmark.bookmark(conn, channel.id)
    since = (mark.orders_through or began - FIRST_FETCH) - overlap
    fetched = 0
    with priority(level):
        async for page in channel.connector.orders_since(since):
            if page:
                async with core.booking("orders_fetched") as (conn, booking):
                    await book(conn, booking, [Heard(channel.id, told(news)) for news in page])
                fetched += len(page)
    async with core.db.statement("bookmark_move") as conn:
        await bookmark.orders_fetched(conn, channel.id, began)
    return fetched
