"""A level's difference that spans a count: its orders' dates say which part of it the count holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from syncd.fanout import answer_doubt
from syncd.fanout.counting import Count, book_counts
from syncd.stock.model import Kind
from tests.flow.town import Town


async def count(town: Town, quantity: int, counted_at: datetime) -> None:
    """Somebody counted mugs at that time, and says so now."""
    ((item_id,),) = await town.rows("select id from item where sku = 'MUG'")
    one = Count(
        "MUG", item_id, 1, quantity, None, None, counted_at, Kind.STOCKTAKE, "c1", "anna", ""
    )
    async with town.core.booking("count") as (conn, booking):
        await book_counts(conn, booking, [one])


async def movements(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select m.kind, m.delta from movement m join item i on i.id = m.item_id"
        " where i.sku = 'MUG' and m.kind <> 'seed' and m.delta <> 0 order by m.id"
    )


async def asked(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select id, reason, candidates, proposal from suspense where resolved_at is null"
    )


async def test_sales_before_and_after_a_count_are_told_apart(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 2})
    town.clock.forward(60)
    counted_at = town.clock()
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await count(town, 48, counted_at)
    assert await town.level("MUG") == 48
    await town.settle()
    assert await town.level("MUG") == 47
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 47}
    assert await movements(town) == [
        ("stocktake", -2),
        ("sale", -2),
        ("sale", -1),
        ("stocktake", 2),
    ]
    assert await asked(town) == []


@pytest.mark.parametrize(("answer", "level"), [(0, 40), (5, 45)])
async def test_what_cannot_be_dated_counts_as_after_and_is_asked(
    town: Town, answer: int, level: int
) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 45)
    town.clock.forward(60)
    counted_at = town.clock()
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 44)
    await town.stores["uk"].edit("MUG", 45)
    await count(town, 45, counted_at)
    await town.settle()
    assert await town.level("MUG") == 40
    ((doubt, reason, candidates, proposal),) = await asked(town)
    assert (reason, candidates, proposal) == ("spans_count", [0, 5], 0)
    assert town.shelves("MUG")["sw"] == 40
    async with town.core.booking("answer") as (conn, booking):
        await answer_doubt(conn, booking, doubt, answer, "bert")
    await town.settle()
    assert await town.level("MUG") == level
    assert town.shelves("MUG") == {"uk": level, "sw": level, "woo": level}


async def test_what_moved_last_before_the_count_is_inside_it(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 45)
    town.clock.forward(60)
    await count(town, 45, town.clock())
    await town.settle()
    assert await town.level("MUG") == 45
    assert await asked(town) == []
