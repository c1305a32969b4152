"""A plan's changes, row by row as they stand now: one telling for the command line and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.corridor.plans import target_of
from syncd.db import holds, plan_rows
from syncd.db.plans import Plan
from syncd.db.pool import Connection
from syncd.fanout.counting import foreseen
from syncd.stock.rulebook import Rulebook

PAGE = 5000


@dataclass(frozen=True, slots=True)
class CountChange:
    """A row of a plan of counts. `level` None: its item is not counted there yet."""

    position: int
    row: int
    sku: str
    warehouse: str
    level: int | None
    counted: int | None
    delta: int
    applied: bool


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A listing that a plan holds, and what it would show."""

    position: int
    sku: str
    shows: int | None
    would_show: int


@dataclass(frozen=True, slots=True)
class GapChange:
    """A listing that moved while its channel was off, and the level by either answer."""

    position: int
    sku: str
    warehouse: str
    showed: int | None
    shows: int | None
    level_if_booked: int | None
    level_if_discarded: int | None


Change = CountChange | HeldChange | GapChange


async def changes(
    conn: Connection, rulebook: Rulebook, plan: Plan, after: int, limit: int
) -> Sequence[Change]:
    """A page of what a plan changes, as things stand now."""
    if plan.kind == "re_enabled":
        return await gap_changes(conn, plan, after, limit)
    if await holds.holds(conn, plan.id):
        return await held_changes(conn, rulebook, plan, after, limit)
    return await count_changes(conn, rulebook, plan, after, limit)


async def gap_changes(conn: Connection, plan: Plan, after: int, limit: int) -> list[GapChange]:
    """A page of what moved on a channel while it was off."""
    found = []
    for r in await plan_rows.rows(conn, plan.id, after, limit):
        gap = (r.quantity or 0) - (r.seen or 0)
        booked = None if r.quantity_now is None else r.quantity_now + gap
        found.append(
            GapChange(r.position, r.sku, r.warehouse, r.seen, r.quantity, booked, r.quantity_now)
        )
    return found


async def count_changes(
    conn: Connection, rulebook: Rulebook, plan: Plan, after: int, limit: int
) -> list[CountChange]:
    """A page of the rows of a plan of counts, after this position."""
    rows = await plan_rows.rows(conn, plan.id, after, limit)
    would = await foreseen(conn, rows, rulebook.picked_within)
    return [
        CountChange(
            r.position,
            r.source_row,
            r.sku,
            r.warehouse,
            r.quantity_now,
            r.quantity,
            would[r.position],
            r.applied_at is not None,
        )
        for r in rows
    ]


async def held_changes(
    conn: Connection, rulebook: Rulebook, plan: Plan, after: int, limit: int
) -> Sequence[HeldChange]:
    """A page of the listings that a plan holds and that would show something else, after this one."""
    found: list[HeldChange] = []
    while len(found) < limit:
        page = await holds.held_page(conn, plan.id, after, PAGE)
        if not page:
            break
        after = page[-1].listing_id
        for one in page:
            wants = target_of(rulebook, one)
            if wants is not None and wants != one.shown:
                found.append(HeldChange(one.listing_id, one.sku, one.shown, wants))
    return found[:limit]
