"""Stretches and order steps: what is kept of shelves on which edits are inferred.

Every statement here touches only listings whose shelf the transaction has locked, but `prune`, which
takes what nothing reads any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.db.pool import Connection
from syncd.stock.stretches import Doubt, End, OrderStep, Seen, Start, Stretch


@dataclass(frozen=True, slots=True)
class Kept:
    """A stretch with what the lane needs to know of it.

    `read_at`: when its newest reading was asked for, by our clock; `ahead`: how far the platform's
    clock was ahead of ours then. `due_at`: when it may be split or settled, by our clock.
    """

    stretch: Stretch
    channel_id: int
    read_at: datetime
    ahead: timedelta = timedelta(0)
    due_at: datetime | None = None

    def over_there(self, now: datetime) -> datetime:
        """Our time by the platform's clock."""
        return now + self.ahead

    def over_here(self, then: datetime) -> datetime:
        """A time of the platform's by our clock."""
        return then - self.ahead


@dataclass(frozen=True, slots=True)
class StretchRow:
    """A row of the table."""

    listing_id: int
    start_kind: str
    t0: datetime
    v0: int
    a: datetime | None
    va: int | None
    late_until: datetime | None
    watch_at: list[datetime]
    watch_value: list[int]
    b: datetime | None
    vb: int | None
    end_kind: str
    settled: bool
    booked: int
    candidates: list[int]
    proposal: int
    in_suspense: bool
    revision: int
    channel_id: int
    read_at: datetime
    ahead: timedelta
    due_at: datetime | None
    rejected: bool

    def kept(self) -> Kept:
        stretch = Stretch(
            self.listing_id,
            Start(self.start_kind),
            self.t0,
            self.v0,
            self.a,
            self.va,
            self.late_until,
            tuple(map(Seen, self.watch_at, self.watch_value)),
            self.b,
            self.vb,
            End(self.end_kind),
            self.settled,
            self.booked,
            tuple(self.candidates),
            self.proposal,
            self.in_suspense,
            self.revision,
            self.rejected,
        )
        return Kept(stretch, self.channel_id, self.read_at, self.ahead, self.due_at)


LOAD = """
select s.listing_id, s.start_kind, s.t0, s.v0, s.a, s.va, s.late_until, s.watch_at, s.watch_value,
    s.b, s.vb, s.end_kind, s.settled, s.booked, s.candidates, s.proposal, s.in_suspense, s.revision,
    s.channel_id, s.read_at, s.ahead, s.due_at, s.rejected
from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as g(listing_id, first, last)
join stretch s on s.listing_id = g.listing_id
    and (s.end_kind = 'open' or not s.settled or s.in_suspense
        or (s.t0 <= g.last and s.b >= g.first))
order by s.listing_id, s.t0
"""

Spans = dict[int, tuple[datetime, datetime] | None]
"""Listings, each with the time in which stretches are wanted that are settled already."""


async def load(conn: Connection, spans: Spans) -> dict[int, list[Kept]]:
    """The stretches of these listings, in order, that are not settled, asked, or within their span."""
    found: dict[int, list[Kept]] = {listing: [] for listing in spans}
    ids = list(spans)
    rows = await conn.fetch(
        LOAD,
        ids,
        [span[0] if (span := spans[i]) else None for i in ids],
        [span[1] if (span := spans[i]) else None for i in ids],
    )
    for row in rows:
        found[row[0]].append(StretchRow(*row).kept())
    return found


STEPS = """
select o.listing_id, o.at, o.units, o.first_at, o.last_at, o.least, o.most
from unnest($1::bigint[], $2::timestamptz[]) as g(listing_id, since)
join order_step o on o.listing_id = g.listing_id and coalesce(o.last_at, o.at) >= g.since
order by o.listing_id, o.at
"""


async def steps(conn: Connection, since: dict[int, datetime]) -> dict[int, list[OrderStep]]:
    """The order steps of these listings, each since its time."""
    found: dict[int, list[OrderStep]] = {listing: [] for listing in since}
    for row in await conn.fetch(STEPS, list(since), list(since.values())):
        doubt = None if row[3] is None else Doubt(row[3], row[4], row[5], row[6])
        found[row[0]].append(OrderStep(row[1], row[2], doubt))
    return found


NOTE = """
insert into order_step (listing_id, at, units, first_at, last_at, least, most)
select * from unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::timestamptz[],
    $5::timestamptz[], $6::bigint[], $7::bigint[])
"""


async def note(conn: Connection, news: Sequence[tuple[int, OrderStep]]) -> None:
    """Orders moved the shelves of these listings."""
    await conn.execute(
        NOTE,
        [listing for listing, _ in news],
        [step.at for _, step in news],
        [step.units for _, step in news],
        *([step.doubt and step.doubt[n] for _, step in news] for n in range(4)),
    )


KEEP = """
insert into stretch (listing_id, start_kind, t0, v0, a, va, late_until, watch_at, watch_value, b, vb,
    end_kind, settled, booked, candidates, proposal, in_suspense, revision, channel_id, read_at, ahead,
    due_at, rejected)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23)
on conflict (listing_id, t0) do update set
    start_kind = excluded.start_kind, v0 = excluded.v0, a = excluded.a, va = excluded.va,
    late_until = excluded.late_until, watch_at = excluded.watch_at, watch_value = excluded.watch_value,
    b = excluded.b, vb = excluded.vb, end_kind = excluded.end_kind, settled = excluded.settled,
    booked = excluded.booked, candidates = excluded.candidates, proposal = excluded.proposal,
    in_suspense = excluded.in_suspense, revision = excluded.revision, read_at = excluded.read_at,
    ahead = excluded.ahead, due_at = excluded.due_at, rejected = excluded.rejected
"""


async def keep(conn: Connection, rows: Sequence[Kept]) -> None:
    """Store these as they are now; what ended first, since a listing has one open stretch."""
    ordered = sorted(rows, key=lambda one: one.stretch.end_kind is End.OPEN)
    await conn.executemany(KEEP, [_columns(one) for one in ordered])


def _columns(one: Kept) -> tuple[object, ...]:
    s = one.stretch
    return (
        s.listing,
        s.start_kind,
        s.t0,
        s.v0,
        s.a,
        s.va,
        s.late_until,
        [seen.at for seen in s.watch],
        [seen.value for seen in s.watch],
        s.b,
        s.vb,
        s.end_kind,
        s.settled,
        s.booked,
        list(s.candidates),
        s.proposal,
        s.in_suspense,
        s.revision,
        one.channel_id,
        one.read_at,
        one.ahead,
        one.due_at,
        s.rejected,
    )


DROP = """
delete from stretch s using unnest($1::bigint[], $2::timestamptz[]) as g(listing_id, t0)
where s.listing_id = g.listing_id and s.t0 = g.t0
"""


async def drop(conn: Connection, gone: Sequence[tuple[int, datetime]]) -> None:
    """These (listing, t0) went into others."""
    await conn.execute(DROP, [one[0] for one in gone], [one[1] for one in gone])


FOLLOW = """
update shelf s set followed = g.followed, held = g.held
from unnest($1::bigint[], $2::boolean[], $3::boolean[]) as g(listing_id, followed, held)
where s.listing_id = g.listing_id and (s.followed, s.held) is distinct from (g.followed, g.held)
"""


async def follow(conn: Connection, marks: Sequence[tuple[int, bool, bool]]) -> None:
    """Mark shelves (listing, followed, held)."""
    await conn.execute(FOLLOW, [m[0] for m in marks], [m[1] for m in marks], [m[2] for m in marks])


DUE_STRETCHES = """
select distinct s.listing_id
from (select listing_id from stretch where channel_id = $1 and due_at <= $2
      order by due_at limit $3) s
order by s.listing_id
"""


async def due(conn: Connection, channel_id: int, now: datetime, limit: int) -> list[int]:
    """Listings with a stretch to split or to settle now."""
    return [row[0] for row in await conn.fetch(DUE_STRETCHES, channel_id, now, limit)]


OPEN_OF_CHANNEL = """
select listing_id from stretch where channel_id = $1 and end_kind = 'open' order by listing_id
"""


async def open_of(conn: Connection, channel_id: int) -> list[int]:
    """The listings of a channel that have an open stretch."""
    return [row[0] for row in await conn.fetch(OPEN_OF_CHANNEL, channel_id)]


UNFOLLOWED = """
select l.id from listing l join shelf s on s.listing_id = l.id
where l.channel_id = $1 and s.followed and l.gone_at is null
  and not exists (select from stretch t where t.listing_id = l.id and t.end_kind = 'open')
order by l.id
"""


async def unfollowed(conn: Connection, channel_id: int) -> list[int]:
    """Listings that were followed once and have no open stretch: they need a reading to begin with."""
    return [row[0] for row in await conn.fetch(UNFOLLOWED, channel_id)]


SURPRISING = """
select listing_id from stretch
where listing_id = any($1::bigint[]) and end_kind = 'open' and proposal <> booked
order by listing_id
"""


async def surprising(conn: Connection, listing_ids: Sequence[int]) -> list[int]:
    """Those of these listings whose open stretch shows what neither orders nor bookings explain."""
    return [row[0] for row in await conn.fetch(SURPRISING, listing_ids)]


@dataclass(frozen=True, slots=True)
class Before:
    """What must be known of a listing before it is written between readings."""

    listing_id: int
    held: bool
    read_at: datetime | None
    """Our clock: when its newest reading was asked for; None: it was never read."""
    waits: bool
    """An unanswered write may still land."""


BEFORE = """
select s.listing_id, s.held, t.read_at,
    t.late_until is not null and coalesce(t.watch_at[cardinality(t.watch_at)], t.t0) <= t.late_until
        as waits
from shelf s left join stretch t on t.listing_id = s.listing_id and t.end_kind = 'open'
where s.listing_id = any($1::bigint[])
"""


async def before(conn: Connection, listing_ids: Sequence[int]) -> dict[int, Before]:
    """What is known of these locked listings before a write."""
    return {row[0]: Before(*row) for row in await conn.fetch(BEFORE, listing_ids)}


PUT_OFF_STRETCHES = """
with found as (
    select listing_id, t0 from stretch
    where channel_id = $1 and due_at is not null and (due_at > $2) = $4 and due_at <> $3
    for no key update skip locked
)
update stretch s set due_at = $3 from found f where s.listing_id = f.listing_id and s.t0 = f.t0
"""


async def put_off(
    conn: Connection, channel_id: int, due: datetime, due_at: datetime, *, later: bool = False
) -> None:
    """What is due by `due` (`later`: only after it) is due at `due_at` instead. Waits for nobody."""
    await conn.execute(PUT_OFF_STRETCHES, channel_id, due, due_at, later)


PRUNE_STRETCHES = """
delete from stretch where settled and not in_suspense and end_kind <> 'open' and b < $1
"""
PRUNE_STEPS = """
delete from order_step o where coalesce(o.last_at, o.at) < $1 and not exists (
    select from stretch s where s.listing_id = o.listing_id
      and s.t0 <= coalesce(o.last_at, o.at) + $2::interval
      and (s.b is null or s.b >= coalesce(o.first_at, o.at) - $2::interval))
"""
UNFOLLOW = """
with idle as (
    select s.listing_id from shelf s
    where s.followed and not exists (select from stretch t where t.listing_id = s.listing_id)
    for no key update of s skip locked
)
update shelf s set followed = false from idle i
where s.listing_id = i.listing_id
  and not exists (select from stretch t where t.listing_id = s.listing_id)
"""


async def prune(conn: Connection, before: datetime, margin: timedelta) -> None:
    """Forget settled stretches that ended before then, and the steps that touch none any more."""
    await conn.execute(PRUNE_STRETCHES, before)
    await conn.execute(PRUNE_STEPS, before, margin)
    await conn.execute(UNFOLLOW)
