"""Histories: every way in which orders and one write can have moved a shelf, and what they leave.

A history cuts the order steps, in the order of their times, at the moments of a stretch (its start,
its readings, its end); each step may move across a moment by the clock margin. What the steps of an
interval leave unexplained is its x; the histories with the fewest x that are not zero are believed,
and their different sums are the candidates (edits.md, rules 5–7). Found by dynamic programming over
the cuts, in whole microseconds.

A step of which nobody knows when it moved is told twice: dated as its order says, and in doubt. Where
the two do not agree, both say what the candidates are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import NamedTuple

from syncd.stock.stretches import End, Margins, OrderStep, Seen, Start, Stretch

LIMIT = 20_000
"""Steps of reasoning about one stretch; beyond them its bounds are put to a person."""

CUTS = 1_000
"""Cuts at one moment; beyond them the same."""

MICROSECOND = timedelta(microseconds=1)
FOREVER = 10**18
"""Microseconds: before and after everything."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stretch's edits may sum to (ascending), and what is proposed: one of them."""

    candidates: tuple[int, ...]
    proposal: int


def verdict(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Verdict:
    """The candidates of a stretch, as far as it was read, for all its listing's order steps.

    The proposal moves the steps' times least, then it is the smallest, and of two of one size the
    fall. Beyond LIMIT the candidates are bounds, which hold every candidate between them.
    """
    end = stretch.end
    if end is None:
        return Verdict((0,), 0)
    known = list(steps)
    dated = _weighed(_Line(stretch, end, [step._replace(doubt=None) for step in known], margins))
    doubted = _Line(stretch, end, known, margins)
    if not doubted.doubts or dated.candidates == (0,):
        return dated
    candidates = {*dated.candidates, *_weighed(doubted).candidates}
    return Verdict(tuple(sorted(candidates)), dated.proposal)


def _weighed(line: _Line) -> Verdict:
    """What the histories of a line come to."""
    try:
        sums = _Search(line).sums()
    except _TooManyError:
        return line.bounds()
    fewest = min(score.edits for score in sums.values())
    kept = {amount: score.moved for amount, score in sums.items() if score.edits == fewest}
    proposal = min(kept, key=lambda amount: (kept[amount], abs(amount), amount))
    return Verdict(tuple(sorted(kept)), proposal)


class _TooManyError(Exception):
    """There are more histories than anybody should wait for."""


class _Score(NamedTuple):
    """How unlikely a history is: its x that are not zero, then the microseconds its steps moved."""

    edits: int
    moved: int

    def worse_by(self, x: int, moved: int) -> _Score:
        return _Score(self.edits + (x != 0), self.moved + moved)


class _Cut(NamedTuple):
    """A place between the steps: whole ties before `tie`, and `part` of that one.

    A tie is the steps of one instant, of which any may come first: `part` counts, for each size
    of step, how many lie before the cut. `units`: the sum of all units before it, `doubted` of them
    of steps in doubt.
    """

    tie: int
    part: tuple[int, ...]
    units: int
    doubted: int = 0

    def comes_after(self, other: _Cut) -> bool:
        """True where every step before `other` is before this cut too."""
        if self.tie != other.tie or not other.part:
            return self.tie >= other.tie
        return bool(self.part) and all(a >= b for a, b in zip(self.part, other.part, strict=True))


class _Doubt(NamedTuple):
    """A step in doubt, in microseconds after t0; dated at `at`."""

    first: int
    last: int
    least: int
    most: int
    at: int
    units: int


class _Moment(NamedTuple):
    """A reading, in microseconds after t0."""

    at: int
    value: int


class _Line:
    """One stretch and its order steps on a line of time."""

    def __init__(
        self, stretch: Stretch, end: Seen, steps: Iterable[OrderStep], margins: Margins
    ) -> None:
        self._t0 = stretch.t0
        self._clock = margins.clock // MICROSECOND
        self._stamp = timedelta(seconds=margins.stamp_s) // MICROSECOND
        self.kind = stretch.start_kind
        self.v0, self.va = stretch.v0, stretch.va if stretch.va is not None else stretch.v0
        self.answered_at = self._micros(stretch.a) if stretch.a is not None else 0
        self.late_until = self._micros(stretch.late_until) if stretch.late_until else 0
        ending = () if stretch.end_kind is End.OPEN else (end,)
        self.readings = [_Moment(self._micros(s.at), s.value) for s in (*stretch.watch, *ending)]
        self.exact_end = stretch.end_kind is End.SPLIT
        self._tie_up(steps)

    def _micros(self, at: datetime) -> int:
        return (at - self._t0) // MICROSECOND

    def _tie_up(self, steps: Iterable[OrderStep]) -> None:
        first, last = -self._clock, self.readings[-1].at + self._clock
        ties: dict[int, Counter[int]] = {}
        self.doubts: list[_Doubt] = []
        for step in steps:
            at = self._micros(step.at)
            if step.doubt is not None:
                begun, done = self._micros(step.first), self._micros(step.last)
                if begun <= last and done >= first:
                    self.doubts.append(_Doubt(begun, done, *step.doubt[2:], at, step.units))
            elif step.units and first <= at <= last:
                ties.setdefault(at, Counter())[step.units] += 1
        self.times = sorted(ties)
        self.sizes = [sorted(ties[at].items()) for at in self.times]
        self.before = [0]
        for sizes in self.sizes:
            self.before.append(self.before[-1] + sum(units * count for units, count in sizes))

    # --- cuts ---

    def exact(self, at: int) -> list[_Cut]:
        """The one cut at a moment across which nothing moves; one for each sum of what is in doubt."""
        tie = bisect_right(self.times, at)
        return self._doubting([_Cut(tie, (), self.before[tie])], at, at, 0)

    def _doubting(self, cuts: list[_Cut], lo: int, hi: int, margin: int) -> list[_Cut]:
        """These cuts at a moment from `lo` to `hi`, with every sum that steps in doubt may make there."""
        if not self.doubts:
            return cuts
        least, most = self._doubted(lo, hi, margin)
        if len(cuts) * (most - least + 1) > CUTS:
            raise _TooManyError
        return [
            cut._replace(units=cut.units + units, doubted=units)
            for cut in cuts
            for units in range(least, most + 1)
        ]

    def _doubted(self, lo: int, hi: int, margin: int) -> tuple[int, int]:
        """The least and the greatest sum of units in doubt before a moment from `lo` to `hi`."""
        least = most = 0
        for one in self.doubts:
            if one.last < lo - margin:
                least, most = least + one.units, most + one.units
            elif one.first <= hi + margin:
                least, most = least + one.least, most + one.most
        return least, most

    def cuts(self, lo: int, hi: int) -> list[_Cut]:
        """Every cut for a moment that lies anywhere from `lo` to `hi`."""
        first = bisect_left(self.times, lo - self._clock)
        last = bisect_right(self.times, hi + self._clock)
        found: list[_Cut] = []
        for tie in range(first, last):
            found.extend(self._parts(tie))
            if len(found) > CUTS:
                raise _TooManyError
        found.append(_Cut(last, (), self.before[last]))
        return self._doubting(found, lo, hi, self._clock)

    def _parts(self, tie: int) -> Iterator[_Cut]:
        sizes = self.sizes[tie]
        ways = 1
        for _, count in sizes:
            ways *= count + 1
        if ways > CUTS:
            raise _TooManyError
        for part in product(*(range(count + 1) for _, count in sizes)):
            taken = sum(part)
            if taken == 0:
                yield _Cut(tie, (), self.before[tie])
            elif taken < sum(count for _, count in sizes):
                units = sum(n * units for n, (units, _) in zip(part, sizes, strict=True))
                yield _Cut(tie, part, self.before[tie] + units)

    @property
    def begin(self) -> _Cut:
        return _Cut(0, (), 0)

    @property
    def finish(self) -> _Cut:
        return _Cut(len(self.times), (), self.before[-1])

    def moved(self, start: _Cut, stop: _Cut, lo: int, hi: int) -> int:
        """Microseconds by which the steps between two cuts move to lie from `lo` to `hi`."""
        total = 0
        for tie in range(start.tie, min(stop.tie + 1, len(self.times))):
            away = lo - self.times[tie]
            if away <= 0:
                break
            total += max(0, away - self._stamp) * self._between(start, stop, tie)
        for tie in range(min(stop.tie, len(self.times) - 1), start.tie - 1, -1):
            away = self.times[tie] - hi
            if away <= 0:
                break
            total += max(0, away - self._stamp) * self._between(start, stop, tie)
        return total

    def _between(self, start: _Cut, stop: _Cut, tie: int) -> int:
        return self._held(stop, tie) - self._held(start, tie)

    def _held(self, cut: _Cut, tie: int) -> int:
        """How many steps of a tie lie before a cut."""
        if cut.tie == tie:
            return sum(cut.part)
        return sum(count for _, count in self.sizes[tie]) if cut.tie > tie else 0

    # --- beyond the limit ---

    def bounds(self) -> Verdict:
        """The least and the greatest amount of any history, and what the times say as they stand."""
        end = self.readings[-1]
        start_at = self.answered_at if self.kind is Start.WRITE else 0
        value = self.va if self.kind is Start.WRITE else self.v0
        start = self._range(0, start_at, exact=self.kind is Start.READING)
        stop = self._range(end.at, end.at, exact=self.exact_end)
        lows = [end.value - value + stop[0] - start[1]]
        highs = [end.value - value + stop[1] - start[0]]
        before = _Moment(0, self.v0)
        for after in self.readings:
            if not self.may_land(before):
                break
            here = self._range(before.at, before.at, exact=False)
            there = self._range(before.at, min(after.at, self.late_until), exact=False)
            fixed = before.value - self.v0 + end.value - self.va
            lows.append(fixed + here[0] - start[1] + stop[0] - there[1])
            highs.append(fixed + here[1] - start[0] + stop[1] - there[0])
            before = after
        dated = end.value - value + self._dated(end.at) - self._dated(start_at)
        return Verdict(tuple(sorted({min(lows), dated, max(highs)})), dated)

    def may_land(self, before: _Moment) -> bool:
        """True where an unanswered write may have landed between this reading and the next."""
        return self.kind is Start.UNKNOWN and before.at < self.late_until

    def _range(self, lo: int, hi: int, *, exact: bool) -> tuple[int, int]:
        """The least and the greatest sum of units before any cut at a moment from `lo` to `hi`."""
        least, most = self._doubted(lo, hi, 0 if exact else self._clock)
        if exact:
            units = self.before[bisect_right(self.times, lo)]
            return units + least, units + most
        first = bisect_left(self.times, lo - self._clock)
        last = bisect_right(self.times, hi + self._clock)
        sizes = [pair for tie in range(first, last) for pair in self.sizes[tie]]
        base = self.before[first]
        return (
            base + least + sum(units * count for units, count in sizes if units < 0),
            base + most + sum(units * count for units, count in sizes if units > 0),
        )

    def _dated(self, at: int) -> int:
        """The sum of units before a moment, every step where its order dates it."""
        in_doubt = sum(one.units for one in self.doubts if one.at <= at)
        return self.before[bisect_right(self.times, at)] + in_doubt


_Sums = dict[int, _Score]
"""The best score of each sum of x so far."""

_Front = dict[tuple[_Cut, bool], _Sums]
"""By the cut at the newest moment, and whether the write has landed."""


class _Search:
    """The walk from moment to moment, keeping the best way to each cut and sum."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._left = LIMIT

    def sums(self) -> _Sums:
        """Every sum of x, with the score of its best history."""
        line = self._line
        value = line.va if line.kind is Start.WRITE else line.v0
        before, front = _Moment(0, value), self._start()
        for number, after in enumerate(line.readings, 1):
            exact = line.exact_end and number == len(line.readings)
            cuts = line.exact(after.at) if exact else line.cuts(after.at, after.at)
            front, before = self._step(front, before, after, cuts), after
        return self._finish(front, before.at)

    def _step(self, front: _Front, before: _Moment, after: _Moment, cuts: list[_Cut]) -> _Front:
        """From every cut at one reading to every cut at the next."""
        line = self._line
        reached: _Front = {}
        self._walk(reached, front, cuts, after.value - before.value, before.at, after.at)
        if line.may_land(before):
            landed = self._landed(front, before.at, min(after.at, line.late_until))
            self._walk(reached, landed, cuts, after.value - line.va, before.at, after.at)
        return reached

    def _walk(
        self, reached: _Front, front: _Front, cuts: list[_Cut], rise: int, lo: int, hi: int
    ) -> None:
        for (start, landed), sums in front.items():
            self._spend(len(cuts))
            for stop in cuts:
                if stop.comes_after(start):
                    x = rise + stop.units - start.units
                    moved = self._line.moved(start, stop, lo, hi)
                    self._reach(reached, (stop, landed), sums, x, moved)

    def _landed(self, front: _Front, lo: int, hi: int) -> _Front:
        """The write landed from `lo` to `hi`: what lies between the reading and it, it erased."""
        erased: _Front = {}
        cuts = self._line.cuts(lo, hi)
        for (start, landed), sums in front.items():
            self._spend(len(cuts))
            for cut in () if landed else cuts:
                if cut.comes_after(start):
                    moved = self._line.moved(start, cut, lo, hi)
                    self._reach(erased, (cut, True), sums, 0, moved)
        return erased

    def _start(self) -> _Front:
        line = self._line
        if line.kind is Start.READING:
            return {(line.exact(0)[0], True): {0: _Score(0, 0)}}
        hi = line.answered_at if line.kind is Start.WRITE else 0
        landed = line.kind is Start.WRITE
        return {
            (cut, landed): {0: _Score(0, line.moved(line.begin, cut, -FOREVER, hi))}
            for cut in line.cuts(0, hi)
        }

    def _reach(
        self, reached: _Front, place: tuple[_Cut, bool], sums: _Sums, x: int, moved: int
    ) -> None:
        self._spend(len(sums))
        here = reached.setdefault(place, {})
        for amount, score in sums.items():
            _keep(here, amount + x, score.worse_by(x, moved))

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooManyError

    def _finish(self, front: _Front, end: int) -> _Sums:
        line = self._line
        found: _Sums = {}
        for (cut, _), sums in front.items():
            moved = line.moved(cut, line.finish, end, FOREVER)
            for amount, score in sums.items():
                _keep(found, amount, score.worse_by(0, moved))
        return found


def _keep(sums: _Sums, amount: int, score: _Score) -> None:
    best = sums.get(amount)
    if best is None or score < best:
        sums[amount] = score
