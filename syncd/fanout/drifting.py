"""What differs is told with its cause; a listing that somebody else writes too is left alone in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from syncd.db import alternation
from syncd.db.catalog import ListingNow
from syncd.db.journal import Line
from syncd.db.ledger import Note
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.stock.drift import Alternation, Cause, alternated, cause_of, contested
from syncd.stock.model import Kind, Truth

TOLD = {
    Cause.FOREIGN_WRITER: "another program puts its own number back each time",
    Cause.PLATFORM_CLAMP: "the platform takes the number and keeps another one",
}


@dataclass(frozen=True, slots=True)
class Differing:
    """A locked listing that shows another number than the known one.

    `after_write`: the reading followed our own write. `unannounced`: only the sweep found it.
    `resisted`: we mean to write our number again.
    """

    row: Shelf
    observed: int
    truth: Truth
    resisted: bool
    unannounced: bool
    after_write: bool


async def tell(conn: Connection, booking: Booking, differing: Sequence[Differing]) -> set[int]:
    """Journal and count these differences by cause; gives the listings that are left alone from now on."""
    known, contest = await _contest(conn, booking, [d for d in differing if d.resisted])
    for one in differing:
        found = known.get(one.row.listing_id)
        cause = cause_of(one.truth, found)
        if one.unannounced or cause in TOLD:
            booking.drift[one.row.channel_id, cause] += 1
            booking.journal.append(_line("drift", one, cause))
        if one.truth is Truth.ORDERS:
            why = "the shelf is not what its orders and our writes explain"
            booking.journal.append(_line("differs", one, why))
    return contest


async def tell_adopted(
    conn: Connection, booking: Booking, edits: Sequence[tuple[Differing, str]]
) -> set[int]:
    """Journal edits that were just booked, with a note; gives the listings that are left alone from now on.

    One that the listing's rules hide again is told so: it counts in full, and its own shelf goes back.
    Where somebody puts the same number there after each of ours, it would be booked without end.
    """
    known, contest = await _contest(conn, booking, [one for one, _ in edits if one.resisted])
    for one, note in edits:
        reason = "adopted_not_shown" if one.resisted else "adopted"
        line = _line("edited", one, reason)
        booking.journal.append(replace(line, detail={"note": note}) if note else line)
        cause = cause_of(Truth.ORDERS, known.get(one.row.listing_id))
        if cause in TOLD:
            booking.drift[one.row.channel_id, cause] += 1
            booking.journal.append(_line("drift", one, cause))
    return contest


async def _contest(
    conn: Connection, booking: Booking, resisted: Sequence[Differing]
) -> tuple[dict[int, Alternation], set[int]]:
    """What is known of these now; and those where it is enough, which are put in quarantine."""
    known = await _alternations(conn, booking, resisted)
    contest = {i for i, found in known.items() if contested(found)}
    if contest:
        fresh = await alternation.quarantine(conn, sorted(contest), booking.now)
        booking.journal += [
            _quarantined(one, known[one.row.listing_id])
            for one in resisted
            if one.row.listing_id in fresh
        ]
    return known, contest


async def _alternations(
    conn: Connection, booking: Booking, resisted: Sequence[Differing]
) -> dict[int, Alternation]:
    """What is known of these now, stored."""
    if not resisted:
        return {}
    before = await alternation.known(conn, [d.row.listing_id for d in resisted])
    known = {
        d.row.listing_id: alternated(
            before.get(d.row.listing_id),
            d.row.shown or 0,
            d.observed,
            booking.now,
            after_write=d.after_write,
        )
        for d in resisted
    }
    await alternation.keep(conn, known)
    return known


def _line(outcome: str, one: Differing, reason: str) -> Line:
    row = one.row
    return Line(outcome, row.sku, row.channel_id, row.listing_id, row.shown, one.observed, reason)


def _quarantined(one: Differing, found: Alternation) -> Line:
    row, cause = one.row, cause_of(one.truth, found)
    why = TOLD.get(cause, TOLD[Cause.FOREIGN_WRITER])
    detail: dict[str, object] = {"cause": cause, "theirs": found.theirs, "times": found.repeats}
    reason = f"{why}: {found.theirs}, {found.repeats} times; nothing is written until `syncd retry`"
    return Line(
        "quarantined",
        row.sku,
        row.channel_id,
        row.listing_id,
        found.ours,
        found.theirs,
        reason,
        detail,
    )


@dataclass(frozen=True, slots=True)
class Known:
    """A listing of a sweep, with what it was known to show and what it shows."""

    listing_id: int
    sku: str
    shown: int | None
    observed: int | None


def tell_in_flight(booking: Booking, rows: Iterable[Known], channel_id: int) -> None:
    """A sweep saw these show something else while a write was under way: its answer will tell."""
    for row in rows:
        _count(booking, channel_id, row, Cause.IN_FLIGHT)


def tell_moved(
    booking: Booking, channel_id: int, pairs: Iterable[tuple[ListingNow | None, ListingNow | None]]
) -> None:
    """A sweep found that the platform tracks a listing no more, or that its place feeds another warehouse."""
    for old, now in pairs:
        if old is None or now is None:
            continue
        row = Known(now.listing_id, now.sku, now.shown, None)
        if old.managed and not now.managed:
            _count(booking, channel_id, row, Cause.UNMANAGED)
        if (
            None not in (old.warehouse_id, now.warehouse_id)
            and old.warehouse_id != now.warehouse_id
        ):
            _count(booking, channel_id, row, Cause.REMAPPED)


def _count(booking: Booking, channel_id: int, row: Known, cause: Cause) -> None:
    booking.drift[channel_id, cause] += 1
    booking.journal.append(
        Line("drift", row.sku, channel_id, row.listing_id, row.shown, row.observed, cause)
    )


def explained(delta: int, notes: Sequence[Note]) -> tuple[Kind, str]:
    """The kind of a difference: what orders said if it adds up to it, else an edit on the channel."""
    numbers = ", ".join(dict.fromkeys(note.number for note in notes))[:200]
    if notes and sum(note.units for note in notes) == delta:
        return Kind(notes[-1].kind), numbers
    return Kind.EDIT, f"orders heard: {numbers}" if numbers else ""


def tell_of_bundle(booking: Booking, row: Shelf, observed: int, notes: Sequence[Note]) -> None:
    """A bundle's shelf moved where levels are the truth: what no order explains somebody typed there."""
    kind, note = explained(observed - (row.shown or 0), notes)
    if kind is Kind.EDIT:
        why = "not booked: a bundle has no stock of its own"
        line = Line("edited", row.sku, row.channel_id, row.listing_id, row.shown, observed, why)
        booking.journal.append(replace(line, detail={"note": note}) if note else line)
