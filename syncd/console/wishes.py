"""What people ask the daemon to do: pushes, sweeps and retries, as wishes that can be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from syncd.console.problems import FieldError, invalid, missing
from syncd.console.routes import Asked, Done, Nothing, Told, get, post
from syncd.db import bookmark, reads
from syncd.stock.facts import ID_LIMIT

SKUS_LIMIT = 10_000

Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)]


class OnChannel(msgspec.Struct, forbid_unknown_fields=True):
    """`channel` left out: all of them."""

    channel: str | None = None


class PushAsked(msgspec.Struct, forbid_unknown_fields=True):
    """What to deliver, whatever is believed to be shown: these skus, or `all`."""

    skus: Annotated[list[Sku], msgspec.Meta(min_length=1, max_length=SKUS_LIMIT)] | None = None
    all: bool = False
    channel: str | None = None


class SomeSkus(msgspec.Struct, forbid_unknown_fields=True):
    """`skus` left out: all of them."""

    skus: Annotated[list[Sku], msgspec.Meta(min_length=1, max_length=SKUS_LIMIT)] | None = None


class WishShown(msgspec.Struct):
    """A wish. `done_at` None: not done yet; `result` says what became of it, `error` why nothing did."""

    id: str
    kind: str
    channel: str | None
    skus: list[str] | None
    asked_at: datetime
    started_at: datetime | None = None
    done_at: datetime | None = None
    result: dict[str, Any] | None = None


async def ask_push(told: Told[PushAsked]) -> Done:
    body = told.body
    if body.all == bool(body.skus):
        raise invalid(FieldError("name skus, or all", pointer="/skus"))
    return await wish(told, "push", body.channel, body.skus)


async def ask_sweep(told: Told[OnChannel]) -> Done:
    return await wish(told, "sweep", told.body.channel)


async def ask_retry(told: Told[OnChannel]) -> Done:
    return await wish(told, "retry", told.body.channel)


async def ask_rebalance(told: Told[SomeSkus]) -> Done:
    return await wish(told, "rebalance", None, told.body.skus)


async def wish(
    told: Told[Any],
    kind: str,
    channel: str | None = None,
    skus: Sequence[str] | None = None,
    *,
    plan_id: int | None = None,
    args: Mapping[str, object] = MappingProxyType({}),
) -> Done:
    """Ask the daemon for something, in the caller's name; the answer says where to look what became of it."""
    if channel is not None and told.core.rulebook.named(channel) is None:
        raise invalid(FieldError(f"no channel is named {channel}", pointer="/channel"))
    now = told.booking.now
    wish_id = await bookmark.ask(
        told.conn, kind, channel, skus, now, plan_id=plan_id, actor=told.actor, args=args
    )
    shown = WishShown(str(wish_id), kind, channel, list(skus) if skus else None, now)
    return Done(shown, f"/wishes/{wish_id}")


async def show_wish(asked: Asked[Nothing]) -> WishShown:
    number = asked.path["id"]
    row = await reads.wish(asked.conn, int(number)) if len(number) < 19 else None
    if row is None:
        raise missing(f"wish {number}")
    return WishShown(
        str(row.id),
        row.kind,
        row.channel,
        list(row.skus) if row.skus is not None else None,
        row.asked_at,
        row.started_at,
        row.done_at,
        json.loads(row.result) if row.result else None,
    )


ROUTES = (
    post(
        "/push",
        "Deliver counts, whatever is believed shown",
        ask_push,
        WishShown,
        body=PushAsked,
        status=202,
    ),
    post("/sweep", "Sweep now", ask_sweep, WishShown, body=OnChannel, status=202),
    post("/retry", "Try what is parked again", ask_retry, WishShown, body=OnChannel, status=202),
    post(
        "/rebalance",
        "Share items in escrow among their channels anew",
        ask_rebalance,
        WishShown,
        body=SomeSkus,
        status=202,
    ),
    get(r"/wishes/{id:\d+}", "What became of a wish", show_wish, WishShown),
)
