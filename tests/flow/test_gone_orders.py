"""Orders that vanish or cannot be read: nothing comes back that nobody put back, and nobody waits."""

from __future__ import annotations

import pytest

from syncd.fanout import Heard, book
from syncd.stock.model import OrderUnreadable
from tests.flow.town import Town


@pytest.mark.parametrize("where", ["sw", "woo"])
async def test_a_deleted_order_keeps_what_it_holds(town: Town, where: str) -> None:
    town.clock.forward(60)
    store, channel = town.stores[where], town.channel(where)
    order = await store.sell({"MUG": 2})
    await town.settle()
    del store._orders[order]
    (seen,) = await channel.connector.orders([order])
    async with town.core.booking("gone") as (conn, booking):
        await book(conn, booking, [Heard(channel.id, seen)])
    await town.settle()
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_an_unreadable_order_is_told_and_books_nothing(town: Town) -> None:
    channel = town.channel("woo")
    async with town.core.booking("bad") as (conn, booking):
        await book(conn, booking, [Heard(channel.id, OrderUnreadable("77", "half a mug"))])
    found = await town.rows("select reason from journal where outcome = 'unreadable'")
    assert found == [("half a mug",)]
    assert await town.level("MUG") == 50
