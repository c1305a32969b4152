"""Orders of no channel as they were posted: there is no platform that could be asked for them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class PostedOrder:
    """The newest state of a posted order, as JSON."""

    order_id: str
    body: bytes


STATE = """
select version, digest, terminal from sales_order where channel_id = $1 and order_id = $2
"""


async def state(conn: Connection, channel_id: int, order: str) -> tuple[int, bytes, bool] | None:
    """(version, digest, terminal) of an order."""
    row = await conn.fetchrow(STATE, channel_id, order)
    return tuple(row) if row else None


KEEP = """
insert into posted_order (order_id, body, actor, posted_at) values ($1, $2, $3, $4)
on conflict (order_id) do update set body = excluded.body, actor = excluded.actor,
    posted_at = excluded.posted_at
"""


async def keep(conn: Connection, order: str, body: bytes, actor: str, now: datetime) -> None:
    """Store the newest state of a posted order."""
    await conn.execute(KEEP, order, body, actor, now)


POSTED = "select order_id, body from posted_order where order_id = $1"


async def posted(conn: Connection, order: str) -> PostedOrder | None:
    """An order as it was posted last."""
    row = await conn.fetchrow(POSTED, order)
    return PostedOrder(*row) if row else None
