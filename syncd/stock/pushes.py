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
    """Of a difference: the notes that explain it, and the units that none does.

    `earlier`: notes dated after what was booked before, which that holds all the same.
    """

    notes: tuple[Note, ...]
    rejected: int
    earlier: tuple[Note, ...] = ()


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
    before it or just after it; asked once more, the shelf tells. A note dated within the margin after
    `since` may be in what was booked then: where all is explained without it, it is. An edit of just
    its size beside it would have to be the reason otherwise.
    """
    news = [n for n in notes if since is None or n.at > since]
    inside = tuple(n for n in news if n.id <= known or n.at <= stamp)
    near = stamp + timedelta(seconds=margin_s)
    unsure = [n for n in news if n not in inside and n.at <= near]
    rest = delta - sum(n.units for n in inside)
    if rest and unsure:
        return None
    if rest and since is not None:
        close = since + timedelta(seconds=margin_s)
        earlier = _summing([n for n in inside if n.at <= close], -rest)
        if earlier:
            return Explained(tuple(n for n in inside if n not in earlier), 0, earlier)
    return Explained(inside, rest)


def _summing(notes: Sequence[Note], units: int) -> tuple[Note, ...]:
    """The fewest of these notes that sum to so many units; () where none do."""
    found: dict[int, tuple[Note, ...]] = {0: ()}
    for note in notes:
        for total, chosen in list(found.items()):
            more = (*chosen, note)
            known = found.get(total + note.units)
            if known is None or len(more) < len(known):
                found[total + note.units] = more
    return found.get(units, ())
