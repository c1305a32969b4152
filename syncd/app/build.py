"""From settings to rules and running channels; every reason why they cannot run, at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

from pydantic import ValidationError

from syncd.app.patience import safe_after, too_impatient
from syncd.config import ChannelSettings, PolicySettings, Settings, problems_of
from syncd.config.checks import ADMIN
from syncd.config.complaints import dotted
from syncd.connectors import PLATFORMS
from syncd.connectors.base import Capabilities, Clock, Options, WriteKind
from syncd.connectors.breaker import Breaker
from syncd.connectors.budget import Budget
from syncd.connectors.http import CallObserver, Http
from syncd.console import Role, Token
from syncd.corridor import Channel
from syncd.db import catalog, switches
from syncd.db.pool import Database
from syncd.errors import ConfigError
from syncd.stock.match import Rule
from syncd.stock.model import Edits, Truth
from syncd.stock.orders import CommitOn, Restock
from syncd.stock.plans import Radius
from syncd.stock.policy import Allocation, Policy, Zero
from syncd.stock.rulebook import (
    INTERNAL,
    ChannelRules,
    Rulebook,
    internal,
    switched,
    truth_of,
    with_claimants,
)
from syncd.stock.spread import Spread
from syncd.telemetry.metrics import Metrics


def options_of(name: str, channel: ChannelSettings) -> Options:
    """The channel's options as its connector takes them. Raises ConfigError with every problem."""
    platform = PLATFORMS[channel.platform]
    try:
        return platform.options.model_validate(channel.options)
    except ValidationError as error:
        raise ConfigError(
            problems_of(error, f"channels.{name}.options", platform.options)
        ) from None


def capabilities_of(name: str, channel: ChannelSettings) -> Capabilities:
    """What the platform can do under this channel's options. Raises ConfigError."""
    platform = PLATFORMS[channel.platform]
    if platform.shaped is None:
        return platform.capabilities
    return platform.shaped(options_of(name, channel))


def problems_in(settings: Settings) -> list[str]:
    """Everything a configuration asks for that its platforms or this version cannot do."""
    found = [
        problem
        for name, channel in settings.channels.items()
        for problem in channel_problems(name, channel)
    ]
    found += _accounts_twice(settings)
    found += too_impatient(settings)
    for name, warehouse in settings.warehouses.items():
        source = warehouse.source_channel
        if source is not None and source in settings.channels:
            found += _source_problems(name, settings, source, warehouse.source_location)
    return found


def _accounts_twice(settings: Settings) -> list[str]:
    """Channels on one account: its locations would be offered twice, and its sales counted twice."""
    found: list[str] = []
    known: dict[tuple[str, ...], str] = {}
    for name, channel in settings.channels.items():
        try:
            key = (channel.platform, *options_of(name, channel).account)
        except (ConfigError, KeyError):
            continue  # told by itself
        first = known.setdefault(key, name)
        if first == name:
            continue
        mine, theirs = (
            ", ".join(sorted(set(settings.channels[x].locations.values()))) or "no warehouse"
            for x in (name, first)
        )
        found.append(
            f"channels.{name}.options: is the account of channels.{first}, so its locations would be "
            f"offered to {theirs} by {first} and to {mine} by {name}; a location feeds one warehouse"
        )
    return found


def cautions_in(settings: Settings) -> list[str]:
    """What works on these platforms, but not as well as it could."""
    found = []
    for name, channel in settings.channels.items():
        if channel.platform not in PLATFORMS or channel_problems(name, channel):
            continue
        caps = capabilities_of(name, channel)
        followed = channel.edits in (Edits.ADOPT, Edits.ALERT) and caps.truth is Truth.ORDERS
        if followed and caps.write is WriteKind.ABSOLUTE and caps.read_max <= 1:
            found.append(
                f'channels.{name}.edits: "{channel.edits}" reads every listing before and after it is '
                f"written, and on {channel.platform} one call reads one: it is slow"
            )
    return found


def channel_problems(name: str, channel: ChannelSettings) -> list[str]:
    """Everything one channel asks for that its platform or this version cannot do."""
    platform = PLATFORMS.get(channel.platform)
    if platform is None:
        known = ", ".join(sorted(PLATFORMS))
        return [f"channels.{name}.platform: {channel.platform!r} is not one of {known}"]
    try:
        options_of(name, channel)
        caps, found = capabilities_of(name, channel), []
    except ConfigError as error:
        caps, found = platform.capabilities, list(error.problems)
    return found + _unsupported(name, channel, caps)


def _unsupported(name: str, channel: ChannelSettings, caps: Capabilities) -> list[str]:
    found, where = [], f"channels.{name}"
    if channel.edits is not None and channel.edits not in caps.edits:
        can = ", ".join(sorted(caps.edits))
        why = f": {caps.undated}" if caps.undated else ""
        found.append(
            f'{where}.edits: "{channel.edits}" is not supported on {channel.platform}{why}; it can be '
            f"{can}"
        )
    truth = truth_of(caps.truth, channel.edits)
    if channel.truth not in (None, Truth.NONE, truth):
        found.append(
            f'{where}.truth: "{channel.truth}" does not fit {channel.platform}, whose truth is '
            f'"{truth}"{_why(truth, caps)}'
        )
    if _truth(channel, caps) is Truth.LEVELS:
        found += [
            f"{where}.{key}: refused where levels are the truth: the platform decides it"
            for key, value, default in (
                ("commit_on", channel.commit_on, "created"),
                ("restock", channel.restock, "as_platform"),
            )
            if value != default
        ]
    if channel.safe_mode != "off" and _truth(channel, caps) not in (Truth.ORDERS, Truth.LEVELS):
        found.append(
            f"{where}.safe_mode: no sales of this channel are booked, so none can be unseen"
        )
    if channel.policy.exclude_tags and not caps.tags:
        found.append(
            f"{where}.policy.exclude_tags: {channel.platform} has no tags that syncd reads"
        )
    rules: list[tuple[tuple[str, ...], str | None]] = [(("policy",), channel.policy.zero)]
    rules += [(("patterns", key), rule.zero) for key, rule in channel.patterns.items()]
    rules += [(("items", key), rule.zero) for key, rule in channel.items.items()]
    found += [
        f'{where}.{dotted(key)}.zero: "retire" is not supported on {channel.platform}; it can be '
        '"show_zero" or "keep_last"'
        for key, zero in rules
        if zero == "retire" and not caps.retires
    ]
    return found


def _source_problems(name: str, settings: Settings, source: str, location: str | None) -> list[str]:
    channel = settings.channels[source]
    platform = PLATFORMS.get(channel.platform)
    if platform is None or not platform.capabilities.locations or location is not None:
        return []
    if len([where for where, to in channel.locations.items() if to == name]) <= 1:
        return []
    problem = f"warehouses.{name}.source: {source} feeds it from several locations: name one, like"
    return [f'{problem} "{source}/LOCATION"']


def _why(truth: Truth, caps: Capabilities) -> str:
    """What decides the truth where the platform alone does not."""
    if caps.truth is not Truth.LEVELS or caps.edits <= {Edits.ADOPT}:
        return ""
    if truth is Truth.LEVELS:
        return ' with edits = "adopt"'
    return " while edits are not adopted: a level alone cannot tell a sale from an edit"


def _truth(channel: ChannelSettings, caps: Capabilities) -> Truth:
    return channel.truth or truth_of(caps.truth, channel.edits)


def rules_of(
    channel_id: int, name: str, channel: ChannelSettings, warehouse_ids: Mapping[str, int]
) -> ChannelRules:
    """One channel's settings as the rules the walkers look up."""
    caps = capabilities_of(name, channel)
    own = [*channel.patterns.values(), *channel.items.values()]
    return ChannelRules(
        id=channel_id,
        name=name,
        platform=channel.platform,
        truth=_truth(channel, caps),
        edits=channel.edits or _default_edits(caps),
        enabled=channel.enabled,
        configured=channel.enabled,
        deliver=channel.deliver,
        deliver_raises=channel.deliver_raises,
        deliver_lowers=channel.deliver_lowers,
        commit_on=CommitOn(channel.commit_on),
        restock=Restock(channel.restock),
        sells_down=caps.sells_down,
        blind=caps.write is WriteKind.ABSOLUTE,
        reads_one_by_one=caps.read_max <= 1,
        clock_margin_s=caps.clock_margin_s,
        match=tuple(Rule(rule) for rule in channel.match),
        late_apply_s=caps.late_apply_s,
        retires="retire" in (channel.policy.zero, *(rule.zero for rule in own)),
        escrow="escrow" in (channel.policy.allocation, *(rule.allocation for rule in own)),
        zero_when_silent=channel.zero_when_silent,
        locations={where: warehouse_ids[to] for where, to in channel.locations.items()},
        spread=Spread(channel.spread) if caps.locations else Spread.EACH,
        policy=_policy(channel.policy),
        patterns={
            key: _policy(rule.over(channel.policy)) for key, rule in channel.patterns.items()
        },
        items={sku: _policy(channel.policy_for(sku)) for sku in channel.items},
        exclude=channel.policy.exclude,
        exclude_tags=frozenset(tag.lower() for tag in channel.policy.exclude_tags),
        pattern_excludes={
            key: rule.exclude for key, rule in channel.patterns.items() if rule.exclude is not None
        },
        item_excludes={sku: channel.excludes(sku) for sku in channel.items},
    )


HOUR = timedelta(hours=1)


def _default_edits(caps: Capabilities) -> Edits:
    """What is done with edits where nobody says: inferring them is asked for, never assumed."""
    wanted = Edits.ADOPT if caps.truth is Truth.LEVELS else Edits.OVERWRITE
    return wanted if wanted in caps.edits or not caps.edits else min(caps.edits)


def _policy(settings: PolicySettings) -> Policy:
    return Policy(
        percent=settings.percent,
        buffer=settings.buffer,
        cap=settings.cap,
        floor=settings.floor,
        preorder=settings.preorder,
        last_units=settings.last_units,
        zero=Zero(settings.zero),
        speed_hours=math.ceil(settings.speed / HOUR),
        announce_max=settings.announce_max,
        allocation=Allocation(settings.allocation),
        share=settings.share,
    )


def rulebook_of(
    settings: Settings,
    channel_ids: Mapping[str, int],
    warehouse_ids: Mapping[str, int],
) -> Rulebook:
    """All rules of a configuration, and of the channel of what is posted for none."""
    channels = with_claimants(
        replace(
            rules_of(channel_ids[name], name, channel, warehouse_ids),
            safe_after=safe_after(channel, settings.sync),
        )
        for name, channel in settings.channels.items()
    )
    if INTERNAL in channel_ids:
        channels[channel_ids[INTERNAL]] = internal(channel_ids[INTERNAL], warehouse_ids)
    return Rulebook(
        channels=channels,
        sources={
            warehouse_ids[name]: (
                channel_ids[warehouse.source_channel],
                warehouse.source_location,
            )
            for name, warehouse in settings.warehouses.items()
            if warehouse.source_channel is not None
        },
        zeroed_when_gone=frozenset(
            warehouse_ids[name]
            for name, warehouse in settings.warehouses.items()
            if warehouse.gone_at_source == "zero"
        ),
        warehouses=dict(warehouse_ids),
        order_patience=settings.sync.order_patience,
        picked_within=settings.sync.picked_within,
        speed_window=settings.sync.speed_window,
    )


def tokens_of(settings: Settings) -> tuple[Token, ...]:
    """Who may call the API."""
    found = []
    if settings.ops.token is not None:
        found.append(Token(ADMIN, Role.ADMIN, settings.ops.token.get_secret_value()))
    for name, one in settings.ops.tokens.items():
        found.append(Token(name, Role[one.role.upper()], one.token.get_secret_value()))
    return tuple(found)


async def named_rulebook(db: Database, settings: Settings) -> Rulebook:
    """All rules of a configuration, for who only looks: names the database lacks are entered."""
    async with db.transaction("enter_names") as conn:
        channels = {
            name: await catalog.enter_channel(conn, name, channel.platform)
            for name, channel in sorted(settings.channels.items())
        }
        places = {
            name: await catalog.enter_warehouse(conn, name) for name in sorted(settings.warehouses)
        }
        switches_now = await switches.switched(conn)
    return switched(rulebook_of(settings, channels, places), switches_now)


def radius_of(settings: Settings) -> Radius:
    """How many listings of a channel one change may zero or raise unasked."""
    return Radius(settings.sync.blast_radius, settings.sync.blast_listings)


def make_channel(
    rules: ChannelRules,
    settings: ChannelSettings,
    metrics: Metrics,
    clock: Clock,
    *,
    rng: Random | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Channel:
    """A channel ready to run: its budget, its gate, its connector and its breaker."""
    options = options_of(rules.name, settings)
    platform = PLATFORMS[rules.platform]
    caps = capabilities_of(rules.name, settings)
    budget = Budget(
        caps.budget_capacity,
        caps.budget_rate,
        workers=caps.workers,
        wait_seconds=metrics.budget_wait_seconds.observe,
    )
    http = Http(options.base_url, budget, observer=_observer(rules.name, metrics))
    by_location = asks_locations(rules, caps)
    more = {"by_location": True} if by_location else {}
    connector = platform.connector(options, http, clock, **more)
    breaker = Breaker(clock=monotonic, rng=rng)
    return Channel(rules, connector, http, breaker, by_location=by_location)


def asks_locations(rules: ChannelRules, caps: Capabilities) -> bool:
    """True where a channel's orders have to be asked which location sends each of their lines."""
    return caps.places_on_request and rules.truth is Truth.ORDERS and rules.by_location


def _observer(name: str, metrics: Metrics) -> CallObserver:
    def observe(op: str, outcome: str, seconds: float) -> None:
        metrics.calls_total.labels(name, op, outcome).inc()
        metrics.call_seconds.labels(name, op).observe(seconds)

    return observe


def moved(settings: Settings, known: Mapping[str, str]) -> list[str]:
    """Channels whose platform is another than the one known (by name) in the database."""
    return [
        f"channels.{name}.platform: was {known[name]}; use another name"
        for name, channel in settings.channels.items()
        if known.get(name, channel.platform) != channel.platform
    ]
