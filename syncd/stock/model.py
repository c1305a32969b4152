"""The words of the stock model as values: what channels tell us, and what the ledger holds.

Everything here is immutable and knows nothing of databases or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from syncd.stock.counts import Counted
from syncd.stock.picks import Post

QUANTITY_LIMIT = 1_000_000_000
"""Quantities beyond ± this are refused at the door (model.md §2)."""


class Truth(StrEnum):
    """Which signal of a channel location moves the ledger; using two deducts twice."""

    LEVELS = "levels"
    ORDERS = "orders"
    MOVEMENTS = "movements"
    """Who keeps the stock there posts every movement: a WMS, an ERP, a till."""
    NONE = "none"


class Edits(StrEnum):
    """What is done with a count that a person changed on a channel."""

    ADOPT = "adopt"
    OVERWRITE = "overwrite"
    ALERT = "alert"


class Kind(StrEnum):
    """Why a movement happened."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    REFUND = "refund"
    RESTOCK = "restock"
    RECEIPT = "receipt"
    PICK = "pick"
    STOCKTAKE = "stocktake"
    TRANSFER = "transfer"
    SEED = "seed"
    EDIT = "edit"
    ADJUSTMENT = "adjustment"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class LineSeen:
    """One line of an order as the platform has it now.

    `taken`: units this line holds off its own shelf now, by the platform's own rules.
    `kept`: units the customer still keeps or waits for (ordered minus cancelled minus refunded),
    whether or not the rest was put back on the shelf; used by `restock = "always"`.
    The listing is named by `remote`, else `alias`, else `sku`; whichever the platform gives.
    """

    line: str
    taken: int
    kept: int
    remote: str = ""
    alias: str = ""
    sku: str = ""
    location: str = ""
    sold: int | None = None
    """Units this line took at any time, those that came back among them, as far as its newest state
    tells; used by `restock = "never"`. None: nobody says, and the most that was heard of counts."""
    waits: int = 0
    """Units the platform keeps for this line and takes off the shelf only once it is paid."""


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """The newest known state of one order.

    `version` grows with every change on the platform: its modification time in microseconds since
    1970 UTC, or better. `at` is when the shelf last moved for it, by the platform's clock.
    `lines` is complete: a line that was booked before and is absent now holds nothing.
    `span`: where the platform does not say when the shelf moved, the times between which it did;
    None: at `at`.
    `terminal` marks a state the platform never leaves (cancelled, deleted): it is absorbing.
    `gone` marks an order the platform has no more: nobody said that anything came back, so its
    lines keep what they hold (seen on WooCommerce: deleting an order puts nothing back), and what
    was told of it before still counts when it is heard after.
    `kind` hints why units came back, if they did. `created`: when the order was placed, by the
    platform's clock; None where it does not say.
    """

    order: str
    version: int
    at: datetime
    lines: tuple[LineSeen, ...]
    number: str = ""
    paid: bool = True
    terminal: bool = False
    kind: Kind = Kind.SALE
    created: datetime | None = None
    gone: bool = False
    span: tuple[datetime, datetime] | None = None
    payable_until: datetime | None = None
    """An unpaid order's payment is not taken after it; None: as long as it is not cancelled."""


@dataclass(frozen=True, slots=True)
class OrderUnreadable:
    """An order that says what cannot be true: it is told, and never keeps the others waiting."""

    order: str
    reason: str


OrderNews = OrderSeen | OrderUnreadable
"""What a fetch of orders gives."""


@dataclass(frozen=True, slots=True)
class OrderHint:
    """Something happened to an order and the message does not say enough: fetch it."""

    order: str


@dataclass(frozen=True, slots=True)
class LevelSeen:
    """A message about a level: a hint to look, never arithmetic.

    `quantity` (None: not said) only serves to recognise what repeats `shown`. An empty `location`
    means every location of the channel that lists it.
    """

    remote: str
    location: str = ""
    quantity: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListingSeen:
    """One listing as the channel's catalogue has it.

    `remote` is the platform's id of the thing that holds stock, unique in (channel, location).
    `alias` is a second id by which order lines name it. Rows of one write must share `group`.
    `quantity` is None where the platform does not say or does not track it (`managed` False).
    `at` is the platform's own stamp of the quantity, None where it has none.
    `handle` is the product's name in addresses, with the options of the variant after a slash where
    a product has several. `tags` are the platform's, where it has any.
    """

    remote: str
    sku: str
    quantity: int | None
    location: str = ""
    managed: bool = True
    at: datetime | None = None
    alias: str = ""
    group: str = ""
    barcode: str = ""
    handle: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemSeen:
    """A catalogue message: these listings exist and look like this now (quantities are hints)."""

    listings: tuple[ListingSeen, ...]


@dataclass(frozen=True, slots=True)
class ItemGone:
    """Listings that vanished: `remotes` themselves, or all of `group`."""

    remotes: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """The platform told us that we were uninstalled or shut out."""

    reason: str


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    """The platform told us about our own webhook registration: audit it soon."""


@dataclass(frozen=True, slots=True)
class OrderNamed:
    """The order a posted movement is for, by id or number; `channel_id` None: of any channel."""

    ref: str
    channel_id: int | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement as somebody posted it, of a unit count (`delta`) or of a count at `at` (`counted`).

    `cause` makes it happen at most once for its channel, item and warehouse. `to`: the warehouse to
    which `delta` units are moved, where it is a transfer told in one. `digest`: of all that was said.
    """

    cause: str
    sku: str
    warehouse_id: int
    post: Post
    at: datetime
    digest: bytes
    delta: int = 0
    counted: Counted | None = None
    quantity: int = 0
    to: int | None = None
    order: OrderNamed | None = None
    note: str = ""


Fact = OrderNews | OrderHint | LevelSeen | ItemSeen | ItemGone | ChannelGone | SubscriptionChanged


@dataclass(frozen=True, slots=True)
class Reading:
    """What one listing shows now, as read; `quantity` None means not tracked there.

    `missing` means that the channel has no such listing any more.
    `at` is the platform's own stamp of the value, None where it has none. `answered_at` is the
    platform's clock when it answered, None where it does not say.
    """

    remote: str
    location: str
    quantity: int | None
    at: datetime | None = None
    missing: bool = False
    answered_at: datetime | None = None
