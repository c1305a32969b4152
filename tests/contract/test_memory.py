"""The memory connector keeps the contract in every character its store can play."""

from __future__ import annotations

import aiohttp
import pytest

from syncd.connectors import memory
from tests.contract.suite import ConnectorSuite

CHARACTERS = {
    "like shopify": {"batch_atomic": True, "key_lifetime_s": 3600.0, "locations": ("1", "2")},
    "no keys, rows on their own": {},
    "like shopwired": {"truth": "orders", "write": "absolute", "batch_max": 15, "read_max": 1},
    "groups": {"truth": "orders", "write": "absolute", "group_size": 5, "page_max": 7},
}


class Posting:
    """Carries a memory store's webhooks to their address."""

    def __init__(self) -> None:
        self.waiting = []

    def send(self, hook) -> None:
        self.waiting.append(hook)

    async def idle(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self.waiting:
                hook = self.waiting.pop(0)
                async with session.post(hook.url, data=hook.body, headers=hook.headers) as answer:
                    assert answer.status == 200

    async def close(self) -> None:
        self.waiting.clear()


class TestMemory(ConnectorSuite):
    @pytest.fixture(autouse=True, params=CHARACTERS.values(), ids=list(CHARACTERS))
    def character(self, request):
        self.options = request.param
        return request.param

    def make_store(self) -> memory.MemoryStore:
        store = memory.store("bench", **self.options)
        store.sender = Posting()
        return store

    def disable(self, store, topic) -> None:
        store.disable(topic)
