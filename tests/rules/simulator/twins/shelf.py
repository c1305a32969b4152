"""Twins of `syncd.db.shelf`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from syncd.db.shelf import Hinted, Look, Shelf
from tests.rules.simulator.tables import LookRow, Tables, made


def least(*values: Any) -> Any:
    """The least that is not null, as SQL has it."""
    return min((v for v in values if v is not None), default=None)


def distinct(ids: Sequence[Any]) -> None:
    """An upsert that meets a row twice is an error."""
    assert len(set(ids)) == len(ids), f"met twice: {ids}"


async def lock(
    t: Tables,
    listing_ids: Sequence[int],
    levels: Sequence[tuple[int, int]],
    *,
    moving: Sequence[int] = (),
    hinted: Sequence[tuple[int, str, str]] = (),
) -> list[Shelf]:
    ids = set(listing_ids)
    keys = set(levels)
    for one in listing_ids:
        listing = t.listings.get(one)
        if listing is None or listing.channel_id not in moving:
            continue
        if listing.item_id is not None and listing.warehouse_id is not None:
            keys.add((listing.item_id, listing.warehouse_id))
    if keys:
        ids.update(x.id for x in t.listings.values() if (x.item_id, x.warehouse_id) in keys)
    for hint in hinted:
        ids.update(_named(t, hint))
    rows = []
    for one in sorted(ids):
        s, x = t.shelves.get(one), t.listings.get(one)
        if s is None or x is None:
            continue
        rows.append(
            made(
                Shelf,
                listing_id=one,
                channel_id=x.channel_id,
                location=x.location,
                sku=x.sku,
                item_id=x.item_id,
                warehouse_id=x.warehouse_id,
                managed=x.managed,
                skip=x.skip,
                gone=x.gone_at is not None,
                shown=s.shown,
                shown_at=s.shown_at,
                turn=s.turn,
                attempt_open=s.attempt_id is not None,
                lag_asks=s.lag_asks,
                followed=s.followed,
                held=s.held,
                quarantined=s.quarantined,
            )
        )
    return rows


def _named(t: Tables, hint: tuple[int, str, str]) -> list[int]:
    channel, location, remote = hint
    if location:
        found = t.named.get((channel, location, remote))
        return [] if found is None else [found]
    return [x.id for x in t.listings.values() if x.channel_id == channel and x.remote == remote]


async def change(t: Tables, changes: Sequence[Any]) -> None:
    distinct([c.listing_id for c in changes])
    for c in changes:
        s = t.shelves[c.listing_id]
        s.shown, s.shown_at, s.lag_asks = c.shown, c.shown_at, c.lag_asks
        if c.surprised_at is not None:
            s.surprised_at = c.surprised_at
        s.turn = t.next_turn()


async def count_lag(t: Tables, listing_ids: Sequence[int]) -> None:
    for one in listing_ids:
        t.shelves[one].lag_asks += 1


async def next_turn(t: Tables) -> int:
    return t.next_turn()


async def wish(
    t: Tables,
    listing_ids: Sequence[int],
    reason: str,
    now: datetime,
    *,
    not_before: datetime | None = None,
    received_at: Sequence[datetime | None] | None = None,
    asked_turn: int = 0,
) -> None:
    distinct(listing_ids)
    due = not_before or now
    received = received_at or [None] * len(listing_ids)
    for one, at in sorted(zip(listing_ids, received, strict=True), key=lambda pair: pair[0]):
        listing = t.listings.get(one)
        if listing is None or listing.gone_at is not None:
            continue
        turn = t.next_turn()
        row = t.looks.get(one)
        if row is None:
            t.looks[one] = LookRow(listing.channel_id, turn, reason, at, now, due)
            continue
        row.not_before = due if row.wish <= asked_turn else min(row.not_before, due)
        row.wish = t.next_turn()
        row.received_at = least(row.received_at, at)
        row.expected = None


async def hint(
    t: Tables,
    hints: Sequence[tuple[int, str, str, int | None, datetime | None]],
    now: datetime,
    patience_s: Sequence[float],
) -> Hinted:
    unknown = echoes = 0
    wanted: dict[int, list[tuple[datetime | None, float, int | None]]] = {}
    for (channel, location, remote, quantity, at), patience in zip(hints, patience_s, strict=True):
        there = [
            i
            for i in _named(t, (channel, location, remote))
            if t.listings[i].gone_at is None and i in t.shelves
        ]
        unknown += not there
        for one in there:
            s = t.shelves[one]
            if s.attempt_id is None and s.shown is not None and quantity == s.shown:
                echoes += 1
            else:
                expected = quantity if patience > 0 else None
                wanted.setdefault(one, []).append((at, patience, expected))
    channels = set()
    for one in sorted(wanted):
        found = wanted[one]
        at = least(*(x[0] for x in found))
        due = now + timedelta(seconds=max(x[1] for x in found))
        expected = least(*(x[2] for x in found))
        turn = t.next_turn()
        row = t.looks.get(one)
        channel = t.listings[one].channel_id
        channels.add(channel)
        if row is None:
            t.looks[one] = LookRow(channel, turn, "hint", at, now, due, expected)
            continue
        row.wish = t.next_turn()
        row.not_before = min(row.not_before, due)
        row.expected = expected if row.expected is not None else None
        row.received_at = least(row.received_at, at)
    return Hinted(unknown, echoes, sorted(channels))


async def fulfilled(t: Tables, channel_id: int, now: datetime) -> None:
    for one, row in list(t.looks.items()):
        s = t.shelves[one]
        due = row.channel_id == channel_id and row.not_before <= now and s.attempt_id is None
        if due and row.expected is not None and row.expected == s.shown:
            del t.looks[one]


async def due_looks(
    t: Tables, channel_id: int, now: datetime, limit: int, busy: Sequence[int]
) -> list[Look]:
    due = [
        (row.not_before, one)
        for one, row in t.looks.items()
        if row.channel_id == channel_id
        and row.not_before <= now
        and t.shelves[one].attempt_id is None
        and one not in busy
    ]
    if not due:
        return []
    turn = t.next_turn()
    due.sort()
    return [
        _look(t, one, t.looks[one].wish, t.looks[one].received_at, turn, t.looks[one].reason)
        for _, one in due[:limit]
    ]


def _look(
    t: Tables, one: int, wish: int, received_at: datetime | None, turn: int, reason: str
) -> Look:
    x = t.listings[one]
    return made(
        Look,
        listing_id=one,
        wish=wish,
        remote=x.remote,
        location=x.location,
        sku=x.sku,
        batch_group=x.batch_group,
        received_at=received_at,
        turn=turn,
        shown=t.shelves[one].shown,
        reason=reason,
    )


async def confirm(
    t: Tables, readings: Sequence[tuple[int, int, datetime | None]], asked_turn: int
) -> set[int]:
    same = set()
    for one, quantity, at in sorted(readings, key=lambda reading: reading[0]):
        s = t.shelves[one]
        if s.shown != quantity or s.turn > asked_turn or s.attempt_id is not None:
            continue
        if one in t.outbox:
            continue
        same.add(one)
        if at is not None and (s.shown_at is None or at > s.shown_at):
            s.shown_at, s.turn = at, t.next_turn()
        if one in t.looks and t.looks[one].wish <= asked_turn:
            del t.looks[one]
    return same


async def owed_looks(
    t: Tables, channel_id: int, now: datetime, limit: int, busy: Sequence[int]
) -> list[Look]:
    due = [
        (o.rank, o.owed_at, one)
        for one, o in t.outbox.items()
        if o.channel_id == channel_id
        and o.parked_at is None
        and o.not_before <= now
        and t.shelves[one].attempt_id is None
        and one not in busy
    ]
    if not due:
        return []
    turn = t.next_turn()
    due.sort()
    return [_look(t, one, 0, None, turn, "owed") for _, _, one in due[:limit]]


async def postpone_looks(t: Tables, listing_ids: Sequence[int], not_before: datetime) -> None:
    for one in listing_ids:
        if one in t.looks:
            t.looks[one].not_before = not_before


async def looked(t: Tables, listing_ids: Sequence[int], asked_turn: int) -> None:
    for one in listing_ids:
        row = t.looks.get(one)
        if row is not None and row.wish <= asked_turn:
            del t.looks[one]
