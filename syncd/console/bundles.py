"""Bundles over the API: what each is made of, how many its components make, and saying so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from syncd.console.paging import Paged, cut, key_of
from syncd.console.problems import FieldError, Problem, invalid, missing
from syncd.console.routes import Asked, Nothing, Told, get, post
from syncd.console.wishes import Sku
from syncd.db import bundles
from syncd.db.bundles import BundleRow
from syncd.fanout import bundling
from syncd.fanout.bundling import Author, Undescribed
from syncd.stock.bundles import Bundle, Stock

BUNDLES = 1000
"""So many can be described in one call."""


class BundlesAsked(Paged, kw_only=True):
    """Bundles, by sku. `component`: only those that take it."""

    component: str | None = None


class PartShown(msgspec.Struct):
    """A component; `left` None: it is not counted there."""

    sku: str
    units: int
    left: int | None


class StockShown(msgspec.Struct):
    """A bundle in one warehouse. `short`: the component that allows no more, or that is not counted."""

    warehouse: str
    makes: int | None
    short: str
    parts: list[PartShown]


class BundleShown(msgspec.Struct):
    """A bundle. `source`: what described it, config, csv, api or hand; `actor`: who."""

    sku: str
    components: dict[str, int]
    source: str
    actor: str
    changed_at: datetime
    warehouses: list[StockShown]


class Bundles(msgspec.Struct):
    bundles: list[BundleShown]
    next: str | None


async def list_bundles(asked: Asked[BundlesAsked]) -> Bundles:
    query = asked.query
    rows = await bundles.page(
        asked.conn, key_of(query, str) or "", component=query.component, limit=query.limit + 1
    )
    page, after = cut(rows, query, lambda row: row.sku)
    return Bundles([_shown(*one) for one in await bundles.stock(asked.conn, page)], after)


async def show_bundle(asked: Asked[Nothing]) -> BundleShown:
    rows = await bundles.page(asked.conn, skus=[asked.path["sku"]])
    if not rows:
        raise missing(f"bundle {asked.path['sku']}")
    return _shown(*(await bundles.stock(asked.conn, rows))[0])


def _shown(row: BundleRow, stock: Sequence[Stock]) -> BundleShown:
    return BundleShown(
        row.sku,
        row.made_of,
        row.source,
        row.actor,
        row.changed_at,
        [
            StockShown(
                x.warehouse, x.makes, x.short, [PartShown(p.sku, p.units, p.left) for p in x.parts]
            )
            for x in stock
        ],
    )


class BundleSaid(msgspec.Struct, forbid_unknown_fields=True):
    """A bundle and all that it is made of: units of each component, by sku."""

    sku: Sku
    components: Annotated[dict[Sku, int], msgspec.Meta(min_length=1)]


class BundlesSaid(msgspec.Struct, forbid_unknown_fields=True):
    """Bundles: all of them are described so, or none. Others stay as they are."""

    bundles: Annotated[list[BundleSaid], msgspec.Meta(min_length=1, max_length=BUNDLES)]


class BundlesChanged(msgspec.Struct):
    """Those that are made otherwise now."""

    changed: list[str]


async def say_bundles(told: Told[BundlesSaid]) -> BundlesChanged:
    places = {one.sku: place for place, one in enumerate(told.body.bundles)}
    said = [Bundle(one.sku, one.components) for one in told.body.bundles]
    try:
        author = Author("api", told.actor)
        return BundlesChanged(await bundling.say(told.conn, told.booking, said, author))
    except Undescribed as error:
        raise invalid(
            *(
                FieldError(
                    problem.words,
                    pointer=f"/bundles/{places[problem.bundle]}/"
                    + (f"components/{problem.component}" if problem.component else "sku"),
                )
                for problem in error.problems
            )
        ) from None


class BundlesEnded(msgspec.Struct, forbid_unknown_fields=True):
    """Skus that are to be bundles no more."""

    skus: Annotated[list[Sku], msgspec.Meta(min_length=1, max_length=BUNDLES)]


async def end_bundles(told: Told[BundlesEnded]) -> BundlesChanged:
    skus = list(dict.fromkeys(told.body.skus))
    try:
        await bundling.end(told.conn, told.booking, skus, Author("api", told.actor))
    except Undescribed as error:
        raise Problem(409, "no-bundle", "; ".join(map(str, error.problems))) from None
    return BundlesChanged(skus)


ROUTES = (
    get(
        "/bundles",
        "Bundles with their components and how many those make",
        list_bundles,
        Bundles,
        query=BundlesAsked,
    ),
    get("/bundles/{sku}", "One bundle", show_bundle, BundleShown),
    post("/bundles", "Say what bundles are made of", say_bundles, BundlesChanged, body=BundlesSaid),
    post(
        "/bundles/end",
        "Make bundles plain items again",
        end_bundles,
        BundlesChanged,
        body=BundlesEnded,
    ),
)
