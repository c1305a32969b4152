"""The ShopWired connector keeps the contract, whether webhooks carry whole orders or bare ones."""

from __future__ import annotations

import pytest

from syncd.connectors.base import Ref
from syncd.demo.standins.shopwired import ShopWiredStandin
from tests.contract.suite import ConnectorSuite


class TestShopWired(ConnectorSuite):
    unknown = Ref("no-such-sku", "", "no-such-sku")
    narrows_orders = False

    @pytest.fixture(autouse=True, params=[False, True], ids=["whole", "bare"])
    def webhooks(self, request):
        self.bare = request.param

    def make_store(self) -> ShopWiredStandin:
        return ShopWiredStandin(bare_webhooks=self.bare)

    def disable(self, store, topic) -> None:
        for one in store.registrations.values():
            one.active = one.active and one.topic != topic
