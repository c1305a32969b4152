"""Holds: listings that keep what they show until a person says yes to the plan that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.standing import columns, counts
from syncd.stock.standing import Standing

AWAIT_FIRST_SYNCS = """
insert into plan (kind, state, title, actor, channel_id, created_at)
select 'first_sync', 'open', 'the first sync of ' || c.name, 'syncd', c.id, $1
from channel c
where c.swept_at is null and not exists (select from listing l where l.channel_id = c.id)
  and not exists (select from plan p where p.channel_id = c.id and p.kind = 'first_sync')
"""


async def await_first_syncs(conn: Connection, now: datetime) -> None:
    """Channels that nobody has seen a listing of yet: their first deliveries wait for a person."""
    await conn.execute(AWAIT_FIRST_SYNCS, now)


FIRST_SYNCS = """
select id from plan where kind = 'first_sync' and state = 'open' order by id
"""


async def first_syncs(conn: Connection) -> list[int]:
    """The first syncs that wait."""
    return [row[0] for row in await conn.fetch(FIRST_SYNCS)]


HOLD = """
update shelf s set held_by = $1, keeps = s.shown
where s.listing_id = any($2::bigint[]) and s.held_by is null
"""


async def hold(conn: Connection, plan_id: int, listing_ids: Sequence[int]) -> None:
    """These locked listings keep what they show, for this plan; what is held already stays so."""
    await conn.execute(HOLD, plan_id, listing_ids)


RELEASE = """
update shelf s set held_by = null, keeps = null
where s.listing_id = any($2::bigint[]) and s.held_by = $1
"""


async def release(conn: Connection, plan_id: int, listing_ids: Sequence[int]) -> None:
    """These locked listings are held no more."""
    await conn.execute(RELEASE, plan_id, listing_ids)


KEEP = """
update shelf s set keeps = g.keeps
from unnest($1::bigint[], $2::bigint[]) as g(listing_id, keeps)
where s.listing_id = g.listing_id
"""


async def keep(conn: Connection, kept: Sequence[tuple[int, int]]) -> None:
    """What held, locked listings show meanwhile is this now: (listing, units)."""
    await conn.execute(KEEP, [k[0] for k in kept], [k[1] for k in kept])


@dataclass(frozen=True, slots=True)
class Held(Standing):
    """A listing beside its level. `quantity` None: its item is not counted there."""

    listing_id: int
    channel_id: int
    warehouse_id: int | None
    sku: str
    shown: int | None
    keeps: int | None
    withheld: str
    orphaned: bool
    location: str


HELD_PAGE = f"""
select {columns("l", "v")}, s.listing_id, l.channel_id, l.warehouse_id,
    coalesce(l.known_as, l.sku) as sku, s.shown, s.keeps, l.withheld, l.orphaned, l.location
from shelf s join listing l on l.id = s.listing_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where s.held_by = $1 and s.listing_id > $2
order by s.listing_id limit $3
"""


async def held_page(conn: Connection, plan_id: int, after: int, limit: int) -> list[Held]:
    """A page of the listings that a plan holds."""
    return [Held(*row) for row in await conn.fetch(HELD_PAGE, plan_id, after, limit)]


UNOWED_PAGE = f"""
select {columns("l", "v")}, s.listing_id, l.channel_id, l.warehouse_id,
    coalesce(l.known_as, l.sku) as sku, s.shown, s.keeps, l.withheld, l.orphaned, l.location
from listing l join shelf s on s.listing_id = l.id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where {counts("l", "v")} and l.channel_id = $1 and l.id > $2 and l.gone_at is null and l.skip = '' and l.managed
  and s.shown is not null and s.held_by is null
  and not exists (select from outbox o where o.listing_id = l.id)
order by l.id limit $3
"""


async def unowed_page(conn: Connection, channel_id: int, after: int, limit: int) -> list[Held]:
    """A page of a channel's served listings that are held by nothing and owed nothing."""
    return [Held(*row) for row in await conn.fetch(UNOWED_PAGE, channel_id, after, limit)]


SERVED_PAGE = f"""
select {columns("l", "v")}, s.listing_id, l.channel_id, l.warehouse_id,
    coalesce(l.known_as, l.sku) as sku, s.shown, s.keeps, l.withheld, l.orphaned, l.location
from listing l join shelf s on s.listing_id = l.id
join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
where l.id > $1 and l.gone_at is null and l.skip = '' and l.managed
order by l.id limit $2
"""


async def served_page(conn: Connection, after: int, limit: int) -> list[Held]:
    """A page of the served listings of all channels, held or not."""
    return [Held(*row) for row in await conn.fetch(SERVED_PAGE, after, limit)]


HOLDING = """
select p.id, p.kind, p.state from plan p
where p.channel_id = $1 and p.state in ('open', 'applied')
  and (p.kind = 'first_sync' and p.state = 'open'
    or exists (select from shelf s where s.held_by = p.id))
order by p.id
"""


async def holding(conn: Connection, channel_id: int) -> list[tuple[int, str, str]]:
    """Plans (number, kind, state) that hold listings of a channel, and its first sync that waits.

    An applied one holds what was being entered while somebody said yes.
    """
    return [tuple(row) for row in await conn.fetch(HOLDING, channel_id)]


AWAITING = """
select min(id) from plan
where channel_id = $1 and kind = any($2::text[]) and state = 'open'
"""


async def awaiting(conn: Connection, channel_id: int, kinds: Sequence[str]) -> int | None:
    """The oldest plan of these kinds that waits on a channel."""
    found: int | None = await conn.fetchval(AWAITING, channel_id, kinds)
    return found


HOLDS = "select exists (select from shelf where held_by = $1)"


async def holds(conn: Connection, plan_id: int) -> bool:
    """Whether a plan holds any listing."""
    found: bool = await conn.fetchval(HOLDS, plan_id)
    return found


WEIGHED = "update plan set rows = $2, summary = $3::jsonb where id = $1 and state = 'open'"


async def weighed(conn: Connection, plan_id: int, rows: int, summary: Mapping[str, object]) -> None:
    """So many listings a plan would change now, and how."""
    await conn.execute(WEIGHED, plan_id, rows, json.dumps(summary))
