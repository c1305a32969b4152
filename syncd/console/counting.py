"""Counts and numbers that are set: one, or a file of them. They become plans, as at the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from syncd.console.access import Role
from syncd.console.catalogue import Moment
from syncd.console.problems import FieldError, invalid
from syncd.console.routes import Done, Told, post
from syncd.console.wishes import Sku, WishShown, wish
from syncd.db import levels
from syncd.stock.model import QUANTITY_LIMIT
from syncd.stock.sheet import line_of

Quantity = Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_LIMIT)]
Seen = Annotated[int, msgspec.Meta(ge=-QUANTITY_LIMIT, le=QUANTITY_LIMIT)]


class CountSet(msgspec.Struct, forbid_unknown_fields=True):
    """A number over the level you `seen` (left out: as it is now); with `counted_at` a count instead.

    `on_hand`: what lies there was counted, units sold and neither picked nor shipped among it.
    """

    sku: Sku
    quantity: Quantity
    warehouse: str | None = None
    seen: Seen | None = None
    counted_at: Moment | None = None
    on_hand: bool = False


async def set_count(told: Told[CountSet]) -> Done:
    body = told.body
    _check(told, body)
    names = sorted(await levels.warehouses(told.conn))
    place = body.warehouse or (names[0] if len(names) == 1 else None)
    if place not in names:
        known = ", ".join(names) or "none yet"
        says = f"is one of: {known}" if place is None else f"no warehouse is named {place}; {known}"
        raise invalid(FieldError(says, pointer="/warehouse"))
    now = await levels.level_of(told.conn, body.sku, place)
    before = body.seen if body.seen is not None else now
    counted = body.counted_at is not None
    lines = line_of(body.sku, place, body.quantity, None if counted else before)
    args: dict[str, object] = {
        "csv": "".join(lines),
        "title": f"{body.sku} to {body.quantity}"[:200],
        "counted_at": body.counted_at.isoformat() if body.counted_at else None,
        "sets": not counted,
        "on_hand": body.on_hand,
        "apply": True,
    }
    return await wish(told, "import", args=args)


def _check(told: Told[Any], body: CountSet) -> None:
    if body.seen is not None and body.counted_at is not None:
        raise invalid(FieldError("seen or counted_at", pointer="/seen"))
    if body.on_hand and body.counted_at is None:
        raise invalid(FieldError("what lies there is a count: say when", pointer="/counted_at"))
    _not_ahead(told, body.counted_at)


def _not_ahead(told: Told[Any], at: datetime | None) -> None:
    if at is not None and at > told.booking.now:
        raise invalid(FieldError("is still to come", pointer="/counted_at"))


class Imported(msgspec.Struct, forbid_unknown_fields=True):
    """A file of counts, as `syncd import` takes it. `names`: warehouses by what the file calls them.

    `apply` left out: it waits as a plan.
    """

    csv: Annotated[str, msgspec.Meta(min_length=1)]
    title: Annotated[str, msgspec.Meta(max_length=200)] = "counts over the API"
    warehouse: str | None = None
    names: dict[str, str] = {}
    counted_at: Moment | None = None
    sets: bool = False
    on_hand: bool = False
    new_items: bool = False
    skip_unknown: bool = False
    apply: bool = False


async def import_counts(told: Told[Imported]) -> Done:
    body = told.body
    if body.new_items and body.skip_unknown:
        raise invalid(FieldError("new_items or skip_unknown", pointer="/skip_unknown"))
    if body.sets and body.on_hand:
        raise invalid(FieldError("sets or on_hand", pointer="/on_hand"))
    _not_ahead(told, body.counted_at)
    args = msgspec.to_builtins(body)
    return await wish(told, "import", args=args)


ROUTES = (
    post("/counts", "Set or count one item", set_count, WishShown, body=CountSet, status=202),
    post(
        "/import",
        "Read a file of counts into a plan",
        import_counts,
        WishShown,
        body=Imported,
        role=Role.ADMIN,
        status=202,
    ),
)
