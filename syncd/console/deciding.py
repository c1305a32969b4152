"""What waits for a person, and the person's word: plans, suspense, and taking back what was made."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

import msgspec

from syncd.console.access import Role
from syncd.console.paging import Paged, cut, key_of
from syncd.console.problems import Problem, missing
from syncd.console.routes import Asked, Done, Nothing, Told, get, post
from syncd.console.wishes import WishShown, wish
from syncd.corridor import showing
from syncd.db import holds, plans, suspense
from syncd.db.plans import Plan
from syncd.fanout import NotAsked, answer_doubt

HIGHEST = 2**62


class PlansAsked(Paged, kw_only=True):
    """Plans, newest first. `state`: those that wait for somebody, or all."""

    state: Literal["waiting", "all"] = "waiting"


class PlanShown(msgspec.Struct):
    """A plan. `rows`: counts or listings it is about; `summary`: what it would change, by channel."""

    id: str
    kind: str
    state: str
    title: str
    actor: str
    channel: str | None
    undoes: str | None
    created_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    done_at: datetime | None
    rows: int
    done: int
    summary: dict[str, Any]


class Plans(msgspec.Struct):
    plans: list[PlanShown]
    next: str | None


class PlanWhole(msgspec.Struct):
    """A plan with a page of what it changes, computed from the levels of now."""

    plan: PlanShown
    changes: list[dict[str, Any]]
    next: str | None


def _shown(one: Plan) -> PlanShown:
    return PlanShown(
        str(one.id),
        one.kind,
        one.state,
        one.title,
        one.actor,
        one.channel,
        None if one.undoes is None else str(one.undoes),
        one.created_at,
        one.expires_at,
        one.decided_at,
        one.decided_by,
        one.done_at,
        one.rows,
        one.done,
        one.said,
    )


async def list_plans(asked: Asked[PlansAsked]) -> Plans:
    query = asked.query
    before = key_of(query, int)
    rows = await plans.newest(
        asked.conn,
        waiting=query.state == "waiting",
        before=HIGHEST if before is None else before,
        limit=query.limit + 1,
    )
    page, after = cut(rows, query, lambda row: row.id)
    return Plans([_shown(row) for row in page], after)


class ChangesAsked(Paged, kw_only=True):
    """What a plan changes, row by row."""


async def show_plan(asked: Asked[ChangesAsked]) -> PlanWhole:
    found = await _plan(asked)
    query = asked.query
    after = key_of(query, int) or 0
    rows = await showing.changes(asked.conn, asked.core.rulebook, found, after, query.limit + 1)
    page, following = cut(rows, query, lambda row: row.position)
    shown = [{k: v for k, v in asdict(row).items() if k != "position"} for row in page]
    return PlanWhole(_shown(found), shown, following)


async def _plan(asked: Asked[Any] | Told[Any]) -> Plan:
    number = asked.path["id"]
    found = await plans.get(asked.conn, int(number)) if len(number) < 19 else None
    if found is None or found.state == "loading":
        raise missing(f"plan {number}")
    return found


class PlanYes(msgspec.Struct, forbid_unknown_fields=True):
    """`discard`: of a channel that is switched on again, what moved there meanwhile is not booked."""

    discard: bool = False


async def apply_plan(told: Told[PlanYes]) -> Done:
    found = await _plan(told)
    if told.body.discard and found.kind != "re_enabled":
        raise Problem(422, "invalid", f"a plan of the kind {found.kind} discards nothing")
    held = await holds.holds(told.conn, found.id)
    before = ("open", "rejected") if held else ("open",)
    now = told.booking.now
    if not await plans.decide(told.conn, found.id, "applying", now, told.actor, before=before):
        raise _decided(found)
    return await wish(told, "apply", plan_id=found.id, args={"discard": told.body.discard})


async def reject_plan(told: Told[Nothing]) -> PlanShown:
    found = await _plan(told)
    if not await plans.decide(told.conn, found.id, "rejected", told.booking.now, told.actor):
        raise _decided(found)
    again = await plans.get(told.conn, found.id)
    assert again is not None
    return _shown(again)


def _decided(found: Plan) -> Problem:
    return Problem(409, "decided", f"plan {found.id} is {found.state}")


class UndoAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Where something moved since, the undo waits as a plan, unless `force` (that stays booked) or
    `skip_moved` (those rows are left out).
    """

    force: bool = False
    skip_moved: bool = False


async def undo_plan(told: Told[UndoAsked]) -> Done:
    body = told.body
    if body.force and body.skip_moved:
        raise Problem(422, "invalid", "force or skip_moved")
    found = await _plan(told)
    args = {"force": body.force, "skip_moved": body.skip_moved}
    return await wish(told, "undo", plan_id=found.id, args=args)


class SuspenseAccepted(msgspec.Struct, forbid_unknown_fields=True):
    """`candidates`: those that you saw; where others are asked now, the answer is refused."""

    candidates: list[int] | None = None


class SuspenseSet(msgspec.Struct, forbid_unknown_fields=True):
    """Book `amount` units as what is behind it; 0: nothing. `candidates`: as for an acceptance."""

    amount: int
    candidates: list[int] | None = None


class SuspenseAnswered(msgspec.Struct):
    id: str
    amount: int


async def accept_suspense(told: Told[SuspenseAccepted]) -> SuspenseAnswered:
    return await _answer(told, None)


async def set_suspense(told: Told[SuspenseSet]) -> SuspenseAnswered:
    return await _answer(told, told.body.amount)


async def _answer(told: Told[Any], amount: int | None) -> SuspenseAnswered:
    number = told.path["id"]
    found = await suspense.open_doubts(told.conn, [int(number)]) if len(number) < 19 else []
    if not found:
        raise missing(f"suspense {number}")
    units = found[0].proposal if amount is None else amount
    given = told.body.candidates
    # what was proposed belongs to what was asked, whoever saw it
    seen = tuple(given) if given is not None else tuple(found[0].candidates)
    try:
        await answer_doubt(told.conn, told.booking, found[0].id, units, told.actor, seen)
    except NotAsked as error:
        raise Problem(409, "asked-anew", str(error)) from error
    return SuspenseAnswered(number, units)


ROUTES = (
    get("/plans", "Changes that wait for a person", list_plans, Plans, query=PlansAsked),
    get(
        r"/plans/{id:\d+}",
        "A plan with what it changes",
        show_plan,
        PlanWhole,
        query=ChangesAsked,
    ),
    post(
        r"/plans/{id:\d+}/apply",
        "Say yes to a plan",
        apply_plan,
        WishShown,
        body=PlanYes,
        status=202,
    ),
    post(r"/plans/{id:\d+}/reject", "Say no to a plan", reject_plan, PlanShown),
    post(
        r"/plans/{id:\d+}/undo",
        "Book back what a plan booked",
        undo_plan,
        WishShown,
        body=UndoAsked,
        role=Role.ADMIN,
        status=202,
    ),
    post(
        r"/suspense/{id:\d+}/accept",
        "Book what is proposed",
        accept_suspense,
        SuspenseAnswered,
        body=SuspenseAccepted,
    ),
    post(
        r"/suspense/{id:\d+}/set",
        "Book another amount",
        set_suspense,
        SuspenseAnswered,
        body=SuspenseSet,
    ),
)
