"""Twins of `syncd.db.stretches`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from syncd.db.stretches import Before
from syncd.stock.stretches import End, OrderStep
from tests.rules.simulator.tables import Tables


def _of(t: Tables, listing: int) -> list[Any]:
    """The kept stretches of a listing, in order."""
    return [t.stretches[key] for key in sorted(t.stretches) if key[0] == listing]


def _open(t: Tables, listing: int) -> Any:
    return next((x for x in _of(t, listing) if x.stretch.end_kind is End.OPEN), None)


async def load(t: Tables, spans: dict[int, Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for listing, span in spans.items():
        found[listing] = []
        for one in _of(t, listing):
            s = one.stretch
            waits = s.end_kind is End.OPEN or not s.settled or s.in_suspense
            touched = span is not None and s.b is not None and s.t0 <= span[1] and s.b >= span[0]
            if waits or touched:
                found[listing].append(one)
    return found


async def steps(t: Tables, since: dict[int, datetime]) -> dict[int, list[OrderStep]]:
    return {
        listing: sorted(
            (step for of, step in t.steps if of == listing and step.last >= first),
            key=lambda step: step.at,
        )
        for listing, first in since.items()
    }


async def note(t: Tables, news: Sequence[tuple[int, OrderStep]]) -> None:
    t.steps += news


async def keep(t: Tables, rows: Sequence[Any]) -> None:
    for one in rows:
        t.stretches[one.stretch.listing, one.stretch.t0] = one
    for listing in {one.stretch.listing for one in rows}:
        opened = [x for x in _of(t, listing) if x.stretch.end_kind is End.OPEN]
        assert len(opened) <= 1, f"listing {listing} has several open stretches"


async def drop(t: Tables, gone: Sequence[tuple[int, datetime]]) -> None:
    for key in gone:
        t.stretches.pop(key, None)


async def follow(t: Tables, marks: Sequence[tuple[int, bool, bool]]) -> None:
    for listing, followed, held in marks:
        t.shelves[listing].followed, t.shelves[listing].held = followed, held


async def due(t: Tables, channel_id: int, now: datetime, limit: int) -> list[int]:
    found = [
        (x.due_at, x.stretch.listing)
        for x in t.stretches.values()
        if x.channel_id == channel_id and x.due_at is not None and x.due_at <= now
    ]
    return sorted({listing for _, listing in sorted(found)[:limit]})


async def open_of(t: Tables, channel_id: int) -> list[int]:
    return sorted(
        x.stretch.listing
        for x in t.stretches.values()
        if x.channel_id == channel_id and x.stretch.end_kind is End.OPEN
    )


async def unfollowed(t: Tables, channel_id: int) -> list[int]:
    return sorted(
        x.id
        for x in t.listings.values()
        if x.channel_id == channel_id
        and t.shelves[x.id].followed
        and x.gone_at is None
        and _open(t, x.id) is None
    )


async def surprising(t: Tables, listing_ids: Sequence[int]) -> list[int]:
    found = []
    for listing in sorted(listing_ids):
        one = _open(t, listing)
        if one is not None and one.stretch.proposal != one.stretch.booked:
            found.append(listing)
    return found


async def before(t: Tables, listing_ids: Sequence[int]) -> dict[int, Before]:
    found = {}
    for listing in listing_ids:
        one = _open(t, listing)
        waits = False
        if one is not None and one.stretch.late_until is not None:
            s = one.stretch
            newest = s.watch[-1].at if s.watch else s.t0
            waits = newest <= s.late_until
        read_at = one.read_at if one is not None else None
        found[listing] = Before(listing, t.shelves[listing].held, read_at, waits)
    return found


async def put_off(
    t: Tables, channel_id: int, due: datetime, due_at: datetime, *, later: bool = False
) -> None:
    for key, one in t.stretches.items():
        if one.channel_id == channel_id and one.due_at is not None and (one.due_at > due) is later:
            t.stretches[key] = type(one)(
                one.stretch, one.channel_id, one.read_at, one.ahead, due_at
            )


async def suspense_ask(t: Tables, question: Any, now: datetime) -> None:
    t.questions[question.listing_id, question.t0] = question


async def suspense_leave(
    t: Tables, listing_id: int, t0: datetime, resolution: str, now: datetime
) -> None:
    t.questions.pop((listing_id, t0), None)


async def attempts_put_off(
    t: Tables, attempt_id: Any, not_before: datetime, lease_gen: int
) -> None:
    a = t.attempts.get(attempt_id)
    if a is not None and a.lease_gen == lease_gen:
        a.not_before = not_before
