"""A merchant of ShopWired's inter-account stock sync: a master account, and two that follow it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.flow.commands import Operator
from tests.flow.test_catalogue import sweep, tell
from tests.flow.test_imports import exported, made
from tests.flow.test_matching import told
from tests.flow.town import FOLLOWED, Town

ACCOUNT = {"read_max": 1, "batch_max": 15}
SETTLE_S = 301
SKUS = (("MUG", 50), ("TEE-RED-L", 20), ("TEE-BLUE-L", 8))
"""The tees are variations of one product: each has a stock and a sku of its own."""


@pytest.fixture
async def merchant(plan: Town) -> Town:
    """One warehouse; the master's counts are the source, and people change them there."""
    plan.store("master", {**FOLLOWED, **ACCOUNT}, edits="adopt")
    for name in ("a", "b"):
        plan.store(name, {**FOLLOWED, **ACCOUNT}, edits="overwrite")
    for store in plan.stores.values():
        for sku, quantity in SKUS:
            store.add(sku, quantity if store is plan.stores["master"] else 1)
            store.items[sku].group = sku.partition("-")[0]
    plan.lose_webhooks()
    await plan.open({"main": {"source": "master"}})
    await plan.seed()
    await pass_by(plan)
    return plan


async def pass_by(town: Town, seconds: float = SETTLE_S) -> None:
    town.clock.forward(seconds)
    await town.settle()


async def swept(town: Town) -> None:
    town.clock.forward(900)
    await sweep(town)
    await pass_by(town)
    await pass_by(town)


def everywhere(town: Town, sku: str, quantity: int) -> None:
    assert town.shelves(sku) == dict.fromkeys(("master", "a", "b"), quantity)


async def test_the_master_seeds_its_replicas(merchant: Town) -> None:
    for sku, quantity in SKUS:
        everywhere(merchant, sku, quantity)
        assert await merchant.level(sku) == quantity


@pytest.mark.parametrize("typed", [65, 30, 0])
@pytest.mark.parametrize("page", ["product", "stock"])
async def test_an_edit_on_the_master_reaches_both_replicas(
    merchant: Town, typed: int, page: str
) -> None:
    """Its stock page says so at once; its product page only says that the product changed."""
    master = merchant.stores["master"]
    await master.edit("MUG", typed)
    if page == "product":
        merchant.lose_webhooks()
        tell(master, "MUG")
    await merchant.settle()
    await pass_by(merchant)
    await pass_by(merchant)
    everywhere(merchant, "MUG", typed)
    assert await merchant.level("MUG") == typed
    everywhere(merchant, "TEE-RED-L", 20)


async def test_a_product_import_on_the_master_reaches_both_replicas(merchant: Town) -> None:
    """It sends no webhook: the accounts' own sync misses it, a sweep does not."""
    master = merchant.stores["master"]
    for sku, quantity in (("MUG", 12), ("TEE-RED-L", 33), ("TEE-BLUE-L", 0)):
        await master.edit(sku, quantity)
    merchant.lose_webhooks()
    await swept(merchant)
    for sku, quantity in (("MUG", 12), ("TEE-RED-L", 33), ("TEE-BLUE-L", 0)):
        everywhere(merchant, sku, quantity)
    kinds = await merchant.rows("select distinct kind from movement where kind <> 'seed'")
    assert kinds == [("edit",)]


async def test_an_order_on_the_master_lowers_both_replicas(merchant: Town) -> None:
    master = merchant.stores["master"]
    order = await master.sell({"MUG": 3, "TEE-RED-L": 1})
    await merchant.settle()
    everywhere(merchant, "MUG", 47)
    everywhere(merchant, "TEE-RED-L", 19)
    merchant.clock.forward(60)
    await master.cancel(order)
    await merchant.settle()
    await pass_by(merchant)
    everywhere(merchant, "MUG", 50)
    everywhere(merchant, "TEE-RED-L", 20)


@pytest.mark.parametrize("by", ["website", "admin", "admin, untold"])
async def test_an_order_on_a_replica_lowers_the_master_and_the_other(
    merchant: Town, by: str
) -> None:
    """Who orders in the admin pays later, and of some such orders nobody is told."""
    await merchant.stores["a"].sell({"MUG": 4}, paid=by == "website")
    if by == "admin, untold":
        merchant.lose_webhooks()
        await swept(merchant)
    else:
        await merchant.settle()
    everywhere(merchant, "MUG", 46)
    assert await merchant.level("MUG") == 46
    assert await merchant.rows("select kind, delta from movement where kind <> 'seed'") == [
        ("sale", -4)
    ]


@pytest.mark.parametrize("typed", [80, 10])
async def test_an_edit_on_a_replica_comes_back_and_is_told(merchant: Town, typed: int) -> None:
    await merchant.stores["b"].edit("MUG", typed)
    await merchant.settle()
    await swept(merchant)
    everywhere(merchant, "MUG", 50)
    assert await merchant.level("MUG") == 50
    assert await merchant.rows("select 1 from movement where kind <> 'seed'") == []
    found = await merchant.rows(
        "select before, after from journal where outcome = 'differs' and sku = 'MUG'"
    )
    assert found == [(50, typed)]


async def test_edits_and_orders_of_one_moment_are_told_apart(merchant: Town) -> None:
    """The master's count is raised while both replicas sell."""
    await merchant.stores["master"].edit("MUG", 70)
    await merchant.stores["a"].sell({"MUG": 2})
    await merchant.stores["b"].sell({"MUG": 1})
    await merchant.settle()
    await pass_by(merchant)
    await pass_by(merchant)
    everywhere(merchant, "MUG", 67)


async def test_each_variation_moves_alone(merchant: Town) -> None:
    merchant.clock.forward(60)
    await merchant.stores["b"].sell({"TEE-RED-L": 5, "TEE-BLUE-L": 1})
    await merchant.stores["master"].edit("TEE-BLUE-L", 30)
    await merchant.settle()
    await pass_by(merchant)
    await pass_by(merchant)
    everywhere(merchant, "TEE-RED-L", 15)
    everywhere(merchant, "TEE-BLUE-L", 29)
    everywhere(merchant, "MUG", 50)


async def test_a_variation_that_is_new_on_the_master_joins_by_itself(merchant: Town) -> None:
    for name in ("a", "b"):
        merchant.stores[name].add("TEE-GREEN-L", 1)
    await merchant.settle()
    merchant.stores["master"].add("TEE-GREEN-L", 6)
    merchant.lose_webhooks()
    await swept(merchant)
    await swept(merchant)
    everywhere(merchant, "TEE-GREEN-L", 6)
    assert ("TEE-GREEN-L",) in {row[:1] for row in await told(merchant, "listed")}


async def test_counts_go_out_as_csv_and_come_back(merchant: Town, dsn: str, tmp_path: Path) -> None:
    text = await exported(merchant)
    rows = dict(line.split(",")[0::2][:2] for line in io.StringIO(text).read().splitlines()[1:])
    assert rows == {sku: str(quantity) for sku, quantity in SKUS}
    operator = Operator(merchant, dsn, tmp_path, {"main": {"source": "master"}})
    file = tmp_path / "stock.csv"
    await operator.done("export", "-o", str(file))
    assert file.read_text().splitlines()[0] == text.splitlines()[0]
    done: dict[str, Any] = await made(merchant, text.replace("MUG,main,50", "MUG,main,44"))
    assert (done["rows"], done["units"]) == (1, -6)
    await pass_by(merchant)
    everywhere(merchant, "MUG", 44)
    everywhere(merchant, "TEE-RED-L", 20)
