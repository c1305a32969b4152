"""Every item with the state of its listings, and every listing that is no item, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

from syncd.corridor import Core
from syncd.db import stocklist
from syncd.db.stocklist import Item, Listing
from syncd.errors import Declined
from syncd.stock.rulebook import Asked, ChannelRules
from syncd.stock.standing import account_of, units_made
from syncd.stock.states import Known, State, state_of

PIECE = 500


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One listing as people ask for it; `why`: the platform's words or what else explains its state."""

    channel: str
    location: str
    remote: str
    sku: str
    title: str
    state: State
    shown: int | None
    target: int | None
    linked_by: str
    why: str = ""
    account: int | None = None
    """Units it may sell of an item in escrow; None: it is not, or has no account yet."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item (`sku` None: none) with its levels and listings; `after` goes on behind it."""

    sku: str | None
    levels: dict[str, int]
    offered_on: list[str] | None
    listings: list[ListingRow]
    after: str = field(default="")
    bundle: bool = False
    """Its levels are what its components make."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of one channel, in one of these states (none: any), of these skus (None: any)."""

    channel: str | None = None
    states: frozenset[State] = frozenset()
    skus: tuple[str, ...] | None = None
    after: str = ""

    def wants(self, rows: Collection[ListingRow]) -> bool:
        return not self.states or any(row.state in self.states for row in rows)


async def stock_rows(core: Core, wanted: Wanted) -> AsyncIterator[ItemRow]:
    """Items by sku, then listings of no item. Raises Declined for what cannot be asked."""
    rules = core.rulebook.named(wanted.channel) if wanted.channel is not None else None
    if wanted.channel is not None and rules is None:
        raise Declined([f"no channel is named {wanted.channel}"])
    kind, _, key = wanted.after.partition(":")
    if wanted.after and (kind not in ("sku", "id") or (kind == "id" and not key.isdecimal())):
        raise Declined(["--after takes what an earlier page said, like sku:MUG"])
    if kind != "id":
        async for row in _items(core, wanted, rules, key):
            yield row
        key = "0"
    async for row in _no_items(core, wanted, rules, int(key)):
        yield row


async def _items(
    core: Core, wanted: Wanted, rules: ChannelRules | None, after: str
) -> AsyncIterator[ItemRow]:
    while True:
        async with core.db.transaction("stock_items") as conn:
            items = await stocklist.item_page(conn, after, wanted.skus, PIECE)
            found = await stocklist.of_items(
                conn, [x.id for x in items], rules.id if rules else None
            )
        by_item: defaultdict[int | None, list[Listing]] = defaultdict(list)
        for one in found:
            by_item[one.item_id].append(one)
        for item in items:
            row = _row(core, item, by_item[item.id], rules)
            if wanted.wants(row.listings):
                yield row
        if len(items) < PIECE:
            return
        after = items[-1].sku


def _row(core: Core, item: Item, found: Sequence[Listing], only: ChannelRules | None) -> ItemRow:
    levels = {x.warehouse: _level(x) for x in found if x.warehouse and x.quantity is not None}
    listings = [_listing(core, x) for x in found]
    listed = {x.channel for x in found if not x.gone}
    channels = [only] if only else core.rulebook.configured
    listings += [
        ListingRow(c.name, "", "", "", "", State.NOT_LISTED, None, None, "")
        for c in channels
        if c.name not in listed and not any(x.channel == c.name for x in found)
    ]
    offered = None
    if item.channels is not None:
        names = {c.id: c.name for c in core.rulebook.channels.values()}
        offered = sorted(names.get(one, f"channel {one}") for one in item.channels)
    listings.sort(key=lambda x: (x.channel, x.location, x.remote))
    return ItemRow(item.sku, levels, offered, listings, f"sku:{item.sku}", item.bundle)


def _level(one: Listing) -> int:
    made = units_made(one.parts) if one.parts is not None else one.quantity
    return made or 0


async def _no_items(
    core: Core, wanted: Wanted, rules: ChannelRules | None, after: int
) -> AsyncIterator[ItemRow]:
    while True:
        async with core.db.transaction("stock_listings") as conn:
            found = await stocklist.of_no_item(
                conn, after, rules.id if rules else None, wanted.skus, PIECE
            )
        for one in found:
            row = _listing(core, one)
            if wanted.wants([row]):
                yield ItemRow(None, {}, None, [row], f"id:{one.id}")
        if len(found) < PIECE:
            return
        after = found[-1].id


def _listing(core: Core, one: Listing) -> ListingRow:
    rules = core.rulebook.channels.get(one.channel_id)
    sku = one.item_sku or one.sku
    target = None
    if rules is not None and one.quantity is not None and one.warehouse_id is not None:
        none = core.rulebook.shows_none(one.warehouse_id, orphaned=one.orphaned)
        target = rules.target_of(Asked(one.id, sku, one.warehouse_id, none, shown=one.shown), one)
    known = Known(
        sku,
        one.skip,
        one.withheld,
        one.managed,
        one.gone,
        one.orphaned,
        one.shown,
        target,
        one.writing or (one.owed and not one.parked),
        one.parked,
        one.retired,
    )
    state = state_of(rules, known)
    in_escrow = rules is not None and rules.in_escrow(sku)
    return ListingRow(
        one.channel,
        one.location,
        one.remote,
        one.sku,
        one.title,
        state,
        one.shown,
        target,
        one.linked_by,
        one.reason if state in (State.PARKED, State.UPDATING) else "",
        account_of(one, one.channel_id) if in_escrow else None,
    )
