"""Holds of orders: what unpaid orders promise lowers the other listings until it is booked or given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from syncd.db import cutovers, order_holds, standing
from syncd.db.cutovers import Promised
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, LineRow, Movement
from syncd.db.order_holds import Released
from syncd.db.pool import Connection
from syncd.fanout import moving
from syncd.fanout.booking import Booking
from syncd.fanout.owing import LevelKey, hold_items, levels_now, owe_items
from syncd.stock.model import Kind, LineSeen, OrderSeen, Truth
from syncd.stock.orders import Effect, cause, held, whole
from syncd.stock.rulebook import INTERNAL, ChannelRules


def promised(
    row: LineRow,
    seen: OrderSeen,
    line: LineSeen,
    done: Effect,
    rules: ChannelRules,
    now: datetime,
) -> LineRow:
    """The row with what its line promises now; nothing where it is no item's, or levels are the truth."""
    units = 0
    if row.item_id is not None and row.warehouse_id is not None and rules.truth is Truth.ORDERS:
        owes = whole(line, done.state, rules.restock)
        units = held(seen, line, owes, done.state.booked, now)
    until = seen.payable_until if units else None
    based, came_back = done.state.based, done.state.came_back
    return replace(row, held=units, held_until=until, based=based, came_back=came_back)


def held_more(row: LineRow, before: LineRow | None) -> int:
    """Units by which a line promises more than before."""
    return row.held - (before.held if before else 0)


async def keep(conn: Connection, pairs: Sequence[tuple[LineRow, LineRow | None]]) -> None:
    """Store what lines promise, where that is another than before; their rows are stored already."""
    changed = {
        (row.channel_id, row.order_id, row.line_id, row.location, row.part): row
        for row, before in pairs
        if _terms(row) != (_terms(before) if before else (0, None, None, None))
    }
    if changed:
        await order_holds.keep(conn, [changed[key] for key in sorted(changed)])


def _terms(row: LineRow) -> tuple[int, datetime | None, int | None, int | None]:
    return row.held, row.held_until, row.based, row.came_back


async def moved(
    conn: Connection, booking: Booking, more: Counter[LevelKey]
) -> dict[LevelKey, LevelNow]:
    """The levels of items of which more or less is promised: their targets moved without a movement.

    A held listing yields to a promise as to a sale, and once to both.
    """
    for key, units in more.items():
        booking.fell[key] = max(booking.fell[key] + units, 0)
    keys = sorted(more)
    await standing.date(conn, keys, booking.now)
    return await levels_now(conn, keys)


async def expire(conn: Connection, booking: Booking, limit: int) -> int:
    """Give up promises whose time is over; gives how many orders had one.

    A payment that comes all the same is booked as any.
    """
    ours = booking.rules.named(INTERNAL)
    unasked = [ours.id] if ours is not None else []
    orders = await order_holds.lapsed(conn, booking.now, unasked, limit)
    if orders:
        keys = await order_holds.held_by(conn, orders)
        await hold_items(conn, keys)
        booking.journal += map(_told, await order_holds.release(conn, orders, booking.now))
        await owe_items(conn, booking, keys)
    return len(orders)


async def take_promised(
    conn: Connection, booking: Booking, rules: ChannelRules, lines: Sequence[Promised]
) -> None:
    """Book what unpaid lines took off shelves that are counted by another rule from now on.

    The shelves of all listings of their items are locked.
    """
    taken = [line for line in lines if line.units]
    if not taken:
        return
    await cutovers.took(conn, rules.id, taken)
    movements = [
        Movement(
            item_id=line.item_id,
            warehouse_id=line.warehouse_id,
            delta=-line.units,
            kind=Kind.SALE,
            cause=cause(rules.name, line.order_id, line.line_id, line.location, line.revision + 1),
            channel_id=rules.id,
            event_id=None,
            actor=rules.name,
            note=line.number,
            occurred_at=line.placed_at,
        )
        for line in taken
    ]
    await moving.book(conn, booking, movements)
    booking.movements[rules.id, Kind.SALE] += len(movements)
    booking.fell.clear()  # targets had fallen by it before


def _told(one: Released) -> Line:
    detail: dict[str, object] = {"order": one.number or one.order_id, "units": one.units}
    why = "nobody can pay it any more"
    return Line("released", one.sku, one.channel_id, one.listing_id, reason=why, detail=detail)
