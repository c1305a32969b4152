"""Counts into the ledger: what was counted, set or taken back becomes movements, and is owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.db import bundles, ledger, levels, links, shelf, undoing
from syncd.db import counts as stock_counts
from syncd.db.counts import NewCount
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, Movement
from syncd.db.levels import LevelThen
from syncd.db.links import NewItem
from syncd.db.plan_rows import PlanRow
from syncd.db.pool import Connection
from syncd.fanout import moving
from syncd.fanout.booking import Booking
from syncd.fanout.joining import free_later_sales
from syncd.fanout.matching import link_waiting
from syncd.fanout.owing import LevelKey, levels_now, owe_deliveries
from syncd.fanout.recounting import take, waits_at
from syncd.fanout.unheard import settle_counted
from syncd.stock.counts import Counted
from syncd.stock.model import QUANTITY_LIMIT, Kind
from syncd.stock.plans import booked_by


@dataclass(frozen=True, slots=True)
class Count:
    """A count of one item in one warehouse, a number set over what was seen, or units to book.

    `item_id` None: its sku becomes an item. At most one for each item and warehouse at a time.
    """

    sku: str
    item_id: int | None
    warehouse_id: int
    quantity: int | None
    seen: int | None
    units: int | None
    counted_at: datetime
    kind: Kind
    cause: str
    actor: str
    note: str
    uncounts: bool = False
    """Its units take a first count back: then the item is not counted there any more."""
    of: Counted = Counted.AVAILABLE
    of_count: str | None = None
    """Its units take this count back, or let it hold again: as many as are booked of it by then."""

    @property
    def is_count(self) -> bool:
        """True where somebody counted: no number set over another, and no units."""
        return self.quantity is not None and self.seen is None and self.units is None


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a count: its item, the units booked, and whether they are its first count."""

    item_id: int
    delta: int
    first: bool = False


async def foreseen(
    conn: Connection, rows: Sequence[PlanRow], picked_within: timedelta
) -> dict[int, int]:
    """What rows of a plan would book now, or what they have booked, by position. Changes nothing."""
    asked = [
        (row.position, row.item_id, row.warehouse_id, row.counted_at)
        for row in rows
        if row.counted == Counted.ON_HAND and row.applied_at is None
        and row.item_id is not None and row.counted_at is not None and row.quantity_now is not None
    ]  # fmt: skip
    waits = await waits_at(conn, asked, picked_within)
    return {
        row.position: (row.delta or 0)
        if row.applied_at is not None
        else booked_by(
            row.quantity,
            row.seen,
            row.units,
            row.quantity_now,
            row.later,
            waits.get(row.position, 0),
        )
        for row in rows
    }


async def book_counts(conn: Connection, booking: Booking, counts: Sequence[Count]) -> list[Made]:
    """Book counts against the levels as they are under their locks; gives what came of each.

    One that cannot be booked (a bundle's, or the difference is out of bounds) is told, and books
    nothing.
    """
    ids = await _items(conn, booking, counts)
    refused = await _of_bundles(conn, counts, ids)
    if refused:
        for sku in sorted({c.sku for c in refused}):
            booking.skip(Line("skipped", sku, reason="bundle"))
        rest = iter(await book_counts(conn, booking, [c for c in counts if c not in refused]))
        return [Made(ids[c.sku], 0) if c in refused else next(rest) for c in counts]
    keys = sorted((ids[c.sku], c.warehouse_id) for c in counts)
    first = await _first_counts(conn, booking, counts, ids)
    shelves = await shelf.lock(conn, [], keys)
    turned = await _turn(conn, counts, ids)
    asked = [(ids[c.sku], c.warehouse_id, c.counted_at) for c in counts]
    then = {(t.item_id, t.warehouse_id): t for t in await levels.levels_then(conn, asked)}
    lying = [c for c in counts if _lies(c, (ids[c.sku], c.warehouse_id), first)]
    after = await _take(conn, booking, lying, ids) if lying else {}
    booked = await _booked(conn, lying, ids) if lying else {}
    made, movements = [], []
    for count in counts:
        key = ids[count.sku], count.warehouse_id
        if _lies(count, key, first):
            made.append(Made(key[0], booked[*key, count.cause]))
            continue
        delta = turned.get((*key, count.of_count or ""), _delta(booking, count, then.get(key)))
        made.append(Made(key[0], delta, key in first or count.uncounts))
        if delta or key in first:
            movements.append((_movement(count, key, delta, first), count.counted_at))
    after |= await _book(conn, booking, movements, first)
    booking.fell.clear()  # what a plan takes is no fact: nothing held yields to it
    await _remember(conn, booking, counts, made, first)
    counted = {(ids[c.sku], c.warehouse_id): c.counted_at for c in counts if c.is_count}
    if counted and await settle_counted(conn, booking, sorted(counted.items())):
        after = await levels_now(conn, counted.keys() | after.keys())
    taken_back = [(ids[c.sku], c.warehouse_id) for c in counts if c.uncounts]
    if taken_back:
        for key in await undoing.uncount(conn, sorted(taken_back)):
            after.pop(key, None)
    await owe_deliveries(conn, booking, shelves, after, {})
    return made


async def _of_bundles(
    conn: Connection, counts: Sequence[Count], ids: Mapping[str, int]
) -> list[Count]:
    """Counts of bundles, which have no stock of their own.

    What is taken back of a count from before it was a bundle is taken back of its old level.
    """
    made = await bundles.among(conn, sorted(set(ids.values())))
    return [c for c in counts if ids[c.sku] in made and c.units is None]


def _lies(count: Count, key: LevelKey, first: set[LevelKey]) -> bool:
    """True for a count of what lies there: what was sold and is still there has to be looked for.

    At an item's first count nothing is known of that: it counts as it is.
    """
    return count.is_count and count.of is Counted.ON_HAND and key not in first


async def _take(
    conn: Connection, booking: Booking, lying: Sequence[Count], ids: Mapping[str, int]
) -> dict[LevelKey, LevelNow]:
    return await take(conn, booking, [_kept(c, ids[c.sku], None) for c in lying])


async def _booked(
    conn: Connection, lying: Sequence[Count], ids: Mapping[str, int]
) -> dict[tuple[int, int, str], int]:
    keys = [(ids[c.sku], c.warehouse_id, c.cause) for c in lying]
    return await stock_counts.booked(conn, keys)


async def _turn(
    conn: Connection, counts: Sequence[Count], ids: Mapping[str, int]
) -> dict[tuple[int, int, str], int]:
    """Counts that are taken back hold no more before their units are booked, or these were inside them."""
    keys = [(ids[c.sku], c.warehouse_id, c.of_count) for c in counts if c.of_count is not None]
    return await stock_counts.turn(conn, keys) if keys else {}


def _kept(count: Count, item_id: int, booked: int | None) -> NewCount:
    assert count.quantity is not None
    return NewCount(
        item_id=item_id,
        warehouse_id=count.warehouse_id,
        counted_at=count.counted_at,
        quantity=count.quantity,
        counted=count.of,
        cause=count.cause,
        channel_id=None,
        actor=count.actor,
        note=count.note,
        booked=booked,
    )


async def _remember(
    conn: Connection,
    booking: Booking,
    counts: Sequence[Count],
    made: Sequence[Made],
    first: set[LevelKey],
) -> None:
    """What occurred before a count and is heard of later is inside it; first counts date themselves."""
    kept = [
        _kept(count, one.item_id, one.delta)
        for count, one in zip(counts, made, strict=True)
        if count.is_count
        and count.of is Counted.AVAILABLE
        and (one.item_id, count.warehouse_id) not in first
    ]
    if kept:
        await stock_counts.enter(conn, kept, booking.now)
        await stock_counts.mark_counted(conn, [(k.item_id, k.warehouse_id) for k in kept])


async def _items(conn: Connection, booking: Booking, counts: Sequence[Count]) -> dict[str, int]:
    """Item ids by sku; skus that are no item yet become one, and what waits for them is linked."""
    ids = {c.sku: c.item_id for c in counts if c.item_id is not None}
    new = sorted({c.sku for c in counts if c.item_id is None})
    if new:
        items = [NewItem(sku) for sku in new]
        await links.enter_items(conn, items, booking.now)
        ids |= await links.items_of(conn, new)
        await link_waiting(conn, booking, items)
    return ids


async def _first_counts(
    conn: Connection, booking: Booking, counts: Sequence[Count], ids: Mapping[str, int]
) -> set[LevelKey]:
    """The (item, warehouse) pairs that have no level yet: nobody else counts them meanwhile."""
    keys = {(ids[c.sku], c.warehouse_id): c for c in counts}
    there = await _counted(conn, list(keys))
    if len(there) == len(keys):
        return set()
    await ledger.counting(conn)
    first = keys.keys() - await _counted(conn, list(keys))
    by_time: dict[datetime, list[tuple[int, int, str]]] = {}
    for item_id, warehouse_id in sorted(first):
        count = keys[item_id, warehouse_id]
        by_time.setdefault(count.counted_at, []).append((item_id, warehouse_id, count.sku))
    for counted_at in sorted(by_time):
        await free_later_sales(conn, booking, by_time[counted_at], counted_at)
    return first


async def _counted(conn: Connection, keys: Sequence[LevelKey]) -> set[LevelKey]:
    return {(v.item_id, v.warehouse_id) for v in await ledger.levels(conn, keys)}


def _delta(booking: Booking, count: Count, then: LevelThen | None) -> int:
    level, later = (then.quantity, then.later) if then else (None, 0)
    delta = booked_by(count.quantity, count.seen, count.units, level, later)
    if max(abs(delta), abs((level or 0) + delta)) > QUANTITY_LIMIT:
        booking.skip(Line("skipped", count.sku, reason="out_of_bounds"))
        return 0
    return delta


def _movement(count: Count, key: LevelKey, delta: int, first: set[LevelKey]) -> Movement:
    return Movement(
        item_id=key[0],
        warehouse_id=key[1],
        delta=delta,
        kind=Kind.SEED if key in first else count.kind,
        cause=count.cause,
        channel_id=None,
        event_id=None,
        actor=count.actor,
        note=count.note,
        occurred_at=count.counted_at,
    )


async def _book(
    conn: Connection,
    booking: Booking,
    movements: Sequence[tuple[Movement, datetime]],
    first: set[LevelKey],
) -> dict[LevelKey, LevelNow]:
    """Book them; a first count tells when it was taken, since older orders are inside it."""
    batches: dict[datetime | None, list[Movement]] = {}
    for movement, counted_at in movements:
        is_first = (movement.item_id, movement.warehouse_id) in first
        batches.setdefault(counted_at if is_first else None, []).append(movement)
    after = {}
    for taken_at, batch in batches.items():
        for now in await moving.book(conn, booking, batch, taken_at):
            after[now.item_id, now.warehouse_id] = now
        for movement in batch:
            booking.movements[None, movement.kind] += 1
    return after
