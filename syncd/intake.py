"""Intake turns waiting events into facts and books them in batches; poison is parked, the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from syncd.connectors.base import Event
from syncd.corridor import Core, follow_links
from syncd.corridor.bells import rung
from syncd.db import inbox
from syncd.db.inbox import QueuedEvent
from syncd.db.journal import Line
from syncd.db.pool import LostRace
from syncd.errors import BadFact, DatabaseAway
from syncd.fanout import Booking, Heard, book
from syncd.stock.facts import checked, clean
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.intake")

BATCH = 500
POLL_S = 1.0
AWAY_S = 0.2

BUSY_BATCH = 25
"""So many events since the last batch: about a thousand a second or more."""

GATHER_S = 0.12
LANES_GATHER_S = 0.5
"""What a lane sends while so much comes in is old before it arrives: one fuller call says more."""


class Intake:
    """Walks the inbox. One runs per daemon; several would be safe."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._limit = BATCH
        self._more = False

    async def run(self) -> None:
        """Book events until cancelled."""
        while True:
            if not self._core.leads():
                await rung(self._core.bells.intake, POLL_S)
                continue
            try:
                took = await self.step()
                while took >= BATCH and self._limit == BATCH:
                    # behind: while the database works for one batch, we work on another
                    self._core.gather_s = LANES_GATHER_S
                    took = min(await asyncio.gather(self.step(), self.step()))
            except LostRace:
                continue
            except DatabaseAway:
                await rung(self._core.bells.intake, AWAY_S)
                continue
            if took:
                await self._gather(took)
            else:
                self._core.gather_s = 0.0
            if not self._more:
                await rung(self._core.bells.intake, POLL_S)

    async def _gather(self, took: int) -> None:
        """Wait for a fuller batch where events come so fast that it pays, and let lanes wait too.

        What a batch costs is mostly its round trips; with a few events a second nobody waits.
        """
        busy = took >= BUSY_BATCH
        self._core.gather_s = LANES_GATHER_S if busy else 0.0
        if busy and took < BATCH:
            await asyncio.sleep(GATHER_S)

    async def step(self) -> int:
        """Book one batch; gives how many events left the queue.

        A batch that cannot be booked is halved until the event that hurts stands alone; that one is
        parked with its error.
        """
        claimed: list[QueuedEvent] = []
        booking = None
        try:
            booking = await self._book_batch(claimed)
        except DatabaseAway:
            raise
        except Exception as error:
            if not claimed:
                raise
            if len(claimed) > 1:
                self._limit, self._more = len(claimed) // 2, True
                return 1
            await self._park(claimed[0], error)
        # what comes after a batch that was not full rings the bell
        self._more = len(claimed) >= self._limit
        self._limit = min(BATCH, self._limit * 2)
        if booking is not None:
            await follow_links(self._core, booking)
        return len(claimed)

    async def _book_batch(self, claimed: list[QueuedEvent]) -> Booking:
        """Book a batch; gives what it did. `claimed` is told its events, should it fail."""
        async with self._core.booking("intake") as (conn, booking):
            paused = sorted(self._core.paused)
            events = await inbox.claim(conn, booking.now, self._limit, paused)
            claimed += events
            if not events:
                return booking
            heard, bad = self._parse(events)
            if heard:
                await book(conn, booking, heard)
            if bad:
                await inbox.park(conn, list(bad), list(bad.values()), booking.now)
                booking.journal += [
                    _parked(e, bad[e.event_id]) for e in events if e.event_id in bad
                ]
            await inbox.done(conn, [e.event_id for e in events if e.event_id not in bad])
            for event in events:
                self._hear(event)
                outcome = "poison" if event.event_id in bad else "taken"
                booking.outcomes[event.channel_id, outcome] += 1
        return booking

    def _hear(self, event: QueuedEvent) -> None:
        """A message of a channel is a sign of life, from when it was received."""
        channel = self._core.channels.get(event.channel_id)
        if channel is not None:
            channel.heard_at = max(channel.heard_at or event.received_at, event.received_at)

    def _parse(self, events: Sequence[QueuedEvent]) -> tuple[list[Heard], dict[int, str]]:
        """Facts of all events; and why the ones that have none cannot be booked."""
        heard: list[Heard] = []
        bad: dict[int, str] = {}
        for event in events:
            channel = self._core.channels.get(event.channel_id)
            if channel is None:
                bad[event.event_id] = "its channel is not configured"
                continue
            if not channel.rules.enabled:
                continue
            try:
                said = channel.connector.parse(Event(event.topic, event.body, event.received_at))
                facts = [checked(fact) for fact in said]
            except BadFact as error:
                bad[event.event_id] = clean(str(error))[:500]
            except Exception as error:
                log.exception("event.parse_failed", channel=channel.name, event_id=event.event_id)
                bad[event.event_id] = f"parse failed: {type(error).__name__}"
            else:
                heard += [
                    Heard(event.channel_id, fact, event.event_id, event.received_at)
                    for fact in facts
                ]
        return heard, bad

    async def _park(self, event: QueuedEvent, error: Exception) -> None:
        """Park the very event that failed: the oldest that waits may be another one by now."""
        reason = clean(f"{type(error).__name__}: {error}")[:500]
        log.error("event.parked", event_id=event.event_id, error=reason)
        async with self._core.booking("intake_park") as (conn, booking):
            await inbox.park(conn, [event.event_id], [reason], booking.now)
            booking.journal.append(_parked(event, reason))
            booking.outcomes[event.channel_id, "poison"] += 1


def _parked(event: QueuedEvent, reason: str) -> Line:
    detail: dict[str, object] = {"event": event.event_id, "topic": event.topic}
    return Line("event_parked", "", event.channel_id, reason=reason, detail=detail)
