"""The connector contract: what a platform's file must offer, and the data it declares about itself.

A connector speaks one platform and nothing else. It never sleeps, retries, paces, touches the
database or logs a body. It raises only Unsigned, RetryLater, Refused and ChannelClosed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, SecretStr

from syncd.connectors.http import Http
from syncd.stock.model import Edits, Fact, ListingSeen, OrderNews, Reading, Truth
from syncd.stock.settle import Outcome

Clock = Callable[[], datetime]
"""Gives the time now, aware and in UTC."""


class Options(BaseModel):
    """The platform's own settings, `[channels.NAME.options]`; every connector extends this."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str = ""
    """Replaces the platform's own address: sandboxes, proxies, stand-ins."""

    @property
    def account(self) -> tuple[str, ...]:
        """What names the account on the platform: two channels on one would count its sales twice."""
        said = (getattr(self, name, "") for name in ("shop", "store", "api_key"))
        named = (x.get_secret_value() if isinstance(x, SecretStr) else str(x) for x in said)
        return (self.base_url, *named)


class WriteKind(StrEnum):
    """The strongest write a platform has."""

    CAS = "cas"
    """Compare-and-set with a key; the same key can also carry a delta."""
    ABSOLUTE = "absolute"
    """Sets a number whatever was there."""


class WriteOp(StrEnum):
    """How the rows of one attempt are written."""

    SET = "set"
    """Absolute; with `WriteKind.CAS` compared with `from_quantity` first."""
    DELTA = "delta"
    """Moves the count by `to_quantity - from_quantity` under the attempt's key, uncompared."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Declared facts about a platform; each one changes what the core does."""

    truth: Truth
    """Truth that a channel has by itself; see model.md §3."""
    edits: frozenset[Edits]
    """Settings of `edits` that can be kept here."""
    write: WriteKind
    batch_max: int
    """Rows of one write call."""
    read_max: int
    """Listings of one reading call; 1 means that reading around writes is left out."""
    topics: frozenset[str]
    """Webhook topics we want, in the words the platform's header uses."""
    orders_max: int = 50
    """Orders that one call of `orders` brings."""
    locations: bool = False
    places_on_request: bool = False
    """Orders say which location each line is sent from only if the connector is made `by_location`."""
    batch_atomic: bool = False
    """One bad row fails the whole write."""
    sells_down: bool = True
    """A sale on this platform lowers its own count by itself."""
    tags: bool = False
    """Its catalogue tells the tags of products; else `exclude_tags` is refused."""
    undated: str = ""
    """Why orders do not say when they moved a shelf, so that no edit can be told from them; empty:
    they do."""
    retires: bool = False
    """A listing can be taken out of sale and brought back; else `zero = "retire"` is refused."""
    late_apply_s: float = 30.0
    """How long a write without an answer may still be applied."""
    key_lifetime_s: float = 0.0
    """How long a repeated key is recognised; 0: the platform has no keys."""
    clock_margin_s: float = 2.5
    bulk_read: bool = True
    workers: int = 2
    """Calls that may be under way at once."""
    write_cost: float = 1.0
    """Budget units one write call reserves."""
    read_cost: float = 1.0
    budget_capacity: float = 40.0
    """The platform's bucket, in budget units, until its answers say otherwise."""
    budget_rate: float = 2.0
    """Units refilled per second."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Names one listing to its connector."""

    remote: str
    location: str
    sku: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class WriteRow:
    """One listing of an attempt. `from_quantity` is None where no comparison is wanted."""

    ref: Ref
    from_quantity: int | None
    to_quantity: int


@dataclass(frozen=True, slots=True)
class Write:
    """One attempt, exactly as stored: sent again unchanged, under the same key, until answered."""

    key: str
    op: WriteOp
    rows: tuple[WriteRow, ...]


@dataclass(frozen=True, slots=True)
class RowResult:
    outcome: Outcome
    reason: str = ""
    at: datetime | None = None
    """The platform's stamp of the applied value, where it gives one."""
    answered_at: datetime | None = None
    """The platform's clock when it answered; None: it does not say."""


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a bulk reading. `wait_s` asks the caller to wait before the next piece.

    `asked_before` True: these rows may have been read by the platform before this page was asked
    for (a bulk export); they count as asked when the whole reading began.
    """

    rows: Sequence[ListingSeen]
    wait_s: float = 0.0
    asked_before: bool = False
    answered_at: datetime | None = None
    """The platform's clock when it answered; None: it does not say."""


class Delivered(Struct, frozen=True):
    """A verified webhook, ready to be stored.

    `dedupe` names this delivery among all of its channel; equal ones are stored once.
    `answer` set: nothing is stored and this text is the 200 body (pings, verification requests).
    """

    topic: str
    dedupe: str
    answer: str | None = None
    triggered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored webhook as `parse` gets it; `body` is raw bytes."""

    topic: str
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook registration as the platform has it; `healthy` False: disabled or wrong address."""

    id: str
    topic: str
    address: str
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Location:
    id: str
    name: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Whoami:
    """What the platform says we are: for `syncd check`."""

    account: str
    missing_scopes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


class Connector(Protocol):
    """One channel on one platform. Made by `PLATFORMS[platform].connector(options, http, clock)`."""

    capabilities: Capabilities

    async def open(self) -> Whoami:
        """Prove the credentials. Raises ChannelClosed when they do not work."""
        ...

    async def close(self) -> None: ...

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Check the signature over the raw body with every active secret, in constant time.

        `headers` is case-insensitive. Raises Unsigned.
        """
        ...

    def parse(self, event: Event) -> Sequence[Fact]:
        """Read the facts of a verified event. Raises BadFact when it says what cannot be true."""
        ...

    def listings(self) -> AsyncIterator[Page]:
        """The whole catalogue with its counts. Raises RetryLater rather than end early."""
        ...

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        """What these listings show now, in the order of `refs` (at most `read_max`)."""
        ...

    async def write(self, write: Write) -> Sequence[RowResult]:
        """Send one attempt; one result per row. Rows share their `group`."""
        ...

    def orders_since(self, since: datetime) -> AsyncIterator[Sequence[OrderNews]]:
        """Orders changed at or after `since`, oldest change first where the platform can sort."""
        ...

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderNews]:
        """These orders as they are now; one deleted for good comes back `terminal` and `gone`."""
        ...

    async def subscriptions(self) -> Sequence[Subscription]: ...

    async def subscribe(self, topic: str, address: str) -> None:
        """Register a webhook, or revive the one that is there."""
        ...

    async def locations(self) -> Sequence[Location]: ...


@runtime_checkable
class Retires(Protocol):
    """What a connector offers besides where `capabilities.retires`."""

    async def retire(self, refs: Sequence[Ref], *, out: bool, again: bool) -> Sequence[RowResult]:
        """Take these listings out of sale, or back (`out` False); one result per listing.

        One that is not on sale by somebody else's doing is left alone (NOT_APPLIED), else it would be
        brought back one day; `again`: it was asked before and not answered, so it may be ours.

        At most `batch_max`, which share their `group`. What they are to be is said, not what should
        change of them: asked again, nothing more happens.
        """
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """A line of PLATFORMS: how to validate options and make a connector."""

    name: str
    options: type[Options]
    connector: Callable[..., Connector]
    capabilities: Capabilities
    shaped: Callable[[Any], Capabilities] | None = None
    """Where options change what the platform can do: the capabilities under these options."""


__all__ = [
    "Capabilities",
    "Clock",
    "Connector",
    "Delivered",
    "Event",
    "Http",
    "Location",
    "Options",
    "Outcome",
    "Page",
    "Platform",
    "Ref",
    "Retires",
    "RowResult",
    "Subscription",
    "Whoami",
    "Write",
    "WriteKind",
    "WriteOp",
    "WriteRow",
]
