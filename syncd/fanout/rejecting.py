"""A push where edits are adopted: what orders explain of a shelf's difference is booked, the rest rejected.

The caller holds the shelves of all listings of these items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncd.db import pushes
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.db.pushes import Rejected
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.fanout.followed import Followed
from syncd.stock.model import Edits, Kind, Truth
from syncd.stock.pushes import Explained, Note, explained
from syncd.stock.rulebook import ChannelRules

WHY = "a push: no order explains it"


@dataclass(frozen=True, slots=True)
class Read:
    """What a listing showed, as of when, and up to which note orders were known before it was asked."""

    quantity: int
    at: datetime
    known: int


@dataclass(frozen=True, slots=True)
class Done:
    """A pushed shelf: what it showed, what explains it, notes that are stale, accounted for since when."""

    reading: Read
    found: Explained
    stale: list[int]
    since: datetime | None


@dataclass(slots=True)
class Judged:
    """Pushed shelves that can be told, by listing, and those that cannot yet."""

    done: dict[int, Done] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)


def rejects(rules: ChannelRules | None) -> bool:
    """True where a push rejects edits: elsewhere none of them is ever booked."""
    if rules is None or not rules.enabled or rules.edits is not Edits.ADOPT:
        return False
    return rules.truth is Truth.LEVELS or rules.follows_edits


def unready(booking: Booking, row: Shelf, *, orders_known: bool) -> bool:
    """True where a pushed shelf's difference says nothing before orders were fetched after its reading."""
    return row.pushed is not None and not orders_known and _by_levels(booking, row)


def _by_levels(booking: Booking, row: Shelf) -> bool:
    rules = booking.rules.channels.get(row.channel_id)
    return rules is not None and rules.truth is Truth.LEVELS


async def judge_pushed(
    conn: Connection, booking: Booking, rows: Sequence[Shelf], read: Mapping[int, Read]
) -> Judged:
    """What orders explain of what these pushed shelves showed; nothing is asked where none was."""
    judged = Judged()
    pushed = [row for row in rows if row.listing_id in read and _by_levels(booking, row)]
    if not pushed:
        return judged
    ids = [row.listing_id for row in pushed]
    notes, accounted = await pushes.notes(conn, ids), await pushes.accounted(conn, ids)
    for row in pushed:
        reading, rules = read[row.listing_id], booking.rules.channels[row.channel_id]
        ours = [note for note in notes if note.listing_id == row.listing_id]
        delta = reading.quantity - row.shown if row.shown is not None else 0
        since = accounted.get(row.listing_id)
        done = explained(delta, ours, since, reading.at, reading.known, rules.clock_margin_s)
        if done is None:
            judged.unsure.add(row.listing_id)
            continue
        stale = [note.id for note in ours if since is not None and note.at <= since]
        judged.done[row.listing_id] = Done(reading, done, stale, since)
    return judged


async def settle_pushed(
    conn: Connection, booking: Booking, rows: Sequence[Shelf], judged: Judged
) -> list[Movement]:
    """Of these surely read shelves where levels are the truth, those that were pushed, and those on
    which an order turned up that explains what a push rejected: gives what is to be booked.
    """
    movements: list[Movement] = []
    pushed = [row for row in rows if row.listing_id in judged.done]
    if pushed:
        movements += await _reject(conn, booking, pushed, judged)
    rejected = [r for r in rows if r.rejected and _by_levels(booking, r) and not r.made_of]
    if rejected:
        movements += await _late(conn, booking, rejected)
    return movements


async def _reject(
    conn: Connection, booking: Booking, rows: Sequence[Shelf], judged: Judged
) -> list[Movement]:
    movements, rejected, used = [], [], []
    for row in rows:
        rules = booking.rules.channels[row.channel_id]
        known = judged.done[row.listing_id]
        reading, done = known.reading, known.found
        used += [*known.stale, *(note.id for note in (*done.notes, *done.earlier))]
        if row.made_of:
            continue  # a bundle has no stock of its own: its orders are booked by themselves
        if done.notes and (net := sum(note.units for note in done.notes)):
            movements.append(_movement(row, rules, done.notes, net, reading.at))
        if done.rejected:
            assert row.pushed is not None
            rejected.append(_rejected(row, row.pushed, known, done.rejected))
            line = _line(row, row.pushed, row.shown, reading.quantity, done.rejected)
            booking.journal.append(line)
    await pushes.done(conn, [row.listing_id for row in rows])
    if used:
        await pushes.forget_notes(conn, used)
    if rejected:
        await pushes.reject(conn, rejected, booking.now)
    return movements


async def _late(conn: Connection, booking: Booking, rows: Sequence[Shelf]) -> list[Movement]:
    """Orders that were made before a push read the shelf and are heard of after it take their part out."""
    by_id = {row.listing_id: row for row in rows}
    late = await pushes.late_notes(conn, sorted(by_id))
    if not late:
        return []
    movements = []
    for one in late:
        row = by_id[one.listing_id]
        rules = booking.rules.channels[row.channel_id]
        if not one.undone:
            note = Note(one.id, one.listing_id, one.kind, one.number, one.units, one.at)
            movements.append(_movement(row, rules, (note,), one.units, one.at))
            reason = "an order that turned up late explains a part of what a push rejected"
            line = Line("rejected", row.sku, row.channel_id, row.listing_id, reason=reason)
            booking.journal.append(line)
    changes = [(one.listing_id, one.rejected_at, one.units) for one in late if not one.undone]
    if changes:
        await pushes.less(conn, changes)
    await pushes.forget_notes(conn, [one.id for one in late])
    return movements


def _movement(
    row: Shelf, rules: ChannelRules, notes: Sequence[Note], units: int, at: datetime
) -> Movement:
    assert row.item_id is not None
    assert row.warehouse_id is not None
    return Movement(
        item_id=row.item_id,
        warehouse_id=row.warehouse_id,
        delta=units,
        kind=Kind(notes[-1].kind),
        cause=f"{rules.name}:level:{row.listing_id}:note:{notes[-1].id}",
        channel_id=row.channel_id,
        event_id=None,
        actor=rules.name,
        note=", ".join(dict.fromkeys(note.number for note in notes))[:200],
        occurred_at=min(at, notes[-1].at),
    )


def _rejected(row: Shelf, plan_id: int, known: Done, units: int) -> Rejected:
    assert row.item_id is not None
    assert row.warehouse_id is not None
    since, at = known.since or datetime(1970, 1, 1, tzinfo=UTC), known.reading.at
    return Rejected(
        plan_id, row.listing_id, row.sku, row.item_id, row.warehouse_id, at, units, since
    )


def _line(row: Shelf, plan_id: int, before: int | None, after: int | None, units: int) -> Line:
    detail: dict[str, object] = {"plan": plan_id, "units": units}
    return Line("rejected", row.sku, row.channel_id, row.listing_id, before, after, WHY, detail)


async def reject_followed(
    conn: Connection, booking: Booking, followed: Mapping[int, Followed]
) -> None:
    """Of pushed shelves of a blind channel, what their open stretches leave unexplained is not booked.

    To be concluded afterwards: their open amounts count in no target any more.
    """
    rejected: list[Rejected] = []
    for one in followed.values():
        row = one.row
        assert row.pushed is not None
        assert row.item_id is not None
        assert row.warehouse_id is not None
        for stretch in one.reject():
            units, end = stretch.proposal - stretch.booked, stretch.end
            booking.journal.append(
                _line(row, row.pushed, stretch.v0, end.value if end else None, units)
            )
            rejected.append(
                Rejected(
                    row.pushed, row.listing_id, row.sku, row.item_id, row.warehouse_id,
                    stretch.t0, units,
                )
            )  # fmt: skip
    await pushes.done(conn, sorted(followed))
    if rejected:
        await pushes.reject(conn, rejected, booking.now)
