"""Counts into the ledger: what somebody counted, against the level as of its time (`stock/counts.py`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from syncd.db import counts, ledger
from syncd.db.counts import CountRow, NewCount
from syncd.db.ledger import LevelNow, Movement
from syncd.db.pool import Connection
from syncd.fanout import accounts
from syncd.fanout.booking import Booking
from syncd.stock.counts import Counted, CountKnown, recounted
from syncd.stock.model import Kind
from syncd.stock.picks import GoneOut, waiting

LevelKey = tuple[int, int]
"""(item, warehouse)."""


async def take(
    conn: Connection, booking: Booking, made: Sequence[NewCount]
) -> dict[LevelKey, LevelNow]:
    """Book counts, each cause once; gives the levels they made.

    The shelves of their items are locked. An item that has no level gets its first one: whoever calls
    then took first counts alone (`ledger.counting`).
    """
    keys = sorted({(one.item_id, one.warehouse_id) for one in made})
    await counts.lock_levels(conn, keys)
    await counts.enter(conn, made, booking.now)
    since: dict[LevelKey, datetime] = {}
    for one in made:
        key = one.item_id, one.warehouse_id
        since[key] = min(since.get(key, one.counted_at), one.counted_at)
    levels = await recount(conn, booking, since)
    await counts.mark_counted(conn, keys)
    found = await accounts.follow(conn, booking, [], list(levels.values()))
    return {(now.item_id, now.warehouse_id): now for now in found}


async def recount(
    conn: Connection, booking: Booking, since: Mapping[LevelKey, datetime]
) -> dict[LevelKey, LevelNow]:
    """Compute the counts of locked levels from a moment on again; book what differs as revisions."""
    rows = await counts.since(conn, sorted(since.items()))
    waits = await _waiting(conn, booking, rows)
    movements: list[Movement] = []
    changed: list[tuple[int, int, int, int]] = []
    for _, group in groupby(rows, lambda row: (row.item_id, row.warehouse_id)):
        ours = list(group)
        effects = recounted([_known(row, waits) for row in ours])
        for row, effect in zip(ours, effects, strict=True):
            delta = effect - row.booked
            if delta or not row.revision:
                movements.append(_movement(row, delta))
                changed.append((row.id, effect, row.revision + 1, waits.get(row.id, 0)))
            elif waits.get(row.id, 0) != row.waiting:
                changed.append((row.id, effect, row.revision, waits.get(row.id, 0)))
    if changed:
        await counts.rebook(conn, changed)
    if movements:
        await _book(
            conn, booking, movements, {(r.item_id, r.warehouse_id) for r in rows if r.first}
        )
        for one in movements:
            booking.movements[one.channel_id, one.kind] += 1
    found = await ledger.levels(conn, sorted(since))
    return {(now.item_id, now.warehouse_id): now for now in found}


async def _book(
    conn: Connection, booking: Booking, movements: Sequence[Movement], new: set[LevelKey]
) -> None:
    """A level that is new was first counted when its oldest count was made: each has its own time."""
    later: list[Movement] = []
    first: dict[datetime, list[Movement]] = {}
    for one in movements:
        key = one.item_id, one.warehouse_id
        if key in new:
            new.discard(key)  # counts come oldest first
            first.setdefault(one.occurred_at, []).append(one)
        else:
            later.append(one)
    for counted_at, ours in first.items():
        await ledger.book(conn, ours, booking.now, counted_at)
    if later:
        await ledger.book(conn, later, booking.now)


async def _waiting(conn: Connection, booking: Booking, rows: Sequence[CountRow]) -> dict[int, int]:
    """Units sold and neither picked nor shipped, by count: only who counts what lies there asks."""
    asked = [
        (row.id, row.item_id, row.warehouse_id, row.counted_at)
        for row in rows
        if row.counted == Counted.ON_HAND
    ]
    return await waits_at(conn, asked, booking.rules.picked_within)


async def waits_at(
    conn: Connection, asked: Sequence[tuple[int, int, int, datetime]], picked_within: timedelta
) -> dict[int, int]:
    """Units sold and neither picked nor shipped at these counts (any number, item, warehouse, when)."""
    found: defaultdict[int, int] = defaultdict(int)
    if asked:
        for sold in await counts.unpicked(conn, asked, picked_within):
            found[sold.count_id] += waiting(sold.units, GoneOut(sold.picked, sold.shipped))
    return dict(found)


def _known(row: CountRow, waits: Mapping[int, int]) -> CountKnown:
    return CountKnown(
        row.counted_at,
        row.quantity,
        Counted(row.counted),
        waits.get(row.id, 0),
        row.level_then,
        row.booked,
    )


def _movement(row: CountRow, delta: int) -> Movement:
    return Movement(
        item_id=row.item_id,
        warehouse_id=row.warehouse_id,
        delta=delta,
        kind=Kind.STOCKTAKE,
        cause=f"{row.cause}:r{row.revision + 1}",
        channel_id=row.channel_id,
        event_id=None,
        actor=row.actor,
        note=row.note or f"counted {row.quantity} {row.counted.replace('_', ' ')}",
        occurred_at=row.counted_at,
    )
