"""Canaries: each known deviation, planted in the production function, must make something end wrong.

Either a storm, or, where its sweeps mend the harm in the end, the directed flow that shows the harm
while it lasts. A deviation that nothing notices means that these tests have gone blind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest

from syncd.db import inbox
from syncd.lane import claiming
from tests.flow import test_blind, test_levels
from tests.flow.conftest import Databases
from tests.flow.storm import run_storm
from tests.flow.town import Town
from tests.rules.simulator.canaries import (
    Patch,
    a_lost_answer_goes_again_under_a_new_key,
    a_matching_value_confirms,
    a_time_out_counts_as_not_applied,
    orders_are_arithmetic,
    readings_are_booked_whatever_their_turn,
    shown_is_forgotten_at_claim,
)

SEEDS = range(100)
"""Within so many storms every deviation must have shown itself; most do in the first."""


def a_blind_raise_does_not_wait_for_orders(patch: Patch) -> None:
    patch(claiming, "needs_orders_first", lambda **_: False)


def events_are_arithmetic_and_come_twice(patch: Patch) -> None:
    """Dedupe removed, and every message of an order deducts what it says."""
    store, numbers = inbox.store, count(1)

    async def every_one(conn: Any, events: Sequence[inbox.NewEvent], now: Any) -> int:
        fresh = [
            msgspec.structs.replace(e, digest=next(numbers).to_bytes(16, "big")) for e in events
        ]
        return await store(conn, fresh, now)

    patch(inbox, "store", every_one)
    orders_are_arithmetic(patch)


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
    databases: Databases, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Patch], None]
) -> None:
    plant(monkeypatch.setattr)
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
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[Patch], None],
    flow: Callable[[Town, str], Awaitable[None]],
    where: str,
) -> None:
    plant(monkeypatch.setattr)
    with pytest.raises(AssertionError):
        await flow(town, where)


async def test_a_reading_of_another_turn_is_caught(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a store stamps its counts the stamps would catch it too."""
    readings_are_booked_whatever_their_turn(monkeypatch.setattr)
    with pytest.raises(AssertionError):
        await test_levels.test_a_reading_is_dropped_when_a_write_was_made_meanwhile(town, False)
