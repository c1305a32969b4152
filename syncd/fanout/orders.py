"""Orders into the ledger: the newest state of each order against what is booked of its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from syncd.db import ledger, shelf
from syncd.db.catalog import LineFound
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, LineRow, Movement
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf, ShelfChange
from syncd.fanout import edits, moving, promising
from syncd.fanout.booking import Booking, Heard
from syncd.fanout.lines import Resolved, resolved, skip_reason
from syncd.fanout.owing import levels_now, owe_deliveries
from syncd.fanout.states import Order, accepted, newest_states
from syncd.stock.decide import ShelfNow, predicted
from syncd.stock.edits import step_of
from syncd.stock.model import LineSeen, Truth
from syncd.stock.orders import (
    LineKnown,
    before_cut_over,
    cause,
    effect,
    inside_first_count,
    kind_of,
)
from syncd.stock.stretches import OrderStep

FRESH_ORDER = timedelta(hours=1)
"""An order first heard of longer than this after it was placed explains no level that moves now."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an accepted order with what it does."""

    order: Order
    line: LineSeen
    found: LineFound
    row: LineRow
    delta: int
    taken_more: int
    before: LineRow | None
    moved: OrderStep | None = None
    """When it moved its own shelf: what explains readings there, where they are followed."""

    @property
    def held_more(self) -> int:
        return promising.held_more(self.row, self.before)


async def take_orders(conn: Connection, booking: Booking, heard: Sequence[Heard]) -> list[Step]:
    """Store the newest state of every order heard; gives what its lines do to shelves and levels.

    Older and repeated states do nothing. No shelf is locked yet: `listings_of` and `levels_of` name
    those that must be, all at once, before `book_steps`.
    """
    orders = await accepted(conn, booking, newest_states(booking, heard))
    if not orders:
        return []
    steps = await _steps(conn, booking, orders)
    await ledger.keep_lines(conn, _changed_rows(steps))
    await promising.keep(conn, [(s.row, s.before) for s in steps])
    return [s for s in steps if s.delta or s.taken_more or s.held_more or s.moved]


def listings_of(steps: Sequence[Step]) -> list[int]:
    """The listings whose own shelves these steps moved."""
    return sorted({s.found.listing_id for s in steps if s.found.listing_id is not None})


def levels_of(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """The (item, warehouse) pairs whose levels these steps move, or may: they explain edits too."""
    return sorted(
        {
            (s.found.item_id, s.found.warehouse_id)
            for s in steps
            if (
                s.delta
                or s.held_more
                or s.moved
                or (s.taken_more and s.order.rules.truth is Truth.ORDERS)
            )
            and s.found.item_id is not None
            and s.found.warehouse_id is not None
        }
    )


async def book_steps(
    conn: Connection, booking: Booking, steps: Sequence[Step], rows: Sequence[Shelf]
) -> None:
    """Move levels and shelves by the steps of orders; `rows` are the shelves locked for them."""
    moving = [s for s in steps if s.order.rules.truth is Truth.ORDERS or s.row.part]
    if moving:
        await _move_levels(conn, booking, moving, rows)
    await _explain_levels(conn, booking, steps)


async def _steps(
    conn: Connection, booking: Booking, orders: Sequence[tuple[Order, bool]]
) -> list[Step]:
    """Every line of the orders with its effect: lines that vanished hold nothing now."""
    lines = await resolved(conn, orders)
    if any((x.part or x.order.rules.truth is Truth.ORDERS) and x.uncounted for x in lines):
        # what is booked without a level must be seen by the first count, or see it
        await ledger.uncounted(conn)
        lines = await resolved(conn, orders)
    return [_step(booking, x) for x in lines]


def _step(booking: Booking, resolved: Resolved) -> Step:
    """What one line does. The line of a bundle moves its shelf, and its parts move levels.

    So do they where levels are the truth: no level there tells what a bundle takes of its components.
    """
    order, line, found, before = resolved.order, resolved.line, resolved.found, resolved.before
    rules, seen = order.rules, order.seen
    known = _known(before) if before else None
    skip = skip_reason(found)
    # a line that joins an order known before left the shelf after the count, however old the order
    inside = (
        resolved.fresh
        and found.seeded_at is not None
        and inside_first_count(seen, found.seeded_at, rules.clock_margin_s)
    )
    if not resolved.part:
        # no reading of a bundle's shelf ever held what it takes of its components
        inside |= before_cut_over(seen, rules.cut_at, rules.clock_margin_s, fresh=resolved.fresh)
    by_level = rules.truth is Truth.LEVELS and not (resolved.part or found.bundle)
    done = effect(
        line,
        known,
        paid=seen.paid,
        commit_on=rules.commit_on,
        restock=rules.restock,
        baseline=bool(skip) or inside or by_level,
    )
    if skip and done.taken_more and (resolved.part or rules.truth is Truth.ORDERS):
        detail: dict[str, object] = {"order": seen.number or seen.order, "units": done.taken_more}
        if resolved.part:
            detail["component"] = resolved.part
        booking.skip(
            Line("skipped", line.sku, rules.id, found.listing_id, reason=skip, detail=detail)
        )
    row = LineRow(
        rules.id,
        seen.order,
        line.line,
        line.location,
        found.listing_id,
        found.item_id,
        found.warehouse_id,
        done.state.taken,
        done.state.booked,
        done.state.revision,
        resolved.part,
        resolved.units,
    )
    delta = 0 if found.bundle else done.delta
    if not found.bundle:
        row = promising.promised(row, seen, line, done, rules, booking.now)
    if inside or resolved.part:
        return Step(order, line, found, row, delta, 0, before)
    follows = rules.follows_edits or (rules.blind and done.taken_more)
    moved = step_of(seen, line, known.taken if known else 0, order.known_at) if follows else None
    return Step(order, line, found, row, delta, done.taken_more, before, moved)


def _known(row: LineRow) -> LineKnown:
    return LineKnown(row.taken, row.booked, row.revision, row.based, row.came_back)


def _changed_rows(steps: Sequence[Step]) -> list[LineRow]:
    """One row per line: an order that names a line twice keeps the last."""
    unique = {
        (r.channel_id, r.order_id, r.line_id, r.location, r.part): r for s in steps if (r := s.row)
    }
    return [unique[key] for key in sorted(unique)]


async def _explain_levels(conn: Connection, booking: Booking, steps: Sequence[Step]) -> None:
    """Where levels are the truth an order is a hint to look, and explains what the look books."""
    notes = []
    looks: dict[int, datetime | None] = {}
    for step in steps:
        listing, seen = step.found.listing_id, step.order.seen
        if step.order.rules.truth is not Truth.LEVELS or listing is None or not step.taken_more:
            continue
        kind = kind_of(-step.taken_more, seen.kind)
        looks.setdefault(listing, step.order.heard.received_at)
        booking.lanes.add(step.order.rules.id)
        if seen.created is None or seen.at - seen.created < FRESH_ORDER or step.row.revision:
            notes.append((listing, seen.order, seen.number, kind, -step.taken_more, seen.at))
    if notes:
        await ledger.annotate(conn, notes)
    if looks:
        await shelf.wish(conn, list(looks), "order", booking.now, received_at=list(looks.values()))


async def _move_levels(
    conn: Connection, booking: Booking, steps: Sequence[Step], rows: Sequence[Shelf]
) -> None:
    movements = [_movement(step) for step in steps if step.delta]
    shelves, certain = _predict(steps, rows)
    changed = [row for row in shelves if row.listing_id in certain]
    if changed:
        await shelf.change(
            conn, [ShelfChange(r.listing_id, r.shown, r.shown_at, r.lag_asks) for r in changed]
        )
    explaining = [(s.found.listing_id, s.moved) for s in steps if s.moved and s.found.listing_id]
    inferred = await edits.explain(conn, booking, rows, explaining)
    movements += inferred.movements
    # a shelf that moved without the ledger (restock = "never") does not show its target either
    moved = {(m.item_id, m.warehouse_id) for m in movements}
    levels = await _levels_besides(conn, shelves, certain, moved, inferred.moved)
    promises = Counter[tuple[int, int]]()
    for step in steps:
        if step.held_more:
            promises[step.row.item_id or 0, step.row.warehouse_id or 0] += step.held_more
    if movements:
        for now in await moving.book(conn, booking, movements):
            levels[now.item_id, now.warehouse_id] = now
            _count_oversold(booking, steps, now.item_id, now.quantity, now.delta)
        for movement in movements:
            booking.movements[movement.channel_id, movement.kind] += 1
    if promises:
        levels |= await promising.moved(conn, booking, promises)
    forced = await _look_where_unsure(conn, booking, shelves, certain)
    await owe_deliveries(conn, booking, shelves, levels, _received(steps), forced)


async def _levels_besides(
    conn: Connection,
    shelves: Sequence[Shelf],
    touched: Mapping[int, bool],
    moved: set[tuple[int, int]],
    doubted: set[tuple[int, int]],
) -> dict[tuple[int, int], LevelNow]:
    """The levels of listings that a step touched, or threw doubt on, and no movement moves."""
    keys = {
        (row.item_id, row.warehouse_id)
        for row in shelves
        if row.listing_id in touched and row.item_id is not None and row.warehouse_id is not None
    }
    keys = (keys | doubted) - moved
    if not keys:
        return {}
    return await levels_now(conn, keys)


def _movement(step: Step) -> Movement:
    seen, rules = step.order.seen, step.order.rules
    assert step.found.item_id is not None
    assert step.found.warehouse_id is not None
    return Movement(
        item_id=step.found.item_id,
        warehouse_id=step.found.warehouse_id,
        delta=step.delta,
        kind=kind_of(step.delta, seen.kind),
        cause=cause(rules.name, seen.order, step.line.line, step.line.location, step.row.revision),
        channel_id=rules.id,
        event_id=step.order.heard.event_id,
        actor=rules.name,
        note=f"{seen.number} ({step.line.sku})" if step.row.part else seen.number,
        occurred_at=seen.at,
    )


def _predict(steps: Sequence[Step], rows: Sequence[Shelf]) -> tuple[list[Shelf], dict[int, bool]]:
    """Shelves after the orders' steps; and, for each that a step touched, whether it is certain."""
    shelves = {row.listing_id: row for row in rows}
    certain: dict[int, bool] = {}
    for step in steps:
        rules, listing, seen = step.order.rules, step.found.listing_id, step.order.seen
        row = shelves.get(listing) if listing is not None else None
        if row is None or rules.truth is not Truth.ORDERS or not rules.sells_down:
            continue
        if not (step.delta or step.taken_more):
            continue
        now = ShelfNow(row.shown, row.shown_at, row.turn, row.attempt_open)
        span = seen.span or (seen.at, seen.at)
        shown, sure = predicted(
            now, step.taken_more, span, rules.clock_margin_s, guarded=rules.guarded
        )
        elsewhere = _siblings(step, row, rows)
        if elsewhere:
            # nobody said from which of these shelves the units went: all are read
            certain.update(dict.fromkeys((row.listing_id, *elsewhere), False))
            continue
        shelves[row.listing_id] = replace(row, shown=shown)
        certain[row.listing_id] = certain.get(row.listing_id, True) and sure
    return list(shelves.values()), certain


def _siblings(step: Step, row: Shelf, rows: Sequence[Shelf]) -> list[int]:
    """Other locations of the channel that a line without a location may have been sent from."""
    if step.line.location or not row.location:
        return []
    return [
        other.listing_id
        for other in rows
        if other.channel_id == row.channel_id
        and other.item_id == row.item_id
        and other.listing_id != row.listing_id
        and not other.gone
    ]


async def _look_where_unsure(
    conn: Connection, booking: Booking, shelves: Sequence[Shelf], certain: dict[int, bool]
) -> frozenset[int]:
    """A step near a reading or write may be on either side of it: look, or where a look is dear write."""
    forced, looks = [], []
    for row in shelves:
        if certain.get(row.listing_id, True):
            continue  # as is every shelf of a channel that was removed
        rules = booking.rules.channels[row.channel_id]
        if row.attempt_open and not rules.guarded:
            continue
        if rules.writes_unread:
            forced.append(row.listing_id)
        else:
            looks.append(row.listing_id)
            booking.lanes.add(row.channel_id)
    if looks:
        await shelf.wish(conn, looks, "unsure", booking.now)
    return frozenset(forced)


def _received(steps: Sequence[Step]) -> dict[tuple[int, int], datetime | None]:
    """When the oldest webhook behind each level's change was received."""
    found: dict[tuple[int, int], datetime | None] = {}
    for step in steps:
        at = step.order.heard.received_at
        if step.found.item_id is None or step.found.warehouse_id is None or at is None:
            continue
        key = step.found.item_id, step.found.warehouse_id
        before = found.get(key)
        found[key] = at if before is None else min(before, at)
    return found


def _count_oversold(
    booking: Booking, steps: Sequence[Step], item_id: int, quantity: int, delta: int
) -> None:
    below = min(quantity, 0) - min(quantity - delta, 0)
    if below < 0:
        channel = next(s.order.rules.id for s in steps if s.found.item_id == item_id and s.delta)
        booking.oversold[channel] -= below
