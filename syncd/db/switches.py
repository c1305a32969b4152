"""What people switched while running: channels, items on channels, the channels an item is offered on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection

SWITCH_CHANNEL = """
update channel set switched = $2, switched_by = $3, switched_at = $4 where name = $1
returning id
"""


async def switch_channel(
    conn: Connection, channel: str, switched: bool | None, actor: str, now: datetime
) -> int | None:
    """Switch a channel on or off, or back to what is configured (None); gives its id, if known."""
    found: int | None = await conn.fetchval(SWITCH_CHANNEL, channel, switched, actor, now)
    return found


SWITCHED = "select name, switched from channel where switched is not null order by name"


async def switched(conn: Connection) -> dict[str, bool]:
    """Channels that people switched, by name: on or off, whatever is configured."""
    return {row[0]: row[1] for row in await conn.fetch(SWITCHED)}


EXCLUDE = """
insert into exclusion (item_id, channel_id, excluded, actor, at)
select g.item_id, g.channel_id, $3, $4, $5
from unnest($1::bigint[], $2::int[]) as g(item_id, channel_id)
on conflict (item_id, channel_id) do update set
    excluded = excluded.excluded, actor = excluded.actor, at = excluded.at
"""


async def exclude(
    conn: Connection,
    pairs: Sequence[tuple[int, int | None]],
    excluded: bool,
    actor: str,
    now: datetime,
) -> None:
    """Take (item, channel) out, or in; channel None: every channel."""
    columns = [x[0] for x in pairs], [x[1] for x in pairs]
    await conn.execute(EXCLUDE, *columns, excluded, actor, now)


FORGET_EXCLUSIONS = """
delete from exclusion where item_id = any($1::bigint[]) and ($2::int is null or channel_id = $2)
"""


async def forget_exclusions(conn: Connection, items: Sequence[int], channel_id: int | None) -> None:
    """What people said of these items on a channel (None: on any, and on all) holds no more."""
    await conn.execute(FORGET_EXCLUSIONS, items, channel_id)


EXCLUDED_EVERYWHERE = """
select item_id from exclusion
where item_id = any($1::bigint[]) and channel_id is null and excluded
"""


async def excluded_everywhere(conn: Connection, items: Sequence[int]) -> set[int]:
    """Those of these items that people took out of every channel."""
    return {row[0] for row in await conn.fetch(EXCLUDED_EVERYWHERE, items)}


OFFER = "update item set channels = $2 where id = any($1::bigint[])"


async def offer(conn: Connection, items: Sequence[int], channels: Sequence[int] | None) -> None:
    """Items are offered on these channels alone; None: on every one."""
    await conn.execute(OFFER, items, channels)


@dataclass(frozen=True, slots=True)
class AtSource:
    """Whether an item is listed at the source of a warehouse, where that is news."""

    item_id: int
    sku: str
    warehouse_id: int
    present: bool


AT_SOURCE = """
with source as (
    select * from unnest($2::int[], $3::int[], $4::text[]) as s(warehouse_id, channel_id, location)
), touched as (
    select distinct l.item_id, s.warehouse_id, s.channel_id, s.location
    from listing l join source s on s.warehouse_id = l.warehouse_id and s.channel_id = l.channel_id
        and (s.location is null or s.location = l.location)
    where l.id = any($1::bigint[]) and l.item_id is not null
), now as (
    select t.item_id, t.warehouse_id, exists (
        select from listing x
        where x.item_id = t.item_id and x.warehouse_id = t.warehouse_id and x.channel_id = t.channel_id
          and (t.location is null or t.location = x.location) and x.gone_at is null) as present
    from touched t
), gone as (
    insert into item_gone (item_id, warehouse_id, at)
    select n.item_id, n.warehouse_id, $5 from now n
    join level v on v.item_id = n.item_id and v.warehouse_id = n.warehouse_id
    where not n.present
    on conflict do nothing
    returning item_id, warehouse_id, false as present
), back as (
    delete from item_gone g using now n
    where n.present and g.item_id = n.item_id and g.warehouse_id = n.warehouse_id
    returning g.item_id, g.warehouse_id, true as present
)
select c.item_id, i.sku, c.warehouse_id, c.present
from (select * from gone union all select * from back) c join item i on i.id = c.item_id
order by i.sku
"""


async def at_source(
    conn: Connection,
    listing_ids: Sequence[int],
    sources: Sequence[tuple[int, int, str | None]],
    now: datetime,
) -> list[AtSource]:
    """Note whose item the source does not list any more, or lists again; gives what is news.

    `sources`: (warehouse, channel, location or None for its only one). These listings came or went.
    """
    rows = await conn.fetch(
        AT_SOURCE,
        listing_ids,
        [s[0] for s in sources],
        [s[1] for s in sources],
        [s[2] for s in sources],
        now,
    )
    return [AtSource(*row) for row in rows]
