"""Order fetches of a lane: single orders whose message said too little, and all since the watermark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor import Channel, Core, book_fetched, fetch_orders
from syncd.corridor.speaking import speak
from syncd.db import bookmark
from syncd.errors import Refused, RetryLater
from syncd.stock.facts import told
from syncd.stock.model import OrderNews, OrderUnreadable, Truth

ORDERS_AT_ONCE = 50

CALLS_AT_ONCE = 10
"""Where few orders come with a call, what so many calls bring is booked before the next."""

DUE = 1000
"""So many due orders are looked at to choose between single calls and one fetch of all."""

POSTPONE_S = (1.0, 600.0)
"""A fetch of single orders without an answer is repeated after growing pauses between these."""

REFUSED_PAUSE = timedelta(seconds=30)
"""A fetch that the platform refuses is not asked for again before."""


class Fetching:
    """`wanted`: a blind raise waits for orders that are fetched after it was owed."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self._wanted = False
        self._fetching = False
        per_call = channel.connector.capabilities.orders_max
        self._most = min(ORDERS_AT_ONCE, per_call * CALLS_AT_ONCE)
        self._at_once = self._most
        self._per_call = per_call
        self._all_calls = float(CALLS_AT_ONCE)
        self._asked_for_all = 0
        self._not_before = core.clock()

    @property
    def wanted(self) -> bool:
        return self._wanted and self._core.clock() >= self._not_before

    @wanted.setter
    def wanted(self, value: bool) -> None:
        # a claim that waits for the fetch under way wants no second one; it asks again after it
        self._wanted = value and not self._fetching

    @property
    def _urgency(self) -> Priority:
        """Where levels are the truth an order only explains: it keeps no reading waiting."""
        levels = self._channel.rules.truth is Truth.LEVELS
        return Priority.BULK if levels else Priority.NORMAL

    async def fetch_wished(self, chosen: Callable[[], None]) -> bool:
        """Fetch and book the single orders that are wished for; gives whether there were any."""
        async with self._core.db.statement("due_orders") as conn:
            due = await bookmark.due_orders(conn, self._channel.id, self._core.clock(), DUE)
        if not due:
            return False
        if self._all_is_cheaper(due):
            self._asked_for_all = max(wish for _, wish in due)
            return await self.fetch_changed(chosen)
        due = due[: self._at_once]
        with priority(self._urgency):
            try:
                news = await self._orders([order for order, _ in due])
            except RetryLater as error:
                if not error.throttled:
                    await self._postpone(due)
                raise
        self._at_once = min(self._most, self._at_once * 2)
        await book_fetched(self._core, self._channel, [told(one) for one in news], due)
        chosen()
        return True

    def _all_is_cheaper(self, due: Sequence[tuple[str, int]]) -> bool:
        """Whether a backlog costs more calls order by order than a fetch of all, which brings most.

        What such a fetch did not bring is not waited for in another.
        """
        fresh = sum(wish > self._asked_for_all for _, wish in due)
        return not self._fetching and fresh / self._per_call > 2 * self._all_calls

    async def _postpone(self, due: Sequence[tuple[str, int]]) -> None:
        """Ask for these later and in halves: one that breaks its platform keeps no other waiting."""
        self._at_once = max(1, len(due) // 2)
        low, high = POSTPONE_S
        async with self._core.db.transaction("orders_postponed") as conn:
            await bookmark.postpone_orders(
                conn, self._channel.id, [order for order, _ in due], self._core.clock(), low, high
            )

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
        self._fetching = True
        try:
            fetched = await speak(
                self._core,
                self._channel,
                fetch_orders(self._core, self._channel, Priority.NORMAL),
            )
            self._all_calls = 1 + fetched / ORDERS_AT_ONCE
        except BaseException as error:
            self._wanted = True
            if isinstance(error, Refused):
                self._not_before = self._core.clock() + REFUSED_PAUSE
            raise
        finally:
            self._fetching = False
        chosen()
        return True
