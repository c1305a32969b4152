"""The configured rules of every channel as plain values: what the walkers look up while they book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from syncd.stock.decide import is_raise
from syncd.stock.match import Rule
from syncd.stock.model import Edits, Truth
from syncd.stock.orders import CommitOn, Restock
from syncd.stock.policy import (
    UNRULED,
    Allocation,
    Derived,
    Inputs,
    Policy,
    Zero,
    derive,
    keeps,
    kept,
    target,
    target_of,
)
from syncd.stock.spread import Spread
from syncd.stock.standing import Standing, account_of, inputs, is_plain, own_unseen, sold, spread_of
from syncd.stock.stretches import Margins


class Asked(NamedTuple):
    """The listing whose target is asked for."""

    listing_id: int
    sku: str
    warehouse_id: int
    gone: bool = False
    """Its item is gone at the source of a warehouse that shows none of such."""
    keeps: int | None = None
    """What it keeps while a plan holds it; None: it is not held."""
    shown: int | None = None
    """What it shows; None: not known, or it does not matter."""


def truth_of(platform: Truth, edits: Edits | None) -> Truth:
    """What moves the ledger on a platform of this truth; `edits` None: as the platform's truth wants.

    A level alone cannot tell a sale from an edit: where edits are not adopted, orders are the truth.
    """
    if platform is Truth.LEVELS and edits not in (None, Edits.ADOPT):
        return Truth.ORDERS
    return platform


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Everything about one channel that decides about stock. `id` is its row in the database."""

    id: int
    name: str
    platform: str
    truth: Truth
    edits: Edits
    enabled: bool = True
    configured: bool = True
    """Whether it is enabled as far as the configuration says; `enabled`: what people switched counts."""
    deliver: bool = True
    deliver_raises: bool = True
    deliver_lowers: bool = True
    commit_on: CommitOn = CommitOn.CREATED
    restock: Restock = Restock.AS_PLATFORM
    sells_down: bool = True
    blind: bool = False
    reads_one_by_one: bool = False
    clock_margin_s: float = 2.5
    match: tuple[Rule, ...] = (Rule.SKU,)
    """How its listings find their items, in this order."""
    late_apply_s: float = 30.0
    safe_after: timedelta | None = None
    """Nothing heard of it for so long: it is silent. None: nobody minds."""
    retires: bool = False
    """Some policy of it takes what shows 0 out of sale."""
    escrow: bool = False
    """Some policy of it says so."""
    zero_when_silent: bool = False
    """While it is silent it shows none of what may be sold out there."""
    silent: bool = field(default=False, compare=False)
    """Nothing is heard of it: it is not raised, and others keep a reserve. A state, and no rule."""
    spread: Spread = Spread.EACH
    """What several of its locations in one warehouse show; where it has none there is nothing to divide."""
    locations: Mapping[str, int] = field(default_factory=dict)
    """Warehouse ids by location; "*" is the fallback."""
    policy: Policy = field(default_factory=Policy)
    patterns: Mapping[str, Policy] = field(default_factory=dict)
    """Whole policies by sku pattern; the first that matches holds."""
    items: Mapping[str, Policy] = field(default_factory=dict)
    """Whole policies of single items; they beat the patterns, and both beat `policy`."""
    exclude: tuple[str, ...] = ()
    pattern_excludes: Mapping[str, bool] = field(default_factory=dict)
    """What patterns of `patterns` say of their exclusion; it beats `exclude`."""
    exclude_tags: frozenset[str] = frozenset()
    """Tags, in lower case, whose bearers are never delivered here."""
    item_excludes: Mapping[str, bool] = field(default_factory=dict)
    """What single items say of their exclusion; it beats all patterns."""
    claimants: Mapping[int, tuple[ChannelRules, ...]] = field(default_factory=dict)
    """By warehouse: the channels that may claim its last units, the first first."""
    cut_at: datetime | None = None
    """When its truth last changed, by the platform's clock as far as we know it."""

    @property
    def guarded(self) -> bool:
        """True where orders are the truth and a write compares before it is applied."""
        return self.truth is Truth.ORDERS and not self.blind

    @property
    def awaits_orders(self) -> bool:
        """True where a message about a level waits a little for the order that explains it."""
        return self.reads_one_by_one or self.guarded

    @property
    def by_location(self) -> bool:
        """True where an order counts elsewhere, or nowhere, depending on the location it is sent from."""
        return "*" not in self.locations or len(set(self.locations.values())) > 1

    @property
    def follows_edits(self) -> bool:
        """True where counts that people change are inferred: every write stands between readings.

        Where writes compare first, edits that are adopted make levels the truth.
        """
        return (
            self.truth is Truth.ORDERS
            and self.enabled
            and self.edits in ((Edits.ADOPT, Edits.ALERT) if self.blind else (Edits.ALERT,))
        )

    @property
    def writes_unread(self) -> bool:
        """True where readings around writes are left out, since each costs a call."""
        return self.reads_one_by_one and not self.follows_edits

    @property
    def asks_speed(self) -> bool:
        """True where some listing shows less while its item sells faster."""
        policies = (self.policy, *self.patterns.values(), *self.items.values())
        return self.enabled and self.deliver and any(p.speed_hours for p in policies)

    @property
    def escrows(self) -> bool:
        """True where some of its items are in escrow."""
        return self.enabled and self.deliver and self.escrow

    def in_escrow(self, sku: str) -> bool:
        """True where this channel sells an item from an account of its own."""
        in_escrow = self.policy_of(sku).allocation is Allocation.ESCROW
        return self.escrows and in_escrow and not self.excludes(sku)

    @property
    def margins(self) -> Margins:
        """What is believed of the platform's clock and speed."""
        return Margins(clock_s=self.clock_margin_s, late_s=self.late_apply_s)

    def warehouse_of(self, location: str) -> int | None:
        """The warehouse a location feeds; None: unmapped, which is never "all" or "first"."""
        found = self.locations.get(location)
        return found if found is not None else self.locations.get("*")

    def names_of(self, barcode: str, handle: str, sku: str) -> dict[Rule, str]:
        """The names that count here of a listing's."""
        said = {Rule.SKU: sku, Rule.BARCODE: barcode, Rule.HANDLE: handle}
        return {rule: said[rule] for rule in self.match}

    def policy_of(self, sku: str) -> Policy:
        """The narrowest policy that holds for a sku: its own, its pattern's, the channel's."""
        own = self.items.get(sku)
        if own is not None:
            return own
        pattern = _first(sku, self.patterns)
        return self.policy if pattern is None else self.patterns[pattern]

    def target_of(self, asked: Asked, standing: Standing) -> int:
        """What this listing should show; the number that `derive` explains."""
        policy = self.policy_of(asked.sku)
        if self.claimants or _special(asked, policy) or not is_plain(standing):
            return target_of(self.inputs_of(asked, standing), policy)
        assert standing.quantity is not None
        return target(standing.quantity, policy)

    def derive(self, asked: Asked, standing: Standing) -> Derived:
        """What this listing should show with every step that makes it."""
        return derive(self.inputs_of(asked, standing), self.policy_of(asked.sku))

    def kept(self, asked: Asked, standing: Standing) -> dict[str, Any] | None:
        """What the target of this listing is made from, to be stored; None: of the level alone."""
        policy = self.policy_of(asked.sku)
        special = _special(asked, policy)
        if policy == UNRULED and not (self.claimants or special) and is_plain(standing):
            return None
        return kept(self.inputs_of(asked, standing), policy)

    def inputs_of(self, asked: Asked, standing: Standing) -> Inputs:
        """All that the target of a listing is made from besides its policy: what was read, and claims."""
        given = replace(
            inputs(standing, asked.listing_id, self.id), gone=asked.gone, held=asked.keeps
        )
        policy = self.policy_of(asked.sku)
        if policy.speed_hours and standing.sales:
            units, hours = sold(standing)
            given = replace(given, sold=units, sold_hours=hours)
        if policy.allocation is Allocation.ESCROW and standing.parts is None:
            given = replace(given, account=account_of(standing, self.id))
        given = replace(given, shown=asked.shown if policy.announce_max else None)
        if standing.places and self.spread is Spread.DIVIDE:
            given = replace(given, **spread_of(standing, self.id, asked.listing_id))
        if self.silent and self.zero_when_silent:
            given = replace(given, own_unseen=own_unseen(standing, self.id))
        for claimant in self.claimants.get(asked.warehouse_id, ()):
            below = claimant.policy_of(asked.sku).last_units
            if not below or claimant.excludes(asked.sku):
                continue
            if claimant.id == self.id:
                break
            return replace(given, others_below=below, others=claimant.name)
        return given

    def excludes(self, sku: str) -> bool:
        """True where this sku is never delivered here."""
        own = self.item_excludes.get(sku)
        if own is None and self.pattern_excludes:
            pattern = _first(sku, self.patterns)
            own = self.pattern_excludes.get(pattern) if pattern is not None else None
        return own if own is not None else _first(sku, self.exclude) is not None

    def tagged_out(self, tags: Iterable[str]) -> bool:
        """True where one of these tags keeps a listing from being delivered to."""
        return bool(self.exclude_tags) and any(tag.lower() in self.exclude_tags for tag in tags)

    def leaves_out(self, sku: str, withheld: str) -> str:
        """Why a listing is not offered here; empty: it is. What people switched beats what is configured."""
        if withheld:
            return "" if withheld == INCLUDED else withheld
        return "excluded" if self.excludes(sku) else ""

    def withholds(self, sku: str, wants: int, shown: int | None, *, orphaned: bool = False) -> str:
        """Why this target is not written to a listing that is served; empty: it is.

        `orphaned`: its item is gone at the source, so it is not raised.
        """
        if not self.allows(wants, shown):
            return "channel_off"
        if self.silent and is_raise(wants, shown):
            return "silent"
        if orphaned and wants > (shown if shown is not None else 0):
            return "gone_at_source"
        return Zero.KEEP_LAST if keeps(wants, self.policy_of(sku)) else ""

    def steps_up(self, sku: str, wants: int, shown: int | None) -> bool:
        """True for a raise that is a step: the most that is added at once."""
        most = self.policy_of(sku).announce_max
        return bool(most) and shown is not None and wants == max(shown, 0) + most

    def allows(self, target: int, shown: int | None) -> bool:
        """False where the operator switched off this direction of deliveries."""
        if not (self.enabled and self.deliver):
            return False
        if shown is None or target == shown:
            return True
        return self.deliver_raises if target > shown else self.deliver_lowers


INCLUDED = "included"
"""A person said that it is offered here, whatever else says otherwise."""


def _special(asked: Asked, policy: Policy) -> bool:
    """True where more than the level and the policy alone may make a target."""
    return asked.gone or asked.keeps is not None or policy.announce_max > 0


def _first(sku: str, patterns: Iterable[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(sku, pattern)), None)


def with_claimants(channels: Iterable[ChannelRules]) -> dict[int, ChannelRules]:
    """Rules by channel id, each knowing who may claim the last units of its warehouses.

    A channel that delivers nothing claims nothing: nobody would sell them.
    """
    by_id = {rules.id: rules for rules in channels}
    found: defaultdict[int, list[ChannelRules]] = defaultdict(list)
    for rules in by_id.values():
        policies = (rules.policy, *rules.patterns.values(), *rules.items.values())
        if rules.enabled and rules.deliver and any(p.last_units for p in policies):
            for warehouse_id in sorted(set(rules.locations.values())):
                found[warehouse_id].append(rules)
    return {
        rules.id: replace(
            rules,
            claimants={
                warehouse_id: tuple(found[warehouse_id])
                for warehouse_id in sorted(set(rules.locations.values()))
                if warehouse_id in found
            },
        )
        for rules in by_id.values()
    }


INTERNAL = "_api"
"""The channel of what is posted for no channel. No configured one can bear this name."""


def internal(channel_id: int, warehouse_ids: Mapping[str, int]) -> ChannelRules:
    """The rules of what is posted for no channel: its locations are the warehouses themselves."""
    return ChannelRules(
        id=channel_id,
        name=INTERNAL,
        platform="api",
        truth=Truth.ORDERS,
        edits=Edits.OVERWRITE,
        deliver=False,
        commit_on=CommitOn.PAID,
        sells_down=False,
        clock_margin_s=0.0,
        locations=dict(warehouse_ids),
    )


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All channels by id, and which (channel, location) is the source of each warehouse."""

    channels: Mapping[int, ChannelRules]
    sources: Mapping[int, tuple[int, str | None]] = field(default_factory=dict)
    """Warehouse id → (channel id, location or None for its only one)."""
    zeroed_when_gone: frozenset[int] = frozenset()
    """Warehouses whose items show 0 everywhere once their source lists them no more."""
    warehouses: Mapping[str, int] = field(default_factory=dict)
    """Warehouse ids by name."""
    order_patience: timedelta = timedelta(days=1)
    picked_within: timedelta = timedelta(days=14)
    speed_window: timedelta = timedelta(days=7)
    """Of so long the sales make an item's speed."""

    @property
    def escrow(self) -> frozenset[int]:
        """Warehouses of which some items are in escrow."""
        found = [c.locations.values() for c in self.channels.values() if c.escrows]
        return frozenset(warehouse for fed in found for warehouse in fed)

    def shows_none(self, warehouse_id: int, *, orphaned: bool) -> bool:
        """True where a listing shows 0 since its item is gone at the source (`orphaned`)."""
        return orphaned and warehouse_id in self.zeroed_when_gone

    @property
    def configured(self) -> list[ChannelRules]:
        """The channels that the configuration names, without the internal one."""
        return [rules for rules in self.channels.values() if rules.name != INTERNAL]

    def named(self, name: str) -> ChannelRules | None:
        return next((rules for rules in self.channels.values() if rules.name == name), None)

    @property
    def selling(self) -> list[int]:
        """Channels whose sales are booked, by their orders or by their levels."""
        booked = (Truth.ORDERS, Truth.LEVELS)
        return sorted(c.id for c in self.channels.values() if c.enabled and c.truth in booked)

    def is_source(self, channel_id: int, location: str, warehouse_id: int | None) -> bool:
        """True where this location seeds its warehouse."""
        if warehouse_id is None or warehouse_id not in self.sources:
            return False
        source_channel, source_location = self.sources[warehouse_id]
        return source_channel == channel_id and source_location in (None, location)


def quieted(book: Rulebook, silent: Collection[int]) -> Rulebook:
    """The rules while nothing is heard of these channels, and of these alone."""
    if all(rules.silent is (rules.id in silent) for rules in book.channels.values()):
        return book
    rules = [replace(one, silent=one.id in silent, claimants={}) for one in book.channels.values()]
    return replace(book, channels=with_claimants(rules))


def switched(book: Rulebook, switches: Mapping[str, bool]) -> Rulebook:
    """The rules with channels on or off as people switched them by name, else as configured."""
    rules = [
        replace(one, enabled=switches.get(one.name, one.configured), claimants={})
        for one in book.channels.values()
    ]
    return replace(book, channels=with_claimants(rules))
