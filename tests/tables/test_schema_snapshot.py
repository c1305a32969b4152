"""The committed schema is what the migrations make, on every PostgreSQL."""

from __future__ import annotations

from syncd.db.pool import Database
from tests.schema import SNAPSHOT, dump


async def test_the_snapshot_is_current(dsn):
    assert await dump(dsn) == SNAPSHOT.read_text(), "run `make schema` and read the difference"


async def test_the_snapshot_notices_every_kind_of_change(dsn):
    changes = [
        "ALTER TABLE schema_migration ADD COLUMN extra int",
        "ALTER TABLE schema_migration ALTER COLUMN extra SET DEFAULT 1",
        "ALTER TABLE schema_migration ALTER COLUMN sha256 DROP NOT NULL",
        "ALTER TABLE schema_migration ADD CONSTRAINT positive CHECK (extra > 0)",
        "CREATE INDEX odd ON schema_migration (extra) WHERE extra > 5",
        "ALTER TABLE schema_migration SET (fillfactor = 80)",
        "COMMENT ON COLUMN schema_migration.extra IS 'it''s extra'",
        "CREATE TYPE mood AS ENUM ('calm')",
        "CREATE DOMAIN small AS int CHECK (VALUE < 10)",
        "CREATE SEQUENCE counter",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW seen AS SELECT 1 AS n",
        "CREATE UNLOGGED TABLE fleeting (n int)",
    ]
    database = Database(dsn, min_size=1)
    await database.open()
    try:
        before = await dump(dsn)
        for change in changes:
            async with database.transaction("change") as conn:
                await conn.execute(change)
            after = await dump(dsn)
            assert after != before, change
            before = after
    finally:
        await database.close()
