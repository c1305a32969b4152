"""Stored answers of the API: a call that is sent again gets the first answer, and is done once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer and the fingerprint of the call it belongs to."""

    digest: bytes
    status: int
    body: bytes
    location: str


CLAIM = "select pg_try_advisory_xact_lock(7311, hashtext($1 || chr(10) || $2))"

FIND = """
select digest, status::int as status, body, location from answer where actor = $1 and key = $2
"""


async def claim(conn: Connection, actor: str, key: str) -> tuple[bool, Stored | None]:
    """Whether this call may be answered now (no other one with its key is), and a stored answer.

    The answer is read after the lock: who held it before has committed by then.
    """
    alone: bool = await conn.fetchval(CLAIM, actor, key)
    row = await conn.fetchrow(FIND, actor, key)
    return alone, Stored(*row) if row else None


KEEP = """
insert into answer (actor, key, digest, status, body, location, answered_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def keep(conn: Connection, actor: str, key: str, made: Stored, now: datetime) -> None:
    """Store an answer with what it answers."""
    await conn.execute(KEEP, actor, key, made.digest, made.status, made.body, made.location, now)


PRUNE = "delete from answer where answered_at < $1"


async def prune(conn: Connection, before: datetime) -> int:
    """Forget older answers; gives how many."""
    tag: str = await conn.execute(PRUNE, before)
    return int(tag.rsplit(" ", 1)[1])
