"""Of a pushed shelf's difference, what orders explain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.pushes import Note, explained

READ = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SINCE = READ - timedelta(minutes=10)


def note(seconds: float, units: int, number: int = 1) -> Note:
    return Note(number, 7, "sale", f"#{number}", units, READ + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("delta", "notes", "used", "rejected"),
    [
        pytest.param(7, [], 0, 7, id="an edit alone"),
        pytest.param(-3, [note(-60, -3)], 1, 0, id="a sale alone"),
        pytest.param(10, [note(-60, -3)], 1, 13, id="both"),
        pytest.param(-3, [note(60, -3, 9)], 0, -3, id="long after the reading"),
        pytest.param(-3, [note(-700, -3)], 0, -3, id="accounted for before"),
        pytest.param(0, [note(1, -3, 9)], 0, 0, id="just after it, and nothing is left to explain"),
        pytest.param(10, [note(1, -3)], 1, 13, id="known before it was asked, whatever its date"),
    ],
)
def test_a_difference_is_divided(delta: int, notes: list[Note], used: int, rejected: int) -> None:
    found = explained(delta, notes, SINCE, READ, 5, 2.5)
    assert found is not None
    assert (len(found.notes), found.rejected) == (used, rejected)


@pytest.mark.parametrize("delta", [5, -3, -2])
def test_what_may_have_come_just_then_is_asked_again(delta: int) -> None:
    assert explained(delta, [note(1, -3, 9)], SINCE, READ, 5, 2.5) is None
    assert explained(delta, [note(1, -3, 9)], SINCE, READ, 9, 2.5) is not None


@pytest.mark.parametrize(
    ("delta", "notes", "used", "earlier", "rejected"),
    [
        pytest.param(0, [note(-599, -1)], 0, 1, 0, id="booked before, though dated after it"),
        pytest.param(-3, [note(-599, -1), note(-60, -3, 2)], 1, 1, 0, id="beside a new one"),
        pytest.param(-1, [note(-599, -1)], 1, 0, 0, id="not booked before"),
        pytest.param(0, [note(-60, -1)], 1, 0, 1, id="long after it"),
        pytest.param(4, [note(-599, -1)], 1, 0, 5, id="beside an edit nobody can tell"),
        pytest.param(-3, [note(-599, -1), note(-598, -2, 2), note(-60, -3, 3)], 1, 2, 0, id="two"),
    ],
)
def test_what_was_booked_before_is_not_booked_again(
    delta: int, notes: list[Note], used: int, earlier: int, rejected: int
) -> None:
    found = explained(delta, notes, SINCE, READ, 5, 2.5)
    assert found is not None
    assert (len(found.notes), len(found.earlier), found.rejected) == (used, earlier, rejected)


@given(
    st.integers(-50, 50),
    st.integers(0, 6),
    st.lists(st.tuples(st.floats(-900, 900), st.integers(-9, 9)), max_size=6),
)
def test_nothing_is_lost_or_counted_twice(
    delta: int, known: int, given_: list[tuple[float, int]]
) -> None:
    notes = [note(at, units, n) for n, (at, units) in enumerate(given_)]
    found = explained(delta, notes, SINCE, READ, known, 2.5)
    if found is None:
        found = explained(delta, notes, SINCE, READ, len(notes), 2.5)
    assert found is not None, "asked once more, it is clear"
    assert sum(n.units for n in found.notes) + found.rejected == delta
    assert len(set(found.notes)) == len(found.notes)
