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
  and s.stretch_t0 is null
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


@dataclass(frozen=True, slots=True)
class Question:
    """What a stretch asks: it is asked until it is answered or becomes clear."""

    listing_id: int
    t0: datetime
    reason: str
    candidates: tuple[int, ...]
    proposal: int
    evidence: dict[str, object]


ASK_STRETCH = """
insert into suspense (listing_id, stretch_t0, item_id, warehouse_id, reason, candidates, proposal,
    evidence, created_at, counted)
select l.id, $2, l.item_id, l.warehouse_id, $3, $4, $5, $6::jsonb, $7, false from listing l where l.id = $1
on conflict (listing_id, stretch_t0) where resolved_at is null and stretch_t0 is not null
do update set reason = excluded.reason, candidates = excluded.candidates,
    proposal = excluded.proposal, evidence = excluded.evidence
"""


async def ask(conn: Connection, question: Question, now: datetime) -> None:
    """Ask a person about a stretch, or ask anew what is asked already."""
    await conn.execute(
        ASK_STRETCH,
        question.listing_id,
        question.t0,
        question.reason,
        list(question.candidates),
        question.proposal,
        json.dumps(question.evidence),
        now,
    )


LEAVE_STRETCH = """
update suspense set resolved_at = $3, resolution = $4
where listing_id = $1 and stretch_t0 = $2 and resolved_at is null
"""


async def leave(
    conn: Connection, listing_id: int, t0: datetime, resolution: str, now: datetime
) -> None:
    """A stretch asks no more."""
    await conn.execute(LEAVE_STRETCH, listing_id, t0, now, resolution)


COUNTS = """
select coalesce(l.channel_id, s.channel_id), s.reason, count(*)
from suspense s left join listing l on l.id = s.listing_id
where s.resolved_at is null group by 1, 2
"""


async def counts(conn: Connection) -> dict[tuple[int, str], int]:
    """Open suspense by channel and reason."""
    return {(row[0], row[1]): row[2] for row in await conn.fetch(COUNTS)}


@dataclass(frozen=True, slots=True)
class OpenDoubt:
    """An amount that waits for a person, as it is shown to one."""

    id: int
    channel: str
    sku: str
    listing_id: int | None
    """None: of no listing, but of an item."""
    item_id: int | None
    warehouse_id: int | None
    warehouse: str | None
    reason: str
    candidates: list[int]
    proposal: int
    evidence: str
    created_at: datetime
    stretch_t0: datetime | None
    answer: int | None
    answer_to: list[int] | None
    answered_by: str


OPEN_DOUBTS = """
select s.id, c.name as channel, coalesce(l.sku, i.sku) as sku, s.listing_id, s.item_id, s.warehouse_id, w.name as warehouse,
    s.reason, s.candidates, s.proposal, s.evidence::text as evidence, s.created_at, s.stretch_t0,
    s.answer, s.answer_to, s.answered_by
from suspense s
left join listing l on l.id = s.listing_id
left join item i on i.id = s.item_id
join channel c on c.id = coalesce(l.channel_id, s.channel_id)
left join warehouse w on w.id = s.warehouse_id
where s.resolved_at is null and ($1::bigint[] is null or s.id = any($1))
  and ($2::text is null or c.name = $2) and s.id > $3
order by s.id limit $4
"""

ALL = 100_000


async def open_doubts(
    conn: Connection,
    ids: Sequence[int] | None = None,
    channel: str | None = None,
    after: int = 0,
    limit: int = ALL,
) -> list[OpenDoubt]:
    """What waits for a person: these (None: all), of one channel (None: of all), oldest first."""
    rows = await conn.fetch(OPEN_DOUBTS, ids, channel, after, limit)
    return [OpenDoubt(*row) for row in rows]


ASKING = """
select s.listing_id, s.stretch_t0
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as g(item_id, warehouse_id, counted_at)
join suspense s on s.item_id = g.item_id and s.warehouse_id = g.warehouse_id
where s.resolved_at is null and s.stretch_t0 is not null and s.created_at <= g.counted_at
order by s.listing_id, s.stretch_t0
"""


async def asking(
    conn: Connection, counts: Sequence[tuple[tuple[int, int], datetime]]
) -> list[tuple[int, datetime]]:
    """Stretches (listing, start) of these items that asked when they were counted."""
    columns = [c[0][0] for c in counts], [c[0][1] for c in counts], [c[1] for c in counts]
    return [tuple(row) for row in await conn.fetch(ASKING, *columns)]


ANSWER = """
update suspense set answer = $2, answer_to = $3, answered_by = $4
where id = $1 and resolved_at is null and candidates = $3
returning id
"""


async def answer(
    conn: Connection, doubt_id: int, amount: int, candidates: Sequence[int], who: str
) -> bool:
    """A person, who saw these candidates, gives an amount; False where others are asked now."""
    return await conn.fetchval(ANSWER, doubt_id, amount, candidates, who) is not None


ANSWERED = """
select id from suspense where resolved_at is null and answer is not null order by id
"""


async def answered(conn: Connection) -> list[int]:
    """What people have answered and nobody has booked."""
    return [row[0] for row in await conn.fetch(ANSWERED)]


FORGET_ANSWER = "update suspense set answer = null, answer_to = null where id = $1"


async def forget_answer(conn: Connection, doubt_id: int) -> None:
    """An answer to what is not asked any more."""
    await conn.execute(FORGET_ANSWER, doubt_id)
