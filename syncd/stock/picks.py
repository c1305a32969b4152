"""What a posted movement does to the level: goods that leave for an order left the level with the order.

A pick, shipment or cross-dock that names an order whose sale we book has no effect of its own, whichever
is heard first. Heard before its order it waits for it, and becomes a question where none ever comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Post(StrEnum):
    """What a warehouse, till or ERP says it did."""

    RECEIPT_DIRECT = "receipt_direct"
    """Goods came in and can be sold."""
    RECEIPT_STAGED = "receipt_staged"
    """Goods came in and can be sold once they are put away."""
    RECEIPT_CROSS_DOCK = "receipt_cross_dock"
    """Goods came in and go out again for an order."""
    PUTAWAY = "putaway"
    PICK = "pick"
    SHIPMENT = "shipment"
    ADJUSTMENT = "adjustment"
    STOCKTAKE = "stocktake"
    """A variance found by counting, or the count itself."""
    TRANSFER = "transfer"


class Named(StrEnum):
    """What is known of the order that a movement names."""

    NOTHING = "nothing"
    """It names none."""
    BOOKED = "booked"
    """It is known, and its sale is booked."""
    UNHEARD = "unheard"
    """Its channel's sales are booked, and it was not heard of yet."""
    FOREIGN = "foreign"
    """Nobody books the sales of its channel."""


class Standing(StrEnum):
    """How a posted movement stands."""

    BOOKED = "booked"
    """It moved the level."""
    KEPT = "kept"
    """It moves nothing: something else did, or will."""
    PROVISIONAL = "provisional"
    """It moves nothing while its order may still come."""
    SUSPENSE = "suspense"
    """Its order never came: a person decides."""
    ANSWERED = "answered"
    """A person said what it moves; the order may still come."""


LEAVING = frozenset({Post.PICK, Post.SHIPMENT})
FOR_ORDERS = frozenset({Post.PICK, Post.SHIPMENT, Post.RECEIPT_CROSS_DOCK})


@dataclass(frozen=True, slots=True)
class Posted:
    """A posted movement's standing, and by how much it moves the level."""

    standing: Standing
    effect: int


@dataclass(frozen=True, slots=True)
class GoneOut:
    """Units of an item that were picked and that were shipped for one order, at one warehouse."""

    picked: int = 0
    shipped: int = 0

    @property
    def units(self) -> int:
        """What left: who posts both picks and shipments speaks of the same units twice."""
        return max(self.picked, self.shipped)

    def after(self, post: Post, delta: int) -> GoneOut:
        """With one more movement."""
        if post is Post.PICK:
            return GoneOut(self.picked - delta, self.shipped)
        return GoneOut(self.picked, self.shipped - delta) if post is Post.SHIPMENT else self


def refusal(post: Post, delta: int, *, names_order: bool) -> str:
    """Why such a movement cannot be; empty: it can."""
    if delta == 0:
        return "a delta of 0 moves nothing"
    if post in LEAVING and delta > 0:
        return f"a {post} takes units away: its delta is below 0; what comes back is an adjustment"
    if post in _ARRIVING and delta < 0:
        return (
            f"a {_ARRIVING[post]} brings units: its delta is above 0; a correction is an adjustment"
        )
    if post is Post.RECEIPT_CROSS_DOCK and not names_order:
        return "a cross-dock names the order it is for"
    return ""


_ARRIVING = {
    Post.RECEIPT_DIRECT: "receipt",
    Post.RECEIPT_STAGED: "receipt",
    Post.RECEIPT_CROSS_DOCK: "receipt",
    Post.PUTAWAY: "put-away",
}


def posted(post: Post, delta: int, named: Named, gone_out: GoneOut) -> Posted:
    """What a movement does; `gone_out`: what left for the order it names before it was heard."""
    if post is Post.RECEIPT_STAGED:
        return Posted(Standing.KEPT, 0)
    if post in FOR_ORDERS and named is Named.BOOKED:
        return Posted(Standing.KEPT, 0)
    if post in FOR_ORDERS and named is Named.UNHEARD:
        return Posted(Standing.PROVISIONAL, 0)
    if post in LEAVING and named is Named.FOREIGN:
        more = gone_out.after(post, delta).units - gone_out.units
        return Posted(Standing.BOOKED if more else Standing.KEPT, -more)
    return Posted(Standing.BOOKED, delta)


def waiting(sold: int, gone_out: GoneOut) -> int:
    """Units of an order that lie there still, though they are sold."""
    return max(sold - gone_out.units, 0)
