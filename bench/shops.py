"""Three light shops in one process: the platforms' API shapes on loopback, shelves, and shoppers.

The strict stand-ins check every request against the vendors' schemas, which costs more than the
daemon does: two cores could not hold both. These answer what the connectors ask, in the same
shapes, and keep honest shelves, so that a wrong number is found at the end of a run. What they do
not do: no refusals, no lost answers, and order lists are empty, since no webhook is lost.
`python -m bench.shops ITEMS SHOP:PLATFORM…` prints the ports, then obeys one JSON line after another.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
import uvloop

SECRET = b"a-webhook-secret-of-the-bench"
FIRST_COUNT = 1_000_000
"""Enough for any run: nothing sells out, so that every sale owes a delivery to every other shop."""
LOCATION = 77
BODY_BYTES = 1500
ANSWERS_AFTER_S = 0.005

encode = msgspec.json.encode
decode = msgspec.json.decode


class Bucket:
    """A leaky bucket as the platforms keep it; capacity 0: no limit."""

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate = capacity, rate
        self.level, self.at_s = capacity, time.monotonic()

    def take(self, cost: float) -> bool:
        if not self.capacity:
            return True
        now_s = time.monotonic()
        self.level = min(self.capacity, self.level + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        if self.level < cost:
            return False
        self.level -= cost
        return True


class Shop:
    """One shop: a shelf by item number, and what its platform would answer and send."""

    real_bucket = (0.0, 0.0)

    def __init__(self, name: str, items: int, world: World, *, limited: bool) -> None:
        self.name, self.items, self.world = name, items, world
        self.shelf = [FIRST_COUNT] * items
        self.stamps: dict[int, str] = {}
        self.opened = iso_now()
        self.bucket = Bucket(*(self.real_bucket if limited else (0.0, 0.0)))
        self.count: Counter[str] = Counter()
        self.orders = random.getrandbits(31) * 1000

    def sell(self, lines: list[tuple[int, int]]) -> Iterator[bytes]:
        """Lower the shelf and give the webhooks that tell of it, as whole requests."""
        for item, units in lines:
            self.shelf[item] -= units
            self.stamps[item] = iso_now()
        self.orders += 1
        for topic, body in self.said(self.orders, lines):
            payload = encode(body)
            yield head(self.name, self.signed(topic, payload), len(payload)) + payload

    def put(self, item: int, quantity: int) -> None:
        self.shelf[item] = quantity
        self.stamps[item] = iso_now()
        self.count["rows_written"] += 1
        self.world.shows(self.name, item, quantity)

    def stamp(self, item: int) -> str:
        return self.stamps.get(item, self.opened)

    def said(self, order: int, lines: list[tuple[int, int]]) -> Iterator[tuple[str, Any]]:
        raise NotImplementedError

    def signed(self, topic: str, payload: bytes) -> str:
        raise NotImplementedError

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, extra header lines, body."""
        raise NotImplementedError


def iso_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def head(shop: str, headers: str, length: int) -> bytes:
    return (
        f"POST /webhooks/{shop} HTTP/1.1\r\nHost: stock.example.com\r\n"
        "User-Agent: Hookshot\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {length}\r\n\r\n"
    ).encode()


def digest64(payload: bytes) -> str:
    return base64.b64encode(hmac.digest(SECRET, payload, "sha256")).decode()


class Shopify(Shop):
    """Inventory item 1 000 000 + n at one location; orders and levels are told."""

    real_bucket = (2000.0, 100.0)

    def said(self, order: int, lines: list[tuple[int, int]]) -> Iterator[tuple[str, Any]]:
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
                        "variant_id": 2_000_000 + item,
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
                    "inventory_item_id": 1_000_000 + item,
                    "location_id": LOCATION,
                    "available": self.shelf[item],
                    "updated_at": self.stamps[item],
                },
            )

    def signed(self, topic: str, payload: bytes) -> str:
        return (
            f"X-Shopify-Topic: {topic}\r\nX-Shopify-Shop-Domain: {self.name}.myshopify.com\r\n"
            f"X-Shopify-Hmac-Sha256: {digest64(payload)}\r\n"
            f"X-Shopify-Webhook-Id: {random.getrandbits(120):030x}\r\n"
        )

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:  # noqa: ARG002 - alike for every shop
        if target.startswith("/bulk"):
            return 200, "", b"".join(self._bulk_lines())
        asked = decode(body)
        op = asked["query"].split("(", 1)[0].split()[1]
        said = asked["variables"]
        cost = 2.0 * len(said["ids"]) if op == "ReadLevels" else 13.0
        fits = self.bucket.take(cost)
        status = {
            "maximumAvailable": self.bucket.capacity or 1e6,
            "restoreRate": self.bucket.rate or 1e6,
            "currentlyAvailable": self.bucket.level if self.bucket.capacity else 1e6,
        }
        told = {"cost": {"requestedQueryCost": cost, "throttleStatus": status}}
        if not fits:
            self.count["throttled"] += 1
            errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
            return 200, "", encode({"errors": errors, "extensions": told})
        told["cost"]["actualQueryCost"] = cost
        data = getattr(self, f"_{op}")(said)
        return 200, "", encode({"data": data, "extensions": told})

    def _WhoAmI(self, _: Any) -> Any:  # noqa: N802 - an operation's name
        granted = ["read_products", "read_locations", "write_inventory", "read_orders"]
        return {
            "shop": {"id": "1", "name": self.name, "myshopifyDomain": f"{self.name}.myshopify.com"},
            "currentAppInstallation": {"accessScopes": [{"handle": one} for one in granted]},
        }

    def _CatalogueSize(self, _: Any) -> Any:  # noqa: N802 - an operation's name
        return {"productVariantsCount": {"count": self.items}, "locationsCount": {"count": 1}}

    def _OrdersPage(self, _: Any) -> Any:  # noqa: N802 - an operation's name
        return {"orders": {"nodes": [], "pageInfo": {"hasNextPage": False}}}

    def _BulkRun(self, _: Any) -> Any:  # noqa: N802 - an operation's name
        made = {"id": "gid://shopify/BulkOperation/1", "status": "CREATED"}
        return {"bulkOperationRunQuery": {"bulkOperation": made, "userErrors": []}}

    def _BulkStatus(self, said: Any) -> Any:  # noqa: N802 - an operation's name
        url = f"http://127.0.0.1:{self.world.ports[self.name]}/bulk"
        done = {"id": said["id"], "status": "COMPLETED", "url": url}
        return {"bulkOperation": {**done, "objectCount": str(3 * self.items)}}

    def _bulk_lines(self) -> Iterator[bytes]:
        for item, quantity in enumerate(self.shelf):
            gid = f"gid://shopify/InventoryItem/{1_000_000 + item}"
            yield (
                f'{{"id":"{gid}","sku":"{sku_of(item)}","tracked":true}}\n'
                f'{{"id":"gid://shopify/ProductVariant/{2_000_000 + item}","barcode":null,'
                f'"title":"Default Title","product":{{"id":"gid://shopify/Product/{item + 1}",'
                f'"handle":"item-{item}","title":"Item {item}"}},"__parentId":"{gid}"}}\n'
                f'{{"id":"{gid}?l","location":{{"id":"gid://shopify/Location/{LOCATION}"}},'
                f'"quantities":[{{"name":"available","quantity":{quantity},'
                f'"updatedAt":"{self.stamp(item)}"}}],"__parentId":"{gid}"}}\n'
            ).encode()

    def _ReadLevels(self, said: Any) -> Any:  # noqa: N802 - an operation's name
        self.count["rows_read"] += len(said["ids"])
        nodes = []
        for gid in said["ids"]:
            item = int(gid.rsplit("/", 1)[1]) - 1_000_000
            held = {
                "name": "available",
                "quantity": self.shelf[item],
                "updatedAt": self.stamp(item),
            }
            level = {"isActive": True, "quantities": [held]}
            nodes.append({"id": gid, "tracked": True, "inventoryLevel": level})
        return {"nodes": nodes}

    def _SetQuantities(self, said: Any) -> Any:  # noqa: N802 - an operation's name
        rows = said["input"]["quantities"]
        errors = []
        for place, row in enumerate(rows):
            item = int(row["inventoryItemId"].rsplit("/", 1)[1]) - 1_000_000
            if row["changeFromQuantity"] not in (None, self.shelf[item]):
                field = ["input", "quantities", str(place), "changeFromQuantity"]
                code = "CHANGE_FROM_QUANTITY_STALE"
                errors.append({"code": code, "field": field, "message": "stale"})
        if errors:
            self.count["stale"] += len(errors)
        else:
            for row in rows:
                item = int(row["inventoryItemId"].rsplit("/", 1)[1]) - 1_000_000
                self.put(item, row["quantity"])
        return {"inventorySetQuantities": _group(errors)}

    def _AdjustQuantities(self, said: Any) -> Any:  # noqa: N802 - an operation's name
        for row in said["input"]["changes"]:
            item = int(row["inventoryItemId"].rsplit("/", 1)[1]) - 1_000_000
            self.put(item, self.shelf[item] + row["delta"])
        return {"inventoryAdjustQuantities": _group([])}


def _group(errors: list[Any]) -> Any:
    made = None if errors else {"id": "gid://shopify/Group/1", "createdAt": iso_now()}
    return {"inventoryAdjustmentGroup": made, "userErrors": errors}


class WooCommerce(Shop):
    """Product n + 1; orders are told, whole seconds as the real one has them."""

    def said(self, order: int, lines: list[tuple[int, int]]) -> Iterator[tuple[str, Any]]:
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

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:  # noqa: ARG002 - alike for every shop
        url = urlsplit(target)
        path = url.path.removeprefix("/wp-json/wc/v3")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if path == "/products/batch":
            rows = decode(body)["update"]
            for row in rows:
                self.put(row["id"] - 1, row["stock_quantity"])
            return 200, "", encode({"update": [self._product(row["id"] - 1) for row in rows]})
        if path == "/products" and "include" in query:
            found = [int(one) - 1 for one in query["include"].split(",")]
            self.count["rows_read"] += len(found)
            return 200, "", encode([self._product(item) for item in found])
        if path == "/products":
            first = int(query["offset"])
            last = min(first + int(query["per_page"]), self.items)
            rows = [self._product(item) for item in range(first, last)]
            return 200, f"X-WP-Total: {self.items}\r\n", encode(rows)
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
            "stock_quantity": self.shelf[item],
            "date_modified_gmt": self.stamp(item)[:19],
            "variations": [],
        }


class ShopWired(Shop):
    """Named by sku; finalised orders are told."""

    real_bucket = (40.0, 2.0)

    def said(self, order: int, lines: list[tuple[int, int]]) -> Iterator[tuple[str, Any]]:
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

    def signed(self, topic: str, payload: bytes) -> str:  # noqa: ARG002 - alike for every shop
        return f"X-ShopWired-Signature: {hmac.digest(SECRET, payload, 'sha256').hex()}\r\n"

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        date = f"Date: {formatdate(usegmt=True)}\r\n"
        if not self.bucket.take(1):
            self.count["throttled"] += 1
            return 429, date, b"{}"
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/stock" and method == "POST":
            rows = decode(body)
            for row in rows:
                self.put(int(row["sku"][4:]), row["quantity"])
            return 200, date, encode({"updated": len(rows)})
        if url.path == "/stock":
            self.count["rows_read"] += 1
            return 200, date, encode(self._stock(int(query["sku"][4:])))
        if url.path == "/products":
            first = int(query["offset"])
            last = min(first + int(query["count"]), self.items)
            return 200, date, encode([self._product(item) for item in range(first, last)])
        return 200, date, b"[]" if url.path == "/orders" else b'{"name":"bench"}'

    def _stock(self, item: int) -> Any:
        return {"sku": sku_of(item), "quantity": self.shelf[item]}

    def _product(self, item: int) -> Any:
        names = {"id": item + 1, "title": f"Item {item}", "slug": f"item-{item}"}
        return {**names, "sku": sku_of(item), "stock": self.shelf[item], "variations": []}


def sku_of(item: int) -> str:
    return f"SKU-{item:06d}"


PLATFORMS = {"shopify": Shopify, "woocommerce": WooCommerce, "shopwired": ShopWired}


class Listener(asyncio.Protocol):
    """One connection of the daemon to a shop; a request is applied and answered 5 ms later."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.got = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        while True:
            top, found, rest = self.got.partition(b"\r\n\r\n")
            if not found:
                return
            _, mark, length = top.lower().partition(b"\r\ncontent-length:")
            wanted = int(length.split(b"\r\n", 1)[0]) if mark else 0
            if len(rest) < wanted:
                return
            self.got = rest[wanted:]
            method, target = top.split(b"\r\n", 1)[0].decode().split(" ")[:2]
            self.loop.call_later(ANSWERS_AFTER_S, self.reply, method, target, rest[:wanted])

    def reply(self, method: str, target: str, body: bytes) -> None:
        self.shop.count["calls"] += 1
        status, extra, said = self.shop.answer(method, target, body)
        top = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{extra}"
        self.transport.write(f"{top}Content-Length: {len(said)}\r\n\r\n".encode() + said)


class Sender(asyncio.Protocol):
    """One keep-alive connection to the door with at most one webhook under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.due_s = 0.0
        self.got = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, payload: bytes, due_s: float) -> None:
        self.due_s = due_s
        self.transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self.got += data
        top, found, rest = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        _, mark, length = top.lower().partition(b"content-length:")
        if len(rest) >= (int(length.split(b"\r\n", 1)[0]) if mark else 0):
            self.got = b""
            self.load.answered(self, int(top[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        self.load.lost()


class Load:
    """Webhooks waiting to be sent, and the times their acknowledgements took since they were due."""

    def __init__(self) -> None:
        self.idle: deque[Sender] = deque()
        self.senders: list[Sender] = []
        self.late: deque[tuple[bytes, float]] = deque()
        self.statuses: Counter[int] = Counter()
        self.acks_s: list[float] = []
        self.out = 0
        self.most_late = 0
        self.broken = False

    async def connect(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, sender = await loop.create_connection(lambda: Sender(self), "127.0.0.1", port)
            self.senders.append(sender)
            self.idle.append(sender)

    def close(self) -> None:
        self.broken = True
        for sender in self.senders:
            sender.transport.abort()

    def send(self, payload: bytes) -> None:
        due_s = time.perf_counter()
        self.out += 1
        if self.idle:
            self.idle.popleft().send(payload, due_s)
        else:
            self.late.append((payload, due_s))
            self.most_late = max(self.most_late, len(self.late))

    def answered(self, sender: Sender, status: int) -> None:
        self.out -= 1
        self.statuses[status] += 1
        self.acks_s.append(time.perf_counter() - sender.due_s)
        if self.late:
            sender.send(*self.late.popleft())
        else:
            self.idle.append(sender)

    def lost(self) -> None:
        self.broken = True

    async def drained(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while self.out:
                if self.broken:
                    raise ConnectionError("the door closed a connection")
                await asyncio.sleep(0.01)


class Sale:
    """A watched sale: the other shops that still show more, and when the last one did not."""

    __slots__ = ("at_s", "shown_s", "waits")

    def __init__(self, at_s: float, waits: int) -> None:
        self.at_s, self.waits, self.shown_s = at_s, waits, 0.0


class World:
    """All shops, and the watch on how long a sale takes to the last other shelf."""

    def __init__(self, items: int, shops: list[str], *, limited: bool) -> None:
        self.items = items
        self.ports: dict[str, int] = {}
        self.shops: dict[str, Shop] = {}
        for one in shops:
            name, _, platform = one.partition(":")
            self.shops[name] = PLATFORMS[platform](name, items, self, limited=limited)
        self.sold = [0] * items
        self.units = 0
        self.watched: dict[tuple[str, int], list[tuple[int, Sale]]] = {}
        self.sales: list[Sale] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for name, shop in self.shops.items():
            server = await loop.create_server(lambda shop=shop: Listener(shop), "127.0.0.1", 0)  # type: ignore[misc]
            self.ports[name] = server.sockets[0].getsockname()[1]

    def shows(self, shop: str, item: int, quantity: int) -> None:
        waiting = self.watched.get((shop, item))
        if not waiting:
            return
        now_s = time.perf_counter()
        left = []
        for wanted, sale in waiting:
            if quantity > wanted:
                left.append((wanted, sale))
                continue
            sale.waits -= 1
            if not sale.waits:
                sale.shown_s = now_s
        self.watched[shop, item] = left

    def sale(self, shop: Shop, lines: list[tuple[int, int]], *, watch: bool) -> list[bytes]:
        requests = list(shop.sell(lines))
        for item, units in lines:
            self.sold[item] += units
            self.units += units
        if watch:
            sale = Sale(time.perf_counter(), (len(self.shops) - 1) * len(lines))
            self.sales.append(sale)
            for item, _ in lines:
                for name in self.shops:
                    if name != shop.name:
                        wanted = FIRST_COUNT - self.sold[item]
                        self.watched.setdefault((name, item), []).append((wanted, sale))
        return requests

    def unequal(self) -> int:
        """Shelves that do not show what is left."""
        return sum(
            shelf != FIRST_COUNT - sold
            for shop in self.shops.values()
            for shelf, sold in zip(shop.shelf, self.sold, strict=True)
        )

    # --- what the bench asks for ---

    async def sell(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Sales at a rate, exponential gaps, shops in turn; each webhook is due when it happens."""
        load, names = Load(), list(self.shops)
        await load.connect(asked["door"], asked.get("connections", 32))
        watch = bool(asked.get("watch"))
        self.sales = []
        began_s = due_s = time.perf_counter()
        ends_s, number = began_s + asked["seconds"], 0
        choose = self._once_each() if watch else self._like_shoppers()
        while due_s < ends_s and not load.broken:
            now_s = time.perf_counter()
            while due_s <= now_s and due_s < ends_s:
                shop = self.shops[names[number % len(names)]]
                number += 1
                for request in self.sale(shop, next(choose), watch=watch):
                    load.send(request)
                due_s += random.expovariate(asked["rate"])
            await asyncio.sleep(max(due_s - time.perf_counter(), 0))
        offered_s = time.perf_counter() - began_s
        await load.drained(150)
        all_acked_s = time.perf_counter() - began_s
        if watch:
            await self._until(lambda: all(s.shown_s for s in self.sales), 10)
        load.close()
        shown = [s.shown_s - s.at_s for s in self.sales[len(self.sales) // 10 :] if s.shown_s]
        return {
            "orders": number,
            "webhooks": sum(load.statuses.values()),
            "rate": number / all_acked_s,
            "offered_s": offered_s,
            "statuses": {str(status): count for status, count in load.statuses.items()},
            "most_late": load.most_late,
            "ack_ms": spread_ms(load.acks_s),
            "propagation_ms": spread_ms(shown),
            "unshown": sum(not s.shown_s for s in self.sales),
        }

    def _once_each(self) -> Iterator[list[tuple[int, int]]]:
        """Every item in turn, so that no sale is mistaken for another of the same item."""
        order = list(range(self.items))
        while True:
            random.shuffle(order)
            for item in order:
                yield [(item, 1)]

    def _like_shoppers(self) -> Iterator[list[tuple[int, int]]]:
        """One to three lines (1.4 on average) of items of which some sell far better than others."""
        weights = [(n + 1) ** -0.8 for n in range(self.items)]
        items = random.choices(range(self.items), weights, k=50_000)
        place = 0
        while True:
            count = 1 if (dice := random.random()) < 0.7 else 2 if dice < 0.9 else 3
            place = (place + count) % (len(items) - 3)
            yield [(item, 1) for item in dict.fromkeys(items[place : place + count])]

    async def backlog(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Put events straight into the inbox, as the door would have, while nobody books."""
        conn = await asyncpg.connect(asked["dsn"])
        ids = {row[1]: row[0] for row in await conn.fetch("select id, name from channel")}
        names, choose = list(self.shops), self._like_shoppers()
        now, events = datetime.now(UTC), list[tuple[int, str, bytes, datetime]]()
        number = 0
        while len(events) < asked["events"]:
            shop = self.shops[names[number % len(names)]]
            number += 1
            lines = next(choose)
            self.sale(shop, lines, watch=False)
            for topic, body in shop.said(shop.orders, lines):
                events.append((ids[shop.name], topic, encode(body), now))
        async with conn.transaction():
            columns = ["channel_id", "topic", "body", "received_at"]
            await conn.copy_records_to_table("inbox", records=events, columns=columns)
            await conn.execute(
                "insert into inbox_queue (event_id, channel_id, received_at, not_before)"
                " select id, channel_id, received_at, received_at from inbox where received_at = $1",
                now,
            )
        await conn.execute("analyze inbox_queue")
        await conn.close()
        return {"events": len(events), "orders": number}

    async def settled(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Wait until every shelf shows what is left."""
        began_s = time.perf_counter()
        await self._until(lambda: not self.unequal(), asked["seconds"])
        return {"unequal": self.unequal(), "seconds": time.perf_counter() - began_s}

    async def counts(self, _: dict[str, Any]) -> dict[str, Any]:
        return {name: dict(shop.count) for name, shop in self.shops.items()}

    async def _until(self, true: Callable[[], bool], timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not true():  # noqa: ASYNC110 - shelves ring no bell
                    await asyncio.sleep(0.1)


def spread_ms(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    return {
        "p50": 1000 * ordered[len(ordered) // 2],
        "p99": 1000 * ordered[int(len(ordered) * 0.99)],
        "max": 1000 * ordered[-1],
    }


async def main(items: int, shops: list[str], *, limited: bool) -> None:
    world = World(items, shops, limited=limited)
    await world.open()
    print(encode(world.ports).decode(), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = decode(line)
        answer = await getattr(world, asked["do"])(asked)
        print(encode(answer).decode(), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    real = "--limited" in words
    uvloop.run(main(int(words[0]), [w for w in words[1:] if ":" in w], limited=real))
