"""The light ShopWired shop."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from msgspec.json import decode, encode

from bench.shops.shelf import BODY_BYTES, Lines, Shelf, sku_of
from bench.signing import digest


class ShopWired:
    """Named by sku; finalised orders are told."""

    real_bucket: ClassVar[tuple[float, float]] = (40.0, 2.0)

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def said(self, order: int, lines: Lines) -> Iterator[tuple[str, Any]]:
        at = formatdate(usegmt=True)
        found = {
            "id": order,
            "reference": str(order),
            "created": at,
            "status": {"type": "paid"},
            "comments": "x" * (BODY_BYTES - 400),
            "products": [
                {"id": order * 8 + n, "sku": sku_of(item), "quantity": units}
                for n, (item, units) in enumerate(lines)
            ],
        }
        event = {"id": order, "topic": "order.finalized", "createdAt": at, "subjectType": "order"}
        event |= {"subjectId": order, "data": {"object": found}}
        yield "order.finalized", {"timestamp": 0, "event": event}

    def signed(self, _topic: str, payload: bytes) -> str:
        return f"X-ShopWired-Signature: {digest(payload).hex()}\r\n"

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        date = f"Date: {formatdate(usegmt=True)}\r\n"
        if not self.shelf.bucket.take(1):
            self.shelf.tally["throttled"] += 1
            return 429, date, b"{}"
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/stock" and method == "POST":
            rows = decode(body)
            for row in rows:
                self.shelf.put(int(row["sku"][4:]), row["quantity"])
            return 200, date, encode({"updated": len(rows)})
        if url.path == "/stock":
            self.shelf.tally["rows_read"] += 1
            return 200, date, encode(self._stock(int(query["sku"][4:])))
        if url.path == "/products":
            first = int(query["offset"])
            last = min(first + int(query["count"]), self.shelf.items)
            return 200, date, encode([self._product(item) for item in range(first, last)])
        return 200, date, b"[]" if url.path == "/orders" else b'{"name":"bench"}'

    def _stock(self, item: int) -> Any:
        return {"sku": sku_of(item), "quantity": self.shelf.counts[item]}

    def _product(self, item: int) -> Any:
        names = {"id": item + 1, "title": f"Item {item}", "slug": f"item-{item}"}
        return {**names, "sku": sku_of(item), "stock": self.shelf.counts[item], "variations": []}
