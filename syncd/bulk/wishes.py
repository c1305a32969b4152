"""What people ask for: each wish is taken from its table, carried out, and told what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from syncd.bulk import applying, asking, seeding
from syncd.bulk.rebalancing import rebalance
from syncd.corridor import Core, take_switches
from syncd.corridor.bells import rung
from syncd.corridor.plans import end_hold
from syncd.db import (
    alternation,
    bookmark,
    catalog,
    holds,
    inbox,
    outbox,
    plans,
    pushes,
    retiring,
    shelf,
    suspense,
)
from syncd.db.bookmark import Wish
from syncd.db.journal import Line
from syncd.errors import DatabaseAway, SyncdError
from syncd.fanout import NotAsked, answer_kept, owe_again, rejecting
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.bulk")

POLL_S = 1.0
PIECE = 500
TOLD_SKUS = 100
"""Of the skus a person named so many stand in the journal."""


class Bulk:
    """Carries out wishes, one after the other."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self) -> None:
        """Take wishes until cancelled."""
        started = False
        while True:
            if not self._core.leads():
                started = False
                await rung(self._core.bells.wishes, POLL_S)
                continue
            try:
                if not started:
                    async with self._core.db.transaction("restart_wishes") as conn:
                        await bookmark.restart_wishes(conn)
                    started = True
                if not await self.step():
                    await rung(self._core.bells.wishes, POLL_S)
            except DatabaseAway:
                started = False  # the wish that was broken off is taken up again
                await rung(self._core.bells.wishes, POLL_S)

    async def step(self) -> bool:
        """Carry out the oldest wish; False when there is none."""
        async with self._core.db.statement("take_wish") as conn:
            wish = await bookmark.take_wish(conn, self._core.clock())
        if wish is None:
            return False
        try:
            result = await self._carry_out(wish)
        except DatabaseAway:
            raise
        except SyncdError as error:
            result = {"error": str(error)}
        except Exception as error:
            log.exception("wish.failed", kind=wish.kind)
            result = {"error": f"{type(error).__name__}: see the log"}
        async with self._core.booking("wish_done") as (conn, booking):
            await bookmark.wish_done(conn, wish.id, result, self._core.clock())
            booking.journal.append(self._told(wish, result))
        log.info("wish.done", kind=wish.kind, **result)
        return True

    def _told(self, wish: Wish, result: dict[str, object]) -> Line:
        """What a person asked for and what became of it."""
        named = self._core.rulebook.named(wish.channel) if wish.channel else None
        skus = wish.skus or []
        detail: dict[str, object] = {"wish": wish.id, "result": result}
        if wish.actor:
            detail["by"] = wish.actor
        if len(skus) > 1:
            detail["skus"] = skus[:TOLD_SKUS]
        sku = skus[0] if len(skus) == 1 and wish.kind != "seed" else ""
        return Line("asked", sku, named.id if named else None, reason=wish.kind, detail=detail)

    async def _carry_out(self, wish: Wish) -> dict[str, object]:
        if wish.channel is not None and self._core.rulebook.named(wish.channel) is None:
            return {"error": f"no channel is named {wish.channel}"}
        if wish.kind in ("seed", "seed_apply"):
            return await self._seed(wish.skus or [], applies=wish.kind == "seed_apply")
        carry_out: dict[str, Callable[[], Awaitable[dict[str, object]]]] = {
            "apply": lambda: self._apply(wish),
            "import": lambda: asking.load_counts(self._core, wish),
            "undo": lambda: asking.undo(self._core, wish),
            "enable": lambda: asking.enable(self._core, wish),
            "push": lambda: self._push(wish),
            "retry": lambda: self._retry(wish),
            "answer": self._answer,
            "rebalance": lambda: rebalance(self._core, wish.skus),
        }
        return await carry_out.get(wish.kind, lambda: self._sweep(wish))()

    async def _apply(self, wish: Wish) -> dict[str, object]:
        discard = bool(wish.said.get("discard"))
        return await applying.apply(self._core, wish.plan_id or 0, discard=discard)

    async def _sweep(self, wish: Wish) -> dict[str, object]:
        await take_switches(self._core)
        rung_channels = []
        for channel in self._core.channels.values():
            if wish.channel in (None, channel.name) and channel.rules.enabled:
                self._core.bells.sweeps[channel.id].set()
                rung_channels.append(channel.name)
        return {"sweeping": rung_channels}

    async def _retry(self, wish: Wish) -> dict[str, object]:
        async with self._core.db.transaction("retry") as conn:
            deliveries = await outbox.unpark(conn, wish.channel, self._core.clock())
            deliveries += await retiring.unpark(conn, wish.channel, self._core.clock())
            events = await inbox.unpark(conn, wish.channel, self._core.clock())
        released = await self._release(wish.channel)
        self._core.bells.intake.set()
        for bell in self._core.bells.lanes.values():
            bell.set()
        done: dict[str, object] = {"deliveries": deliveries, "events": events}
        return done | ({"released": released} if released else {})

    async def _release(self, channel: str | None) -> int:
        """Listings in quarantine are written again: whoever else wrote them has been stopped."""
        async with self._core.booking("release") as (conn, booking):
            listing_ids = await alternation.quarantined(conn, channel)
            await shelf.lock(conn, listing_ids, [])
            for listing_id, channel_id, sku in await alternation.release(conn, listing_ids):
                booking.journal.append(Line("released", sku, channel_id, listing_id))
            await owe_again(conn, booking, listing_ids)
        return len(listing_ids)

    async def _answer(self) -> dict[str, object]:
        """Book what people have answered to amounts in suspense; an answer out of date is refused."""
        async with self._core.db.transaction("answers") as conn:
            ids = await suspense.answered(conn)
        booked: list[int] = []
        refused: dict[str, str] = {}
        for doubt_id in ids:
            try:
                async with self._core.booking("answer") as (conn, booking):
                    await answer_kept(conn, booking, doubt_id)
                booked.append(doubt_id)
            except NotAsked as error:
                refused[str(doubt_id)] = str(error)
                async with self._core.db.transaction("forget_answer") as conn:
                    await suspense.forget_answer(conn, doubt_id)
        return {"answered": booked} | ({"refused": refused} if refused else {})

    async def _push(self, wish: Wish) -> dict[str, object]:
        """Owe an absolute delivery to every chosen listing, whatever it is believed to show."""
        named = self._core.rulebook.named(wish.channel) if wish.channel else None
        async with self._core.db.transaction("push_listings") as conn:
            chosen = await catalog.listings_of(conn, wish.skus, named.id if named else None)
        channels = self._core.rulebook.channels
        rejects = {i for i, channel in chosen if rejecting.rejects(channels.get(channel))}
        plan_id = await self._push_plan(wish, len(rejects)) if rejects else None
        for first in range(0, len(chosen), PIECE):
            piece = [listing for listing, _ in chosen[first : first + PIECE]]
            async with self._core.booking("push") as (conn, booking):
                await owe_again(conn, booking, piece, forced=True)
                looks = [i for i, channel in chosen[first : first + PIECE] if self._reads(channel)]
                if plan_id is not None:
                    await pushes.mark(conn, plan_id, sorted(rejects.intersection(piece)))
                if looks:
                    await shelf.wish(conn, looks, "push", booking.now)
        done: dict[str, object] = {"listings": len(chosen)}
        return done | ({"plan": plan_id} if plan_id is not None else {})

    async def _push_plan(self, wish: Wish, listings: int) -> int:
        """What this push rejects is kept as a plan that is applied already, so that it can be undone."""
        skus = wish.skus or []
        what = "everything" if wish.skus is None else ", ".join(skus[:3]) + "…" * (len(skus) > 3)
        async with self._core.booking("push_plan") as (conn, booking):
            now, by = booking.now, wish.actor or "syncd"
            plan_id = await plans.enter(conn, "push", f"push of {what}"[:200], by, now)
            await plans.open_plan(conn, plan_id, 0, {"listings": listings})
            await plans.decide(conn, plan_id, "applying", now, by)
            await plans.close(conn, plan_id, now, {})
        return plan_id

    def _reads(self, channel_id: int) -> bool:
        """Where a reading can be compared with, it is taken first: nothing is overwritten unseen."""
        rules = self._core.rulebook.channels.get(channel_id)
        return rules is not None and not rules.blind

    async def _seed(self, warehouses: Sequence[str], *, applies: bool) -> dict[str, object]:
        """Seed; `applies`: whatever the first syncs of channels would change is said yes to."""
        async with self._core.db.transaction("first_syncs") as conn:
            waiting = await holds.first_syncs(conn)
        if applies:
            for plan_id in waiting:
                await end_hold(self._core, plan_id, "first_sync", "seed --apply", "applied")
            waiting = []
        done = await self.seed(warehouses)
        return done | {"first_syncs": waiting} if waiting else done

    async def seed(self, warehouses: Sequence[str]) -> dict[str, object]:
        """First counts of warehouses (names; none: of all) from their sources."""
        return await seeding.seed(self._core, warehouses)
