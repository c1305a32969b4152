"""What a Shopify webhook or order says, turned into facts; pure, and strict about what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from syncd.connectors import shopify_shapes as shapes
from syncd.connectors.shopify_places import OF_FULFILMENT, PLACE_TOPICS
from syncd.errors import BadFact
from syncd.stock.model import (
    QUANTITY_LIMIT,
    ChannelGone,
    Fact,
    ItemGone,
    Kind,
    LevelSeen,
    LineSeen,
    OrderHint,
    OrderSeen,
)

T = TypeVar("T")

PAID = frozenset({"paid", "partially_paid", "partially_refunded", "refunded"})
"""Financial states in which money has come in. An order that was paid and then grew is paid in part."""

KEPT_OFF_SHELF = "no_restock"
"""The restock type of a refund that puts nothing back (cancel, return, legacy_restock do)."""


def stamp(text: str | None) -> datetime | None:
    """A time of the platform in UTC, None where it gives none; raises BadFact when unreadable."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError) as error:
        raise BadFact(f"not a time: {text[:40]!r}") from error


def number(value: shapes.Id) -> str:
    """An id as text, exact whatever its size; raises BadFact unless it is a positive integer."""
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) <= 20:
            return value
    elif 0 < value < 10**20:
        return str(value)
    raise BadFact("an id is not a positive integer")


def tail(gid: str, kind: str) -> str:
    """The numeric id in `gid://shopify/KIND/NUMBER`; raises ValueError for anything else."""
    head, _, rest = gid.partition(f"gid://shopify/{kind}/")
    if head or not (rest.isascii() and rest.isdigit()):
        raise ValueError(f"not the id of one {kind}")
    return rest


def units(value: int) -> int:
    """A quantity within the limits; raises BadFact beyond them."""
    if abs(value) > QUANTITY_LIMIT:
        raise BadFact("a quantity beyond one thousand million")
    return value


@dataclass(slots=True)
class Refunded:
    """Units refunded of an order, by line: all of them, and those that were put back nowhere."""

    units: dict[str, int] = field(default_factory=dict)
    off_shelf: dict[str, int] = field(default_factory=dict)
    restocked: bool = False
    """Some were put back."""

    def add(self, line: str, quantity: int, restock_type: str | None) -> None:
        self.units[line] = self.units.get(line, 0) + quantity
        if restock_type is not None and restock_type.lower() == KEPT_OFF_SHELF:
            self.off_shelf[line] = self.off_shelf.get(line, 0) + quantity
        else:
            self.restocked = True


def order_seen(
    order: shapes.HookOrder | shapes.OrderPart,
    lines: Sequence[tuple[str, int, int, str, str]],
    refunded: Refunded,
    refunded_at: Sequence[datetime],
) -> OrderSeen:
    """An order's state by Shopify's rules, the same from a webhook and from a query.

    `lines`: (line, current quantity, ordered quantity, variant id, sku). A line's current quantity
    already lacks what was refunded or edited away (vendor documentation), so it holds that plus
    the units refunded without restock. This is true of cancelled orders too: cancelling
    with restock makes a refund of type cancel, cancelling without leaves the units off the shelf.
    The shelf moved last when the order was made, refunded or cancelled; when lines shrank without a
    refund, an edit did it, and the order's own time of change is the best there is.
    """
    made, changed = stamp(order.created_at), stamp(order.updated_at)
    if made is None or changed is None:
        raise BadFact("an order without the times it was made and changed")
    cancelled = stamp(order.cancelled_at)
    moved = [made, *refunded_at] + ([cancelled] if cancelled else [])
    if not refunded_at and any(now != ordered for _, now, ordered, _, _ in lines):
        moved.append(changed)
    kind = Kind.CANCELLATION if cancelled else Kind.REFUND if refunded.restocked else Kind.SALE
    status = _financial(order)
    return OrderSeen(
        order=_order_id(order),
        version=_microseconds(changed),
        at=max(moved),
        lines=tuple(
            LineSeen(
                line=line,
                taken=units(now + refunded.off_shelf.get(line, 0)),
                kept=0 if cancelled else units(now),
                # an edit that took units off a line took them out of its sale
                sold=units(now + refunded.units.get(line, 0)),
                alias=variant,
                sku=sku,
            )
            for line, now, _, variant, sku in lines
        ),
        number=order.name or "",
        paid=status is None or status in PAID,
        terminal=cancelled is not None,
        kind=kind,
        created=made,
    )


def _order_id(order: shapes.HookOrder | shapes.OrderPart) -> str:
    return tail(order.id, "Order") if isinstance(order, shapes.OrderPart) else number(order.id)


def _financial(order: shapes.HookOrder | shapes.OrderPart) -> str | None:
    if isinstance(order, shapes.OrderPart):
        return order.display_financial_status and order.display_financial_status.lower()
    return order.financial_status


def _microseconds(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def order_gone(order: str, now: datetime) -> OrderSeen:
    """An order that was deleted for good: it holds nothing and never changes again."""
    return OrderSeen(
        order=order, version=_microseconds(now), at=now, lines=(), terminal=True, gone=True
    )


def _order(body: bytes) -> Sequence[Fact]:
    order = _read(body, shapes.HookOrder)
    refunded = Refunded()
    for refund in order.refunds:
        for row in refund.refund_line_items:
            refunded.add(number(row.line_item_id), units(row.quantity), row.restock_type)
    lines = [
        (
            number(line.id),
            # Before 2022 payloads lacked it; then nothing says that units came off the line.
            line.quantity if line.current_quantity is None else line.current_quantity,
            line.quantity,
            number(line.variant_id) if line.variant_id is not None else "",
            line.sku or "",
        )
        for line in order.line_items
    ]
    if any(now < 0 or ordered < 0 for _, now, ordered, _, _ in lines):
        raise BadFact("an order line with a negative quantity")
    refunded_at = [at for refund in order.refunds if (at := stamp(refund.created_at))]
    return (order_seen(order, lines, refunded, refunded_at),)


def _level(body: bytes) -> Sequence[Fact]:
    seen = _read(body, shapes.HookLevel)
    quantity = None if seen.available is None else units(seen.available)
    item, location = number(seen.inventory_item_id), number(seen.location_id)
    return (LevelSeen(item, location, quantity, stamp(seen.updated_at)),)


def _item_changed(body: bytes) -> Sequence[Fact]:
    """The message lacks counts and locations: a look at wherever this item is listed."""
    return (LevelSeen(number(_read(body, shapes.HookId).id)),)


def _item_gone(body: bytes) -> Sequence[Fact]:
    return (ItemGone((number(_read(body, shapes.HookId).id),)),)


def _product(body: bytes) -> Sequence[Fact]:
    """Only the first hundred variants come in full (vendor documentation): hints, nothing more."""
    variants = _read(body, shapes.HookProduct).variants
    return tuple(
        LevelSeen(number(variant.inventory_item_id))
        for variant in variants
        if variant.inventory_item_id is not None
    )


def _order_named(body: bytes) -> Sequence[Fact]:
    return (OrderHint(number(_read(body, shapes.HookId).id)),)


def _refund(body: bytes) -> Sequence[Fact]:
    return (OrderHint(number(_read(body, shapes.HookRefund).order_id)),)


def _edit(body: bytes) -> Sequence[Fact]:
    return (OrderHint(number(_read(body, shapes.HookEdit).order_edit.order_id)),)


def _assigned(body: bytes) -> Sequence[Fact]:
    """Every fulfilment order that a message of these topics names; the order behind it is asked for."""
    named = dict.fromkeys(_fulfilments(_read(body, dict[str, Any]), deep=4))
    if not named:
        raise BadFact("names no fulfilment order")
    try:
        return tuple(OrderHint(OF_FULFILMENT + tail(x, "FulfillmentOrder")) for x in named)
    except ValueError as error:
        raise BadFact(str(error)) from error


def _fulfilments(said: Any, deep: int) -> Iterator[str]:
    """The gids of fulfilment orders anywhere in a message: each topic puts them elsewhere."""
    if isinstance(said, str) and said.startswith("gid://shopify/FulfillmentOrder/"):
        yield said
    elif deep and isinstance(said, dict | list):
        for part in said.values() if isinstance(said, dict) else said:
            yield from _fulfilments(part, deep - 1)


def _uninstalled(body: bytes) -> Sequence[Fact]:
    _read(body, shapes.HookId)
    return (ChannelGone("the app was uninstalled from the shop"),)


_READERS: dict[str, Callable[[bytes], Sequence[Fact]]] = {
    "inventory_levels/update": _level,
    "inventory_levels/connect": _level,
    "inventory_levels/disconnect": _level,
    "inventory_items/update": _item_changed,
    "inventory_items/create": _item_changed,
    "inventory_items/delete": _item_gone,
    "products/update": _product,
    "orders/create": _order,
    "orders/updated": _order,
    "orders/cancelled": _order,
    "orders/paid": _order,
    "orders/fulfilled": _order,
    "orders/partially_fulfilled": _order,
    "orders/edited": _edit,
    "orders/delete": _order_named,
    "refunds/create": _refund,
    "app/uninstalled": _uninstalled,
    **dict.fromkeys(PLACE_TOPICS, _assigned),
}


def facts(topic: str, body: bytes) -> Sequence[Fact]:
    """The facts of a webhook; none for a topic that says nothing about stock.

    products/delete names only the product, which is no listing here: its items announce themselves
    by inventory_items/delete, and the sweep finds what even that missed.
    """
    reader = _READERS.get(topic)
    return reader(body) if reader is not None else ()


def _read(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise BadFact(f"not a webhook of its topic: {reason[:200]}") from error
