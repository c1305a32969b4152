"""Single orders that are wished for: what a fetch of all brings is not asked for again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncd.connectors.budget import Priority, Ticket
from syncd.db import bookmark
from syncd.lane.fetching import CALLS_AT_ONCE
from tests.flow.town import LEVELS, ONE_BY_ONE, Town


async def wish(town: Town, name: str, orders: Sequence[str], *, in_s: float = 0.0) -> None:
    """Messages about these orders said too little."""
    town.clock.forward(in_s)
    async with town.db.transaction("wish") as conn:
        pairs = [(town.channel(name).id, one) for one in orders]
        await bookmark.wish_orders(conn, pairs, town.clock())
    town.clock.forward(-in_s)


async def wished(town: Town) -> list[str]:
    return [row[0] for row in await town.rows("select order_id from order_look order by 1")]


@pytest.fixture
async def shops(plan: Town) -> Town:
    """A shop that gives one order a call, of which nobody has told us an order yet."""
    uk, sw = plan.store("uk", LEVELS), plan.store("sw", {**ONE_BY_ONE, "orders_max": 1})
    for store in (uk, sw):
        store.add("MUG", 500)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    return plan


async def sold(town: Town, count: int) -> list[str]:
    orders = [await town.stores["sw"].sell({"MUG": 1}) for _ in range(count)]
    town.lose_webhooks()
    return orders


async def test_a_fetch_of_all_fulfils_the_wishes_for_what_it_brings(shops: Town) -> None:
    await wish(shops, "sw", [*await sold(shops, 3), "elsewhere"])
    await shops.lanes["sw"].fetching.fetch_changed(lambda: None)
    assert await wished(shops) == ["elsewhere"]
    assert await shops.level("MUG") == 497


async def test_a_wish_made_while_the_page_was_on_its_way_stays(shops: Town) -> None:
    orders = await sold(shops, 2)
    await wish(shops, "sw", orders)
    with shops.after_reading("sw", lambda: wish(shops, "sw", orders[:1])):
        await shops.lanes["sw"].fetching.fetch_changed(lambda: None)
    assert await wished(shops) == orders[:1]


async def test_a_wish_that_is_not_due_stays(shops: Town) -> None:
    orders = await sold(shops, 1)
    await wish(shops, "sw", orders, in_s=2)
    await shops.lanes["sw"].fetching.fetch_changed(lambda: None)
    assert await wished(shops) == orders


async def test_a_backlog_of_single_orders_is_fetched_with_all(shops: Town) -> None:
    orders = await sold(shops, 60)
    calls = shops.stores["sw"].counters.calls
    await wish(shops, "sw", orders)
    await shops.lanes["sw"].fetching.fetch_wished(lambda: None)
    assert shops.stores["sw"].counters.calls == calls + 1
    assert await wished(shops) == []
    assert await shops.level("MUG") == 440


async def test_what_a_fetch_of_all_did_not_bring_is_asked_for_one_by_one(shops: Town) -> None:
    old = [f"old-{n:02}" for n in range(30)]
    calls = shops.stores["sw"].counters.calls
    await wish(shops, "sw", old)
    await shops.lanes["sw"].fetching.fetch_wished(lambda: None)
    assert shops.stores["sw"].counters.calls == calls + 1
    for left in (20, 10, 0):
        await shops.lanes["sw"].fetching.fetch_wished(lambda: None)
        assert len(await wished(shops)) == left
    assert shops.stores["sw"].counters.calls == calls + 1 + 30


async def test_a_few_single_orders_are_fetched_one_by_one(shops: Town) -> None:
    orders = await sold(shops, CALLS_AT_ONCE)
    calls = shops.stores["sw"].counters.calls
    await wish(shops, "sw", orders)
    await shops.lanes["sw"].fetching.fetch_wished(lambda: None)
    assert shops.stores["sw"].counters.calls == calls + CALLS_AT_ONCE
    assert await wished(shops) == []


@pytest.mark.parametrize(("where", "level"), [("uk", Priority.BULK), ("sw", Priority.NORMAL)])
async def test_orders_that_only_explain_levels_keep_no_reading_waiting(
    shops: Town, where: str, level: Priority, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = shops.channel(where).http.budget
    acquire, asked = budget.acquire, list[Priority]()

    async def acquiring(cost: float, priority: Priority, deadline_s: float | None = None) -> Ticket:
        asked.append(priority)
        return await acquire(cost, priority, deadline_s)

    monkeypatch.setattr(budget, "acquire", acquiring)
    await wish(shops, where, [await shops.stores[where].sell({"MUG": 1})])
    await shops.lanes[where].fetching.fetch_wished(lambda: None)
    assert asked == [level]
