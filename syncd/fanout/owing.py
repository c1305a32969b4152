"""After levels moved: which listings of the item do not show their target, and so are owed one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from syncd.db import announcing, catalog, ledger, outbox, shelf, standing
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow
from syncd.db.outbox import Owe
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout import retiring
from syncd.fanout.booking import Booking
from syncd.fanout.holding import yielding
from syncd.stock.decide import Rank, owed
from syncd.stock.model import Truth
from syncd.stock.policy import Zero
from syncd.stock.rulebook import Asked, ChannelRules

LevelKey = tuple[int, int]
"""(item, warehouse)."""

STEP_PAUSE = timedelta(minutes=10)
"""A listing whose raises are told in steps is raised by the next one after it: by a sweep, or by news."""


async def owe_deliveries(
    conn: Connection,
    booking: Booking,
    shelves: Iterable[Shelf],
    levels: Mapping[LevelKey, LevelNow],
    received: Mapping[LevelKey, datetime | None],
    forced: frozenset[int] = frozenset(),
) -> None:
    """Owe a delivery to every locked listing that does not show its target for certain.

    `levels` were read after the locks, and after whatever this transaction changed of suspicions;
    the bundles made of these items are looked up. `forced` listings are owed one whatever they are
    believed to show.
    """
    owes: list[tuple[Owe, bool]] = []
    unread: list[int] = []
    rows = await yielding(conn, booking, shelves)
    levels, received = await _with_bundles(conn, rows, levels, received)
    await retiring.follow(conn, booking, rows, levels)
    for row in rows:
        key = _key(row)
        if key is None or key not in levels:
            continue
        rules = booking.rules.channels.get(row.channel_id)
        reason = skip_reason(row, rules)
        if rules is None or reason:
            booking.skip(_skipped(row, reason or "channel_removed"))
            continue
        none = booking.rules.shows_none(key[1], orphaned=row.orphaned)
        asked = Asked(row.listing_id, row.sku, key[1], none, row.keeps, row.shown)
        wants = rules.target_of(asked, levels[key])
        unknown = row.shown is None and rules.truth is Truth.LEVELS and not row.attempt_open
        reason = rules.withholds(row.sku, wants, row.shown, orphaned=row.orphaned)
        if reason and not (reason == Zero.KEEP_LAST and unknown):
            if reason != Zero.KEEP_LAST or row.shown != wants:
                booking.skip(_skipped(row, reason))
            continue
        if unknown:
            unread.append(row.listing_id)
            booking.lanes.add(row.channel_id)
            continue
        must = owed(wants, row.shown, attempt_open=row.attempt_open)
        if must is None and row.listing_id not in forced:
            continue
        rank, risk = (must.rank, must.risk) if must else (Rank.FALL, 0)
        is_forced = row.listing_id in forced
        owe = Owe(row.listing_id, row.channel_id, rank, risk, received.get(key), is_forced)
        owes.append((owe, not is_forced and rules.steps_up(row.sku, wants, row.shown)))
        booking.lanes.add(row.channel_id)
    if owes:
        await _owe(conn, booking, owes)
    if unread:
        await shelf.wish(conn, unread, "baseline", booking.now)


async def _owe(conn: Connection, booking: Booking, owes: Sequence[tuple[Owe, bool]]) -> None:
    """Owe these deliveries, but for the next step of raises (True) whose last one was just told."""
    early: set[int] = set()
    steps = [owe.listing_id for owe, is_step in owes if is_step]
    if steps:
        early = await announcing.recent(conn, steps, booking.now - STEP_PAUSE)
    due = [owe for owe, _ in owes if owe.listing_id not in early]
    if due:
        await outbox.owe(conn, due, booking.now)


async def _with_bundles(
    conn: Connection,
    rows: Iterable[Shelf],
    levels: Mapping[LevelKey, LevelNow],
    received: Mapping[LevelKey, datetime | None],
) -> tuple[Mapping[LevelKey, LevelNow], Mapping[LevelKey, datetime | None]]:
    """Besides the levels that moved, how the bundles made of their items stand now, and since when."""
    made = {key: row.made_of for row in rows if row.made_of and (key := _key(row))}
    if not made:
        return levels, received
    parts = {key: [(part, key[1]) for part, _ in made_of] for key, made_of in made.items()}
    moved = {k for k, of in parts.items() if k in levels or any(part in levels for part in of)}
    found = {key: now for key, now in levels.items() if key not in made}
    heard = dict(received)
    for key in moved:
        times = [at for part in parts[key] if (at := received.get(part)) is not None]
        if times:
            heard[key] = min(times)
    return found | (await levels_now(conn, moved) if moved else {}), heard


def moves(row: Shelf, keys: Collection[LevelKey]) -> bool:
    """True where the target of a listing is made from one of these levels."""
    if row.made_of and row.warehouse_id is not None:
        return any((part, row.warehouse_id) in keys for part, _ in row.made_of)
    return _key(row) in keys


def skip_reason(row: Shelf, rules: ChannelRules | None) -> str:
    """Why nothing is delivered to a listing; empty: it is served."""
    if rules is None:
        return "channel_removed"
    if row.gone:
        return "gone"
    if row.skip:
        return row.skip
    if not row.managed:
        return "unmanaged"
    if row.quarantined:
        unsure = "quarantined"
    elif row.held and rules.follows_edits:
        unsure = "asked"
    elif row.held_by is not None and row.keeps is None and rules.truth is not Truth.LEVELS:
        unsure = "held"
    else:
        unsure = ""
    return rules.leaves_out(row.sku, row.withheld) or unsure


def _skipped(row: Shelf, reason: str) -> Line:
    return Line("skipped", row.sku, row.channel_id, row.listing_id, row.shown, reason=reason)


def _key(row: Shelf) -> LevelKey | None:
    if row.item_id is None or row.warehouse_id is None:
        return None
    return row.item_id, row.warehouse_id


async def owe_again(
    conn: Connection,
    booking: Booking,
    listing_ids: Sequence[int],
    *,
    forced: bool = False,
    linked: bool = False,
) -> None:
    """Lock these listings, look at their levels afresh and owe what they need.

    For a push (`forced`), and for listings whose new link is committed (`linked`): a movement that
    is being booked may have locked its item's shelves before it could see the link. Only with all
    shelves of the item, before any other lock, is it waited for and its level seen.
    """
    pairs = await catalog.levels_of_listings(conn, listing_ids) if linked else []
    rows = await shelf.lock(conn, listing_ids, pairs)  # which keeps their levels still
    levels = await levels_now(conn, {key for row in rows if (key := _key(row)) is not None})
    wanted = frozenset(listing_ids)
    await owe_deliveries(
        conn,
        booking,
        [row for row in rows if row.listing_id in wanted],
        levels,
        {},
        wanted if forced else frozenset(),
    )


async def levels_now(conn: Connection, keys: Iterable[LevelKey]) -> dict[LevelKey, LevelNow]:
    """What the targets of these items are made from, read after their shelves were locked."""
    found = await ledger.levels(conn, sorted(keys))
    return {(now.item_id, now.warehouse_id): now for now in found}


async def hold_items(conn: Connection, keys: Iterable[LevelKey]) -> list[Shelf]:
    """Lock the shelves of all listings of these items: before what their targets are made from changes.

    The first lock of its transaction, or none of these shelves would be locked in their order.
    """
    return await shelf.lock(conn, [], sorted(keys))


async def owe_items(conn: Connection, booking: Booking, keys: Iterable[LevelKey]) -> None:
    """After what these items' targets are made from changed: owe every listing what it needs now.

    For whoever changed a suspicion, a suspense or whatever else a `Standing` tells, without a
    movement; the caller holds all these shelves (`hold_items`). A blind raise waits for an order
    fetch that began after it, as after any other fact; what was refused before is tried again.
    """
    pairs = sorted(keys)
    if not pairs:
        return
    rows = await shelf.lock(conn, [], pairs)  # held already: read again, as they are now
    await standing.date(conn, pairs, booking.now)
    await owe_deliveries(conn, booking, rows, await levels_now(conn, pairs), {})
