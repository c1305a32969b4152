"""What the in-process store's webhooks say, with the bounds outside which they cannot be true."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from syncd.stock.model import QUANTITY_LIMIT, Kind, LineSeen, ListingSeen, OrderSeen

_Count = Annotated[int, msgspec.Meta(ge=-QUANTITY_LIMIT, le=QUANTITY_LIMIT)]
_Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class LevelBody(msgspec.Struct, frozen=True):
    listing: _Id
    location: str
    quantity: _Count | None
    at: _Moment


class LineBody(msgspec.Struct, frozen=True):
    line: _Id
    listing: _Id
    sku: str
    location: str
    taken: _Count
    """Below 0 where units came back to another location than they were sent from."""
    kept: _Count
    sold: _Count | None = None
    waits: _Count = 0

    def __post_init__(self) -> None:
        if min(self.taken, self.kept) < 0 and not self.location:
            raise ValueError("a line of no location that holds less than nothing")


class OrderBody(msgspec.Struct, frozen=True):
    id: _Id
    number: str
    version: _Version
    at: _Moment
    paid: bool
    terminal: bool
    kind: Kind
    lines: tuple[LineBody, ...]
    placed: _Moment | None = None
    """Where the store does not say when its shelf moved: between this and `at`, when it says so."""
    payable_until: _Moment | None = None
    """The store takes no payment of it any more after this; None: until it is cancelled."""
    created: _Moment | None = None

    def told(self, now: datetime) -> OrderBody:
        """The order as the store tells of it at this time."""
        return msgspec.structs.replace(self, at=now) if self.placed else self

    def seen(self) -> OrderSeen:
        lines = tuple(
            LineSeen(
                line.line,
                line.taken,
                line.kept,
                line.listing,
                sku=line.sku,
                location=line.location,
                sold=line.sold,
                waits=line.waits,
            )
            for line in self.lines
        )
        return OrderSeen(
            self.id,
            self.version,
            self.at,
            lines,
            self.number,
            self.paid,
            self.terminal,
            self.kind,
            created=self.created,
            span=(self.placed, self.at) if self.placed else None,
            payable_until=self.payable_until,
        )


class ListingBody(msgspec.Struct, frozen=True):
    listing: _Id
    sku: str
    quantity: _Count | None
    location: str
    managed: bool
    at: _Moment
    alias: str
    group: str
    title: str
    barcode: str = ""
    handle: str = ""
    tags: tuple[str, ...] = ()

    def seen(self) -> ListingSeen:
        return ListingSeen(
            self.listing,
            self.sku,
            self.quantity,
            self.location,
            self.managed,
            self.at,
            self.alias,
            self.group,
            barcode=self.barcode,
            handle=self.handle,
            title=self.title,
            tags=self.tags,
        )


class ItemBody(msgspec.Struct, frozen=True):
    listings: tuple[ListingBody, ...]


class GoneBody(msgspec.Struct, frozen=True):
    listing: _Id
