"""Canaries: each known deviation, planted in the production function, must make something end wrong.

Either a storm, or, where its sweeps mend the harm in the end, the directed flow that shows the harm
while it lasts. A deviation that nothing notices means that these tests have gone blind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from syncd.connectors.base import Ref
from syncd.db import attempts, inbox
from syncd.fanout import orders as booking_orders
from syncd.fanout import readings, states
from syncd.lane import claiming, writing
from syncd.lane.settling import Settling
from syncd.lane.writing import Writing
from syncd.stock.decide import Meaning, ShelfNow, meaning
from syncd.stock.orders import Effect, LineKnown, News
from tests.flow import test_blind, test_levels
from tests.flow.conftest import Databases
from tests.flow.storm import run_storm
from tests.flow.town import Town

SEEDS = range(100)
"""Within so many storms every deviation must have shown itself; most do in the first."""

Patch = pytest.MonkeyPatch


def a_matching_value_confirms(patch: Patch) -> None:
    """A reading equal to what an open attempt wanted closes it as applied."""
    send = Writing._send

    async def deviating(
        self: Writing, rows: Sequence[attempts.OpenRow], *, resumed: bool = False
    ) -> None:
        if rows[0].times_sent and self._keyed:
            refs = [Ref(r.remote, r.location, r.sku, r.batch_group) for r in rows]
            found = await self._channel.connector.read(refs)
            if [x.quantity for x in found] == [r.to_quantity for r in rows]:
                async with self._core.booking("settle") as (conn, booking):
                    await attempts.lock_attempt(conn, rows[0].attempt_id, self.lease_gen)
                    settled = [
                        attempts.Settled(
                            r.listing_id, x.quantity, x.at, changed=True, applied=r.version
                        )
                        for r, x in zip(rows, found, strict=True)
                    ]
                    await attempts.settle(conn, rows[0].attempt_id, settled)
                    booking.lanes.add(self._channel.id)
                return
        await send(self, rows, resumed=resumed)

    patch.setattr(Writing, "_send", deviating)


def shown_is_forgotten_at_claim(patch: Patch) -> None:
    store = attempts.open_attempt

    async def deviating(conn: Any, attempt: Any, lease_gen: int, rows: Any) -> bool:
        opened = await store(conn, attempt, lease_gen, rows)
        await conn.execute("update shelf set shown = null where attempt_id = $1", attempt.id)
        return opened

    patch.setattr(attempts, "open_attempt", deviating)


def a_lost_answer_goes_again_under_a_new_key(patch: Patch) -> None:
    stored = writing.as_write
    patch.setattr(writing, "as_write", lambda rows: replace(stored(rows), key=str(uuid4())))


def a_blind_raise_does_not_wait_for_orders(patch: Patch) -> None:
    patch.setattr(claiming, "needs_orders_first", lambda **_: False)


def a_time_out_counts_as_not_applied(patch: Patch) -> None:
    unclear = Writing._unclear

    async def deviating(self: Writing, rows: Sequence[attempts.OpenRow], reason: str) -> None:
        if self._keyed:
            await unclear(self, rows, reason)
        else:
            await Settling.not_sent(self._settling, rows, self.lease_gen)

    patch.setattr(Writing, "_unclear", deviating)


def readings_are_booked_whatever_their_turn(patch: Patch) -> None:
    def deviating(shelf: ShelfNow, observed: int, at: Any, asked_turn: int) -> Meaning:
        return meaning(replace(shelf, turn=0, attempt_open=False), observed, at, asked_turn)

    patch.setattr(readings, "meaning", deviating)


def events_are_arithmetic_and_come_twice(patch: Patch) -> None:
    """Dedupe removed, and every message of an order deducts what it says."""
    store, numbers = inbox.store, count(1)

    async def every_one(conn: Any, events: Sequence[inbox.NewEvent], now: Any) -> int:
        fresh = [replace(e, digest=next(numbers).to_bytes(16, "big")) for e in events]
        return await store(conn, fresh, now)

    def deducts(line: Any, known: LineKnown | None, *, baseline: bool, **_: Any) -> Effect:
        revision = known.revision + 1 if known else 1
        state = LineKnown(line.taken, line.taken, revision)
        return Effect(state, 0 if baseline else -line.taken, line.taken)

    patch.setattr(inbox, "store", every_one)
    patch.setattr(states, "judge", lambda *_, **__: News.ACCEPT)
    patch.setattr(booking_orders, "effect", deducts)


@pytest.mark.parametrize(
    "plant",
    [
        a_matching_value_confirms,
        shown_is_forgotten_at_claim,
        a_lost_answer_goes_again_under_a_new_key,
        events_are_arithmetic_and_come_twice,
    ],
)
async def test_a_storm_catches(
    databases: Databases, monkeypatch: Patch, plant: Callable[[Patch], None]
) -> None:
    plant(monkeypatch)
    for seed in SEEDS:
        async with databases() as database:
            try:
                wrong = await run_storm(database, seed)
            except AssertionError as error:
                wrong = [str(error)]
        if wrong:
            return
    pytest.fail(f"{plant.__name__} went unnoticed in {len(SEEDS)} storms")


@pytest.mark.parametrize("where", ["sw", "woo"])
@pytest.mark.parametrize(
    ("plant", "flow"),
    [
        (
            a_blind_raise_does_not_wait_for_orders,
            test_blind.test_a_raise_waits_until_orders_were_fetched,
        ),
        (
            a_time_out_counts_as_not_applied,
            test_blind.test_a_write_without_an_answer_waits_for_its_late_window,
        ),
    ],
)
async def test_a_directed_flow_catches(
    town: Town,
    monkeypatch: Patch,
    plant: Callable[[Patch], None],
    flow: Callable[[Town, str], Awaitable[None]],
    where: str,
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        await flow(town, where)


async def test_a_reading_of_another_turn_is_caught(town: Town, monkeypatch: Patch) -> None:
    """Where a store stamps its counts the stamps would catch it too."""
    readings_are_booked_whatever_their_turn(monkeypatch)
    with pytest.raises(AssertionError):
        await test_levels.test_a_reading_is_dropped_when_a_write_was_made_meanwhile(town, False)
