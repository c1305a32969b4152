"""What people answer to amounts in suspense: an answer is a revision, booked like any other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db import shelf, suspense
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.db.suspense import OpenDoubt
from syncd.errors import SyncdError
from syncd.fanout import edits, unheard
from syncd.fanout.booking import Booking
from syncd.fanout.edits import Concluded
from syncd.stock.model import QUANTITY_LIMIT, Kind


class NotAsked(SyncdError):
    """The question is not asked any more, or not as the person saw it."""


async def answer_doubt(
    conn: Connection,
    booking: Booking,
    doubt_id: int,
    amount: int,
    who: str,
    seen: tuple[int, ...] | None = None,
) -> None:
    """Book `amount` as what is behind a doubt. Raises NotAsked where that is not the question (now).

    `seen`: the candidates that the person saw. The first lock of its transaction.
    """
    if abs(amount) > QUANTITY_LIMIT:
        raise NotAsked(f"{amount} is no quantity")
    doubt = await _asked(conn, doubt_id)
    if doubt.listing_id is None:
        _as_seen(doubt, seen)
        if not await unheard.answer(conn, booking, doubt_id, amount, who):
            raise NotAsked(f"suspense {doubt_id} has changed: look at it again")
        return
    pairs = []
    if doubt.item_id is not None and doubt.warehouse_id is not None:
        pairs.append((doubt.item_id, doubt.warehouse_id))
    rows = await shelf.lock(conn, [doubt.listing_id], pairs)
    doubt = await _asked(conn, doubt_id)  # again, now that it stands still
    _as_seen(doubt, seen)
    own = [row for row in rows if row.listing_id == doubt.listing_id]
    if doubt.stretch_t0 is not None:
        await _revise(conn, booking, doubt, own, amount, who)
    else:
        await _resolve(conn, booking, doubt, own[0].channel_id, amount, who)


async def answer_kept(conn: Connection, booking: Booking, doubt_id: int) -> None:
    """Book the answer that is kept with a doubt. Raises NotAsked as `answer_doubt` does."""
    doubt = await _asked(conn, doubt_id)
    if doubt.answer is not None:
        seen = tuple(doubt.answer_to or ())
        await answer_doubt(conn, booking, doubt_id, doubt.answer, doubt.answered_by, seen)


async def _asked(conn: Connection, doubt_id: int) -> OpenDoubt:
    found = await suspense.open_doubts(conn, [doubt_id])
    if not found:
        raise NotAsked(f"nothing in suspense is numbered {doubt_id}")
    return found[0]


def _as_seen(doubt: OpenDoubt, seen: tuple[int, ...] | None) -> None:
    if seen is not None and tuple(doubt.candidates) != seen:
        raise NotAsked(f"suspense {doubt.id} has changed: look at it again")


async def _revise(
    conn: Connection,
    booking: Booking,
    doubt: OpenDoubt,
    rows: Sequence[Shelf],
    amount: int,
    who: str,
) -> None:
    """What a stretch asks is answered by a revision of it."""
    assert doubt.stretch_t0 is not None
    followed = await edits.listen(conn, booking, rows)
    if not followed:
        raise NotAsked(f"suspense {doubt.id}: its channel is not configured any more")
    for one in followed.values():
        try:
            one.answer(doubt.stretch_t0, amount, who)
        except ValueError as error:
            raise NotAsked(f"suspense {doubt.id} has changed: look at it again") from error
    await edits.book_edits(conn, booking, await edits.conclude(conn, booking, followed))


async def _resolve(
    conn: Connection, booking: Booking, doubt: OpenDoubt, channel_id: int, amount: int, who: str
) -> None:
    """What no stretch asks (a spent key) is answered once and for all."""
    words = f"answered: {amount:+} by {who}"
    done = Concluded()
    if doubt.item_id is not None and doubt.warehouse_id is not None:
        done.moved.add((doubt.item_id, doubt.warehouse_id))
        if amount:
            done.movements.append(_movement(doubt, channel_id, amount, who, booking.now))
    elif amount:
        raise NotAsked(f"suspense {doubt.id}: its listing is no item")
    await suspense.resolve(conn, [doubt.id], booking.now, words)
    booking.journal.append(Line("suspense", doubt.sku, channel_id, doubt.listing_id, reason=words))
    await edits.book_edits(conn, booking, done)


def _movement(doubt: OpenDoubt, channel_id: int, amount: int, who: str, now: datetime) -> Movement:
    assert doubt.item_id is not None
    assert doubt.warehouse_id is not None
    return Movement(
        item_id=doubt.item_id,
        warehouse_id=doubt.warehouse_id,
        delta=amount,
        kind=Kind.EDIT,
        cause=f"{doubt.channel}:suspense:{doubt.id}",
        channel_id=channel_id,
        event_id=None,
        actor=who,
        note=doubt.reason,
        occurred_at=now,
    )
