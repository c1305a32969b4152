"""What must hold between the keys of a configuration: names that meet, addresses that do not.

Works on the raw tree, so that these problems are told together with those of single keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from syncd.config.complaints import Complaint, dotted, nearest
from syncd.config.escrow_checks import escrow_contradictions
from syncd.config.models import ChannelSettings, HttpSettings, OpsSettings, Settings
from syncd.config.policy_checks import policy_contradictions, table
from syncd.config.values import Address, address
from syncd.stock.bundles import Bundle, problems_of

POSTING = "api"
"""The platform of channels that post their movements: they may name warehouses."""

ADMIN = "admin"
"""Who calls the API with `ops.token`."""


def contradictions(tree: Mapping[str, Any]) -> Iterator[Complaint]:
    """Every problem between keys; what is no table or no text is left to the single keys."""
    warehouses, channels = table(tree, "warehouses"), table(tree, "channels")
    for name, channel in channels.items():
        for location, warehouse in table(channel, "locations").items():
            if isinstance(warehouse, str) and warehouse not in warehouses:
                hint = nearest(warehouse, warehouses)
                yield Complaint(
                    ("channels", name, "locations", location), f"names no warehouse{hint}"
                )
    for name, warehouse in warehouses.items():
        source = warehouse.get("source") if isinstance(warehouse, Mapping) else None
        if isinstance(source, str) and source.strip():
            yield from _source(name, source, channels)
    yield from policy_contradictions(tree)
    yield from escrow_contradictions(tree)
    yield from _bundles(table(tree, "bundles"))
    yield from _addresses(tree)
    yield from _tokens(table(tree, "ops"))


def _source(name: str, source: str, channels: Mapping[str, Any]) -> Iterator[Complaint]:
    path = ("warehouses", name, "source")
    channel, slash, location = source.partition("/")
    if channel not in channels:
        yield Complaint(path, f"names no channel{nearest(channel, channels)}")
        return
    locations = table(channels[channel], "locations")
    if not slash:
        if name not in locations.values():
            yield Complaint(path, "names a channel of which no location feeds this warehouse")
    elif location not in locations and "*" not in locations:
        yield Complaint(
            path, f"names a location that its channel does not map{nearest(location, locations)}"
        )
    elif locations.get(location, locations.get("*")) != name:
        yield Complaint(path, "names a location that feeds another warehouse")


def _bundles(tree: Mapping[str, Any]) -> Iterator[Complaint]:
    """What no bundle can be made of: nothing, itself, or another bundle. Units are the keys' own."""
    said = [
        Bundle(sku, dict.fromkeys(one["components"], 1))
        for sku, one in tree.items()
        if isinstance(one, Mapping) and isinstance(one.get("components"), Mapping)
    ]
    for found in problems_of(said):
        component = () if found.component is None else (found.component,)
        yield Complaint(("bundles", found.bundle, "components", *component), found.words)


def _addresses(tree: Mapping[str, Any]) -> Iterator[Complaint]:
    door = _address(table(tree, "http").get("listen", HttpSettings().listen))
    ops = _address(table(tree, "ops").get("listen", OpsSettings().listen))
    if door is not None and ops is not None and door.collides(ops):
        yield Complaint(("ops", "listen"), "is the address of http.listen: it needs its own")


def _address(value: Any) -> Address | None:
    try:
        return address(value)
    except ValueError:
        return None


def _tokens(ops: Mapping[str, Any]) -> Iterator[Complaint]:
    """Whoever calls the API must be known by the token alone."""
    seen = [ops.get("token")]
    for name, token in table(ops, "tokens").items():
        path = ("ops", "tokens", name)
        if name == ADMIN:
            yield Complaint(path, "is the name that ops.token goes by: choose another one")
        secret = token.get("token") if isinstance(token, Mapping) else None
        if isinstance(secret, SecretStr) and secret in seen:
            yield Complaint((*path, "token"), "is somebody else's token too: each needs its own")
        seen.append(secret)


def cautions(settings: Settings) -> Iterator[str]:
    """What works but should not stay as it is."""
    if not settings.ops.listen.loopback and settings.ops.token is None:
        yield "ops.listen: others can reach it, and without ops.token nobody is asked who they are"
    if settings.http.public_url is None and settings.channels:
        yield "http.public_url: is missing, so webhooks cannot be registered or checked"
    for name, channel in settings.channels.items():
        if not channel.locations and channel.platform != POSTING:
            yield f"channels.{name}.locations: maps nothing to a warehouse, so nothing is synced"
        yield from _policy_cautions(f"channels.{name}", channel)
        if channel.spread == "each":
            yield f"channels.{name}.spread: each of its locations shows all there is: more can be sold"
    for name, warehouse in settings.warehouses.items():
        source = settings.channels.get(warehouse.source_channel or "")
        if source is not None and not source.enabled:
            yield f"warehouses.{name}.source: its channel is switched off"


def _policy_cautions(where: str, channel: ChannelSettings) -> Iterator[str]:
    if channel.policy.cap == 0 or channel.policy.percent == 0:
        yield f"{where}.policy: shows nothing, whatever there is"
    for sku in channel.items:
        if set(sku) & set("*?"):
            path = dotted((sku,))
            yield f"{where}.items.{path}: is one sku, not a pattern; those stand under patterns"
    narrower = [*channel.patterns.values(), *channel.items.values()]
    claims = channel.policy.last_units or any(rule.last_units for rule in narrower)
    if claims and not (channel.enabled and channel.deliver):
        yield f"{where}: last units go to nobody alone while nothing is delivered here"
