"""Locations of one channel that feed one warehouse come to divide it: the first time as a plan."""

from __future__ import annotations

from syncd.corridor.core import Channel, Core
from syncd.db import holds, places, plans, shelf
from syncd.db.journal import Line
from syncd.stock.spread import arranged

PIECE = 2000


async def arrange(core: Core, channel: Channel) -> None:
    """Divide what is to be divided from now on, and nothing else.

    What that changes on a channel for the first time is a plan: until somebody says yes, its
    listings there keep what they show, less what is sold.
    """
    async with core.db.statement("places_fed") as conn:
        now = await places.fed(conn, channel.id)
    rules = core.rulebook.channels[channel.id]
    order = [location for location in rules.locations if location != "*"]
    wanted = arranged(now, rules.spread, order)
    if wanted == sorted(now, key=lambda x: x.position):
        return
    known = {x.location for x in now if x.divided}
    begin = {x.warehouse_id for x in wanted if x.divided and x.location not in known}
    joining = [x.location for x in wanted if x.warehouse_id in begin]
    plan_id = await _hold(core, channel, joining) if joining else None
    async with core.booking("places_arranged") as (conn, booking):
        await places.arrange(conn, channel.id, wanted)
        divided = [x.location for x in wanted if x.divided]
        changed = set(divided) != known
        if changed:
            detail: dict[str, object] = {"locations": divided, "plan": plan_id}
            reason = "its locations divide what there is" if divided else "nothing is divided"
            booking.journal.append(Line("divided", "", channel.id, reason=reason, detail=detail))
    if changed and plan_id is None:
        core.bells.sweeps[channel.id].set()


async def _hold(core: Core, channel: Channel, locations: list[str]) -> int | None:
    """Hold the listings at these locations, save those that are held; gives the plan, if there is one."""
    async with core.booking("plan_hold") as (conn, booking):
        ids = await places.unheld(conn, channel.id, locations)
        plan_id = await holds.awaiting(conn, channel.id, ["division"])
        if plan_id is None and ids:
            title = f"a first division of {channel.name}: {', '.join(locations)}"
            plan_id = await plans.enter(
                conn, "division", title, "syncd", booking.now, channel_id=channel.id
            )
            await plans.open_plan(conn, plan_id, len(ids), {})
            detail: dict[str, object] = {"plan": plan_id, "kind": "division", "title": title}
            line = Line(
                "plan", channel_id=channel.id, after=len(ids), reason="waits", detail=detail
            )
            booking.journal.append(line)
    for first in range(0, len(ids), PIECE):
        piece = ids[first : first + PIECE]
        async with core.db.transaction("hold") as conn:
            await shelf.lock(conn, piece, [])
            if plan_id is not None:
                await holds.hold(conn, plan_id, piece)
    return plan_id
