"""A refused delivery waits for a person, or for something newer than what was refused."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.connectors.base import Outcome, RowResult
from syncd.connectors.memory_store import MemoryStore
from tests.flow.town import Town


def refuses_above(store: MemoryStore, most: int) -> list[int]:
    """The store refuses to show more; gives what it was asked to show, as it is asked."""
    asked: list[int] = []
    problem = store._problem

    def refusing(row: Any, op: Any) -> Any:
        asked.append(row.to_quantity)
        if row.to_quantity > most:
            return RowResult(Outcome.REFUSED, f"at most {most}")
        return problem(row, op)

    store._problem = refusing  # type: ignore[method-assign]
    return asked


async def parked(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows("select reason, tries from outbox where parked_at is not null")


async def test_a_newer_target_is_tried_after_an_older_one_was_refused(town: Town) -> None:
    town.clock.forward(60)
    refuses_above(town.stores["woo"], 60)
    await town.stores["uk"].edit("MUG", 61)
    await town.settle()
    assert await parked(town) == [("at most 60", 0)]
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 1)
    await town.settle()
    assert town.shelves("MUG") == {"uk": 1, "sw": 1, "woo": 1}
    assert await town.rows("select * from outbox") == []


async def test_a_refused_target_is_not_tried_again_by_sweeps(town: Town) -> None:
    town.clock.forward(60)
    asked = refuses_above(town.stores["woo"], 60)
    await town.stores["uk"].edit("MUG", 61)
    await town.settle()
    before = asked.count(61)
    for _ in range(3):
        town.clock.forward(900)
        for sweeper in town.sweepers.values():
            await sweeper.sweep()
        await town.settle()
    assert asked.count(61) == before
    assert await parked(town) == [("at most 60", 0)]


async def test_what_was_owed_during_the_refused_write_is_not_parked_with_it(town: Town) -> None:
    town.clock.forward(60)
    uk = town.stores["uk"]
    refuses_above(uk, 48)
    await town.stores["woo"].sell({"MUG": 1})
    await town.book_orders()

    async def sold_meanwhile() -> None:
        await town.stores["woo"].sell({"MUG": 1})
        await town.book_orders()

    with town.before_write("uk", sold_meanwhile):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    assert await parked(town) == []
    await town.settle()
    assert uk.shelf("MUG") == 48


@pytest.mark.parametrize("status", [404, 402, 423])
async def test_after_a_store_refused_everything_the_next_movement_goes(
    town: Town, status: int
) -> None:
    town.clock.forward(60)
    uk = town.stores["uk"]
    await town.stores["woo"].sell({"MUG": 2})
    await town.book_orders()
    uk.faults.status = status
    for _ in range(3):
        await town.lanes["uk"].writing.write_owed(lambda: None)
        town.clock.forward(60)
    uk.faults.status = None
    assert len(await parked(town)) == 1
    await town.stores["woo"].sell({"MUG": 1})
    await town.settle()
    assert uk.shelf("MUG") == 47
    assert await parked(town) == []
