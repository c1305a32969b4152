"""Accounts of items in escrow follow their levels, in the transaction that moves them; transfers between them.

Where no item is in escrow nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from syncd.db import accounts, shelf
from syncd.db.accounts import Held, Key
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, Movement
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.fanout.booking import Booking
from syncd.fanout.owing import levels_now, owe_items
from syncd.stock.escrow import Change, Transfer, begun, booked, is_uneven, landed, rebalancing
from syncd.stock.model import Kind
from syncd.stock.rulebook import Asked, Rulebook
from syncd.stock.sharing import in_escrow, weights

OWN = frozenset({Kind.SALE, Kind.CANCELLATION, Kind.REFUND, Kind.RESTOCK, Kind.EDIT})
"""What a channel did to its own shelf. All else is nobody's: a count, a receipt, damage."""

Accounts = dict[str, int]
"""Units by channel; the rules of escrow know channels by text."""


async def follow(
    conn: Connection,
    booking: Booking,
    movements: Sequence[Movement],
    levels: Sequence[LevelNow],
) -> list[LevelNow]:
    """After levels moved by `movements`: their accounts move with them; gives the levels with these.

    The shelves of their items are locked.
    """
    escrow = booking.rules.escrow
    keys = sorted({(x.item_id, x.warehouse_id) for x in levels if x.warehouse_id in escrow})
    held = await accounts.held(conn, keys) if keys else []
    if not held:
        return list(levels)
    changes = await _changes(conn, booking, movements, set(keys))
    made: dict[Key, Accounts] = {}
    for one in held:
        after = _after(booking.rules, one, changes.get((one.item_id, one.warehouse_id), []))
        if after:
            made[one.item_id, one.warehouse_id] = after
    await _keep(conn, made)
    return [
        replace(now, accounts=_as_read(made[key]))
        if (key := (now.item_id, now.warehouse_id)) in made
        else now
        for now in levels
    ]


def _after(rules: Rulebook, one: Held, changes: Sequence[Change]) -> Accounts:
    """The accounts that go with the level as it is; {}: the item is not in escrow."""
    if not one.accounts and not in_escrow(rules, one.sku, one.warehouse_id):
        return {}
    under_way = sum(x[2] for x in one.transfers or ())
    now = _accounts(one)
    by = _weights(rules, one)
    if not now and not by:
        return {}
    return booked(now, one.quantity, under_way, changes if now else [], by)


async def _changes(
    conn: Connection, booking: Booking, movements: Sequence[Movement], keys: set[Key]
) -> dict[Key, list[Change]]:
    """What channels themselves did to these items, as far as it was really booked."""
    causes = [
        (m.item_id, m.warehouse_id, m.cause)
        for m in movements
        if m.kind in OWN and m.channel_id is not None and (m.item_id, m.warehouse_id) in keys
    ]
    found: dict[Key, list[Change]] = {}
    if causes:
        for item, warehouse, channel, edited, units in await accounts.moved(
            conn, causes, booking.now
        ):
            found.setdefault((item, warehouse), []).append(Change(str(channel), units, edited))
    return found


def _accounts(one: Held) -> Accounts:
    return {str(channel): units for channel, units in one.accounts or ()}


def _weights(rules: Rulebook, one: Held) -> dict[str, int]:
    found = weights(rules, one.sku, one.warehouse_id, one.served or ())
    return {str(channel): weight for channel, weight in found.items()}


def _as_read(after: Mapping[str, int]) -> list[list[int]]:
    return [[int(channel), units] for channel, units in sorted(after.items())]


async def _keep(conn: Connection, made: Mapping[Key, Mapping[str, int]]) -> None:
    rows = [
        (*key, int(channel), units) for key, held in made.items() for channel, units in held.items()
    ]
    if rows:
        await accounts.keep(conn, rows)


@dataclass(slots=True)
class Balanced:
    """What became of the accounts of some items. Items, but for `moved`: units."""

    made: int = 0
    dropped: int = 0
    moved: int = 0
    waiting: int = 0
    """Transfers whose giver is not known to show less yet."""
    changed: dict[Key, Accounts] = field(default_factory=dict)


async def balance(
    conn: Connection, booking: Booking, keys: Sequence[Key], *, anyway: bool
) -> Balanced:
    """Make, drop and rebalance the accounts of these items, and owe their listings what they need.

    Takes its own locks, the first of its transaction. A transfer only begins here: `land` ends it.
    `anyway`: also where the accounts are not uneven enough to pay.
    """
    done, dropped = Balanced(), []
    if not keys:
        return done
    await shelf.lock(conn, [], keys)
    begun_now: list[tuple[int, int, int, int, int]] = []
    for one in await accounts.held(conn, keys):
        key = one.item_id, one.warehouse_id
        if not in_escrow(booking.rules, one.sku, one.warehouse_id):
            dropped += [key] if one.accounts else []
            continue
        before, after = _accounts(one), _after(booking.rules, one, [])
        for transfer in _transfers(booking.rules, one, after, anyway=anyway):
            after = begun(after, transfer)
            begun_now.append((*key, int(transfer.giver), int(transfer.taker), transfer.units))
            done.moved += transfer.units
            _tell(booking, one.sku, transfer, "begun")
        if after != before:
            done.changed[key] = after
            done.made += not before
    await _keep(conn, done.changed)
    if begun_now:
        await accounts.begin(conn, begun_now, booking.now)
    if dropped:
        await accounts.drop(conn, dropped)
        done.dropped = len(dropped)
    await owe_items(conn, booking, sorted({*done.changed, *dropped}))
    return done


def _transfers(rules: Rulebook, one: Held, held: Accounts, *, anyway: bool) -> list[Transfer]:
    """The transfers that begin now: none while others are under way, or where they do not pay.

    Who lists the item and cannot be written keeps its units: its shelf cannot be made to show less.
    Who is configured no more has its sales booked by nobody, and gives all.
    """
    by = _weights(rules, one)
    if one.transfers or not by:
        return []
    listed = {str(channel) for channel in one.listed or () if channel in rules.channels}
    stuck = listed - by.keys()
    free = {name: units for name, units in held.items() if name not in stuck}
    if not (anyway or is_uneven(free, by)):
        return []
    # who is in debt is filled first; who has a debt gives nothing
    return [t for t in rebalancing(free, by) if t.units <= free.get(t.giver, 0)]


async def land(conn: Connection, booking: Booking, keys: Sequence[Key]) -> Balanced:
    """End the transfers of these items whose giver shows the smaller number for certain.

    Takes its own locks, the first of its transaction.
    """
    shelves = await shelf.lock(conn, [], keys)
    levels = await levels_now(conn, keys)
    done = Balanced()
    ended: list[tuple[int, int, int, int]] = []
    for one in await accounts.held(conn, keys):
        key = one.item_id, one.warehouse_id
        held = _accounts(one)
        for giver, taker, units in one.transfers or ():
            theirs = [
                row
                for row in shelves
                if row.channel_id == giver and (row.item_id, row.warehouse_id) == key
            ]
            if not all(_shows_less(booking.rules, row, levels[key]) for row in theirs):
                done.waiting += 1
                continue
            transfer = Transfer(str(giver), str(taker), units)
            held = landed(held, transfer)
            done.moved += units
            done.changed[key] = held
            ended.append((*key, giver, taker))
            _tell(booking, one.sku, transfer, "ended")
    await _keep(conn, done.changed)
    if ended:
        await accounts.end(conn, ended)
    await owe_items(conn, booking, sorted(done.changed))
    return done


def _shows_less(rules: Rulebook, row: Shelf, level: LevelNow) -> bool:
    """True where a giver's listing shows no more than it may, for certain; or sells it no more."""
    giver = rules.channels.get(row.channel_id)
    if giver is None or row.gone:
        return True
    if not row.managed or row.shown is None or row.attempt_open:
        return False
    none = rules.shows_none(level.warehouse_id, orphaned=row.orphaned)
    # what a plan holds may show more than its account: it has to be let go first
    asked = Asked(row.listing_id, row.sku, level.warehouse_id, none, shown=row.shown)
    return row.shown <= giver.target_of(asked, level)


def _tell(booking: Booking, sku: str, transfer: Transfer, reason: str) -> None:
    names = [
        found.name if (found := booking.rules.channels.get(int(i))) else i
        for i in (transfer.giver, transfer.taker)
    ]
    detail: dict[str, object] = {"giver": names[0], "taker": names[1], "units": transfer.units}
    booking.journal.append(Line("transfer", sku, reason=reason, detail=detail))
