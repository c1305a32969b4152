"""Silent channels: when one is silent, when it is heard again, and what it may have sold meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of hearing from a channel; all times by our clock."""

    channel_id: int
    heard_at: datetime
    """The newest reading or message."""
    silent_from: datetime | None = None
    """While it is silent: the newest one before."""
    silent_at: datetime | None = None
    """When it was found silent; None: it is not."""
    orders_asked_at: datetime | None = None
    swept_at: datetime | None = None


class Judged(StrEnum):
    """What becomes of a channel's hearing."""

    HEARD = "heard"
    FALLS_SILENT = "falls_silent"
    SILENT = "silent"
    SPEAKS = "speaks"
    """It is heard of again, but not all that it did meanwhile is known: sweep it."""
    HEARD_AGAIN = "heard_again"


def judge(known: Hearing, patience: timedelta | None, now: datetime, began: datetime) -> Judged:
    """How it stands with a channel of which nothing may be heard for `patience` (None: for ever).

    A daemon that `began` a moment ago has not had the time to hear: it finds nobody silent yet. A
    silent one is trusted again only once its orders were fetched, and all of it was read, since.
    """
    quiet = patience is not None and now - known.heard_at > patience
    if known.silent_at is None:
        return Judged.FALLS_SILENT if quiet and now - began > GRACE else Judged.HEARD
    if patience is None:
        return Judged.HEARD_AGAIN
    if quiet or known.heard_at <= known.silent_at:
        return Judged.SILENT
    looked = (known.orders_asked_at, known.swept_at)
    known_again = all(at is not None and at > known.silent_at for at in looked)
    return Judged.HEARD_AGAIN if known_again else Judged.SPEAKS


GRACE = timedelta(minutes=2)
"""So long after its start a daemon declares nobody silent."""


def unheard_for(known: Hearing, judged: Judged, now: datetime) -> timedelta:
    """How long sales of a silent channel may have gone unseen: until it spoke again, or until now."""
    assert known.silent_from is not None
    until = known.heard_at if judged is Judged.SPEAKS else now
    return max(until - known.silent_from, timedelta())


def unseen(sold: int, hours: int, unheard: timedelta) -> int:
    """Units that may have been sold unseen at the speed of late, rounded up."""
    micros = unheard // timedelta(microseconds=1)
    return -(-sold * micros // (hours * 3_600_000_000))
