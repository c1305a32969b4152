"""The light Shopify shop."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec.json import decode, encode

from bench.shops.shelf import BODY_BYTES, Lines, Shelf, iso_now, sku_of
from bench.signing import digest64

LOCATION = 77
INVENTORY_ITEM = 1_000_000
"""Its number is this plus the item's, and twice this plus the item's is its variant."""


class Shopify:
    """Inventory item 1 000 000 + n at one location; orders and levels are told."""

    real_bucket: ClassVar[tuple[float, float]] = (2000.0, 100.0)

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._operations = {
            "WhoAmI": self._who_am_i,
            "CatalogueSize": self._catalogue_size,
            "OrdersPage": self._orders_page,
            "BulkRun": self._bulk_run,
            "BulkStatus": self._bulk_status,
            "ReadLevels": self._read_levels,
            "SetQuantities": self._set_quantities,
            "AdjustQuantities": self._adjust_quantities,
        }

    def said(self, order: int, lines: Lines) -> Iterator[tuple[str, Any]]:
        at = iso_now()
        yield (
            "orders/create",
            {
                "id": order,
                "name": f"#{order}",
                "created_at": at,
                "updated_at": at,
                "financial_status": "paid",
                "note": "x" * (BODY_BYTES - 300),
                "refunds": [],
                "line_items": [
                    {
                        "id": order * 8 + n,
                        "quantity": units,
                        "current_quantity": units,
                        "variant_id": 2 * INVENTORY_ITEM + item,
                        "sku": sku_of(item),
                    }
                    for n, (item, units) in enumerate(lines)
                ],
            },
        )
        for item, _ in lines:
            yield (
                "inventory_levels/update",
                {
                    "inventory_item_id": INVENTORY_ITEM + item,
                    "location_id": LOCATION,
                    "available": self.shelf.counts[item],
                    "updated_at": self.shelf.stamp(item),
                },
            )

    def signed(self, topic: str, payload: bytes) -> str:
        return (
            f"X-Shopify-Topic: {topic}\r\n"
            f"X-Shopify-Shop-Domain: {self.shelf.name}.myshopify.com\r\n"
            f"X-Shopify-Hmac-Sha256: {digest64(payload)}\r\n"
            f"X-Shopify-Webhook-Id: {random.getrandbits(120):030x}\r\n"
        )

    def answer(self, _method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        if target.startswith("/bulk"):
            return 200, "", b"".join(self._bulk_lines())
        asked = decode(body)
        op = asked["query"].split("(", 1)[0].split()[1]
        said, bucket = asked["variables"], self.shelf.bucket
        cost = 2.0 * len(said["ids"]) if op == "ReadLevels" else 13.0
        fits = bucket.take(cost)
        status = {
            "maximumAvailable": bucket.capacity or 1e6,
            "restoreRate": bucket.rate or 1e6,
            "currentlyAvailable": bucket.level if bucket.capacity else 1e6,
        }
        told = {"cost": {"requestedQueryCost": cost, "throttleStatus": status}}
        if not fits:
            self.shelf.tally["throttled"] += 1
            errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
            return 200, "", encode({"errors": errors, "extensions": told})
        told["cost"]["actualQueryCost"] = cost
        data = self._operations[op](said)
        return 200, "", encode({"data": data, "extensions": told})

    def _who_am_i(self, _: Any) -> Any:
        granted = ["read_products", "read_locations", "write_inventory", "read_orders"]
        name = self.shelf.name
        return {
            "shop": {"id": "1", "name": name, "myshopifyDomain": f"{name}.myshopify.com"},
            "currentAppInstallation": {"accessScopes": [{"handle": one} for one in granted]},
        }

    def _catalogue_size(self, _: Any) -> Any:
        return {
            "productVariantsCount": {"count": self.shelf.items},
            "locationsCount": {"count": 1},
        }

    def _orders_page(self, _: Any) -> Any:
        return {"orders": {"nodes": [], "pageInfo": {"hasNextPage": False}}}

    def _bulk_run(self, _: Any) -> Any:
        made = {"id": "gid://shopify/BulkOperation/1", "status": "CREATED"}
        return {"bulkOperationRunQuery": {"bulkOperation": made, "userErrors": []}}

    def _bulk_status(self, said: Any) -> Any:
        url = f"http://127.0.0.1:{self.shelf.port}/bulk"
        done = {"id": said["id"], "status": "COMPLETED", "url": url}
        return {"bulkOperation": {**done, "objectCount": str(3 * self.shelf.items)}}

    def _bulk_lines(self) -> Iterator[bytes]:
        for item, quantity in enumerate(self.shelf.counts):
            gid = f"gid://shopify/InventoryItem/{INVENTORY_ITEM + item}"
            yield (
                f'{{"id":"{gid}","sku":"{sku_of(item)}","tracked":true}}\n'
                f'{{"id":"gid://shopify/ProductVariant/{2 * INVENTORY_ITEM + item}",'
                f'"barcode":null,"title":"Default Title",'
                f'"product":{{"id":"gid://shopify/Product/{item + 1}",'
                f'"handle":"item-{item}","title":"Item {item}"}},"__parentId":"{gid}"}}\n'
                f'{{"id":"{gid}?l","location":{{"id":"gid://shopify/Location/{LOCATION}"}},'
                f'"quantities":[{{"name":"available","quantity":{quantity},'
                f'"updatedAt":"{self.shelf.stamp(item)}"}}],"__parentId":"{gid}"}}\n'
            ).encode()

    def _read_levels(self, said: Any) -> Any:
        self.shelf.tally["rows_read"] += len(said["ids"])
        nodes = []
        for gid in said["ids"]:
            item = _item(gid)
            held = {
                "name": "available",
                "quantity": self.shelf.counts[item],
                "updatedAt": self.shelf.stamp(item),
            }
            level = {"isActive": True, "quantities": [held]}
            nodes.append({"id": gid, "tracked": True, "inventoryLevel": level})
        return {"nodes": nodes}

    def _set_quantities(self, said: Any) -> Any:
        rows = said["input"]["quantities"]
        errors = []
        for place, row in enumerate(rows):
            shown = self.shelf.counts[_item(row["inventoryItemId"])]
            if row["changeFromQuantity"] not in (None, shown):
                field = ["input", "quantities", str(place), "changeFromQuantity"]
                code = "CHANGE_FROM_QUANTITY_STALE"
                errors.append({"code": code, "field": field, "message": "stale"})
        if errors:
            self.shelf.tally["stale"] += len(errors)
        else:
            for row in rows:
                self.shelf.put(_item(row["inventoryItemId"]), row["quantity"])
        return {"inventorySetQuantities": _group(errors)}

    def _adjust_quantities(self, said: Any) -> Any:
        for row in said["input"]["changes"]:
            item = _item(row["inventoryItemId"])
            self.shelf.put(item, self.shelf.counts[item] + row["delta"])
        return {"inventoryAdjustQuantities": _group([])}


def _item(gid: str) -> int:
    return int(gid.rsplit("/", 1)[1]) - INVENTORY_ITEM


def _group(errors: list[Any]) -> Any:
    made = None if errors else {"id": "gid://shopify/Group/1", "createdAt": iso_now()}
    return {"inventoryAdjustmentGroup": made, "userErrors": errors}
