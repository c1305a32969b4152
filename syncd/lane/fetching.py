"""Order fetches of a lane: single orders whose message said too little, and all since the watermark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor import Channel, Core, fetch_orders
from syncd.corridor.speaking import speak
from syncd.db import bookmark
from syncd.errors import Refused
from syncd.fanout import Heard, book
from syncd.stock.facts import told
from syncd.stock.model import OrderNews, OrderUnreadable

ORDERS_AT_ONCE = 50

REFUSED_PAUSE = timedelta(seconds=30)
"""A fetch that the platform refuses is not asked for again before."""


class Fetching:
    """`wanted`: a blind raise waits for orders that are fetched after it was owed."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self._wanted = False
        self._not_before = core.clock()

    @property
    def wanted(self) -> bool:
        return self._wanted and self._core.clock() >= self._not_before

    @wanted.setter
    def wanted(self, value: bool) -> None:
        self._wanted = value

    async def fetch_wished(self, chosen: Callable[[], None]) -> bool:
        """Fetch and book the single orders that are wished for; gives whether there were any."""
        async with self._core.db.statement("due_orders") as conn:
            due = await bookmark.due_orders(
                conn, self._channel.id, self._core.clock(), ORDERS_AT_ONCE
            )
        if not due:
            return False
        with priority(Priority.NORMAL):
            news = await self._orders([order for order, _ in due])
        async with self._core.booking("orders_booked") as (conn, booking):
            await book(conn, booking, [Heard(self._channel.id, told(one)) for one in news])
            await bookmark.orders_looked(conn, self._channel.id, due)
        chosen()
        return True

    async def _orders(self, ids: Sequence[str]) -> list[OrderNews]:
        """These orders; one that the platform refuses to give keeps none of the others waiting."""
        try:
            call = self._channel.connector.orders(ids)
            return list(await speak(self._core, self._channel, call))
        except Refused as error:
            if len(ids) == 1:
                return [OrderUnreadable(ids[0], error.reason)]
        half = len(ids) // 2
        return await self._orders(ids[:half]) + await self._orders(ids[half:])

    async def fetch_changed(self, chosen: Callable[[], None]) -> bool:
        """Fetch and book every order changed since the watermark: raises may go out after it."""
        self.wanted = False
        try:
            await speak(
                self._core,
                self._channel,
                fetch_orders(self._core, self._channel, Priority.NORMAL),
            )
        except BaseException as error:
            self.wanted = True
            if isinstance(error, Refused):
                self._not_before = self._core.clock() + REFUSED_PAUSE
            raise
        chosen()
        return True
