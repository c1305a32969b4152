"""The light WooCommerce shop."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from msgspec.json import decode, encode

from bench.shops.shelf import BODY_BYTES, Lines, Shelf, iso_now, sku_of
from bench.signing import digest64


class WooCommerce:
    """Product n + 1; orders are told, whole seconds as the real one has them."""

    real_bucket: ClassVar[tuple[float, float]] = (0.0, 0.0)

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def said(self, order: int, lines: Lines) -> Iterator[tuple[str, Any]]:
        at = iso_now()[:19]
        yield (
            "order.created",
            {
                "id": order,
                "number": str(order),
                "status": "processing",
                "date_created_gmt": at,
                "date_modified_gmt": at,
                "date_paid_gmt": at,
                "customer_note": "x" * (BODY_BYTES - 350),
                "refunds": [],
                "line_items": [
                    {
                        "id": order * 8 + n,
                        "product_id": item + 1,
                        "variation_id": 0,
                        "quantity": units,
                        "sku": sku_of(item),
                        "meta_data": [{"key": "_reduced_stock", "value": str(units)}],
                    }
                    for n, (item, units) in enumerate(lines)
                ],
            },
        )

    def signed(self, topic: str, payload: bytes) -> str:
        return (
            f"X-WC-Webhook-Topic: {topic}\r\nX-WC-Webhook-Signature: {digest64(payload)}\r\n"
            f"X-WC-Webhook-Delivery-ID: {random.getrandbits(120):030x}\r\n"
        )

    def answer(self, _method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        url = urlsplit(target)
        path = url.path.removeprefix("/wp-json/wc/v3")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if path == "/products/batch":
            rows = decode(body)["update"]
            for row in rows:
                self.shelf.put(row["id"] - 1, row["stock_quantity"])
            return 200, "", encode({"update": [self._product(row["id"] - 1) for row in rows]})
        if path == "/products" and "include" in query:
            found = [int(one) - 1 for one in query["include"].split(",")]
            self.shelf.tally["rows_read"] += len(found)
            return 200, "", encode([self._product(item) for item in found])
        if path == "/products":
            first = int(query["offset"])
            last = min(first + int(query["per_page"]), self.shelf.items)
            rows = [self._product(item) for item in range(first, last)]
            return 200, f"X-WP-Total: {self.shelf.items}\r\n", encode(rows)
        if path == "/orders":
            return 200, "X-WP-Total: 0\r\nX-WP-TotalPages: 0\r\n", b"[]"
        version = {"environment": {"version": "10.7.0", "home_url": "https://shop.example"}}
        return 200, "", encode(version if path == "/system_status" else {"value": "yes"})

    def _product(self, item: int) -> Any:
        return {
            "id": item + 1,
            "type": "simple",
            "parent_id": 0,
            "name": f"Item {item}",
            "slug": f"item-{item}",
            "sku": sku_of(item),
            "global_unique_id": "",
            "status": "publish",
            "manage_stock": True,
            "stock_quantity": self.shelf.counts[item],
            "date_modified_gmt": self.shelf.stamp(item)[:19],
            "variations": [],
        }
