"""Cut-overs: when what is configured of a channel may not simply hold from now on, and what it takes.

A truth, a mapping or an enabled channel changes at one point of each shelf and of each order: what
came before is booked by the old rule, what comes after by the new one, and nothing by both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from syncd.stock.model import Edits, Truth
from syncd.stock.rulebook import ChannelRules


@dataclass(frozen=True, slots=True)
class InForceRule:
    """What of a channel's rules is in force until a cut-over changes it. Warehouse ids by location."""

    truth: Truth
    edits: Edits
    enabled: bool
    locations: Mapping[str, int]
    cut_at: datetime | None = field(default=None, compare=False)
    """When its truth changed last: what orders did before it is in what the shelves showed then."""

    def warehouse_of(self, location: str) -> int | None:
        found = self.locations.get(location)
        return found if found is not None else self.locations.get("*")


def rule_of(rules: ChannelRules) -> InForceRule:
    """What of these rules a cut-over is about."""
    return InForceRule(rules.truth, rules.edits, rules.enabled, dict(rules.locations), rules.cut_at)


def held_to(rules: ChannelRules, rule: InForceRule) -> ChannelRules:
    """The rules of a channel as they are until it is cut over to what is configured."""
    return replace(
        rules,
        truth=rule.truth,
        edits=rule.edits,
        enabled=rules.enabled and rule.enabled,
        locations=rule.locations,
        cut_at=rule.cut_at,
    )


@dataclass(frozen=True, slots=True)
class CutOver:
    """A change that takes a cut-over. `places`: the locations at which stock is counted."""

    old: InForceRule
    new: InForceRule
    places: tuple[str, ...]

    @property
    def moves(self) -> dict[str, tuple[int | None, int | None]]:
        """Warehouses before and after, by location: those that fed one and now feed another or none."""
        found = {p: (self.old.warehouse_of(p), self.new.warehouse_of(p)) for p in self.places}
        return {p: (was, now) for p, (was, now) in found.items() if was not in (None, now)}

    @property
    def truth_changes(self) -> bool:
        return self.old.truth is not self.new.truth

    @property
    def enables(self) -> bool:
        return self.new.enabled and not self.old.enabled

    @property
    def needed(self) -> bool:
        """False for what may simply hold from now on."""
        return bool(self.places) and (self.truth_changes or self.enables or bool(self.moves))

    @property
    def reads(self) -> tuple[str, ...]:
        """The locations of which a last reading is taken: where levels were or become the truth."""
        truths = {self.old.truth, self.new.truth}
        if Truth.LEVELS not in truths or self.old.truth is Truth.NONE:
            return ()
        return self.places if self.truth_changes else tuple(self.moves)

    @property
    def fetches(self) -> bool:
        """True where every order has to be known: its lines are, or become, what is booked."""
        if self.old.truth is Truth.NONE or not (self.truth_changes or self.moves):
            return False
        return Truth.ORDERS in {self.old.truth, self.new.truth}

    @property
    def gaps(self) -> tuple[str, ...]:
        """The locations whose shelves moved while the channel was off: each gap is told, then booked."""
        levels = self.old.truth is Truth.LEVELS and not self.truth_changes and not self.moves
        return self.places if self.enables and levels else ()

    @property
    def forgets(self) -> bool:
        """True where nobody accounted for what the shelves show: a first reading moves nothing."""
        return self.old.truth is Truth.NONE and self.truth_changes


def unread(
    listings: Iterable[int], read: Mapping[int, int], taken: Mapping[int, int], final: set[int]
) -> list[int]:
    """Listings whose last reading says nothing for certain yet.

    `read`: what their orders had taken as known before that reading; `taken`: as known now. Where
    both are the same, no order came beside the reading: what it shows is what its orders left.
    `final`: those that nobody can read.
    """
    return [x for x in listings if x not in final and read.get(x) != taken.get(x, 0)]
