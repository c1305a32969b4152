"""Cut-overs: the rules in force, and the one step in which a channel's lines and listings change hands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.shelf import Look


@dataclass(frozen=True, slots=True)
class RuleRow:
    """The rule in force of a channel; `locations`: warehouse ids by location."""

    channel_id: int
    truth: str
    edits: str
    enabled: bool
    locations: Mapping[str, int]
    cut_at: datetime | None


RULES = "select channel_id, truth, edits, enabled, locations, cut_at from rule_in_force"


async def rules(conn: Connection) -> dict[int, RuleRow]:
    """The rules in force, by channel."""
    return {
        row[0]: RuleRow(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5])
        for row in await conn.fetch(RULES)
    }


KEEP_RULE = """
insert into rule_in_force (channel_id, truth, edits, enabled, locations, cut_at, changed_at)
values ($1, $2, $3, $4, $5::jsonb, $6, $7)
on conflict (channel_id) do update set truth = excluded.truth, edits = excluded.edits,
    enabled = excluded.enabled, locations = excluded.locations, cut_at = excluded.cut_at,
    changed_at = excluded.changed_at
"""


async def keep_rule(conn: Connection, rule: RuleRow, now: datetime) -> None:
    """From this transaction on, a channel is booked by this rule."""
    await conn.execute(
        KEEP_RULE,
        rule.channel_id,
        rule.truth,
        rule.edits,
        rule.enabled,
        json.dumps(dict(rule.locations)),
        rule.cut_at,
        now,
    )


SWITCH_OFF = (
    "update rule_in_force set enabled = false where channel_id = any($1::int[]) and enabled"
)


async def switch_off(conn: Connection, channel_ids: Sequence[int]) -> None:
    """These channels are configured no more: when they are again, it is like being switched on."""
    await conn.execute(SWITCH_OFF, channel_ids)


PLACES = """
select distinct channel_id, location, warehouse_id from listing
where item_id is not null and gone_at is null
"""


async def places(conn: Connection) -> dict[int, dict[str, int | None]]:
    """By channel: the warehouse that each location's counted listings feed."""
    found: dict[int, dict[str, int | None]] = {}
    for channel_id, location, warehouse_id in await conn.fetch(PLACES):
        found.setdefault(channel_id, {})[location] = warehouse_id
    return found


OPEN_ATTEMPTS = "select count(*) from attempt where channel_id = $1"


async def open_attempts(conn: Connection, channel_id: int) -> int:
    """Writes of a channel whose outcome nobody knows yet."""
    found: int = await conn.fetchval(OPEN_ATTEMPTS, channel_id)
    return found


COUNTED = """
select l.id from listing l
where l.channel_id = $1 and l.location = any($2::text[]) and l.item_id is not null
  and l.gone_at is null and l.managed
order by l.id
"""


async def counted(conn: Connection, channel_id: int, locations: Sequence[str]) -> list[int]:
    """Listings at these locations whose shelves can be read."""
    return [row[0] for row in await conn.fetch(COUNTED, channel_id, locations)]


TAKEN = """
select listing_id, sum(taken)::bigint from order_line
where channel_id = $1 and listing_id = any($2::bigint[]) group by listing_id
"""


async def taken(conn: Connection, channel_id: int, listing_ids: Sequence[int]) -> dict[int, int]:
    """Units that the known orders of a channel hold off these shelves."""
    return {row[0]: row[1] for row in await conn.fetch(TAKEN, channel_id, listing_ids)}


ASKED = """
select l.id as listing_id, 0::bigint as wish, l.remote, l.location,
    coalesce(l.known_as, l.sku) as sku, l.batch_group, null::timestamptz as received_at,
    (select nextval('turn')) as turn, s.shown, 'cut_over'::text as reason,
    false as pushed, true as careful
from listing l join shelf s on s.listing_id = l.id
where l.id = any($1::bigint[]) and s.attempt_id is null
order by l.id
"""


async def asked(conn: Connection, listing_ids: Sequence[int]) -> list[Look]:
    """These listings, to be read now; those with an open write are left out."""
    return [Look(*row) for row in await conn.fetch(ASKED, listing_ids)]


PROMISED = """
select l.order_id, l.line_id, l.location, l.item_id, l.warehouse_id, l.revision, o.number,
    coalesce(o.placed_at, $3) as placed_at, least(l.held, greatest(l.taken - l.booked, 0)) as units
from order_line l
join sales_order o on o.channel_id = l.channel_id and o.order_id = l.order_id
left join listing s on s.id = l.listing_id
where l.channel_id = $1 and l.held <> 0 and l.part = 0 and l.item_id is not null
  and l.warehouse_id is not null
  and ($2::text[] is null or coalesce(s.location, l.location) = any($2))
order by l.order_id, l.line_id, l.location
"""


@dataclass(frozen=True, slots=True)
class Promised:
    """A line that promises something; `units` of it are off its shelf and not in the ledger."""

    order_id: str
    line_id: str
    location: str
    item_id: int
    warehouse_id: int
    revision: int
    number: str
    placed_at: datetime
    units: int


async def promised(
    conn: Connection, channel_id: int, locations: Sequence[str] | None, now: datetime
) -> list[Promised]:
    """Lines at these locations (None: at all) that promise something."""
    rows = await conn.fetch(PROMISED, channel_id, locations, now)
    return [Promised(*row) for row in rows]


TOOK = """
update order_line l set booked = l.booked + g.units, held = l.held - g.units, revision = g.revision
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[])
    as g(order_id, line_id, location, units, revision)
where l.channel_id = $1 and l.order_id = g.order_id and l.line_id = g.line_id
  and l.location = g.location and l.part = 0
"""


async def took(conn: Connection, channel_id: int, lines: Sequence[Promised]) -> None:
    """What these lines had taken is booked now, by a step more of each."""
    await conn.execute(
        TOOK,
        channel_id,
        [x.order_id for x in lines],
        [x.line_id for x in lines],
        [x.location for x in lines],
        [x.units for x in lines],
        [x.revision + 1 for x in lines],
    )


BASELINE = """
update order_line l
set booked = l.taken, held = 0, held_until = null, based = null, came_back = null
where l.channel_id = $1 and l.part = 0 and (l.booked <> l.taken or l.held <> 0
    or l.based is not null or l.came_back is not null)
"""
# the parts of bundles are booked from orders whatever the truth is


async def baseline(conn: Connection, channel_id: int) -> int:
    """Every line of a channel counts from what it holds now, without a movement; gives how many."""
    tag = await conn.execute(BASELINE, channel_id)
    return int(tag.rsplit(" ", 1)[1])


MOVE_LINES = """
update order_line l
set booked = l.taken, warehouse_id = m.warehouse_id, based = null, came_back = null
from (
    select x.order_id, x.line_id, x.location, g.warehouse_id
    from order_line x left join listing s on s.id = x.listing_id
    join unnest($2::text[], $3::int[]) as g(location, warehouse_id)
        on g.location = coalesce(s.location, x.location)
    where x.channel_id = $1 and x.part = 0
) m
where l.channel_id = $1 and l.order_id = m.order_id and l.line_id = m.line_id
  and l.location = m.location
"""


async def move_lines(
    conn: Connection, channel_id: int, moves: Sequence[tuple[str, int | None]]
) -> int:
    """Lines at these locations go on in other warehouses, from what they hold; gives how many."""
    columns = [m[0] for m in moves], [m[1] for m in moves]
    tag = await conn.execute(MOVE_LINES, channel_id, *columns)
    return int(tag.rsplit(" ", 1)[1])


MOVE_PLACES = """
with given as (
    select * from unnest($2::text[], $3::int[]) as g(location, warehouse_id)
), fed as (
    update place p set warehouse_id = g.warehouse_id from given g
    where p.channel_id = $1 and p.location = g.location and g.warehouse_id is not null
), dropped as (
    delete from outbox o using listing l join given g on g.location = l.location
    where o.listing_id = l.id and l.channel_id = $1
)
update listing l set warehouse_id = null, skip = 'unmapped' from given g
where l.channel_id = $1 and l.location = g.location and g.warehouse_id is null
"""
# a listing follows its place: the foreign key carries the other warehouse to it

FORGET_PLACES = "delete from place where channel_id = $1 and location = any($2::text[])"


async def move_places(
    conn: Connection, channel_id: int, moves: Sequence[tuple[str, int | None]]
) -> None:
    """These locations feed other warehouses, or none; what the old ones owed there is dropped.

    The shelves of their listings are locked by the caller.
    """
    columns = [m[0] for m in moves], [m[1] for m in moves]
    await conn.execute(MOVE_PLACES, channel_id, *columns)
    await conn.execute(FORGET_PLACES, channel_id, [m[0] for m in moves if m[1] is None])


LISTINGS_OF = "select id from listing where channel_id = $1 order by id"


async def listings_of(conn: Connection, channel_id: int) -> list[int]:
    """Every listing of a channel."""
    return [row[0] for row in await conn.fetch(LISTINGS_OF, channel_id)]


LISTINGS_AT = (
    "select id from listing where channel_id = $1 and location = any($2::text[]) order by id"
)


async def listings_at(conn: Connection, channel_id: int, locations: Sequence[str]) -> list[int]:
    """Every listing at these locations, counted or not."""
    return [row[0] for row in await conn.fetch(LISTINGS_AT, channel_id, locations)]
