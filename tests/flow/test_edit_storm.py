"""Storms of edits end right but for what is asked; a deviation planted in the lane's code must be seen.

SYNCD_EDIT_STORM_SEEDS=N runs seeds 0 to N-1. A failing seed says what went wrong; put it into
SEEDS_ONCE_FAILED and mend the cause.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

import pytest

from syncd.db.attempts import OpenRow
from syncd.db.pool import Database
from syncd.fanout.followed import Followed
from syncd.lane.inferring import Inferring
from syncd.lane.settling import Settling
from syncd.lane.writing import Writing
from syncd.stock import edits
from syncd.stock.histories import Verdict
from syncd.stock.stretches import Margins, OrderStep, Seen, Stretch
from tests.flow import test_edits
from tests.flow.conftest import Databases
from tests.flow.edit_storm import run_edit_storm
from tests.flow.town import Town

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
Patch = pytest.MonkeyPatch


def writes_begin_no_stretch(patch: Patch) -> None:
    patch.setattr(Followed, "answered_write", lambda *_, **__: None)


def a_silent_write_was_answered(patch: Patch) -> None:
    def answered(self: Followed, value: int, *, late: bool) -> None:
        assert self.open is not None
        self.answered_write(self.open.over_there(self.now), value)

    patch.setattr(Followed, "silent_write", answered)


def a_wait_is_not_read(patch: Patch) -> None:
    async def over(*_: object) -> bool:
        return True

    patch.setattr(Inferring, "watched", over)


def order_steps_are_not_heard(patch: Patch) -> None:
    patch.setattr(Followed, "hear", lambda *_: None)


def a_crash_is_forgotten(patch: Patch) -> None:
    """What a daemon had under way when it ended is taken for not sent."""
    unclear = Writing._unclear

    async def not_sent(self: Writing, rows: Sequence[OpenRow], reason: str) -> None:
        if reason == "the daemon ended during this write" and not self._keyed:
            await Settling.not_sent(self._settling, rows, self.lease_gen)
        else:
            await unclear(self, rows, reason)

    patch.setattr(Writing, "_unclear", not_sent)


def what_has_two_answers_is_booked(patch: Patch) -> None:
    verdict = edits.verdict

    def booked(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Verdict:
        found = verdict(stretch, steps, margins)
        return Verdict((found.proposal,), found.proposal)

    patch.setattr(edits, "verdict", booked)


def clocks_are_ours(patch: Patch) -> None:
    """Readings are dated by our clock, orders by the platform's."""
    read = Followed.read

    def ours(self: Followed, seen: Seen, read_at: datetime) -> None:
        read(self, Seen(read_at, seen.value), read_at)

    patch.setattr(Followed, "read", ours)


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
    databases: Databases, monkeypatch: Patch, plant: Callable[[Patch], None]
) -> None:
    plant(monkeypatch)
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
    monkeypatch: Patch,
    plant: Callable[[Patch], None],
    flow: Callable[[Town], Awaitable[None]],
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        await flow(plan)
