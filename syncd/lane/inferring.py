"""Edits in a lane: what a write and its answer mean for stretches, unanswered writes that are watched,
and stretches that are settled when their time has come.

Everything is scheduled by the tables: a wait by its attempt, a settling by its stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from syncd.connectors.base import RowResult
from syncd.corridor import Channel, Core
from syncd.db import attempts, bookmark, shelf, stretches
from syncd.db.attempts import OpenRow
from syncd.db.bookmark import asked_by
from syncd.db.pool import Connection
from syncd.errors import Refused, RetryLater
from syncd.fanout import Booking, book_edits, edits
from syncd.fanout.followed import Followed
from syncd.fanout.rejecting import reject_followed
from syncd.lane.fetching import Fetching
from syncd.stock.model import Reading
from syncd.stock.settle import Outcome
from syncd.stock.stretches import Seen
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.lane")

AT_ONCE = 50
"""So many stretches are settled or split in one transaction."""

LONGEST = timedelta(minutes=10)
"""No stretch is due later: what is was so by a clock since set back."""

UNFETCHED = timedelta(seconds=30)
"""Where orders cannot be fetched, settling is tried again after it."""

NEARLY = timedelta(seconds=5)
"""Orders are fetched anew where the last fetch would be too old by the time it is used."""


class Inferring:
    """The stretches of one lane."""

    def __init__(self, core: Core, channel: Channel, fetching: Fetching) -> None:
        self._core = core
        self._channel = channel
        self._fetching = fetching

    # --- the lane begins ---

    async def begin(self) -> None:
        """Follow every listing, or nobody any more, as the settings of this channel are now."""
        async with self._core.db.statement("stretches_pulled_back") as conn:
            latest = self._core.clock() + LONGEST
            await stretches.put_off(conn, self._channel.id, latest, latest, later=True)
        async with self._core.booking("begin_edits") as (conn, booking):
            if self._channel.rules.follows_edits:
                ids = await stretches.unfollowed(conn, self._channel.id)
                if ids:
                    await shelf.lock(conn, ids, [])
                    await shelf.wish(conn, ids, "baseline", booking.now)
                return
            await self._abandon(conn, booking)

    async def abandon(self) -> None:
        """End every open stretch where it was read last: nobody watched these shelves since."""
        async with self._core.booking("edits_abandoned") as (conn, booking):
            await self._abandon(conn, booking)

    async def _abandon(self, conn: Connection, booking: Booking) -> None:
        ids = await stretches.open_of(conn, self._channel.id)
        if ids:
            rows = await shelf.lock(conn, ids, [], moving=[self._channel.id])
            followed = await edits.listen(conn, booking, [r for r in rows if r.listing_id in ids])
            for one in followed.values():
                one.abandon()
            await book_edits(conn, booking, await edits.conclude(conn, booking, followed))

    # --- before a write ---

    async def look_into(self, listing_ids: Collection[int]) -> None:
        """Fetch orders where a reading before a write found what nothing explains.

        A fetch that fails holds no decrease back: what the write erases is told by its order.
        """
        async with self._core.db.statement("surprising") as conn:
            surprising = await stretches.surprising(conn, sorted(listing_ids))
        if not surprising:
            return
        try:
            await self._fetching.fetch_changed(lambda: None)
        except (RetryLater, Refused) as error:
            if isinstance(error, RetryLater) and error.throttled:
                raise
            log.info("write.unexplained", channel=self._channel.name, reason=error.reason)

    async def reject(self, listing_ids: Sequence[int]) -> None:
        """Of these, read just before, what orders do not explain is not booked: they are pushed."""
        async with self._core.booking("push_rejects") as (conn, booking):
            rows = await shelf.lock(conn, listing_ids, [], moving=[self._channel.id])
            pushed = [row for row in rows if row.listing_id in listing_ids and row.pushed]
            followed = await edits.listen(conn, booking, pushed)
            await reject_followed(conn, booking, followed)
            await book_edits(conn, booking, await edits.conclude(conn, booking, followed))

    # --- after a write ---

    def follows(self, booking: Booking) -> bool:
        """True where a write of this lane may begin a stretch, by the rules it began or runs under."""
        now = booking.rules.channels.get(self._channel.id)
        return self._channel.rules.follows_edits or (now is not None and now.follows_edits)

    async def hold(self, conn: Connection, rows: Sequence[OpenRow]) -> None:
        """Lock the shelves of these listings' items, before their attempt is locked."""
        await shelf.lock(conn, [r.listing_id for r in rows], [], moving=[self._channel.id])

    async def answered(
        self,
        conn: Connection,
        booking: Booking,
        rows: Sequence[OpenRow],
        results: Sequence[RowResult],
    ) -> None:
        """The attempt of these rows was answered so: what was, or may be, applied begins stretches."""
        followed = await self._listen(conn, booking, rows)
        for row, result in zip(rows, results, strict=True):
            one = followed.get(row.listing_id)
            if one is None or one.open is None:
                continue
            if result.outcome is Outcome.APPLIED:
                at = result.answered_at or result.at or one.open.over_there(booking.now)
                one.answered_write(at, row.to_quantity)
            elif result.outcome is Outcome.UNNAMED:
                # a part of the batch may be applied, but nothing of it is under way any more
                one.silent_write(row.to_quantity, late=False)
        await book_edits(conn, booking, await edits.conclude(conn, booking, followed))

    async def over(
        self,
        conn: Connection,
        booking: Booking,
        rows: Sequence[OpenRow],
        readings: Sequence[Reading],
    ) -> None:
        """Nobody will answer the attempt of these rows any more, nor does it land: they were read."""
        followed = await self._listen(conn, booking, rows)
        for row, reading in zip(rows, readings, strict=True):
            one = followed.get(row.listing_id)
            if one is None or one.open is None:
                continue
            one.silent_write(row.to_quantity, late=False)
            if reading.quantity is not None:
                at = reading.answered_at or one.open.over_there(booking.now)
                one.read(Seen(at, reading.quantity), booking.now)
        await book_edits(conn, booking, await edits.conclude(conn, booking, followed))

    async def silent(self, rows: Sequence[OpenRow], lease_gen: int) -> bool:
        """Nobody answered the attempt of these rows: it is watched; False where none is followed."""
        async with self._core.booking("edit_silence") as (conn, booking):
            if not self.follows(booking):
                return False
            await self.hold(conn, rows)
            if not await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen):
                return True
            followed = await self._listen(conn, booking, rows)
            begun = [one for one in followed.values() if one.open is not None]
            if not begun:
                return False
            for row in rows:
                one = followed.get(row.listing_id)
                if one is not None and one.open is not None and not one.waits:
                    one.silent_write(row.to_quantity, late=True)
            await book_edits(conn, booking, await edits.conclude(conn, booking, followed))
            # read at the time-out, which is now
            await attempts.sent(conn, rows[0].attempt_id, booking.now, booking.now, lease_gen)
            booking.lanes.add(self._channel.id)
        return True

    async def watched(
        self,
        rows: Sequence[OpenRow],
        readings: Sequence[Reading],
        asked_at: Sequence[datetime],
        lease_gen: int,
    ) -> bool:
        """Listings whose write nobody answered were read; True once none of them can land any more."""
        async with self._core.booking("edit_watch") as (conn, booking):
            if not self.follows(booking):
                return True
            await self.hold(conn, rows)
            if not await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen):
                return False
            followed = await self._listen(conn, booking, rows)
            for row, reading, asked in zip(rows, readings, asked_at, strict=True):
                one = followed.get(row.listing_id)
                if one is not None and one.open is not None and reading.quantity is not None:
                    one.read(Seen(reading.answered_at or asked, reading.quantity), asked)
            await book_edits(conn, booking, await edits.conclude(conn, booking, followed))
            if not self._waits(booking.now, rows, readings, followed):
                return True
            pause = timedelta(seconds=self._channel.rules.margins.reread_s)
            await attempts.put_off(conn, rows[0].attempt_id, booking.now + pause, lease_gen)
        return False

    def _waits(
        self,
        now: datetime,
        rows: Sequence[OpenRow],
        readings: Sequence[Reading],
        followed: dict[int, Followed],
    ) -> bool:
        """True while a write of these may still land on a listing that is there."""
        late = timedelta(seconds=self._channel.rules.late_apply_s)
        for row, reading in zip(rows, readings, strict=True):
            one = followed.get(row.listing_id)
            if reading.quantity is None:
                continue
            if one is not None and one.open is not None:
                if one.waits:
                    return True
            elif row.last_sent_at is not None and now < row.last_sent_at + late:
                return True
        return False

    async def _listen(
        self, conn: Connection, booking: Booking, rows: Sequence[OpenRow]
    ) -> dict[int, Followed]:
        ids = [row.listing_id for row in rows]
        return await edits.listen(conn, booking, await shelf.lock(conn, ids, []))

    # --- when their time has come ---

    async def settle_due(self, chosen: Callable[[], None]) -> bool:
        """Split and settle what is due, after a fetch of orders; gives whether anything was."""
        now = self._core.clock()
        async with self._core.db.statement("due_stretches") as conn:
            due = await stretches.due(conn, self._channel.id, now, AT_ONCE)
        if not due:
            return False
        try:
            await self._fetch_anew(now)
        except (RetryLater, Refused):
            # settling can wait: it holds nothing else of this lane up for longer than one call
            async with self._core.db.statement("stretches_put_off") as conn:
                later = self._core.clock() + UNFETCHED
                await stretches.put_off(conn, self._channel.id, now, later)
            raise
        async with self._core.booking("settle_edits") as (conn, booking):
            rows = await shelf.lock(conn, due, [], moving=[self._channel.id])
            mark = await bookmark.bookmark(conn, self._channel.id)
            fetched_at = asked_by(mark.orders_asked_at, booking.now)
            ripe = [row for row in rows if row.listing_id in set(due)]
            followed = await edits.listen(conn, booking, ripe)
            unread = [one.row.listing_id for one in followed.values() if not one.come(fetched_at)]
            await book_edits(conn, booking, await edits.conclude(conn, booking, followed))
            if unread and self._channel.rules.follows_edits:
                # no reading is free of a step beside it: perhaps a new one will be
                await shelf.wish(conn, sorted(unread), "settling", booking.now)
                booking.lanes.add(self._channel.id)
        chosen()
        return True

    async def _fetch_anew(self, now: datetime) -> None:
        async with self._core.db.statement("bookmark_read") as conn:
            asked = (await bookmark.bookmark(conn, self._channel.id)).orders_asked_at
        fresh = timedelta(seconds=self._channel.rules.margins.fetched_s) - NEARLY
        known = asked_by(asked, now)
        if known is None or now - known > fresh:
            await self._fetching.fetch_changed(lambda: None)
