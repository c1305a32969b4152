"""A merchant of ExportYourStore: one source store, its listings on three marketplaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncd.corridor import take_switches
from tests.flow.commands import Operator
from tests.flow.test_catalogue import rename, sweep, tell
from tests.flow.test_switches import yes
from tests.flow.town import LEVELS, ORDERS, Town

MARKETS = ("ebay", "shopify", "etsy")


async def opened(plan: Town, **channel: Any) -> Town:
    """The source store and three channels at 10; `channel` rules every market."""
    source = plan.store("store", ORDERS)
    for name in MARKETS:
        plan.store(name, LEVELS if name == "shopify" else ORDERS, **channel)
    for sku, quantity in (("MUG", 10), ("GIFT-1", 10), ("CAP", 10)):
        source.add(sku, quantity)
        for name in MARKETS:
            plan.stores[name].add(sku, 1)
    await plan.open()
    await plan.seed()
    return plan


@pytest.fixture
async def merchant(plan: Town) -> Town:
    return await opened(plan)


def everywhere(town: Town, quantity: int, *names: str) -> dict[str, int]:
    return dict.fromkeys(names or ("store", *MARKETS), quantity)


@pytest.mark.parametrize("where", MARKETS)
async def test_two_sold_on_one_are_eight_on_all_and_in_the_source(
    merchant: Town, where: str
) -> None:
    assert merchant.shelves("MUG") == everywhere(merchant, 10)
    merchant.clock.forward(60)
    await merchant.stores[where].sell({"MUG": 2})
    await merchant.settle()
    assert await merchant.level("MUG") == 8
    assert merchant.shelves("MUG") == everywhere(merchant, 8)


async def test_the_source_store_controls(merchant: Town) -> None:
    merchant.clock.forward(60)
    await merchant.stores["store"].sell({"MUG": 1})
    await merchant.settle()
    assert merchant.shelves("MUG") == everywhere(merchant, 9)
    await merchant.stores["ebay"].edit("MUG", 99)
    await merchant.settle()
    merchant.clock.forward(900)
    await sweep(merchant)
    merchant.clock.forward(900)
    await sweep(merchant)
    assert merchant.shelves("MUG") == everywhere(merchant, 9)


async def test_every_listing_says_listed_and_synced_or_why_not(
    merchant: Town, dsn: str, tmp_path: Path
) -> None:
    operator = Operator(merchant, dsn, tmp_path)
    assert (await operator.done("items", "MUG")).count("Listed & Synced") == 4
    merchant.stores["ebay"].remove("MUG")
    merchant.stores["etsy"].faults.refuse_skus = {"MUG"}
    merchant.clock.forward(60)
    await merchant.stores["store"].sell({"MUG": 2})
    await merchant.settle()
    (item,) = (await operator.json("items", "MUG"))["items"]
    assert {x["channel"]: x["state"] for x in item["listings"]} == {
        "store": "synced",
        "shopify": "synced",
        "ebay": "gone",
        "etsy": "parked",
    }


async def test_what_is_not_exported_has_no_sku_or_is_switched_off_does_not_move(
    merchant: Town, dsn: str, tmp_path: Path
) -> None:
    operator = Operator(merchant, dsn, tmp_path)
    ebay, etsy = merchant.stores["ebay"], merchant.stores["etsy"]
    ebay.remove("CAP")  # not exported there
    etsy.add("NAMELESS", 5)
    rename(etsy, "NAMELESS", "")
    tell(etsy, "NAMELESS")
    await operator.done("exclude", "MUG", "--channel", "etsy")
    await operator.done("channel", "disable", "ebay")
    await take_switches(merchant.core)
    merchant.clock.forward(60)
    await merchant.stores["shopify"].sell({"MUG": 2})
    await merchant.stores["shopify"].sell({"CAP": 3})
    await merchant.settle()
    merchant.clock.forward(900)
    await sweep(merchant)
    assert merchant.shelves("MUG") == {"store": 8, "shopify": 8, "ebay": 10, "etsy": 10}
    caps = {name: merchant.stores[name].shelf("CAP") for name in ("store", "shopify", "etsy")}
    assert caps == everywhere(merchant, 7, "store", "shopify", "etsy")
    assert etsy.shelf("NAMELESS") == 5
    assert ("no_sku",) in await merchant.rows("select distinct skip from listing")
    # links stayed: on again is brought up to date
    assert (await operator.ask("channel", "enable", "ebay")).exit_code == 3, "by a plan"
    await yes(merchant, 1)
    await take_switches(merchant.core)
    await operator.done("include", "MUG", "--channel", "etsy")
    merchant.clock.forward(60)
    await sweep(merchant)
    assert merchant.shelves("MUG") == everywhere(merchant, 8)


async def test_exclusion_rules_leave_items_out(plan: Town) -> None:
    town = await opened(plan, policy={"exclude": ["GIFT-*"]})
    assert town.shelves("GIFT-1") == {"store": 10, **everywhere(town, 1, *MARKETS)}
    town.clock.forward(60)
    await town.stores["ebay"].sell({"GIFT-1": 1})
    await town.settle()
    # its sales count all the same
    assert await town.level("GIFT-1") == 9
    assert town.stores["store"].shelf("GIFT-1") == 9
    assert town.stores["etsy"].shelf("GIFT-1") == 1


@pytest.mark.parametrize(("zero", "shown"), [("show_zero", 0), ("keep_last", 10)])
async def test_nothing_left_shows_as_the_rule_says(plan: Town, zero: str, shown: int) -> None:
    town = await opened(plan, policy={"zero": zero})
    town.clock.forward(60)
    await town.stores["store"].sell({"MUG": 10})
    await town.settle()
    assert {name: town.stores[name].shelf("MUG") for name in MARKETS} == dict.fromkeys(
        MARKETS, shown
    )
