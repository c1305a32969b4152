"""The migration runner: each file once, in order, alone, and never on a schema that does not fit."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from syncd.db.migrate import SchemaRefused, load, migrate, packaged, status
from syncd.db.pool import Database
from syncd.errors import DatabaseAway


@pytest.fixture
async def blank(empty_dsn):
    database = Database(empty_dsn, min_size=1)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "0001_one.sql").write_text(
        "CREATE TABLE one (n int);\nINSERT INTO one VALUES (1);\n"
    )
    (tmp_path / "0002_two.sql").write_text(
        "-- words; more words\nALTER TABLE one ADD COLUMN m int;\n"
    )
    (tmp_path / "README").write_text("not a migration")
    return tmp_path


async def states(database, folder):
    return [(row.number, row.state) for row in await status(database, folder)]


async def count(database, table="one"):
    async with database.transaction("count") as conn:
        return await conn.fetchval(f"SELECT count(*) FROM {table}")


async def test_pending_files_are_applied_once_and_in_order(blank, folder):
    assert await states(blank, folder) == [(1, "pending"), (2, "pending")]
    assert await migrate(blank, folder) == ["0001_one.sql", "0002_two.sql"]
    assert await migrate(blank, folder) == []
    assert await count(blank) == 1
    (folder / "0010_ten.sql").write_text("INSERT INTO one VALUES (10)")
    assert await states(blank, folder) == [(1, "applied"), (2, "applied"), (10, "pending")]
    assert await migrate(blank, folder) == ["0010_ten.sql"]
    assert [row.applied_at is not None for row in await status(blank, folder)] == [True] * 3


async def test_status_changes_nothing(blank, folder):
    await status(blank, folder)
    async with blank.transaction("look") as conn:
        assert await conn.fetchval("SELECT to_regclass('schema_migration')") is None


async def test_what_was_applied_is_remembered_by_its_hash(blank, folder):
    await migrate(blank, folder)
    async with blank.transaction("look") as conn:
        digest = await conn.fetchval("SELECT sha256 FROM schema_migration WHERE number = 1")
    assert digest == hashlib.sha256((folder / "0001_one.sql").read_bytes()).hexdigest()


async def test_line_ends_are_no_change(blank, folder):
    await migrate(blank, folder)
    path = folder / "0001_one.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert await migrate(blank, folder) == []


async def test_a_changed_file_is_refused_before_anything_runs(blank, folder):
    await migrate(blank, folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE other (n int)")
    (folder / "0003_three.sql").write_text("CREATE TABLE three (n int)")
    with pytest.raises(SchemaRefused, match=r"0001_one\.sql was changed"):
        await migrate(blank, folder)
    assert await states(blank, folder) == [(1, "changed"), (2, "applied"), (3, "pending")]


async def test_a_newer_schema_is_refused(blank, folder):
    await migrate(blank, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(SchemaRefused, match=r"newer than this version.*0002_two\.sql"):
        await migrate(blank, folder)
    assert await states(blank, folder) == [(1, "applied"), (2, "unknown")]


async def test_a_file_that_comes_late_is_refused(blank, folder):
    (folder / "0001_one.sql").rename(folder / "0005_one.sql")
    (folder / "0002_two.sql").rename(folder / "0006_two.sql")
    await migrate(blank, folder)
    (folder / "0003_three.sql").write_text("SELECT 1")
    with pytest.raises(SchemaRefused, match="0003_three"):
        await migrate(blank, folder)


async def test_a_failing_file_leaves_nothing_of_itself(blank, folder):
    (folder / "0002_two.sql").write_text("INSERT INTO one VALUES (2);\nSELECT 1 / 0;")
    with pytest.raises(SchemaRefused, match=r"0002_two\.sql failed: division by zero"):
        await migrate(blank, folder)
    assert await count(blank) == 1
    assert await states(blank, folder) == [(1, "applied"), (2, "pending")]
    (folder / "0002_two.sql").write_text("INSERT INTO one VALUES (2)")
    assert await migrate(blank, folder) == ["0002_two.sql"]


async def test_a_file_without_transaction_runs_statement_by_statement(blank, folder):
    (folder / "0003_index.sql").write_text(
        "-- syncd:no-transaction\n"
        "DROP INDEX CONCURRENTLY IF EXISTS one_n;\n"
        "CREATE INDEX CONCURRENTLY one_n ON one (n);\n-- the end\n"
    )
    assert (await migrate(blank, folder))[-1] == "0003_index.sql"
    async with blank.transaction("look") as conn:
        assert await conn.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_n'::regclass"
        )


async def test_several_at_once_apply_everything_once(blank, empty_dsn, folder):
    (folder / "0003_index.sql").write_text(
        "-- syncd:no-transaction\nCREATE INDEX CONCURRENTLY one_n ON one (n);\n"
    )
    others = [Database(empty_dsn, min_size=1) for _ in range(4)]
    for other in others:
        await other.open()
    try:
        done = await asyncio.gather(*(migrate(other, folder) for other in others))
    finally:
        for other in others:
            await other.close()
    assert sorted(name for names in done for name in names) == [
        "0001_one.sql",
        "0002_two.sql",
        "0003_index.sql",
    ]
    assert await count(blank) == 1


async def test_a_table_that_is_locked_for_a_moment_is_tried_again(
    blank, empty_dsn, folder, monkeypatch
):
    await migrate(blank, folder)
    (folder / "0003_three.sql").write_text(
        "SET LOCAL lock_timeout = 20; ALTER TABLE one ADD COLUMN k int"
    )
    monkeypatch.setattr("syncd.db.migrate.LOCK_TRIES", 1000)
    other = Database(empty_dsn, min_size=1)
    await other.open()
    async with other.transaction("holder") as holder:
        await holder.execute("LOCK TABLE one")
        task = asyncio.create_task(migrate(blank, folder))
        async with asyncio.timeout(10):
            tries = blank.statements + 30
            while blank.statements < tries:
                await holder.fetchval("SELECT 1")
    assert await task == ["0003_three.sql"]
    await other.close()


async def test_a_table_that_stays_locked_is_away(blank, folder):
    await migrate(blank, folder)
    (folder / "0003_three.sql").write_text(
        "SET LOCAL lock_timeout = 20; ALTER TABLE one ADD COLUMN k int"
    )
    async with blank.transaction("holder") as holder:
        await holder.execute("LOCK TABLE one")
        with pytest.raises(DatabaseAway):
            await migrate(blank, folder)
    assert await migrate(blank, folder) == ["0003_three.sql"]


@pytest.mark.parametrize("name", ["1_short.sql", "0001-dash.sql", "0001_Capital.sql", "words.sql"])
def test_a_name_that_cannot_be_ordered_is_refused(tmp_path, name):
    (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(SchemaRefused, match="NNNN_words"):
        load(tmp_path)


def test_two_files_with_one_number_are_refused(folder):
    (folder / "0001_again.sql").write_text("SELECT 1")
    with pytest.raises(SchemaRefused, match="share a number"):
        load(folder)


def test_the_package_brings_its_migrations_without_gaps():
    numbers = [migration.number for migration in load()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    assert packaged().is_dir()


async def test_the_packaged_migrations_apply(database):
    assert {row.state for row in await status(database)} == {"applied"}
