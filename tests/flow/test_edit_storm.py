"""Storms of edits end right but for what is asked; a deviation planted in the lane's code must be seen.

SYNCD_EDIT_STORM_SEEDS=N runs seeds 0 to N-1. A failing seed says what went wrong; put it into
SEEDS_ONCE_FAILED and mend the cause.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import pytest

from syncd.db.attempts import OpenRow
from syncd.db.pool import Database
from syncd.lane.inferring import Inferring
from syncd.lane.settling import Settling
from syncd.lane.writing import Writing
from tests.flow import test_edits
from tests.flow.conftest import Databases
from tests.flow.edit_storm import run_edit_storm
from tests.flow.town import Town
from tests.rules.simulator.canaries import (
    Patch,
    a_silent_write_was_answered,
    clocks_are_ours,
    order_steps_are_not_heard,
    what_has_two_answers_is_booked,
    writes_begin_no_stretch,
)

SEEDS = range(int(os.environ.get("SYNCD_EDIT_STORM_SEEDS", "6")))
SEEDS_ONCE_FAILED: tuple[int, ...] = ()


@pytest.mark.parametrize("seed", dict.fromkeys([*SEEDS_ONCE_FAILED, *SEEDS]))
async def test_a_storm_of_edits_ends_right_but_for_what_is_asked(
    database: Database, seed: int
) -> None:
    wrong, _, edits = await run_edit_storm(database, seed)
    assert wrong == []
    assert edits


# --- canaries ------------------------------------------------------------------------------------

ANY = range(60)


def a_wait_is_not_read(patch: Patch) -> None:
    async def over(*_: object) -> bool:
        return True

    patch(Inferring, "watched", over)


def a_crash_is_forgotten(patch: Patch) -> None:
    """What a daemon had under way when it ended is taken for not sent."""
    unclear = Writing._unclear

    async def not_sent(
        self: Writing, rows: Sequence[OpenRow], reason: str, *, ends: datetime | None = None
    ) -> None:
        if reason == "the daemon ended during this write" and not self._keyed:
            await Settling.not_sent(self._settling, rows, self.lease_gen)
        else:
            await unclear(self, rows, reason, ends=ends)

    patch(Writing, "_unclear", not_sent)


@pytest.mark.parametrize(
    "plant",
    [
        writes_begin_no_stretch,
        a_silent_write_was_answered,
        order_steps_are_not_heard,
        what_has_two_answers_is_booked,
        clocks_are_ours,
    ],
)
async def test_a_storm_of_edits_catches(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Patch], None]
) -> None:
    plant(monkeypatch.setattr)
    for seed in ANY:
        async with databases() as database:
            try:
                wrong, *_ = await run_edit_storm(database, seed)
            except (AssertionError, ValueError) as error:
                wrong = [str(error)]
        if wrong:
            return
    pytest.fail(f"{plant.__name__} went unnoticed in {len(ANY)} storms")


@pytest.mark.parametrize(
    ("plant", "flow"),
    [
        (a_wait_is_not_read, test_edits.test_a_write_nobody_answers_is_watched_and_then_made_again),
        (
            a_crash_is_forgotten,
            test_edits.test_a_daemon_that_dies_between_claim_and_answer_was_silent,
        ),
    ],
)
async def test_a_directed_flow_catches(
    plan: Town,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[Patch], None],
    flow: Callable[[Town], Awaitable[None]],
) -> None:
    plant(monkeypatch.setattr)
    with pytest.raises(AssertionError):
        await flow(plan)
