"""Plans that hold listings: made when a change is too large to go unasked, weighed after each sweep."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.corridor.core import Channel, Core
from syncd.db import holds, plans, shelf
from syncd.db.holds import Held
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.fanout import Booking, owe_again
from syncd.stock.plans import Effect, Radius, Reach, effect
from syncd.stock.rulebook import Asked, Rulebook
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.plans")

PAGE = 5000
PIECE = 2000


def target_of(book: Rulebook, one: Held) -> int | None:
    """What a listing would show if nothing held it; None: nothing is written to it."""
    rules = book.channels.get(one.channel_id)
    if rules is None or one.quantity is None or one.warehouse_id is None:
        return None
    if rules.leaves_out(one.sku, one.withheld):
        return None
    none = book.shows_none(one.warehouse_id, orphaned=one.orphaned)
    wants = rules.target_of(
        Asked(one.listing_id, one.sku, one.warehouse_id, none, shown=one.shown), one
    )
    return None if rules.withholds(one.sku, wants, one.shown, orphaned=one.orphaned) else wants


async def hold_if_large(core: Core, channel: Channel, radius: Radius) -> int | None:
    """Hold what would be zeroed or raised on a channel if that is more than its blast radius.

    What is owed already was moved by a fact, and is left alone. Gives the plan; None: there is none.
    """
    async with core.db.transaction("holding") as conn:
        found_open = await holds.holding(conn, channel.id)
    if any(kind == "first_sync" and state == "open" for _, kind, state in found_open):
        return None
    reach, found = Reach(), []
    after = 0
    while True:
        async with core.db.statement("unowed_page") as conn:
            page = await holds.unowed_page(conn, channel.id, after, PAGE)
        if not page:
            break
        after = page[-1].listing_id
        reach.listings += len(page)
        for one in page:
            wants = target_of(core.rulebook, one)
            if wants is None or one.shown is None:
                continue
            reach.add(one.shown, wants)
            if effect(one.shown, wants) in (Effect.ZEROED, Effect.RAISED):
                found.append(one.listing_id)
    if not radius.exceeded(reach):
        return None
    title = f"{reach.zeroed} zeroed, {reach.raised} raised on {channel.name} in one go"
    plan_id = await _hold(core, channel, "blast_radius", title, found)
    await weigh_holds(core, channel)
    return plan_id


async def open_hold(
    conn: Connection, booking: Booking, channel: Channel, kind: str, title: str
) -> int:
    """A plan that holds listings as they are found; it waits for a person from now on."""
    plan_id = await plans.enter(conn, kind, title, "syncd", booking.now, channel_id=channel.id)
    await plans.open_plan(conn, plan_id, 0, {})
    detail: dict[str, object] = {"plan": plan_id, "kind": kind, "title": title}
    booking.journal.append(Line("plan", channel_id=channel.id, reason="waits", detail=detail))
    log.warning("plan.waits", plan=plan_id, kind=kind, channel=channel.name, title=title)
    return plan_id


async def _hold(
    core: Core, channel: Channel, kind: str, title: str, listing_ids: Sequence[int]
) -> int:
    async with core.booking("plan_hold") as (conn, booking):
        plan_id = await open_hold(conn, booking, channel, kind, title)
    for first in range(0, len(listing_ids), PIECE):
        piece = listing_ids[first : first + PIECE]
        async with core.db.transaction("hold") as conn:
            await shelf.lock(conn, piece, [])
            await holds.hold(conn, plan_id, piece)
    return plan_id


async def weigh_holds(core: Core, channel: Channel) -> None:
    """See what the plans that hold a channel's listings would change now; those of nothing end."""
    async with core.db.transaction("holding") as conn:
        found = await holds.holding(conn, channel.id)
    for plan_id, kind, state in found:
        if state == "applied":
            await _let_go(core, plan_id)
            continue
        reach, counted = Reach(), 0
        after = 0
        while True:
            async with core.db.statement("held_page") as conn:
                page = await holds.held_page(conn, plan_id, after, PAGE)
            if not page:
                break
            after = page[-1].listing_id
            reach.listings += len(page)
            for one in page:
                wants = target_of(core.rulebook, one)
                if wants is not None:
                    counted += 1
                    reach.add(one.shown if one.shown is not None else -1, wants)
        if reach.changed or not counted:
            async with core.db.transaction("plan_weighed") as conn:
                await holds.weighed(
                    conn, plan_id, reach.changed, {"channels": {channel.name: told(reach)}}
                )
        else:
            await end_hold(core, plan_id, kind, "syncd", "nothing to change")


async def end_hold(core: Core, plan_id: int, kind: str, actor: str, why: str) -> int:
    """Let go of everything a plan holds, and owe what it needs now; gives how many listings."""
    async with core.booking("plan_yes") as (conn, booking):
        if not await plans.decide(
            conn, plan_id, "applying", booking.now, actor, before=("open", "applying")
        ):
            return 0
    released = await _let_go(core, plan_id)
    async with core.booking("plan_close") as (conn, booking):
        await plans.close(conn, plan_id, booking.now, {"released": released})
        detail: dict[str, object] = {"plan": plan_id, "kind": kind, "by": actor}
        booking.journal.append(Line("plan", after=released, reason=why, detail=detail))
    return released


async def _let_go(core: Core, plan_id: int) -> int:
    """Hold nothing for a plan any more, and owe what its listings need now; gives how many."""
    released = 0
    while True:
        async with core.booking("plan_release") as (conn, booking):
            page = await holds.held_page(conn, plan_id, 0, PIECE)
            ids = [one.listing_id for one in page]
            if ids:
                await shelf.lock(conn, ids, [])
                await holds.release(conn, plan_id, ids)
                await owe_again(conn, booking, ids)
                await plans.count_done(conn, plan_id, len(ids))
        released += len(ids)
        if not ids:
            return released


def told(reach: Reach) -> dict[str, int]:
    """A reach as a plan's summary keeps it."""
    return {
        "listings": reach.listings,
        "zeroed": reach.zeroed,
        "raised": reach.raised,
        "lowered": reach.lowered,
        "units_up": reach.units_up,
        "units_down": reach.units_down,
    }
