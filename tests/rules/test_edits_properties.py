"""What holds of every stretch: compared with all histories written out, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations, product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from syncd.stock.edits import cause, heard, judged, open_amounts, settle
from syncd.stock.histories import Verdict, _Line, verdict
from syncd.stock.model import Edits
from syncd.stock.stretches import (
    Doubt,
    End,
    Margins,
    OrderStep,
    Seen,
    Start,
    Stretch,
    from_answer,
    merge,
    observed,
    split,
    splits_at,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MARGINS = Margins()
UNHURRIED = settings(deadline=None)
LONG_AFTER = NOON + timedelta(hours=3)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def after_noon(moment: datetime) -> float:
    return (moment - NOON).total_seconds()


# --- every history, written out ------------------------------------------------------------------
# A place is an interval between two readings, numbered from 0; BEFORE and the number of intervals
# are the places outside. A step is put into a place, and in the interval of a landing on one side
# of it; a history is a place for each step.

BEFORE = -1


def written_out(stretch: Stretch, steps: tuple[OrderStep, ...]) -> Verdict:
    """The verdict by brute force: every place for every step, every landing."""
    best: dict[int, tuple[int, float]] = {}
    for amount, edits, moved in histories(stretch, steps):
        best[amount] = min(best.get(amount, (edits, moved)), (edits, moved))
    fewest = min(edits for edits, _ in best.values())
    kept = {amount: moved for amount, (edits, moved) in best.items() if edits == fewest}
    proposal = min(kept, key=lambda amount: (kept[amount], abs(amount), amount))
    return Verdict(tuple(sorted(kept)), proposal)


def histories(stretch: Stretch, steps: tuple[OrderStep, ...]) -> Iterator[tuple[int, int, float]]:
    readings = [(after_noon(seen.at), seen.value) for seen in stretch.watch]
    if stretch.b is not None and stretch.vb is not None:
        readings.append((after_noon(stretch.b), stretch.vb))
    start = after_noon(stretch.t0)
    moments = [start, *(when for when, _ in readings)]
    values = [stretch.v0, *(value for _, value in readings)]
    late = after_noon(stretch.late_until) if stretch.late_until else start
    landings: list[int | None] = [None]
    if stretch.start_kind is Start.WRITE:
        values[0] = stretch.va or 0
    if stretch.start_kind is Start.UNKNOWN:
        landings += [place for place in range(len(readings)) if moments[place] < late]
    for landing in landings:
        yield from placed(stretch, steps, moments, values, late, landing)


def placed(
    stretch: Stretch,
    steps: tuple[OrderStep, ...],
    moments: list[float],
    values: list[int],
    late: float,
    landing: int | None,
) -> Iterator[tuple[int, int, float]]:
    last = len(moments) - 1
    spots = [spot * 2 for spot in range(BEFORE, last + 1)]
    if landing is not None:
        spots = sorted([*spots, landing * 2 + 1])  # even: before the landing; odd: after it
    times = [after_noon(step.at) for step in steps]
    for chosen in product(spots, repeat=len(steps)):
        ordered = all(
            times[i] == times[j] or chosen[i] <= chosen[j]
            for i, j in combinations(range(len(steps)), 2)
        )
        if not ordered:
            continue
        moved = 0.0
        for when, spot in zip(times, chosen, strict=True):
            far = distance(stretch, moments, late, landing, when, spot)
            if far is None:
                break
            moved += max(0, far - round(MARGINS.stamp_s * 1e6))
        else:
            x = [values[i + 1] - values[i] for i in range(last)]
            if landing is not None:
                x[landing] = values[landing + 1] - (stretch.va or 0)
            for step, spot in zip(steps, chosen, strict=True):
                counts = 0 <= spot < last * 2 and not (landing is not None and spot == landing * 2)
                if counts:
                    x[spot // 2] += step.units
            yield sum(x), sum(1 for one in x if one), moved


def distance(
    stretch: Stretch,
    moments: list[float],
    late: float,
    landing: int | None,
    when: float,
    spot: int,
) -> float | None:
    """How far a step moves to lie in a place; None: further than anything may."""
    place, last = spot // 2, len(moments) - 1
    exact_start = stretch.start_kind is Start.READING
    exact_end = stretch.end_kind is End.SPLIT
    latest_start = after_noon(stretch.a) if stretch.a else moments[0]
    if exact_start and (place == BEFORE) != (when <= moments[0]):
        return None
    if exact_end and (place == last) != (when > moments[last]):
        return None
    if place == BEFORE:
        lo, hi = -1e9, latest_start
    elif place == last:
        lo, hi = moments[last], 1e9
    else:
        lo, hi = moments[place], moments[place + 1]
        if landing == place and spot % 2 == 0:
            hi = min(hi, late)
    if (exact_start and place == BEFORE) or (exact_end and place == last):
        return 0
    far = max(0, round((lo - when) * 1e6), round((when - hi) * 1e6))
    return far if far <= round(MARGINS.clock_s * 1e6) else None


# --- what is drawn -------------------------------------------------------------------------------

SECONDS = st.integers(-8, 240).map(lambda quarters: quarters / 4)
UNITS = st.integers(-2, 3).filter(bool)
STEPS = st.lists(st.builds(lambda s, u: OrderStep(at(s), u), SECONDS, UNITS), max_size=4).map(
    lambda steps: tuple(sorted(steps))
)
VALUES = st.integers(4, 9)


@st.composite
def stretches(draw: st.DrawFn) -> Stretch:
    """A stretch of any kind with up to four readings after its start, the wait ending at 20 s."""
    kind = draw(st.sampled_from(Start))
    times = sorted(draw(st.lists(st.integers(2, 55), min_size=1, max_size=4)))
    seen = [Seen(at(when), draw(VALUES)) for when in times]
    ends = draw(st.sampled_from(End))
    made = Stretch(
        listing=7,
        start_kind=kind,
        t0=NOON,
        v0=draw(VALUES),
        a=at(1) if kind is Start.WRITE else None,
        va=draw(VALUES) if kind is not Start.READING else None,
        late_until=at(20) if kind is Start.UNKNOWN else None,
    )
    if ends is End.OPEN:
        return replace(made, watch=tuple(seen))
    return replace(made, watch=tuple(seen[:-1]), b=seen[-1].at, vb=seen[-1].value, end_kind=ends)


# --- what holds ----------------------------------------------------------------------------------


@UNHURRIED
@given(stretches(), STEPS)
def test_no_history_is_forgotten_and_none_invented(
    stretch: Stretch, steps: tuple[OrderStep, ...]
) -> None:
    assert verdict(stretch, steps, MARGINS) == written_out(stretch, steps)


@UNHURRIED
@given(stretches(), st.lists(UNITS, min_size=2, max_size=4), SECONDS)
def test_of_steps_in_one_instant_any_may_come_first(
    stretch: Stretch, units: list[int], seconds: float
) -> None:
    orders = [[OrderStep(at(seconds), u) for u in order] for order in permutations(units)]
    assert len({verdict(stretch, steps, MARGINS) for steps in orders}) == 1


@UNHURRIED
@given(stretches(), STEPS)
def test_the_proposal_is_a_candidate(stretch: Stretch, steps: tuple[OrderStep, ...]) -> None:
    found = verdict(stretch, steps, MARGINS)
    assert found.proposal in found.candidates
    assert list(found.candidates) == sorted(set(found.candidates))


@UNHURRIED
@given(stretches(), STEPS)
def test_bounds_hold_every_candidate(stretch: Stretch, steps: tuple[OrderStep, ...]) -> None:
    assert stretch.end is not None
    bounds = _Line(stretch, stretch.end, steps, MARGINS).bounds()
    found = verdict(stretch, steps, MARGINS).candidates
    assert bounds.candidates[0] <= found[0]
    assert found[-1] <= bounds.candidates[-1]
    assert bounds.proposal in bounds.candidates


@UNHURRIED
@given(stretches(), STEPS, VALUES, st.integers(1, 55))
def test_a_split_adds_up_and_is_undone_by_merging(
    stretch: Stretch, steps: tuple[OrderStep, ...], value: int, when: int
) -> None:
    where = Seen(at(when), value)
    steps = tuple(step for step in steps if abs(step.at - where.at) > MARGINS.clock)
    late_until = at(0.5) if stretch.late_until else None
    before = tuple(seen for seen in stretch.watch if seen.at < where.at)
    whole = replace(
        stretch, watch=(*before, where), late_until=late_until, booked=2, revision=3,
        b=None, vb=None, end_kind=End.OPEN,
    )  # fmt: skip
    assert splits_at(whole, steps, LONG_AFTER, MARGINS) == where
    after = tuple(seen for seen in stretch.watch if seen.at > where.at)
    whole = replace(whole, watch=(*before, where, *after, Seen(at(56), 6)))
    left, right = split(whole, where)
    sums = {
        a + b
        for a in verdict(left, steps, MARGINS).candidates
        for b in verdict(right, steps, MARGINS).candidates
    }
    assert sums == set(verdict(whole, steps, MARGINS).candidates)
    again = merge(left, right)
    assert again == whole
    assert left.booked + right.booked == whole.booked


@UNHURRIED
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 3)), max_size=6),
    st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True),
    st.sampled_from([Start.READING, Start.WRITE]),
)
def test_without_edits_and_with_exact_times_nothing_is_suspected(
    sales: list[tuple[int, int]], readings: list[int], kind: Start
) -> None:
    steps = [OrderStep(at(when), units) for when, units in sales]

    def shelf(when: int) -> int:
        return 40 - sum(units for sale, units in sales if sale <= when)

    made = Stretch(
        7, kind, NOON, 40, a=NOON if kind is Start.WRITE else None, va=40,
        watch=tuple(Seen(at(when), shelf(when)) for when in sorted(readings)),
    )  # fmt: skip
    assert verdict(made, steps, MARGINS) == Verdict((0,), 0)


@UNHURRIED
@given(stretches(), STEPS, st.sampled_from(Edits))
def test_what_is_booked_does_not_depend_on_when_orders_are_heard(
    stretch: Stretch, steps: tuple[OrderStep, ...], edits: Edits
) -> None:
    assume(stretch.end_kind is not End.OPEN)

    def settled(known: tuple[OrderStep, ...]) -> Stretch:
        change = settle(
            stretch, known, now=LONG_AFTER, fetched_at=LONG_AFTER, edits=edits, margins=MARGINS
        )
        assert change is not None
        return change.stretch

    last, total = settled(()), 0
    names = {cause("uk", last)}
    for number, news in enumerate(steps, 1):
        for change in heard([last], steps[:number], news, edits, MARGINS).changes:
            assert change.stretch.booked == last.booked + change.book
            assert (cause("uk", change.stretch) not in names) == (change.book != 0)
            names.add(cause("uk", change.stretch))
            last, total = change.stretch, total + change.book
    at_once = settled(steps)
    assert (last.booked, last.in_suspense) == (at_once.booked, at_once.in_suspense)
    assert last.candidates == at_once.candidates


@UNHURRIED
@given(st.lists(stretches(), max_size=3), STEPS, st.sampled_from(Edits))
def test_a_suspected_rise_raises_nobody_else(
    several: list[Stretch], steps: tuple[OrderStep, ...], edits: Edits
) -> None:
    known = [judged(one, steps, MARGINS) for one in several]
    amounts = open_amounts(known, edits)
    falls = [one.candidates[0] for one in known if one.candidates[0] < 0]
    assert amounts.others == (0 if edits is Edits.OVERWRITE else sum(falls))


@UNHURRIED
@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(-3, 3)), min_size=1, max_size=3),
    st.sampled_from([0, 0, -50, 50]),
    st.integers(0, 3),
)
def test_an_order_that_changed_several_times_unheard_leaves_the_truth_among_the_candidates(
    changes: list[tuple[int, int]], typed: int, erased: int
) -> None:
    """Changes and an edit on a true shelf, around a write at 0.5; the order is dated by its newest change."""
    changes = sorted(dict([(0.4, erased), *changes]).items())
    taken = 0
    for _, units in changes:
        taken += units
        assume(taken >= 0)
    shelf = 100 - sum(units for when, units in changes if when > 0.5) + typed
    most = max(sum(units for _, units in changes[: n + 1]) for n in range(len(changes)))
    last = changes[-1][0]
    step = OrderStep(at(last), taken, Doubt(at(0.4), at(last), 0, max(most, taken)))
    stretch = replace(
        from_answer(7, Seen(at(0), 120), at(1), 100), b=at(100), vb=shelf, end_kind=End.WRITE
    )
    assert typed in verdict(stretch, [step], MARGINS).candidates


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 400), VALUES), min_size=1, max_size=30))
def test_the_newest_reading_is_always_kept(readings: list[tuple[int, int]]) -> None:
    stretch = Stretch(7, Start.READING, NOON, 5)
    for when, value in sorted(readings):
        stretch = observed(stretch, Seen(at(when), value), MARGINS)
        assert stretch.end == Seen(at(when), value)
