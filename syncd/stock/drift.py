"""Drift: why a listing does not show what it is known to show, and whether somebody else writes it too.

Another writer gives itself away by putting its own number back after each of ours (A → B → A): on such a
listing two programs would write for ever, and neither would be right for longer than a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syncd.stock.model import Truth

ALTERNATIONS = 4
"""So many times, each a while after the one before, the same number came back after ours: nothing is
written there any more."""

APART = timedelta(minutes=1)
"""What comes back sooner may be a reading that lags behind our write, and is not counted anew."""

ENDLESS = 30
"""So many times in a row without another number between, however fast, it will not end by itself."""

WINDOW = timedelta(hours=2)
"""A number that came back after longer came for another reason."""


class Cause(StrEnum):
    """Why a sweep found another number than the known one."""

    IN_FLIGHT = "in_flight"
    """A write was under way: its own answer will tell."""
    UNCONFIRMED_WRITE = "unconfirmed_write"
    """A write without an answer was not applied, or not as it was sent."""
    MISSED_WEBHOOK = "missed_webhook"
    """Stock moved there, and no event said so."""
    EDITED = "edited"
    """A person, as it seems: no order explains it."""
    FOREIGN_WRITER = "foreign_writer"
    """The number that our write replaced is back."""
    PLATFORM_CLAMP = "platform_clamp"
    """The platform takes our number and keeps another one."""
    REMAPPED = "remapped"
    """Its location feeds another warehouse than before."""
    UNMANAGED = "unmanaged"
    """The platform does not track it any more."""


@dataclass(frozen=True, slots=True)
class Alternation:
    """A number that was found in place of ours, and how often in a row.

    `times`: each at least a minute after the one before it, the last at `last_at`. `repeats`: all of
    them; `at_once`: of these the readings that followed our own write.
    """

    theirs: int
    ours: int
    times: int
    repeats: int
    at_once: int
    last_at: datetime


def alternated(
    before: Alternation | None, shown: int, observed: int, now: datetime, *, after_write: bool
) -> Alternation:
    """What is known after a reading found `observed` where `shown` was. `after_write`: it followed ours."""
    if before is None or before.theirs != observed or now - before.last_at > WINDOW:
        return Alternation(observed, shown, 1, 1, int(after_write), now)
    counts = now - before.last_at >= APART
    return Alternation(
        observed,
        shown,
        before.times + counts,
        before.repeats + 1,
        before.at_once + after_write,
        now if counts else before.last_at,
    )


def contested(found: Alternation) -> bool:
    """True where nothing more should be written: whoever it is will not stop."""
    return found.times >= ALTERNATIONS or found.repeats >= ENDLESS


def cause_of(truth: Truth, found: Alternation | None) -> Cause:
    """Why a listing shows another number than the known one."""
    if found is None or found.repeats < 2:
        return Cause.MISSED_WEBHOOK if truth is Truth.LEVELS else Cause.EDITED
    return Cause.PLATFORM_CLAMP if found.at_once == found.repeats else Cause.FOREIGN_WRITER
