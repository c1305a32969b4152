"""The sweep finds what nobody said, names its cause, and never believes that everything is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from syncd.connectors.base import Page
from syncd.errors import RetryLater
from tests.flow.town import LEVELS, ORDERS, Town


def drift(town: Town, channel: str, cause: str) -> float:
    return float(town.core.metrics.drift_total.labels(channel, cause)._value.get())


async def sweep(town: Town) -> None:
    for sweeper in town.sweepers.values():
        await sweeper.sweep()
    await town.settle()


async def skips(town: Town, sku: str) -> dict[str, str]:
    """Why each channel's listing of a sku is not served, by channel."""
    return dict(
        await town.rows(
            "select c.name, l.skip from listing l join channel c on c.id = l.channel_id"
            " where l.sku = $1 and l.gone_at is null",
            sku,
        )
    )


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_a_sale_nobody_told_of_is_found(town: Town, where: str) -> None:
    town.clock.forward(60)
    await town.stores[where].sell({"MUG": 2})
    town.lose_webhooks()
    await sweep(town)
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_what_the_sweep_finds_is_counted_by_cause(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 40)
    await town.stores["woo"].edit("TEE", 99)
    town.lose_webhooks()
    await sweep(town)
    assert drift(town, "uk", "missed_webhook") == 1
    assert drift(town, "woo", "edited") == 1
    assert town.shelves("MUG") == {"uk": 40, "sw": 40, "woo": 40}
    assert town.stores["woo"].shelf("TEE") == 10


async def test_a_second_sweep_finds_nothing_more(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 40)
    town.lose_webhooks()
    await sweep(town)
    writes = sum(store.counters.writes for store in town.stores.values())
    town.clock.forward(900)
    done = [await sweeper.sweep() for sweeper in town.sweepers.values()]
    await town.settle()
    assert [found.differing for found in done] == [0, 0, 0]
    assert sum(store.counters.writes for store in town.stores.values()) == writes


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_a_channel_that_was_down_for_a_day_catches_up(town: Town, where: str) -> None:
    store = town.stores[where]
    other = town.stores["woo" if where != "woo" else "uk"]
    store.faults.down = True
    for _ in range(24):
        town.clock.forward(3600)
        await store.sell({"MUG": 1})  # shoppers reach the shop, we do not
        await other.sell({"MUG": 1})
        town._sent[where] = len(store.sender.sent)
        await town.book_orders()
        with pytest.raises(RetryLater):
            await town.sweepers[where].sweep()
    store.faults.down = False
    await sweep(town)
    assert await town.level("MUG") == 2
    assert town.shelves("MUG") == {"uk": 2, "sw": 2, "woo": 2}


def cut(pages: Callable[[], AsyncIterator[Page]], keep: int) -> Callable[[], AsyncIterator[Page]]:
    """A catalogue that ends early and does not say so."""

    async def short() -> AsyncIterator[Page]:
        async for page in pages():
            yield Page(page.rows[:keep])

    return short


async def test_an_empty_catalogue_is_an_error(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    connector: Any = town.channel("woo").connector
    monkeypatch.setattr(connector, "listings", cut(connector.listings, 0))
    with pytest.raises(RetryLater, match="not believed"):
        await town.sweepers["woo"].sweep()
    await town.settle()
    assert await town.rows("select * from listing where gone_at is not null") == []
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_short_catalogue_is_told_and_takes_nothing_away(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector: Any = town.channel("woo").connector
    monkeypatch.setattr(connector, "listings", cut(connector.listings, 1))
    await town.sweepers["woo"].sweep()
    await town.settle()
    told = await town.rows("select detail->>'why' from journal where reason = 'catalogue_short'")
    assert told == [("the catalogue lacks 2 of 3 listings: not believed",)]
    assert await town.rows("select * from listing where gone_at is not null") == []
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_vanished_listing_is_read_before_it_is_gone(town: Town) -> None:
    town.clock.forward(60)
    town.stores["woo"].remove("CAP")
    town.lose_webhooks()
    await sweep(town)
    assert set(await skips(town, "CAP")) == {"uk", "sw"}
    assert await town.level("CAP") == 3
    await town.stores["uk"].sell({"CAP": 1})
    await town.settle()
    assert town.stores["sw"].shelf("CAP") == 2


async def test_a_listing_the_catalogue_only_missed_stays(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector: Any = town.channel("woo").connector
    with monkeypatch.context() as patch:
        patch.setattr(connector, "listings", cut(connector.listings, 2))
        await town.sweepers["woo"].sweep()
    await town.settle()
    assert await town.rows("select * from listing where gone_at is not null") == []


async def test_a_new_item_of_the_source_joins_and_is_shown_everywhere(town: Town) -> None:
    town.clock.forward(60)
    for name, quantity in (("woo", 99), ("sw", 0), ("uk", 12)):
        town.stores[name].add("HAT", quantity)
    await sweep(town)
    await sweep(town)
    assert await town.level("HAT") == 12
    assert town.shelves("HAT") == {"uk": 12, "sw": 12, "woo": 12}


async def test_a_listing_waits_unlinked_until_its_item_appears(town: Town) -> None:
    town.clock.forward(60)
    town.stores["woo"].add("HAT", 99)
    await sweep(town)
    assert await skips(town, "HAT") == {"woo": "unlinked"}
    assert town.stores["woo"].shelf("HAT") == 99
    assert await town.level("HAT") is None
    town.clock.forward(900)
    town.stores["uk"].add("HAT", 12)
    await sweep(town)
    assert await skips(town, "HAT") == {"woo": "", "uk": ""}
    assert town.stores["woo"].shelf("HAT") == 12


async def test_a_listing_that_is_not_tracked_is_never_zero(town: Town) -> None:
    town.clock.forward(60)
    town.stores["woo"].unmanage("MUG")
    await town.settle()
    await sweep(town)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.stores["woo"].shelf("MUG") == 50
    assert town.stores["sw"].shelf("MUG") == 45
    reasons = await town.rows("select distinct reason from journal where outcome = 'skipped'")
    assert ("unmanaged",) in reasons


async def test_a_source_that_stops_tracking_an_item_takes_nothing_away(town: Town) -> None:
    town.clock.forward(60)
    town.stores["uk"].unmanage("MUG")
    await town.settle()
    await sweep(town)
    assert await town.level("MUG") == 50
    assert town.stores["woo"].shelf("MUG") == 50


async def test_subscriptions_are_made_again(town: Town) -> None:
    store = town.stores["woo"]
    store.disable("orders/update")
    del store.subscriptions["levels/update"]
    done = await town.sweepers["woo"].sweep()
    assert done.subscribed == 2
    assert all(found.healthy for found in store.subscriptions.values())
    assert len(store.subscriptions) == 4
    assert (await town.sweepers["woo"].sweep()).subscribed == 0


async def test_a_subscription_to_another_address_is_no_subscription(town: Town) -> None:
    store = town.stores["woo"]
    store.subscribe("orders/update", "https://elsewhere.example/webhooks/woo")
    town.lose_webhooks()
    await town.sweepers["woo"].sweep()
    addresses = {found.address for found in store.subscriptions.values()}
    assert addresses == {"https://town.example/webhooks/woo"}


async def test_a_duplicate_sku_is_served_again_once_it_is_single(plan: Town) -> None:
    source, shop = plan.store("uk", LEVELS), plan.store("woo", {**ORDERS, "read_max": 50})
    for sku in ("MUG", "TEE", "CAP", "HAT", "BAG", "PIN"):
        source.add(sku, 20)
        shop.add(sku, 20)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    twin = shop.items["MUG"]
    shop.add("SPARE", 20)
    shop.items["SPARE"].sku = "MUG"
    await sweep(plan)
    await source.sell({"MUG": 5})
    await plan.settle()
    assert (twin.counts[""][0], shop.shelf("SPARE")) == (20, 20)
    plan.clock.forward(60)
    shop.remove("SPARE")
    await plan.settle()
    await sweep(plan)
    await sweep(plan)
    assert shop.shelf("MUG") == 15


async def test_a_sweep_that_fails_in_the_middle_keeps_what_it_booked(town: Town) -> None:
    """Orders are fetched first; the watermark moves only past what is booked."""
    town.clock.forward(60)
    store = town.stores["woo"]
    await store.sell({"MUG": 2})
    town.lose_webhooks()
    connector: Any = town.channel("woo").connector

    async def broken() -> AsyncIterator[Page]:
        raise RetryLater("broken off")
        yield  # pragma: no cover

    connector.listings = broken
    with pytest.raises(RetryLater):
        await town.sweepers["woo"].sweep()
    del connector.listings
    assert await town.level("MUG") == 48
    assert await town.rows("select swept_at > orders_through from channel where name = 'woo'") == [
        (False,)
    ]
