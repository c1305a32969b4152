"""Twins of `syncd.db.alternation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from syncd.stock.drift import Alternation
from tests.rules.simulator.tables import Tables


async def known(t: Tables, listing_ids: Sequence[int]) -> dict[int, Alternation]:
    return {one: t.alternations[one] for one in listing_ids if one in t.alternations}


async def keep(t: Tables, found: Mapping[int, Alternation]) -> None:
    t.alternations.update(found)


async def quarantine(t: Tables, listing_ids: Sequence[int], now: datetime) -> set[int]:
    fresh = {one for one in listing_ids if not t.shelves[one].quarantined}
    for one in fresh:
        t.shelves[one].quarantined = True
    return fresh
