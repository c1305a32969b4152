"""Why shelves drift, and how another writer is told from a shop where much happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.stock.drift import (
    ALTERNATIONS,
    ENDLESS,
    WINDOW,
    Alternation,
    Cause,
    alternated,
    cause_of,
    contested,
)
from syncd.stock.model import Truth

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def played(
    *readings: tuple[int, int], after_write: bool = False, every: timedelta = timedelta(minutes=15)
) -> Alternation:
    """What is known after these (shown, observed), one after the other."""
    found, now = None, NOW
    for shown, observed in readings:
        found = alternated(found, shown, observed, now, after_write=after_write)
        now += every
    assert found is not None
    return found


def test_a_number_that_comes_back_each_time_is_contested() -> None:
    once = [(45, 50)]
    assert not contested(played(*once * (ALTERNATIONS - 1)))
    assert contested(played(*once * ALTERNATIONS))


def test_our_own_number_may_change_meanwhile() -> None:
    assert contested(played(*((45 - n, 50) for n in range(ALTERNATIONS))))


@pytest.mark.parametrize(
    "readings",
    [
        [(45 - n, 44 - n) for n in range(20)],
        [(5, 10), (10, 5)] * 10,
        [(45, 50), (45, 50), (44, 43), (45, 50), (45, 50)],
    ],
    ids=["sales", "a person who cannot decide", "something else between"],
)
def test_what_is_no_pattern_is_never_contested(readings: list[tuple[int, int]]) -> None:
    found = None
    for shown, observed in readings:
        found = alternated(found, shown, observed, NOW, after_write=False)
        assert not contested(found)


def test_what_comes_back_after_long_is_news() -> None:
    assert not contested(played(*[(45, 50)] * 20, every=WINDOW + timedelta(seconds=1)))


def test_a_reading_that_lags_behind_our_write_is_no_pattern() -> None:
    """Seconds long it says the old number, whatever we write."""
    assert not contested(played(*[(0, 4)] * 25, after_write=True, every=timedelta(seconds=1)))


def test_what_never_ends_is_contested_however_fast() -> None:
    fast = timedelta(milliseconds=200)
    assert contested(played(*[(60, 20)] * ENDLESS, after_write=True, every=fast))


def test_causes() -> None:
    assert cause_of(Truth.LEVELS, None) is Cause.MISSED_WEBHOOK
    assert cause_of(Truth.ORDERS, None) is Cause.EDITED
    assert cause_of(Truth.ORDERS, played((45, 50))) is Cause.EDITED
    assert cause_of(Truth.ORDERS, played((45, 50), (45, 50))) is Cause.FOREIGN_WRITER
    clamped = played((1200, 999), (1200, 999), after_write=True)
    assert cause_of(Truth.ORDERS, clamped) is Cause.PLATFORM_CLAMP
