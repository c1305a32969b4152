"""Pushes where edits are adopted: of what a shelf moved, the part that orders explain; the rest is rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Note:
    """What an order did to a shelf where levels are the truth: signed units, by the platform's clock."""

    id: int
    listing_id: int
    kind: str
    number: str
    units: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Explained:
    """Of a difference: the notes that explain it, and the units that none does."""

    notes: tuple[Note, ...]
    rejected: int


def explained(
    delta: int,
    notes: Sequence[Note],
    since: datetime | None,
    stamp: datetime,
    known: int,
    margin_s: float,
) -> Explained | None:
    """Divide the difference of a shelf whose newest reading until now was stamped `since`.

    What was known (notes up to the number `known`) before the shelf was asked for is in the answer; so
    is what is dated before the answer's stamp. None: it depends on a note that may have come just
    before it or just after it; asked once more, the shelf tells.
    """
    news = [n for n in notes if since is None or n.at > since]
    inside = tuple(n for n in news if n.id <= known or n.at <= stamp)
    near = stamp + timedelta(seconds=margin_s)
    unsure = [n for n in news if n not in inside and n.at <= near]
    rest = delta - sum(n.units for n in inside)
    if rest and unsure:
        return None
    return Explained(inside, rest)
