"""Why: the derivation of every number of an item, now or at a past instant."""

from __future__ import annotations

from datetime import datetime

import msgspec

from syncd.console.catalogue import Moment
from syncd.console.problems import missing
from syncd.console.routes import Asked, get
from syncd.explain import explain
from syncd.explain.shapes import BundlePart, ListingPart, WarehousePart


class ExplainAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`channel`: only its listings. `at`: as it was recorded until then."""

    channel: str | None = None
    at: Moment | None = None


class ItemExplained(msgspec.Struct):
    """An item: how its levels came to be, and for every listing what it should show and why.

    `made_of`: the components of a bundle, `bundle` what they make in each warehouse; `component_of`:
    the bundles that take the item.
    """

    sku: str
    at: datetime | None
    said_at: datetime
    warehouses: tuple[WarehousePart, ...]
    listings: tuple[ListingPart, ...]
    made_of: dict[str, int] | None
    bundle: tuple[BundlePart, ...]
    component_of: tuple[str, ...]


async def explain_item(asked: Asked[ExplainAsked]) -> ItemExplained:
    sku, query, core = asked.path["sku"], asked.query, asked.core
    if query.channel is not None and core.rulebook.named(query.channel) is None:
        raise missing(f"channel {query.channel}")
    found = await explain(
        asked.conn, core.rulebook, sku, core.clock(), channel=query.channel, at=query.at
    )
    if found is None:
        raise missing(f"item {sku}")
    return ItemExplained(
        found.sku,
        found.at,
        found.said_at,
        found.warehouses,
        found.listings,
        found.made_of,
        found.bundle,
        found.component_of,
    )


ROUTES = (
    get(
        "/items/{sku}/explain",
        "Why every listing of an item shows what it shows",
        explain_item,
        ItemExplained,
        query=ExplainAsked,
    ),
)
