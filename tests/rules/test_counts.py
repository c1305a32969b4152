"""Counts: whatever is heard in whatever order, the level is the newest count and what came after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.counts import Counted, CountKnown, recounted, sellable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTES = st.integers(0, 20)
AVAILABLE, ON_HAND = Counted.AVAILABLE, Counted.ON_HAND


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


@dataclass
class Ledger:
    """Movements and counts of one item in the order they are heard, booked by the rules alone."""

    moves: list[tuple[datetime, int]] = field(default_factory=list)
    counts: list[tuple[datetime, int, Counted, int]] = field(default_factory=list)
    booked: list[int] = field(default_factory=list)

    @property
    def level(self) -> int:
        return sum(delta for _, delta in self.moves) + sum(self.booked)

    def hear_move(self, when: datetime, delta: int) -> None:
        self.moves.append((when, delta))
        self._recount()

    def hear_count(
        self, when: datetime, quantity: int, of: Counted = AVAILABLE, waiting: int = 0
    ) -> None:
        place = sum(1 for one in self.counts if one[0] <= when)
        self.counts.insert(place, (when, quantity, of, waiting))
        self.booked.insert(place, 0)
        self._recount()

    def _recount(self) -> None:
        known = [
            CountKnown(when, quantity, of, waiting, self._level_at(when), booked)
            for (when, quantity, of, waiting), booked in zip(self.counts, self.booked, strict=True)
        ]
        self.booked = recounted(known)

    def _level_at(self, when: datetime) -> int:
        moved = sum(delta for then, delta in self.moves if then <= when)
        counted = zip(self.counts, self.booked, strict=True)
        return moved + sum(booked for (then, *_), booked in counted if then <= when)


def test_a_count_is_the_difference_to_the_level_of_its_time() -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_move(at(9), -4)
    ledger.hear_count(at(5), 47)
    assert ledger.booked == [-3]
    assert ledger.level == 43


def test_a_sale_before_a_count_heard_after_it_is_inside_it() -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_count(at(5), 47)
    ledger.hear_move(at(4), -2)
    assert ledger.booked == [-1]
    assert ledger.level == 47


def test_the_first_count_after_a_late_movement_takes_it_back_and_later_ones_stay() -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_count(at(5), 47)
    ledger.hear_count(at(10), 40)
    before = ledger.booked
    ledger.hear_move(at(4), -2)
    assert ledger.booked == [before[0] + 2, before[1]]
    ledger.hear_move(at(7), -5)
    assert ledger.booked == [before[0] + 2, before[1] + 5]
    assert ledger.level == 40


def test_an_older_count_heard_after_a_newer_one_changes_no_level() -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_count(at(10), 40)
    ledger.hear_count(at(5), 47)
    assert ledger.booked == [-3, -7]
    assert ledger.level == 40


def test_of_two_counts_of_one_moment_the_one_heard_last_holds() -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_count(at(5), 47)
    ledger.hear_count(at(5), 46)
    assert ledger.level == 46


@pytest.mark.parametrize(("of", "level"), [(AVAILABLE, 40), (ON_HAND, 37)])
def test_what_lies_there_and_is_sold_cannot_be_sold(of: Counted, level: int) -> None:
    ledger = Ledger()
    ledger.hear_move(at(0), 50)
    ledger.hear_count(at(5), 40, of, waiting=3)
    assert ledger.level == level
    assert sellable(40, of, 3) == level


NEWS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), MINUTES, st.integers(-9, 9)),
        st.tuples(st.just("count"), MINUTES, st.integers(-5, 60)),
    ),
    max_size=12,
    unique_by=lambda one: one[:2] if one[0] == "count" else object(),
)


def heard(news: list[tuple[str, int, int]]) -> Ledger:
    ledger = Ledger()
    for kind, minute, number in news:
        if kind == "move":
            ledger.hear_move(at(minute), number)
        else:
            ledger.hear_count(at(minute), number)
    return ledger


@given(st.data(), NEWS)
def test_news_commute(data: st.DataObject, news: list[tuple[str, int, int]]) -> None:
    one, other = heard(news), heard(data.draw(st.permutations(news)))
    assert one.level == other.level
    assert one.booked == other.booked


@given(NEWS)
def test_the_level_is_the_newest_count_and_what_moved_after_it(
    news: list[tuple[str, int, int]],
) -> None:
    counts = sorted((minute, number) for kind, minute, number in news if kind == "count")
    since, level = counts[-1] if counts else (-1, 0)
    after = [n for kind, minute, n in news if kind == "move" and minute > since]
    assert heard(news).level == level + sum(after)


@given(NEWS)
def test_counting_again_changes_nothing(news: list[tuple[str, int, int]]) -> None:
    ledger = heard(news)
    before = list(ledger.booked)
    ledger._recount()
    assert ledger.booked == before


@given(NEWS, st.integers(0, 20), st.integers(-9, 9))
def test_a_late_movement_moves_the_level_only_past_the_last_count(
    news: list[tuple[str, int, int]], minute: int, delta: int
) -> None:
    before, after = heard(news), heard(news)
    after.hear_move(at(minute), delta)
    inside = any(kind == "count" and then >= minute for kind, then, _ in news)
    assert after.level - before.level == (0 if inside else delta)
    assert sum(a != b for a, b in zip(before.booked, after.booked, strict=True)) <= 1
