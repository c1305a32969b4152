"""A merchant of Shiptheory's inventory sync: warehouses of many locations over many channels."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.app.build import problems_in
from syncd.config import load
from syncd.errors import ConfigError
from tests.flow.commands import Operator
from tests.flow.test_catalogue import sweep
from tests.flow.test_imports import made
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

SKUS = ("MUG", "TEE")
WAREHOUSES = {"main": {"source": "uk/SHOP"}, "north": {"source": "uk/DEPOT"}}


@pytest.fixture
async def merchant(plan: Town) -> Town:
    """Two warehouses; `main` is sold by two shops with locations and two that have none."""
    uk = plan.store(
        "uk",
        {**LEVELS, "locations": ["SHOP", "DEPOT", "FAIR"]},
        locations={"SHOP": "main", "DEPOT": "north"},
    )
    us = plan.store(
        "us",
        {**LEVELS, "locations": ["W1", "W2"]},
        locations={"W1": "main", "W2": "north"},
    )
    sw = plan.store("sw", ONE_BY_ONE)
    woo = plan.store("woo", ORDERS, locations={"*": "north"})
    for sku, main, north in (("MUG", 50, 20), ("TEE", 10, 5)):
        for store in (uk, us, sw, woo):
            store.add(sku, 1)
        await uk.edit(sku, main, "SHOP")
        await uk.edit(sku, north, "DEPOT")
        await uk.edit(sku, 3, "FAIR")
    plan.lose_webhooks()
    await plan.open(WAREHOUSES)
    await plan.seed()
    await sweep(plan)
    return plan


def shown(town: Town, sku: str) -> dict[str, int]:
    uk, us = town.stores["uk"], town.stores["us"]
    return {
        "uk/SHOP": uk.shelf(sku, "SHOP"),
        "uk/DEPOT": uk.shelf(sku, "DEPOT"),
        "uk/FAIR": uk.shelf(sku, "FAIR"),
        "us/W1": us.shelf(sku, "W1"),
        "us/W2": us.shelf(sku, "W2"),
        "sw": town.stores["sw"].shelf(sku),
        "woo": town.stores["woo"].shelf(sku),
    }


def pools(main: int, north: int) -> dict[str, int]:
    return {
        **dict.fromkeys(("uk/SHOP", "us/W1", "sw"), main),
        **dict.fromkeys(("uk/DEPOT", "us/W2", "woo"), north),
        "uk/FAIR": 3,
    }


async def test_the_source_of_each_warehouse_seeds_every_location_that_shares_it(
    merchant: Town,
) -> None:
    assert shown(merchant, "MUG") == pools(50, 20)
    assert shown(merchant, "TEE") == pools(10, 5)


async def test_a_sale_at_a_location_lowers_its_warehouse_alone(merchant: Town) -> None:
    merchant.clock.forward(60)
    await merchant.stores["us"].sell({"MUG": 4}, location="W1")
    await merchant.stores["woo"].sell({"MUG": 3})
    await merchant.settle()
    assert shown(merchant, "MUG") == pools(46, 17)


async def test_a_count_edited_centrally_reaches_every_linked_location(merchant: Town) -> None:
    merchant.clock.forward(60)
    await made(merchant, "sku,quantity,warehouse\nMUG,30,main\n")
    merchant.clock.forward(60)
    await sweep(merchant)
    assert shown(merchant, "MUG") == pools(30, 20)


async def test_a_new_product_at_the_source_joins_by_itself(merchant: Town) -> None:
    for name in ("us", "sw", "woo"):
        merchant.stores[name].add("NEW", 1)
    await merchant.settle()
    merchant.stores["uk"].add("NEW", 9, location="SHOP")
    merchant.lose_webhooks()
    merchant.clock.forward(900)
    await sweep(merchant)
    merchant.clock.forward(900)
    await sweep(merchant)
    found = shown_of_main(merchant, "NEW")
    assert found == {"uk/SHOP": 9, "us/W1": 9, "sw": 9}


def shown_of_main(town: Town, sku: str) -> dict[str, int]:
    uk, us = town.stores["uk"], town.stores["us"]
    return {
        "uk/SHOP": uk.shelf(sku, "SHOP"),
        "us/W1": us.shelf(sku, "W1"),
        "sw": town.stores["sw"].shelf(sku),
    }


async def test_what_exists_elsewhere_only_is_told_and_left_alone(
    merchant: Town, dsn: str, tmp_path: Path
) -> None:
    merchant.stores["sw"].add("ODD", 4)
    await merchant.settle()
    merchant.clock.forward(900)
    await sweep(merchant)
    assert merchant.stores["sw"].shelf("ODD") == 4
    operator = Operator(merchant, dsn, tmp_path, WAREHOUSES)
    said = await operator.json("items", "--status", "unlinked")
    assert [x["listings"][0]["sku"] for x in said["items"]] == ["ODD"]


async def test_a_location_that_feeds_no_warehouse_is_skipped_and_shown(
    merchant: Town, dsn: str, tmp_path: Path
) -> None:
    operator = Operator(merchant, dsn, tmp_path, WAREHOUSES)
    rows = {x["location"]: x for x in await operator.json_any("locations", "uk")}
    assert {place: row["warehouse"] for place, row in rows.items()} == {
        "SHOP": "main",
        "DEPOT": "north",
        "FAIR": None,
    }
    assert rows["FAIR"]["skipped"] == 2


async def test_a_location_offered_to_two_warehouses_is_refused_with_both_names(
    merchant: Town, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[warehouses.main]\n[warehouses.north]\n"
        '[channels.uk]\nplatform = "memory"\n[channels.uk.locations]\n"SHOP" = "main"\n'
    )
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "more.toml").write_text('[channels.uk.locations]\n"SHOP" = "north"\n')
    with pytest.raises(ConfigError, match=r"offered to two warehouses, 'main' .* and 'north'"):
        load(file, {})
    settings = merchant.parsed(WAREHOUSES)
    twin = settings.channels["uk"].model_copy(update={"locations": {"SHOP": "north"}})
    doubled = settings.model_copy(update={"channels": {**settings.channels, "uk2": twin}})
    (problem,) = problems_in(doubled)
    assert "channels.uk2.options: is the account of channels.uk" in problem
    with pytest.raises(Exception, match="place_pkey"):
        await merchant.rows(
            "insert into place select p.channel_id, p.location, w.id from place p, warehouse w"
            " where w.id <> p.warehouse_id"
        )
