"""Order fetches of a lane: single orders whose message said too little, and all since the watermark."""

from __future__ import annotations

from collections.abc import Callable

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor import Channel, Core, fetch_orders
from syncd.corridor.speaking import speak
from syncd.db import bookmark
from syncd.fanout import Heard, book

ORDERS_AT_ONCE = 50


class Fetching:
    """`wanted`: a blind raise waits for orders that are fetched after it was owed."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self.wanted = False

    async def fetch_wished(self, chosen: Callable[[], None]) -> bool:
        """Fetch and book the single orders that are wished for; gives whether there were any."""
        async with self._core.db.transaction("due_orders") as conn:
            due = await bookmark.due_orders(
                conn, self._channel.id, self._core.clock(), ORDERS_AT_ONCE
            )
        if not due:
            return False
        with priority(Priority.NORMAL):
            seen = await speak(
                self._core,
                self._channel,
                self._channel.connector.orders([order for order, _ in due]),
            )
        async with self._core.booking("orders_booked") as (conn, booking):
            await book(conn, booking, [Heard(self._channel.id, one) for one in seen])
            await bookmark.orders_looked(conn, self._channel.id, due)
        chosen()
        return True

    async def fetch_changed(self, chosen: Callable[[], None]) -> bool:
        """Fetch and book every order changed since the watermark: raises may go out after it."""
        self.wanted = False
        try:
            await speak(
                self._core,
                self._channel,
                fetch_orders(self._core, self._channel, Priority.NORMAL),
            )
        except BaseException:
            self.wanted = True
            raise
        chosen()
        return True
