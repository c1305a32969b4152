"""A channel that is switched on again: a plan shows what moved there meanwhile, and what either answer does.

Booked, the level moves by each gap, as if the channel had never been off. Discarded, its orders and its
shelves count from now on alone, and it is written back to what the others show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from syncd.corridor import Channel, Core, take_switches
from syncd.corridor.plans import told
from syncd.db import catalog, cutovers, plan_rows, plans, shelf
from syncd.db.catalog import ListingNow, NewListing
from syncd.db.cutovers import RuleRow
from syncd.db.journal import Line
from syncd.db.plan_rows import NewRow
from syncd.db.plans import Plan
from syncd.db.shelf import ShelfChange
from syncd.errors import SyncdError
from syncd.fanout import book_edits, edits
from syncd.fanout.switching import switch_channel
from syncd.stock.cutover import rule_of
from syncd.stock.model import ListingSeen
from syncd.stock.plans import Reach
from syncd.stock.rulebook import Asked, ChannelRules

PIECE = 1000
KIND = "re_enabled"


@dataclass(frozen=True, slots=True)
class Gap:
    """A listing that shows another number than is accounted for.

    `booked`: the level once the difference is booked, which is what happens where nobody says
    otherwise. `discarded`: the level as it is, which the listing would be written back to.
    """

    sku: str
    location: str
    listing_id: int
    item_id: int
    warehouse_id: int
    shown: int
    observed: int
    booked: int
    discarded: int


@dataclass(slots=True)
class Meanwhile:
    """What moved on a channel while it was off, and what either answer would write to it."""

    gaps: list[Gap] = field(default_factory=list)
    if_booked: Reach = field(default_factory=Reach)
    if_discarded: Reach = field(default_factory=Reach)

    @property
    def nothing(self) -> bool:
        """True where there is nothing to decide."""
        return not (self.gaps or self.if_booked.changed or self.if_discarded.changed)

    def summary(self, name: str) -> dict[str, object]:
        """What the plan's row keeps."""
        return {
            "gaps": len(self.gaps),
            "gap_units": sum(gap.observed - gap.shown for gap in self.gaps),
            "channels": {name: told(self.if_booked)},
            "discarded": {name: told(self.if_discarded)},
        }


async def look(core: Core, channel: Channel) -> Meanwhile:
    """Read the whole channel and compare; told in the journal. Raises ChannelError."""
    found = Meanwhile()
    async for rows in _pieces(channel):
        await _compare(core, channel, rows, found)
    for first in range(0, len(found.gaps), PIECE):
        async with core.booking("gaps") as (_, booking):
            booking.journal += [
                Line(
                    "gap",
                    gap.sku,
                    channel.id,
                    gap.listing_id,
                    gap.shown,
                    gap.observed,
                    "moved while the channel was off",
                    {"level_booked": gap.booked, "level_discarded": gap.discarded},
                )
                for gap in found.gaps[first : first + PIECE]
            ]
    return found


async def _pieces(channel: Channel) -> AsyncIterator[Sequence[ListingSeen]]:
    async for page in channel.connector.listings():
        for first in range(0, len(page.rows), PIECE):
            yield page.rows[first : first + PIECE]


async def _compare(
    core: Core, channel: Channel, rows: Sequence[ListingSeen], found: Meanwhile
) -> None:
    named = [
        NewListing(x.location, x.remote, x.alias, x.group, x.sku, x.title, None, x.managed, "")
        for x in rows
    ]
    async with core.db.transaction("gap_listings") as conn:
        known = await catalog.look_up(conn, channel.id, named)
    rules = replace(channel.rules, enabled=True)
    for row, now in zip(rows, known, strict=True):
        if now is None or row.quantity is None or now.quantity is None or now.item_id is None:
            continue
        found.if_booked.listings += 1
        found.if_discarded.listings += 1
        gap = row.quantity - now.shown if now.shown is not None else 0
        if now.parts is not None:
            gap = 0  # a bundle has no level of its own that a gap could move
        for reach, level in (
            (found.if_booked, now.quantity + gap),
            (found.if_discarded, now.quantity),
        ):
            wants = _target(rules, now, level, row.quantity)
            if wants is not None:
                reach.add(row.quantity, wants)
        if gap and now.shown is not None and now.warehouse_id is not None:
            found.gaps.append(
                Gap(
                    now.sku, row.location, now.listing_id, now.item_id, now.warehouse_id, now.shown,
                    row.quantity, now.quantity + gap, now.quantity,
                )
            )  # fmt: skip


def _target(rules: ChannelRules, now: ListingNow, level: int, shows: int) -> int | None:
    if now.warehouse_id is None or now.skip or rules.leaves_out(now.sku, now.withheld):
        return None
    asked = Asked(now.listing_id, now.sku, now.warehouse_id, shown=shows)
    return rules.target_of(asked, replace(now, quantity=level))


async def make_plan(
    core: Core, channel: Channel, found: Meanwhile, actor: str, expires_in: timedelta | None
) -> int:
    """Keep what was found as a plan that waits for a yes; one that waited for the channel is closed."""
    name = channel.name
    async with core.booking("plan_reenable") as (conn, booking):
        now = booking.now
        for earlier in await plans.waiting_of(conn, channel.id, KIND):
            await plans.decide(conn, earlier, "rejected", now, "syncd: looked at again")
        expires_at = now + expires_in if expires_in else None
        plan_id = await plans.enter(
            conn, KIND, f"{name} is switched on again", actor, now,
            channel_id=channel.id, expires_at=expires_at,
        )  # fmt: skip
        await plan_rows.copy_rows(conn, plan_id, 1, [_row(gap) for gap in found.gaps])
        await plans.open_plan(conn, plan_id, len(found.gaps), found.summary(name))
        detail: dict[str, object] = {"plan": plan_id, "kind": KIND, "gaps": len(found.gaps)}
        booking.journal.append(Line("plan", "", channel.id, reason="waits", detail=detail))
    return plan_id


def _row(gap: Gap) -> NewRow:
    return NewRow(
        0,
        gap.sku,
        gap.item_id,
        gap.warehouse_id,
        gap.observed,
        gap.shown,
        listing_id=gap.listing_id,
    )


async def switch_on(core: Core, plan: Plan, *, discard: bool) -> dict[str, object]:
    """Somebody said yes: what moved meanwhile is booked, or (`discard`) not, and the channel is on."""
    rules = core.rulebook.named(plan.channel or "")
    if rules is None:
        raise SyncdError(f"{plan.channel} is not configured any more")
    dropped = await _discard(core, rules) if discard and not rules.enabled else 0
    async with core.booking("plan_close") as (conn, booking):
        await switch_channel(conn, booking, rules.name, True, plan.decided_by or plan.actor)
        outcome: dict[str, object] = {"gaps_are": "discarded" if discard else "booked"}
        await plans.close(conn, plan.id, booking.now, outcome)
        detail: dict[str, object] = {"plan": plan.id, "kind": KIND, **outcome}
        booking.journal.append(Line("plan", "", rules.id, reason="applied", detail=detail))
    await take_switches(core)
    core.bells.sweeps[rules.id].set()
    done: dict[str, object] = {"plan": plan.id, "state": "applied", "channel": rules.name}
    return done | outcome | ({"listings": dropped} if discard else {})


async def _discard(core: Core, rules: ChannelRules) -> int:
    """Nothing that happened on a channel while it was off counts: gives how many shelves begin anew.

    What its orders did until now moves no level; its shelves are what they are read to show next.
    Done again after a crash it does no more.
    """
    async with core.db.statement("discard_listings") as conn:
        ids = await cutovers.listings_of(conn, rules.id)
    for first in range(0, len(ids), PIECE):
        await _forget(core, rules.id, ids[first : first + PIECE])
    async with core.booking("discard") as (conn, booking):
        lines = await cutovers.baseline(conn, rules.id)
        rule = rule_of(rules)
        row = RuleRow(rules.id, rule.truth, rule.edits, True, dict(rule.locations), booking.now)
        await cutovers.keep_rule(conn, row, booking.now)
        detail: dict[str, object] = {"lines": lines, "listings": len(ids)}
        booking.journal.append(Line("discarded", "", rules.id, detail=detail))
        fresh = replace(rules, cut_at=booking.now)
    core.rulebook = replace(core.rulebook, channels={**core.rulebook.channels, rules.id: fresh})
    return len(ids)


async def _forget(core: Core, channel_id: int, ids: Sequence[int]) -> None:
    async with core.booking("discard_shelves") as (conn, booking):
        rows = await shelf.lock(conn, ids, [], moving=[channel_id])
        ours = [row for row in rows if row.listing_id in set(ids)]
        followed = await edits.listen(conn, booking, [row for row in ours if row.followed])
        for one in followed.values():
            one.discard()
        await shelf.change(conn, [ShelfChange(x.listing_id, None, None) for x in ours])
        await book_edits(conn, booking, await edits.conclude(conn, booking, followed))
