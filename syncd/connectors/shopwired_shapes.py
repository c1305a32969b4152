"""What ShopWired says, read into facts: orders, products, stock messages, times.

Pure functions of one JSON value. A shape that cannot be read raises RetryLater (an answer may be
right the next time), a quantity that cannot be true raises BadFact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from syncd.connectors.http import Answer, error_words
from syncd.errors import BadFact, Refused, RetryLater
from syncd.stock.model import QUANTITY_LIMIT, LevelSeen, ListingSeen

NO_SKU = "no-sku:"
"""Names a listing without a sku; no sku of a shop is taken for it, since it is never sent."""


def body_of(answer: Answer) -> Any:
    if answer.status >= 300:
        raise Refused(f"answer {answer.status}: {error_words(answer)}")
    return answer.json()


def decoded(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadFact("the body is not JSON") from error
    if not isinstance(value, dict):
        raise BadFact("the body is no object")
    return value


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RetryLater("the answer has an unexpected shape: no object")
    return value


def as_rows(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise RetryLater("the answer has an unexpected shape: no list of objects")
    return value


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def id_of(value: Any) -> str:
    """An id or reference as text; "" where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return str(value)


sku_of = id_of


def stamp(value: Any) -> datetime | None:
    """RFC 2822 as the platform writes it, else ISO 8601; without a zone it is UTC. None: no time."""
    if not isinstance(value, str) or not value:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def quantity_of(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > QUANTITY_LIMIT:
        raise BadFact(f"not a quantity: {str(value)[:40]}")
    return value


def units_of(value: Any, order: str) -> int:
    try:
        units = quantity_of(value)
    except BadFact as error:
        raise BadFact(f"order {order}: {error}") from error
    if units < 0:
        raise BadFact(f"order {order}: a line of {units} units")
    return units


def status_type(order: Mapping[str, Any]) -> str:
    """paid, unpaid, cancelled, shipped or custom (vendor help page); else the status's name."""
    status = order.get("status")
    found = status if isinstance(status, dict) else {"name": status}
    return (text(found.get("type")) or text(found.get("name"))).casefold()


def complete(order: Mapping[str, Any]) -> bool:
    """Whether an order says what it holds: absent products are not no products."""
    products = order.get("products")
    lines = isinstance(products, list) and all(isinstance(one, dict) for one in products)
    return lines and bool(status_type(order))


def refunded_in_full(order: Mapping[str, Any]) -> bool:
    """A refund is a sum of money without lines (vendor help page): only all of it says anything."""
    refunds, total = order.get("refunds"), order.get("total")
    if not isinstance(refunds, list) or not isinstance(total, int | float) or total <= 0:
        return False
    sums = [one.get("value", one.get("amount")) for one in refunds if isinstance(one, dict)]
    return sum(abs(one) for one in sums if isinstance(one, int | float)) >= total - 0.005


def level_seen(found: Mapping[str, Any], at: datetime) -> LevelSeen:
    sku = sku_of(found.get("sku"))
    if not sku:
        raise BadFact("product.stock_changed names no sku")
    quantity = found.get("newQuantity")
    return LevelSeen(sku, quantity=None if quantity is None else quantity_of(quantity), at=at)


def listings_of(product: Mapping[str, Any]) -> list[ListingSeen]:
    """A product's variations, or the product itself. "Do not set a sku on a product whose
    variations have skus" (vendor help page): one that has both counts as well.
    """
    variations = product.get("variations")
    rows = variations if isinstance(variations, list) else []
    parts = [one for one in rows if isinstance(one, dict)]
    own = [] if parts and not sku_of(product.get("sku")) else [product]
    return [listing_seen(one, product) for one in [*own, *parts]]


def listing_seen(row: Mapping[str, Any], product: Mapping[str, Any]) -> ListingSeen:
    sku, kind = sku_of(row.get("sku")), "product" if row is product else "variation"
    try:
        quantity = quantity_of(row.get("stock")) if sku else None
    except BadFact:
        quantity = None
    return ListingSeen(
        remote=sku or f"{NO_SKU}{kind}:{id_of(row.get('id'))}",
        sku=sku,
        quantity=quantity,
        managed=quantity is not None,
        barcode=id_of(row.get("gtin")),
        handle=text(product.get("slug")),
        title=text(product.get("title")),
    )


def alive(row: Mapping[str, Any]) -> bool:
    """How the list marks a dead webhook is not documented: any of these does."""
    off = [row.get(name) is False for name in ("active", "enabled", "verified")]
    status = text(row.get("status")).casefold()
    return not any(off) and not row.get("disabled") and status in ("", "active", "enabled")
