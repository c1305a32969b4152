"""What the API owes to what was posted: an order that came, or one that never did; the orders that
were posted, whenever somebody wants them fetched: no platform has them; and holds that are over.
"""

from __future__ import annotations

import asyncio

from syncd.console.orders import read_posted, seen_in
from syncd.corridor import Core
from syncd.db import bookmark, posted_orders, postings
from syncd.errors import DatabaseAway
from syncd.fanout import Heard, book, expire, give_up, hear_orders
from syncd.stock.rulebook import INTERNAL
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.upkeep")

POLL_S = 1.0
BATCH = 500
AGAIN_S = (60.0, 3600.0)


class Upkeep:
    """Looks at what waits; with nothing waiting a look costs one index that is empty."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                while self._core.leads() and await self.step():
                    pass
            except DatabaseAway:
                pass  # the next look finds it
            await asyncio.sleep(POLL_S)

    async def step(self) -> bool:
        """Settle one batch of each kind; gives whether there may be more."""
        async with self._core.booking("orders_heard") as (conn, booking):
            heard = await hear_orders(conn, booking, BATCH)
        async with self._core.booking("orders_unheard") as (conn, booking):
            given_up = await give_up(conn, booking, BATCH)
        async with self._core.booking("holds_over") as (conn, booking):
            over = await expire(conn, booking, BATCH)
        await self._rebook()
        return BATCH in (heard, given_up, over)

    async def _rebook(self) -> None:
        """Book posted orders that are wished for again: a first count freed what they hold."""
        rules = self._core.rulebook.named(INTERNAL)
        if rules is None:
            return
        async with self._core.db.statement("due_orders") as conn:
            due = await bookmark.due_orders(conn, rules.id, self._core.clock(), BATCH)
        for order, wish in due:
            try:
                async with self._core.booking("posted_order") as (conn, booking):
                    await postings.alone(conn, rules.id)
                    kept = await posted_orders.posted(conn, order)
                    if kept is not None:
                        seen = seen_in(booking.rules, read_posted(kept))
                        await book(conn, booking, [Heard(rules.id, seen)])
                    await bookmark.orders_looked(conn, rules.id, [(order, wish)])
            except DatabaseAway:
                raise
            except Exception:
                log.exception("posted_order.poison", order=order)
                async with self._core.db.statement("orders_postponed") as conn:
                    await bookmark.postpone_orders(
                        conn, rules.id, [order], self._core.clock(), *AGAIN_S
                    )
