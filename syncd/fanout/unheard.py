"""Posted movements whose order was not heard of: it comes, or a count, or a person has to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from syncd.db import counts, postings, reads, shelf, suspense
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.db.postings import Posting
from syncd.db.suspense import ItemDoubt
from syncd.fanout import edits, moving
from syncd.fanout.booking import Booking
from syncd.fanout.owing import hold_items, levels_now, owe_deliveries, owe_items
from syncd.fanout.recounting import LevelKey, recount
from syncd.stock.model import Kind
from syncd.stock.picks import LEAVING, Standing

REASON = "order_unheard"


async def hear_orders(conn: Connection, booking: Booking, limit: int) -> int:
    """Postings whose order was heard of meanwhile have no effect of their own; gives how many."""
    found = await postings.heard_now(conn, booking.rules.selling, limit)
    waiting = await _locked(conn, found)
    if not waiting:
        return 0
    await _revise(conn, booking, [(one, 0, Standing.KEPT) for one in waiting], "order_heard")
    return len(waiting)


async def give_up(conn: Connection, booking: Booking, limit: int) -> int:
    """Postings whose order does not come are put to a person; gives how many."""
    before = booking.now - booking.rules.order_patience
    await postings.counted_since(conn, before)
    waiting = await _locked(conn, await postings.overdue(conn, before, limit))
    keys = {(one.item_id, one.warehouse_id) for one in waiting}
    if keys:
        await hold_items(conn, keys)
    changed = []
    for one in waiting:
        assert one.delta is not None
        asked: dict[str, object] = {
            "cause": one.cause,
            "post": one.post,
            "delta": one.delta,
            "order": one.order_ref,
            "occurred_at": one.occurred_at.isoformat(),
        }
        doubt = ItemDoubt(
            one.channel_id,
            one.item_id,
            one.warehouse_id,
            REASON,
            tuple(sorted((0, one.delta))),
            0,
            asked,
        )
        suspense_id = await suspense.keep_item(conn, doubt, booking.now)
        changed.append(replace(one, standing=Standing.SUSPENSE, suspense_id=suspense_id))
        booking.suspense[one.channel_id, REASON] += 1
    if changed:
        await postings.revise(conn, changed)
        await _tell(conn, booking, changed, "suspense", REASON)
        await owe_items(conn, booking, keys)
    return len(changed)


async def answer(
    conn: Connection, booking: Booking, suspense_id: int, amount: int, actor: str
) -> bool:
    """A person says what a posting in suspense moved; False where there is no such posting.

    Its order may still come: then it moves nothing after all.
    """
    found = await _locked(conn, await postings.asked(conn, suspense_id))
    if not found:
        return False
    changes = [(replace(one, actor=actor), amount, Standing.ANSWERED) for one in found]
    await _revise(conn, booking, changes, "answered")
    return True


async def settle_counted(
    conn: Connection, booking: Booking, counted: Sequence[tuple[LevelKey, datetime]]
) -> bool:
    """A count settles all that is in suspense of its item: it holds that, whatever it was.

    Gives whether there was anything that targets counted: the caller, who holds all shelves of these
    items, owes them what they need.
    """
    moved = await edits.settle_counted(conn, booking, counted)
    settled = await suspense.counted(conn, counted, booking.now)
    if not settled:
        return moved
    skus = await reads.skus_of(conn, sorted({one.item_id for one in settled}))
    for one in settled:
        line = Line(
            "settled",
            skus.get(one.item_id, ""),
            one.channel_id,
            one.listing_id,
            reason="counted",
            detail={"suspense": one.id, "was": one.reason},
        )
        booking.journal.append(line)
    ours = [one.id for one in settled if one.reason == REASON]
    if ours:
        await postings.answered(conn, ours)
    return True


async def _locked(conn: Connection, found: Sequence[Posting]) -> list[Posting]:
    """Those of them that still wait, once nobody else posts for their channels."""
    locked = []
    for channel_id in sorted({one.channel_id for one in found}):
        await postings.alone(conn, channel_id)
        keys = [
            (one.cause, one.item_id, one.warehouse_id)
            for one in found
            if one.channel_id == channel_id
        ]
        now = await postings.find(conn, channel_id, sorted(keys))
        locked += [one for one in now.values() if one in found]
    return locked


async def _revise(
    conn: Connection,
    booking: Booking,
    changes: Sequence[tuple[Posting, int, Standing]],
    why: str,
) -> None:
    """Book what these postings move now, as revisions, and compute counts again that hold them."""
    keys = sorted({(one.item_id, one.warehouse_id) for one, _, _ in changes})
    rows = await shelf.lock(conn, [], keys)
    await counts.lock_levels(conn, keys)
    movements, changed = [], []
    since: dict[LevelKey, datetime] = {}
    for one, booked, standing in changes:
        delta = booked - one.booked
        revision = one.revision + bool(delta)
        changed.append(replace(one, booked=booked, standing=standing, revision=revision))
        if delta:
            movements.append(_movement(booking, one, delta, revision, why))
        elif one.post in LEAVING:
            key = one.item_id, one.warehouse_id
            since[key] = min(since.get(key, one.occurred_at), one.occurred_at)
    await postings.revise(conn, changed)
    if movements:
        await moving.book(conn, booking, movements)
        for movement in movements:
            booking.movements[movement.channel_id, movement.kind] += 1
    if since:
        await recount(conn, booking, since)
    done = [one.suspense_id for one, _, _ in changes if one.suspense_id is not None]
    if done:
        await suspense.resolve(conn, done, booking.now, why)
    await _tell(conn, booking, changed, "settled", why)
    if movements or since or done:
        await owe_deliveries(conn, booking, rows, await levels_now(conn, keys), {})


def _movement(booking: Booking, one: Posting, delta: int, revision: int, why: str) -> Movement:
    rules = booking.rules.channels[one.channel_id]
    return Movement(
        item_id=one.item_id,
        warehouse_id=one.warehouse_id,
        delta=delta,
        kind=Kind.PICK if one.post in LEAVING else Kind.RECEIPT,
        cause=f"{rules.name}:post:{one.cause}:r{revision}",
        channel_id=one.channel_id,
        event_id=None,
        actor=one.actor,
        note=f"{why.replace('_', ' ')}: {one.order_ref}",
        occurred_at=one.occurred_at,
    )


async def _tell(
    conn: Connection, booking: Booking, changed: Sequence[Posting], outcome: str, reason: str
) -> None:
    skus = await reads.skus_of(conn, sorted({one.item_id for one in changed}))
    for one in changed:
        detail: dict[str, object] = {
            "cause": one.cause,
            "order": one.order_ref,
            "delta": one.delta,
            "booked": one.booked,
        }
        sku = skus.get(one.item_id, "")
        booking.journal.append(Line(outcome, sku, one.channel_id, reason=reason, detail=detail))
