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
    at: datetime | None = None
    """When it was, where that is before it could be written; None: now."""


WRITE = """
insert into journal (at, channel_id, listing_id, sku, outcome, before, after, reason, detail)
select coalesce(g.at, $1), g.channel_id, g.listing_id, g.sku, g.outcome, g.before, g.after, g.reason,
    g.detail
from unnest($2::int[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
            $9::jsonb[], $10::timestamptz[])
    as g(channel_id, listing_id, sku, outcome, before, after, reason, detail, at)
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
        [x.at for x in lines],
    )


def _text(detail: dict[str, object]) -> str | None:
    said = {name: clean(x) if isinstance(x, str) else x for name, x in detail.items()}
    return json.dumps(said) if said else None


OWN_PLANS = "set local plan_cache_mode = force_custom_plan"
LONG = "set local statement_timeout = '110s'"
LONG_S = 120.0
"""A search for words nothing is indexed by reads the journal from its newest end."""

SEARCH = """
select j.at, j.ctid::text as place, c.name as channel, l.location, l.remote, j.sku, j.outcome, j.before,
    j.after, j.reason, j.detail
from journal j
left join channel c on c.id = j.channel_id
left join listing l on l.id = j.listing_id
where ($1::text is null or j.sku = $1)
  and ($2::text is null or j.channel_id = (select id from channel where name = $2))
  and ($3::text is null or j.outcome = $3)
  and ($4::text is null or position(lower($4) in lower(j.reason)) > 0
       or position(lower($4) in lower(j.detail::text)) > 0)
  and ($5::bigint is null or j.before = $5) and ($6::bigint is null or j.after = $6)
  and ($7::timestamptz is null or j.at >= $7) and ($8::timestamptz is null or j.at < $8)
  and ($9::timestamptz is null or j.at <= $9)
  and ($9::timestamptz is null or (j.at, j.ctid) < ($9, $10::text::tid))
  and ($12::text is null or j.reason = $12 or j.detail ->> 'cause' = $12)
order by j.at desc, j.ctid desc limit $11
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal line as read back. `place` tells lines of one moment apart: lines never move."""

    at: datetime
    place: str
    channel: str | None
    location: str | None
    remote: str | None
    sku: str
    outcome: str
    before: int | None
    after: int | None
    reason: str
    detail: str | None
    """JSON: the attempt, the order, and what else there was to say."""

    @property
    def mark(self) -> tuple[datetime, str]:
        """Where the next page begins: see `search`."""
        return self.at, self.place


@dataclass(frozen=True, slots=True)
class Search:
    """Which lines are wanted; what is None does not matter.

    `words` stand anywhere in the reason, the platform's own words, or the details. `cause`: of a drift,
    or of what was done about one.
    """

    sku: str | None = None
    channel: str | None = None
    outcome: str | None = None
    words: str | None = None
    before: int | None = None
    after: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    cause: str | None = None


async def search(
    conn: Connection, wanted: Search, limit: int, mark: tuple[datetime, str] | None = None
) -> list[Entry]:
    """The newest lines that match, newest first; `mark` of the last one: those that follow it.

    The plan is made for what is asked: one for every question would read the journal end to end.
    """
    await conn.execute(OWN_PLANS)
    await conn.execute(LONG)
    rows = await conn.fetch(
        SEARCH,
        wanted.sku,
        wanted.channel,
        wanted.outcome,
        wanted.words,
        wanted.before,
        wanted.after,
        wanted.since,
        wanted.until,
        mark[0] if mark else None,
        mark[1] if mark else None,
        limit,
        wanted.cause,
        timeout=LONG_S,
    )
    return [Entry(*row) for row in rows]
