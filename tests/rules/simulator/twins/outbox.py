"""Twins of `syncd.db.outbox`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from syncd.db.outbox import LONGEST_PAUSE, Candidate, Due, Wanted
from tests.rules.simulator.tables import OutboxRow, Tables, made
from tests.rules.simulator.twins.ledger import holds, suspects
from tests.rules.simulator.twins.shelf import distinct, least


async def owe(t: Tables, owed: Sequence[Any], now: datetime) -> None:
    distinct([o.listing_id for o in owed])
    for o in owed:
        row = t.outbox.get(o.listing_id)
        if row is None:
            t.outbox[o.listing_id] = OutboxRow(
                o.channel_id, 1, int(o.rank), o.risk, o.forced, now, o.received_at, now
            )
            continue
        level = t.level_of(t.listings[o.listing_id])
        moved = row.parked_at is not None and level is not None and level.changed_at == now
        row.version += 1
        row.rank, row.risk = int(o.rank), o.risk
        row.received_at = least(row.received_at, o.received_at)
        row.forced = row.forced or o.forced
        row.not_before = min(row.not_before, now)
        if moved:
            row.parked_at, row.tries, row.batch_cap, row.reason = None, 0, 32767, ""


async def candidates(
    t: Tables,
    channel_id: int,
    now: datetime,
    limit: int,
    *,
    owed_before: datetime,
    despite_looks: bool,
) -> list[Candidate]:
    able = [
        (one, o)
        for one, o in t.outbox.items()
        if o.channel_id == channel_id
        and _due(t, one, now)
        and (despite_looks or not (one in t.looks and o.owed_at > owed_before))
    ]
    by_rank = sorted(able, key=lambda pair: (pair[1].rank, pair[1].owed_at))[:limit]
    by_age = sorted(able, key=lambda pair: pair[1].owed_at)[: max(limit // 4, 1)]
    return [_candidate(t, one) for one in dict.fromkeys(pair[0] for pair in by_rank + by_age)]


async def candidates_among(t: Tables, listing_ids: Sequence[int], now: datetime) -> list[Candidate]:
    return [_candidate(t, one) for one in listing_ids if one in t.outbox and _due(t, one, now)]


def _due(t: Tables, one: int, now: datetime) -> bool:
    o = t.outbox[one]
    return o.parked_at is None and o.not_before <= now and t.shelves[one].attempt_id is None


def _candidate(t: Tables, one: int) -> Candidate:
    o, x, s = t.outbox[one], t.listings[one], t.shelves[one]
    return made(
        Candidate,
        listing_id=one,
        channel_id=x.channel_id,
        remote=x.remote,
        location=x.location,
        sku=x.sku,
        batch_group=x.batch_group,
        item_id=x.item_id,
        warehouse_id=x.warehouse_id,
        version=o.version,
        forced=o.forced,
        batch_cap=o.batch_cap,
        owed_at=o.owed_at,
        received_at=o.received_at,
        shown=s.shown,
        stale_times=s.stale_times,
        looking=one in t.looks,
    )


async def wanted(t: Tables, listing_ids: Sequence[int]) -> dict[int, Wanted]:
    found = {}
    for one in listing_ids:
        o = t.outbox.get(one)
        if o is None:
            continue
        x, s = t.listings[one], t.shelves[one]
        level = t.level_of(x)
        moments = [m for m in (level and level.changed_at, s.surprised_at) if m is not None]
        found[one] = made(
            Wanted,
            listing_id=one,
            version=o.version,
            forced=o.forced,
            received_at=o.received_at,
            level=level.quantity if level else None,
            quantity=level.quantity if level else None,
            changed_at=max(moments, default=None),
            served=x.gone_at is None and x.skip == "" and x.managed and not s.quarantined,
            orders_asked_at=t.channels[o.channel_id].orders_asked_at,
            surprised_at=s.surprised_at,
            suspects=suspects(t, (x.item_id, x.warehouse_id)),
            holds=holds(t, (x.item_id, x.warehouse_id)),
        )
    return found


async def drop(t: Tables, listing_ids: Sequence[int]) -> None:
    for one in listing_ids:
        t.outbox.pop(one, None)


async def park(t: Tables, parked: Sequence[tuple[int, int, str]], now: datetime) -> None:
    for one, version, reason in parked:
        row = t.outbox.get(one)
        if row is not None and row.version == version:
            row.parked_at, row.reason = now, reason


async def postpone(t: Tables, rows: Sequence[tuple[int, datetime, int, str]]) -> dict[int, int]:
    found = {}
    for one, not_before, cap, reason in rows:
        row = t.outbox.get(one)
        if row is not None:
            row.tries += 1
            row.not_before, row.batch_cap, row.reason = not_before, cap, reason
            found[one] = row.tries
    return found


async def put_off(t: Tables, listing_id: int, not_before: datetime, reason: str) -> None:
    row = t.outbox.get(listing_id)
    if row is not None:
        row.not_before, row.reason = not_before, reason


async def pull_back(t: Tables, channel_id: int, now: datetime) -> None:
    pulled(t, channel_id, now + LONGEST_PAUSE)


def pulled(t: Tables, channel_id: int, latest: datetime) -> None:
    """Nothing of a channel is put off for longer."""
    rows: list[Any] = [r for r in t.outbox.values() if r.channel_id == channel_id]
    rows += [r for r in t.attempts.values() if r.channel_id == channel_id]
    rows += [r for r in t.looks.values() if r.channel_id == channel_id]
    rows += [r for (channel, _), r in t.order_looks.items() if channel == channel_id]
    for row in rows:
        row.not_before = min(row.not_before, latest)


async def due(
    t: Tables,
    channel_id: int,
    now: datetime,
    busy_attempts: Sequence[UUID],
    busy_looks: Sequence[int],
    read_first: Sequence[int] = (),
) -> Due:
    attempts = {k: a for k, a in t.attempts.items() if a.channel_id == channel_id}
    orders = [row for key, row in t.order_looks.items() if key[0] == channel_id]
    looks = {one: row for one, row in t.looks.items() if row.channel_id == channel_id}
    owed = {
        one: o for one, o in t.outbox.items() if o.channel_id == channel_id and o.parked_at is None
    }
    put_off = [o for o in owed.values() if o.tries > 0]
    waiting = (*attempts.values(), *orders, *looks.values(), *put_off)
    ripe = [
        x.due_at
        for x in t.stretches.values()
        if x.channel_id == channel_id and x.due_at is not None
    ]
    next_at = [row.not_before for row in waiting] + ripe
    return made(
        Due,
        attempts=any(a.not_before <= now and k not in busy_attempts for k, a in attempts.items()),
        orders=any(row.not_before <= now for row in orders),
        looks=any(
            row.not_before <= now and t.shelves[one].attempt_id is None and one not in busy_looks
            for one, row in looks.items()
        ),
        writes=any(_due(t, one, now) and one not in read_first for one in owed),
        blocked=any(o.not_before <= now for one, o in owed.items() if one in read_first),
        edits=any(at <= now for at in ripe),
        next_at=min((at for at in next_at if at > now), default=None),
    )
