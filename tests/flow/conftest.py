"""Towns for the flow tests."""

from __future__ import annotations

import pytest

from syncd.db.pool import Database
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town


@pytest.fixture
async def town(database: Database, request: pytest.FixtureRequest) -> Town:
    """Three stores of every character with three items, seeded and at rest."""
    made = Town(database, request.node.nodeid)
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        store = made.store(name, character)
        for sku, quantity in (("MUG", 50), ("TEE", 10), ("CAP", 3)):
            store.add(sku, quantity if name == "uk" else 7)
    await made.open()
    await made.seed()
    return made
