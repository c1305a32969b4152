"""Holds: what unpaid orders promise lowers the other listings, until it is booked or nobody can pay it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from syncd.console.upkeep import Upkeep
from syncd.db import bookmark
from syncd.explain import explain
from syncd.fanout import Heard, book
from tests.flow.town import LEVELS, ORDERS, Town

LATER: Mapping[str, Any] = {**ORDERS, "takes_when_paid": True}
"""A shop that takes units off its shelf only when an order is paid."""

GUARDED: Mapping[str, Any] = {
    "truth": "levels",
    "write": "cas",
    "key_lifetime_s": 72000.0,
    "edits": ["adopt", "overwrite", "alert"],
}


async def shops(plan: Town, character: Mapping[str, Any], **channel: Any) -> Any:
    """A source, the shop in question, and another blind one, each with fifty mugs."""
    plan.store("uk", LEVELS).add("MUG", 50)
    shop = plan.store("woo", character, **channel)
    shop.add("MUG", 50)
    plan.store("sw", ORDERS).add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    return shop


async def rested(plan: Town) -> None:
    for _ in range(3):
        await plan.settle()
        plan.clock.forward(30)
    await plan.settle()


async def expired(plan: Town) -> None:
    """The holds that are over are given up, as once a second."""
    upkeep = Upkeep(plan.core)
    await upkeep.step()
    await plan.settle()


async def movements(plan: Town) -> list[tuple[str, int]]:
    return await plan.rows("select kind, delta from movement where kind <> 'seed' order by id")


async def held(plan: Town) -> list[tuple[Any, ...]]:
    return await plan.rows("select held from order_line where held <> 0")


async def test_an_unpaid_order_holds_and_is_booked_when_it_is_paid(plan: Town) -> None:
    shop = await shops(plan, ORDERS, commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    assert await plan.level("MUG") == 50
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}
    await shop.pay(order)
    await rested(plan)
    assert await movements(plan) == [("sale", -5)]
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}
    assert await held(plan) == []


@pytest.mark.parametrize("commit_on", ["created", "paid"])
async def test_what_is_not_taken_yet_lowers_the_others_alone(plan: Town, commit_on: str) -> None:
    shop = await shops(plan, LATER, commit_on=commit_on)
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    assert await plan.level("MUG") == 50
    assert plan.shelves("MUG") == {"uk": 45, "woo": 50, "sw": 45}, "the shop keeps them itself"
    await shop.pay(order)
    await rested(plan)
    assert await plan.level("MUG") == 45
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}


@pytest.mark.parametrize("character", [ORDERS, LATER], ids=["taken", "kept"])
async def test_a_cancelled_order_holds_nothing(plan: Town, character: Mapping[str, Any]) -> None:
    shop = await shops(plan, character, commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    await shop.cancel(order)
    await rested(plan)
    assert await movements(plan) == []
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50, "sw": 50}
    assert await held(plan) == []


async def test_a_deleted_order_holds_nothing(plan: Town) -> None:
    shop = await shops(plan, LATER)
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    del shop._orders[order]
    gone = shop.order(order)
    assert gone.gone
    async with plan.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(plan.channel("woo").id, gone)])
    await expired(plan)
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50, "sw": 50}


async def test_a_hold_ends_only_after_the_orders_were_fetched(plan: Town) -> None:
    shop = await shops(plan, {**LATER, "unpaid_expires": timedelta(hours=1)})
    await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    plan.clock.forward(3600)
    await expired(plan)
    assert plan.shelves("MUG")["uk"] == 45, "a payment of the last minute may not be heard yet"
    await plan.sweepers["woo"].sweep()
    await expired(plan)
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50, "sw": 50}
    assert await plan.rows("select sku, reason from journal where outcome = 'released'") == [
        ("MUG", "nobody can pay it any more")
    ]


async def test_a_payment_that_was_not_heard_of_is_booked_and_its_hold_never_given_up(
    plan: Town,
) -> None:
    shop = await shops(plan, {**LATER, "unpaid_expires": timedelta(hours=1)})
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    await shop.pay(order)
    plan.lose_webhooks()
    plan.clock.forward(3600)
    await plan.sweepers["woo"].sweep()
    await expired(plan)
    await rested(plan)
    assert await movements(plan) == [("sale", -5)]
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}
    assert await plan.rows("select 1 from journal where outcome = 'released'") == []


@pytest.mark.parametrize("character", [ORDERS, LATER], ids=["taken", "kept"])
async def test_a_late_payment_after_the_hold_is_over_is_booked(
    plan: Town, character: Mapping[str, Any]
) -> None:
    shop = await shops(plan, {**character, "unpaid_expires": timedelta(hours=1)}, commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    plan.clock.forward(3600)
    await plan.sweepers["woo"].sweep()
    await expired(plan)
    await rested(plan)
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50, "sw": 50}
    await shop.pay(order)
    await rested(plan)
    assert await movements(plan) == [("sale", -5)]
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}


async def test_news_of_an_order_nobody_can_pay_hold_nothing_anew(plan: Town) -> None:
    shop = await shops(plan, {**LATER, "unpaid_expires": timedelta(hours=1)})
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    plan.clock.forward(3600)
    await plan.sweepers["woo"].sweep()
    await expired(plan)
    shop._save(shop._orders[order])
    await rested(plan)
    assert await held(plan) == []


async def test_an_order_without_an_end_holds_as_long_as_it_is_there(plan: Town) -> None:
    shop = await shops(plan, ORDERS, commit_on="paid")
    await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    plan.clock.forward(40 * 86400)
    async with plan.db.transaction("partitions") as conn:
        await bookmark.ensure_partitions(conn, plan.clock().date())
    await plan.sweepers["woo"].sweep()
    await expired(plan)
    assert await held(plan) == [(5,)]


async def test_a_guarded_channel_holds_what_it_took(plan: Town) -> None:
    shop = await shops(plan, GUARDED, edits="overwrite", commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45, "sw": 45}
    await plan.stores["uk"].sell({"MUG": 1})
    await rested(plan)
    assert plan.shelves("MUG") == {"uk": 44, "woo": 44, "sw": 44}
    await shop.cancel(order)
    await rested(plan)
    assert plan.shelves("MUG") == {"uk": 49, "woo": 49, "sw": 49}


async def test_an_unpaid_order_inside_the_first_count_is_not_counted_twice(plan: Town) -> None:
    plan.store("uk", LEVELS).add("MUG", 45)
    shop = plan.store("woo", ORDERS, commit_on="paid")
    shop.add("MUG", 50)
    await plan.open()
    await plan.sweepers["woo"].sweep()
    order = await shop.sell({"MUG": 5}, paid=False)
    plan.clock.forward(3600)
    await plan.seed()
    assert await plan.level("MUG") == 45
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45}
    shop._save(shop._orders[order])
    await rested(plan)
    assert await plan.level("MUG") == 45
    await shop.pay(order)
    await rested(plan)
    assert await movements(plan) == []
    await shop.cancel(order)
    await rested(plan)
    assert await movements(plan) == [("cancellation", 5)]


async def test_explain_tells_what_is_promised(plan: Town) -> None:
    shop = await shops(plan, LATER)
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    async with plan.db.transaction("explain") as conn:
        told = await explain(conn, plan.core.rulebook, "MUG", plan.clock())
    assert told is not None
    steps = {part.channel: [(s.name, s.after) for s in part.steps] for part in told.listings}
    assert ("holds", 45) in steps["uk"]
    assert "holds" not in dict(steps["woo"])
    assert [(x.order, x.units, x.channel) for x in told.warehouses[0].holds] == [
        (f"#{order}", 5, "woo")
    ]
    written = {part.channel: part.write for part in told.listings}["uk"]
    assert written is not None
    assert written.recomputed == 45


async def test_what_a_shop_does_not_count_holds_nothing(plan: Town) -> None:
    shop = await shops(plan, LATER, restock="never")
    shop.unmanage("MUG")
    await plan.settle()
    order = await shop.sell({"MUG": 5}, paid=False)
    await rested(plan)
    assert await held(plan) == []
    assert plan.stores["uk"].shelf("MUG") == 50
    told = shop._orders[order]
    back = msgspec.structs.replace(told.lines[0], taken=0, kept=0, waits=0, sold=5)
    shop._save(msgspec.structs.replace(told, paid=True, lines=(back,)))
    await rested(plan)
    assert await movements(plan) == [], "nobody says that the shop ever took anything"


@pytest.mark.parametrize("commit_on", ["created", "paid"])
async def test_an_unpaid_bundle_holds_its_components(plan: Town, commit_on: str) -> None:
    plan.bundles = {"SET": {"MUG": 2, "TEE": 1}}
    for name, character in (("uk", LEVELS), ("woo", ORDERS), ("sw", ORDERS)):
        store = plan.store(name, character, **({"commit_on": commit_on} if name == "woo" else {}))
        for sku, units in (("MUG", 50), ("TEE", 40), ("SET", 3)):
            store.add(sku, units)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    assert set(plan.shelves("SET").values()) == {25}
    order = await plan.stores["woo"].sell({"SET": 3}, paid=False)
    await rested(plan)
    assert await plan.level("MUG") == (50 if commit_on == "paid" else 44)
    assert set(plan.shelves("MUG").values()) == {44}
    assert set(plan.shelves("TEE").values()) == {37}
    assert set(plan.shelves("SET").values()) == {22}
    await plan.stores["woo"].pay(order)
    await rested(plan)
    assert (await plan.level("MUG"), await plan.level("TEE")) == (44, 37)
    assert set(plan.shelves("SET").values()) == {22}
    assert await held(plan) == []
    await plan.stores["woo"].cancel(order)
    await rested(plan)
    assert set(plan.shelves("SET").values()) == {25}
