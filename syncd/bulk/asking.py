"""Wishes that carry their own words: files of counts, numbers that are set, undos, a channel switched on."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from syncd.bulk import reenabling, undoing
from syncd.bulk.applying import apply
from syncd.bulk.loading import Loaded, Wanted, load
from syncd.corridor import Core
from syncd.db import bookmark, plans
from syncd.db.bookmark import Wish
from syncd.errors import SyncdError

TOLD = 100
"""So many complaints, and so many rows that moved since, stand in an answer."""


async def load_counts(core: Core, wish: Wish) -> dict[str, object]:
    """Read rows into a plan, and make it where that was asked for and no channel is in the way."""
    said = wish.said
    if "made" in said:
        return await _gone_on(core, int(said["made"]))
    lines = io.StringIO(said["csv"], newline="")
    done = await load(core.db, core.rulebook, lines, _wanted(core, wish, said), core.clock())
    if done.wrong:
        complaints = [{"row": one.row, "says": one.says} for one in done.complaints[:TOLD]]
        return {"state": "refused", "wrong": done.wrong, "complaints": complaints}
    return await _finished(core, wish, done, applies=bool(said.get("apply")))


def _wanted(core: Core, wish: Wish, said: dict[str, Any]) -> Wanted:
    at = said.get("counted_at")
    return Wanted(
        title=str(said.get("title") or "counts")[:200],
        actor=wish.actor or "syncd",
        warehouse=said.get("warehouse"),
        names=said.get("names") or {},
        counted_at=datetime.fromisoformat(at) if at else None,
        sets=bool(said.get("sets")),
        on_hand=bool(said.get("on_hand")),
        new_items=bool(said.get("new_items")),
        skip_unknown=bool(said.get("skip_unknown")),
        expires_in=core.plan_expiry,
        radius=core.radius,
    )


async def undo(core: Core, wish: Wish) -> dict[str, object]:
    """Turn a plan round, and make that where nothing moved since, or somebody said that it may have."""
    said = wish.said
    if "made" in said:
        return await _gone_on(core, int(said["made"]))
    wanted = Wanted("", wish.actor or "syncd", expires_in=core.plan_expiry, radius=core.radius)
    skip_moved = bool(said.get("skip_moved"))
    found = await undoing.undo(
        core.db, core.rulebook, wish.plan_id or 0, wanted, core.clock(), skip_moved=skip_moved
    )
    applies = bool(said.get("force")) or skip_moved or not found.moved_rows
    done = await _finished(core, wish, found.loaded, applies=applies)
    moved = [
        {"sku": one.sku, "warehouse": one.warehouse, "units": one.units, "kinds": one.kinds}
        for one in found.moved[:TOLD]
    ]
    return done | ({"moved_since": found.moved_rows, "moved": moved} if moved else {})


async def enable(core: Core, wish: Wish) -> dict[str, object]:
    """Look at what moved on a channel while it was off; a plan waits where there is anything to decide."""
    channel = next((c for c in core.channels.values() if c.name == wish.channel), None)
    if channel is None:
        raise SyncdError(f"{wish.channel} does not run: nobody can look at it")
    if channel.rules.enabled:
        return {"state": "on", "channel": channel.name}
    found = await reenabling.look(core, channel)
    actor = wish.actor or "syncd"
    plan_id = await reenabling.make_plan(core, channel, found, actor, core.plan_expiry)
    if not found.nothing:
        return {"plan": plan_id, "state": "open", **found.summary(channel.name)}
    return await _made(core, wish, plan_id)


async def _finished(core: Core, wish: Wish, done: Loaded, *, applies: bool) -> dict[str, object]:
    if done.plan_id is None:
        return {"plan": None, "state": "nothing_to_do", **done.summary()}
    if applies and not done.above:
        return await _made(core, wish, done.plan_id)
    return {"plan": done.plan_id, "state": "open", **done.summary()}


async def _made(core: Core, wish: Wish, plan_id: int) -> dict[str, object]:
    async with core.db.transaction("plan_yes") as conn:
        await plans.decide(conn, plan_id, "applying", core.clock(), wish.actor or "syncd")
        # begun again after a crash, this wish goes on with this plan and makes no other
        await bookmark.made(conn, wish.id, plan_id)
    return await apply(core, plan_id)


async def _gone_on(core: Core, plan_id: int) -> dict[str, object]:
    """What a daemon that ended had begun."""
    async with core.db.transaction("plan_get") as conn:
        plan = await plans.get(conn, plan_id)
    if plan is not None and plan.state == "applied":
        return {"plan": plan_id, "state": "applied"}
    return await apply(core, plan_id)
