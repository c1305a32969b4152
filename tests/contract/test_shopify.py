"""The Shopify connector keeps the contract: paged, by bulk operation, and asked for locations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from syncd.demo.standins.shopify import ShopifyStandin
from syncd.stock.model import OrderHint, OrderSeen
from tests.contract.suite import ConnectorSuite


class TestShopify(ConnectorSuite):
    def make_store(self) -> ShopifyStandin:
        return ShopifyStandin()

    def disable(self, store, topic) -> None:
        for hook in list(store.webhooks.values()):
            if hook.topic == topic.replace("/", "_").upper():
                del store.webhooks[hook.id]


class TestShopifyInBulk(TestShopify):
    def make_store(self) -> ShopifyStandin:
        return ShopifyStandin(bulk_above=0)


class TestShopifyByLocation(TestShopify):
    more: ClassVar[Mapping[str, Any]] = {"by_location": True}

    async def test_lines_say_where_they_are_sent_from(self, hooked):
        store = hooked.store
        here, there = store.store.primary, store.store.add_place("Back room")
        store.add_at(store.store.by_sku("A"), there, 20)
        order = await store.sell({"A": 3, "B": 1})
        assert await held(hooked, order) == {("A", here.id): 3, ("B", here.id): 1}
        await store.send_from(order, "A", there)
        assert await held(hooked, order) == {("A", there.id): 3, ("B", here.id): 1}
        store.send(order)
        await store.refund(order, "A", 2, restock=True, place=here)
        assert await held(hooked, order) == {
            ("A", there.id): 3,
            ("A", here.id): -2,
            ("B", here.id): 1,
        }

    async def test_an_order_of_many_lines_and_places(self, hooked):
        store = hooked.store
        places = [store.store.add_place(f"Room {n}") for n in range(6)]
        skus = [f"M-{n}" for n in range(110)]
        for sku in skus:
            store.add(sku, 5)
        order = await store.sell(dict.fromkeys(skus, 1))
        for place, sku in zip(places, skus, strict=False):
            await store.send_from(order, sku, place)
        found = await held(hooked, order)
        assert len(found) == 110
        assert {found[sku, place.id] for place, sku in zip(places, skus, strict=False)} == {1}

    async def test_a_webhook_of_an_order_is_a_hint_to_fetch_it(self, hooked):
        order = await hooked.store.sell({"A": 1})
        facts = [f for hook in await hooked.said() for f in hooked.parse(hook)]
        assert OrderHint(order) in facts
        assert not [f for f in facts if isinstance(f, OrderSeen)]

    async def test_a_move_is_told_by_its_fulfilment_order(self, hooked):
        store, there = hooked.store, hooked.store.store.add_place("Back room")
        order = await store.sell({"A": 3})
        await hooked.said()
        await store.send_from(order, "A", there)
        said = await hooked.said()
        moved = [x for x in said if x.headers["X-Shopify-Topic"] == "fulfillment_orders/moved"]
        named = [f.order for hook in moved for f in hooked.parse(hook)]
        assert named
        (seen,) = await hooked.connector.orders(named)
        assert (seen.order, [x.location for x in seen.lines]) == (order, [str(there.id)])
        assert await hooked.connector.orders(["fulfilment-order:1"]) == []

    async def test_units_not_put_back_stay_off_the_shelf_they_were_assigned_to(self, hooked):
        store, here = hooked.store, hooked.store.store.primary
        order = await store.sell({"A": 3})
        await store.refund(order, "A", 3, restock=False)
        assert await held(hooked, order) == {("A", here.id): 3}

    async def test_a_cancelled_order_holds_nothing_anywhere(self, hooked):
        order = await hooked.store.sell({"A": 3})
        await hooked.store.cancel(order)
        assert await held(hooked, order) == {}


async def held(bench, order: str) -> dict[tuple[str, int], int]:
    """Units by (sku, location) that an order holds as it is now."""
    (seen,) = await bench.connector.orders([order])
    return {(line.sku, int(line.location)): line.taken for line in seen.lines if line.taken}
