"""Places: which warehouse each location of a channel feeds, and what is listed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncd.db.pool import Connection
from syncd.stock.spread import Placed

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


CROWDS = """
select exists (
    select from unnest($2::text[], $3::int[]) as g(location, warehouse_id)
    where not exists (select from place p where p.channel_id = $1 and p.location = g.location
                      and p.warehouse_id = g.warehouse_id)
      and (exists (select from place p where p.channel_id = $1 and p.location <> g.location
                   and p.warehouse_id = g.warehouse_id)
        or exists (select from unnest($2::text[], $3::int[]) as o(location, warehouse_id)
                   where o.location <> g.location and o.warehouse_id = g.warehouse_id)))
"""


async def crowds(conn: Connection, channel_id: int, places: Mapping[str, int]) -> bool:
    """Whether one of these locations is new and joins others of its channel in their warehouse."""
    found: bool = await conn.fetchval(CROWDS, channel_id, list(places), list(places.values()))
    return found


FED = """
select location, warehouse_id, divided, position from place where channel_id = $1
order by warehouse_id, position, location
"""


async def fed(conn: Connection, channel_id: int) -> list[Placed]:
    """The locations of a channel that feed a warehouse."""
    return [Placed(*row) for row in await conn.fetch(FED, channel_id)]


ARRANGE = """
update place p set divided = g.divided, position = g.position
from unnest($2::text[], $3::boolean[], $4::int[]) as g(location, divided, position)
where p.channel_id = $1 and p.location = g.location
"""


async def arrange(conn: Connection, channel_id: int, places: Sequence[Placed]) -> None:
    """These locations divide their targets from now on, in this order, or do not."""
    await conn.execute(
        ARRANGE,
        channel_id,
        [x.location for x in places],
        [x.divided for x in places],
        [x.position for x in places],
    )


UNHELD = """
select l.id from listing l join shelf s on s.listing_id = l.id
where l.channel_id = $1 and l.location = any($2::text[]) and s.held_by is null
  and l.item_id is not null and l.gone_at is null
order by l.id
"""


async def unheld(conn: Connection, channel_id: int, locations: Sequence[str]) -> list[int]:
    """Linked listings at these locations that no plan holds."""
    return [row[0] for row in await conn.fetch(UNHELD, channel_id, locations)]
