"""Posted movements: up to 1 000 rows a call, each with its own cause and its own answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec

from syncd.console import bodies
from syncd.console.catalogue import Moment, MovementShown, shown
from syncd.console.problems import FieldError, Problem, invalid, missing
from syncd.console.routes import Asked, Told, get, post
from syncd.console.wishes import Sku
from syncd.db import reads
from syncd.db.pool import Connection, is_away
from syncd.fanout import Booking, Outcome, Result, book_posted
from syncd.stock.counts import Counted
from syncd.stock.facts import ID_LIMIT, YEARS
from syncd.stock.model import QUANTITY_LIMIT, Moved, OrderNamed, Truth
from syncd.stock.picks import Post, refusal
from syncd.stock.rulebook import INTERNAL, ChannelRules, Rulebook
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.api")

ROWS = 1000
AHEAD = timedelta(minutes=5)
"""So far a caller's clock may be ahead of ours; what lies further ahead is no time."""

Cause = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)]
Delta = Annotated[int, msgspec.Meta(ge=-QUANTITY_LIMIT, le=QUANTITY_LIMIT)]
Note = Annotated[str, msgspec.Meta(max_length=500)]


class OrderRef(msgspec.Struct, forbid_unknown_fields=True):
    """The order a movement is for: its id or number, and its channel where that is known."""

    id: Name
    channel: str | None = None


class MovementRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One movement. It says `delta`, or, as a stocktake, what was counted `available` or `on_hand`.

    `cause` lets it happen once for its channel, sku and warehouse. `warehouse` is named, or found by
    `location` (of `channel`; of the posting one where none is named). `mode` is a receipt's. `to` is
    the warehouse that `delta` units of a transfer go to. `occurred_at` left out: now.
    """

    cause: Cause
    sku: Sku
    kind: Literal["receipt", "putaway", "pick", "shipment", "adjustment", "stocktake", "transfer"]
    mode: Literal["direct", "staged", "cross_dock"] | None = None
    warehouse: str | None = None
    channel: str | None = None
    location: str | None = None
    to: str | None = None
    delta: Delta | None = None
    available: Delta | None = None
    on_hand: Delta | None = None
    counted_at: Moment | None = None
    order: OrderRef | None = None
    note: Note = ""
    occurred_at: Moment | None = None


class MovementsPosted(msgspec.Struct, forbid_unknown_fields=True):
    """Movements. `channel`: the channel they are posted for, whose truth is movements; or none.

    Each row is a MovementRow and is judged by itself: a bad one hurts no other.
    """

    movements: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=ROWS)]
    channel: str | None = None


class MovementResult(msgspec.Struct):
    """What became of one row. `delta`: by how much it moved the level; `level`: as it is after the call."""

    cause: str
    outcome: Literal["booked", "kept", "provisional", "duplicate", "refused"]
    delta: int | None = None
    level: int | None = None
    reason: str = ""
    errors: list[FieldError] = []


class MovementResults(msgspec.Struct):
    """One result for each row, in their order."""

    results: list[MovementResult]


class _Cannot(Exception):
    """Why a row cannot be read as a movement."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.errors = [FieldError(detail, pointer=f"/{field}" if field else "")]


async def post_movements(told: Told[MovementsPosted]) -> MovementResults:
    rules = told.booking.rules
    channel = _author(rules, told.body.channel)
    results: list[MovementResult] = []
    usable: list[tuple[int, Moved]] = []
    for place, raw in enumerate(told.body.movements):
        row, errors = _read(raw)
        result = MovementResult(row.cause if row else _cause_in(raw), "refused")
        results.append(result)
        if row is not None:
            try:
                usable.append((place, _moved(rules, channel, row, told.booking.now)))
            except _Cannot as error:
                errors = error.errors
        if errors:
            result.errors = errors
            result.reason = "; ".join(f"{e.pointer.strip('/')} {e.detail}".strip() for e in errors)
            told.booking.outcomes[channel.id, Outcome.REFUSED.value] += 1
    booked = await _book(told, channel, [one for _, one in usable])
    for (place, _), done in zip(usable, booked, strict=True):
        results[place].outcome = done.outcome.value
        results[place].delta = done.delta
        results[place].level = done.level
        results[place].reason = done.reason
    return MovementResults(results)


async def _book(
    told: Told[MovementsPosted], channel: ChannelRules, moved: Sequence[Moved]
) -> list[Result]:
    """Book them; what the database refuses is halved until the row that hurts stands alone."""
    if not moved:
        return []
    booking = Booking(told.booking.rules, told.booking.now)
    try:
        done = await _attempt(told.conn, booking, channel, told.actor, moved)
    except Exception as error:
        if is_away(error):
            raise  # no fault of any row: the whole call is asked again
        if len(moved) == 1:
            log.exception("movement.poison", channel=channel.name, cause=moved[0].cause)
            reason = f"could not be booked: {type(error).__name__}"
            told.booking.outcomes[channel.id, Outcome.REFUSED.value] += 1
            return [Result(Outcome.REFUSED, reason=reason)]
        half = len(moved) // 2
        first = await _book(told, channel, moved[:half])
        return first + await _book(told, channel, moved[half:])
    told.booking.take(booking)
    return done


async def _attempt(
    conn: Connection,
    booking: Booking,
    channel: ChannelRules,
    actor: str,
    moved: Sequence[Moved],
) -> list[Result]:
    async with conn.transaction():
        return await book_posted(conn, booking, channel, actor, moved)


def _author(rules: Rulebook, name: str | None) -> ChannelRules:
    """The channel these are posted for; the one of no channel where none is named."""
    found = rules.named(name if name is not None else INTERNAL)
    if found is None or (name is not None and found.truth is not Truth.MOVEMENTS):
        said = f"no channel whose truth is movements is named {name}"
        raise invalid(FieldError(said, pointer="/channel"))
    if not found.enabled:
        raise Problem(409, "channel-off", f"{name} is switched off: nothing is booked for it")
    return found


def _read(raw: msgspec.Raw) -> tuple[MovementRow | None, list[FieldError]]:
    try:
        return bodies.decoded(bytes(raw), MovementRow), []
    except Problem as problem:
        return None, problem.errors or [FieldError(problem.detail)]


class _Caused(msgspec.Struct):
    cause: str = ""


def _cause_in(raw: msgspec.Raw) -> str:
    """The cause of a row that cannot be read, so that its result can be told apart."""
    try:
        return msgspec.json.decode(raw, type=_Caused).cause[:ID_LIMIT]
    except (msgspec.DecodeError, RecursionError):
        return ""


def _moved(rules: Rulebook, channel: ChannelRules, row: MovementRow, now: datetime) -> Moved:
    """A row as what it means. Raises _Cannot."""
    post_ = _post(row)
    at = _when(row, now)
    counted, quantity = _counted(row)
    order = _order(rules, row.order)
    to = _named(rules, row.to, "to") if row.to is not None else None
    if counted is None:
        why = refusal(post_, row.delta or 0, names_order=order is not None)
        if why:
            raise _Cannot("delta", why)
    warehouse_id = _warehouse(rules, channel, row)
    if to is not None and (to == warehouse_id or row.delta is None or row.delta < 0):
        raise _Cannot("to", "a transfer moves a delta above 0 to another warehouse")
    return Moved(
        cause=row.cause,
        sku=row.sku,
        warehouse_id=warehouse_id,
        post=post_,
        at=at,
        digest=_digest(row),
        delta=row.delta or 0,
        counted=counted,
        quantity=quantity,
        to=to,
        order=order,
        note=row.note,
    )


def _digest(row: MovementRow) -> bytes:
    """A fingerprint of what a row says; a note may be worded anew."""
    said = msgspec.structs.replace(row, note="")
    return blake2b(msgspec.json.encode(said), digest_size=12).digest()


def _post(row: MovementRow) -> Post:
    if row.kind == "receipt":
        return Post(f"receipt_{row.mode or 'direct'}")
    if row.mode is not None:
        raise _Cannot("mode", "is a receipt's alone")
    if row.to is not None and row.kind != "transfer":
        raise _Cannot("to", "is a transfer's alone")
    return Post(row.kind)


def _counted(row: MovementRow) -> tuple[Counted | None, int]:
    given = [row.delta, row.available, row.on_hand]
    if sum(one is not None for one in given) != 1:
        raise _Cannot("delta", "say one of delta, available, on_hand")
    if row.delta is not None:
        if row.counted_at is not None:
            raise _Cannot("counted_at", "goes with available or on_hand; a delta has occurred_at")
        return None, 0
    if row.kind != "stocktake":
        raise _Cannot("kind", "a count is a stocktake")
    if row.counted_at is None:
        raise _Cannot("counted_at", "is missing: a count says when it was made")
    if row.occurred_at is not None:
        raise _Cannot("occurred_at", "a count has counted_at instead")
    if row.available is not None:
        return Counted.AVAILABLE, row.available
    assert row.on_hand is not None
    if row.on_hand < 0:
        raise _Cannot("on_hand", "nobody counts fewer than none")
    return Counted.ON_HAND, row.on_hand


def _when(row: MovementRow, now: datetime) -> datetime:
    at, field = row.occurred_at, "occurred_at"
    if row.counted_at is not None:
        at, field = row.counted_at, "counted_at"
    if at is None:
        return now
    if at.year not in YEARS:
        raise _Cannot(field, "is no time at which this can have happened")
    if at > now + AHEAD:
        raise _Cannot(field, "lies ahead")
    return min(at.astimezone(UTC), now)


def _order(rules: Rulebook, named: OrderRef | None) -> OrderNamed | None:
    if named is None:
        return None
    ref = named.id.strip().removeprefix("#")
    if not ref:
        raise _Cannot("order/id", "names no order")
    if named.channel is None:
        return OrderNamed(ref)
    found = rules.named(named.channel)
    if found is None:
        raise _Cannot("order/channel", f"no channel is named {named.channel}")
    return OrderNamed(ref, found.id)


def _warehouse(rules: Rulebook, channel: ChannelRules, row: MovementRow) -> int:
    if row.warehouse is not None:
        if row.location is not None or row.channel is not None:
            raise _Cannot("warehouse", "name the warehouse, or a location that feeds it: not both")
        return _named(rules, row.warehouse, "warehouse")
    place = rules.named(row.channel) if row.channel is not None else channel
    if place is None:
        raise _Cannot("channel", f"no channel is named {row.channel}")
    if row.location is None and place.name == INTERNAL:
        if len(rules.warehouses) == 1:
            return next(iter(rules.warehouses.values()))
        raise _Cannot("warehouse", "is missing")
    found = place.warehouse_of(row.location or "")
    if found is None:
        raise _Cannot("location", "feeds no warehouse")
    return found


def _named(rules: Rulebook, name: str, field: str) -> int:
    found = rules.warehouses.get(name)
    if found is None:
        raise _Cannot(field, f"no warehouse is named {name}")
    return found


class CauseAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`channel`: the one it was posted for; left out: any."""

    channel: str | None = None


class PostedShown(msgspec.Struct):
    """A posted movement as it stands. `booked`: all that it moved the level by, revisions and all."""

    channel: str
    sku: str
    warehouse: str
    kind: str
    delta: int | None
    order: str
    standing: str
    booked: int
    actor: str
    note: str
    occurred_at: datetime
    recorded_at: datetime
    movements: list[MovementShown]


class PostedWhole(msgspec.Struct):
    cause: str
    posted: list[PostedShown]


async def show_cause(asked: Asked[CauseAsked]) -> PostedWhole:
    cause = asked.path["cause"]
    rows = await reads.posted(asked.conn, cause, asked.query.channel, ROWS)
    if not rows:
        raise missing(f"movement posted under {cause}")
    found = []
    for row in rows:
        prefix = f"{row.channel}:post:{cause}:r"
        caused = await reads.caused(asked.conn, [row.item_id], prefix)
        found.append(_posted(row, [shown(x) for x in caused if x.warehouse == row.warehouse]))
    return PostedWhole(cause, found)


def _posted(row: reads.PostedRow, movements: list[MovementShown]) -> PostedShown:
    return PostedShown(
        row.channel,
        row.sku,
        row.warehouse,
        row.post,
        row.delta,
        row.order_ref,
        row.standing,
        row.booked,
        row.actor,
        row.note,
        row.occurred_at,
        row.recorded_at,
        movements,
    )


ROUTES = (
    get(
        "/movements/{cause}",
        "What was posted under a cause, and what is booked of it",
        show_cause,
        PostedWhole,
        query=CauseAsked,
    ),
    post(
        "/movements",
        "Book what a WMS, an ERP or a till did",
        post_movements,
        MovementResults,
        body=MovementsPosted,
    ),
)
