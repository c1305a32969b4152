"""What moved a shelf whose level is the truth, as movements: explained by orders, and split by counts.

A difference that spans a count is split by its orders' dates (model.md §2): what happened before the
count is inside it, and the count takes it back; what nobody can date counts as after it, and a person
is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db import ledger, suspense
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, Movement, Note
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.db.suspense import Doubt
from syncd.fanout.booking import Booking
from syncd.fanout.drifting import explained
from syncd.stock.counts import spanned


@dataclass(frozen=True, slots=True)
class Difference:
    """Units by which a shelf moved, what it was read to show, and when it moved last."""

    units: int
    observed: int
    at: datetime


async def notes_of(
    conn: Connection, readings: Sequence[tuple[int, datetime | None, int]]
) -> dict[int, list[Note]]:
    """What orders said of listings that differ: (listing, stamp of the reading, units)."""
    notes: dict[int, list[Note]] = {}
    if readings:
        for note in await ledger.take_annotations(conn, readings):
            notes.setdefault(note.listing_id, []).append(note)
    return notes


async def booked(
    conn: Connection,
    booking: Booking,
    row: Shelf,
    level: LevelNow,
    seen: Difference,
    notes: Sequence[Note],
) -> list[Movement]:
    """The movements that a difference is, one on each side of a count; what is undated is asked about."""
    cause = level_cause(booking, row)
    dated = [(note.at, note.units) for note in notes]
    parts = spanned(level.counted_at, row.shown_at, seen.at, seen.units, dated)
    if parts is None:
        return [_movement(booking, row, seen.units, notes, seen.at, cause)]
    if parts.undated:
        await _ask(conn, booking, row, level, seen, parts.undated)
    found = []
    if parts.before and parts.before_at is not None:
        inside = [note for note in notes if note.at <= parts.before_at]
        earlier = f"{cause}:before_count"
        found.append(_movement(booking, row, parts.before, inside, parts.before_at, earlier))
        notes = [note for note in notes if note not in inside]
    if parts.after:
        found.append(_movement(booking, row, parts.after, notes, seen.at, cause))
    return found


async def _ask(
    conn: Connection,
    booking: Booking,
    row: Shelf,
    level: LevelNow,
    seen: Difference,
    undated: int,
) -> None:
    """What cannot be dated is booked as if it came after the count; before it, the count holds it."""
    evidence: dict[str, object] = {
        "why": "moved before or after a count",
        "units": undated,
        "counted_at": str(level.counted_at),
        "read_before": str(row.shown_at),
        "shown": row.shown,
        "observed": seen.observed,
    }
    asked = Doubt(row.listing_id, "spans_count", tuple(sorted({0, -undated})), 0, evidence)
    await suspense.keep(conn, [asked], booking.now)
    booking.suspense[row.channel_id, asked.reason] += 1
    line = Line("suspense", row.sku, row.channel_id, row.listing_id, reason=asked.reason)
    booking.journal.append(line)


def level_cause(booking: Booking, row: Shelf) -> str:
    """A difference of a shelf happens at most once in a turn."""
    name = booking.rules.channels[row.channel_id].name
    return f"{name}:level:{row.listing_id}:turn:{row.turn}"


def _movement(
    booking: Booking, row: Shelf, units: int, notes: Sequence[Note], at: datetime, cause: str
) -> Movement:
    assert row.item_id is not None
    assert row.warehouse_id is not None
    kind, note = explained(units, notes)
    return Movement(
        item_id=row.item_id,
        warehouse_id=row.warehouse_id,
        delta=units,
        kind=kind,
        cause=cause,
        channel_id=row.channel_id,
        event_id=None,
        actor=booking.rules.channels[row.channel_id].name,
        note=note,
        occurred_at=at,
    )
