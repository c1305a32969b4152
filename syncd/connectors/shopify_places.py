"""From which locations the lines of a Shopify order took their units; pure.

An order's webhook names no location: its fulfilment orders do, and a refund says where it put units
back (vendor documentation of FulfillmentOrder.assignedLocation and RefundLineItem.location, read
2026-11-26). How many units a line holds in all is told by the order itself (`shopify_facts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from syncd.stock.model import LineSeen, OrderSeen

PLACE_TOPICS = frozenset(
    {
        "fulfillment_orders/moved",
        "fulfillment_orders/order_routing_complete",
        "fulfillment_orders/cancelled",
        "fulfillment_orders/split",
        "fulfillment_orders/merged",
    }
)
"""What says that an order's units may be sent from another location than before. They name fulfilment
orders and no order. Known by name alone: no recorded message of them is at hand."""

OF_FULFILMENT = "fulfilment-order:"
"""Begins the name of an order of which only a fulfilment order is known yet."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Units of a line that a fulfilment order assigns to a location, sent or not; oldest first."""

    line: str
    location: str
    units: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Units of a line that a refund put back at a location. `sent`: they had been sent before."""

    line: str
    location: str
    units: int
    sent: bool


def by_place(seen: OrderSeen, placed: Sequence[Placed], back: Sequence[PutBack]) -> OrderSeen:
    """The order with each of its lines split by location; the sum of a line's units stays.

    What was sent from one location and came back to another is held by the first and given by the
    second, which then holds less than nothing.
    """
    lines: list[LineSeen] = []
    for line in seen.lines:
        mine = [p for p in placed if p.line == line.line]
        given = [b for b in back if b.line == line.line]
        held = _held(line.taken, mine, given)
        lines += _split(line, held, given)
    return replace(seen, lines=tuple(lines))


def _held(taken: int, placed: Sequence[Placed], back: Sequence[PutBack]) -> dict[str, int]:
    """Units by location, which sum to what the line holds in all."""
    held: dict[str, int] = {}
    for one in placed:
        held[one.location] = held.get(one.location, 0) + one.units
    for gone in back:
        if gone.sent:
            held[gone.location] = held.get(gone.location, 0) - gone.units
    # a fulfilment order may still name units that were taken back before they were sent
    unsent = [b for b in back if not b.sent]
    for location, units in [(b.location, b.units) for b in unsent] + _oldest(placed):
        over = sum(held.values()) - taken
        if over > 0 and location in held:
            held[location] -= max(0, min(units, over, held[location]))
    missing = taken - sum(held.values())
    if missing:
        # refunded and not put back: off the shelf they were assigned to, or assigned to none yet
        at = max(held, key=lambda place: held[place], default=_last(placed))
        held[at] = held.get(at, 0) + missing
    return held


def _oldest(placed: Sequence[Placed]) -> list[tuple[str, int]]:
    return [(p.location, p.units) for p in placed]


def _last(placed: Sequence[Placed]) -> str:
    return placed[-1].location if placed else ""


def _split(line: LineSeen, held: dict[str, int], back: Sequence[PutBack]) -> Iterable[LineSeen]:
    """One line a location; units refunded but not put back are kept by nobody.

    Each has sold what it holds and what came back there; what nobody says of, the first one has.
    """
    lost, sold = max(line.taken - line.kept, 0), dict[str, int]()
    if line.sold is not None:
        sold = {
            place: units + sum(b.units for b in back if b.location == place)
            for place, units in held.items()
        }
        for place in sorted(held)[:1]:
            sold[place] += line.sold - sum(sold.values())
    for location, units in sorted(held.items()):
        if units or sold.get(location):
            less = max(min(lost, units), 0)
            lost -= less
            told = sold.get(location)
            yield replace(line, location=location, taken=units, kept=units - less, sold=told)
