"""The pool keeps its word: named transactions, one error for every way of being away, no hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import asyncpg
import pytest

from syncd.db.pool import PUT_BACK_S, Database, LostRace, retrying
from syncd.errors import ConfigError, DatabaseAway
from tests.postgres import free_port


@contextlib.asynccontextmanager
async def opened(dsn, **arguments):
    database = Database(dsn, **({"min_size": 1} | arguments))
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def pool(empty_dsn):
    async with opened(empty_dsn) as database, database.transaction("setup") as conn:
        await conn.execute("CREATE TABLE thing (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
        await conn.execute("INSERT INTO thing VALUES (1), (2)")
    async with opened(empty_dsn) as database:
        yield database


async def value(database, statement, *arguments):
    async with database.transaction("value") as conn:
        return await conn.fetchval(statement, *arguments)


async def answer(database, statement):
    """The value, or None while the database is away."""
    try:
        return await value(database, statement)
    except DatabaseAway:
        return None


async def test_transaction_commits_and_rolls_back(pool):
    async with pool.transaction("write") as conn:
        await conn.execute("UPDATE thing SET n = 1 WHERE id = 1")
    with pytest.raises(KeyError):
        async with pool.transaction("write") as conn:
            await conn.execute("UPDATE thing SET n = 2 WHERE id = 1")
            raise KeyError("the caller's own")
    assert await value(pool, "SELECT n FROM thing WHERE id = 1") == 1


async def test_statements_are_counted_and_nothing_else_is_sent(pool):
    before = pool.statements
    for _ in range(2):
        async with pool.transaction("read") as conn:
            await conn.fetch("SELECT 1")
            await conn.fetchrow("SELECT 1")
            await conn.executemany("UPDATE thing SET n = $2 WHERE id = $1", [(1, 1), (2, 2)])
    assert pool.statements - before == 2 * (3 + len(("BEGIN", "COMMIT")))


async def test_seconds_are_observed_by_name(empty_dsn):
    seen = []
    async with opened(
        empty_dsn, observe=lambda name, seconds: seen.append((name, seconds))
    ) as database:
        async with database.transaction("claim") as conn:
            await conn.execute("SELECT pg_sleep(0.05)")
        async with database.connection("aside"):
            pass
    assert [name for name, _ in seen] == ["claim"]
    assert 0.05 <= seen[0][1] < 5


async def test_server_settings(pool):
    names = {
        "application_name": "syncd",
        "statement_timeout": "15s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "30s",
        "TimeZone": "UTC",
        "jit": "off",
    }
    async with pool.transaction("settings") as conn:
        for name, expected in names.items():
            assert await conn.fetchval("SELECT current_setting($1)", name) == expected


async def test_a_lent_session_comes_back_clean(empty_dsn):
    async with opened(empty_dsn, max_size=1) as database:
        async with database.connection("aside") as conn:
            await conn.execute("SET lock_timeout = '7s'")
            await conn.execute("SELECT pg_advisory_lock(1)")
        async with database.transaction("read") as conn:
            assert await conn.fetchval("SELECT current_setting('lock_timeout')") == "3s"
            assert (
                await conn.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                == 0
            )


async def test_refused_connection_is_away_at_once():
    database = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/x")
    began = time.monotonic()
    with pytest.raises(DatabaseAway):
        await database.open()
    assert time.monotonic() - began < 1
    with pytest.raises(DatabaseAway):
        async with database.transaction("x"):
            pass


async def test_a_wrong_address_is_a_configuration_error_without_its_password(cluster):
    for dsn in (
        cluster.dsn("nosuchdatabase"),
        cluster.dsn().replace("postgres@", "nosuchuser:hunter2@"),
        "postgres://u:hunt/er2@h/x",
        "mysql://u:hunter2@h/x",
    ):
        with pytest.raises(ConfigError) as caught:
            await Database(dsn).open()
        assert "hunt" not in str(caught.value)
        assert len(caught.value.problems) == 1


async def test_an_exhausted_pool_is_away_within_its_bound(empty_dsn):
    async with opened(empty_dsn, max_size=1, acquire_timeout_s=0.2) as database:
        async with database.transaction("hold"):
            began = time.monotonic()
            with pytest.raises(DatabaseAway, match="no connection within"):
                async with database.transaction("wait"):
                    pass
            assert 0.2 <= time.monotonic() - began < 1
        assert await value(database, "SELECT 1") == 1


async def test_too_many_connections_is_away(pool, empty_dsn):
    async with pool.transaction("role") as conn:
        await conn.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
    narrow = empty_dsn.replace("postgres@", "narrow@")
    async with opened(narrow) as first:
        with pytest.raises(DatabaseAway):
            await Database(narrow).open()
        async with first.transaction("hold"):
            with pytest.raises(DatabaseAway):
                async with first.transaction("second"):
                    pass
    async with pool.transaction("role") as conn:
        await conn.execute("DROP ROLE narrow")


async def test_a_killed_backend_is_away_and_the_pool_heals(pool):
    async with pool.transaction("other") as other:
        with pytest.raises(DatabaseAway):
            async with pool.transaction("victim") as victim:
                pid = await victim.fetchval("SELECT pg_backend_pid()")
                await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
                await victim.execute("SELECT 1")
    assert await value(pool, "SELECT 1") == 1


async def test_idle_connections_killed_by_the_server_cost_nothing(pool):
    async with pool.transaction("one") as conn:
        pid = await conn.fetchval("SELECT pg_backend_pid()")
    await _terminate(pool, pid)
    for _ in range(5):
        assert await value(pool, "SELECT 1") == 1


async def _terminate(pool, pid):
    admin = await asyncpg.connect(pool._dsn)
    try:
        await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    finally:
        await admin.close()


@pytest.mark.parametrize(
    "statements",
    [
        ("SET LOCAL statement_timeout = 30", "SELECT pg_sleep(10)"),
        ("SET TRANSACTION READ ONLY", "UPDATE thing SET n = 1"),
        ("DO $$ BEGIN RAISE EXCEPTION 'disk' USING errcode = '53100'; END $$",),
        ("DO $$ BEGIN RAISE EXCEPTION 'io' USING errcode = '58030'; END $$",),
    ],
    ids=["statement_timeout", "read_only", "disk_full", "io_error"],
)
async def test_what_else_is_away(pool, statements):
    with pytest.raises(DatabaseAway, match="odd: "):
        async with pool.transaction("odd") as conn:
            for statement in statements:
                await conn.execute(statement)
    assert await value(pool, "SELECT sum(n) FROM thing") == 0


async def test_a_lock_that_is_not_given_is_away(pool):
    async with pool.transaction("holder") as holder:
        await holder.execute("UPDATE thing SET n = 1 WHERE id = 1")
        with pytest.raises(DatabaseAway):
            async with pool.transaction("waiter") as waiter:
                await waiter.execute("SET LOCAL lock_timeout = 50")
                await waiter.execute("UPDATE thing SET n = 2 WHERE id = 1")


async def test_errors_of_the_statement_pass(pool):
    with pytest.raises(asyncpg.UniqueViolationError):
        async with pool.transaction("insert") as conn:
            await conn.execute("INSERT INTO thing VALUES (1)")
    assert await value(pool, "SELECT count(*) FROM thing") == 2


async def test_misuse_is_not_called_away(pool):
    with pytest.raises(asyncpg.InterfaceError):
        async with pool.transaction("misuse") as conn:
            await conn.fetch("SELECT $1::int")


async def test_a_deadlock_is_run_again(pool):
    entered = [asyncio.Event(), asyncio.Event()]
    runs = [0, 0]

    async def update(me, other):
        async def body(conn):
            runs[me] += 1
            await conn.execute("SET LOCAL deadlock_timeout = 20")
            await conn.execute("UPDATE thing SET n = n + 1 WHERE id = $1", me + 1)
            entered[me].set()
            await entered[other].wait()
            await conn.execute("UPDATE thing SET n = n + 1 WHERE id = $1", other + 1)
            return me

        return await retrying(pool, "update", body)

    async with asyncio.timeout(20):
        assert await asyncio.gather(update(0, 1), update(1, 0)) == [0, 1]
    assert sorted(runs) == [1, 2]
    assert await value(pool, "SELECT array_agg(n) FROM thing") == [2, 2]


async def test_retrying_gives_up(pool):
    runs = 0

    async def body(conn):
        nonlocal runs
        runs += 1
        await conn.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING errcode = '40001'; END $$")

    with pytest.raises(LostRace):
        await retrying(pool, "hopeless", body, tries=3)
    assert runs == 3


@contextlib.contextmanager
def thawing():
    """Collects the processes a test freezes; they run again whatever happens."""
    frozen = []
    try:
        yield lambda pid: (frozen.append(pid), os.kill(pid, signal.SIGSTOP))
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


async def test_a_frozen_backend_does_not_hang_its_caller(empty_dsn):
    with thawing() as freeze:
        async with opened(empty_dsn, max_size=1, statement_timeout_s=0.1) as database:
            began = time.monotonic()
            with pytest.raises(DatabaseAway):
                async with database.transaction("frozen") as conn:
                    freeze(await conn.fetchval("SELECT pg_backend_pid()"))
                    await conn.fetchval("SELECT 1")
            assert time.monotonic() - began < PUT_BACK_S + 1
            assert await value(database, "SELECT 1") == 1


async def test_a_caller_cancelled_on_a_frozen_backend_leaves_at_once(empty_dsn):
    with thawing() as freeze:
        async with opened(empty_dsn, max_size=1, acquire_timeout_s=5) as database:
            inside = asyncio.Event()

            async def work():
                async with database.transaction("frozen") as conn:
                    freeze(await conn.fetchval("SELECT pg_backend_pid()"))
                    inside.set()
                    await conn.fetchval("SELECT 1")

            task = asyncio.create_task(work())
            await inside.wait()
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < PUT_BACK_S / 2
            assert await value(database, "SELECT 1") == 1


async def test_a_backend_frozen_at_the_end_does_not_hang_the_release(empty_dsn):
    with thawing() as freeze:
        async with opened(empty_dsn, max_size=1, statement_timeout_s=30) as database:
            began = time.monotonic()
            with pytest.raises(KeyError):
                async with database.transaction("frozen") as conn:
                    freeze(await conn.fetchval("SELECT pg_backend_pid()"))
                    raise KeyError("rolls back on a frozen backend")
            assert time.monotonic() - began < 4
            assert await value(database, "SELECT 1") == 1


async def test_a_cancelled_caller_leaves_at_once_and_nothing_stays(empty_dsn):
    async with opened(empty_dsn, max_size=1, acquire_timeout_s=5) as database:
        async with database.transaction("setup") as conn:
            await conn.execute("CREATE TABLE thing (n int)")
        inside = asyncio.Event()

        async def work():
            async with database.transaction("slow") as conn:
                await conn.execute("INSERT INTO thing VALUES (1)")
                inside.set()
                await conn.execute("SELECT pg_sleep(10)")

        task = asyncio.create_task(work())
        await inside.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 0.5
        assert await value(database, "SELECT count(*) FROM thing") == 0


async def test_a_crash_of_the_server_is_away_until_it_is_back(new_cluster):
    cluster = new_cluster()
    async with opened(cluster.dsn()) as database:
        async with database.transaction("before") as conn:
            await conn.execute("CREATE TABLE thing (n int)")
        cluster.stop("immediate")
        with pytest.raises(DatabaseAway):
            await value(database, "SELECT 1")
        cluster.start()
        async with database.transaction("after") as conn:
            await conn.execute("INSERT INTO thing VALUES (1)")
        cluster.restart("kill")
        async with asyncio.timeout(5):
            while await answer(database, "SELECT count(*) FROM thing") != 1:
                pass


async def test_close_cuts_what_does_not_finish(empty_dsn):
    database = Database(empty_dsn, min_size=1)
    await database.open()
    inside = asyncio.Event()

    async def work():
        async with database.transaction("slow") as conn:
            inside.set()
            await conn.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(work())
    await inside.wait()
    began = time.monotonic()
    await database.close()
    with pytest.raises(DatabaseAway):
        await task
    assert time.monotonic() - began < 5
