"""What every test may ask for: a database of its own, a cluster to crash, the vendors' schemas."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from syncd.db.migrate import migrate
from syncd.db.pool import Database
from tests.postgres import Cluster, wanted

T = TypeVar("T")
TEMPLATE = "template_syncd"


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread and loop of its own, whatever loop is running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that needs a database runs once per PostgreSQL that SYNCD_TEST_PG names."""
    if "cluster" in metafunc.fixturenames:
        found = wanted()
        ids = [f"pg{installation.major}" for installation in found]
        metafunc.parametrize("cluster", found, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running throw-away PostgreSQL without fsync, with a migrated template database."""
    made = Cluster(request.param)
    try:
        made.start()
        apart(_make_template(made))
        yield made
    finally:
        made.remove()


async def _make_template(made: Cluster) -> None:
    admin = await asyncpg.connect(made.dsn())
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await admin.close()
    database = Database(made.dsn(TEMPLATE), min_size=1, max_size=2)
    await database.open()
    try:
        await migrate(database)
    finally:
        await database.close()


@asynccontextmanager
async def _fresh(cluster: Cluster, template: str) -> AsyncIterator[str]:
    name = cluster.new_name()
    admin = await asyncpg.connect(cluster.dsn())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield cluster.dsn(name)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def dsn(cluster: Cluster) -> AsyncIterator[str]:
    """A migrated, empty database of this test's own."""
    async with _fresh(cluster, TEMPLATE) as address:
        yield address


@pytest.fixture
async def empty_dsn(cluster: Cluster) -> AsyncIterator[str]:
    """A database of this test's own in which nothing was migrated yet."""
    async with _fresh(cluster, "template1") as address:
        yield address


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open `Database` on a migrated database of this test's own."""
    opened = Database(dsn, min_size=1)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., Cluster]]:
    """Makes separate clusters with fsync on, to be stopped, killed and restarted at will.

    `new_cluster()` gives a started `Cluster`; it takes Cluster's keyword arguments.
    """
    made: list[Cluster] = []

    def make(**arguments: Any) -> Cluster:
        one = Cluster(**({"durable": True} | arguments))
        made.append(one)
        one.start()
        return one

    try:
        yield make
    finally:
        for one in made:
            one.remove()


@pytest.fixture(scope="session")
def specs() -> Path:
    """The folder of the vendors' schemas; without it a test is skipped, and fails under CI=true."""
    beside = Path(__file__).parents[1] / ".." / "shared" / "specs"
    folder = Path(os.environ.get("SYNCD_SPECS") or beside).resolve()
    if folder.is_dir():
        return folder
    reason = f"no vendor schemas in {folder}; set SYNCD_SPECS"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
