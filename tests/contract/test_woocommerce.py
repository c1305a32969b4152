"""The WooCommerce connector keeps the contract, over plain http and where the shop sees https."""

from __future__ import annotations

import pytest

from syncd.demo.standins.woocommerce import WooCommerceStandin
from tests.contract.suite import ConnectorSuite


class TestWooCommerce(ConnectorSuite):
    @pytest.fixture(autouse=True, params=[False, True], ids=["http", "https"])
    def https(self, request):
        self.sees_https = request.param

    def make_store(self) -> WooCommerceStandin:
        return WooCommerceStandin(https=self.sees_https, delay_s=0.01)

    def disable(self, store, topic) -> None:
        for hook in store.queue.hooks.values():
            if hook.topic == topic:
                hook.status = "disabled"
