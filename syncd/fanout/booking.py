"""What one booking transaction was told and what it did, for bells and metrics after the commit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from syncd.db.journal import Line
from syncd.stock.model import Fact
from syncd.stock.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact and where it came from; `event_id` None: it was fetched, not sent to us."""

    channel_id: int
    fact: Fact
    event_id: int | None = None
    received_at: datetime | None = None


@dataclass(slots=True)
class Booking:
    """One transaction's context and outcome. Counters are by channel id, then by what happened."""

    rules: Rulebook
    now: datetime
    lanes: set[int] = field(default_factory=set)
    """Channels whose lane has work."""
    sweeps: set[int] = field(default_factory=set)
    """Channels whose catalogue or subscriptions changed in a way only a sweep can tell."""
    closed: dict[int, str] = field(default_factory=dict)
    """Channels that told us we were shut out."""
    journal: list[Line] = field(default_factory=list)
    movements: Counter[tuple[int | None, str]] = field(default_factory=Counter)
    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Facts by what became of them: booked, old, ambiguous, echo, unknown …"""
    skipped: Counter[str] = field(default_factory=Counter)
    drift: Counter[tuple[int, str]] = field(default_factory=Counter)
    oversold: Counter[int] = field(default_factory=Counter)
    """Units below zero, by the channel whose movement went there."""
    unclear: list[tuple[int, str]] = field(default_factory=list)
    """Orders (channel, order) whose state has to be fetched, since two were heard of one version."""
    linked: list[int] = field(default_factory=list)
    """Listings that waited for an item and were just linked to it: owe them after the commit."""
    uncounted: set[tuple[str, str]] = field(default_factory=set)
    """Rows (location, remote) of the page that get a first count once orders are known to its answer."""
    relisted: dict[int, set[str]] = field(default_factory=dict)
    """Skus by channel of which messages told: after the commit, see whether they are listed twice."""
    fell: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Units that facts took of (item, warehouse) and no held listing yielded to yet."""
    rose: Counter[int] = field(default_factory=Counter)
    """Units by which a listing was found higher on its channel."""
    suspense: Counter[tuple[int, str]] = field(default_factory=Counter)

    def take(self, other: Booking) -> None:
        """What another booking did in the same transaction is this one's too."""
        self.lanes |= other.lanes
        self.sweeps |= other.sweeps
        self.closed |= other.closed
        self.journal += other.journal
        for own, theirs in (
            (self.movements, other.movements),
            (self.outcomes, other.outcomes),
            (self.skipped, other.skipped),
            (self.drift, other.drift),
            (self.oversold, other.oversold),
            (self.suspense, other.suspense),
        ):
            own.update(theirs)  # type: ignore[arg-type] # each pair is of one kind
        self.unclear += other.unclear
        self.linked += other.linked
        self.uncounted |= other.uncounted
        for channel_id, skus in other.relisted.items():
            self.relisted.setdefault(channel_id, set()).update(skus)

    def skip(self, line: Line) -> None:
        """A delivery or a line is not made, with its reason; never silently."""
        self.skipped[line.reason] += 1
        self.journal.append(line)
