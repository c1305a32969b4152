"""The Shopify connector keeps the contract, paged and by bulk operation."""

from __future__ import annotations

from syncd.demo.standins.shopify import ShopifyStandin
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
