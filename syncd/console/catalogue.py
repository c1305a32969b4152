"""What there is: items with their levels and listings, and the movements that made them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import msgspec

from syncd.console.paging import Paged, cut, key_of
from syncd.console.problems import missing
from syncd.console.routes import Asked, Nothing, get
from syncd.db import accounts, bundles, reads

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ItemsAsked(Paged, kw_only=True):
    """Items, by sku. `sku`: only those that begin with it."""

    sku: str | None = None
    warehouse: str | None = None


class ItemShown(msgspec.Struct):
    """An item with its level in each warehouse. `bundle`: no level of its own counts."""

    sku: str
    levels: dict[str, int]
    listings: int
    created_at: datetime
    bundle: bool


class Items(msgspec.Struct):
    items: list[ItemShown]
    next: str | None


async def list_items(asked: Asked[ItemsAsked]) -> Items:
    query = asked.query
    rows = await reads.items(
        asked.conn, key_of(query, str), query.sku, query.warehouse, query.limit + 1
    )
    page, after = cut(rows, query, lambda row: row.sku)
    return Items(
        [ItemShown(x.sku, json.loads(x.levels), x.listings, x.created_at, x.bundle) for x in page],
        after,
    )


class LevelShown(msgspec.Struct):
    """A level. `first_counted_at`: orders from before it are inside its first count."""

    warehouse: str
    quantity: int
    changed_at: datetime
    first_counted_at: datetime


class ListingShown(msgspec.Struct):
    """A listing. `skip`: why nothing is delivered to it; `reason`: why a delivery was put off or parked."""

    channel: str
    location: str
    remote: str
    sku: str
    title: str
    warehouse: str | None
    managed: bool
    skip: str
    gone_at: datetime | None
    shown: int | None
    shown_at: datetime | None
    writing: bool
    owed_at: datetime | None
    parked_at: datetime | None
    reason: str


class AccountShown(msgspec.Struct):
    """What a channel may sell of an item in escrow; `going` and `coming`: units under way."""

    warehouse: str
    channel: str
    units: int
    going: int
    coming: int


class ItemWhole(msgspec.Struct):
    """An item. `made_of`: the components of a bundle, whose own level does not count."""

    sku: str
    levels: list[LevelShown]
    listings: list[ListingShown]
    accounts: list[AccountShown]
    made_of: dict[str, int] | None


async def show_item(asked: Asked[Nothing]) -> ItemWhole:
    item_id = await _item(asked)
    levels = await reads.item_levels(asked.conn, item_id)
    listings = await reads.item_listings(asked.conn, item_id)
    held = await accounts.told(asked.conn, item_id)
    names = {i: name for name, i in asked.core.rulebook.warehouses.items()}
    bundle = await bundles.page(asked.conn, skus=[asked.path["sku"]])
    return ItemWhole(
        asked.path["sku"],
        [LevelShown(x.warehouse, x.quantity, x.changed_at, x.first_counted_at) for x in levels],
        [_listing(row) for row in listings],
        [
            AccountShown(names.get(x.warehouse_id, ""), x.channel, x.units, x.going, x.coming)
            for x in held
        ],
        bundle[0].made_of if bundle else None,
    )


def _listing(row: reads.ListingRow) -> ListingShown:
    return ListingShown(
        row.channel,
        row.location,
        row.remote,
        row.sku,
        row.title,
        row.warehouse,
        row.managed,
        row.skip,
        row.gone_at,
        row.shown,
        row.shown_at,
        row.attempt_open,
        row.owed_at,
        row.parked_at,
        row.reason or "",
    )


class HistoryAsked(Paged, kw_only=True):
    """Movements of an item, the one recorded last first. `since`: those that occurred from then on."""

    warehouse: str | None = None
    kind: str | None = None
    since: Moment | None = None


class MovementShown(msgspec.Struct):
    warehouse: str
    delta: int
    kind: str
    cause: str
    channel: str | None
    event: str | None
    actor: str
    note: str
    occurred_at: datetime
    recorded_at: datetime


class History(msgspec.Struct):
    movements: list[MovementShown]
    next: str | None


async def item_history(asked: Asked[HistoryAsked]) -> History:
    query, item_id = asked.query, await _item(asked)
    rows = await reads.history(
        asked.conn,
        item_id,
        key_of(query, int),
        warehouse=query.warehouse,
        kind=query.kind,
        since=query.since,
        limit=query.limit + 1,
    )
    page, after = cut(rows, query, lambda row: row.id)
    return History([shown(row) for row in page], after)


def shown(row: reads.MovementRow) -> MovementShown:
    """A movement as it is sent; ids are text, since some are larger than what JSON readers keep."""
    event = None if row.event_id is None else str(row.event_id)
    return MovementShown(
        row.warehouse,
        row.delta,
        row.kind,
        row.cause,
        row.channel,
        event,
        row.actor,
        row.note,
        row.occurred_at,
        row.recorded_at,
    )


async def _item(asked: Asked[Nothing] | Asked[HistoryAsked]) -> int:
    item_id = await reads.item(asked.conn, asked.path["sku"])
    if item_id is None:
        raise missing(f"item {asked.path['sku']}")
    return item_id


ROUTES = (
    get("/items", "Items with their levels", list_items, Items, query=ItemsAsked),
    get("/items/{sku}", "One item with its levels and listings", show_item, ItemWhole),
    get(
        "/items/{sku}/history",
        "Every movement of an item, with its cause and who made it",
        item_history,
        History,
        query=HistoryAsked,
    ),
)
