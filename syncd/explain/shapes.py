"""An explanation: every number of an item with what made it, as plain values for text, JSON and the API."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from syncd.stock.policy import Step


@dataclass(frozen=True, slots=True)
class SumPart:
    """What the movements of one kind add up to."""

    kind: str
    movements: int
    units: int


@dataclass(frozen=True, slots=True)
class MovementPart:
    """One of the newest movements, with the level it made."""

    recorded_at: datetime
    occurred_at: datetime
    kind: str
    delta: int
    level: int
    channel: str | None
    order: str | None
    actor: str
    note: str
    cause: str


@dataclass(frozen=True, slots=True)
class AccountPart:
    """What a channel may sell of an item in escrow, and the units on their way from and to it."""

    channel: str
    units: int
    going: int
    coming: int


@dataclass(frozen=True, slots=True)
class HoldPart:
    """Units that an order promises and nobody has paid for; `taken` of them are off its own shelf."""

    channel: str
    order: str
    units: int
    taken: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class WarehousePart:
    """A level and the movements that made it."""

    warehouse: str
    level: int
    seeded_at: datetime | None
    """When it was first counted."""
    changed_at: datetime | None
    sums: tuple[SumPart, ...]
    newest: tuple[MovementPart, ...]
    accounts: tuple[AccountPart, ...] = ()
    """Where the item is in escrow: they and what is under way make the level. Now only."""
    holds: tuple[HoldPart, ...] = ()
    """What orders promise now; nothing is kept of what they promised once but with each write."""


@dataclass(frozen=True, slots=True)
class LinePart:
    """A journal line of a listing."""

    at: datetime
    outcome: str
    before: int | None
    after: int | None
    reason: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class WritePart:
    """The newest write that ended, with what it was made from and what the platform said."""

    line: LinePart
    key: str
    op: str | None
    level: int | None
    inputs: dict[str, Any] | None
    steps: tuple[Step, ...]
    recomputed: int | None
    """The target again, from what was stored: the number that was sent. None: other rules stored it."""


@dataclass(frozen=True, slots=True)
class AttemptPart:
    """The open attempt: stored, perhaps sent, and not answered yet."""

    key: str
    op: str
    rows: int
    from_quantity: int | None
    to_quantity: int
    level: int
    inputs: dict[str, Any] | None
    created_at: datetime
    times_sent: int
    """Answers that were not heard; the sending now under way does not count yet."""
    last_sent_at: datetime | None
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryPart:
    """What is owed."""

    owed_at: datetime
    version: int
    risk: int
    forced: bool
    tries: int
    not_before: datetime
    parked_at: datetime | None
    reason: str
    before_it: int


@dataclass(frozen=True, slots=True)
class SuspensePart:
    """An amount that waits for a person."""

    id: int
    reason: str
    candidates: tuple[int, ...]
    proposal: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ListingPart:
    """One listing: what it should show and every rule that made it so, what it shows, what is owed."""

    channel: str
    platform: str
    location: str
    remote: str
    sku: str
    title: str
    warehouse: str | None
    target: int | None
    steps: tuple[Step, ...]
    zero: str | None
    state: str
    """One word of a closed set: shown, parked, writing, waits_for_orders, unlinked …"""
    why: str
    """The same as a sentence."""
    shown: int | None
    shown_at: datetime | None
    observed: int | None = None
    """What the newest reading that said something new said."""
    observed_at: datetime | None = None
    look: str | None = None
    delivery: DeliveryPart | None = None
    attempt: AttemptPart | None = None
    write: WritePart | None = None
    suspense: tuple[SuspensePart, ...] = ()
    owed: int | None = None
    """At a past instant: the number that was owed then, where it showed another one."""
    lines: tuple[LinePart, ...] = ()


@dataclass(frozen=True, slots=True)
class ComponentPart:
    """A component of a bundle: `left` of it (None: not counted there), and how many bundles that makes."""

    sku: str
    units: int
    left: int | None
    makes: int | None


@dataclass(frozen=True, slots=True)
class BundlePart:
    """What a bundle's components make in one warehouse; `short`: the one that allows no more."""

    warehouse: str
    makes: int | None
    short: str
    components: tuple[ComponentPart, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything there is to say of a sku, now or (`at`) as it was recorded until then."""

    sku: str
    at: datetime | None
    said_at: datetime
    warehouses: tuple[WarehousePart, ...] = ()
    listings: tuple[ListingPart, ...] = field(default=())
    made_of: dict[str, int] | None = None
    """Of a bundle: units of each component in one. None: it is none."""
    bundle: tuple[BundlePart, ...] = ()
    """What its components make now."""
    component_of: tuple[str, ...] = ()
    """Bundles that take it."""

    def plain(self) -> dict[str, Any]:
        """As plain values; times stay times."""
        return asdict(self)
