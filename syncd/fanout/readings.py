"""Readings into the ledger: where levels are the truth, observed − shown is what moved.

One conversation per listing: a reading counts only if its listing's turn is the one it was asked in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from syncd.db import shelf
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, Movement
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf, ShelfChange
from syncd.fanout import edits, moving
from syncd.fanout.asking_again import ask_again
from syncd.fanout.booking import Booking
from syncd.fanout.differences import Difference, booked, level_cause, notes_of
from syncd.fanout.dividing import read_again
from syncd.fanout.drifting import (
    Differing,
    Known,
    tell,
    tell_adopted,
    tell_in_flight,
    tell_of_bundle,
)
from syncd.fanout.owing import levels_now, moves, owe_deliveries
from syncd.fanout.rejecting import Read, judge_pushed, settle_pushed, unready
from syncd.stock.decide import Meaning, ShelfNow, meaning
from syncd.stock.model import QUANTITY_LIMIT, Kind, Truth
from syncd.stock.rulebook import Asked
from syncd.stock.spread import Spread
from syncd.stock.stretches import Seen

SURE = (Meaning.BASELINE, Meaning.SAME, Meaning.DIFFERS)
"""What says for certain what a shelf showed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a listing showed. `unannounced`: the sweep found it and no event had said so."""

    listing_id: int
    quantity: int
    at: datetime | None
    unannounced: bool = False
    received_at: datetime | None = None
    after_write: bool = False
    """It was asked for since we had just written there."""
    answered_at: datetime | None = None
    """The platform's clock when it answered."""
    orders_known: bool = False
    """Orders were fetched after it was asked for."""
    notes_known: int = 0
    """Up to this number was known before it was asked for what orders did to it."""


async def book_readings(
    conn: Connection, booking: Booking, found: Sequence[Found], asked_turn: int, asked_at: datetime
) -> set[int]:
    """Book what these listings showed when asked at that turn; gives those that must be asked again."""
    rows = await lock_readings(conn, booking, sorted({f.listing_id for f in found}))
    usable = _bounded(booking, rows, found)
    meanings = {
        row.listing_id: _meaning(booking, row, usable[row.listing_id], asked_turn)
        for row in rows
        if row.listing_id in usable
    }
    judged = await judge_pushed(
        conn, booking, rows, pushed_readings(rows, usable, meanings, asked_at)
    )
    meanings |= dict.fromkeys(judged.unsure, Meaning.DROPPED)
    after = [_after(booking, row, usable.get(row.listing_id), meanings, asked_at) for row in rows]
    changes = [
        ShelfChange(
            now.listing_id,
            now.shown,
            now.shown_at,
            surprised_at=booking.now if meanings[now.listing_id] is Meaning.DIFFERS else None,
            observed=(usable[now.listing_id].quantity, usable[now.listing_id].at or asked_at),
        )
        for before, now in zip(rows, after, strict=True)
        if now is not before
    ]
    # read after the locks: nobody else moves these levels until we are done
    levels = await levels_now(conn, _keys_to_owe(rows, meanings))
    differing = [r for r in rows if meanings.get(r.listing_id) is Meaning.DIFFERS]
    contested = await _tell(conn, booking, rows, usable, meanings)
    movements, received = await _movements(conn, booking, differing, usable, levels, asked_at)
    counted = [r for r in rows if (r.item_id, r.warehouse_id) in levels]
    sure = [r for r in counted if meanings.get(r.listing_id) in SURE]
    movements += await settle_pushed(conn, booking, sure, judged)
    if changes:
        await shelf.change(conn, changes)
    if movements:
        levels |= await _book(conn, booking, movements)
        contested |= await _tell_edits(conn, booking, differing, usable, movements, levels)
    suspected = await _infer(conn, booking, rows, usable, meanings, levels, asked_at)
    if suspected:
        levels |= await levels_now(conn, suspected)
    levels, beside = await read_again(conn, booking, changes, rows, levels)
    unannounced = {i for i, found in usable.items() if found.unannounced}
    await ask_again(conn, booking, rows, meanings, asked_turn, unannounced, judged.unsure)
    moved = suspected.union((m.item_id, m.warehouse_id) for m in movements)
    owing = [
        replace(row, quarantined=True) if row.listing_id in contested else row
        for row in after
        if meanings.get(row.listing_id) in SURE or row.listing_id in beside or moves(row, moved)
    ]
    await owe_deliveries(conn, booking, owing, levels, received)
    return {i for i, said in meanings.items() if said in (Meaning.DROPPED, Meaning.LAGGING)}


def _meaning(booking: Booking, row: Shelf, reading: Found, asked_turn: int) -> Meaning:
    said = meaning(
        ShelfNow(row.shown, row.shown_at, row.turn, row.attempt_open, row.lag_asks),
        reading.quantity,
        reading.at,
        asked_turn,
    )
    waits = unready(booking, row, orders_known=reading.orders_known)
    return Meaning.DROPPED if waits and said is Meaning.DIFFERS else said


def pushed_readings(
    rows: Sequence[Shelf],
    usable: Mapping[int, Found],
    meanings: Mapping[int, Meaning],
    asked_at: datetime,
) -> dict[int, Read]:
    """What pushed shelves showed, where it may be judged."""
    return {
        row.listing_id: Read(found.quantity, found.at or asked_at, found.notes_known)
        for row in rows
        if row.pushed is not None
        and meanings.get(row.listing_id) in SURE
        and (found := usable[row.listing_id])
    }


async def _tell(
    conn: Connection,
    booking: Booking,
    rows: Sequence[Shelf],
    found: Mapping[int, Found],
    meanings: Mapping[int, Meaning],
) -> set[int]:
    """Journal what differs with its cause; gives the listings that nothing is written to any more.

    Where orders are the truth our number is written again: there somebody else can be in our way.
    """
    differing = []
    for row in rows:
        reading, truth = found.get(row.listing_id), _truth(booking, row)
        if reading is None or meanings.get(row.listing_id) is not Meaning.DIFFERS:
            continue
        differing.append(
            Differing(
                row,
                reading.quantity,
                truth,
                truth is Truth.ORDERS and not edits.follows(booking, row),
                reading.unannounced,
                reading.after_write,
            )
        )
    for row in rows:
        reading = found.get(row.listing_id)
        if (
            reading is not None
            and reading.unannounced
            and meanings.get(row.listing_id) is Meaning.DROPPED
            and row.shown != reading.quantity
        ):
            known = Known(row.listing_id, row.sku, row.shown, reading.quantity)
            tell_in_flight(booking, [known], row.channel_id)
    return await tell(conn, booking, differing)


async def _tell_edits(
    conn: Connection,
    booking: Booking,
    differing: Sequence[Shelf],
    found: Mapping[int, Found],
    movements: Sequence[Movement],
    levels: Mapping[tuple[int, int], LevelNow],
) -> set[int]:
    """Journal the edits among what was booked; gives the listings that nothing is written to any more."""
    notes = {m.cause: m.note for m in movements if m.kind == Kind.EDIT}
    told = []
    for row in differing if notes else ():
        note, reading = notes.get(level_cause(booking, row)), found[row.listing_id]
        if note is None or row.item_id is None or row.warehouse_id is None:
            continue
        asked = Asked(row.listing_id, row.sku, row.warehouse_id, shown=reading.quantity)
        rules = booking.rules.channels[row.channel_id]
        wants = rules.target_of(asked, levels[row.item_id, row.warehouse_id])
        hidden = wants != reading.quantity and rules.allows(wants, reading.quantity)
        one = Differing(row, reading.quantity, Truth.LEVELS, hidden, reading.unannounced, False)
        told.append((one, note))
    return await tell_adopted(conn, booking, told) if told else set()


async def _infer(
    conn: Connection,
    booking: Booking,
    rows: Sequence[Shelf],
    usable: Mapping[int, Found],
    meanings: Mapping[int, Meaning],
    levels: Mapping[tuple[int, int], LevelNow],
    asked_at: datetime,
) -> set[tuple[int, int]]:
    """Where edits are inferred, what these readings say of them; gives the levels they throw doubt on."""
    sure = [
        row
        for row in rows
        if meanings.get(row.listing_id) in SURE
        and (row.item_id, row.warehouse_id) in levels
        and edits.follows(booking, row)
    ]
    followed = await edits.listen(conn, booking, sure)
    for listing, one in followed.items():
        reading = usable[listing]
        one.read(Seen(reading.answered_at or asked_at, reading.quantity), asked_at)
    return (await edits.conclude(conn, booking, followed)).moved


def _bounded(booking: Booking, rows: Sequence[Shelf], found: Sequence[Found]) -> dict[int, Found]:
    """Readings by listing, without those whose number or difference cannot be booked."""
    shown = {row.listing_id: row.shown or 0 for row in rows}
    # what lies between any two readings of a followed shelf may be booked
    followed = {row.listing_id for row in rows if edits.follows(booking, row)}
    usable: dict[int, Found] = {}
    for reading in found:
        moved = reading.quantity - shown.get(reading.listing_id, 0)
        limit = QUANTITY_LIMIT // 2 if reading.listing_id in followed else QUANTITY_LIMIT
        if max(abs(reading.quantity), abs(moved)) <= limit:
            usable[reading.listing_id] = reading
        else:
            booking.skip(Line("skipped", "", None, reading.listing_id, reason="out_of_bounds"))
    return usable


async def _book(
    conn: Connection, booking: Booking, movements: Sequence[Movement]
) -> dict[tuple[int, int], LevelNow]:
    """Book differences; gives the levels they made."""
    levels = {}
    for now in await moving.book(conn, booking, movements):
        levels[now.item_id, now.warehouse_id] = now
        below = min(now.quantity, 0) - min(now.quantity - now.delta, 0)
        if below < 0 and movements[0].channel_id is not None:
            booking.oversold[movements[0].channel_id] -= below
    for movement in movements:
        booking.movements[movement.channel_id, movement.kind] += 1
    return levels


async def lock_readings(
    conn: Connection, booking: Booking, listing_ids: Sequence[int]
) -> list[Shelf]:
    """Lock the shelves that readings of these listings may move: all of an item's, or theirs alone."""
    moving = [
        c.id
        for c in booking.rules.channels.values()
        if c.truth is Truth.LEVELS or c.follows_edits or c.spread is Spread.DIVIDE
    ]
    return await shelf.lock(conn, listing_ids, [], moving=moving)


def _after(
    booking: Booking,
    row: Shelf,
    reading: Found | None,
    meanings: dict[int, Meaning],
    asked_at: datetime,
) -> Shelf:
    """The shelf as it is known after the reading; the same one where it says nothing new.

    A reading that repeats what is shown dates it: an order step placed before it is on that shelf
    already, though it was not yet told. A sweep, which fetched the orders just before, spares itself
    a write to every shelf. Where levels are the truth only the platform's own stamps are compared;
    ours differ by seconds.
    """
    said = meanings.get(row.listing_id)
    if reading is None or said not in SURE:
        return row
    stamp = reading.at if _truth(booking, row) is Truth.LEVELS else reading.at or asked_at
    if said is Meaning.SAME and (reading.unannounced or not _newer(stamp, row.shown_at)):
        return row
    return replace(row, shown=reading.quantity, shown_at=stamp)


def _newer(stamp: datetime | None, known: datetime | None) -> bool:
    return stamp is not None and (known is None or stamp > known)


async def _movements(
    conn: Connection,
    booking: Booking,
    differing: Sequence[Shelf],
    found: dict[int, Found],
    levels: Mapping[tuple[int, int], LevelNow],
    asked_at: datetime,
) -> tuple[list[Movement], dict[tuple[int, int], datetime | None]]:
    """Differences of `levels` shelves become movements, save of bundles: their orders are booked.

    An item that was never counted there has no level that a difference could move.
    """
    movements: list[Movement] = []
    received: dict[tuple[int, int], datetime | None] = {}
    moved = [
        (r.listing_id, found[r.listing_id].at, found[r.listing_id].quantity - (r.shown or 0))
        for r in differing
        if r.pushed is None and _truth(booking, r) is Truth.LEVELS
    ]
    notes = await notes_of(conn, moved)
    for row in differing:
        reading = found[row.listing_id]
        truth = _truth(booking, row)
        assert row.shown is not None
        if row.made_of and truth is Truth.LEVELS:
            tell_of_bundle(booking, row, reading.quantity, notes.get(row.listing_id, ()))
        elif (
            truth is Truth.LEVELS
            and row.pushed is None
            and row.item_id is not None
            and row.warehouse_id is not None
            and (row.item_id, row.warehouse_id) in levels
        ):
            delta = reading.quantity - row.shown
            booking.rose[row.listing_id] = max(delta, 0)
            seen = Difference(delta, reading.quantity, reading.at or asked_at)
            level, said = levels[row.item_id, row.warehouse_id], notes.get(row.listing_id, [])
            movements += await booked(conn, booking, row, level, seen, said)
            received[row.item_id, row.warehouse_id] = reading.received_at
    return movements, received


def _truth(booking: Booking, row: Shelf) -> Truth:
    rules = booking.rules.channels.get(row.channel_id)
    return rules.truth if rules else Truth.NONE


def _keys_to_owe(rows: Sequence[Shelf], meanings: dict[int, Meaning]) -> set[tuple[int, int]]:
    return {
        (row.item_id, row.warehouse_id)
        for row in rows
        if row.listing_id in meanings and row.item_id is not None and row.warehouse_id is not None
    }
