"""What is sold where: links, names, exclusions, and channels on and off. The command line's own acts."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from syncd.console.access import Role
from syncd.console.problems import missing
from syncd.console.routes import Done, Nothing, Told, post
from syncd.console.wishes import SKUS_LIMIT, Sku, WishShown, wish
from syncd.db import bookmark
from syncd.fanout import linking, switching
from syncd.fanout.linking import HandLink

Skus = Annotated[list[Sku], msgspec.Meta(min_length=1, max_length=SKUS_LIMIT)]
LINKS_LIMIT = 1000


class ItemsSwitched(msgspec.Struct, forbid_unknown_fields=True):
    """`channel` left out: on every one."""

    skus: Skus
    channel: str | None = None


class ItemsOffered(msgspec.Struct, forbid_unknown_fields=True):
    """The channels these items belong to; null: all, also those that come later."""

    skus: Skus
    channels: list[str] | None


class ItemRenamed(msgspec.Struct, forbid_unknown_fields=True):
    old: Sku
    new: Sku


async def exclude_items(told: Told[ItemsSwitched]) -> ItemsSwitched:
    body = told.body
    await switching.exclude(told.conn, told.booking, body.skus, body.channel, told.actor)
    return body


async def include_items(told: Told[ItemsSwitched]) -> ItemsSwitched:
    body = told.body
    told.booking.linked += await switching.include(
        told.conn, told.booking, body.skus, body.channel, told.actor
    )
    return body


async def offer_items(told: Told[ItemsOffered]) -> ItemsOffered:
    body = told.body
    told.booking.linked += await switching.offer(
        told.conn, told.booking, body.skus, body.channels, told.actor
    )
    return body


async def rename_item(told: Told[ItemRenamed]) -> ItemRenamed:
    body = told.body
    await linking.rename_item(told.conn, told.booking, body.old, body.new, told.actor)
    return body


class LinkSaid(msgspec.Struct, forbid_unknown_fields=True):
    """What a channel lists under the platform's id `remote` is the item `sku`; null: none."""

    channel: str
    remote: str
    sku: str | None
    location: str | None = None


class LinksSaid(msgspec.Struct, forbid_unknown_fields=True):
    """All of them or, with a reason for each that cannot be, none."""

    links: Annotated[list[LinkSaid], msgspec.Meta(min_length=1, max_length=LINKS_LIMIT)]


class LinkByRules(msgspec.Struct, forbid_unknown_fields=True):
    """Its names decide again what this is."""

    channel: str
    remote: str


class LinksMade(msgspec.Struct):
    """How many listings are linked anew."""

    linked: int


async def link_listings(told: Told[LinksSaid]) -> LinksMade:
    said = [
        HandLink(x.channel, x.remote, x.sku, x.location, f"links/{n} ({x.channel} {x.remote})")
        for n, x in enumerate(told.body.links)
    ]
    found = await linking.link_by_hand(told.conn, told.booking, said, told.actor)
    told.booking.linked += found
    return LinksMade(len(found))


async def link_by_rules(told: Told[LinkByRules]) -> LinksMade:
    body = told.body
    found = await linking.link_by_rules(
        told.conn, told.booking, body.channel, body.remote, told.actor
    )
    told.booking.linked += found
    return LinksMade(len(found))


class ChannelSwitched(msgspec.Struct):
    channel: str
    enabled: bool


class ChannelOn(msgspec.Struct, forbid_unknown_fields=True):
    """`look` false: at once, and whatever moved there meanwhile is booked."""

    look: bool = True


async def disable_channel(told: Told[Nothing]) -> ChannelSwitched:
    name = _known(told)
    await switching.switch_channel(told.conn, told.booking, name, False, told.actor)
    await bookmark.knock(told.conn)
    return ChannelSwitched(name, False)


async def enable_channel(told: Told[ChannelOn]) -> Done:
    name = _known(told)
    if told.body.look:
        return await wish(told, "enable", name)
    await switching.switch_channel(told.conn, told.booking, name, True, told.actor)
    # the sweep that is wished for finds it on: its first act is to follow the switch
    return await wish(told, "sweep", name)


def _known(told: Told[Any]) -> str:
    name = told.path["name"]
    rules = told.core.rulebook.named(name)
    if rules not in told.core.rulebook.configured:
        raise missing(f"channel {name}")
    return name


ROUTES = (
    post(
        "/items/exclude", "Deliver items no more", exclude_items, ItemsSwitched, body=ItemsSwitched
    ),
    post("/items/include", "Deliver items again", include_items, ItemsSwitched, body=ItemsSwitched),
    post("/items/offer", "Say where items belong", offer_items, ItemsOffered, body=ItemsOffered),
    post("/items/rename", "Call an item otherwise", rename_item, ItemRenamed, body=ItemRenamed),
    post("/links", "Say which items listings are", link_listings, LinksMade, body=LinksSaid),
    post("/links/by-rules", "Let names decide again", link_by_rules, LinksMade, body=LinkByRules),
    post(
        "/channels/{name}/disable",
        "Deliver nothing and book nothing there",
        disable_channel,
        ChannelSwitched,
        role=Role.ADMIN,
    ),
    post(
        "/channels/{name}/enable",
        "Switch a channel on again, by a plan where anything moved there",
        enable_channel,
        WishShown,
        body=ChannelOn,
        role=Role.ADMIN,
        status=202,
    ),
)
