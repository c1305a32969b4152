"""Fetched orders that the database refuses: told, counted, and no reason to stop fetching."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from syncd.connectors.memory import MemoryStore
from syncd.stock.model import OrderHint
from tests.flow.test_poison import parsing, post
from tests.flow.town import Town

UNLUCKY = "alter table movement add constraint unlucky check (cause not like '%order:{}:%')"
LUCKY = "alter table movement drop constraint unlucky"


async def sold(store: MemoryStore, times: int) -> list[str]:
    return [await store.sell({"MUG": 1}) for _ in range(times)]


async def told(town: Town) -> list[tuple[str, bool]]:
    found = await town.rows(
        "select detail::jsonb->>'order', reason from journal where outcome = 'unreadable'"
    )
    return [(order, "unlucky" in reason) for order, reason in found]


def poison(town: Town) -> float:
    return town.core.metrics.events_total.labels("woo", "poison")._value.get()


async def watermark(town: Town) -> Any:
    ((through,),) = await town.rows("select orders_through from channel where name = 'woo'")
    return through


async def test_an_order_that_the_database_refuses_stops_no_fetch(town: Town) -> None:
    town.clock.forward(60)
    orders = await sold(town.stores["woo"], 7)
    town.lose_webhooks()
    await town.rows(UNLUCKY.format(orders[3]))
    before = await watermark(town)
    for _ in range(2):
        await town.sweepers["woo"].sweep()
        assert await town.level("MUG") == 44
    assert await watermark(town) > before
    assert await told(town) == [(orders[3], True)] * 2
    assert poison(town) == 2
    await town.settle()
    assert town.shelves("MUG") == {"uk": 44, "sw": 44, "woo": 44}


async def test_a_wished_order_that_the_database_refuses_keeps_no_other_waiting(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    orders: Sequence[str] = await sold(town.stores["woo"], 5)
    town.lose_webhooks()
    await town.rows(UNLUCKY.format(orders[2]))
    parsing(town, monkeypatch, *[OrderHint(one) for one in orders])
    await post(town, [b"{}"])
    await town.settle()
    assert await town.level("MUG") == 46
    assert await told(town) == [(orders[2], True)]
    ((waits, not_before),) = await town.rows("select order_id, not_before from order_look")
    assert waits == orders[2]
    assert not_before > town.clock() + timedelta(hours=1)


async def test_an_order_that_was_refused_is_booked_after_a_restart_that_mends_it(
    town: Town,
) -> None:
    town.clock.forward(60)
    orders = await sold(town.stores["woo"], 2)
    town.lose_webhooks()
    await town.rows(UNLUCKY.format(orders[0]))
    await town.sweepers["woo"].sweep()
    assert await town.level("MUG") == 49
    await town.rows(LUCKY)
    await town.start_lane("woo")
    town.clock.forward(900)
    await town.settle()
    assert await town.level("MUG") == 48
    assert await town.rows("select * from order_look") == []
