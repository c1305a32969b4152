"""Settling and claiming, decision by decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.stock.claims import Ready, Way, batch, way
from syncd.stock.decide import Rank, SpentKey
from syncd.stock.settle import (
    After,
    Next,
    Outcome,
    Sent,
    answered,
    lands_until,
    next_of,
    smaller_batch,
    spent,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SET, DELTA = Sent(10, 7, delta=False), Sent(10, 7, delta=True)


@pytest.mark.parametrize(
    ("times_sent", "age_s", "life_s", "expected"),
    [
        (0, 5, 0.0, Next.WAIT),
        (1, 5, 0.0, Next.READ),
        (0, 5, 60.0, Next.SEND),
        (9, 60, 60.0, Next.SEND),
        (9, 61, 60.0, Next.SPENT),
        (0, 61, 60.0, Next.SPENT),
    ],
)
def test_what_an_open_write_needs(
    times_sent: int, age_s: int, life_s: float, expected: Next
) -> None:
    assert next_of(times_sent, NOON, NOON + age_s * SECOND, life_s) is expected


@pytest.mark.parametrize(
    ("sent", "outcome", "stamp", "shown", "undisturbed", "blind", "expected"),
    [
        (SET, Outcome.APPLIED, None, 10, True, False, After(7, None)),
        (SET, Outcome.APPLIED, None, 10, True, True, After(7, NOON)),
        (SET, Outcome.APPLIED, NOON - SECOND, 10, True, True, After(7, NOON - SECOND)),
        (DELTA, Outcome.APPLIED, None, 12, False, False, After(9, None)),
        (DELTA, Outcome.APPLIED, None, None, False, False, After(7, None)),
        (SET, Outcome.STALE, None, 10, True, False, None),
        (SET, Outcome.UNNAMED, None, 10, True, False, None),
        (SET, Outcome.UNNAMED, None, 10, True, True, After(None, None)),
        (SET, Outcome.NOT_APPLIED, None, 10, True, True, None),
        (SET, Outcome.NOT_APPLIED, None, 10, False, True, After(None, None)),
        (SET, Outcome.REFUSED, None, 10, False, False, None),
    ],
)
def test_what_a_shelf_shows_after_an_answer(
    sent: Sent,
    outcome: Outcome,
    stamp: datetime | None,
    shown: int | None,
    undisturbed: bool,
    blind: bool,
    expected: After | None,
) -> None:
    after = answered(
        sent, outcome, stamp, shown=shown, undisturbed=undisturbed, blind=blind, now=NOON
    )
    assert after == expected


def test_a_spent_key_is_read_for_when_its_last_sending_can_land_no_more() -> None:
    later = NOON + 31 * SECOND
    until = lands_until(NOON + 29 * SECOND, 30.0)
    assert next_of(3, NOON, later, 30.0, until) is Next.LANDS
    assert next_of(3, NOON, NOON + 59 * SECOND, 30.0, until) is Next.SPENT
    assert next_of(0, NOON, later, 30.0, lands_until(None, 30.0)) is Next.SPENT


def test_a_spent_key_leaves_two_amounts_and_proposes_none_where_the_stamp_is_clear() -> None:
    found = spent(SET, 10, 7, NOON, NOON - SECOND, NOON + SECOND, 2.5)
    assert (found.verdict, found.candidates, found.proposal) == (SpentKey.APPLIED, (-3, 0), 0)
    found = spent(SET, 10, 8, NOON, NOON - SECOND, NOON + SECOND, 2.5)
    assert (found.verdict, found.candidates, found.proposal) == (SpentKey.UNCLEAR, (-2, 1), 1)


def test_batches_are_halved_down_to_one() -> None:
    assert [smaller_batch(size) for size in (50, 25, 3, 2, 1)] == [25, 12, 1, 1, 1]


@pytest.mark.parametrize(
    ("target", "shown", "compared", "forced", "stale_times", "looking", "expected"),
    [
        (7, 10, True, False, 0, False, Way(Rank.FALL, 3, delta=False)),
        (7, 10, True, False, 2, False, Way(Rank.FALL, 3, delta=True)),
        (7, 10, True, False, 0, True, Way(Rank.FALL, 3, delta=True)),
        (7, 10, False, False, 2, True, Way(Rank.FALL, 3, delta=False)),
        (7, 7, True, True, 0, False, None),
        (7, 7, False, False, 0, False, None),
        (7, 7, False, True, 0, False, Way(Rank.FALL, 0, delta=False)),
        (0, 1, False, False, 0, False, Way(Rank.ZERO, 1, delta=False)),
    ],
)
def test_how_a_delivery_is_written(
    target: int,
    shown: int,
    compared: bool,
    forced: bool,
    stale_times: int,
    looking: bool,
    expected: Way | None,
) -> None:
    found = way(
        target, shown, compared=compared, forced=forced, stale_times=stale_times, looking=looking
    )
    assert found == expected


def ready(rank: Rank, risk: int = 0, age_s: int = 0, group: str = "", cap: int = 100) -> Ready:
    return Ready(Way(rank, risk, delta=False), NOON - age_s * SECOND, group, cap)


def test_a_batch_is_the_most_urgent_that_share_a_write_and_what_starves_comes_first() -> None:
    rise, fall, zero = ready(Rank.RISE), ready(Rank.FALL, 3), ready(Rank.ZERO, 1)
    assert batch([], NOON, 9) == []
    assert batch([rise, fall, zero], NOON, 2) == [2, 1]
    assert batch([zero, ready(Rank.RISE, age_s=31)], NOON, 1) == [1]
    assert batch([fall, ready(Rank.FALL, 5)], NOON, 9) == [1, 0]
    assert batch([zero, ready(Rank.ZERO, group="b")], NOON, 9) == [0]
    assert batch([ready(Rank.ZERO, cap=1), ready(Rank.ZERO, cap=1)], NOON, 9) == [0]
    delta = Ready(Way(Rank.ZERO, 9, delta=True), NOON, "", 100)
    assert batch([zero, delta, fall], NOON, 9) == [1]
