"""The verdict of a demo: what the stores' own order books say, against what their shelves show.

Nothing here knows syncd's tables: a bug in the ledger cannot excuse itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, inf

from syncd.demo.standins.base import Move

FORMULA = (
    "for each item: units sold while an earlier sale of it was under way, less the smallest buffer; "
    "a sale is under way for webhook delay + write delay + the platform's own delay, "
    "or until every other store showed it where that took longer"
)
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class StoreEnd:
    """One store at the end: its book and its shelves.

    `adopts_edits`: counts typed by people there are booked; elsewhere syncd puts its number back.
    `buffer`: units of every item held back from this store.
    """

    moves: Sequence[Move]
    shelves: Mapping[str, int]
    adopts_edits: bool = False
    buffer: int = 0


@dataclass(frozen=True, slots=True)
class Delays:
    """The inputs of the oversell bound, in seconds.

    `webhook_s`: the longest a store keeps a webhook. `platform_s`: its API's own answer time.
    `write_s`: what is left of an undisturbed sale's way to the other stores.
    """

    webhook_s: float
    write_s: float
    platform_s: float

    @property
    def window_s(self) -> float:
        return self.webhook_s + self.write_s + self.platform_s


@dataclass(frozen=True, slots=True)
class Difference:
    """One item that at least one store shows wrongly."""

    sku: str
    expected: int
    shelves: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All counts but `disagree` are units; see `judge`."""

    lost: int
    double: int
    disagree: int
    disagreeing: tuple[str, ...]
    oversold: int
    oversold_bound: int
    oversold_beyond_bound: int
    differences: tuple[Difference, ...]

    @property
    def good(self) -> bool:
        return not (self.lost or self.double or self.disagree or self.oversold_beyond_bound)


def levels(seeds: Mapping[str, int], stores: Mapping[str, StoreEnd]) -> dict[str, int]:
    """What there truly is of every item: the first count and every move that counts."""
    found = dict(seeds)
    for _, move in _counted(stores):
        found[move.sku] = found.get(move.sku, 0) + move.delta
    return found


def judge(
    seeds: Mapping[str, int],
    stores: Mapping[str, StoreEnd],
    shown_s: Mapping[tuple[str, str], float | None],
    delays: Delays,
) -> Verdict:
    """Compare shelves with books.

    What a store should show of an item is max(0, level - its buffer), the level being `levels`.
    `disagree` counts (store, item) that show something else. `lost` sums, item by item, how far the
    store that is highest above stands above: units sold that it never heard of. `double` sums how
    far the store that is lowest below stands below: units taken off it twice.

    `oversold` counts units sold that were not there, in the books' order of time over all stores.
    Its bound is `FORMULA`, item by item; `shown_s` says for (store, order) how long until every
    other store showed it, None where that never happened.
    """
    expected = levels(seeds, stores)
    lost = double = disagree = 0
    wrong_stores: set[str] = set()
    differences = []
    for sku, level in sorted(expected.items()):
        off = {
            name: store.shelves.get(sku, 0) - max(0, level - store.buffer)
            for name, store in stores.items()
        }
        wrong = [name for name, units in off.items() if units]
        if not wrong:
            continue
        lost += max(0, *off.values())
        double += max(0, *(-units for units in off.values()))
        disagree += len(wrong)
        wrong_stores.update(wrong)
        shelves = {name: store.shelves.get(sku, 0) for name, store in stores.items()}
        differences.append(Difference(sku, level, shelves))
    oversold = _oversold(seeds, stores)
    exposed = _exposed(stores, shown_s, delays.window_s)
    buffer = min((store.buffer for store in stores.values()), default=0)
    bounds = {sku: max(0, exposed.get(sku, 0) - buffer) for sku in oversold}
    return Verdict(
        lost=lost,
        double=double,
        disagree=disagree,
        disagreeing=tuple(sorted(wrong_stores)),
        oversold=sum(oversold.values()),
        oversold_bound=sum(bounds.values()),
        oversold_beyond_bound=sum(max(0, oversold[sku] - bounds[sku]) for sku in oversold),
        differences=tuple(differences[:EXAMPLES]),
    )


def _counted(stores: Mapping[str, StoreEnd]) -> Iterator[tuple[str, Move]]:
    """Every move that changes the level, with its store; of one store in the book's order."""
    for name, store in stores.items():
        for move in store.moves:
            if move.cause != "edit" or store.adopts_edits:
                yield name, move


def _oversold(seeds: Mapping[str, int], stores: Mapping[str, StoreEnd]) -> dict[str, int]:
    """Units sold below zero, by item; only items that were."""
    level = dict(seeds)
    short: dict[str, int] = {}
    for _, move in sorted(_counted(stores), key=lambda pair: pair[1].at):
        before = level.get(move.sku, 0)
        level[move.sku] = before + move.delta
        missing = -move.delta - max(0, before)
        if move.cause == "sale" and missing > 0:
            short[move.sku] = short.get(move.sku, 0) + missing
    return short


def _exposed(
    stores: Mapping[str, StoreEnd],
    shown_s: Mapping[tuple[str, str], float | None],
    window_s: float,
) -> dict[str, int]:
    """Units sold while an earlier sale of the same item was under way, by item."""
    open_until: dict[str, float] = {}
    units: dict[str, int] = {}
    sales = [(name, move) for name, move in _counted(stores) if move.cause == "sale"]
    for name, move in sorted(sales, key=lambda pair: pair[1].at):
        at = _seconds(move.at)
        if at <= open_until.get(move.sku, -inf):
            units[move.sku] = units.get(move.sku, 0) - move.delta
        took_s = shown_s.get((name, move.order), 0.0)
        until = inf if took_s is None else at + max(took_s, window_s)
        open_until[move.sku] = max(until, open_until.get(move.sku, -inf))
    return units


def _seconds(at: datetime) -> float:
    return at.timestamp()


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share (0..1) of them do not exceed; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
