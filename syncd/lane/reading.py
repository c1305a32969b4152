"""Reading listings: asked at a turn, booked only where nothing happened on the listing since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from syncd.connectors.base import Ref
from syncd.connectors.budget import Priority
from syncd.corridor import Channel, Core
from syncd.corridor.speaking import speak
from syncd.db import marks, shelf
from syncd.db.journal import Line
from syncd.db.shelf import Look
from syncd.errors import Refused, RetryLater
from syncd.fanout import Found, book_readings, lock_readings
from syncd.stock.model import Reading as StockReading
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.lane")

UNANSWERED_PAUSE = timedelta(seconds=30)
"""A listing whose reading alone gets no answer is not asked for again before."""

REFUSED_PAUSE = timedelta(minutes=5)
"""A listing that the platform refuses to read is not asked for again before."""


class Reading:
    """The readings of one lane. `busy`: listings being read now."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self.busy: set[int] = set()
        self._at_once = channel.connector.capabilities.read_max

    async def read_wished(self, chosen: Callable[[], None]) -> bool:
        """Read the listings wished for longest, one call; gives whether there were any."""
        caps = self._channel.connector.capabilities
        async with self._channel.http.reserved(caps.read_cost, Priority.NORMAL):
            now = self._core.clock()
            async with self._core.db.statement("due_looks") as conn:
                if self._channel.rules.awaits_orders:
                    await shelf.fulfilled(conn, self._channel.id, now)
                looks = await shelf.due_looks(
                    conn, self._channel.id, now, self._at_once, list(self.busy)
                )
            self.busy.update(look.listing_id for look in looks)
            chosen()
            try:
                if looks:
                    await self.read(looks)
                self._at_once = min(caps.read_max, self._at_once * 2)
            except RetryLater as error:
                if not error.throttled:
                    await self._postpone(looks)
                raise
            finally:
                self.busy.difference_update(look.listing_id for look in looks)
        return bool(looks)

    async def _postpone(self, looks: Sequence[Look]) -> None:
        """Ask in halves and for these later: one that breaks its platform keeps no other waiting."""
        self._at_once = max(1, len(looks) // 2)
        pause = UNANSWERED_PAUSE if len(looks) == 1 else timedelta(0)
        async with self._core.db.transaction("looks_postponed") as conn:
            await shelf.postpone_looks(
                conn, [look.listing_id for look in looks], self._core.clock() + pause
            )

    async def read_owed(self) -> None:
        """Read listings just before a blind write: what it would erase is seen first."""
        caps = self._channel.connector.capabilities
        limit = min(caps.read_max, caps.batch_max)
        async with self._channel.http.reserved(caps.read_cost, Priority.URGENT):
            now, busy = self._core.clock(), list(self.busy)
            async with self._core.db.statement("owed_looks") as conn:
                looks = await shelf.owed_looks(conn, self._channel.id, now, limit, busy)
            if looks:
                await self.read(looks)

    async def read(self, looks: Sequence[Look]) -> None:
        """Ask for these listings and book what they show. Raises what the connector raises."""
        asked_turn = looks[0].turn
        asked_at = self._core.clock()
        refs = [Ref(x.remote, x.location, x.sku, x.batch_group) for x in looks]
        answers = await self._ask(refs)
        async with self._core.booking("look_booked") as (conn, booking):
            found, missing, unmanaged, refused = _sorted(looks, answers)
            if missing or unmanaged:
                # what is said of these needs their shelves too, and they are locked in one go
                await lock_readings(conn, booking, [look.listing_id for look in looks])
            await book_readings(conn, booking, found, asked_turn, asked_at)
            if missing:
                gone = [look.listing_id for look in missing]
                new = await marks.mark_listings_gone(conn, gone, booking.now)
                missing = [look for look in missing if look.listing_id in new]
            if unmanaged:
                await marks.set_unmanaged(conn, [look.listing_id for look in unmanaged])
            for group, outcome in (
                (missing, "gone"),
                (unmanaged, "unmanaged"),
                (refused, "unreadable"),
            ):
                booking.journal += [
                    Line(outcome, look.sku, self._channel.id, look.listing_id) for look in group
                ]
            await shelf.looked(conn, [look.listing_id for look in looks], asked_turn)
            if refused:
                ids, later = sorted(x.listing_id for x in refused), booking.now + REFUSED_PAUSE
                await shelf.wish(conn, ids, "refused", booking.now, not_before=later)

    async def _ask(self, refs: Sequence[Ref]) -> list[StockReading | None]:
        """What these listings show; None for one that the platform refuses to read."""
        try:
            call = self._channel.connector.read(refs)
            return list(await speak(self._core, self._channel, call))
        except Refused as error:
            if len(refs) == 1:
                log.warning("read.refused", channel=self._channel.name, reason=error.reason)
                return [None]
        half = len(refs) // 2
        return await self._ask(refs[:half]) + await self._ask(refs[half:])


def _sorted(
    looks: Sequence[Look], answers: Sequence[StockReading | None]
) -> tuple[list[Found], list[Look], list[Look], list[Look]]:
    """Answers by what they are: a number, no such listing, not tracked, refused."""
    found, missing, unmanaged, refused = [], [], [], []
    for look, answer in zip(looks, answers, strict=True):
        if answer is None:
            refused.append(look)
        elif answer.missing:
            missing.append(look)
        elif answer.quantity is None:
            unmanaged.append(look)
        else:
            found.append(
                Found(look.listing_id, answer.quantity, answer.at, received_at=look.received_at)
            )
    return found, missing, unmanaged, refused
