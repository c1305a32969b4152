"""What WooCommerce says, read into facts: orders, products, variations and its error objects.

Pure functions of one JSON value. A shape that cannot be read raises RetryLater (an answer may be
right the next time), a quantity that cannot be true raises BadFact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from syncd.connectors.base import Outcome, Ref, RowResult
from syncd.errors import BadFact, RetryLater
from syncd.stock.model import (
    QUANTITY_LIMIT,
    Fact,
    ItemGone,
    ItemSeen,
    Kind,
    LevelSeen,
    LineSeen,
    ListingSeen,
    OrderHint,
    OrderSeen,
    Reading,
    SubscriptionChanged,
)

OVER_STATUSES = frozenset({"cancelled", "refunded", "failed", "trash"})
"""Nobody keeps or waits for the goods any more, whatever the shelf was given back."""

DRAFTS = frozenset({"checkout-draft", "auto-draft", "draft", "new"})
"""No order yet: somebody is still at the checkout, or types one in."""

ENDED_BY_THE_SHOP = "checkout"
"""Of unpaid orders only those that came so are cancelled by the shop itself once its "hold stock"
minutes are over; what an admin or an API made can be paid as long as it is there."""

NO_SUCH_ORDER = "woocommerce_rest_shop_order_invalid_id"

_KINDS = {"cancelled": Kind.CANCELLATION, "pending": Kind.CANCELLATION, "refunded": Kind.REFUND}


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RetryLater("the answer has an unexpected shape: no object")
    return value


def as_rows(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise RetryLater("the answer has an unexpected shape: no list of objects")
    return value


def decoded(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadFact("the body is not JSON") from error
    if not isinstance(value, dict):
        raise BadFact("the body is no object")
    return value


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number_of(value: Any) -> str:
    """An id as text; "" where there is none (0 means none here)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value)
    return text if re.fullmatch(r"[1-9][0-9]{0,19}", text) else ""


def id_of(row: Mapping[str, Any]) -> str:
    number = number_of(row.get("id"))
    if not number:
        raise RetryLater("the answer has a row without an id")
    return number


def name_of(row: Mapping[str, Any]) -> tuple[str, str]:
    return id_of(row), text(row.get("date_modified_gmt"))


def stamp(value: Any) -> datetime | None:
    """`2026-11-22T03:27:18`: UTC although it does not say so, whole seconds."""
    try:
        at = datetime.fromisoformat(text(value))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def whole(value: Any, what: str) -> int:
    """A whole number, or its text; plugins sell fractions, which are never rounded."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadFact(f"{what}: {str(value)[:40]!r} is no whole number")
    return value


def meta_of(row: Mapping[str, Any], key: str) -> Any:
    for entry in as_rows(row.get("meta_data") or []):
        if entry.get("key") == key:
            return entry.get("value")
    return None


def error_facts(body: Mapping[str, Any]) -> Sequence[Fact]:
    """Signed error objects (observed on WooCommerce 10.7.0, 2026-11-22).

    An order deleted for good leaves one without its id: nothing to book. Any other (the owner of
    the webhook is gone: upstream issue 37806) means that the registration is worth an audit.
    """
    return () if body["code"] == NO_SUCH_ORDER else (SubscriptionChanged(),)


def order_facts(
    body: dict[str, Any], happened: str, unpaid_expires: timedelta | None = None
) -> Sequence[Fact]:
    """The whole order as it was at delivery; `{"id": N}` for the trash, which keeps its units.

    Partial refunds name no lines here, so such an order is fetched.
    """
    refunded = body.get("refunds") and text(body.get("status")) not in OVER_STATUSES
    if happened == "deleted" or refunded or "line_items" not in body:
        return (OrderHint(id_of(body)),)
    return (order_seen(body, {}, unpaid_expires),)


def order_seen(
    row: dict[str, Any], refunded: Mapping[str, int], unpaid_expires: timedelta | None = None
) -> OrderSeen:
    """One order. Raises BadFact for a quantity that is no whole number.

    Stamps are whole seconds: two states may share a version, and are fetched again by the core.
    Only an order deleted for good is terminal: from every status there is a way on. A draft of the
    checkout has a status of its own, and nothing is taken or kept for it.
    """
    order = id_of(row)
    created = stamp(row.get("date_created_gmt"))
    at = stamp(row.get("date_modified_gmt")) or created
    if at is None:
        raise BadFact(f"order {order} has no time of modification")
    status, paid = text(row.get("status")), bool(row.get("date_paid_gmt"))
    lines = tuple(
        line
        for one in as_rows(row.get("line_items") or [])
        if (line := _line(order, one, status, paid=paid, refunded=refunded)) is not None
    )
    if number_of(row.get("parent_id")):
        # a part of another order, whose lines wait for the same units (plugins for several vendors)
        lines = tuple(replace(x, waits=0, sold=x.sold if x.taken else 0) for x in lines)
    ends = unpaid_expires if text(row.get("created_via")) == ENDED_BY_THE_SHOP else None
    if len({line.line for line in lines}) < len(lines):
        raise BadFact(f"order {order} names a line twice")
    return OrderSeen(
        order=order,
        version=_version(at),
        at=at,
        lines=lines,
        number=text(row.get("number")),
        paid=paid,
        kind=_KINDS.get(status, Kind.SALE),
        created=created,
        payable_until=(created or at) + ends if ends else None,
    )


def _line(
    order: str, row: dict[str, Any], status: str, *, paid: bool, refunded: Mapping[str, int]
) -> LineSeen | None:
    """`_reduced_stock` says what the line holds; without it nothing is held, fraction or not.

    A paid line that holds nothing now and was given back, or may be paid again, held it before. What
    is pending is kept for its payer by the shop, which shows it in no number (checked against the
    plugin's source, 10.7.0). None: a free line, of no product, which holds nothing.
    """
    name = id_of(row)
    where = f"order {order} line {name}"
    reduced, quantity = meta_of(row, "_reduced_stock"), row.get("quantity", 0)
    taken = 0 if reduced is None else whole(reduced, where)
    if not 0 <= taken <= QUANTITY_LIMIT:
        raise BadFact(f"{where}: {taken} units taken")
    over = status in OVER_STATUSES or status in DRAFTS
    if (over or reduced is None) and isinstance(quantity, float):
        kept = sold = waits = 0
    else:
        quantity, given = whole(quantity, where), refunded.get(name, 0)
        kept = 0 if over else max(quantity - given, 0)
        came_back = paid and (bool(given) or status in ("cancelled", "refunded", "pending"))
        sold = max(quantity, taken) if taken or came_back else 0
        waits = kept if status == "pending" and not taken and not paid else 0
    product, variation = number_of(row.get("product_id")), number_of(row.get("variation_id"))
    remote, sku = variation or product, text(row.get("sku"))
    if not remote and not sku:
        if taken:
            raise BadFact(f"{where} holds {taken} units of no product")
        return None
    return LineSeen(
        name, taken, kept, remote=remote, alias=product, sku=sku, sold=sold, waits=waits
    )


def _version(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def deleted_order(order: str, now: datetime) -> OrderSeen:
    """Deleted for good: the shop does not say when, so it is now; it gives nothing back there."""
    return OrderSeen(order, _version(now), now, lines=(), terminal=True, gone=True)


def product_facts(body: dict[str, Any], happened: str) -> Sequence[Fact]:
    """A product, or a variation in the shape of one (`type` variation, `parent_id`).

    Stock moved by orders and by the API arrives here as `product.updated`.
    """
    remote = id_of(body)
    if happened == "deleted" or body.get("status") == "trash":
        return (ItemGone(remotes=(remote,)), ItemGone(group=remote))
    if body.get("manage_stock") == "parent":
        parent = number_of(body.get("parent_id"))
        return (LevelSeen(parent),) if parent else ()
    quantity = body.get("stock_quantity")
    if body.get("manage_stock") is True and _tracked(body) is None:
        raise BadFact(f"product {remote}: {quantity!r} in stock is no whole number")
    seen = listing_seen(body)
    level = LevelSeen(remote, quantity=seen.quantity, at=seen.at)
    return (ItemSeen((seen,)), level) if seen.sku else (level,)


def listing_seen(row: dict[str, Any], parent: str = "") -> ListingSeen:
    """One row of the catalogue. A fraction in stock (a plugin's) makes it unmanaged here.

    `alias` is set where variations may leave their stock to this row: lines name it by that.
    """
    remote, quantity = id_of(row), _tracked(row)
    if row.get("type") == "variation":
        parent = parent or number_of(row.get("parent_id"))
    return ListingSeen(
        remote=remote,
        sku=text(row.get("sku")),
        quantity=quantity,
        managed=quantity is not None,
        at=stamp(row.get("date_modified_gmt")),
        alias=remote if row.get("variations") and quantity is not None else "",
        group=parent,
        barcode=text(row.get("global_unique_id")),
        handle=text(row.get("slug")),
        title=text(row.get("name")),
    )


def variations_seen(rows: Iterable[dict[str, Any]], parent: str = "") -> list[ListingSeen]:
    found = (listing_seen(row, parent) for row in rows if row.get("manage_stock") != "parent")
    return list(found)


def _tracked(row: Mapping[str, Any]) -> int | None:
    quantity = row.get("stock_quantity")
    if not isinstance(quantity, int) or isinstance(quantity, bool):
        return None
    possible = row.get("manage_stock") is True and abs(quantity) <= QUANTITY_LIMIT
    return quantity if possible else None


def reading_of(ref: Ref, row: Mapping[str, Any] | None) -> Reading:
    if row is None:
        return Reading(ref.remote, ref.location, None, missing=True)
    at, answered_at = stamp(row.get("date_modified_gmt")), row.get("_answered_at")
    return Reading(ref.remote, ref.location, _tracked(row), at=at, answered_at=answered_at)


RETIRED, ON_SALE = "private", "publish"
"""Statuses of products and variations alike."""


def of_sale(row: Mapping[str, Any] | None, *, out: bool, again: bool) -> RowResult | None:
    """What is known of a listing that is to be out of sale, or back; None: it is to be turned.

    Only what is published is taken out, and only what is private brought back: a draft is not ours.
    """
    if row is None:
        return RowResult(Outcome.REFUSED, "no such product")
    status = text(row.get("status"))
    if status == (ON_SALE if out else RETIRED):
        return None
    if not out or (again and status == RETIRED):
        return RowResult(Outcome.APPLIED)
    return RowResult(Outcome.NOT_APPLIED, f"it is {status[:40]} already")


def status_result(row: Mapping[str, Any], wanted: str) -> RowResult:
    """What became of one row of a batch that sets statuses."""
    error = row.get("error")
    if error is not None:
        words = error.get("message") or error.get("code") if isinstance(error, dict) else error
        return RowResult(Outcome.REFUSED, str(words)[:200])
    status = text(row.get("status"))
    if status != wanted:
        return RowResult(Outcome.REFUSED, f"the shop keeps it {status[:40]}")
    return RowResult(Outcome.APPLIED)
