"""Towns for the flow tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from syncd.db.pool import Database
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town
from tests.postgres import Cluster

Databases = Callable[[], AbstractAsyncContextManager[Database]]

SHELVES = (("MUG", 50), ("TEE", 10), ("CAP", 3))


@pytest.fixture
async def town(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Three stores of every character with three items, seeded and at rest."""
    made = Town(database, request.node.nodeid)
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        store = made.store(name, character)
        for sku, quantity in SHELVES:
            store.add(sku, quantity if name == "uk" else 7)
    await made.open()
    await made.seed()
    yield made
    await made.close()


@pytest.fixture
async def plan(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """An empty town, to be built by the test."""
    made = Town(database, request.node.nodeid)
    yield made
    await made.close()


@pytest.fixture
def databases(cluster: Cluster) -> Databases:
    """Makes any number of migrated, empty databases, one after the other."""

    @asynccontextmanager
    async def fresh() -> AsyncIterator[Database]:
        name = cluster.new_name()
        admin = await asyncpg.connect(cluster.dsn())
        try:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_syncd")
            opened = Database(cluster.dsn(name), min_size=1)
            await opened.open()
            try:
                yield opened
            finally:
                await opened.close()
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()

    return fresh
