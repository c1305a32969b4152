"""The grouped commit: events that arrive together are stored in one transaction, each waits for it.

Nobody hears NEW or DUPLICATE before the commit that makes it true, and nobody waits longer than
`store_timeout_s` for an answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC
from enum import Enum

import structlog

from syncd.connectors.base import Clock
from syncd.db import bookmark, inbox
from syncd.db.inbox import NewEvent
from syncd.db.pool import Database, LostRace
from syncd.errors import DatabaseAway

log = structlog.get_logger("syncd.server.store")

PATIENCE_S = 0.02
"""Rows wait this long for the transaction under way before another is begun beside it: fewer,
larger groups cost the database and us less than many small ones."""

MEND_EVERY_S = 5.0
SAY_REFUSED_EVERY_S = 1.0


class Ack(Enum):
    """What became of an event. All but the first two mean: not stored, as far as we know."""

    NEW = "stored"
    DUPLICATE = "duplicate"
    AWAY = "away"
    """The database did not take it in time. It may still be there: storing again is safe."""
    BUSY = "busy"
    """Too many are waiting already."""
    REFUSED = "refused"
    """The database refused this very row."""


class _Waiting:
    __slots__ = ("event", "future", "since_s")

    def __init__(self, event: NewEvent, future: asyncio.Future[Ack], since_s: float) -> None:
        self.event = event
        self.future = future
        self.since_s = since_s

    def answer(self, ack: Ack) -> None:
        # answered already by its deadline, or its request was cancelled
        if not self.future.done():
            self.future.set_result(ack)


class GroupedStore:
    """Stores events in groups; at most `flushes_max` transactions are under way at once.

    `on_stored` is called after every commit that stored something new. `away` tells whether the
    last thing heard of the database was that it cannot serve.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        on_stored: Callable[[], None],
        *,
        rows_max: int = 256,
        bytes_max: int = 4 * 1024 * 1024,
        flushes_max: int = 2,
        waiting_max: int = 4096,
        waiting_bytes_max: int = 64 * 1024 * 1024,
        store_timeout_s: float = 0.9,
    ) -> None:
        """`store_timeout_s` leaves a tenth of the promised second for everything around it.

        Raises RuntimeError outside a running event loop: it serves that one alone.
        """
        self._db = db
        self._clock = clock
        # asked for once: on Python 3.11 each asking is a call into the system
        self._loop = asyncio.get_running_loop()
        self._on_stored = on_stored
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._flushes_max = flushes_max
        self._waiting_max = waiting_max
        self._waiting_bytes_max = waiting_bytes_max
        self._store_timeout_s = store_timeout_s
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._flushers: set[asyncio.Task[None]] = set()
        self._ringing = False
        self._unanswered: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._mended_at = float("-inf")
        self._refused_said_at = float("-inf")
        self._stored = 0
        self.away = False

    async def put(self, event: NewEvent) -> Ack:
        """Store one event; the answer comes within `store_timeout_s`. Never raises for its content."""
        if (
            len(self._waiting) >= self._waiting_max
            or self._waiting_bytes >= self._waiting_bytes_max
        ):
            return Ack.BUSY
        loop = self._loop
        waiting = _Waiting(event, loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self._waiting_bytes += len(event.body)
        self._unanswered.append(waiting)
        if self._timer is None:
            self._timer = loop.call_later(self._store_timeout_s, self._expire)
        if not self._flushers:
            if not self._ringing:
                # not at once: requests read in the same turn of the loop join the group
                self._ringing = True
                loop.call_soon(self._ring)
        elif self._patience is None and len(self._flushers) < self._flushes_max:
            self._patience = loop.call_later(PATIENCE_S, self._lose_patience)
        return await waiting.future

    async def close(self) -> None:
        """Wait for what is under way; afterwards everything put has its answer."""
        while self._flushers:
            await asyncio.gather(*self._flushers, return_exceptions=True)
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None
        self._unanswered.clear()

    def _ring(self) -> None:
        self._ringing = False
        if self._waiting and len(self._flushers) < self._flushes_max:
            task = self._loop.create_task(self._flush_all())
            self._flushers.add(task)
            task.add_done_callback(self._flushers.discard)

    def _lose_patience(self) -> None:
        self._patience = None
        if not self._waiting or len(self._flushers) >= self._flushes_max:
            return
        left_s = self._waiting[0].since_s + PATIENCE_S - self._loop.time()
        if left_s <= 0 or len(self._waiting) >= self._rows_max:
            self._ring()
            left_s = PATIENCE_S
        self._patience = self._loop.call_later(left_s, self._lose_patience)

    def _expire(self) -> None:
        """Answer everyone whose time is up: one timer serves all, as deadlines come in order."""
        self._timer = None
        now = self._loop.time()
        while self._unanswered:
            waiting = self._unanswered[0]
            if not waiting.future.done():
                left_s = waiting.since_s + self._store_timeout_s - now
                if left_s > 0:
                    self._timer = self._loop.call_later(left_s, self._expire)
                    return
                waiting.answer(Ack.AWAY)
            self._unanswered.popleft()

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._waiting and len(group) < self._rows_max:
            following = len(self._waiting[0].event.body)
            if group and size + following > self._bytes_max:
                break
            waiting = self._waiting.popleft()
            self._waiting_bytes -= following
            if waiting.future.done():
                continue  # answered already: whoever sent it will send it again
            size += following
            group.append(waiting)
        return group

    async def _flush_all(self) -> None:
        while self._waiting:
            try:
                # one for all groups, set anew for each: making one costs as much as storing a row
                async with asyncio.timeout(None) as deadline:
                    while group := self._take():
                        deadline.reschedule(self._loop.time() + self._store_timeout_s)
                        await self._flush_group(group)
            except TimeoutError:
                self._say_away("not stored in time")

    async def _flush_group(self, group: Sequence[_Waiting]) -> None:
        """Whatever happens, everyone in the group has an answer afterwards."""
        try:
            await self._flush(group)
        finally:
            for waiting in group:
                waiting.answer(Ack.AWAY)

    async def _flush(self, group: Sequence[_Waiting]) -> None:
        """Store a group; when the database refuses it, halve it until the refused rows stand alone."""
        try:
            fresh = await self._store(group)
        except DatabaseAway as error:
            self._say_away(str(error))
            for waiting in group:
                waiting.answer(Ack.AWAY)
        except Exception as error:  # noqa: BLE001 - refused rows come in any of the driver's words
            # whatever a row holds, it must not shut the door to its neighbours
            if await self._mend():
                await self._flush(group)
            elif len(group) > 1:
                middle = len(group) // 2
                await self._flush(group[:middle])
                await self._flush(group[middle:])
            else:
                self._say_refused(group[0], error)
        else:
            self._acknowledge(group, fresh)

    async def _store(self, group: Sequence[_Waiting]) -> set[tuple[int, bytes]]:
        events = [waiting.event for waiting in group]
        try:
            return await self._store_once(events)
        except LostRace:
            # nothing of it was stored
            return await self._store_once(events)

    async def _store_once(self, events: Sequence[NewEvent]) -> set[tuple[int, bytes]]:
        async with self._db.statement("door_store") as conn:
            return await inbox.store_fresh(conn, events, self._clock(), stored_before=self._stored)

    def _acknowledge(self, group: Sequence[_Waiting], fresh: set[tuple[int, bytes]]) -> None:
        if self.away:
            self.away = False
            log.info("door.database_back")
        if len(fresh) == len(group):
            for waiting in group:
                waiting.answer(Ack.NEW)
        else:
            left = set(fresh)
            for waiting in group:
                name = (waiting.event.channel_id, waiting.event.digest)
                waiting.answer(Ack.NEW if name in left else Ack.DUPLICATE)
                left.discard(name)  # of equals in one group the first is the new one
        if fresh:
            self._stored += len(fresh)
            self._on_stored()

    async def _mend(self) -> bool:
        """Make partitions that are missing, as after a long sleep; True: try the same once more."""
        now = self._loop.time()
        if now - self._mended_at < MEND_EVERY_S:
            return False
        self._mended_at = now
        try:
            async with self._db.transaction("door_mend") as conn:
                made = await bookmark.ensure_partitions(conn, self._clock().astimezone(UTC).date())
        except Exception as error:  # noqa: BLE001 - mending is a try; the rows are answered anyway
            log.warning("door.mend_failed", error=type(error).__name__)
            return False
        if made:
            log.info("door.partitions_made", made=made)
        return made > 0

    def _say_away(self, reason: str) -> None:
        if not self.away:
            self.away = True
            log.warning("door.database_away", reason=reason)

    def _say_refused(self, waiting: _Waiting, error: Exception) -> None:
        waiting.answer(Ack.REFUSED)
        now = self._loop.time()
        if now - self._refused_said_at < SAY_REFUSED_EVERY_S:
            return
        self._refused_said_at = now
        # the error's own words may quote the row
        log.error(
            "door.row_refused",
            channel_id=waiting.event.channel_id,
            size_bytes=len(waiting.event.body),
            error=type(error).__name__,
        )
