"""The source of a warehouse: what it lists no more is kept, not raised, and told; what is back goes on."""

from __future__ import annotations

import pytest

from tests.flow.test_catalogue import sweep
from tests.flow.test_matching import told
from tests.flow.town import LEVELS, ORDERS, Town


@pytest.fixture(params=["keep", "zero"])
async def shop(plan: Town, request: pytest.FixtureRequest) -> tuple[Town, str]:
    for name, character in (("uk", LEVELS), ("woo", ORDERS), ("sw", ORDERS)):
        store = plan.store(name, character)
        for sku in ("MUG", "TEE", "CAP", "HAT", "PIN", "BAG"):
            store.add(sku, 50 if name == "uk" else 7)
    await plan.open({"main": {"source": "uk", "gone_at_source": request.param}})
    await plan.seed()
    return plan, request.param


@pytest.mark.parametrize("told_by", ["sweep", "webhook"])
async def test_what_is_deleted_at_the_source_is_kept_or_zeroed_never_raised(
    shop: tuple[Town, str], told_by: str
) -> None:
    town, rule = shop
    uk, woo = town.stores["uk"], town.stores["woo"]
    uk.remove("MUG")
    if told_by == "sweep":
        town.lose_webhooks()
        town.clock.forward(900)
    await town.settle()
    await sweep(town)
    town.clock.forward(900)
    await sweep(town)
    shows = 50 if rule == "keep" else 0
    assert (woo.shelf("MUG"), town.stores["sw"].shelf("MUG")) == (shows, shows)
    said = "kept, not raised" if rule == "keep" else "zeroed everywhere"
    assert await told(town, "gone_at_source") == [("MUG", said)]
    assert await town.level("MUG") == 50
    if rule == "keep":
        order = await woo.sell({"MUG": 4})
        await town.settle()
        assert town.stores["sw"].shelf("MUG") == 46
        await woo.cancel(order)
        await town.settle()
        town.clock.forward(900)
        await sweep(town)
        assert await town.level("MUG") == 50
        assert town.stores["sw"].shelf("MUG") == 46
        assert ("MUG", "gone_at_source") in await told(town, "skipped")
    uk.add("MUG", 50)
    town.clock.forward(60)
    await town.settle()
    await sweep(town)
    assert await told(town, "back_at_source") == [("MUG", "")]
    assert (woo.shelf("MUG"), town.stores["sw"].shelf("MUG")) == (50, 50)


async def test_what_is_gone_elsewhere_is_no_matter_of_the_source(shop: tuple[Town, str]) -> None:
    town, _ = shop
    town.stores["woo"].remove("MUG")
    await town.settle()
    assert await told(town, "gone_at_source") == []
    assert await town.rows("select 1 from item_gone") == []


async def test_what_a_reading_finds_gone_at_the_source_is_zeroed_at_once(plan: Town) -> None:
    """No other channel has to be swept before its shelf is told."""
    for name, character in (("uk", LEVELS), ("woo", ORDERS)):
        plan.store(name, character).add("MUG", 50)
    await plan.open({"main": {"source": "uk", "gone_at_source": "zero"}})
    await plan.seed()
    plan.stores["uk"].remove("MUG")
    plan.lose_webhooks()
    await plan.look("uk", "MUG")
    await plan.settle()
    assert plan.stores["woo"].shelf("MUG") == 0
