"""A push says what is right: orders count, an edit that it finds where edits are adopted is rejected."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.bulk.applying import apply
from syncd.bulk.loading import Wanted
from syncd.bulk.undoing import Undo, undo
from tests.flow.test_imports import say_yes
from tests.flow.town import FOLLOWED, LEVELS, ORDERS, Town

SETTLE_S = 301


@pytest.fixture
async def shops(plan: Town) -> Town:
    """A store whose levels are the truth, and two blind ones: of one the edits are adopted too."""
    uk = plan.store("uk", LEVELS)
    shop = plan.store("shop", FOLLOWED, edits="adopt")
    woo = plan.store("woo", ORDERS)
    for store in (uk, shop, woo):
        for sku in ("MUG", "TEE"):
            store.add(sku, 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    return plan


async def rejected(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select sku, before, after, detail->'units' from journal where outcome = 'rejected'"
        " and reason like 'a push%' order by at"
    )


async def plan_rows(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select p.kind, p.state, p.rows, r.sku, r.delta from plan p left join plan_row r on r.plan_id = p.id"
        " order by p.id, r.position"
    )


async def booked(town: Town, sku: str = "MUG") -> list[tuple[str, int]]:
    return await town.rows(
        "select kind, delta from movement m join item i on i.id = m.item_id"
        " where i.sku = $1 and kind <> 'seed' order by m.id",
        sku,
    )


async def everywhere(town: Town, level: int, sku: str = "MUG") -> None:
    assert await town.level(sku) == level
    assert town.shelves(sku) == dict.fromkeys(town.stores, level)


async def silent_edit(town: Town, name: str, quantity: int) -> None:
    """Somebody types a number, and no message of it arrives."""
    await town.stores[name].edit("MUG", quantity)
    town.lose_webhooks()


@pytest.mark.parametrize("name", ["uk", "shop"])
@pytest.mark.parametrize("typed", [57, 40, 0])
async def test_a_push_rejects_the_edit_that_it_finds(shops: Town, name: str, typed: int) -> None:
    await silent_edit(shops, name, typed)
    await shops.ask("push", skus=["MUG"])
    await shops.settle()
    await everywhere(shops, 50)
    shops.clock.forward(SETTLE_S)
    await shops.settle()
    for sweeper in shops.sweepers.values():
        await sweeper.sweep()
    await shops.settle()
    await everywhere(shops, 50)
    assert await booked(shops) == []
    units = str(typed - 50)
    assert await rejected(shops) == [("MUG", 50, typed, units)]
    assert await plan_rows(shops) == [("push", "applied", 1, "MUG", 50 - typed)]


@pytest.mark.parametrize("name", ["uk", "shop"])
async def test_what_an_order_explains_is_booked_by_a_push_and_the_rest_is_not(
    shops: Town, name: str
) -> None:
    store = shops.stores[name]
    await store.sell({"MUG": 3})
    shops.clock.forward(10)
    await store.edit("MUG", 60)  # 47 were left
    shops.lose_webhooks()
    shops.clock.forward(10)
    await shops.ask("push")
    await shops.settle()
    await everywhere(shops, 47)
    assert await booked(shops) == [("sale", -3)]
    assert [(sku, units) for sku, _, _, units in await rejected(shops)] == [("MUG", "13")]


async def test_a_hint_that_comes_before_the_pushs_reading_adopts_nothing(shops: Town) -> None:
    await shops.ask("push", skus=["MUG"])
    await shops.stores["uk"].edit("MUG", 57)
    await shops.settle()
    await everywhere(shops, 50)
    assert await booked(shops) == []


async def test_the_sweep_adopts_nothing_of_a_pushed_listing(shops: Town) -> None:
    await silent_edit(shops, "uk", 57)
    await shops.ask("push", skus=["MUG"])
    await shops.sweepers["uk"].sweep()
    assert await booked(shops) == []
    await shops.settle()
    await everywhere(shops, 50)


@pytest.mark.parametrize("name", ["uk", "shop"])
async def test_an_edit_after_the_push_is_adopted_as_ever(shops: Town, name: str) -> None:
    await silent_edit(shops, name, 57)
    await shops.ask("push", skus=["MUG"])
    await shops.settle()
    shops.clock.forward(60)
    await shops.stores[name].edit("MUG", 52)
    await shops.settle()
    shops.clock.forward(SETTLE_S)
    await shops.settle()
    await everywhere(shops, 52)
    assert [kind for kind, _ in await booked(shops)] == ["edit"]


async def test_a_push_where_nothing_was_typed_books_and_rejects_nothing(shops: Town) -> None:
    await shops.ask("push")
    await shops.settle()
    await everywhere(shops, 50)
    assert await rejected(shops) == []
    shops.clock.forward(60)
    await shops.stores["uk"].edit("TEE", 44)
    await shops.settle()
    await everywhere(shops, 44, "TEE")


async def test_a_push_where_edits_are_overwritten_has_no_plan(shops: Town) -> None:
    await shops.ask("push", "woo", ["MUG"])
    assert await plan_rows(shops) == []
    assert await shops.rows("select result from wish") == [('{"listings": 1}',)]


@pytest.mark.parametrize("name", ["uk", "shop"])
async def test_an_order_that_turns_up_after_the_push_still_counts(shops: Town, name: str) -> None:
    """The platform shows it only now: what the push took for an edit was its sale."""
    store = shops.stores[name]
    hidden = store.changed_since
    await store.sell({"MUG": 3})
    shops.lose_webhooks()
    store.changed_since = lambda since: []  # type: ignore[method-assign]
    shops.clock.forward(10)
    await shops.ask("push", skus=["MUG"])
    await shops.settle()
    assert await shops.level("MUG") == 50
    store.changed_since = hidden  # type: ignore[method-assign]
    shops.clock.forward(60)
    await shops.sweepers[name].sweep()
    await shops.settle()
    shops.clock.forward(SETTLE_S)
    await shops.settle()
    await everywhere(shops, 47)
    assert await booked(shops) == [("sale", -3)]


async def undone(town: Town, number: int = 1) -> Undo:
    found = await undo(town.db, town.core.rulebook, number, Wanted("", "bert"), town.clock())
    assert found.loaded.plan_id is not None
    await say_yes(town, found.loaded.plan_id)
    await apply(town.core, found.loaded.plan_id)
    await town.settle()
    return found


@pytest.mark.parametrize("name", ["uk", "shop"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_undoing_a_push_brings_back_what_it_rejected(
    shops: Town, name: str, at_once: bool
) -> None:
    await silent_edit(shops, name, 57)
    await shops.ask("push", skus=["MUG"])
    await shops.settle()
    await everywhere(shops, 50)
    if not at_once:
        shops.clock.forward(SETTLE_S)
        await shops.settle()
    back = await undone(shops)
    assert back.moved == []
    await everywhere(shops, 57)
    shops.clock.forward(SETTLE_S)
    await shops.settle()
    await everywhere(shops, 57)
    assert await booked(shops) == [("correction", 7)]
    assert back.loaded.plan_id is not None
    await undone(shops, back.loaded.plan_id)
    shops.clock.forward(SETTLE_S)
    await shops.settle()
    await everywhere(shops, 50)


async def test_what_moved_since_a_push_is_told_before_it_is_undone(shops: Town) -> None:
    await silent_edit(shops, "uk", 57)
    await shops.ask("push", skus=["MUG"])
    await shops.settle()
    shops.clock.forward(60)
    await shops.stores["woo"].sell({"MUG": 2})
    await shops.settle()
    found = await undo(shops.db, shops.core.rulebook, 1, Wanted("", "bert"), shops.clock())
    assert [(m.sku, m.units, m.kinds) for m in found.moved] == [("MUG", -2, ["sale"])]
