"""Twins of `syncd.db.attempts`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from syncd.db.attempts import Locked, OpenRow
from syncd.db.outbox import LONGEST_PAUSE
from tests.rules.simulator.tables import AttemptNow, StoredRow, Tables, made
from tests.rules.simulator.twins.outbox import pulled
from tests.rules.simulator.twins.shelf import distinct


async def open_attempt(t: Tables, attempt: Any, lease_gen: int, rows: Sequence[Any]) -> bool:
    if t.channels[attempt.channel_id].lease_gen != lease_gen:
        return False
    distinct([r.listing_id for r in rows])
    stored = []
    for r in rows:
        s = t.shelves[r.listing_id]
        assert s.attempt_id is None, f"listing {r.listing_id} has an open attempt already"
        turn = t.next_turn()
        stored.append(
            StoredRow(
                r.listing_id,
                r.from_quantity,
                r.to_quantity,
                r.level,
                r.version,
                r.received_at,
                turn,
            )
        )
        s.attempt_id, s.turn = attempt.id, turn
    t.attempts[attempt.id] = AttemptNow(
        attempt.channel_id,
        str(attempt.op),
        lease_gen,
        attempt.created_at,
        attempt.not_before,
        stored,
    )
    return bool(rows)


async def take_lane(t: Tables, channel_id: int, now: datetime) -> int:
    channel = t.channels[channel_id]
    channel.lease_gen += 1
    for attempt in t.attempts.values():
        if attempt.channel_id == channel_id:
            attempt.lease_gen = channel.lease_gen
            if attempt.times_sent == 0:
                attempt.not_before = min(attempt.not_before, now)
    pulled(t, channel_id, now + LONGEST_PAUSE)
    return channel.lease_gen


async def open_due(
    t: Tables, channel_id: int, now: datetime, busy: Sequence[UUID]
) -> list[OpenRow]:
    able = [
        (a.not_before, key)
        for key, a in t.attempts.items()
        if a.channel_id == channel_id and a.not_before <= now and key not in busy
    ]
    if not able:
        return []
    key = min(able, key=lambda pair: pair[0])[1]
    a = t.attempts[key]
    found = []
    for r in a.rows:
        x = t.listings[r.listing_id]
        found.append(
            made(
                OpenRow,
                attempt_id=key,
                op=a.op,
                created_at=a.created_at,
                times_sent=a.times_sent,
                last_sent_at=a.last_sent_at,
                listing_id=r.listing_id,
                remote=x.remote,
                location=x.location,
                sku=x.sku,
                batch_group=x.batch_group,
                from_quantity=r.from_quantity,
                to_quantity=r.to_quantity,
                level=r.level,
                version=r.version,
                received_at=r.received_at,
            )
        )
    return found


async def sent(
    t: Tables, attempt_id: UUID, now: datetime, not_before: datetime, lease_gen: int
) -> bool:
    a = t.attempts.get(attempt_id)
    if a is None or a.lease_gen != lease_gen:
        return False
    a.times_sent += 1
    a.last_sent_at, a.not_before = now, not_before
    return True


async def lock_attempt(t: Tables, attempt_id: UUID, lease_gen: int) -> dict[int, Locked]:
    a = t.attempts.get(attempt_id)
    if a is None or a.lease_gen != lease_gen:
        return {}
    found = {}
    for r in sorted(a.rows, key=lambda r: r.listing_id):
        s = t.shelves[r.listing_id]
        found[r.listing_id] = made(
            Locked,
            listing_id=r.listing_id,
            undisturbed=s.turn == r.turn,
            shown=s.shown,
            shown_at=s.shown_at,
        )
    return found


async def settle(t: Tables, attempt_id: UUID, rows: Sequence[Any]) -> None:
    t.attempts.pop(attempt_id, None)
    for r in rows:
        owed = t.outbox.get(r.listing_id)
        if owed is not None and owed.version == r.applied:
            del t.outbox[r.listing_id]
        s = t.shelves[r.listing_id]
        if r.changed:
            s.shown, s.shown_at, s.surprised_at = r.shown, r.shown_at, None
        if r.stale:
            s.stale_times += 1
        elif r.changed:
            s.stale_times = 0
        s.attempt_id, s.lag_asks, s.turn = None, 0, t.next_turn()
