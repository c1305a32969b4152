"""The configured rules of every channel as plain values: what the walkers look up while they book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from syncd.stock.model import Edits, Truth
from syncd.stock.orders import CommitOn, Restock
from syncd.stock.policy import Policy


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Everything about one channel that decides about stock. `id` is its row in the database."""

    id: int
    name: str
    platform: str
    truth: Truth
    edits: Edits
    enabled: bool = True
    deliver: bool = True
    deliver_raises: bool = True
    deliver_lowers: bool = True
    commit_on: CommitOn = CommitOn.CREATED
    restock: Restock = Restock.AS_PLATFORM
    sells_down: bool = True
    blind: bool = False
    reads_one_by_one: bool = False
    clock_margin_s: float = 2.5
    locations: Mapping[str, int] = field(default_factory=dict)
    """Warehouse ids by location; "*" is the fallback."""
    policy: Policy = field(default_factory=Policy)
    items: Mapping[str, Policy] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    item_excludes: Mapping[str, bool] = field(default_factory=dict)
    """What single items say of their exclusion; it beats the patterns."""

    def warehouse_of(self, location: str) -> int | None:
        """The warehouse a location feeds; None: unmapped, which is never "all" or "first"."""
        found = self.locations.get(location)
        return found if found is not None else self.locations.get("*")

    def policy_of(self, sku: str) -> Policy:
        return self.items.get(sku, self.policy)

    def excludes(self, sku: str) -> bool:
        """True where this sku is never delivered here."""
        own = self.item_excludes.get(sku)
        if own is not None:
            return own
        return any(fnmatchcase(sku, pattern) for pattern in self.exclude)

    def allows(self, target: int, shown: int | None) -> bool:
        """False where the operator switched off this direction of deliveries."""
        if not (self.enabled and self.deliver):
            return False
        if shown is None or target == shown:
            return True
        return self.deliver_raises if target > shown else self.deliver_lowers


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All channels by id, and which (channel, location) is the source of each warehouse."""

    channels: Mapping[int, ChannelRules]
    sources: Mapping[int, tuple[int, str | None]] = field(default_factory=dict)
    """Warehouse id → (channel id, location or None for its only one)."""

    def named(self, name: str) -> ChannelRules | None:
        return next((rules for rules in self.channels.values() if rules.name == name), None)

    def is_source(self, channel_id: int, location: str, warehouse_id: int | None) -> bool:
        """True where this location seeds its warehouse."""
        if warehouse_id is None or warehouse_id not in self.sources:
            return False
        source_channel, source_location = self.sources[warehouse_id]
        return source_channel == channel_id and source_location in (None, location)
