"""Silent channels: who is silent, who is heard again, and how much may be sold unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.hearing import GRACE, Hearing, Judged, judge, unheard_for, unseen

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = 30 * MINUTE
LONG_AGO = NOON - timedelta(days=1)


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


QUIET = Hearing(1, at(-31))
SILENT = Hearing(1, at(-60), silent_from=at(-60), silent_at=at(-30))


@pytest.mark.parametrize(
    ("known", "patience", "began", "judged"),
    [
        (Hearing(1, at(-29)), PATIENCE, LONG_AGO, Judged.HEARD),
        (Hearing(1, at(-30)), PATIENCE, LONG_AGO, Judged.HEARD),
        (QUIET, PATIENCE, LONG_AGO, Judged.FALLS_SILENT),
        (QUIET, None, LONG_AGO, Judged.HEARD),
        (QUIET, PATIENCE, NOON - GRACE, Judged.HEARD),
        (QUIET, PATIENCE, NOON - GRACE - MINUTE, Judged.FALLS_SILENT),
        (SILENT, PATIENCE, LONG_AGO, Judged.SILENT),
        (SILENT, PATIENCE, NOON, Judged.SILENT),
        (SILENT, None, LONG_AGO, Judged.HEARD_AGAIN),
        (replace(SILENT, heard_at=at(-1)), PATIENCE, LONG_AGO, Judged.SPEAKS),
        (
            replace(SILENT, heard_at=at(-1), orders_asked_at=at(-31), swept_at=at(-1)),
            PATIENCE,
            LONG_AGO,
            Judged.SPEAKS,
        ),
        (
            replace(SILENT, heard_at=at(-1), orders_asked_at=at(-2), swept_at=at(-40)),
            PATIENCE,
            LONG_AGO,
            Judged.SPEAKS,
        ),
        (
            replace(SILENT, heard_at=at(-1), orders_asked_at=at(-2), swept_at=at(-1)),
            PATIENCE,
            LONG_AGO,
            Judged.HEARD_AGAIN,
        ),
    ],
)
def test_who_is_silent_and_who_is_heard_again(
    known: Hearing, patience: timedelta | None, began: datetime, judged: Judged
) -> None:
    assert judge(known, patience, NOON, began) is judged


def test_what_was_heard_while_it_was_silent_ends_what_goes_unseen() -> None:
    assert unheard_for(SILENT, Judged.SILENT, NOON) == 60 * MINUTE
    spoke = replace(SILENT, heard_at=at(-10))
    assert unheard_for(spoke, Judged.SPEAKS, NOON) == 50 * MINUTE


@pytest.mark.parametrize(
    ("sold", "hours", "gap", "units"),
    [
        (168, 168, timedelta(hours=1), 1),
        (168, 168, timedelta(hours=1, seconds=1), 2),
        (1, 168, timedelta(seconds=1), 1),
        (84, 168, timedelta(hours=5), 3),
        (84, 168, timedelta(), 0),
    ],
)
def test_units_sold_unseen_are_rounded_up(
    sold: int, hours: int, gap: timedelta, units: int
) -> None:
    assert unseen(sold, hours, gap) == units


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_longer_it_is_silent_the_more_is_reserved(
    sold: int, hours: int, one: int, other: int
) -> None:
    short, long = sorted((one, other))
    less, more = (unseen(sold, hours, timedelta(seconds=s)) for s in (short, long))
    assert less <= more
    assert less * hours * 3600 >= sold * short
