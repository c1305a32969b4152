"""What a platform has beside what is configured: its locations, its webhook registrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from syncd.app.desk import channel_at
from syncd.config import Settings
from syncd.corridor import Channel, Core
from syncd.db import places
from syncd.db.journal import Line
from syncd.db.places import Place
from syncd.errors import ChannelError, Declined
from syncd.stock.spread import Placed


@dataclass(frozen=True, slots=True)
class LocationSeen:
    """One location with its warehouse; `state`: mapped, fallback (by "*"), unmapped, or not there."""

    location: str
    name: str
    active: bool
    warehouse: str | None
    state: str
    source: bool
    listings: int
    skipped: int
    shows: str = "all"
    """What it shows of its warehouse's target: all of it, or a part where several divide it."""


@asynccontextmanager
async def spoken(core: Core, settings: Settings, name: str) -> AsyncIterator[Channel]:
    """A channel spoken to from here, its credentials proved. Raises Declined and ChannelError."""
    channel = channel_at(core, settings, name)
    try:
        await channel.connector.open()
        yield channel
    finally:
        await channel.connector.close()
        channel.http.budget.close()
        await channel.http.close()


async def locations(core: Core, settings: Settings, name: str) -> list[LocationSeen]:
    """What the platform has, mapped or not, and what is mapped that it does not have."""
    async with spoken(core, settings, name) as channel:
        there = {x.id: x for x in await channel.connector.locations()}
        by_location = channel.connector.capabilities.locations
    async with core.db.transaction("places") as conn:
        listed = {x.location: x for x in await places.places(conn, name)}
        parts = _parts(await places.fed(conn, channel.id))
    mapped = settings.channels[name].locations
    found = [
        _seen(settings, name, x.id, x.name, x.active, listed.get(x.id)) for x in there.values()
    ]
    if not by_location:
        # the platform counts in one place, which has no name
        return [_seen(settings, name, "", "", True, listed.get(""))]
    for location in sorted(set(mapped) - {"*"} - set(there)):
        row = _seen(settings, name, location, "", False, listed.get(location))
        found.append(
            LocationSeen(location, "", False, row.warehouse, "not there", row.source, 0, 0)
        )
    return [replace(x, shows=parts.get(x.location, "all" if x.warehouse else "-")) for x in found]


def _parts(fed: Sequence[Placed]) -> dict[str, str]:
    """Who divides with others, and who comes first among them."""
    found: dict[str, str] = {}
    seen: Counter[int] = Counter()
    for place in sorted(fed, key=lambda x: x.position):
        if place.divided:
            seen[place.warehouse_id] += 1
            found[place.location] = f"a part, {_ordinal(seen[place.warehouse_id])}"
    return found


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _seen(
    settings: Settings, name: str, location: str, title: str, active: bool, listed: Place | None
) -> LocationSeen:
    channel = settings.channels[name]
    warehouse = channel.warehouse_of(location)
    named = location in channel.locations
    state = "unmapped" if warehouse is None else "mapped" if named else "fallback"
    source = settings.warehouses.get(warehouse or "")
    is_source = (
        source is not None
        and source.source_channel == name
        and source.source_location in (None, location)
    )
    skipped = listed.listings if listed and warehouse is None else listed.unmapped if listed else 0
    listings = listed.listings if listed else 0
    return LocationSeen(location, title, active, warehouse, state, is_source, listings, skipped)


@dataclass(frozen=True, slots=True)
class HookSeen:
    """One webhook topic; `state`: ok, missing, unhealthy, elsewhere (not at our address), not ours."""

    topic: str
    state: str
    address: str
    id: str = ""


def door_of(settings: Settings, name: str) -> str:
    """Where the platform is to post. Raises Declined where nobody said it."""
    if settings.http.public_url is None:
        raise Declined(["http.public_url: is missing, so nobody knows where webhooks are to go"])
    return f"{settings.http.public_url.rstrip('/')}/webhooks/{name}"


async def webhooks(core: Core, settings: Settings, name: str) -> list[HookSeen]:
    """Every topic we want, and every registration the platform has. Raises Declined and ChannelError."""
    async with spoken(core, settings, name) as channel:
        return await _hooks(channel, (settings.http.public_url and door_of(settings, name)) or "")


async def _hooks(channel: Channel, door: str) -> list[HookSeen]:
    wanted = channel.connector.capabilities.topics
    there = list(await channel.connector.subscriptions())
    found: list[HookSeen] = []
    served: set[str] = set()
    for x in sorted(there, key=lambda s: (s.topic, s.address, s.id)):
        ours = x.topic in wanted and (not door or x.address == door)
        state = "ok" if x.healthy else "unhealthy"
        if not ours:
            state = "elsewhere" if x.topic in wanted else "not ours"
        elif x.healthy:
            served.add(x.topic)
        found.append(HookSeen(x.topic, state, x.address, x.id))
    said = {x.topic for x in found if x.state in ("ok", "unhealthy")}
    found += [HookSeen(topic, "missing", door) for topic in sorted(wanted - said)]
    return sorted(found, key=lambda x: (x.topic, x.address))


async def ensure_webhooks(
    core: Core, settings: Settings, name: str, actor: str
) -> list[tuple[str, str]]:
    """Register what is missing or unhealthy; gives (topic, what became of it)."""
    door = door_of(settings, name)
    done: list[tuple[str, str]] = []
    async with spoken(core, settings, name) as channel:
        hooks = await _hooks(channel, door)
        healthy = {x.topic for x in hooks if x.state == "ok"}
        for topic in sorted(channel.connector.capabilities.topics - healthy):
            try:
                await channel.connector.subscribe(topic, door)
            except ChannelError as error:
                done.append((topic, f"failed: {error}"))
            else:
                done.append((topic, "registered"))
        made = [topic for topic, became in done if became == "registered"]
        async with core.booking("webhooks_ensured") as (_, booking):
            detail: dict[str, object] = {"topics": made, "actor": actor}
            if made and channel.id > 0:
                booking.journal.append(Line("subscribed", "", channel.id, detail=detail))
    return done
