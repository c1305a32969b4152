"""The decisions about a listing, as tables: what a reading means, what is owed, what may go out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.decide import (
    LAG_ASKS,
    Meaning,
    Rank,
    ShelfNow,
    SpentKey,
    announced_now,
    is_raise,
    meaning,
    needs_orders_first,
    owed,
    predicted,
    spent_key,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUANTITY = st.integers(-1000, 1000)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("shelf", "observed", "at", "turn", "means"),
    [
        (ShelfNow(5, NOON, 7, attempt_open=True), 5, after(1), 9, Meaning.DROPPED),
        (ShelfNow(5, NOON, 7, attempt_open=False), 5, after(1), 6, Meaning.DROPPED),
        (ShelfNow(5, NOON, 7, attempt_open=False), 4, after(1), 6, Meaning.DROPPED),
        (ShelfNow(5, NOON, 7, attempt_open=False), 5, after(1), 7, Meaning.SAME),
        (ShelfNow(5, NOON, 7, attempt_open=False), 4, after(1), 7, Meaning.DIFFERS),
        (ShelfNow(5, NOON, 7, attempt_open=False), 4, NOON, 7, Meaning.DIFFERS),
        (ShelfNow(5, NOON, 7, attempt_open=False), 4, after(-1), 7, Meaning.LAGGING),
        (ShelfNow(5, NOON, 7, attempt_open=False), 5, after(-1), 7, Meaning.SAME),
        (ShelfNow(5, NOON, 7, False, LAG_ASKS - 1), 4, after(-1), 7, Meaning.LAGGING),
        (ShelfNow(5, NOON, 7, False, LAG_ASKS), 4, after(-1), 7, Meaning.DIFFERS),
        (ShelfNow(5, NOON, 7, attempt_open=False), 4, None, 7, Meaning.DIFFERS),
        (ShelfNow(5, None, 7, attempt_open=False), 4, after(-1), 7, Meaning.DIFFERS),
        (ShelfNow(None, None, 7, attempt_open=False), 4, after(1), 7, Meaning.BASELINE),
        (ShelfNow(None, None, 7, attempt_open=False), 0, None, 7, Meaning.BASELINE),
        (ShelfNow(0, NOON, 7, attempt_open=False), 0, after(1), 7, Meaning.SAME),
    ],
)
def test_what_a_reading_means(
    shelf: ShelfNow, observed: int, at: datetime | None, turn: int, means: Meaning
) -> None:
    assert meaning(shelf, observed, at, turn) is means


@pytest.mark.parametrize(
    ("target", "shown", "attempt_open", "rank", "risk"),
    [
        (0, 5, False, Rank.ZERO, 5),
        (3, 5, False, Rank.FALL, 2),
        (5, 3, False, Rank.RISE, 0),
        (5, 5, True, Rank.RISE, 0),
        (0, None, False, Rank.ZERO, 0),
        (3, None, False, Rank.FALL, 0),
    ],
)
def test_what_is_owed(
    target: int, shown: int | None, attempt_open: bool, rank: Rank, risk: int
) -> None:
    found = owed(target, shown, attempt_open=attempt_open)
    assert found is not None
    assert (found.rank, found.risk) == (rank, risk)


def test_nothing_is_owed_where_the_target_is_shown_for_certain() -> None:
    assert owed(5, 5, attempt_open=False) is None


@given(QUANTITY, st.none() | QUANTITY, st.booleans())
def test_what_is_shown_too_high_never_waits_behind_what_is_too_low(
    target: int, shown: int | None, attempt_open: bool
) -> None:
    found = owed(target, shown, attempt_open=attempt_open)
    if shown is not None and target < shown:
        assert found is not None
        assert found.rank < Rank.RISE
        assert found.risk == shown - target
    if found is None:
        assert target == shown
        assert not attempt_open
    assert is_raise(target, shown) == (shown is None or target > shown)


@pytest.mark.parametrize(
    ("blind", "raises", "asked", "waits"),
    [
        (True, True, None, True),
        (True, True, after(-1), True),
        (True, True, NOON, True),
        (True, True, after(1), False),
        (True, False, None, False),
        (False, True, None, False),
    ],
)
def test_when_a_raise_waits_for_orders(
    blind: bool, raises: bool, asked: datetime | None, waits: bool
) -> None:
    found = needs_orders_first(blind=blind, raises=raises, changed_at=NOON, orders_asked_at=asked)
    assert found is waits


@pytest.mark.parametrize(
    ("shelf", "at", "value", "certain"),
    [
        (ShelfNow(10, NOON, 1, attempt_open=False), after(5), 8, True),
        (ShelfNow(10, NOON, 1, attempt_open=False), after(-5), 10, True),
        (ShelfNow(10, NOON, 1, attempt_open=False), after(1), 8, False),
        (ShelfNow(10, NOON, 1, attempt_open=False), after(-1), 8, False),
        (ShelfNow(10, None, 1, attempt_open=False), after(5), 8, False),
        (ShelfNow(None, None, 1, attempt_open=False), after(5), None, False),
        (ShelfNow(10, NOON, 1, attempt_open=True), after(5), 10, False),
    ],
)
def test_what_a_shelf_shows_after_an_order_step(
    shelf: ShelfNow, at: datetime, value: int | None, certain: bool
) -> None:
    assert predicted(shelf, 2, (at, at), margin_s=2.5) == (value, certain)


@pytest.mark.parametrize(
    ("first", "last", "value", "certain"),
    [
        (after(5), after(60), 8, True),
        (after(-60), after(-5), 10, True),
        (after(-60), after(60), 8, False),
        (after(-60), after(-1), 8, False),
        (after(1), after(60), 8, False),
    ],
)
def test_a_step_of_unknown_time_is_certain_only_where_all_of_its_span_is(
    first: datetime, last: datetime, value: int, certain: bool
) -> None:
    shelf = ShelfNow(10, NOON, 1, attempt_open=False)
    assert predicted(shelf, 2, (first, last), margin_s=2.5) == (value, certain)


@pytest.mark.parametrize(
    ("observed", "at", "verdict"),
    [
        (5, after(1), SpentKey.APPLIED),
        (5, after(-2), SpentKey.APPLIED),
        (5, after(62), SpentKey.APPLIED),
        (5, after(-3), SpentKey.UNCLEAR),
        (5, after(63), SpentKey.UNCLEAR),
        (8, after(-3), SpentKey.NOT_APPLIED),
        (8, after(1), SpentKey.UNCLEAR),
        (6, after(1), SpentKey.UNCLEAR),
        (5, None, SpentKey.UNCLEAR),
        (8, None, SpentKey.UNCLEAR),
    ],
)
def test_what_a_reading_says_of_a_write_whose_key_is_spent(
    observed: int, at: datetime | None, verdict: SpentKey
) -> None:
    assert spent_key(8, 5, observed, at, NOON, after(60), margin_s=2.5) is verdict


@pytest.mark.parametrize(
    ("target", "shown", "now"),
    [
        (14, 10, False),
        (15, 10, True),
        (11, 10, False),
        (10, 10, True),
        (9, 10, True),
        (0, 10, True),
        (1, 0, True),
        (1, -2, True),
        (1, None, True),
    ],
)
def test_only_a_small_rise_of_a_shelf_that_sells_can_wait(
    target: int, shown: int | None, now: bool
) -> None:
    assert announced_now(target, shown, 5) is now
    assert announced_now(target, shown, 0)
