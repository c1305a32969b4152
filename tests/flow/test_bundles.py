"""Bundles: sold by their components everywhere, whatever is sold, edited, cancelled or counted first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from syncd.app import desk
from syncd.bulk.loading import Wanted, load
from syncd.connectors.memory import MemoryStore
from syncd.db import outbox, plans
from syncd.errors import Declined
from syncd.stock.bundles import Bundle
from syncd.stock.model import LineSeen, OrderSeen
from tests.flow.test_orders import change, movements, tell
from tests.flow.test_suspicion import doubt
from tests.flow.town import FOLLOWED, LEVELS, ONE_BY_ONE, ORDERS, Town

SETS = {"SET": {"MUG": 2, "BOX": 1}, "DUO": {"MUG": 1, "TEE": 1}}


async def opened(town: Town, **stores: Any) -> Town:
    """Stores of these characters, the first the source; all list everything; bundles are configured."""
    return await opened_with(town, *(town.store(name, kind) for name, kind in stores.items()))


async def opened_with(town: Town, *stores: MemoryStore) -> Town:
    town.bundles = dict(SETS)
    for store in stores:
        for sku, quantity in (("MUG", 10), ("BOX", 8), ("TEE", 30), ("SET", 3), ("DUO", 3)):
            store.add(sku, quantity)
    await town.open()
    await town.seed()
    town.clock.forward(60)
    return town


@pytest.fixture
async def shops(plan: Town) -> Town:
    return await opened(plan, uk=LEVELS, sw=ONE_BY_ONE, woo=ORDERS)


def everywhere(town: Town, units: int) -> dict[str, int]:
    return dict.fromkeys(town.stores, units)


async def shown(town: Town, **units: int) -> None:
    assert {sku: town.shelves(sku) for sku in units} == {
        sku: everywhere(town, n) for sku, n in units.items()
    }


async def test_a_bundle_shows_what_its_components_make(shops: Town) -> None:
    await shown(shops, MUG=10, BOX=8, TEE=30, SET=5, DUO=10)
    assert await shops.level("SET") is None, "a bundle has no stock of its own"
    assert await shops.rows("select * from suspense") == []


@pytest.mark.parametrize("seller", ["uk", "sw", "woo"])
async def test_a_component_that_is_sold_moves_every_bundle(shops: Town, seller: str) -> None:
    await shops.stores[seller].sell({"MUG": 3})
    await shops.settle()
    await shown(shops, MUG=7, SET=3, DUO=7, BOX=8)


@pytest.mark.parametrize("seller", ["uk", "sw", "woo"])
async def test_a_bundle_that_is_sold_takes_its_components_everywhere(
    shops: Town, seller: str
) -> None:
    await shops.stores[seller].sell({"SET": 2})
    await shops.settle()
    await shown(shops, MUG=6, BOX=6, SET=3, DUO=6, TEE=30)
    assert await movements(shops) == [("sale", -4)]
    assert await movements(shops, "BOX") == [("sale", -2)]
    assert await movements(shops, "SET") == []


async def test_one_order_of_a_bundle_and_its_component_takes_both(shops: Town) -> None:
    await shops.stores["woo"].sell({"SET": 2, "MUG": 3, "DUO": 1})
    await shops.settle()
    await shown(shops, MUG=2, BOX=6, TEE=29, SET=1, DUO=2)
    assert sorted(await movements(shops)) == [("sale", -4), ("sale", -3), ("sale", -1)]


@pytest.mark.parametrize("seller", ["uk", "woo"])
async def test_a_cancellation_returns_what_was_taken_whatever_the_bundle_is_made_of_now(
    shops: Town, seller: str
) -> None:
    order = await shops.stores[seller].sell({"SET": 2})
    await shops.settle()
    shops.bundles["SET"] = {"MUG": 1, "TEE": 3}
    await shops.adopt()
    await shops.settle()
    await shown(shops, SET=6, MUG=6)
    shops.clock.forward(60)
    await shops.stores[seller].cancel(order)
    await shops.settle()
    await shown(shops, MUG=10, BOX=8, TEE=30, SET=10)
    assert await movements(shops) == [("sale", -4), ("cancellation", 4)]


async def test_an_edited_and_partly_refunded_line_holds_what_is_left_of_it(shops: Town) -> None:
    woo = shops.stores["woo"]
    order = await woo.sell({"SET": 1})
    await shops.settle()
    shops.clock.forward(60)
    await change(woo, order, {"SET": 3})
    await shops.settle()
    await shown(shops, MUG=4, BOX=5, SET=2)
    shops.clock.forward(60)
    await woo.refund(order, "SET", 2, restock=True)
    await shops.settle()
    await shown(shops, MUG=8, BOX=7, SET=4)


async def test_messages_told_twice_late_and_backwards_book_once(shops: Town) -> None:
    woo = shops.stores["woo"]
    order = await woo.sell({"SET": 2})
    shops.clock.forward(60)
    await change(woo, order, {"SET": 1})
    await shops.knock(copies=3, backwards=True)
    await shops.settle()
    await shown(shops, MUG=8, BOX=7, SET=4)
    assert await movements(shops) == [("sale", -2)]


async def test_what_is_typed_on_a_bundle_is_put_back_and_booked_nowhere(shops: Town) -> None:
    for store in shops.stores.values():
        await store.edit("SET", 40)
    for sweeper in shops.sweepers.values():
        await sweeper.sweep()
    await shops.settle()
    shops.clock.forward(60)
    for sweeper in shops.sweepers.values():
        await sweeper.sweep()
    await shops.settle()
    await shown(shops, MUG=10, BOX=8, SET=5)
    assert await movements(shops, "SET") == []
    said = await shops.rows(
        "select reason from journal where sku = 'SET' and outcome = 'edited' order by at"
    )
    assert ("not booked: a bundle has no stock of its own",) in said


async def test_no_stretch_of_a_bundle_is_followed_where_edits_are_adopted(plan: Town) -> None:
    store = plan.store("blind", FOLLOWED, edits="adopt")
    town = await opened_with(plan, store)
    await store.edit("SET", 9)
    await store.edit("MUG", 12)
    await town.sweepers["blind"].sweep()
    await town.settle()
    for _ in range(4):
        town.clock.forward(200)
        await town.sweepers["blind"].sweep()
        await town.settle()
    assert await town.level("MUG") == 12
    await shown(town, MUG=12, SET=6)
    followed = await town.rows(
        "select l.sku from shelf s join listing l on l.id = s.listing_id where s.followed order by 1"
    )
    assert ("SET",) not in followed
    assert ("MUG",) in followed


async def test_an_oversold_component_shows_no_bundle_and_counts_the_sum(shops: Town) -> None:
    await shops.stores["woo"].sell({"SET": 4, "MUG": 4})
    await shops.settle()
    assert await shops.level("MUG") == -2
    await shown(shops, MUG=0, SET=0, DUO=0)
    oversold = shops.core.metrics.oversell_units_total.labels("woo")._value.get()
    assert oversold == 2


async def test_a_component_that_is_counted_nowhere_leaves_the_shelf_alone(plan: Town) -> None:
    town = await opened(plan, uk=LEVELS, woo=ORDERS)
    town.bundles = {"SET": {"MUG": 1, "GHOST": 1}}
    await town.adopt()
    await town.settle()
    await shown(town, SET=5)
    await town.stores["woo"].sell({"SET": 1})
    await town.settle()
    assert await town.level("MUG") == 9, "what is counted is sold"
    skipped = await town.rows(
        "select reason from journal where sku = 'SET' and outcome = 'skipped'"
    )
    assert ("not_seeded",) in skipped


async def test_a_component_counted_later_holds_what_was_sold_since(plan: Town) -> None:
    town = await opened(plan, uk=LEVELS, woo=ORDERS)
    town.bundles = {"SET": {"MUG": 1, "NEW": 2}}
    await town.adopt()
    town.clock.forward(60)
    before = town.clock()
    town.clock.forward(60)
    await town.stores["woo"].sell({"SET": 1})
    await town.settle()
    await counted(town, "NEW", 20, before)
    await town.settle()
    assert await town.level("NEW") == 18, "sold after it was counted, though heard before"
    await shown(town, SET=9, MUG=9)


async def counted(town: Town, sku: str, quantity: int, at: datetime) -> None:
    lines = ["sku,warehouse,quantity\n", f"{sku},main,{quantity}\n"]
    wanted = Wanted("count", "me", counted_at=at)
    done = await load(town.db, town.core.rulebook, lines, wanted, town.clock())
    assert done.complaints == []
    assert done.plan_id is not None
    async with town.db.transaction("yes") as conn:
        await plans.decide(conn, done.plan_id, "applying", town.clock(), "me")
    await town.ask("apply", plan_id=done.plan_id)


async def test_an_item_that_becomes_a_bundle_keeps_a_level_that_counts_no_more(plan: Town) -> None:
    town = await opened(plan, uk=LEVELS, woo=ORDERS)
    del town.bundles["DUO"]
    await town.adopt()
    await desk.describe(town.core, [Bundle("TEE", {"BOX": 2})], "hand", "me")
    await town.settle()
    assert await town.level("TEE") == 30
    await shown(town, TEE=4)
    await town.stores["uk"].sell({"TEE": 1})
    await town.settle()
    assert await town.level("TEE") == 30
    await shown(town, TEE=3, BOX=6)
    await desk.end_bundles(town.core, ["TEE"], "me")
    await town.settle()
    await shown(town, TEE=30)


async def test_what_cannot_be_a_bundle_is_refused_whole(shops: Town) -> None:
    async def refused(*said: Bundle) -> list[str]:
        with pytest.raises(Declined) as told:
            await desk.describe(shops.core, said, "hand", "me")
        return told.value.problems

    good = Bundle("PAIR", {"TEE": 2})
    assert await refused(good, Bundle("BAD", {"NONE": 1})) == [
        'bundle "BAD": NONE: no item has this sku'
    ]
    assert await refused(good, Bundle("MUG", {"TEE": 1})) == [
        'bundle "MUG": is a component of the bundle "DUO", so it can be none itself',
        'bundle "MUG": is a component of the bundle "SET", so it can be none itself',
    ]
    assert await refused(good, Bundle("BIG", {"SET": 1})) == [
        'bundle "BIG": contains the bundle "SET": name what that one is made of instead'
    ]
    assert await refused(Bundle("SET", {"TEE": 1})) == [
        'bundle "SET": is described in the configuration: change it there'
    ]
    with pytest.raises(Declined):
        await desk.end_bundles(shops.core, ["SET", "MUG"], "me")
    assert await shops.rows("select sku from item where sku in ('PAIR', 'BAD', 'BIG')") == []


async def test_a_bundle_listed_before_it_was_described_is_linked(plan: Town) -> None:
    town = await opened(plan, uk=LEVELS, woo=ORDERS)
    town.stores["woo"].add("GIFT", 1)
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert town.stores["woo"].shelf("GIFT") == 1
    changed = await desk.describe(town.core, [Bundle("GIFT", {"TEE": 4})], "hand", "me")
    assert changed == ["GIFT"]
    await town.settle()
    assert town.stores["woo"].shelf("GIFT") == 7
    assert await desk.describe(town.core, [Bundle("GIFT", {"TEE": 4})], "hand", "me") == []


async def test_what_is_suspected_of_a_component_lowers_its_bundles(shops: Town) -> None:
    await doubt(shops, "uk", (-4, 0), 0)
    await shops.settle()
    assert shops.shelves("SET") == everywhere(shops, 3), "six mugs are there for certain"
    assert shops.shelves("DUO") == everywhere(shops, 6)


async def test_a_reading_before_its_order_raises_no_bundle(shops: Town) -> None:
    uk = shops.stores["uk"]
    began, orders = shops.clock(), len(uk.sender.sent)
    await uk.sell({"SET": 1})
    uk.sender.sent[orders:] = [
        hook
        for hook in uk.sender.sent[orders:]
        if hook.headers["X-Memory-Topic"] == "levels/update"
    ]
    await shops.settle()
    assert await shops.level("MUG") == 8, "its orders were fetched before anything was raised"
    await shown(shops, SET=4, MUG=8, BOX=7)
    written = await shops.rows(
        "select sku from journal where channel_id = $1 and outcome = 'delivered' and at >= $2"
        " order by sku",
        shops.channel("uk").id,
        began,
    )
    assert written == [("BOX",), ("DUO",), ("MUG",)], "its own shelf was never raised in between"


async def test_a_blind_raise_of_a_bundle_waits_for_news_of_its_components(shops: Town) -> None:
    [(listing,)] = await shops.rows(
        "select id from listing where sku = 'SET' and channel_id = $1", shops.channel("woo").id
    )
    [(before,)] = await shops.rows(
        "select max(v.changed_at) from level v join item i on i.id = v.item_id where i.sku = 'MUG'"
    )
    async with shops.db.transaction("owed") as conn:
        await outbox.owe(
            conn, [outbox.Owe(listing, shops.channel("woo").id, 2, 0, None)], shops.clock()
        )
        wanted = (await outbox.wanted(conn, [listing]))[listing]
    assert wanted.changed_at is not None
    assert wanted.changed_at >= before
    assert (wanted.quantity, [tuple(x[1:]) for x in wanted.parts or ()]) == (0, [(1, 8), (2, 10)])


async def test_a_parked_bundle_is_tried_again_when_a_component_moves(shops: Town) -> None:
    uk = shops.stores["uk"]
    uk.faults.refuse_skus = {"SET"}
    await shops.stores["woo"].sell({"MUG": 2})
    await shops.settle()
    assert await shops.rows("select count(*) from outbox where parked_at is not null") == [(1,)]
    uk.faults.refuse_skus = set()
    await shops.stores["woo"].sell({"MUG": 2})
    await shops.settle()
    await shown(shops, MUG=6, SET=3)


async def test_a_line_told_by_location_later_keeps_what_its_parts_hold(shops: Town) -> None:
    woo = shops.channel("woo")
    order = OrderSeen(
        "77", 1, shops.clock(), (LineSeen("1", 2, 2, sku="SET"),), created=shops.clock()
    )
    await tell(shops, order)
    assert await shops.level("MUG") == 6
    split = replace(
        order, version=2, lines=(LineSeen("1", 1, 1, sku="SET", location="x"),
                                 LineSeen("1", 1, 1, sku="SET", location="y"))
    )  # fmt: skip
    await tell(shops, split)
    assert await shops.level("MUG") == 6
    await tell(shops, replace(split, version=3, lines=(split.lines[0],)))
    assert (await shops.level("MUG"), await shops.level("BOX")) == (8, 7)
    await tell(shops, replace(split, version=4, lines=(), terminal=True))
    assert (await shops.level("MUG"), await shops.level("BOX")) == (10, 8)
    parts = await shops.rows(
        "select sum(booked)::int from order_line where channel_id = $1 and part <> 0", woo.id
    )
    assert parts == [(0,)]


async def test_a_push_puts_a_bundle_back_and_books_nothing_of_it(shops: Town) -> None:
    await shops.stores["uk"].sell({"SET": 1})
    await shops.settle()
    shops.clock.forward(60)
    shops.lose_webhooks()
    await shops.stores["uk"].edit("SET", 40)
    shops.lose_webhooks()
    await shops.ask("push", "uk", ["SET"])
    await shops.settle()
    shops.clock.forward(60)
    await shops.sweepers["uk"].sweep()
    await shops.settle()
    await shown(shops, MUG=8, BOX=7, SET=4)
    assert await movements(shops, "SET") == []
    assert await shops.level("SET") is None
