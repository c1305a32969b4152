"""Suspense: amounts that could not be attributed with certainty, kept with their evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Doubt:
    """An amount that waits for a person: the candidates, the proposal, and what was seen."""

    listing_id: int
    reason: str
    candidates: tuple[int, ...]
    proposal: int
    evidence: dict[str, object]
    counted: bool = True
    """False: the open amount of its listing (`db/suspicion.py`) holds it already."""


KEEP = """
insert into suspense (listing_id, item_id, warehouse_id, reason, candidates, proposal, evidence, created_at,
                      counted)
select l.id, l.item_id, l.warehouse_id, $2, $3, $4, $5::jsonb, $6, $7 from listing l where l.id = $1
"""


async def keep(conn: Connection, doubts: Sequence[Doubt], now: datetime) -> None:
    """Put doubts in suspense; there are never many at once.

    Where they count, targets move: the caller holds the shelves of all listings of their items and
    owes them what they need (`fanout.owe_items`).
    """
    for doubt in doubts:
        await conn.execute(
            KEEP,
            doubt.listing_id,
            doubt.reason,
            list(doubt.candidates),
            doubt.proposal,
            json.dumps(doubt.evidence),
            now,
            doubt.counted,
        )


KEEP_ITEM = """
insert into suspense (channel_id, item_id, warehouse_id, reason, candidates, proposal, evidence, created_at)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8) returning id
"""


@dataclass(frozen=True, slots=True)
class ItemDoubt:
    """An amount of an item, of no listing, that waits for a person."""

    channel_id: int
    item_id: int
    warehouse_id: int
    reason: str
    candidates: tuple[int, ...]
    proposal: int
    evidence: dict[str, object]


async def keep_item(conn: Connection, doubt: ItemDoubt, now: datetime) -> int:
    """Put a doubt in suspense; gives its id."""
    found: int = await conn.fetchval(
        KEEP_ITEM,
        doubt.channel_id,
        doubt.item_id,
        doubt.warehouse_id,
        doubt.reason,
        list(doubt.candidates),
        doubt.proposal,
        json.dumps(doubt.evidence),
        now,
    )
    return found


RESOLVE = """
update suspense set resolved_at = $2, resolution = $3 where id = any($1::bigint[]) and resolved_at is null
"""


async def resolve(conn: Connection, ids: Sequence[int], now: datetime, resolution: str) -> None:
    """These wait for nobody any more."""
    await conn.execute(RESOLVE, ids, now, resolution)


COUNTED = """
update suspense s set resolved_at = $4, resolution = 'counted'
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as g(item_id, warehouse_id, counted_at)
where s.resolved_at is null and s.item_id = g.item_id and s.warehouse_id = g.warehouse_id
  and coalesce((s.evidence ->> 'occurred_at')::timestamptz, s.created_at) <= g.counted_at
returning s.id, s.channel_id, s.listing_id, s.item_id, s.reason
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A doubt that a count settled."""

    id: int
    channel_id: int | None
    listing_id: int | None
    item_id: int
    reason: str


async def counted(
    conn: Connection, counts: Sequence[tuple[tuple[int, int], datetime]], now: datetime
) -> list[Settled]:
    """A count settles what is in suspense of its item there: it holds that, whatever it was."""
    columns = [c[0][0] for c in counts], [c[0][1] for c in counts], [c[1] for c in counts]
    return [Settled(*row) for row in await conn.fetch(COUNTED, *columns, now)]


COUNTS = """
select coalesce(l.channel_id, s.channel_id), s.reason, count(*)
from suspense s left join listing l on l.id = s.listing_id
where s.resolved_at is null group by 1, 2
"""


async def counts(conn: Connection) -> dict[tuple[int, str], int]:
    """Open suspense by channel and reason."""
    return {(row[0], row[1]): row[2] for row in await conn.fetch(COUNTS)}
