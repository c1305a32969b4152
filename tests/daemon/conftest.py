"""A durable PostgreSQL for the daemon's tests, worlds of stores, and processes that are cleaned up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process
from tests.daemon.shoppers import make_stores
from tests.postgres import Cluster

UNITS: Mapping[str, int] = {f"ITEM-{n:02d}": 400 + n for n in range(24)}


@pytest.fixture(scope="session")
def durable() -> Iterator[Cluster]:
    """A running PostgreSQL with fsync on that nobody crashes."""
    made = Cluster(durable=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@asynccontextmanager
async def fresh_database(cluster: Cluster) -> AsyncIterator[str]:
    """An empty database of one test's own."""
    name = cluster.new_name()
    admin = await asyncpg.connect(cluster.dsn())
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            yield cluster.dsn(name)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def own_dsn(durable: Cluster) -> AsyncIterator[str]:
    """An empty database with fsync on; the daemon brings its schema."""
    async with fresh_database(durable) as address:
        yield address


@pytest.fixture
def units() -> dict[str, int]:
    return dict(UNITS)


@pytest.fixture
async def stores(units: dict[str, int]) -> AsyncIterator[dict[str, Standin]]:
    """The three stand-ins, started."""
    made = make_stores(units)
    async with AsyncExitStack() as stack:
        for store in made.values():
            await store.start()
            stack.push_async_callback(store.stop)
        yield made


@pytest.fixture
async def make_process(tmp_path: Path) -> AsyncIterator[Callable[..., Process]]:
    """Makes processes: `make_process(dsn, stores)`, configured and written, not started."""
    made: list[Process] = []

    def make(dsn: str | None, stores: Mapping[str, Standin], **changes: object) -> Process:
        one = Process(tmp_path / f"daemon{len(made)}", dsn, stores)
        one.config |= changes
        one.write()
        made.append(one)
        return one

    try:
        yield make
    finally:
        for one in made:
            await one.close()


@pytest.fixture
async def process(
    make_process: Callable[..., Process], own_dsn: str, stores: dict[str, Standin]
) -> Process:
    """A daemon on three seeded stores, ready."""
    one = make_process(own_dsn, stores)
    await one.start()
    await one.seeded()
    return one
