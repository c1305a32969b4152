"""Explain: every listing's number from its first count on, what waits and why, now and at a past instant."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncd.db import holds, plans
from syncd.errors import RetryLater
from syncd.explain import Explanation, explain
from syncd.explain.shapes import ListingPart
from syncd.stock.policy import retold
from tests.flow.asking import serving
from tests.flow.commands import Operator
from tests.flow.test_imports import made
from tests.flow.town import LEVELS, ORDERS, Town


async def told(town: Town, sku: str, **words: Any) -> Explanation:
    async with town.db.transaction("explain") as conn:
        found = await explain(conn, town.core.rulebook, sku, town.clock(), **words)
    assert found is not None
    return found


async def on(town: Town, channel: str, sku: str, **words: Any) -> ListingPart:
    [found] = (await told(town, sku, channel=channel, **words)).listings
    return found


async def ruled(town: Town) -> None:
    """A source, and a shop that offers half of what is there less two, and at most twenty."""
    source = town.store("uk", LEVELS)
    shop = town.store("shop", ORDERS, policy={"percent": 50, "buffer": 2, "cap": 20})
    for sku, units in (("MUG", 30), ("TEE", 90)):
        source.add(sku, units)
        shop.add(sku, 3)
    await town.open()
    await town.seed()
    town.clock.forward(60)


async def test_every_step_from_the_seed_to_the_shelf_is_told(plan: Town) -> None:
    await ruled(plan)
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.settle()
    found = await told(plan, "MUG")
    [warehouse] = found.warehouses
    assert (warehouse.warehouse, warehouse.level) == ("main", 26)
    assert [(s.kind, s.movements, s.units) for s in warehouse.sums] == [
        ("seed", 1, 30),
        ("sale", 1, -4),
    ]
    assert [(m.kind, m.delta, m.level) for m in warehouse.newest] == [
        ("sale", -4, 26),
        ("seed", 30, 30),
    ]
    shop = next(x for x in found.listings if x.channel == "shop")
    assert [(s.name, s.before, s.after) for s in shop.steps] == [
        ("level", 26, 26),
        ("percent", 26, 13),
        ("buffer", 13, 11),
        ("cap", 11, 11),
    ]
    assert (shop.target, shop.shown, shop.state) == (11, 11, "shown")
    assert shop.write is not None
    assert (shop.write.line.outcome, shop.write.line.before, shop.write.line.after) == (
        "delivered",
        13,
        11,
    )
    assert (shop.write.level, shop.write.recomputed) == (26, 11)
    assert [s.name for s in shop.write.steps] == ["level", "percent", "buffer", "cap"]
    assert shop.lines[0].outcome == "delivered"
    uk = next(x for x in found.listings if x.channel == "uk")
    assert (uk.target, uk.shown, uk.state) == (26, 26, "shown")


async def test_what_waits_says_why(plan: Town) -> None:
    await ruled(plan)
    shop = plan.stores["shop"]
    shop.faults.down = True
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.book()
    waiting = await on(plan, "shop", "MUG")
    assert (waiting.target, waiting.shown, waiting.state) == (11, 13, "owed")
    assert waiting.delivery is not None
    assert waiting.delivery.risk == 2
    shop.faults.down = False
    await plan.settle()
    assert (await on(plan, "shop", "MUG")).state == "shown"


async def test_a_write_without_an_answer_is_told_with_its_key(plan: Town) -> None:
    await ruled(plan)
    shop = plan.stores["shop"]
    shop.faults.lose_answer = 1.0
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.book()
    with pytest.raises(RetryLater):
        await plan.lanes["shop"].writing.write_owed(lambda: None)
    writing = await on(plan, "shop", "MUG")
    assert writing.state == "writing"
    assert writing.attempt is not None
    assert (writing.attempt.from_quantity, writing.attempt.to_quantity) == (13, 11)
    assert writing.attempt.times_sent == 1
    inputs = writing.attempt.inputs
    assert retold(writing.attempt.level, inputs).target == 11
    [(key,)] = await plan.rows("select id::text from attempt")
    assert writing.attempt.key == key


async def test_a_raise_waits_for_orders_and_says_so(plan: Town) -> None:
    await ruled(plan)
    await plan.stores["uk"].edit("TEE", 30)
    await plan.settle()
    await plan.stores["uk"].edit("TEE", 36)
    await plan.book()
    waiting = await on(plan, "shop", "TEE")
    assert (waiting.target, waiting.shown, waiting.state) == (16, 13, "waits_for_orders")


async def test_what_is_not_served_says_why(plan: Town) -> None:
    plan.store("uk", LEVELS).add("MUG", 5)
    shop = plan.store("shop", ORDERS, policy={"exclude": ["GIFT-*"]})
    off = plan.store("off", ORDERS, deliver=False)
    plan.stores["uk"].add("GIFT-1", 5)
    for store in (shop, off):
        for sku in ("MUG", "GIFT-1", "LOST"):
            store.add(sku, 9)
    await plan.open()
    await plan.seed()
    assert (await on(plan, "shop", "GIFT-1")).state == "excluded"
    assert (await on(plan, "off", "MUG")).state == "channel_off"
    lost = await on(plan, "shop", "LOST")
    assert (lost.state, lost.target) == ("unlinked", None)
    assert (await told(plan, "LOST")).warehouses == ()
    async with plan.db.transaction("explain") as conn:
        assert await explain(conn, plan.core.rulebook, "NOTHING", plan.clock()) is None


async def test_a_past_instant_is_told_as_it_was(plan: Town) -> None:
    await ruled(plan)
    moments: list[tuple[datetime, int, int]] = []
    for units in (4, 6, 10):
        await plan.stores["uk"].sell({"MUG": units})
        await plan.settle()
        level = await plan.level("MUG")
        assert level is not None
        moments.append((plan.clock(), level, plan.stores["shop"].shelf("MUG")))
        plan.clock.forward(60)
    assert [level for _, level, _ in moments] == [26, 20, 10]
    for at, level, shelf in moments:
        found = await told(plan, "MUG", at=at)
        assert found.warehouses[0].level == level
        assert found.warehouses[0].newest[0].level == level
        shop = next(x for x in found.listings if x.channel == "shop")
        assert (shop.target, shop.shown) == (shelf, shelf)
        assert shop.write is not None
        assert shop.write.line.at <= at
    before = await told(plan, "MUG", at=moments[0][0].replace(year=2020))
    assert before.warehouses[0].level == 0
    assert {x.state for x in before.listings} == {"not_written"}


async def test_every_number_that_was_ever_sent_is_made_again(plan: Town) -> None:
    """Whatever happened, the stored inputs of each write give the number that was sent."""
    await ruled(plan)
    dice = Random(7)
    for _ in range(25):
        store = dice.choice(["uk", "shop"])
        sku = dice.choice(["MUG", "TEE"])
        shelf = plan.stores[store].shelf(sku)
        if dice.random() < 0.7 and shelf > 1:
            await plan.stores[store].sell({sku: dice.randint(1, min(shelf, 3))})
        else:
            await plan.stores["uk"].edit(sku, dice.randint(0, 120))
        if dice.random() < 0.6:
            await plan.settle()
        plan.clock.forward(dice.choice([1, 60]))
    await plan.settle()
    ats = await plan.rows("select distinct at from journal where outcome = 'delivered' order by at")
    assert len(ats) > 20
    seen = 0
    for (at,) in ats:
        for sku in ("MUG", "TEE"):
            for listing in (await told(plan, sku, at=at)).listings:
                if listing.write is not None:
                    assert listing.write.recomputed == listing.write.line.after
                    seen += 1
    assert seen > 40


async def test_people_and_programs_can_read_it(plan: Town, dsn: str, tmp_path: Path) -> None:
    await ruled(plan)
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.settle()
    operator = Operator(plan, dsn, tmp_path)
    said = await operator.done("explain", "MUG")
    for words in (
        "level 26",
        "50 % is offered here",
        "target 11",
        "delivered",
        "−4",
        "shown: it shows",
    ):
        assert words in said, words
    found = await operator.json("explain", "MUG", "--channel", "shop")
    assert [x["channel"] for x in found["listings"]] == ["shop"]
    assert found["listings"][0]["steps"][-1]["after"] == 11
    past = await operator.json("explain", "MUG", "--at", "2026-01-01")
    assert past["warehouses"][0]["level"] == 0
    for words, complaint in (
        (("explain", "NOTHING"), "no item and no listing"),
        (("explain", "MUG", "--channel", "nowhere"), "no channel is named"),
    ):
        result = await operator.ask(*words)
        assert result.exit_code == 1
        assert complaint in result.output


async def test_programs_ask_over_the_api(plan: Town) -> None:
    await ruled(plan)
    before = plan.clock()
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.settle()
    async with serving(plan.core) as api:
        now = (await api.get("/items/MUG/explain", channel="shop")).body
        assert [x["channel"] for x in now["listings"]] == ["shop"]
        shop = now["listings"][0]
        assert (shop["target"], shop["shown"], shop["steps"][-1]["after"]) == (11, 11, 11)
        assert shop["write"]["recomputed"] == shop["write"]["line"]["after"] == 11
        assert now["warehouses"][0]["sums"][1] == {"kind": "sale", "movements": 1, "units": -4}
        then = (await api.get("/items/MUG/explain", at=before.isoformat())).body
        assert then["warehouses"][0]["level"] == 30
        assert (await api.get("/items/NOTHING/explain")).status == 404
        assert (await api.get("/items/MUG/explain", channel="nowhere")).status == 404
        assert (await api.get("/items/MUG/explain", at="yesterday")).status == 422


async def test_a_channel_that_stopped_is_the_reason(plan: Town) -> None:
    await ruled(plan)
    plan.core.close(plan.channel("shop"), "401 Unauthorized")
    await plan.core.write_notes()
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.book()
    waiting = await on(plan, "shop", "MUG")
    assert waiting.state == "channel_stopped"
    assert "401 Unauthorized" in waiting.why
    plan.core.reopen(plan.channel("shop"))
    await plan.core.write_notes()
    assert (await on(plan, "shop", "MUG")).state == "owed"


async def test_explaining_waits_for_nobody(plan: Town) -> None:
    """A sale that is being booked holds every lock of the item: a reader does not mind."""
    await ruled(plan)
    async with plan.db.transaction("holder") as conn:
        for table in ("shelf", "level", "outbox", "item", "listing"):
            await conn.execute(f"select * from {table} for update")
        assert (await told(plan, "MUG")).warehouses[0].level == 30


@pytest.mark.parametrize("share", [0, 30, 100])
async def test_the_rules_of_then_hold_for_then(plan: Town, share: int) -> None:
    """What a policy says now does not change what is told of before."""
    await ruled(plan)
    await plan.stores["uk"].sell({"MUG": 4})
    await plan.settle()
    at = plan.clock()
    plan.settings["shop"] = {"policy": {"percent": share}}
    await plan.open()
    now, then = await on(plan, "shop", "MUG"), await on(plan, "shop", "MUG", at=at)
    assert now.target == 26 * share // 100
    assert then.target == 11


async def test_what_was_owed_then_is_told(plan: Town) -> None:
    await ruled(plan)
    await plan.stores["uk"].sell({"MUG": 2})
    await plan.settle()
    settled = plan.clock()
    plan.clock.forward(60)
    await plan.stores["shop"].sell({"MUG": 1})
    await plan.settle()
    plan.clock.forward(60)
    sold = plan.clock()
    await plan.stores["uk"].sell({"MUG": 8})
    await plan.book()
    owing = plan.clock()
    plan.clock.forward(60)
    await plan.settle()
    then = await on(plan, "shop", "MUG", at=owing)
    assert (then.state, then.owed, then.target) == ("then_owed", 7, 7)
    assert "7 was owed where it showed 11" in then.why
    for at in (settled, sold):
        for channel in ("uk", "shop"):
            found = await on(plan, channel, "MUG", at=at)
            assert (found.state, found.owed) in {("then", None), ("not_written", None)}, found.why


async def test_what_a_plan_holds_is_a_step_of_the_number(plan: Town) -> None:
    await ruled(plan)
    async with plan.db.transaction("hold") as conn:
        number = await plans.enter(conn, "mass_edit", "held", "syncd", plan.clock())
        await plans.open_plan(conn, number, 1, {})
        found = await conn.fetch(
            "select l.id from listing l join channel c on c.id = l.channel_id where c.name = 'shop'"
        )
        await holds.hold(conn, number, [row[0] for row in found])
    await made(plan, "sku,quantity\nMUG,90\n")
    shop = await on(plan, "shop", "MUG")
    assert (shop.target, plan.stores["shop"].shelf("MUG")) == (13, 13)
    assert "held" in [step.name for step in shop.steps]
