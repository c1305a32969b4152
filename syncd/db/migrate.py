"""Brings the schema forward: numbered SQL files, each applied once, in order, under one lock.

There is no way back; a file that was changed after it was applied, or a schema that is newer than
this version of syncd, is refused with words that say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.resources
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources.abc import Traversable
from typing import Literal

import asyncpg

from syncd.db.pool import Connection, Database
from syncd.errors import DatabaseAway, SyncdError

NO_TRANSACTION = "-- syncd:no-transaction"
"""A file with this line runs outside a transaction, statement by statement (each ends its line
with `;`). It may run again after a crash, so its statements must bear that."""

FILE_NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")

LOCK_KEY = 7_311_924_015
"""The advisory lock of the one who migrates; any constant that no other program uses."""

LOCK_WAIT_S = 120.0
LOCK_POLL_S = 0.1
LOCK_TRIES = 5
"""How often a file is tried again when it could not lock a table within `lock_timeout`."""

FILE_TIMEOUT_S = 6 * 3600.0

EXISTS = "SELECT to_regclass('schema_migration') IS NOT NULL"

CREATE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migration IS 'The migration files that were applied, and what they said then'
"""

APPLIED = "SELECT number, name, sha256, applied_at FROM schema_migration ORDER BY number"

RECORD = "INSERT INTO schema_migration (number, name, sha256) VALUES ($1, $2, $3)"


class SchemaRefused(SyncdError):
    """The schema and this version of syncd do not fit, or a migration failed: a person must act."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str
    sha256: str

    @property
    def in_transaction(self) -> bool:
        return NO_TRANSACTION not in self.sql.splitlines()


@dataclass(frozen=True, slots=True)
class Row:
    """One migration as the database and this version see it.

    `unknown` is applied but not part of this version; `changed` was applied with other content.
    """

    number: int
    name: str
    state: Literal["applied", "pending", "changed", "unknown"]
    applied_at: datetime | None = None


def packaged() -> Traversable:
    """The folder of migrations that this version of syncd brings."""
    return importlib.resources.files("syncd.db") / "migrations"


def load(folder: Traversable | None = None) -> list[Migration]:
    """The migrations of a folder in order; SchemaRefused for a name or number that cannot be."""
    found: dict[int, Migration] = {}
    for entry in (folder or packaged()).iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = FILE_NAME.fullmatch(entry.name)
        if match is None:
            raise SchemaRefused(f"migration {entry.name}: the name must be NNNN_words.sql")
        number = int(match["number"])
        if number in found:
            raise SchemaRefused(f"migrations {found[number].name} and {entry.name} share a number")
        # the same bytes whatever a checkout did to line ends
        content = entry.read_bytes().replace(b"\r\n", b"\n")
        digest = hashlib.sha256(content).hexdigest()
        found[number] = Migration(number, entry.name, content.decode(), digest)
    return [found[number] for number in sorted(found)]


async def status(db: Database, folder: Traversable | None = None) -> list[Row]:
    """Every migration known to the database or to this version, in order; changes nothing."""
    files = load(folder)
    async with db.transaction("schema_status") as conn:
        return _compare(files, await _applied(conn))


async def migrate(db: Database, folder: Traversable | None = None) -> list[str]:
    """Apply what is pending and give its names; several callers at once wait for each other.

    Raises SchemaRefused before anything is touched when the schema does not fit, and in the
    middle when a file fails: the files before it stay applied, its own transaction does not.
    """
    files = load(folder)
    async with db.connection("migrate") as conn, _alone(conn):
        await conn.execute(CREATE)
        rows = _compare(files, await _applied(conn))
        _refuse(rows)
        pending = {row.number for row in rows if row.state == "pending"}
        done = [migration for migration in files if migration.number in pending]
        for migration in done:
            await _apply(conn, migration)
    return [migration.name for migration in done]


@asynccontextmanager
async def _alone(conn: Connection) -> AsyncIterator[None]:
    """Hold the migration lock; it is asked for again and again, because a session that waits
    inside a statement keeps a snapshot that CREATE INDEX CONCURRENTLY would wait for.
    """
    await conn.execute("SET statement_timeout = 0")
    give_up = time.monotonic() + LOCK_WAIT_S
    while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if time.monotonic() > give_up:
            raise DatabaseAway(f"another migration still runs after {LOCK_WAIT_S:.0f} s")
        await asyncio.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        if not conn.is_closed():
            await conn.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _applied(conn: Connection) -> list[tuple[int, str, str, datetime]]:
    if not await conn.fetchval(EXISTS):
        return []
    return [tuple(record) for record in await conn.fetch(APPLIED)]


def _compare(files: list[Migration], applied: list[tuple[int, str, str, datetime]]) -> list[Row]:
    known = {migration.number: migration for migration in files}
    rows = {number: Row(number, migration.name, "pending") for number, migration in known.items()}
    for number, name, sha256, applied_at in applied:
        if number not in known:
            rows[number] = Row(number, name, "unknown", applied_at)
        elif known[number].sha256 != sha256:
            rows[number] = Row(number, name, "changed", applied_at)
        else:
            rows[number] = Row(number, name, "applied", applied_at)
    return [rows[number] for number in sorted(rows)]


def _refuse(rows: list[Row]) -> None:
    newest = max((row.number for row in rows if row.state != "pending"), default=0)
    for row in rows:
        if row.state == "unknown":
            raise SchemaRefused(
                f"the schema is newer than this version of syncd: it has {row.name}. "
                "Install the version that brought it, or a later one"
            )
        if row.state == "changed":
            raise SchemaRefused(
                f"{row.name} was changed after it was applied. "
                "Restore the file; a change to the schema goes into a new one"
            )
        if row.state == "pending" and row.number < newest:
            raise SchemaRefused(f"{row.name} comes before migrations that are applied already")


async def _apply(conn: Connection, migration: Migration) -> None:
    try:
        if migration.in_transaction:
            await _in_transaction(conn, migration)
        else:
            for statement in re.split(r";[ \t]*(?:\n|\Z)", migration.sql):
                if _says_something(statement):
                    await conn.execute(statement, timeout=FILE_TIMEOUT_S)
            await conn.execute(RECORD, migration.number, migration.name, migration.sha256)
    except asyncpg.PostgresError as error:
        if conn.is_closed() or isinstance(error, asyncpg.LockNotAvailableError):
            raise
        raise SchemaRefused(f"{migration.name} failed: {error}") from error


async def _in_transaction(conn: Connection, migration: Migration) -> None:
    for left in range(LOCK_TRIES - 1, -1, -1):
        try:
            async with conn.transaction():
                await conn.execute(migration.sql, timeout=FILE_TIMEOUT_S)
                await conn.execute(RECORD, migration.number, migration.name, migration.sha256)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if not left:
                raise
        else:
            return


def _says_something(statement: str) -> bool:
    lines = (line.strip() for line in statement.splitlines())
    return any(line and not line.startswith("--") for line in lines)
