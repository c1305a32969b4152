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
"""So many times the same number came back after ours, and nothing is written there any more."""

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
    """A number that was found in place of ours, how often in a row, and when last.

    `at_once`: how many of these times in the reading that followed our own write.
    """

    theirs: int
    ours: int
    times: int
    at_once: int
    last_at: datetime


def alternated(
    before: Alternation | None, shown: int, observed: int, now: datetime, *, after_write: bool
) -> Alternation:
    """What is known after a reading found `observed` where `shown` was. `after_write`: it followed ours."""
    again = before is not None and before.theirs == observed and now - before.last_at <= WINDOW
    times, at_once = (before.times, before.at_once) if before is not None and again else (0, 0)
    return Alternation(observed, shown, times + 1, at_once + after_write, now)


def contested(found: Alternation) -> bool:
    """True where nothing more should be written: whoever it is will not stop."""
    return found.times >= ALTERNATIONS


def cause_of(truth: Truth, found: Alternation | None) -> Cause:
    """Why a listing shows another number than the known one."""
    if found is None or found.times < 2:
        return Cause.MISSED_WEBHOOK if truth is Truth.LEVELS else Cause.EDITED
    return Cause.PLATFORM_CLAMP if found.at_once == found.times else Cause.FOREIGN_WRITER
