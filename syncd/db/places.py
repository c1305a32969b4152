"""Places: which warehouse each location of a channel feeds, and what is listed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.db.pool import Connection

ENTER_PLACES = """
insert into place (channel_id, location, warehouse_id)
select $1, g.location, g.warehouse_id
from unnest($2::text[], $3::int[]) as g(location, warehouse_id)
where not exists (select from place p where p.channel_id = $1 and p.location = g.location
                  and p.warehouse_id = g.warehouse_id)
order by g.location
on conflict (channel_id, location) do update set warehouse_id = excluded.warehouse_id
"""


async def enter_places(conn: Connection, channel_id: int, places: Mapping[str, int]) -> None:
    """Write down the warehouses that these locations feed; a listing of one follows it."""
    await conn.execute(ENTER_PLACES, channel_id, list(places), list(places.values()))


@dataclass(frozen=True, slots=True)
class Place:
    """A location as far as its listings tell of it."""

    location: str
    listings: int
    unmapped: int
    linked: int


PLACES = """
select l.location, count(*) as listings, count(*) filter (where l.skip = 'unmapped') as unmapped,
    count(l.item_id) as linked
from listing l join channel c on c.id = l.channel_id
where c.name = $1 and l.gone_at is null group by l.location order by l.location
"""


async def places(conn: Connection, channel: str) -> list[Place]:
    """What is listed at each location of a channel."""
    return [Place(*row) for row in await conn.fetch(PLACES, channel)]
