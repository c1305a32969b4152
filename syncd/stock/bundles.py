"""Bundles: how many can be put together from what there is, and what of its components one takes.

A bundle has no stock of its own, so it can be no component of another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")

UNITS_LIMIT = 1_000_000
"""More of one component no bundle takes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An item that is made of other items when it is sold."""

    sku: str
    components: Mapping[str, int]
    """Units of each component in one bundle, by sku."""


@dataclass(frozen=True, slots=True)
class Makes:
    """How many bundles can be made, and the component that allows no more (the first by sku).

    Below 0 where that component is oversold.
    """

    units: int
    short: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a bundle cannot be kept; `component`: where that is one of its components' fault."""

    bundle: str
    component: str | None
    words: str

    def __str__(self) -> str:
        return f'bundle "{self.bundle}": {self.words}'


def problems_of(bundles: Iterable[Bundle]) -> list[Problem]:
    """Every reason why these bundles cannot be kept, sorted by bundle."""
    by_sku: dict[str, Bundle] = {}
    found = []
    for bundle in bundles:
        if bundle.sku in by_sku:
            found.append(Problem(bundle.sku, None, "is described twice"))
        by_sku[bundle.sku] = bundle
    for _, bundle in sorted(by_sku.items()):
        found += _problems(bundle, by_sku)
    return found


def _problems(bundle: Bundle, known: Mapping[str, Bundle]) -> Iterable[Problem]:
    if not bundle.components:
        yield Problem(bundle.sku, None, "has no components")
    for part, units in sorted(bundle.components.items()):
        if units < 1:
            yield Problem(bundle.sku, part, f'takes {units} of "{part}": at least 1 is needed')
        if units > UNITS_LIMIT:
            yield Problem(
                bundle.sku, part, f'takes {units} of "{part}": at most {UNITS_LIMIT} can be'
            )
        if part == bundle.sku:
            yield Problem(bundle.sku, part, "contains itself")
        elif part in known:
            words = f'contains the bundle "{part}": name what that one is made of instead'
            yield Problem(bundle.sku, part, words)


def makes(bundle: Bundle, left: Mapping[str, int]) -> Makes | None:
    """How many can be put together from these units; None while a component is not counted.

    What is absent is not zero: nothing is known then, and nothing may be shown.
    """
    parts = sorted(bundle.components.items())
    found = scarcest((sku, units, left.get(sku)) for sku, units in parts)
    return Makes(*found) if found is not None else None


def scarcest(parts: Iterable[tuple[K, int, int | None]]) -> tuple[int, K] | None:
    """How many bundles these (component, units in one, left) make, and the first that allows no more.

    None while one is not counted (`left` None).
    """
    found: tuple[int, K] | None = None
    for name, units, left in parts:
        if left is None:
            return None
        here = left // units
        if found is None or here < found[0]:
            found = here, name
    return found


@dataclass(frozen=True, slots=True)
class PartStock:
    """A component in one warehouse; `left` None: it is not counted there."""

    sku: str
    units: int
    left: int | None


@dataclass(frozen=True, slots=True)
class Stock:
    """A bundle in one warehouse."""

    warehouse: str
    parts: tuple[PartStock, ...]

    @property
    def makes(self) -> int | None:
        """How many can be made; None while a component is not counted."""
        found = scarcest((x.sku, x.units, x.left) for x in self.parts)
        return found[0] if found is not None else None

    @property
    def short(self) -> str:
        """The component that allows no more, or the first that is not counted."""
        found = scarcest((x.sku, x.units, x.left) for x in self.parts)
        return found[1] if found else next((x.sku for x in self.parts if x.left is None), "")


def taken_apart(lines: Iterable[tuple[str, int]], bundles: Mapping[str, Bundle]) -> dict[str, int]:
    """What the lines (sku, units) of one order take of each counted item, summed over the order.

    One sum per item: a bundle sold beside its own component takes both. Units may be negative.
    """
    total: Counter[str] = Counter()
    for sku, units in lines:
        bundle = bundles.get(sku)
        for part, each in bundle.components.items() if bundle else ((sku, 1),):
            total[part] += units * each
    return dict(total)
