"""Plans are made: piece by piece, each row computed again from the level of that moment."""

from __future__ import annotations

from datetime import datetime

from syncd.bulk import reenabling
from syncd.corridor import Core, owe_linked
from syncd.corridor.plans import end_hold
from syncd.db import plan_rows, plans, pushes
from syncd.db.journal import Line
from syncd.db.plan_rows import PlanRow
from syncd.db.plans import Plan
from syncd.errors import SyncdError
from syncd.fanout.counting import Count, book_counts
from syncd.stock.counts import Counted
from syncd.stock.model import Kind
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.bulk")

PIECE = 1000

KINDS = {"import": Kind.STOCKTAKE, "set": Kind.ADJUSTMENT, "undo": Kind.CORRECTION}


async def apply(core: Core, plan_id: int, *, discard: bool = False) -> dict[str, object]:
    """Make every row of a plan that a person said yes to; what a crash left is made now.

    `discard`: what moved on a channel while it was off is not booked. Raises SyncdError where there is
    no such plan, or nobody said yes.
    """
    async with core.db.transaction("plan_get") as conn:
        plan = await plans.get(conn, plan_id)
        after = await plan_rows.applied_through(conn, plan_id)
    if plan is None:
        raise SyncdError(f"there is no plan {plan_id}")
    if plan.state != "applying":
        raise SyncdError(f"plan {plan_id} is {plan.state}")
    if plan.kind == reenabling.KIND:
        return await reenabling.switch_on(core, plan, discard=discard)
    if plan.kind not in KINDS:
        released = await end_hold(core, plan_id, plan.kind, plan.decided_by, "applied")
        return {"plan": plan_id, "state": "applied", "listings": released}
    rows, units = 0, 0
    while True:
        done = await _piece(core, plan, after)
        if done is None:
            break
        after, made, moved = done
        rows, units = rows + made, units + moved
    async with core.booking("plan_close") as (conn, booking):
        await plans.close(conn, plan_id, booking.now, {"booked_rows": rows, "booked_units": units})
        detail: dict[str, object] = {"plan": plan_id, "kind": plan.kind, "title": plan.title}
        booking.journal.append(
            Line("plan", after=rows, reason="applied", detail=detail | {"by": plan.decided_by})
        )
    log.info("plan.applied", plan=plan_id, kind=plan.kind, rows=rows, units=units)
    return {"plan": plan_id, "state": "applied", "rows": rows, "units": units}


async def _piece(core: Core, plan: Plan, after: int) -> tuple[int, int, int] | None:
    """Make the next rows: (last position, rows that booked something, units); None: none is left."""
    async with core.booking("plan_apply") as (conn, booking):
        page = await plan_rows.rows(conn, plan.id, after, PIECE)
        if not page:
            return None
        rows = [row for row in page if row.applied_at is None]
        counts = [_count(plan, row, booking.now) for row in rows]
        made = await book_counts(conn, booking, counts) if counts else []
        booked = [
            (row.position, one.item_id, one.delta, one.first)
            for row, one in zip(rows, made, strict=True)
        ]
        await plan_rows.booked(conn, plan.id, booked, booking.now)
        turned = [
            (row.listing_id, row.began_at, one.delta)
            for row, one in zip(rows, made, strict=True)
            if row.listing_id is not None and row.began_at is not None
        ]
        if turned:
            await pushes.turn(conn, turned)
        await plans.count_done(conn, plan.id, len(rows))
    await owe_linked(core, set(booking.linked))
    moved = [one.delta for one in made if one.delta]
    return page[-1].position, len(moved), sum(moved)


def _count(plan: Plan, row: PlanRow, now: datetime) -> Count:
    return Count(
        row.sku,
        row.item_id,
        row.warehouse_id,
        row.quantity,
        row.seen,
        row.units,
        row.counted_at or now,
        KINDS[plan.kind],
        f"plan:{plan.id}:{row.position}",
        plan.actor,
        plan.title,
        uncounts=row.units is not None and row.first and row.quantity_now is not None,
        of=Counted(row.counted),
        of_count=row.of_count,
    )
