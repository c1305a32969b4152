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


COUNTS = """
select l.channel_id, s.reason, count(*) from suspense s join listing l on l.id = s.listing_id
where s.resolved_at is null group by l.channel_id, s.reason
"""


async def counts(conn: Connection) -> dict[tuple[int, str], int]:
    """Open suspense by channel and reason."""
    return {(row[0], row[1]): row[2] for row in await conn.fetch(COUNTS)}
