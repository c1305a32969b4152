"""Orders of no channel: placed by phone, at a counter, by a machine. Each post is an order's whole state."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from syncd.console.catalogue import Moment
from syncd.console.movements import AHEAD, Name
from syncd.console.problems import FieldError, Problem, invalid, missing
from syncd.console.routes import Asked, Nothing, Told, get, post
from syncd.console.wishes import Sku
from syncd.db import ledger, posted_orders, postings
from syncd.db.posted_orders import PostedOrder
from syncd.fanout import Heard, book
from syncd.stock.facts import VERSION_LIMIT, YEARS
from syncd.stock.model import QUANTITY_LIMIT, Kind, LineSeen, OrderSeen
from syncd.stock.orders import News, OrderKnown, digest, judge
from syncd.stock.rulebook import INTERNAL, ChannelRules, Rulebook

Units = Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_LIMIT)]

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class OrderLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A line as it is now. `restocked`: of the units cancelled or refunded, those back on the shelf; left out: all.

    `warehouse` may be left out where there is one.
    """

    line: Name
    sku: Sku
    quantity: Units
    cancelled: Units = 0
    refunded: Units = 0
    restocked: Units | None = None
    warehouse: str | None = None


class OrderPosted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An order with all of its lines as they are now; a line that is absent now holds nothing any more.

    `version` grows with every state (left out: the time of this call): an older one changes nothing.
    `status` cancelled gives back every unit, or with `restock` false none. `at`: when the shelf moved.
    `status` reserved books nothing and holds its units for the customer: no channel sells them, until
    the order is posted as open or cancelled, or `reserved_until` has passed.
    """

    id: Name
    lines: Annotated[list[OrderLine], msgspec.Meta(max_length=1000)]
    number: Annotated[str, msgspec.Meta(max_length=255)] = ""
    status: Literal["open", "reserved", "cancelled"] = "open"
    restock: bool = True
    version: Annotated[int, msgspec.Meta(ge=0, le=VERSION_LIMIT)] | None = None
    placed_at: Moment | None = None
    at: Moment | None = None
    reserved_until: Moment | None = None


class LineShown(msgspec.Struct):
    """A line as it is booked: `taken` units off the shelf, `booked` of them in the ledger.

    `held`: units that are promised and not booked.
    """

    line: str
    sku: str | None
    warehouse: str | None
    taken: int
    booked: int
    held: int


class OrderShown(msgspec.Struct):
    """An order as it is known. `outcome` known: this state was booked before; old: a newer one was."""

    id: str
    number: str
    version: int
    outcome: Literal["booked", "known", "old"]
    lines: list[LineShown]


async def post_order(told: Told[OrderPosted]) -> OrderShown:
    rules = told.booking.rules.named(INTERNAL)
    assert rules is not None
    _refuse_times(told.body, told.booking.now)
    await postings.alone(told.conn, rules.id)
    body = told.body
    known = await posted_orders.state(told.conn, rules.id, body.id)
    if body.version is None:
        # a newer state than any before, wherever our clock was then
        now = (told.booking.now - EPOCH) // MICROSECOND
        body.version = max(now, known[0] + 1) if known else now
    if body.at is None:
        body.at = told.booking.now
    seen = seen_in(told.booking.rules, body)
    news = judge(OrderKnown(*known) if known else None, seen, digest(seen))
    if news is News.AMBIGUOUS:
        said = f"version {body.version} of order {body.id} was posted before, saying something else"
        raise Problem(409, "version", said)
    if news is News.OLD:
        assert known is not None
        same = known[0] == seen.version
        return await _shown(told, rules, body.id, "known" if same else "old")
    await posted_orders.keep(
        told.conn, body.id, msgspec.json.encode(body), told.actor, told.booking.now
    )
    heard = Heard(rules.id, seen, received_at=told.booking.now)
    await book(told.conn, told.booking, [heard])
    return await _shown(told, rules, body.id, "booked")


def seen_in(rules: Rulebook, body: OrderPosted) -> OrderSeen:
    """A posted order as the fact it states. Raises Problem 422 with every line that cannot be."""
    errors: list[FieldError] = []
    lines: dict[str, LineSeen] = {}
    for place, line in enumerate(body.lines):
        warehouse = _warehouse(rules, line)
        for field, wrong in (
            ("line", "stands there twice" if line.line in lines else ""),
            ("warehouse", "is missing or no warehouse's name" if warehouse is None else ""),
            ("quantity", _beyond(line)),
        ):
            if wrong:
                errors.append(FieldError(wrong, pointer=f"/lines/{place}/{field}"))
        lines[line.line] = _line(body, line, warehouse or "")
    if errors:
        raise invalid(*errors)
    assert body.version is not None
    assert body.at is not None
    return OrderSeen(
        order=body.id,
        version=body.version,
        at=body.at,
        lines=tuple(lines.values()),
        number=body.number,
        paid=body.status != "reserved",
        kind=_kind(body),
        created=body.placed_at,
        payable_until=body.reserved_until,
    )


def _warehouse(rules: Rulebook, line: OrderLine) -> str | None:
    if line.warehouse is None and len(rules.warehouses) == 1:
        return next(iter(rules.warehouses))
    return line.warehouse if line.warehouse in rules.warehouses else None


def _beyond(line: OrderLine) -> str:
    back = line.cancelled + line.refunded
    if back > line.quantity:
        return f"is less than the {back} cancelled and refunded"
    if line.restocked is not None and line.restocked > back:
        return f"has more restocked than the {back} cancelled and refunded"
    return ""


def _line(body: OrderPosted, line: OrderLine, warehouse: str) -> LineSeen:
    back = line.cancelled + line.refunded
    restocked = back if line.restocked is None else line.restocked
    taken, kept, sold = line.quantity - restocked, line.quantity - back, line.quantity
    if body.status == "cancelled":
        taken, kept = (0 if body.restock else taken), 0
    return LineSeen(line.line, taken, kept, sku=line.sku, location=warehouse, sold=sold)


def _kind(body: OrderPosted) -> Kind:
    if body.status != "cancelled" and any(line.refunded for line in body.lines):
        return Kind.REFUND
    return Kind.CANCELLATION


def _refuse_times(body: OrderPosted, now: datetime) -> None:
    for field, at in (("at", body.at), ("placed_at", body.placed_at)):
        if at is not None and (at.year not in YEARS or at > now + AHEAD):
            raise invalid(FieldError("is no time at which this can have been", pointer=f"/{field}"))
    if body.reserved_until is not None and body.status != "reserved":
        raise invalid(FieldError("ends what is not reserved", pointer="/reserved_until"))
    if body.reserved_until is not None and body.reserved_until.year not in YEARS:
        raise invalid(FieldError("is no time that can come", pointer="/reserved_until"))


async def _shown(
    told: Told[OrderPosted] | Asked[Nothing],
    rules: ChannelRules,
    order: str,
    outcome: Literal["booked", "known", "old"],
) -> OrderShown:
    known = await posted_orders.state(told.conn, rules.id, order)
    assert known is not None
    kept = await posted_orders.posted(told.conn, order)
    body = msgspec.json.decode(kept.body, type=OrderPosted) if kept else None
    skus = {line.line: line.sku for line in body.lines} if body else {}
    rows = [row for row in await ledger.lines(told.conn, [(rules.id, order)]) if not row.part]
    return OrderShown(
        order,
        body.number if body else "",
        known[0],
        outcome,
        [
            LineShown(
                row.line_id,
                skus.get(row.line_id),
                row.location or None,
                row.taken,
                row.booked,
                row.held,
            )
            for row in sorted(rows, key=lambda row: (row.line_id, row.location))
        ],
    )


async def show_order(asked: Asked[Nothing]) -> OrderShown:
    rules = asked.core.rulebook.named(INTERNAL)
    order = asked.path["id"]
    if rules is None or await posted_orders.state(asked.conn, rules.id, order) is None:
        raise missing(f"posted order {order}")
    return await _shown(asked, rules, order, "known")


def read_posted(kept: PostedOrder) -> OrderPosted:
    """An order as it was posted last."""
    return msgspec.json.decode(kept.body, type=OrderPosted)


ROUTES = (
    post("/orders", "Book an order of no channel", post_order, OrderShown, body=OrderPosted),
    get("/orders/{id}", "An order that was posted, as it is booked", show_order, OrderShown),
)
