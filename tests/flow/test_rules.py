"""The operator's rules: what each policy shows, and what each switch leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

BLIND = pytest.mark.parametrize("character", [ORDERS, ONE_BY_ONE], ids=["read", "unread"])


async def shop_with(town: Town, character: Any, **channel: Any) -> None:
    """A source with fifty mugs and a shop under these rules, seeded and at rest."""
    for name, store in (
        ("uk", town.store("uk", LEVELS)),
        ("woo", town.store("woo", character, **channel)),
    ):
        store.add("MUG", 50 if name == "uk" else 9)
        store.add("GIFT-1", 20 if name == "uk" else 9)
    await town.open()
    await town.seed()
    town.clock.forward(60)


async def reasons(town: Town) -> set[str]:
    return {
        row[0] for row in await town.rows("select reason from journal where outcome = 'skipped'")
    }


@BLIND
@pytest.mark.parametrize(
    ("policy", "first", "after"),
    [
        ({}, 50, 40),
        ({"buffer": 3}, 47, 37),
        ({"percent": 50}, 25, 20),
        ({"percent": 33, "buffer": 1}, 15, 12),
        ({"cap": 12}, 12, 12),
        ({"cap": 45}, 45, 40),
        ({"buffer": 49}, 1, 0),
        ({"buffer": 60, "floor": 2}, 2, 2),
    ],
)
async def test_a_policy_decides_what_is_shown(
    plan: Town, character: Any, policy: dict[str, int], first: int, after: int
) -> None:
    await shop_with(plan, character, policy=policy)
    assert plan.stores["woo"].shelf("MUG") == first
    await plan.stores["uk"].sell({"MUG": 10})
    await plan.settle()
    assert plan.stores["woo"].shelf("MUG") == after
    assert await plan.level("MUG") == 40, "no policy moves the ledger"


@BLIND
async def test_a_sale_under_a_cap_is_filled_up_again(plan: Town, character: Any) -> None:
    await shop_with(plan, character, policy={"cap": 5})
    await plan.stores["woo"].sell({"MUG": 4})
    await plan.settle()
    assert await plan.level("MUG") == 46
    assert plan.shelves("MUG") == {"uk": 46, "woo": 5}


async def test_an_adopted_edit_under_a_cap_is_a_difference(plan: Town) -> None:
    """Cap 10 of 100, 20 typed: the level is 110, and the shelf goes back to 10."""
    source, shop = plan.store("uk", LEVELS), plan.store("eu", LEVELS, policy={"cap": 10})
    source.add("MUG", 100)
    shop.add("MUG", 10)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await shop.edit("MUG", 20)
    await plan.settle()
    assert await plan.level("MUG") == 110
    assert plan.shelves("MUG") == {"uk": 110, "eu": 10}


async def test_one_item_may_differ_from_its_channel(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"buffer": 5}, items={"MUG": {"buffer": 1, "cap": 30}})
    assert plan.stores["woo"].shelves() == {"MUG": 30, "GIFT-1": 15}


async def test_what_is_excluded_is_left_alone(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"exclude": ["GIFT-*"]}, items={"MUG": {"exclude": True}})
    assert plan.stores["woo"].shelves() == {"MUG": 9, "GIFT-1": 9}
    assert "excluded" in await reasons(plan)
    await plan.stores["woo"].sell({"MUG": 2})
    await plan.settle()
    assert await plan.level("MUG") == 48, "its sales still count"
    assert plan.stores["uk"].shelf("MUG") == 48


async def test_an_item_may_be_taken_out_of_an_exclusion(plan: Town) -> None:
    await shop_with(
        plan, ORDERS, policy={"exclude": ["GIFT-*"]}, items={"GIFT-1": {"exclude": False}}
    )
    assert plan.stores["woo"].shelf("GIFT-1") == 20


@BLIND
@pytest.mark.parametrize(
    ("switch", "lowered", "raised"),
    [("deliver_raises", 40, 40), ("deliver_lowers", 50, 60), ("deliver", 50, 50)],
)
async def test_a_direction_can_be_switched_off(
    plan: Town, character: Any, switch: str, lowered: int, raised: int
) -> None:
    source, shop = plan.store("uk", LEVELS), plan.store("woo", character, **{switch: False})
    for store in (source, shop):
        store.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await source.edit("MUG", 40)
    await plan.settle()
    assert shop.shelf("MUG") == lowered
    plan.clock.forward(60)
    await source.edit("MUG", 60)
    await plan.settle()
    assert shop.shelf("MUG") == raised
    assert await plan.level("MUG") == 60
    assert "channel_off" in await reasons(plan)


@BLIND
async def test_a_channel_without_deliveries_still_sells(plan: Town, character: Any) -> None:
    await shop_with(plan, character, deliver=False)
    await plan.stores["woo"].sell({"MUG": 2})
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 48, "woo": 7}


async def test_a_disabled_channel_neither_books_nor_is_written_to(plan: Town) -> None:
    await shop_with(plan, ORDERS, enabled=False)
    calls = plan.stores["woo"].counters.writes
    await plan.stores["woo"].sell({"MUG": 2})
    await plan.stores["uk"].sell({"MUG": 5})
    await plan.settle()
    assert await plan.level("MUG") == 45
    assert plan.stores["woo"].counters.writes == calls
    assert plan.stores["woo"].shelf("MUG") == 7


async def test_a_truth_of_none_only_receives(plan: Town) -> None:
    await shop_with(plan, ORDERS, truth="none")
    assert plan.stores["woo"].shelf("MUG") == 50
    await plan.stores["woo"].sell({"MUG": 2})
    await plan.settle()
    assert await plan.level("MUG") == 50
    await plan.stores["uk"].sell({"MUG": 5})
    await plan.settle()
    assert plan.stores["woo"].shelf("MUG") == 45


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_a_push_writes_whatever_is_believed_to_be_shown(town: Town, where: str) -> None:
    """Somebody changed a shelf and nobody told: a push of the item brings it back, adopted or not."""
    town.clock.forward(60)
    await town.stores[where].edit("MUG", 33)
    town.lose_webhooks()
    await town.ask("push", where, ["MUG"])
    await town.settle()
    assert await town.level("MUG") == 50
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_push_of_one_channel_writes_to_no_other(town: Town) -> None:
    town.clock.forward(60)
    before = {name: store.counters.writes for name, store in town.stores.items()}
    await town.ask("push", "sw")
    await town.settle()
    writes = {name: s.counters.writes - before[name] for name, s in town.stores.items()}
    assert (writes["uk"], writes["woo"]) == (0, 0)
    assert writes["sw"] >= 1
