"""Runs of a blind channel in virtual time: the ledger ends right but for what it asks.

`SYNCD_EDIT_SEEDS` names how many seeds of each traffic are run. The canaries plant a deviation in
the function that keeps a rule, and must be seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from syncd.stock import edits, histories, stretches
from syncd.stock.edits import Heard, OpenAmounts
from syncd.stock.histories import Verdict
from syncd.stock.model import Edits
from syncd.stock.stretches import Margins, OrderStep, Seen, Start, Stretch
from tests.rules.edit_lane import NaiveLane, Outcome, ran
from tests.rules.edit_world import ALONE, HEAVY, SLOW, Traffic

SEEDS = int(os.environ.get("SYNCD_EDIT_SEEDS", "60"))
ANY = range(100)


def runs(traffic: Traffic, **how: Any) -> list[Outcome]:
    return [ran(seed, traffic, **how) for seed in range(SEEDS)]


@pytest.mark.parametrize(
    ("traffic", "questions"),
    [(HEAVY, 1.0), (SLOW, 0.05), (ALONE, 0.05)],
    ids=["heavy", "slow", "alone"],
)
def test_the_ledger_ends_right_but_for_what_is_asked(traffic: Traffic, questions: float) -> None:
    ended = runs(traffic)
    assert [seed for seed, run in enumerate(ended) if run.silently_wrong] == []
    assert [seed for seed, run in enumerate(ended) if not run.fine] == []
    assert sum(run.ever for run in ended) <= questions * len(ended)
    # Something happened that could have gone wrong.
    assert sum(run.edits for run in ended) >= len(ended)
    assert traffic is ALONE or sum(run.silences for run in ended) >= len(ended)


def test_overwritten_edits_never_reach_the_ledger() -> None:
    ended = runs(HEAVY, mode=Edits.OVERWRITE)
    assert [seed for seed, run in enumerate(ended) if not run.fine or run.asked] == []


@pytest.mark.parametrize(
    ("traffic", "at_least"), [(HEAVY, 0.7), (SLOW, 0.35)], ids=["heavy", "slow"]
)
def test_the_obvious_way_ends_wrong(traffic: Traffic, at_least: float) -> None:
    wrong = [run for run in runs(traffic, lane=NaiveLane) if not run.right]
    assert len(wrong) >= at_least * SEEDS


# --- canaries ------------------------------------------------------------------------------------

observed, heard, from_answer = stretches.observed, edits.heard, stretches.from_answer
splits_at, open_amounts, verdict = stretches.splits_at, edits.open_amounts, edits.verdict
from_silence = stretches.from_silence


def opened_at_the_reading_after(stretch: Stretch, seen: Seen, margins: Margins) -> Stretch:
    if stretch.start_kind is Start.UNKNOWN and not stretch.watch:
        return stretches.from_reading(stretch.listing, seen)
    return observed(stretch, seen, margins)


def watch_forgotten(stretch: Stretch, seen: Seen, margins: Margins) -> Stretch:
    return observed(replace(stretch, watch=()), seen, margins)


def wait_ended_by_an_equal_reading(stretch: Stretch, seen: Seen, margins: Margins) -> Stretch:
    read = observed(stretch, seen, margins)
    if read.late_until is not None and read.va == seen.value:
        return replace(read, late_until=min(read.late_until, stretch.t0))
    return read


def wait_ended_at_the_time_out(
    listing: int, before: Seen, value: int, timed_out: datetime, margins: Margins
) -> Stretch:
    made = from_silence(listing, before, value, timed_out, margins)
    return replace(made, late_until=timed_out)


def no_clock_margin(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Verdict:
    return verdict(stretch, steps, replace(margins, clock_s=0.0))


def split_beside_a_step(
    stretch: Stretch, steps: Iterable[OrderStep], now: datetime, margins: Margins
) -> Seen | None:
    return splits_at(stretch, (), now, margins)


def never_merged(*_: object) -> bool:
    return False


def booked_with_several(stretch: Stretch, steps: Iterable[OrderStep], margins: Margins) -> Verdict:
    found = verdict(stretch, steps, margins)
    return Verdict((found.proposal,), found.proposal)


def others_raised(rows: Iterable[Stretch], mode: Edits) -> OpenAmounts:
    amounts = open_amounts(rows, mode)
    return OpenAmounts(amounts.own, amounts.own)


def write_where_it_was_answered(
    listing: int, before: Seen, answered_at: datetime, value: int
) -> Stretch:
    return from_answer(listing, Seen(answered_at, before.value), answered_at, value)


def settled_is_settled(
    rows: Iterable[Stretch], steps: list[OrderStep], news: OrderStep, mode: Edits, margins: Margins
) -> Heard:
    return heard([row for row in rows if not row.settled], steps, news, mode, margins)


def never_landed(*_: object) -> bool:
    return False


CANARIES: list[tuple[Any, str, Callable[..., Any], Traffic, range]] = [
    (stretches, "observed", opened_at_the_reading_after, HEAVY, ANY),
    (stretches, "observed", watch_forgotten, HEAVY, ANY),
    (stretches, "observed", wait_ended_by_an_equal_reading, HEAVY, ANY),
    (stretches, "from_silence", wait_ended_at_the_time_out, HEAVY, ANY),
    (histories._Line, "may_land", never_landed, HEAVY, ANY),
    (stretches, "from_answer", write_where_it_was_answered, HEAVY, ANY),
    (edits, "verdict", no_clock_margin, HEAVY, ANY),
    (edits, "verdict", booked_with_several, HEAVY, ANY),
    (edits, "open_amounts", others_raised, HEAVY, ANY),
    (edits, "heard", settled_is_settled, HEAVY, ANY),
    (stretches, "splits_at", split_beside_a_step, ALONE, ANY),
    (edits, "merges", never_merged, ALONE, range(18, 19)),
]


@pytest.mark.parametrize(
    ("where", "name", "deviation", "traffic", "seeds"),
    CANARIES,
    ids=[canary[2].__name__ for canary in CANARIES],
)
def test_a_deviation_is_seen(
    where: Any,
    name: str,
    deviation: Callable[..., Any],
    traffic: Traffic,
    seeds: range,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert all(ran(seed, traffic).fine for seed in seeds[:1])
    monkeypatch.setattr(where, name, deviation)
    assert any(not ran(seed, traffic).fine for seed in seeds)
