"""Effects of order lines: whatever is heard, in whatever order, the newest state is what is booked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.model import Kind, LineSeen, OrderSeen
from syncd.stock.orders import (
    CommitOn,
    LineKnown,
    News,
    OrderKnown,
    Restock,
    committed,
    digest,
    effect,
    held,
    in_doubt,
    judge,
    kind_of,
    newest,
)

AT = datetime(2026, 11, 23, tzinfo=UTC)
UNITS = st.integers(0, 1_000_000_000)

lines = st.builds(LineSeen, st.just("1"), UNITS, UNITS)


@st.composite
def states(draw: st.DrawFn) -> list[OrderSeen]:
    """The states of one order as the platform had them, oldest first; perhaps cancelled at the end."""
    found = [
        OrderSeen("118", version, AT, (draw(lines),), paid=draw(st.booleans()))
        for version in range(1, draw(st.integers(1, 6)) + 1)
    ]
    if draw(st.booleans()):
        last = replace(found[-1], version=len(found) + 1, terminal=True)
        found.append(replace(last, lines=(LineSeen("1", 0, 0),), kind=Kind.CANCELLATION))
    return found


class Ledger:
    """What is booked of one order with one line, by the rules alone."""

    def __init__(self, commit_on: CommitOn, restock: Restock) -> None:
        self.commit_on, self.restock = commit_on, restock
        self.known: OrderKnown | None = None
        self.line: LineKnown | None = None
        self.level = 0
        self.causes: list[int] = []

    def hear(self, seen: OrderSeen) -> News:
        news = judge(self.known, seen, digest(seen))
        if news is News.ACCEPT:
            self.known = OrderKnown(seen.version, digest(seen), seen.terminal)
            done = effect(
                seen.lines[0],
                self.line,
                paid=seen.paid,
                commit_on=self.commit_on,
                restock=self.restock,
                baseline=False,
            )
            if done.delta:
                self.causes.append(done.state.revision)
            self.line, self.level = done.state, self.level + done.delta
        return news


@given(st.data(), states(), st.sampled_from([Restock.AS_PLATFORM, Restock.ALWAYS]))
def test_any_hearing_of_all_states_ends_as_the_newest(
    data: st.DataObject, told: list[OrderSeen], restock: Restock
) -> None:
    heard = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told)))))
    once, many = Ledger(CommitOn.CREATED, restock), Ledger(CommitOn.CREATED, restock)
    once.hear(told[-1])
    for seen in heard:
        many.hear(seen)
    assert many.level == once.level
    assert many.line is not None
    assert many.line.booked == -many.level, "what is booked is what was moved"
    assert many.line.taken == told[-1].lines[0].taken


@given(states(), st.sampled_from(CommitOn), st.sampled_from(Restock))
def test_hearing_everything_again_books_nothing(
    told: list[OrderSeen], commit_on: CommitOn, restock: Restock
) -> None:
    ledger = Ledger(commit_on, restock)
    for seen in told:
        ledger.hear(seen)
    level = ledger.level
    for seen in told:
        assert ledger.hear(seen) is News.OLD
    assert ledger.level == level


@given(states(), st.sampled_from(CommitOn), st.sampled_from(Restock))
def test_every_movement_has_a_cause_of_its_own(
    told: list[OrderSeen], commit_on: CommitOn, restock: Restock
) -> None:
    ledger = Ledger(commit_on, restock)
    for seen in told:
        ledger.hear(seen)
    assert len(set(ledger.causes)) == len(ledger.causes)


@st.composite
def lived(draw: st.DrawFn) -> list[OrderSeen]:
    """The states of one order that sells more and takes back, and is paid at one of them or never."""
    sold = taken = 0
    found, paid = [], draw(st.integers(1, 9))
    for version in range(1, draw(st.integers(1, 6)) + 1):
        more = draw(st.integers(0, 9))
        sold, taken = sold + more, taken + more
        taken -= draw(st.integers(0, taken))
        line = LineSeen("1", taken, taken, sold=sold)
        found.append(OrderSeen("118", version, AT, (line,), paid=version >= paid))
    return found


@given(st.data(), lived(), st.sampled_from(CommitOn), st.sampled_from(Restock))
def test_whichever_states_were_heard_the_last_one_decides(
    data: st.DataObject, told: list[OrderSeen], commit_on: CommitOn, restock: Restock
) -> None:
    some = data.draw(st.lists(st.sampled_from(told)))
    heard = data.draw(st.permutations([*some, told[-1]]))
    once, many = Ledger(commit_on, restock), Ledger(commit_on, restock)
    once.hear(told[-1])
    for seen in heard:
        many.hear(seen)
    assert many.level == once.level
    if restock is Restock.NEVER and told[-1].paid:
        assert many.level == -(told[-1].lines[0].sold or 0)
    if commit_on is CommitOn.PAID and not told[-1].paid:
        assert many.level == 0


@pytest.mark.parametrize(
    ("paid", "waits", "until", "units"),
    [
        (False, 0, None, 5),
        (False, 2, None, 7),
        (True, 2, None, 0),
        (False, 0, AT + timedelta(hours=1), 5),
        (False, 2, AT, 0),
    ],
)
def test_what_is_not_paid_is_held_while_it_can_be(
    paid: bool, waits: int, until: datetime | None, units: int
) -> None:
    line = LineSeen("1", 5, 5, waits=waits)
    seen = OrderSeen("118", 1, AT, (line,), paid=paid, payable_until=until)
    assert held(seen, line, 5, 0, AT) == units
    assert held(replace(seen, terminal=True), line, 5, 0, AT) == 0


@given(states())
def test_never_restocking_never_gives_back(told: list[OrderSeen]) -> None:
    ledger = Ledger(CommitOn.CREATED, Restock.NEVER)
    lowest = 0
    for seen in told:
        ledger.hear(seen)
        assert ledger.level <= lowest
        lowest = ledger.level


@given(lines, st.booleans())
def test_what_is_not_paid_is_owed_only_by_the_count_that_lacks_it(
    line: LineSeen, baseline: bool
) -> None:
    done = effect(
        line,
        None,
        paid=False,
        commit_on=CommitOn.PAID,
        restock=Restock.AS_PLATFORM,
        baseline=baseline,
    )
    assert done.delta == 0
    assert done.state.booked == (line.taken if baseline else 0)


@given(lines, st.builds(LineKnown, UNITS, UNITS, st.integers(0, 9)), st.sampled_from(Restock))
def test_a_baseline_moves_nothing_and_later_steps_count_from_it(
    line: LineSeen, known: LineKnown, restock: Restock
) -> None:
    rules = {"paid": True, "commit_on": CommitOn.CREATED, "restock": restock}
    first = effect(line, known, baseline=True, **rules)  # type: ignore[arg-type]
    again = effect(line, first.state, baseline=False, **rules)  # type: ignore[arg-type]
    assert (first.delta, again.delta, again.taken_more) == (0, 0, 0)


@given(lines, st.booleans(), st.sampled_from(CommitOn), st.sampled_from(Restock))
def test_nobody_owes_more_than_is_taken_or_was_booked(
    line: LineSeen, paid: bool, commit_on: CommitOn, restock: Restock
) -> None:
    owes = committed(line, None, paid=paid, commit_on=commit_on, restock=restock)
    assert 0 <= owes <= line.taken


@given(st.lists(states().map(lambda told: told[-1]), min_size=1, max_size=4))
def test_of_states_heard_together_the_last_terminal_or_newest_counts(
    heard: list[OrderSeen],
) -> None:
    chosen = heard[0]
    for seen in heard[1:]:
        chosen = newest(chosen, seen)
    if any(seen.terminal for seen in heard):
        assert chosen.terminal
    else:
        assert chosen.version == max(seen.version for seen in heard)


def test_the_same_version_with_other_content_is_ambiguous() -> None:
    seen = OrderSeen("118", 5, AT, (LineSeen("1", 2, 2),))
    other = replace(seen, lines=(LineSeen("1", 3, 3),))
    known = OrderKnown(5, digest(seen), terminal=False)
    assert judge(known, seen, digest(seen)) is News.OLD
    assert judge(known, other, digest(other)) is News.AMBIGUOUS
    assert judge(known, replace(other, terminal=True), digest(other)) is News.ACCEPT


def test_the_order_of_lines_says_nothing() -> None:
    one, two = LineSeen("1", 2, 2), LineSeen("2", 3, 3)
    first, second = (OrderSeen("118", 5, AT, both) for both in ((one, two), (two, one)))
    assert digest(first) == digest(second)


def test_kinds() -> None:
    assert kind_of(-1, Kind.REFUND) is Kind.SALE
    assert kind_of(1, Kind.REFUND) is Kind.REFUND
    assert kind_of(1, Kind.SALE) is Kind.CANCELLATION


def test_only_the_version_just_above_what_is_known_is_in_doubt() -> None:
    """It is kept one back, so that a fetch is believed; another message of it may be the older state."""
    known = OrderKnown(9, b"", terminal=False)
    seen = OrderSeen("118", 10, AT, ())
    assert in_doubt(known, seen)
    assert not in_doubt(known, replace(seen, version=9))
    assert not in_doubt(known, replace(seen, version=11))
    assert not in_doubt(known, replace(seen, terminal=True)), "terminal states are absorbing"
    assert not in_doubt(None, seen)
