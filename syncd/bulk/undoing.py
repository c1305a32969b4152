"""Undo: what a plan booked is booked back, unless something moved since and nobody said that it may."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from syncd.bulk.loading import CHUNK, Loaded, Progress, Wanted, weigh
from syncd.db import plans, undoing
from syncd.db.plans import Plan
from syncd.db.pool import Database
from syncd.db.undoing import MovedSince
from syncd.errors import SyncdError
from syncd.stock.rulebook import Rulebook

UNDOABLE = ("import", "set", "push", "undo")
TOLD = 1000
"""So many rows that moved since are kept word for word; the rest is counted."""


@dataclass(slots=True)
class Undo:
    """The plan that books a plan back, and what moved since that was made."""

    loaded: Loaded
    moved: list[MovedSince] = field(default_factory=list)
    moved_rows: int = 0


async def undo(
    db: Database,
    rulebook: Rulebook,
    plan_id: int,
    wanted: Wanted,
    now: datetime,
    *,
    skip_moved: bool = False,
    progress: Progress = lambda _what, _rows: None,
) -> Undo:
    """Make an open plan that books back what this one booked, as movements of its own.

    What moved since stays: it is told, and left out where that is asked for. Raises SyncdError
    where there is nothing to undo.
    """
    done = Loaded()
    found = Undo(done)
    async with db.transaction("undo_enter") as conn:
        plan = await plans.get(conn, plan_id)
        by = await undoing.undone_by(conn, plan_id)
        _check(plan_id, plan, by)
        assert plan is not None
        last = await undoing.last(conn, plan_id)
        title = f"undo of {plan.kind} {plan_id}: {plan.title}"[:200]
        expires_at = now + wanted.expires_in if wanted.expires_in else None
        into = await plans.enter(
            conn, "undo", title, wanted.actor, now, undoes=plan_id, expires_at=expires_at
        )
    try:
        for after in range(0, last, CHUNK):
            async with db.transaction("undo_rows") as conn:
                moved = await undoing.moved_since(conn, plan_id, after, after + CHUNK)
                done.rows += await undoing.turn_round(
                    conn, plan_id, into, after, after + CHUNK, skip_moved=skip_moved
                )
            found.moved_rows += len(moved)
            found.moved += moved[: max(0, TOLD - len(found.moved))]
            progress("turned round", done.rows)
        if done.rows:
            await weigh(db, rulebook, into, wanted.radius, done, progress)
            summary = done.summary() | {"moved_since": found.moved_rows}
            async with db.transaction("undo_open") as conn:
                await plans.open_plan(conn, into, done.rows, summary)
            done.plan_id = into
    finally:
        if done.plan_id is None:
            async with db.transaction("undo_forget") as conn:
                await plans.forget(conn, into)
    return found


def _check(plan_id: int, plan: Plan | None, by: int | None) -> None:
    if plan is None:
        raise SyncdError(f"there is no plan {plan_id}")
    if plan.kind not in UNDOABLE:
        raise SyncdError(f"plan {plan_id} is a {plan.kind}: it booked nothing to undo")
    if plan.state != "applied":
        raise SyncdError(f"plan {plan_id} is {plan.state}: nothing to undo")
    if by is not None:
        raise SyncdError(f"plan {plan_id} is undone by plan {by}")
