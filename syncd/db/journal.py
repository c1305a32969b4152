"""The journal: what was done, skipped and failed, per sku, for the people who run the shop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from syncd.db.pool import Connection
from syncd.stock.facts import clean


@dataclass(frozen=True, slots=True)
class Line:
    """One journal line; `outcome` is one of a closed set (docs/operations.md)."""

    outcome: str
    sku: str = ""
    channel_id: int | None = None
    listing_id: int | None = None
    before: int | None = None
    after: int | None = None
    reason: str = ""
    detail: dict[str, object] = field(default_factory=dict)


WRITE = """
insert into journal (at, channel_id, listing_id, sku, outcome, before, after, reason, detail)
select $1, g.* from unnest($2::int[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                           $7::bigint[], $8::text[], $9::jsonb[]) as g
"""


async def write(conn: Connection, lines: Sequence[Line], now: datetime) -> None:
    """Write journal lines with this transaction."""
    if not lines:
        return
    await conn.execute(
        WRITE,
        now,
        [x.channel_id for x in lines],
        [x.listing_id for x in lines],
        [clean(x.sku) for x in lines],
        [x.outcome for x in lines],
        [x.before for x in lines],
        [x.after for x in lines],
        [clean(x.reason)[:500] for x in lines],
        [_text(x.detail) for x in lines],
    )


def _text(detail: dict[str, object]) -> str | None:
    said = {name: clean(x) if isinstance(x, str) else x for name, x in detail.items()}
    return json.dumps(said) if said else None


READ = """
select j.at, c.name as channel, j.sku, j.outcome, j.before, j.after, j.reason
from journal j left join channel c on c.id = j.channel_id
where ($1::text is null or j.sku = $1) and ($2::text is null or c.name = $2)
  and ($3::text is null or j.outcome = $3) and j.at >= $4
order by j.at desc limit $5
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal line as read back."""

    at: datetime
    channel: str | None
    sku: str
    outcome: str
    before: int | None
    after: int | None
    reason: str


async def read(
    conn: Connection,
    *,
    sku: str | None,
    channel: str | None,
    outcome: str | None,
    since: datetime,
    limit: int,
) -> list[Entry]:
    """The newest journal lines that match, newest first."""
    rows = await conn.fetch(READ, sku, channel, outcome, since, limit)
    return [Entry(*row) for row in rows]
