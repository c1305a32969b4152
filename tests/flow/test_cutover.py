"""The first count: what was sold before it is inside, what happens after it counts, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from syncd.fanout import Heard, book
from syncd.stock.model import LineSeen
from tests.flow.town import LEVELS, ORDERS, Town


async def shops(plan: Town, source: Mapping[str, Any], **channel: Any) -> None:
    """A source and a shop with orders, each with mugs and tees; both are not seeded yet."""
    for name, character in (("uk", source), ("woo", ORDERS)):
        store = plan.store(name, character, **(channel if name == "uk" else {}))
        store.add("MUG", 50)
        store.add("TEE", 10)
    await plan.open()


async def later(plan: Town) -> None:
    plan.clock.forward(60)
    await plan.settle()


@pytest.mark.parametrize("known", [True, False], ids=["listed", "not_listed"])
@pytest.mark.parametrize(("source", "where"), [(LEVELS, "woo"), (ORDERS, "uk")])
async def test_a_sale_heard_while_the_first_count_is_read_is_booked_after_it(
    plan: Town, monkeypatch: pytest.MonkeyPatch, source: Mapping[str, Any], where: str, known: bool
) -> None:
    await shops(plan, source)
    for sweeper in plan.sweepers.values() if known else ():
        await sweeper.sweep()
    if not known:
        plan.stores[where].subscribe("orders/update", f"https://town.example/webhooks/{where}")

    store = plan.stores["uk"]
    told: list[object] = []
    page = store.page

    def counting(start: int) -> Any:
        told.append(start)
        return page(start)

    serve = store.serve

    async def serving(token: str, work: Any, *, writes: bool) -> Any:
        answer = await serve(token, work, writes=writes)
        if told == [0]:
            told.append("sold")
            plan.clock.forward(5)
            await plan.stores[where].sell({"MUG": 2})
            await plan.book_orders()
            plan.clock.forward(5)
        return answer

    monkeypatch.setattr(store, "page", counting)
    monkeypatch.setattr(store, "serve", serving)
    await plan.bulk.seed([])
    assert told == [0, "sold"]
    assert await plan.level("MUG") == 50
    await plan.settle()
    assert await plan.level("MUG") == 48
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    await later(plan)
    assert await plan.level("MUG") == 48
    assert plan.shelves("MUG") == {"uk": 48, "woo": 48}
    assert await plan.level("TEE") == 10


async def test_an_order_heard_before_the_first_count_is_inside_it(plan: Town) -> None:
    await shops(plan, LEVELS)
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    order = await plan.stores["woo"].sell({"MUG": 2})
    await plan.settle()
    plan.clock.forward(60)
    await plan.seed()
    assert await plan.level("MUG") == 50
    plan.clock.forward(60)
    await plan.stores["woo"].cancel(order)
    await plan.settle()
    assert await plan.level("MUG") == 52


async def test_a_line_added_after_the_first_count_to_an_older_order_is_a_sale(plan: Town) -> None:
    await shops(plan, LEVELS)
    woo = plan.stores["woo"]
    number = await woo.sell({"TEE": 1})
    first = woo.order(number)
    plan.clock.forward(600)
    await plan.seed()
    plan.clock.forward(600)
    now = plan.clock()
    line = LineSeen(f"{number}.2", 3, 3, remote=woo.items["MUG"].remote, sku="MUG")
    seen = replace(
        first,
        version=int(now.timestamp() * 1e6),
        at=now,
        created=first.at,
        lines=(*first.lines, line),
    )
    async with plan.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(plan.channel("woo").id, seen)])
    assert (await plan.level("MUG"), await plan.level("TEE")) == (47, 10)


@pytest.mark.parametrize("heard", ["before", "after"])
async def test_an_order_paid_after_the_first_count_was_off_the_shelf_before(
    plan: Town, heard: str
) -> None:
    await shops(plan, ORDERS, commit_on="paid")
    uk = plan.stores["uk"]
    if heard == "before":
        uk.subscribe("orders/update", "https://town.example/webhooks/uk")
    order = await uk.sell({"MUG": 2}, paid=False)
    await plan.settle()
    plan.clock.forward(600)
    await plan.seed()
    assert await plan.level("MUG") == 48
    plan.clock.forward(600)
    await uk.pay(order)
    await plan.settle()
    assert await plan.level("MUG") == 48
    plan.clock.forward(60)
    await uk.cancel(order)
    await plan.settle()
    assert await plan.level("MUG") == 50
