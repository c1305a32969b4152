"""The shared core of the daemon: what walkers need, and what happens after every booking commits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

from syncd.connectors.base import Connector
from syncd.connectors.breaker import Breaker, State
from syncd.connectors.http import Http
from syncd.corridor.bells import Bells
from syncd.db import journal
from syncd.db.journal import Line
from syncd.db.pool import Connection, Database
from syncd.fanout import Booking
from syncd.stock.plans import Radius
from syncd.stock.rulebook import ChannelRules, Rulebook, quieted
from syncd.telemetry.logs import get_logger
from syncd.telemetry.metrics import Metrics

log = get_logger("syncd.core")

NOTES = 10_000
"""So many notes wait for a database that is away; the oldest go first."""


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Channel:
    """A channel as it runs. `closed`: why it is stopped, empty while it is not."""

    rules: ChannelRules
    connector: Connector
    http: Http
    breaker: Breaker
    by_location: bool = False
    """Its connector asks which location each line of an order is sent from."""
    closed: str = ""
    closed_at: datetime | None = None
    broken: State = State.CLOSED
    """The breaker's state as it was last told."""
    baselined: bool = False
    sales_seen_at: datetime | None = None
    heard_at: datetime | None = None
    """When something was last read or received of it, since this process started."""

    @property
    def id(self) -> int:
        return self.rules.id

    @property
    def name(self) -> str:
        return self.rules.name


@dataclass(slots=True)
class Core:
    """Everything walkers share. A reload replaces `rulebook` and `channels` in one step."""

    db: Database
    metrics: Metrics
    rulebook: Rulebook
    bells: Bells = field(default_factory=Bells)
    channels: dict[int, Channel] = field(default_factory=dict)
    clock: Callable[[], datetime] = utc_now
    rng: Random = field(default_factory=Random)
    new_key: Callable[[], UUID] = uuid4
    radius: Radius = field(default_factory=Radius)
    """How many listings of a channel one change may zero or raise unasked."""
    plan_expiry: timedelta | None = None
    """A plan that nobody applied in this time is closed."""
    paused: set[int] = field(default_factory=set)
    """Channels being cut over: their events wait until it is known by which rule they are booked."""
    leads: Callable[[], bool] = lambda: True
    """False while another daemon leads on this database: it alone books, by the rules in force."""
    statements_counted: int = 0
    _open: set[asyncio.Future[None]] = field(default_factory=set)
    gather_s: float = 0.0
    """How long lanes wait for more before they read or write: above 0 while events come by the
    thousand."""
    notes: deque[Line] = field(default_factory=lambda: deque(maxlen=NOTES))
    """Journal lines of what happened outside of any transaction, until they are written."""

    @asynccontextmanager
    async def booking(self, name: str) -> AsyncIterator[tuple[Connection, Booking]]:
        """One booking transaction: its journal is written with it, its bells ring after it."""
        booking = Booking(self.rulebook, self.clock())
        over = asyncio.get_running_loop().create_future()
        self._open.add(over)
        try:
            async with self.db.transaction(name) as conn:
                yield conn, booking
                await journal.write(conn, booking.journal, booking.now)
        finally:
            self._open.discard(over)
            over.set_result(None)
        self._after(booking)

    async def ended(self) -> None:
        """Return once every booking that is open now has ended."""
        if self._open:
            await asyncio.wait(list(self._open))

    def _after(self, booking: Booking) -> None:
        self._count(booking)
        for channel_id in booking.lanes:
            self.bells.lanes[channel_id].set()
        for channel_id in booking.sweeps:
            self.bells.sweeps[channel_id].set()
        for channel_id, reason in booking.closed.items():
            if channel_id in self.channels:
                self.close(self.channels[channel_id], reason)

    def note(self, line: Line) -> None:
        """Keep a journal line of something no transaction stands for: `write_notes` writes it soon."""
        self.notes.append(replace(line, at=self.clock()))

    async def write_notes(self) -> None:
        """Write what was noted; raises DatabaseAway, and then they are kept."""
        lines = list(self.notes)
        if not lines:
            return
        async with self.db.transaction("notes") as conn:
            await journal.write(conn, lines, self.clock())
        for line in lines:
            # a full deque has dropped its oldest meanwhile
            if self.notes and self.notes[0] is line:
                self.notes.popleft()

    def close(self, channel: Channel, reason: str) -> None:
        """Stop a channel: its lane makes no call but probes until it answers again."""
        if not channel.closed:
            log.warning("channel.closed", channel=channel.name, reason=reason)
            self.note(Line("channel_stopped", "", channel.id, reason=f"shut out: {reason}"))
        channel.closed = reason
        channel.closed_at = self.clock()
        self.metrics.breaker_state.labels(channel.name).set(2)

    def reopen(self, channel: Channel) -> None:
        """The channel answers again."""
        if channel.closed:
            log.info("channel.reopened", channel=channel.name, was=channel.closed)
            self.note(Line("channel_resumed", "", channel.id, reason="it answers again"))
        channel.closed = ""
        channel.closed_at = None
        self.metrics.breaker_state.labels(channel.name).set(0)
        self.bells.lanes[channel.id].set()
        self.bells.sweeps[channel.id].set()

    def quiet(self, silent: Collection[int]) -> None:
        """Go by the rules while nothing is heard of these channels, and of these alone."""
        self.rulebook = quieted(self.rulebook, silent)
        for rules in self.rulebook.channels.values():
            if rules.id in self.channels and self.channels[rules.id].rules == rules:
                self.channels[rules.id].rules = rules  # equal but for its silence

    def name_of(self, channel_id: int | None) -> str:
        """A channel's name for a metric label; empty where none is meant."""
        rules = self.rulebook.channels.get(channel_id) if channel_id is not None else None
        return rules.name if rules else ""

    def _count(self, booking: Booking) -> None:
        metrics = self.metrics
        for (channel_id, kind), count in booking.movements.items():
            metrics.movements_total.labels(self.name_of(channel_id), kind).inc(count)
        for (one, outcome), count in booking.outcomes.items():
            metrics.events_total.labels(self.name_of(one), outcome).inc(count)
            if outcome == "echo":
                metrics.echo_total.inc(count)
        for line in booking.journal:
            if line.outcome == "skipped" and line.channel_id is not None:
                metrics.deliveries_total.labels(self.name_of(line.channel_id), "skipped").inc()
        for (one, cause), count in booking.drift.items():
            metrics.drift_total.labels(self.name_of(one), cause).inc(count)
        for one, units in booking.oversold.items():
            metrics.oversell_units_total.labels(self.name_of(one)).inc(units)
