"""Plans: what is to be changed at once, who said yes, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncd.db.pool import Connection

PLAN_COLUMNS = """
    p.id, p.kind, p.state, p.title, p.actor, c.name as channel, p.undoes, p.created_at, p.expires_at,
    p.decided_at, p.decided_by, p.done_at, p.rows, p.done, p.summary
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as it stands. `summary`: what it would change, as JSON text."""

    id: int
    kind: str
    state: str
    title: str
    actor: str
    channel: str | None
    undoes: int | None
    created_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    done_at: datetime | None
    rows: int
    done: int
    summary: str

    @property
    def said(self) -> dict[str, Any]:
        """The summary, read."""
        found: dict[str, Any] = json.loads(self.summary)
        return found


ENTER = """
insert into plan (kind, state, title, actor, channel_id, undoes, created_at, expires_at)
values ($1, 'loading', $2, $3, $4, $5, $6, $7) returning id
"""


async def enter(
    conn: Connection,
    kind: str,
    title: str,
    actor: str,
    now: datetime,
    *,
    channel_id: int | None = None,
    undoes: int | None = None,
    expires_at: datetime | None = None,
) -> int:
    """A new plan, to be filled with rows and opened."""
    found: int = await conn.fetchval(ENTER, kind, title, actor, channel_id, undoes, now, expires_at)
    return found


OPEN = """
update plan set state = 'open', rows = $2, summary = $3::jsonb where id = $1 and state = 'loading'
"""


async def open_plan(
    conn: Connection, plan_id: int, rows: int, summary: Mapping[str, object]
) -> None:
    """All rows are there: it can be shown, applied or rejected."""
    await conn.execute(OPEN, plan_id, rows, json.dumps(summary))


FORGET = "delete from plan where id = $1 and state = 'loading'"


async def forget(conn: Connection, plan_id: int) -> None:
    """A plan that was never opened, and its rows, are gone."""
    await conn.execute(FORGET, plan_id)


FORGET_BROKEN = "delete from plan where state = 'loading' and created_at < $1"


async def forget_broken(conn: Connection, before: datetime) -> None:
    """Plans whose loading broke off are gone."""
    await conn.execute(FORGET_BROKEN, before)


GET = (
    f"select {PLAN_COLUMNS} from plan p left join channel c on c.id = p.channel_id where p.id = $1"
)


async def get(conn: Connection, plan_id: int) -> Plan | None:
    """A plan; None: there is none of this number."""
    row = await conn.fetchrow(GET, plan_id)
    return Plan(*row) if row else None


NEWEST = f"""
select {PLAN_COLUMNS} from plan p left join channel c on c.id = p.channel_id
where p.state <> 'loading' and (not $1 or p.state in ('open', 'applying')) and p.id < $2
  and (p.kind not in ('first_sync', 'division') or p.rows > 0)
order by p.id desc limit $3
"""


async def newest(
    conn: Connection, *, waiting: bool, before: int = 2**62, limit: int = 100
) -> list[Plan]:
    """The newest plans, newest first; `waiting`: only those that are not closed."""
    return [Plan(*row) for row in await conn.fetch(NEWEST, waiting, before, limit)]


DECIDE = """
update plan set state = $2::text, decided_at = $3::timestamptz, decided_by = $4,
    done_at = case when $2::text in ('rejected', 'expired') then $3::timestamptz end
where id = $1 and state = any($5::text[])
"""


async def decide(
    conn: Connection,
    plan_id: int,
    state: str,
    now: datetime,
    actor: str,
    *,
    before: Sequence[str] = ("open",),
) -> bool:
    """Somebody decided about a plan; False where it was not to be decided any more."""
    tag = await conn.execute(DECIDE, plan_id, state, now, actor, list(before))
    return not tag.endswith(" 0")


EXPIRE = """
update plan set state = 'expired', done_at = $1, decided_by = 'syncd'
where state = 'open' and expires_at <= $1 returning id
"""


async def expire(conn: Connection, now: datetime) -> list[int]:
    """Open plans whose time is over are closed; gives them."""
    return [row[0] for row in await conn.fetch(EXPIRE, now)]


WAITING_OF = (
    "select id from plan where channel_id = $1 and kind = $2 and state = 'open' order by id"
)


async def waiting_of(conn: Connection, channel_id: int, kind: str) -> list[int]:
    """Plans of a channel of this kind that wait for a person."""
    return [row[0] for row in await conn.fetch(WAITING_OF, channel_id, kind)]


COUNT_DONE = "update plan set done = done + $2 where id = $1"


async def count_done(conn: Connection, plan_id: int, rows: int) -> None:
    """So many more rows of a plan are made."""
    await conn.execute(COUNT_DONE, plan_id, rows)


CLOSE = """
update plan set state = 'applied', done_at = $2, summary = summary || $3::jsonb
where id = $1 and state = 'applying'
"""


async def close(
    conn: Connection, plan_id: int, now: datetime, outcome: Mapping[str, object]
) -> None:
    """A plan is made; `outcome` joins its summary."""
    await conn.execute(CLOSE, plan_id, now, json.dumps(outcome))


WAITING = "select count(*) from plan where state = 'open' and (kind not in ('first_sync', 'division') or rows > 0)"


async def waiting(conn: Connection) -> int:
    """How many plans wait for a person."""
    found: int = await conn.fetchval(WAITING)
    return found
