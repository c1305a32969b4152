"""Bundles: how many can be put together from what there is, and what of its components one takes.

A bundle has no stock of its own, so it can be no component of another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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


def problems_of(bundles: Iterable[Bundle]) -> list[str]:
    """Every reason why these bundles cannot be kept, sorted by bundle."""
    by_sku: dict[str, Bundle] = {}
    found = []
    for bundle in bundles:
        if bundle.sku in by_sku:
            found.append(f'bundle "{bundle.sku}": is described twice')
        by_sku[bundle.sku] = bundle
    for sku, bundle in sorted(by_sku.items()):
        found += [f'bundle "{sku}": {why}' for why in _problems(bundle, by_sku)]
    return found


def _problems(bundle: Bundle, known: Mapping[str, Bundle]) -> Iterable[str]:
    if not bundle.components:
        yield "has no components"
    for part, units in sorted(bundle.components.items()):
        if units < 1:
            yield f'takes {units} of "{part}": at least 1 is needed'
        if part == bundle.sku:
            yield "contains itself"
        elif part in known:
            yield f'contains the bundle "{part}": name what that one is made of instead'


def makes(bundle: Bundle, left: Mapping[str, int]) -> Makes | None:
    """How many can be put together from these units; None while a component is not counted.

    What is absent is not zero: nothing is known then, and nothing may be shown.
    """
    found: Makes | None = None
    for sku, units in sorted(bundle.components.items()):
        if sku not in left:
            return None
        here = left[sku] // units
        if found is None or here < found.units:
            found = Makes(here, sku)
    return found


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
