"""Cut-overs: a changed truth, mapping or switch, with writes in flight; nothing is booked twice or lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from syncd.errors import RetryLater
from syncd.fanout import Heard, book
from syncd.stock.model import Truth
from tests.flow.town import ORDERS, Town

GUARDED: Mapping[str, Any] = {
    "truth": "levels",
    "write": "cas",
    "key_lifetime_s": 72000.0,
    "edits": ["adopt", "overwrite"],
    "sells_below_zero": True,
}


async def levels(town: Town, sku: str = "MUG") -> dict[str, int]:
    rows = await town.rows(
        "select w.name, v.quantity from level v join warehouse w on w.id = v.warehouse_id"
        " join item i on i.id = v.item_id where i.sku = $1",
        sku,
    )
    sums = await town.rows(
        "select w.name, sum(m.delta)::bigint from movement m join warehouse w on w.id = m.warehouse_id"
        " join item i on i.id = m.item_id where i.sku = $1 group by 1",
        sku,
    )
    assert dict(rows) == dict(sums)
    return dict(rows)


async def rested(town: Town) -> None:
    for _ in range(3):
        await town.settle()
        town.clock.forward(30)
    await town.settle()


async def unanswered(town: Town, name: str) -> None:
    """A write of this channel is applied and its answer lost."""
    store = town.stores[name]
    store.faults.lose_answer = 1.0
    with pytest.raises(RetryLater):
        await town.settle()
    store.faults.lose_answer = 0.0


async def journal(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows("select outcome, detail from journal where outcome = 'cut_over'")


@pytest.fixture
async def shops(plan: Town) -> Town:
    """A source and a shop that compare, and a blind shop, on one warehouse; another one is empty."""
    for name, edits in (("uk", "adopt"), ("us", "adopt")):
        plan.store(name, GUARDED, edits=edits).add("MUG", 50 if name == "uk" else 7)
    plan.store("woo", ORDERS).add("MUG", 7)
    plan.store("de", ORDERS, locations={"*": "rear"}).add("MUG", 20)
    await plan.open({"rear": {"source": "de"}})
    await plan.seed()
    plan.clock.forward(600)
    assert await levels(plan) == {"main": 50, "rear": 20}
    return plan


async def test_levels_give_way_to_orders_with_a_write_in_flight(shops: Town) -> None:
    us = shops.stores["us"]
    held = await us.sell({"MUG": 3})
    await rested(shops)
    shops.clock.forward(60)
    await shops.stores["uk"].sell({"MUG": 1})
    await shops.book()
    await unanswered(shops, "us")
    sold = await us.sell({"MUG": 2})
    assert (await levels(shops))["main"] == 46
    await shops.change("us", edits="overwrite")
    assert shops.channel("us").rules.truth is Truth.ORDERS
    # the last reading under the old rule booked the sale; its order brings nothing more
    assert (await levels(shops))["main"] == 44
    await rested(shops)
    assert (await levels(shops))["main"] == 44
    await us.cancel(held)
    await us.refund(sold, "MUG", 1, restock=True)
    await us.edit("MUG", 99)
    await rested(shops)
    assert (await levels(shops))["main"] == 48
    assert shops.shelves("MUG") == {"uk": 48, "us": 48, "woo": 48, "de": 20}
    assert await journal(shops)
    assert await shops.rows("select reason from suspense") == []


async def test_orders_give_way_to_levels_with_a_write_in_flight(shops: Town) -> None:
    us = shops.stores["us"]
    await shops.change("us", edits="overwrite")
    held = await us.sell({"MUG": 3})
    await rested(shops)
    await shops.stores["uk"].sell({"MUG": 1})
    await shops.book()
    await unanswered(shops, "us")
    await us.sell({"MUG": 2})
    shops.lose_webhooks()
    await shops.change("us", edits="adopt")
    assert shops.channel("us").rules.truth is Truth.LEVELS
    assert (await levels(shops))["main"] == 44
    await us.cancel(held)
    await us.edit("MUG", us.shelf("MUG") + 5)
    await rested(shops)
    assert (await levels(shops))["main"] == 52
    assert shops.shelves("MUG") == {"uk": 52, "us": 52, "woo": 52, "de": 20}


@pytest.mark.parametrize("edits", ["adopt", "overwrite"])
async def test_a_location_feeds_another_warehouse_with_a_write_in_flight(
    shops: Town, edits: str
) -> None:
    us = shops.stores["us"]
    await shops.change("us", edits=edits)
    held = await us.sell({"MUG": 3})
    await rested(shops)
    await shops.stores["uk"].sell({"MUG": 1})
    await shops.book()
    await unanswered(shops, "us")
    await us.sell({"MUG": 2})
    await shops.change("us", locations={"*": "rear"})
    # the last sale before is the old warehouse's, the write in flight was settled as it was stored
    assert await levels(shops) == {"main": 44, "rear": 20}
    await rested(shops)
    assert shops.shelves("MUG") == {"uk": 44, "us": 20, "woo": 44, "de": 20}
    await us.cancel(held)
    await us.sell({"MUG": 4})
    await rested(shops)
    assert await levels(shops) == {"main": 44, "rear": 19}
    assert shops.shelves("MUG") == {"uk": 44, "us": 19, "woo": 44, "de": 19}


async def test_a_blind_shop_feeds_another_warehouse_with_a_write_in_flight(shops: Town) -> None:
    woo = shops.stores["woo"]
    held = await woo.sell({"MUG": 3})
    await rested(shops)
    await shops.stores["uk"].sell({"MUG": 1})
    await shops.book()
    await unanswered(shops, "woo")
    await woo.sell({"MUG": 2})
    shops.lose_webhooks()
    shops.clock.forward(5)
    found = await shops.adopt()
    assert found.pending == {}
    await shops.change("woo", locations={"*": "rear"})
    assert await levels(shops) == {"main": 44, "rear": 20}
    await woo.cancel(held)
    await rested(shops)
    assert await levels(shops) == {"main": 44, "rear": 23}
    assert shops.shelves("MUG") == {"uk": 44, "us": 44, "woo": 23, "de": 23}


async def test_a_location_feeds_nothing_any_more(shops: Town) -> None:
    us = shops.stores["us"]
    await us.sell({"MUG": 2})
    await shops.change("us", locations={"somewhere": "main"})
    assert (await levels(shops))["main"] == 48
    await us.sell({"MUG": 5})
    await rested(shops)
    await shops.sweepers["us"].sweep()
    await rested(shops)
    assert (await levels(shops))["main"] == 48
    assert shops.shelves("MUG") == {"uk": 48, "us": 43, "woo": 48, "de": 20}
    assert await shops.rows("select skip from listing where skip = 'unmapped'")


async def test_what_is_sold_during_the_cut_over_counts_once(shops: Town) -> None:
    us = shops.stores["us"]
    sold: list[str] = []

    async def sale() -> None:
        sold.append(await us.sell({"MUG": 2}))

    with shops.after_reading("us", sale):
        await shops.change("us", edits="overwrite")
    assert sold
    await rested(shops)
    assert (await levels(shops))["main"] == 48
    await us.cancel(sold[0])
    await rested(shops)
    assert (await levels(shops))["main"] == 50
    assert shops.shelves("MUG") == {"uk": 50, "us": 50, "woo": 50, "de": 20}


@pytest.mark.parametrize("edits", ["adopt", "overwrite"])
async def test_an_item_that_never_rests_is_put_in_suspense(
    shops: Town, monkeypatch: pytest.MonkeyPatch, edits: str
) -> None:
    us = shops.stores["us"]
    await shops.change("us", edits="overwrite" if edits == "adopt" else "adopt")
    serve = us.serve

    async def serving(token: str, work: Any, *, writes: bool) -> Any:
        answer = await serve(token, work, writes=writes)
        if isinstance(answer, list) and answer and hasattr(answer[0], "missing"):
            await us.sell({"MUG": 1})
        return answer

    monkeypatch.setattr(us, "serve", serving)
    await shops.change("us", edits=edits)
    monkeypatch.setattr(us, "serve", serve)
    ((candidates, warehouse),) = await shops.rows(
        "select s.candidates, w.name from suspense s join warehouse w on w.id = s.warehouse_id"
        " where reason = 'cut_over'"
    )
    assert (candidates, warehouse) == ([-1, 0], "main")


async def test_a_platform_that_stays_away_is_cut_over_with_its_shelves_in_suspense(
    shops: Town,
) -> None:
    us = shops.stores["us"]
    await us.sell({"MUG": 2})
    us.faults.down = True
    shops.settings["us"]["locations"] = {"*": "rear"}
    found = await shops.adopt()
    assert list(found.pending) == ["us"]
    walker = None
    for _ in range(3):
        # a daemon that ends meanwhile begins anew
        walker = await _broken_off(shops, "us")
    assert not walker.switched
    for _ in range(5):
        assert not await walker._try()
        shops.clock.forward(60)
    shops.clock.forward(600)
    assert await walker._try()
    us.faults.down = False
    await shops.adopt()
    await shops.start_lane("us")
    assert await shops.rows(
        "select w.name from suspense s join warehouse w on w.id = s.warehouse_id"
        " where reason = 'cut_over'"
    ) == [("main",)]
    await rested(shops)
    # nobody knows what was sold meanwhile: neither warehouse has it before a person decides
    assert await levels(shops) == {"main": 50, "rear": 20}
    assert us.shelf("MUG") == 20


async def _broken_off(town: Town, name: str) -> Any:
    from syncd.lane.cutover import CuttingOver

    found = await town.adopt()
    walker = CuttingOver(town.core, town.channel(name), found.pending[name])
    await walker._try()
    return walker


async def test_events_wait_while_their_channel_is_cut_over(shops: Town) -> None:
    us = shops.stores["us"]
    shops.settings["us"]["edits"] = "overwrite"
    await shops.adopt()
    await us.sell({"MUG": 2})
    await shops.book_orders()
    assert await shops.rows("select count(*) from order_line") == [(0,)]
    assert (await shops.rows("select count(*) from inbox_queue"))[0][0] > 0
    await shops.cut_over("us")
    await rested(shops)
    assert (await levels(shops))["main"] == 48
    assert await shops.rows("select count(*) from inbox_queue") == [(0,)]


@pytest.mark.parametrize("edits", ["adopt", "overwrite"])
async def test_what_unpaid_orders_took_is_booked_where_it_was_taken(
    shops: Town, edits: str
) -> None:
    """Orders give way to levels, or the location feeds another warehouse: either way once."""
    us = shops.stores["us"]
    await shops.change("us", edits="overwrite", commit_on="paid")
    await us.sell({"MUG": 3}, paid=False)
    paid = await us.sell({"MUG": 2}, paid=False)
    await rested(shops)
    assert (await levels(shops))["main"] == 50
    assert shops.shelves("MUG") == {"uk": 45, "us": 45, "woo": 45, "de": 20}
    if edits == "adopt":
        await shops.change("us", edits="adopt", commit_on="created")
    else:
        await shops.change("us", locations={"*": "rear"})
    assert await levels(shops) == {"main": 45, "rear": 20}
    assert await shops.rows("select 1 from order_line where held <> 0") == []
    await us.pay(paid)
    await rested(shops)
    assert await levels(shops) == {"main": 45, "rear": 20}
    await us.cancel(paid)
    await rested(shops)
    here = {"main": 47, "rear": 20} if edits == "adopt" else {"main": 45, "rear": 22}
    assert await levels(shops) == here
    assert us.shelf("MUG") == here["main" if edits == "adopt" else "rear"]


async def test_what_is_promised_and_not_taken_goes_on_in_the_other_warehouse(shops: Town) -> None:
    woo = shops.stores["woo"]
    woo.character = woo.character.model_copy(update={"takes_when_paid": True})
    order = await woo.sell({"MUG": 4}, paid=False)
    await rested(shops)
    assert shops.shelves("MUG") == {"uk": 46, "us": 46, "woo": 50, "de": 20}
    await shops.change("woo", locations={"*": "rear"})
    await rested(shops)
    assert shops.shelves("MUG") == {"uk": 50, "us": 50, "woo": 20, "de": 16}
    await woo.pay(order)
    await rested(shops)
    assert await levels(shops) == {"main": 50, "rear": 16}


async def test_nothing_is_pending_after_a_change_that_needs_no_cut_over(shops: Town) -> None:
    shops.settings["us"] |= {"locations": {"*": "main", "new": "rear"}, "policy": {"buffer": 1}}
    assert (await shops.adopt()).pending == {}
    shops.settings["us"]["enabled"] = False
    assert (await shops.adopt()).pending == {}


async def test_a_channel_switched_off_is_cut_over_when_it_is_on_again(shops: Town) -> None:
    us = shops.stores["us"]
    shops.settings["us"] |= {"enabled": False, "edits": "overwrite"}
    assert (await shops.adopt()).pending == {}
    assert shops.channel("us").rules.truth is Truth.LEVELS
    await us.sell({"MUG": 2})
    await rested(shops)
    assert (await levels(shops))["main"] == 50
    await shops.change("us", enabled=True)
    assert shops.channel("us").rules.truth is Truth.ORDERS
    assert (await levels(shops))["main"] == 48
    await rested(shops)
    assert shops.shelves("MUG") == {"uk": 48, "us": 48, "woo": 48, "de": 20}


async def test_what_moved_while_a_channel_was_off_is_told_and_booked(shops: Town) -> None:
    us = shops.stores["us"]
    shops.settings["us"]["enabled"] = False
    await shops.adopt()
    await us.sell({"MUG": 2})
    await shops.stores["uk"].sell({"MUG": 1})
    await rested(shops)
    assert (await levels(shops))["main"] == 49
    await shops.change("us", enabled=True)
    told = await shops.rows("select sku, before, after, detail from journal where outcome = 'gap'")
    assert told == [("MUG", 50, 48, '{"booked": -2, "discarded": 0}')]
    await rested(shops)
    assert (await levels(shops))["main"] == 47
    assert shops.shelves("MUG") == {"uk": 47, "us": 47, "woo": 47, "de": 20}


async def test_a_channel_that_only_received_begins_to_count(shops: Town) -> None:
    us = shops.stores["us"]
    await shops.change("us", truth="none")
    old = await us.sell({"MUG": 5})
    await rested(shops)
    assert (await levels(shops))["main"] == 50
    del shops.settings["us"]["truth"]
    await shops.change("us", edits="overwrite")
    await rested(shops)
    assert (await levels(shops))["main"] == 50
    assert us.shelf("MUG") == 50
    shops.clock.forward(60)
    await us.cancel(old)
    await us.sell({"MUG": 2})
    await rested(shops)
    assert (await levels(shops))["main"] == 48 + 5


async def test_lines_told_without_a_location_go_on_at_those_they_are_told_by(plan: Town) -> None:
    """One warehouse becomes two: what was sold before stays booked, what comes back counts where it is."""
    uk = plan.store(
        "uk",
        {**GUARDED, "locations": ["front", "back"]},
        edits="overwrite",
        locations={"*": "main"},
    )
    uk.add("MUG", 50, location="front")
    plan.store("woo", ORDERS).add("MUG", 7)
    await plan.open({"main": {"source": "uk/front"}, "rear": {"source": "uk/back"}})
    await plan.seed()
    plan.clock.forward(600)
    order = await uk.sell({"MUG": 5})
    told = uk._orders[order]
    (line,) = told.lines
    nowhere = msgspec.structs.replace(line, location="")
    uk._orders[order] = msgspec.structs.replace(told, lines=(nowhere,), version=told.version + 1)
    uk._emit("orders/update", uk._orders[order])
    plan.lose_webhooks()
    async with plan.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(plan.channel("uk").id, uk.order(order))])
    assert await levels(plan) == {"main": 45}
    split = tuple(
        msgspec.structs.replace(line, location=place, taken=units, kept=units)
        for place, units in (("back", 2), ("front", 3))
    )
    uk._save(msgspec.structs.replace(told, lines=split))
    await plan.settle()
    assert await levels(plan) == {"main": 45}
    plan.clock.forward(60)
    await uk.cancel(order)
    await rested(plan)
    assert await levels(plan) == {"main": 50}
    assert await plan.rows("select sum(booked)::int, sum(taken)::int from order_line") == [(0, 0)]
