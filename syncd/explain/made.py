"""Tells what a bundle is made of and which component is short, or which bundles take an item."""

from __future__ import annotations

from datetime import datetime

from syncd.db import bundles
from syncd.db.pool import Connection
from syncd.explain.shapes import BundlePart, ComponentPart
from syncd.stock.bundles import PartStock, Stock

Told = tuple[dict[str, int] | None, tuple[BundlePart, ...], tuple[str, ...]]


async def told_of(conn: Connection, sku: str, at: datetime | None) -> Told:
    """What a bundle is made of, what that makes in each warehouse, and the bundles that take a sku.

    What components made at a past instant is stored with the writes of then: here stands nothing of it.
    """
    rows = await bundles.page(conn, skus=[sku])
    takers = () if rows else tuple(x.sku for x in await bundles.page(conn, component=sku))
    if not rows:
        return None, (), takers
    if at is not None:
        return rows[0].made_of, (), takers
    (row, stock), *_ = await bundles.stock(conn, rows)
    return row.made_of, tuple(_part(x) for x in stock), takers


def _part(one: Stock) -> BundlePart:
    return BundlePart(one.warehouse, one.makes, one.short, tuple(_component(x) for x in one.parts))


def _component(x: PartStock) -> ComponentPart:
    makes = None if x.left is None else x.left // x.units
    return ComponentPart(x.sku, x.units, x.left, makes)
