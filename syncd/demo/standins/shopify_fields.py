"""The Shopify stand-in's objects as GraphQL sees them: one plain dict per object, lazy where deep."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from syncd.demo.standins.shopify_shop import (
    Fulfilment,
    Item,
    Level,
    Line,
    Order,
    Place,
    Refund,
    Shop,
)

Node = dict[str, Any]
Row = tuple[list[Any], Node]
"""A node with its place in the order of a connection."""

PAGE_LIMIT = 250


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def number_in(text: str, kind: str) -> int:
    """The number of a gid of this kind; 0, which nothing has, for every other text."""
    rest = text.removeprefix(f"gid://shopify/{kind}/")
    return int(rest) if rest != text and rest.isdigit() else 0


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def refused(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def connection(rows: Sequence[Row]) -> Callable[..., Node]:
    """A connection's resolver over sorted rows: cursors name the last row seen, not its number."""

    def resolve(
        info: GraphQLResolveInfo, first: int | None = None, after: str | None = None, **_: Any
    ) -> Node:
        if first is None:
            if not info.context["bulk"]:
                raise refused("you must provide one of first or last", "BAD_REQUEST")
            first = len(rows)
        elif not 0 <= first <= PAGE_LIMIT:
            raise refused(f"first must be between 0 and {PAGE_LIMIT}", "BAD_REQUEST")
        start = json.loads(base64.b64decode(after)) if after else None
        left = [row for row in rows if start is None or row[0] > start]
        page = left[:first]
        cursors = [base64.b64encode(json.dumps(key).encode()).decode() for key, _ in page]
        return {
            "nodes": [node for _, node in page],
            "edges": [{"cursor": c, "node": n} for c, (_, n) in zip(cursors, page, strict=True)],
            "pageInfo": {
                "hasNextPage": len(left) > first,
                "endCursor": cursors[-1] if cursors else None,
            },
        }

    return resolve


def place_node(place: Place) -> Node:
    return {
        "__typename": "Location",
        "id": gid("Location", place.id),
        "name": place.name,
        "isActive": place.active,
    }


def level_node(level: Level) -> Node:
    def quantities(_: GraphQLResolveInfo, names: list[str]) -> list[Node]:
        # Only available carries a time; the others answer null (recorded).
        return [
            {
                "__typename": "InventoryQuantity",
                "name": name,
                "quantity": level.quantity(name),
                "updatedAt": iso(level.changed) if name == "available" else None,
            }
            for name in names
        ]

    return {
        "__typename": "InventoryLevel",
        # A query part in the id, as the real ones have.
        "id": f"{gid('InventoryLevel', level.id)}?inventory_item_id={level.item.id}",
        "isActive": level.active,
        "updatedAt": iso(level.changed),
        "createdAt": iso(level.changed),
        "location": place_node(level.place),
        "item": lambda _: item_node(level.item),
        "quantities": quantities,
    }


def variant_node(item: Item) -> Node:
    product = {
        "__typename": "Product",
        "id": gid("Product", item.product),
        "title": item.title,
        "handle": re.sub(r"[^a-z0-9]+", "-", item.title.lower()).strip("-"),
        "status": "ACTIVE",
        "tags": [],
    }
    return {
        "__typename": "ProductVariant",
        "id": gid("ProductVariant", item.variant),
        "sku": item.sku,
        "barcode": None,
        "requiresComponents": item.bundle,
        "title": "Default Title",
        "product": product,
        "inventoryItem": lambda _: item_node(item),
    }


def item_node(item: Item) -> Node:
    def one(_: GraphQLResolveInfo, **given: Any) -> Node | None:
        level = item.levels.get(number_in(given["locationId"], "Location"))
        if level is None or not (level.active or given.get("includeInactive")):
            return None
        return level_node(level)

    def levels(info: GraphQLResolveInfo, **given: Any) -> Node:
        shown = [lv for lv in item.levels.values() if lv.active or given.get("includeInactive")]
        return connection([([lv.id], level_node(lv)) for lv in shown])(info, **given)

    return {
        "__typename": "InventoryItem",
        "id": gid("InventoryItem", item.id),
        "sku": item.sku,
        "tracked": item.tracked,
        "variants": connection([([item.variant], variant_node(item))]),
        "variant": lambda _: variant_node(item),
        "inventoryLevel": one,
        "inventoryLevels": levels,
    }


def line_node(line: Line) -> Node:
    return {
        "__typename": "LineItem",
        "id": gid("LineItem", line.id),
        "sku": line.item.sku,
        "quantity": line.quantity,
        "currentQuantity": line.current,
        "variant": lambda _: variant_node(line.item),
    }


def refund_node(refund: Refund) -> Node:
    rows: list[Row] = [
        (
            [row.id],
            {
                "__typename": "RefundLineItem",
                "id": gid("RefundLineItem", row.id),
                "quantity": row.quantity,
                "restockType": row.restock_type.upper(),
                "restocked": row.restock_type != "no_restock",
                "lineItem": line_node(row.line),
                "location": None if row.restock_type == "no_restock" else place_node(row.place),
            },
        )
        for row in refund.lines
    ]
    return {
        "__typename": "Refund",
        "id": gid("Refund", refund.id),
        "createdAt": iso(refund.created),
        "refundLineItems": connection(rows),
    }


def fulfilment_node(one: Fulfilment, order: Order) -> Node:
    lines = {line.id: line for line in order.lines}
    rows: list[Row] = [
        (
            [line],
            {
                "__typename": "FulfillmentOrderLineItem",
                "id": gid("FulfillmentOrderLineItem", one.id * 1000 + n),
                "totalQuantity": units,
                "lineItem": line_node(lines[line]),
            },
        )
        for n, (line, units) in enumerate(sorted(one.units.items()))
    ]
    place = place_node(one.place)
    return {
        "__typename": "FulfillmentOrder",
        "id": gid("FulfillmentOrder", one.id),
        "orderId": gid("Order", order.id),
        "createdAt": iso(one.created),
        "assignedLocation": {"name": one.place.name, "location": place},
        "lineItems": connection(rows),
    }


def order_node(order: Order) -> Node:
    return {
        "__typename": "Order",
        "id": gid("Order", order.id),
        "name": f"#{order.number}",
        "createdAt": iso(order.created),
        "updatedAt": iso(order.changed),
        "cancelledAt": iso(order.cancelled),
        "displayFinancialStatus": order.paid.upper(),
        "lineItems": connection([([line.id], line_node(line)) for line in order.lines]),
        "refunds": lambda _, first=None: [refund_node(r) for r in order.refunds[:first]],
        "fulfillmentOrders": connection(
            [([one.id], fulfilment_node(one, order)) for one in order.fulfilments]
        ),
    }


def _changed_since(query: str | None) -> datetime:
    found = re.fullmatch(r"updated_at:>='?([0-9T:Z.+-]+)'?", (query or "").strip())
    if found is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.fromisoformat(found[1])


class Queries:
    """The resolvers of every query that is about the shop itself."""

    def __init__(self, shop: Shop, domain: str, scopes: Sequence[str]) -> None:
        self.shop = shop
        self._domain = domain
        self._scopes = scopes

    def resolvers(self) -> Node:
        return {
            "shop": {"id": gid("Shop", 1), "name": "Stand-in", "myshopifyDomain": self._domain},
            "currentAppInstallation": {
                "id": gid("AppInstallation", 1),
                "accessScopes": [{"handle": s, "description": s} for s in self._scopes],
            },
            "nodes": self._nodes,
            "inventoryItem": self._item,
            "inventoryItems": self._items,
            "order": self._order,
            "orders": self._orders,
            "refund": self._refund,
            "locations": self._places,
            "locationsCount": lambda _, limit=10000: _count(len(self.shop.places), limit),
            "productVariantsCount": lambda _, limit=10000: _count(len(self.shop.items), limit),
        }

    def _items(self, info: GraphQLResolveInfo, **given: Any) -> Node:
        rows = [([i.id], item_node(i)) for i in self.shop.items.values()]
        return connection(rows)(info, **given)

    def _item(self, _: GraphQLResolveInfo, **given: Any) -> Node | None:
        found = self.shop.items.get(number_in(given["id"], "InventoryItem"))
        return item_node(found) if found else None

    def _nodes(self, info: GraphQLResolveInfo, ids: list[str]) -> list[Node | None]:
        if len(ids) > PAGE_LIMIT:
            raise too_many(len(ids))
        return [self._item(info, id=text) or self._fulfilment(text) for text in ids]

    def _order(self, _: GraphQLResolveInfo, **given: Any) -> Node | None:
        found = self.shop.orders.get(number_in(given["id"], "Order"))
        return order_node(found) if found else None

    def _orders(self, info: GraphQLResolveInfo, **given: Any) -> Node:
        since = _changed_since(given.get("query"))
        changed = [o for o in self.shop.orders.values() if o.changed >= since]
        rows: list[Row] = [([iso(o.changed), o.id], order_node(o)) for o in changed]
        return connection(sorted(rows, key=lambda row: row[0]))(info, **given)

    def _fulfilment(self, gid: str) -> Node | None:
        wanted = number_in(gid, "FulfillmentOrder")
        every = ((one, o) for o in self.shop.orders.values() for one in o.fulfilments)
        return next((fulfilment_node(one, o) for one, o in every if one.id == wanted), None)

    def _refund(self, _: GraphQLResolveInfo, **given: Any) -> Node | None:
        wanted = number_in(given["id"], "Refund")
        every = (r for o in self.shop.orders.values() for r in o.refunds)
        return next((refund_node(r) for r in every if r.id == wanted), None)

    def _places(self, info: GraphQLResolveInfo, **given: Any) -> Node:
        every = self.shop.places.values()
        shown = [p for p in every if p.active or given.get("includeInactive")]
        return connection([([p.id], place_node(p)) for p in shown])(info, **given)


def _count(found: int, limit: int | None) -> Node:
    if limit is not None and found > limit:
        return {"count": limit, "precision": "AT_LEAST"}
    return {"count": found, "precision": "EXACT"}


def too_many(count: int) -> GraphQLError:
    return refused(
        f"The input array size of {count} is greater than the maximum allowed of {PAGE_LIMIT}.",
        "MAX_INPUT_SIZE_EXCEEDED",
    )
