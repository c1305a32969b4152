"""Reading Shopify's answers: their shapes, their errors, and the request rows they speak about.

Pure: what cannot be read becomes RetryLater, so that no broken answer looks like an empty shop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec

from syncd.connectors import shopify_shapes as shapes
from syncd.connectors.base import Outcome, RowResult, WriteRow
from syncd.connectors.budget import Budget
from syncd.connectors.http import Answer, error_words
from syncd.connectors.shopify_facts import KEPT_OFF_SHELF, Refunded, order_seen, stamp, tail, units
from syncd.connectors.shopify_places import Placed, PutBack
from syncd.errors import BadFact, ChannelClosed, Refused, RetryLater
from syncd.stock.model import ListingSeen, OrderSeen, Reading

T = TypeVar("T")

STALE_CODES = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})


class BulkItem:
    """One item of a bulk file, gathered from its own line and those after it."""

    def __init__(self, head: shapes.BulkLine) -> None:
        self.head = head
        self._variant: shapes.VariantPart | None = None
        self._levels: list[shapes.LevelPart] = []

    def add(self, part: shapes.BulkLine) -> None:
        if part.location is not None:
            self._levels.append(shapes.LevelPart(part.location, part.quantities))
        elif part.product is not None:
            self._variant = shapes.VariantPart(
                part.id, part.product, part.barcode, part.title, part.requires_components
            )

    @property
    def counted(self) -> int:
        return 1 if self._variant is not None else 0

    def listings(self) -> list[ListingSeen]:
        head = self.head
        return listings(head.id, head.sku, head.tracked, self._variant, self._levels)


def gid(kind: str, number: str) -> str:
    return f"gid://shopify/{kind}/{number}"


def number_in(gid: str, kind: str) -> str:
    try:
        return tail(gid, kind)
    except ValueError as error:
        raise RetryLater(f"an answer in an unexpected shape: {error}") from error


def next_page(info: shapes.PageInfo) -> str | None:
    if not info.has_next_page:
        return None
    if not info.end_cursor:
        raise RetryLater("a page that has a next one but does not say where")
    return info.end_cursor


def shaped(value: Any, shape: type[T], *, writes: bool = False) -> T:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise RetryLater(
            f"an answer in an unexpected shape: {str(error)[:200]}", maybe_applied=writes
        ) from error


def count_of(data: Mapping[str, Any], name: str) -> int:
    count = (data.get(name) or {}).get("count")
    if not isinstance(count, int):
        raise RetryLater("the shop did not say how big its catalogue is")
    return count


def sellable(parts: Sequence[shapes.Quantity]) -> tuple[int, datetime | None]:
    if len(parts) != 1:
        raise RetryLater("a level without its available quantity")
    try:
        return units(parts[0].quantity), stamp(parts[0].updated_at)
    except BadFact as error:
        raise RetryLater(f"a level that cannot be: {error}") from error


def reading(
    item: str, location: str, node: shapes.ItemRead | None, answered_at: datetime | None = None
) -> Reading:
    if node is None or node.tracked is msgspec.UNSET:
        return Reading(item, location, None, missing=True)
    if node.id != gid("InventoryItem", item):
        raise RetryLater("the items came back in another order")
    level = node.inventory_level
    if level is None or not level.is_active:
        return Reading(item, location, None, missing=True)
    if not node.tracked:
        return Reading(item, location, None)
    quantity, at = sellable(level.quantities)
    return Reading(item, location, quantity, at, answered_at=answered_at)


def listings(
    gid: str,
    sku: str | None,
    tracked: bool,
    variant: shapes.VariantPart | None,
    levels: Sequence[shapes.LevelPart],
) -> list[ListingSeen]:
    """An item at each of its locations; one whose variant is gone is no listing any more.

    The handle is the product's, followed by the variant's title where a product has several.
    """
    if variant is None:
        return []
    # the counts of such a parent follow from its components', and writes to it are refused
    managed = tracked and not variant.requires_components
    item, only = number_in(gid, "InventoryItem"), variant.title in {"", "Default Title"}
    name, product = variant.title, variant.product
    rows = []
    for level in levels:
        quantity, at = sellable(level.quantities) if managed else (None, None)
        rows.append(
            ListingSeen(
                remote=item,
                sku=sku or "",
                quantity=quantity,
                location=number_in(level.location.id, "Location"),
                managed=managed,
                at=at,
                alias=number_in(variant.id, "ProductVariant"),
                barcode=variant.barcode or "",
                handle=product.handle if only else f"{product.handle}/{name}",
                title=product.title if only else f"{product.title} - {name}",
                tags=product.tags,
            )
        )
    return rows


def bulk_line(line: bytes) -> shapes.BulkLine:
    try:
        return msgspec.json.decode(line, type=shapes.BulkLine)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RetryLater("the bulk file broke off or has an unexpected shape") from error


def bulk_refused(errors: Sequence[shapes.UserError]) -> Exception:
    words = "; ".join(e.message for e in errors)[:300] or "no reason given"
    if any(e.code in {"OPERATION_IN_PROGRESS", "LIMIT_REACHED"} for e in errors):
        return RetryLater("five bulk operations are already under way", after_s=60)
    return Refused(f"bulk operation refused: {words}")


def order_of(
    order: shapes.OrderPart,
    lines: Sequence[shapes.OrderLine],
    refunded: Sequence[shapes.RefundLine],
) -> OrderSeen:
    given = Refunded()
    for row in refunded:
        given.add(number_in(row.line_item.id, "LineItem"), row.quantity, row.restock_type)
    rows = [
        (
            number_in(line.id, "LineItem"),
            line.current_quantity,
            line.quantity,
            number_in(line.variant.id, "ProductVariant") if line.variant else "",
            line.sku or "",
        )
        for line in lines
    ]
    try:
        at = [when for refund in order.refunds if (when := stamp(refund.created_at))]
        return order_seen(order, rows, given, at)
    except (BadFact, ValueError) as error:
        raise RetryLater(f"an order that cannot be: {error}") from error


def placed_of(parts: Sequence[shapes.FulfilmentPart]) -> list[Placed]:
    """What fulfilment orders assign, oldest first; a location that was deleted assigns nothing."""
    return [
        Placed(
            number_in(line.line_item.id, "LineItem"),
            number_in(part.assigned_location.location.id, "Location"),
            line.total_quantity,
        )
        for part in sorted(parts, key=lambda part: part.created_at or "")
        if part.assigned_location.location is not None
        for line in part.line_items.nodes
    ]


def put_back(refunded: Sequence[shapes.RefundLine]) -> list[PutBack]:
    """Where refunds put units back; a cancellation takes back what was never sent."""
    return [
        PutBack(
            number_in(row.line_item.id, "LineItem"),
            number_in(row.location.id, "Location"),
            row.quantity,
            sent=row.restock_type.lower() != "cancel",
        )
        for row in refunded
        if row.location is not None and row.restock_type.lower() != KEPT_OFF_SHELF
    ]


def sendable(address: str) -> bool:
    # Plain http is refused by the platform; a stand-in on loopback takes it.
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"}


def row_ids(row: WriteRow) -> dict[str, Any]:
    return {
        "inventoryItemId": gid("InventoryItem", row.ref.remote),
        "locationId": gid("Location", row.ref.location),
    }


def set_row(row: WriteRow) -> dict[str, Any]:
    """A null comparison must be said: leaving it out is an error (recorded, API 2026-04)."""
    return {**row_ids(row), "quantity": row.to_quantity, "changeFromQuantity": row.from_quantity}


def delta_of(row: WriteRow) -> int:
    if row.from_quantity is None:
        raise Refused("a delta needs the quantity it starts from")
    return row.to_quantity - row.from_quantity


def delta_row(row: WriteRow) -> dict[str, Any]:
    return {**row_ids(row), "delta": delta_of(row), "changeFromQuantity": None}


def results(answer: shapes.Written, count: int) -> list[RowResult]:
    """One result per row sent. Any error means that nothing of the batch was applied (recorded)."""
    errors = answer.user_errors
    if not errors:
        group = answer.inventory_adjustment_group
        return [
            RowResult(Outcome.APPLIED, at=when_or_none(group.created_at) if group else None)
        ] * count
    codes = {error.code: error.message for error in errors}
    if "IDEMPOTENCY_CONCURRENT_REQUEST" in codes:
        raise RetryLater("the same attempt is still under way", after_s=2.0, maybe_applied=True)
    if "IDEMPOTENCY_KEY_PARAMETER_MISMATCH" in codes:
        raise Refused("the attempt's key was used with other rows before")
    if "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED" in codes:
        words = codes["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"]
        return [RowResult(Outcome.NOT_APPLIED, words)] * count
    if "SERVICE_UNAVAILABLE" in codes:
        raise RetryLater("the platform's inventory service is away", after_s=5.0)
    named: dict[int, RowResult] = {}
    for error in errors:
        row = place(error.field, count)
        if row is None:
            continue
        if error.code not in STALE_CODES:
            named[row] = RowResult(Outcome.REFUSED, f"{error.code}: {error.message}"[:300])
        else:
            named.setdefault(row, RowResult(Outcome.STALE, error.message[:300]))
    if named:
        return [named.get(i, RowResult(Outcome.NOT_APPLIED)) for i in range(count)]
    words = "; ".join(f"{e.code}: {e.message}" for e in errors)[:300]
    return [RowResult(Outcome.UNNAMED, words)] * count


def place(field: Sequence[str] | None, count: int) -> int | None:
    """The row a user error names: `["input", "quantities", "3", "locationId"]` is 3."""
    for part in field or ():
        if part.isascii() and part.isdigit() and len(part) < 6 and int(part) < count:
            return int(part)
    return None


def when_or_none(text: str | None) -> datetime | None:
    try:
        return stamp(text)
    except BadFact:
        return None


def check_status(answer: Answer) -> None:
    """Statuses with a meaning of their own (vendor documentation); 200 goes on."""
    if answer.status == 200:
        return
    words = f"({answer.status}): {error_words(answer)}"
    if answer.status == 402:
        raise ChannelClosed(f"the shop is frozen for want of payment {words}")
    if answer.status == 423:
        raise ChannelClosed(f"the shop is locked {words}")
    if answer.status == 404:
        raise ChannelClosed(f"no such shop or API version {words}")
    if answer.status == 430:
        raise RetryLater(f"held off by the platform's defences {words}", after_s=60, throttled=True)
    raise Refused(f"the request was refused {words}")


def cost_told(body: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = body.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    return cost if isinstance(cost, dict) else {}


def observe(budget: Budget, told: Mapping[str, Any]) -> None:
    """Tell the budget what the platform's bucket holds; anything but numbers is left unsaid."""
    status = told.get("throttleStatus")
    if not isinstance(status, dict):
        return
    said = [status.get(n) for n in ("currentlyAvailable", "restoreRate", "maximumAvailable")]
    available, rate, maximum = [float(v) if isinstance(v, int | float) else None for v in said]
    budget.observe(available, rate, maximum)


def price(answer: Answer) -> float | None:
    """Points the platform took for this answer; the rest of what was asked for it gave back."""
    try:
        return msgspec.json.decode(
            answer.body, type=shapes.Priced
        ).extensions.cost.actual_query_cost
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def throttled_s(cost: Mapping[str, Any]) -> float | None:
    """Seconds until the refused request would fit: (requested - available) / restore rate."""
    try:
        status = cost["throttleStatus"]
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return min(max(missing / float(status["restoreRate"]), 0.1), 60.0)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def raise_told(
    budget: Budget, op: str, errors: Any, told: Mapping[str, Any], *, writes: bool
) -> NoReturn:
    """Raise what top-level errors say. Reads accept no partial data: what failed must not look deleted."""
    first = errors[0] if isinstance(errors, list) and errors else errors
    extensions = (first.get("extensions") if isinstance(first, dict) else None) or {}
    code = extensions.get("code") if isinstance(extensions, dict) else None
    words = str(first.get("message", code) if isinstance(first, dict) else first)[:300]
    if code == "THROTTLED":
        after_s = throttled_s(told)
        budget.throttled(after_s)
        raise RetryLater("throttled", after_s=after_s, throttled=True)
    if code == "SHOP_INACTIVE":
        raise ChannelClosed(f"the shop is not active: {words}")
    if code == "ACCESS_DENIED" and op in {"set", "delta", "read", "catalogue", "whoami"}:
        raise ChannelClosed(f"a permission is missing: {words}")
    if code in {None, "INTERNAL_SERVER_ERROR", "TIMEOUT"}:
        raise RetryLater(f"platform error: {words}", maybe_applied=writes)
    raise Refused(f"{code}: {words}")


@contextmanager
def only_writes_apply(writes: bool) -> Iterator[None]:
    """Every request is a POST here, but a question whose answer is lost has changed nothing."""
    try:
        yield
    except RetryLater as error:
        if writes or not error.maybe_applied:
            raise
        raise RetryLater(error.reason, after_s=error.after_s, throttled=error.throttled) from error
