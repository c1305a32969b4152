"""A merchant of Starshipit's WMS: the warehouse posts what moves there, and its shops show what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from syncd.corridor import take_switches
from syncd.db.pool import Database
from syncd.errors import RetryLater
from tests.flow.asking import serving
from tests.flow.commands import Operator
from tests.flow.test_guarded import GUARDED
from tests.flow.test_movements import Dock
from tests.flow.town import Town

WAREHOUSES = {"main": {"source": "wms"}, "south": {"source": "wms"}}
SHOPS: dict[str, tuple[list[str], dict[str, str]]] = {
    "nz": (["AKL", "CHC"], {"AKL": "main", "CHC": "south"}),
    "au": (["SYD", "MEL"], {"SYD": "south", "*": "main"}),
    "us": ([], {"*": "main"}),
}
"""Each shop's own locations, and the warehouses they are mapped to; `us` maps none and takes the default."""

MAIN = (("nz", "AKL"), ("au", "MEL"), ("us", ""))
SOUTH = (("nz", "CHC"), ("au", "SYD"))


@pytest.fixture
async def merchant(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Dock]:
    """A WMS of two warehouses that keeps the stock, and three shops that show it."""
    town = Town(database, request.node.nodeid)
    for name, (places, mapped) in SHOPS.items():
        store = town.store(
            name, {**GUARDED, "locations": places}, locations=mapped, edits="overwrite"
        )
        for sku in ("MUG", "TEE"):
            store.add(sku, 0)
    town.posting["wms"] = {"locations": {"Z-SOUTH": "south", "*": "main"}}
    town.lose_webhooks()
    await town.open(WAREHOUSES)
    for sweeper in town.sweepers.values():
        await sweeper.sweep()
    async with serving(town.core) as api:
        dock = Dock(town, api)
        for sku, location, units in (
            ("MUG", "Z-AKL", 50), ("MUG", "Z-SOUTH", 20), ("TEE", "Z-AKL", 10), ("TEE", "Z-SOUTH", 5),
        ):  # fmt: skip
            answer = await dock.one(sku=sku, kind="receipt", delta=units, location=location)
            assert answer == ("booked", units, units)
        await rested(dock)
        yield dock
    await town.close()


async def rested(dock: Dock, *, down: str = "") -> None:
    """Everybody works until all is still; the lane of a store that is down tries and fails."""
    town = dock.town
    for _ in range(3):
        lane = town.lanes.pop(down, None)
        await town.settle()
        town.clock.forward(60)
        if lane is not None:
            with suppress(RetryLater):
                await town.step(lane)
            town.lanes[down] = lane
    if not down:
        await town.settle()


def shown(dock: Dock, places: tuple[tuple[str, str], ...], sku: str = "MUG") -> set[int]:
    """What these shelves show; one number where they agree."""
    return {dock.town.stores[name].shelf(sku, place) for name, place in places}


async def journal(dock: Dock, sku: str) -> set[tuple[str, str | None]]:
    """(reason, channel) of everything that was skipped for a sku."""
    return set(
        await dock.town.rows(
            "select j.reason, c.name from journal j left join channel c on c.id = j.channel_id"
            " where j.outcome = 'skipped' and j.sku = $1",
            sku,
        )
    )


async def test_each_shops_locations_show_the_warehouse_they_are_mapped_to(merchant: Dock) -> None:
    assert (shown(merchant, MAIN), shown(merchant, SOUTH)) == ({50}, {20})
    assert (shown(merchant, MAIN, "TEE"), shown(merchant, SOUTH, "TEE")) == ({10}, {5})


async def test_a_store_without_a_mapped_location_uses_the_default(merchant: Dock) -> None:
    """A shop that maps none of its locations, and a place of the WMS that nobody named."""
    assert await merchant.one(kind="receipt", delta=4, location="Z-NEW-DOCK") == ("booked", 4, 54)
    await rested(merchant)
    assert merchant.town.stores["us"].shelf("MUG") == 54
    assert (shown(merchant, MAIN), shown(merchant, SOUTH)) == ({54}, {20})


POSTS: tuple[dict[str, Any], ...] = (
    {"kind": "receipt", "delta": 24},
    {"kind": "pick", "delta": -4},
    {"kind": "adjustment", "delta": -3},
    {"kind": "stocktake", "delta": 2},
)


@pytest.mark.parametrize("post", POSTS, ids=[post["kind"] for post in POSTS])
async def test_what_moves_arrives_as_a_delta_while_the_store_is_down_and_after(
    merchant: Dock, post: dict[str, Any]
) -> None:
    """A shopper buys meanwhile: a number sent as it stands would bring her units back."""
    town, units = merchant.town, post["delta"]
    nz = town.stores["nz"]
    nz.faults.down = True
    assert await merchant.one(**post, location="Z-AKL") == ("booked", units, 50 + units)
    await nz.sell({"MUG": 2}, location="AKL")
    await rested(merchant, down="nz")
    assert nz.shelf("MUG", "AKL") == 48, "nothing reaches a store that is down"
    assert shown(merchant, MAIN[1:]) == {48 + units}, "and it keeps no other one waiting"
    nz.faults.down = False
    town.clock.forward(3600)
    await rested(merchant)
    assert await merchant.one(**post, location="Z-AKL") == ("booked", units, 48 + 2 * units)
    await rested(merchant)
    assert shown(merchant, MAIN) == {48 + 2 * units}
    assert shown(merchant, SOUTH) == {20}
    booked = await town.rows(
        "select kind, delta from movement where cause in ('wms:post:c5:r1', 'wms:post:c6:r1')"
    )
    assert booked == [(post["kind"], units)] * 2


async def test_receipts_are_direct_staged_or_cross_docked(merchant: Dock) -> None:
    town = merchant.town
    assert await merchant.one(kind="receipt", mode="direct", delta=6, location="Z-AKL") == (
        "booked",
        6,
        56,
    )
    staged = await merchant.one(kind="receipt", mode="staged", delta=9, location="Z-AKL")
    assert staged == ("kept", 0, 56)
    await rested(merchant)
    assert shown(merchant, MAIN) == {56}, "what is not put away cannot be sold"
    assert await merchant.one(kind="putaway", delta=9, location="Z-AKL") == ("booked", 9, 65)
    order = await town.stores["us"].sell({"MUG": 2})
    await rested(merchant)
    cross = {"kind": "receipt", "mode": "cross_dock", "delta": 2, "location": "Z-AKL"}
    assert await merchant.one(**cross, order={"channel": "us", "id": order}) == ("kept", 0, 63)
    await rested(merchant)
    assert shown(merchant, MAIN) == {63}


async def test_the_pick_of_an_order_is_not_taken_off_twice(merchant: Dock) -> None:
    order = await merchant.town.stores["au"].sell({"MUG": 3}, location="SYD")
    await rested(merchant)
    assert shown(merchant, SOUTH) == {17}
    pick = {"kind": "pick", "delta": -3, "location": "Z-SOUTH"}
    assert await merchant.one(**pick, order={"channel": "au", "id": order}) == ("kept", 0, 17)
    await rested(merchant)
    assert (shown(merchant, MAIN), shown(merchant, SOUTH)) == ({50}, {17})


async def wrong_shelves(dock: Dock) -> None:
    """Somebody changes counts in the shops, and nobody is told."""
    town = dock.town
    await town.stores["nz"].edit("MUG", 77, "AKL")
    await town.stores["nz"].edit("TEE", 1, "CHC")
    await town.stores["us"].edit("MUG", 3)
    town.lose_webhooks()
    await rested(dock)
    assert town.stores["nz"].shelf("MUG", "AKL") == 77, "nobody has noticed yet"


async def test_a_push_sends_the_chosen_items_as_absolutes(merchant: Dock) -> None:
    town = merchant.town
    await wrong_shelves(merchant)
    asked = await merchant.api.post("/push", {"skus": ["MUG"], "channel": "nz"})
    assert asked.status == 202
    assert await town.bulk.step()
    await rested(merchant)
    assert town.stores["nz"].shelf("MUG", "AKL") == 50
    assert town.stores["nz"].shelf("TEE", "CHC") == 1, "it was not chosen"
    assert town.stores["us"].shelf("MUG") == 3, "nor was that shop"
    assert await town.rows("select 1 from movement where kind not in ('receipt', 'seed')") == []


async def test_a_hard_sync_sends_everything_as_absolutes(merchant: Dock) -> None:
    town = merchant.town
    await wrong_shelves(merchant)
    await merchant.api.post("/push", {"all": True})
    assert await town.bulk.step()
    await rested(merchant)
    assert (shown(merchant, MAIN), shown(merchant, SOUTH)) == ({50}, {20})
    assert (shown(merchant, MAIN, "TEE"), shown(merchant, SOUTH, "TEE")) == ({10}, {5})
    assert await town.rows("select 1 from movement where kind not in ('receipt', 'seed')") == []


async def test_a_product_with_its_flag_off_is_skipped_and_the_journal_says_so(
    merchant: Dock, dsn: str, tmp_path: Path
) -> None:
    operator = Operator(merchant.town, dsn, tmp_path, WAREHOUSES)
    await operator.done("exclude", "MUG", "--channel", "us")
    await take_switches(merchant.town.core)
    assert await merchant.one(kind="receipt", delta=5, location="Z-AKL") == ("booked", 5, 55)
    await rested(merchant)
    assert merchant.town.stores["us"].shelf("MUG") == 50
    assert shown(merchant, MAIN[:2]) == {55}
    assert ("excluded", "us") in await journal(merchant, "MUG")
    said = await operator.json("journal", "--sku", "MUG", "--outcome", "skipped")
    assert ("us", "excluded") in {(line["channel"], line["reason"]) for line in said}
    await operator.done("include", "MUG", "--channel", "us")
    await rested(merchant)
    assert merchant.town.stores["us"].shelf("MUG") == 55


async def test_a_sku_without_id_is_skipped_and_logged(merchant: Dock) -> None:
    """What the WMS has and a shop does not, and what nobody has."""
    merchant.town.stores["us"].remove("TEE")
    await rested(merchant)
    assert await merchant.one(sku="TEE", kind="receipt", delta=1, location="Z-AKL") == (
        "booked",
        1,
        11,
    )
    assert await merchant.one(sku="WMS-ONLY", kind="receipt", delta=3, location="Z-AKL") == (
        "booked",
        3,
        3,
    )
    (refused,) = await merchant.post(
        {"sku": "NEVER-SEEN", "kind": "pick", "delta": -1, "warehouse": "main"}, channel=None
    )
    assert (refused["outcome"], refused["reason"]) == ("refused", "no item has this sku")
    await rested(merchant)
    assert shown(merchant, MAIN[:2], "TEE") == {11}
    assert ("gone", "us") in await journal(merchant, "TEE")
    assert await journal(merchant, "WMS-ONLY") == {("not_listed", name) for name in SHOPS}
    assert [reason for reason, _ in await journal(merchant, "NEVER-SEEN")] == ["unknown_sku"]


async def test_a_sku_that_a_store_refuses_is_told_in_its_own_words(merchant: Dock) -> None:
    au = merchant.town.stores["au"]
    au.faults.refuse_skus = {"MUG"}
    assert await merchant.one(kind="receipt", delta=5, location="Z-AKL") == ("booked", 5, 55)
    await rested(merchant)
    assert (au.shelf("MUG", "MEL"), merchant.town.stores["us"].shelf("MUG")) == (50, 55)
    told = await merchant.town.rows(
        "select distinct outcome, reason from journal where sku = 'MUG' and channel_id = $1"
        " and outcome = 'parked'",
        merchant.town.channel("au").id,
    )
    assert told == [("parked", "the store refuses this product")]
