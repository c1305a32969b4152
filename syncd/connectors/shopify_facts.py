"""What a Shopify webhook or order says, turned into facts; pure, and strict about what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from syncd.connectors import shopify_shapes as shapes
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

PAID = frozenset({"paid", "partially_refunded", "refunded"})
"""Financial states in which the money has come in."""

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


def order_seen(
    order: shapes.HookOrder | shapes.OrderPart,
    lines: Sequence[tuple[str, int, int, str, str]],
    off_shelf: dict[str, int],
    refunded_at: Sequence[datetime],
    restocked: bool,
) -> OrderSeen:
    """An order's state by Shopify's rules, the same from a webhook and from a query.

    `lines`: (line, current quantity, ordered quantity, variant id, sku). A line's current quantity
    already lacks what was refunded or edited away (vendor documentation), so it holds that plus
    `off_shelf`, the units refunded without restock. This is true of cancelled orders too: cancelling
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
    kind = Kind.CANCELLATION if cancelled else Kind.REFUND if restocked else Kind.SALE
    status = _financial(order)
    return OrderSeen(
        order=_order_id(order),
        version=_microseconds(changed),
        at=max(moved),
        lines=tuple(
            LineSeen(
                line=line,
                taken=units(now + off_shelf.get(line, 0)),
                kept=0 if cancelled else units(now),
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
    off_shelf: dict[str, int] = {}
    restocked = False
    for refund in order.refunds:
        for row in refund.refund_line_items:
            if row.restock_type == KEPT_OFF_SHELF:
                line = number(row.line_item_id)
                off_shelf[line] = off_shelf.get(line, 0) + units(row.quantity)
            else:
                restocked = True
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
    return (order_seen(order, lines, off_shelf, refunded_at, restocked),)


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
