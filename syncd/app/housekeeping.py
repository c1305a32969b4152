"""What the daemon does beside the road: gauges, partitions, retention, and bells from other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from syncd.config import SyncSettings
from syncd.corridor import Core
from syncd.corridor.bells import rung
from syncd.db import (
    answers,
    bookmark,
    inbox,
    ledger_marks,
    outbox,
    plans,
    pushes,
    retiring,
    status,
    stretches,
    suspense,
)
from syncd.db.journal import Line
from syncd.db.outbox import OutboxNow
from syncd.db.pool import Database
from syncd.errors import DatabaseAway
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.housekeeping")

SAMPLE_S = 5.0
RETAIN_S = 3600.0
AWAY_S = 1.0
LOADING = timedelta(days=1)
"""A plan that took longer to load than this was broken off."""

KEEP_STRETCHES = timedelta(days=14)
"""An order that turns up so late revises no edit any more: no fetch of orders asks further back."""


async def sample_for_ever(core: Core) -> None:
    """Keep the gauges that tables know best up to date."""
    while True:
        with suppress(DatabaseAway):
            await sample(core)
        await asyncio.sleep(SAMPLE_S)


async def sample(core: Core) -> None:
    """Set every gauge that is read from the database, and write what was noted for the journal."""
    await core.write_notes()
    now, metrics = core.clock(), core.metrics
    async with core.db.transaction("sample") as conn:
        oldest = await inbox.oldest(conn)
        owed = await outbox.now_owed(conn)
        doubts = await suspense.counts(conn)
        skips = await status.skipped_listings(conn)
        xmin_age_s = await status.oldest_xmin_age_s(conn)
        waiting = await plans.waiting(conn)
        retired = await retiring.counts(conn)
    metrics.inbox_oldest_age_seconds.set((now - oldest).total_seconds() if oldest else 0)
    metrics.db_oldest_xmin_age_seconds.set(xmin_age_s)
    sent = core.db.statements - core.statements_counted
    core.statements_counted = core.db.statements
    metrics.sql_statements_total.inc(sent)
    for row in owed:
        _show_owed(core, row)
    for rules in core.rulebook.configured:
        out, refused = retired.get(rules.id, (0, 0))
        metrics.retired.labels(rules.name).set(out)
        if refused:
            metrics.parked.labels(rules.name).inc(refused)
    metrics.suspense.clear()
    for (channel_id, reason), count in doubts.items():
        metrics.suspense.labels(core.name_of(channel_id), reason).set(count)
    metrics.plans_waiting.set(waiting)
    metrics.skipped.clear()
    for reason, count in skips.items():
        metrics.skipped.labels(reason).set(count)
    for channel in core.channels.values():
        metrics.budget_available.labels(channel.name).set(channel.http.budget.available)


def _show_owed(core: Core, row: OutboxNow) -> None:
    name, metrics = core.name_of(row.channel_id), core.metrics
    if not name:
        return
    age_s = (core.clock() - row.oldest).total_seconds() if row.oldest else 0.0
    metrics.outbox_rows.labels(name).set(row.waiting)
    metrics.outbox_oldest_age_seconds.labels(name).set(max(age_s, 0.0))
    metrics.units_at_risk.labels(name).set(row.risk)
    metrics.parked.labels(name).set(row.parked)


async def retain_for_ever(core: Core, sync: Callable[[], SyncSettings]) -> None:
    """Make tomorrow's partitions and drop what retention, as configured by then, does not keep."""
    while True:
        try:
            await retain(core, sync())
        except DatabaseAway:
            await asyncio.sleep(AWAY_S)
            continue
        await asyncio.sleep(RETAIN_S)


async def retain(core: Core, sync: SyncSettings) -> None:
    """One pass over partitions and retention."""
    today = core.clock().date()
    async with core.db.transaction("partitions") as conn:
        made = await bookmark.ensure_partitions(conn, today)
    kept = {
        "inbox": sync.retain_bodies,
        "delivery_seen": sync.retain_delivery_ids,
        "journal": sync.retain_journal,
    }
    async with core.db.transaction("prune_stretches") as conn:
        await stretches.prune(conn, core.clock() - KEEP_STRETCHES, timedelta(seconds=60))
        await pushes.prune(conn, core.clock(), KEEP_STRETCHES)
    dropped = []
    for table, keep in kept.items():
        async with core.db.transaction("retention") as conn:
            before = today - max(keep, timedelta(0))
            dropped += await bookmark.drop_partitions(conn, table, before)
    async with core.db.statement("prune_answers") as conn:
        await answers.prune(conn, core.clock() - sync.retain_answers)
    await mark_ledger(core)
    if made or dropped:
        log.info("partitions.kept", made=made, dropped=dropped)
    await _expire_plans(core)


async def _expire_plans(core: Core) -> None:
    """Close plans that nobody said yes or no to, and forget those that never came to be."""
    async with core.booking("expire_plans") as (conn, booking):
        await plans.forget_broken(conn, booking.now - LOADING)
        for plan_id in await plans.expire(conn, booking.now):
            detail: dict[str, object] = {"plan": plan_id}
            booking.journal.append(Line("plan", reason="expired", detail=detail))
            log.warning("plan.expired", plan=plan_id)


async def mark_ledger(core: Core) -> None:
    """Mark what the ledger has grown by, piece by piece."""
    more = True
    while more:
        async with core.db.transaction("mark_ledger") as conn:
            more = await ledger_marks.advance(conn, core.clock())


async def follow_switches(core: Core, follow: Callable[[], Awaitable[list[str]]]) -> None:
    """Take up what people switch, when they knock or by and by."""
    while True:
        try:
            changed = await follow()
            if changed:
                log.info("channels.switched", changed=changed)
        except DatabaseAway:
            await asyncio.sleep(AWAY_S)
        await rung(core.bells.switches, SAMPLE_S)


async def listen_for_ever(core: Core, db: Database) -> None:
    """Ring for wishes and switches when another process knocks; the polls behind need no knock."""

    def knock() -> None:
        core.bells.wishes.set()
        core.bells.switches.set()

    while True:
        try:
            async with db.connection("listen") as conn:
                await status.listen(conn, knock)
        except DatabaseAway:
            await asyncio.sleep(AWAY_S)
