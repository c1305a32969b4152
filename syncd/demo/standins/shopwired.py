"""A strict ShopWired account on loopback: shelves, orders, signed webhooks, the real leaky bucket.

It follows the vendor's help pages; where they are silent, the choice made here is said aloud.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from typing import Any, Literal, cast

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware

from syncd.demo.standins import shopwired_rules as rules
from syncd.demo.standins.base import Book, Counters, Faults, Hook, Sender, SendPolicy, faulty
from syncd.demo.standins.shopwired_rules import RefusedCall

BUCKET = 40.0
LEAK_PER_S = 2.0
DISABLED_AFTER = 24
"""Failed attempts in a row; the help page does not say whether a success forgets the ones before."""

RETRY_DELAYS_S = (3600.0,) * (DISABLED_AFTER - 1)
PRICE = 10.0
UNPAID: Mapping[str, Any] = {"id": 1, "name": "Unpaid", "type": "unpaid", "sortOrder": 1}
PAID: Mapping[str, Any] = {"id": 2, "name": "Paid", "type": "paid", "sortOrder": 2}
CANCELLED: Mapping[str, Any] = {"id": 3, "name": "Cancelled", "type": "cancelled", "sortOrder": 3}


@dataclass(slots=True)
class Shelf:
    """What holds stock: a product, or a variation of one; without a sku nothing counts it."""

    id: int
    sku: str
    stock: int


@dataclass(slots=True)
class Product:
    id: int
    title: str
    own: Shelf | None
    variations: list[Shelf] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    id: int
    sku: str
    quantity: int
    returned: bool = False


@dataclass(slots=True)
class Order:
    id: int
    reference: int
    created: datetime
    lines: list[Line]
    status: Mapping[str, Any]
    holds: bool = False
    refunds: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Registration:
    id: int
    topic: str
    url: str
    active: bool = True
    failures: int = 0


class _HookSender(Sender):
    """Tells of every attempt, since failed ones switch a webhook off."""

    def __init__(self, policy: SendPolicy, tried: Callable[[Hook, bool], None]) -> None:
        super().__init__(policy)
        self._tried = tried

    async def _post(self, hook: Hook) -> bool:
        done = await super()._post(hook)
        self._tried(hook, done)
        return done


class ShopWiredStandin:
    """See `Standin`. `restocks` is the merchant's habit, as in the connector's options.

    Cancelling sets a status and, unless the habit is "never", returns the stock of every line. A
    refund is money: stock goes back only under the habit "refunded", when the whole order was
    refunded; goods that stay with the shopper are refunded less a tenth.
    """

    platform = "shopwired"

    def __init__(
        self,
        *,
        restocks: Literal["cancelled", "refunded", "never"] = "refunded",
        backorder: bool = False,
        bare_webhooks: bool = False,
        page_max: int = rules.PAGE_MAX,
        retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
        credentials: tuple[str, str] = ("standin-key", "standin-api-secret"),
        webhook_secret: str | None = None,
        seed: int = 0,
    ) -> None:
        self.restocks = restocks
        self.backorder = backorder
        self.bare_webhooks = bare_webhooks
        """Orders in webhooks come without status and products, as they may."""
        self.page_max = page_max
        """Gives at most this many rows, whatever was asked for."""
        self.verify_hooks = True
        """False: a new webhook's address is not asked for proof."""
        self.faults = Faults(seed=seed)
        self.book = Book()
        self.counters = Counters()
        self.sender: Sender = _HookSender(
            SendPolicy(retry_delays_s, ok=lambda status: status == 200, seed=seed), self._tried
        )
        self.products: dict[int, Product] = {}
        self.placed: dict[int, Order] = {}
        self.registrations: dict[int, Registration] = {}
        self._secrets = (*credentials, webhook_secret or "standin-webhook-secret")
        self._shelves: dict[str, Shelf] = {}
        self._sent: dict[int, tuple[Hook, Registration]] = {}
        self._ids = count(7770001)
        self._event_ids = count(900001)
        self._bucket, self._leaked_at = 0.0, 0.0
        self._runner: web.AppRunner | None = None
        self._port = 0

    # ---- life

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def options(self) -> dict[str, object]:
        key, secret, hook_secret = self._secrets
        return {
            "base_url": self.base_url,
            "api_key": key,
            "api_secret": secret,
            "webhook_secret": hook_secret,
            "restocks": self.restocks,
        }

    async def start(self, port: int = 0) -> None:
        fault = faulty(
            self.faults,
            lambda request: request.method in ("POST", "PUT") and request.path.endswith("/stock"),
            _unauthorised,
        )
        app = web.Application(middlewares=[cast("Middleware", fault)], client_max_size=1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port or self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.sender.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- the shop's side

    def add(self, sku: str, quantity: int, title: str = "") -> None:
        number = next(self._ids)
        shelf = Shelf(number, sku, quantity)
        self.products[number] = Product(number, title or sku, shelf)
        if sku:
            self._shelves[sku] = shelf
        self._tell("product.created", "product", number, self._product(self.products[number]))

    def add_variations(self, title: str, shelves: Mapping[str, int]) -> None:
        """A product whose variations have the skus, itself without one."""
        product = Product(next(self._ids), title, None)
        for sku, quantity in shelves.items():
            shelf = Shelf(next(self._ids), sku, quantity)
            product.variations.append(shelf)
            self._shelves[sku] = shelf
        self.products[product.id] = product
        self._tell("product.created", "product", product.id, self._product(product))

    def remove(self, sku: str) -> None:
        """Delete the product that has this sku, or whose variation has it."""
        shelf = self._shelves[sku]
        product = next(p for p in self.products.values() if shelf is p.own or shelf in p.variations)
        del self.products[product.id]
        for one in [product.own, *product.variations]:
            if one is not None:
                self._shelves.pop(one.sku, None)
        self._tell("product.deleted", "product", product.id, self._product(product))

    async def sell(self, lines: Mapping[str, int]) -> str:
        """Refuses what is not there with ValueError, unless `backorder`."""
        order = self.place(lines)
        self.finalise(order)
        return order

    def place(self, lines: Mapping[str, int]) -> str:
        """An unpaid order; its stock is taken when it is finalised."""
        for sku, units in lines.items():
            if units < 1 or (not self.backorder and self.shelf(sku) < units):
                raise ValueError(f"{units} of {sku} cannot be sold")
        number = next(self._ids)
        order = Order(
            number,
            reference=1000 + len(self.placed),
            created=datetime.now(UTC).replace(microsecond=0),
            lines=[Line(next(self._ids), sku, units) for sku, units in lines.items()],
            status=UNPAID,
        )
        self.placed[number] = order
        self._tell_order("order.created", order)
        return str(number)

    def finalise(self, order: str) -> None:
        found = self.placed[int(order)]
        found.status, found.holds = PAID, True
        for line in found.lines:
            self._move(line.sku, -line.quantity, "sale", order)
        self._tell_order("order.finalized", found)

    async def cancel(self, order: str) -> None:
        found = self.placed[int(order)]
        before, found.status = found.status, CANCELLED
        if self.restocks != "never":
            self._return_stock(found, "cancel")
        data = {"oldStatus": dict(before), "newStatus": dict(CANCELLED)}
        self._tell("order.status_changed", "order", found.id, data, wrapped=False)

    async def refund(self, order: str, sku: str, units: int, *, restock: bool) -> None:
        found = self.placed[int(order)]
        line = next(line for line in found.lines if line.sku == sku)
        value = min(units, line.quantity) * PRICE * (1.0 if restock else 0.9)
        stamp = _rfc2822(datetime.now(UTC))
        refund = {"id": next(self._ids), "value": value, "name": "Refund", "createdAt": stamp}
        found.refunds.append(refund)
        if self.restocks == "refunded" and self._refunded(found) >= self._total(found) - 0.005:
            self._return_stock(found, "refund")
        told = {
            "id": refund["id"],
            "orderId": found.id,
            "createdAt": stamp,
            "amount": value,
            "description": "Refund",
        }
        self._tell("order.refund.created", "order", found.id, told)

    async def delete(self, order: str) -> None:
        """Delete an order for good; what happens to its stock is the merchant's habit too."""
        found = self.placed.pop(int(order))
        if self.restocks != "never":
            self._return_stock(found, "cancel")
        self._tell("order.deleted", "order", found.id, {"id": found.id})

    async def edit(self, sku: str, quantity: int) -> None:
        self._move(sku, quantity - self.shelf(sku), "edit")

    def shelf(self, sku: str) -> int:
        return self._shelves[sku].stock

    def shelves(self) -> dict[str, int]:
        return {sku: shelf.stock for sku, shelf in self._shelves.items()}

    def _return_stock(self, order: Order, cause: str) -> None:
        """Give back the whole quantity of every line, each once (vendor help page)."""
        for line in order.lines:
            if order.holds and not line.returned and line.sku in self._shelves:
                line.returned = True
                self._move(line.sku, line.quantity, cause, str(order.id))

    def _move(self, sku: str, delta: int, cause: str, order: str = "") -> None:
        if delta == 0:
            return
        self._shelves[sku].stock += delta
        self.book.write(sku, delta, cause, order)
        self._tell_stock(sku, int(order) if cause == "sale" else None)

    def _refunded(self, order: Order) -> float:
        return float(sum(one["value"] for one in order.refunds))

    def _total(self, order: Order) -> float:
        return PRICE * sum(line.quantity for line in order.lines)

    # ---- webhooks

    def _tell_stock(self, sku: str, order: int | None = None) -> None:
        shelf = self._shelves[sku]
        said: dict[str, Any] = {
            "sku": sku,
            "isVariation": shelf.id not in self.products,
            "newQuantity": shelf.stock,
        }
        if order is not None:
            said["orderId"] = order
        self._tell("product.stock_changed", "product", shelf.id, said)

    def _tell_order(self, topic: str, order: Order) -> None:
        embeds = frozenset() if self.bare_webhooks else frozenset({"status", "products", "refunds"})
        self._tell(topic, "order", order.id, self._order(order, embeds))

    def _tell(
        self,
        topic: str,
        subject: str,
        subject_id: int,
        said: dict[str, Any],
        *,
        wrapped: bool = True,
    ) -> None:
        hooks = [one for one in self.registrations.values() if one.topic == topic and one.active]
        if not hooks:
            return
        stamp = _rfc2822(datetime.now(UTC))
        event = {
            "id": next(self._event_ids),
            "businessId": 1001,
            "createdAt": stamp,
            "topic": topic,
            "subjectType": subject,
            "subjectId": subject_id,
            "data": {"object": said} if wrapped else said,
        }
        body = json.dumps({"timestamp": stamp, "event": event}).encode()
        for one in hooks:
            hook = Hook(one.url, self._signed(body), body)
            self._sent[id(hook)] = (hook, one)
            self.sender.send(hook)

    def _signed(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-ShopWired-Signature": hmac.new(
                self._secrets[2].encode(), body, "sha256"
            ).hexdigest(),
        }

    def _tried(self, hook: Hook, done: bool) -> None:
        _, registration = self._sent[id(hook)]
        registration.failures = 0 if done else registration.failures + 1
        if registration.failures >= DISABLED_AFTER or (
            not done and registration.failures > len(self.sender.policy.retry_delays_s)
        ):
            registration.active = False

    async def _proof(self, url: str) -> bool:
        """Ask a new webhook's address for the HMAC of a token."""
        token = f"{next(self._event_ids):x}{next(self._ids):x}"
        asked = {"timestamp": _rfc2822(datetime.now(UTC)), "verificationToken": token}
        body = json.dumps(asked).encode()
        wanted = hmac.new(self._secrets[2].encode(), token.encode(), "sha256").hexdigest()
        timeout = aiohttp.ClientTimeout(total=self.sender.policy.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, data=body, headers=self._signed(body)) as response,
            ):
                return response.status == 200 and (await response.text()).strip() == wanted
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    # ---- the API's side

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.counters.calls += 1
        if self.faults.buckets and not self._admit():
            self.counters.throttled += 1
            return web.json_response({"message": "Rate limit exceeded"}, status=429)
        if not self._authorised(request):
            return _unauthorised()
        query = request.query
        try:
            route, number = rules.find_route(request.method, request.rel_url.raw_path, query)
            body = rules.decode(request.content_type, await request.read()) if route.body else None
            handler: _Handler = getattr(self, f"_on_{route.name}")
            return await handler(query, body if route.body else number)
        except RefusedCall as refused:
            complaint = f"{request.method} {request.path}: {refused.reason}"
            self.counters.invalid.append(complaint)
            return web.json_response({"message": refused.reason}, status=refused.status)

    def _admit(self) -> bool:
        """A leaky bucket: 40 calls, 2 leak out a second; no header says how full it is."""
        now = asyncio.get_running_loop().time()
        self._bucket = max(0.0, self._bucket - (now - self._leaked_at) * LEAK_PER_S)
        self._leaked_at = now
        if self._bucket + 1 > BUCKET:
            return False
        self._bucket += 1
        return True

    def _authorised(self, request: web.Request) -> bool:
        key, secret, _ = self._secrets
        wanted = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
        return hmac.compare_digest(
            request.headers.get("Authorization", "").encode(), wanted.encode()
        )

    async def _on_business(self, _query: Mapping[str, str], _: Any) -> web.Response:
        said = {"id": 1001, "name": "Stand-in shop", "domain": "shop.example", "active": True}
        return web.json_response(said)

    async def _on_read_stock(self, query: Mapping[str, str], _: Any) -> web.Response:
        if not query.get("sku"):
            raise RefusedCall("sku is missing")
        shelf = self._shelves.get(query["sku"])
        if shelf is None:
            return web.json_response({"message": "SKU not found"}, status=404)
        return web.json_response({"sku": shelf.sku, "quantity": shelf.stock})

    async def _on_write_stock(self, _query: Mapping[str, str], body: Any) -> web.Response:
        self.counters.writes += 1
        return web.json_response({"updated": sum(map(self._set, rules.check_stock(body)))})

    async def _on_write_stock_single(self, _query: Mapping[str, str], body: Any) -> web.Response:
        self.counters.writes += 1
        row = rules.check_stock_row(body)
        if not self._set(row):
            return web.json_response({"message": "SKU not found"}, status=404)
        return web.json_response(body)

    def _set(self, row: tuple[str, int]) -> bool:
        sku, quantity = row
        if sku not in self._shelves or sku in self.faults.refuse_skus:
            return False
        changed = self._shelves[sku].stock != quantity
        self._shelves[sku].stock = quantity
        if changed:
            self._tell_stock(sku)
        return True

    async def _on_products(self, query: Mapping[str, str], _: Any) -> web.Response:
        size, offset = rules.check_paging(query, self.page_max)
        embeds = rules.check_embed("products", query)
        found = list(self.products.values())[offset : offset + size]
        return web.json_response([self._product(one, embeds) for one in found])

    async def _on_product(self, query: Mapping[str, str], number: str) -> web.Response:
        found = self.products.get(int(number))
        if found is None:
            return web.json_response({"message": "Product not found"}, status=404)
        return web.json_response(self._product(found, rules.check_embed("products", query)))

    async def _on_variations(self, _query: Mapping[str, str], number: str) -> web.Response:
        found = self.products.get(int(number))
        if found is None:
            return web.json_response({"message": "Product not found"}, status=404)
        return web.json_response([_variation(one) for one in found.variations])

    def _product(self, found: Product, embeds: frozenset[str] = frozenset()) -> dict[str, Any]:
        said: dict[str, Any] = {
            "id": found.id,
            "title": found.title,
            "slug": f"product-{found.id}",
            "sku": (found.own.sku or None) if found.own else None,
            "gtin": None,
            "stock": found.own.stock if found.own else 0,
            "price": PRICE,
            "active": True,
        }
        if "variations" in embeds:
            said["variations"] = [_variation(one) for one in found.variations]
        return said

    async def _on_orders(self, query: Mapping[str, str], _: Any) -> web.Response:
        size, offset = rules.check_paging(query, self.page_max)
        embeds = rules.check_embed("orders", query)
        after, before = rules.check_time(query, "from"), rules.check_time(query, "to")
        found = [
            one
            for one in reversed(self.placed.values())
            if (after is None or one.created.timestamp() > after)
            and (before is None or one.created.timestamp() < before)
        ]
        return web.json_response([self._order(o, embeds) for o in found[offset : offset + size]])

    async def _on_order(self, query: Mapping[str, str], number: str) -> web.Response:
        embeds = rules.check_embed("orders", query)
        found = self.placed.get(int(number)) if number.isdecimal() else None
        if found is None:
            return web.json_response({"message": "Order not found"}, status=404)
        return web.json_response(self._order(found, embeds))

    def _order(self, found: Order, embeds: frozenset[str]) -> dict[str, Any]:
        said: dict[str, Any] = {
            "id": found.id,
            "reference": found.reference,
            "created": _rfc2822(found.created),
            "archived": False,
            "total": self._total(found),
        }
        if "status" in embeds:
            said["status"] = dict(found.status)
        if "refunds" in embeds:
            said["refunds"] = found.refunds
        if "products" in embeds:
            said["products"] = [
                {
                    "id": one.id,
                    "title": one.sku,
                    "sku": one.sku,
                    "quantity": one.quantity,
                    "price": PRICE,
                    "total": PRICE * one.quantity,
                }
                for one in found.lines
            ]
        return said

    async def _on_hooks(self, _query: Mapping[str, str], _: Any) -> web.Response:
        return web.json_response([_registration(one) for one in self.registrations.values()])

    async def _on_add_hook(self, _query: Mapping[str, str], body: Any) -> web.Response:
        topic, url = rules.check_hook(body, loopback=True)
        if sum(one.topic == topic for one in self.registrations.values()) >= rules.HOOKS_PER_TOPIC:
            raise RefusedCall(f"at most {rules.HOOKS_PER_TOPIC} webhooks for a topic")
        if self.verify_hooks and not await self._proof(url):
            said = {"message": "The webhook could not be verified"}
            return web.json_response(said, status=400)
        registration = Registration(next(self._ids), topic, url)
        self.registrations[registration.id] = registration
        return web.json_response(_registration(registration), status=201)


_Handler = Callable[[Mapping[str, str], Any], Awaitable[web.Response]]


def _unauthorised() -> web.Response:
    return web.json_response({"message": "Invalid API credentials"}, status=401)


def _rfc2822(at: datetime) -> str:
    return format_datetime(at)


def _variation(shelf: Shelf) -> dict[str, Any]:
    return {"id": shelf.id, "sku": shelf.sku, "stock": shelf.stock, "price": None, "values": []}


def _registration(one: Registration) -> dict[str, Any]:
    return {"id": one.id, "topic": one.topic, "url": one.url, "active": one.active}
