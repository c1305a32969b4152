"""A WooCommerce shop on loopback: strict about every request, faithful to the platform's lies.

It behaves as WooCommerce 10.7.0 did when it was watched (2026-11-22), plugins aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from syncd.demo.standins.base import Book, Counters, Faults, Handler, Sender, faulty
from syncd.demo.standins.woocommerce_hooks import Queue, Registration
from syncd.demo.standins.woocommerce_json import (
    hook_json,
    order_json,
    product_json,
    refund_json,
    variation_json,
)
from syncd.demo.standins.woocommerce_rules import (
    NO_ROUTE_WORDS,
    Call,
    Doorkeeper,
    Json,
    RefusedCall,
    UnknownRoute,
    item_args,
    judge,
    routed,
)
from syncd.demo.standins.woocommerce_shop import Order, Product, Refund, Shop

API = "/wp-json/wc/v3"
KEY = "ck_0123456789abcdef0123456789abcdef01234567"
SECRET = "cs_0123456789abcdef0123456789abcdef01234567"
HOOK_SECRET = "standinsecret"
BATCH_MAX = 100

Answer = tuple[int, Any, dict[str, str]]


class WooCommerceStandin:
    """`https`: the shop thinks it is on https, so that Basic counts and OAuth is not needed.

    `host_limit` is a host's own limit, (calls, calls per second), answered with `limit_status`;
    the platform has none. `delay_s` is how long webhooks wait (a shop: about 60).
    """

    platform = "woocommerce"

    def __init__(
        self,
        *,
        https: bool = False,
        delay_s: float = 0.2,
        version: tuple[int, int] = (10, 7),
        host_limit: tuple[float, float] | None = None,
        limit_status: int = 429,
        seed: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.faults = Faults(seed=seed)
        self.book = Book()
        self.counters = Counters()
        self.version = version
        self.queue = Queue(
            self._state, lambda: f"{self.base_url}/", clock, delay_s=delay_s, seed=seed
        )
        self.sender: Sender = self.queue
        self.shop = Shop(clock, self.book, self.queue.happened)
        self.https = https
        self.host_limit = host_limit
        self.limit_status = limit_status
        self.page_max = 100
        """A host may cap pages below what is asked for."""
        self.say_totals = True
        """False: a proxy strips the X-WP-Total headers."""
        self._clock = clock
        self._door = Doorkeeper(KEY, SECRET, https, {})
        self._bucket = (host_limit[0] if host_limit else 0.0, time.monotonic())
        self._hook_numbers = count(8)
        self._runner: web.AppRunner | None = None
        self._port = 0

    # ---- what the driver and the tests use

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def options(self) -> dict[str, object]:
        return {
            "base_url": self.base_url,
            "consumer_key": KEY,
            "consumer_secret": SECRET,
            "webhook_secret": HOOK_SECRET,
            "auth": "basic" if self.https else "auto",
        }

    async def start(self, port: int = 0) -> None:
        suffers = faulty(self.faults, _writes_stock, _expired)

        @web.middleware
        async def suffer(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await suffers(request, handler)

        app = web.Application(middlewares=[suffer])
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.sender.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def add(self, sku: str, quantity: int, title: str = "") -> None:
        self.shop.new_product(sku, title, stock=quantity)

    def add_variable(self, parent_sku: str, units: Mapping[str, int], title: str = "") -> None:
        """A product with one variation per sku, each counting its own stock."""
        name = title or parent_sku
        parent = self.shop.new_product(parent_sku, name, kind="variable", managed=False)
        for sku, quantity in units.items():
            self.shop.new_product(
                sku, f"{name} - {sku}", kind="variation", parent_id=parent.id, stock=quantity
            )

    async def sell(self, lines: Mapping[str, int]) -> str:
        """A checkout: cut to what is there, as the shop's own does; nothing there: ValueError."""
        units: dict[int, int] = {}
        for sku, asked in lines.items():
            product = self.shop.by_sku(sku)
            shelf = self.shop.shelf_of(product)
            sold = asked if shelf is None else min(asked, max(shelf.stock, 0))
            if sold and product.status == "publish":
                units[product.id] = sold
        if not units:
            raise ValueError(f"sold out: {', '.join(lines)}")
        return str(self.shop.new_order(units, "processing").id)

    async def cancel(self, order: str) -> None:
        self.shop.set_status(self.shop.orders[int(order)], "cancelled")

    async def refund(self, order: str, sku: str, units: int, *, restock: bool) -> None:
        found = self.shop.orders[int(order)]
        product = self.shop.by_sku(sku).id
        line = next(x for x in found.lines if product in (x.product_id, x.variation_id))
        self.shop.refund(found, {line.id: units}, 10.0 * units, restock=restock)

    async def edit(self, sku: str, quantity: int) -> None:
        self.shop.edit(self.shop.by_sku(sku), quantity)

    def shelf(self, sku: str) -> int:
        return self.shop.by_sku(sku).stock

    def on_sale(self, sku: str) -> bool:
        """Whether shoppers find it."""
        return self.shop.by_sku(sku).status == "publish"

    def hide(self, sku: str) -> None:
        """Somebody who works there makes a draft of it."""
        self.shop.by_sku(sku).status = "draft"

    def shelves(self) -> dict[str, int]:
        return {
            p.sku: p.stock
            for p in self.shop.products.values()
            if p.managed is True and p.status != "trash"
        }

    # ---- the API

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.counters.calls += 1
        try:
            self._limit()
            path = request.path
            if not path.startswith(API):
                return web.Response(
                    status=404, text="<html>not found</html>", content_type="text/html"
                )
            self._door.check(
                request.method,
                f"{self.base_url}{path}",
                request.query,
                request.headers.get("Authorization", ""),
                self._clock().timestamp(),
            )
            call = routed(
                request.method, path.removeprefix(API), request.query, await request.read()
            )
            status, body, headers = await self._answer(request.method, call)
        except RefusedCall as error:
            if error.status == 400 or isinstance(error, UnknownRoute):
                self.counters.invalid.append(f"{request.method} {request.path}: {error}")
            status, body, headers = error.status, error.body, {}
            if status == self.limit_status and self.host_limit:
                headers = {"Retry-After": "1"}
        return web.json_response(
            _only(body, request.query.get("_fields", "")), status=status, headers=headers
        )

    def _limit(self) -> None:
        if self.host_limit is None or not self.faults.buckets:
            return
        capacity, rate = self.host_limit
        left, then = self._bucket
        now = time.monotonic()
        left = min(capacity, left + (now - then) * rate)
        self._bucket = (left, now) if left < 1 else (left - 1, now)
        if left < 1:
            self.counters.throttled += 1
            raise RefusedCall(self.limit_status, "too_many_requests", "Slow down.")

    async def _answer(self, method: str, call: Call) -> Answer:
        parts = call.route.split("/")
        if parts[1] in ("products", "variations"):
            return self._catalogue(method, call)
        if parts[1] == "orders":
            return self._orders(method, call)
        if parts[1] == "webhooks":
            return await self._webhooks(method, call)
        if parts[1] == "system_status":
            version = f"{self.version[0]}.{self.version[1]}.0"
            return 200, {"environment": {"home_url": self.base_url, "version": version}}, {}
        value = "yes" if self.shop.stock_management else "no"
        return 200, {"id": call.path["id"], "value": value}, {}

    def _catalogue(self, method: str, call: Call) -> Answer:
        if call.route == "/variations" and self.version < (10, 3):
            raise RefusedCall(404, "rest_no_route", NO_ROUTE_WORDS)
        parent = int(call.path.get("product_id", 0))
        variations = "variations" in call.route
        if call.route.endswith("/batch"):
            return self._batch(call, parent)
        if "id" not in call.path:
            if method != "GET":
                raise RefusedCall(501, "not_supported", "the stand-in makes no products over REST")
            rows = [
                p
                for p in self.shop.products.values()
                if (p.kind == "variation") == variations or call.query.get("sku")
            ]
            if parent:
                rows = [p for p in rows if p.parent_id == parent]
            return self._listed(call, [p for p in rows if _asked(p, call.query)], self._show)
        product = self._product(int(call.path["id"]), parent, writes=method != "GET")
        if method == "PUT":
            self.counters.writes += 1
            self._apply(product, call.body)
        elif method == "DELETE":
            self.shop.trash_product(product)
        return 200, self._show(product, variations=variations), {}

    def _product(self, number: int, parent: int, *, writes: bool) -> Product:
        product = self.shop.products.get(number)
        if parent and (product is None or product.parent_id != parent):
            raise RefusedCall(404, "woocommerce_rest_product_variation_invalid_id", "Invalid ID.")
        if product is None:
            raise RefusedCall(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        if writes and product.parent_id and not parent:
            raise RefusedCall(
                404,
                "woocommerce_rest_invalid_product_id",
                "To manipulate product variations you should use the "
                "/products/&lt;product_id&gt;/variations/&lt;id&gt; endpoint.",
            )
        return product

    def _apply(self, product: Product, body: Mapping[str, Any]) -> None:
        if "manage_stock" in body:
            wanted = body["manage_stock"]
            product.managed = "parent" if wanted == "parent" else wanted in (True, "true", "1")
        if "status" in body:
            product.status = str(body["status"])
        if "stock_quantity" in body:
            asked = body["stock_quantity"]
            self.shop.set_stock(product, 0 if asked is None else int(asked))

    def _batch(self, call: Call, parent: int) -> Answer:
        """Updates only. A bad row answers for itself; the others are applied."""
        rows = call.body.get("update", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RefusedCall(400, "rest_invalid_param", "Invalid parameter(s): update")
        if set(call.body) - {"update"}:
            raise RefusedCall(501, "not_supported", "the stand-in updates only")
        if len(rows) > BATCH_MAX:
            words = f"Unable to accept more than {BATCH_MAX} items for this request."
            raise RefusedCall(413, "woocommerce_rest_request_entity_too_large", words)
        self.counters.writes += 1
        args = item_args(call.route)
        return 200, {"update": [self._batch_row(row, args, parent) for row in rows]}, {}

    def _batch_row(self, row: Json, args: Json, parent: int) -> Json:
        number = row.get("id", 0)
        try:
            judge(row, args, {})
            if row.get("stock_quantity", 0) is None:
                self.counters.invalid.append(f"null stock for {number}: it would be stored as 0")
            product = self._product(int(number), parent, writes=True)
            self._may_edit(product)
            self._apply(product, row)
        except RefusedCall as error:
            if error.status == 400:
                self.counters.invalid.append(f"batch row {number}: {error}")
            return {"id": number, "error": error.body}
        return self._show(product, variations=bool(parent))

    def _may_edit(self, product: Product) -> None:
        if product.sku in self.faults.refuse_skus:
            words = "Sorry, you are not allowed to edit this resource."
            raise RefusedCall(403, "woocommerce_rest_cannot_edit", words)

    def _show(self, product: Product, *, variations: bool = False) -> Json:
        shape = variation_json if variations else product_json
        return shape(self.shop, product, self.base_url)

    def _orders(self, method: str, call: Call) -> Answer:
        shop, home = self.shop, self.base_url
        number = int(call.path.get("order_id") or call.path.get("id") or 0)
        if not number:
            if method == "POST":
                order = self._new_order(call.body)
                return 201, order_json(shop, order, home), {}
            rows = [o for o in shop.orders.values() if _asked(o, call.query)]
            return self._listed(call, rows, lambda o, **_: order_json(shop, o, home))
        order = shop.orders.get(number) or _no_order("refunds" in call.route)
        if "refunds" in call.route:
            if method == "POST":
                refund = self._new_refund(order, call.body)
                return 201, refund_json(shop, order, refund, home), {}
            refunds = [refund_json(shop, order, one, home) for one in order.refunds]
            return self._paged(call, refunds)
        if method == "PUT":
            self._change_order(order, call.body)
        shown = order_json(shop, order, home)
        if method == "DELETE":
            shop.trash_order(order, for_good=call.query.get("force") in ("true", "1"))
        return 200, shown, {}

    def _new_order(self, body: Json) -> Order:
        units: dict[int, int] = {}
        for row in body.get("line_items") or []:
            number = int(row.get("variation_id") or row.get("product_id") or 0)
            if number not in self.shop.products:
                raise RefusedCall(400, "woocommerce_rest_invalid_product_id", "Invalid product ID.")
            units[number] = int(row.get("quantity", 1))
        status = body.get("status", "processing" if body.get("set_paid") else "pending")
        return self.shop.new_order(units, status)

    def _change_order(self, order: Order, body: Json) -> None:
        lines = {line.id: line for line in order.lines}
        for row in body.get("line_items") or []:
            line = lines.get(row.get("id"))
            if line is None:
                raise RefusedCall(
                    400,
                    "woocommerce_rest_invalid_item_id",
                    "Order item ID provided is not associated with order.",
                )
            self.shop.set_quantity(order, line, int(row["quantity"]))
        if "status" in body:
            self.shop.set_status(order, body["status"])

    def _new_refund(self, order: Order, body: Json) -> Refund:
        amount = float(body.get("amount") or 0)
        if amount <= 0:
            words = "Refund amount must be greater than zero."
            raise RefusedCall(400, "woocommerce_rest_invalid_order_refund", words)
        units = {
            int(row["id"]): int(row.get("quantity", 0)) for row in body.get("line_items") or []
        }
        return self.shop.refund(order, units, amount, restock=body.get("api_restock", True))

    async def _webhooks(self, method: str, call: Call) -> Answer:
        number = int(call.path.get("id", 0))
        if not number and method == "POST":
            return await self._new_hook(call.body)
        if not number:
            wanted = call.query.get("status", "all")
            hooks = [h for h in self.queue.hooks.values() if wanted in ("all", h.status)]
            hooks.sort(key=lambda h: h.id, reverse=call.query.get("order", "desc") == "desc")
            return self._paged(call, [hook_json(h, self.base_url) for h in hooks])
        hook = self.queue.hooks.get(number)
        if hook is None:
            raise RefusedCall(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        if method == "DELETE":
            if call.query.get("force") not in ("true", "1"):
                words = "Webhooks do not support trashing."
                raise RefusedCall(501, "woocommerce_rest_trash_not_supported", words)
            del self.queue.hooks[number]
        elif method == "PUT":
            for name in ("name", "status", "topic", "secret", "delivery_url"):
                if call.body.get(name):
                    setattr(hook, name, call.body[name])
            hook.modified = self.shop.now()
        return 200, hook_json(hook, self.base_url), {}

    async def _new_hook(self, body: Json) -> Answer:
        resource, _, event = str(body.get("topic", "")).partition(".")
        known = resource in ("order", "product", "coupon", "customer", "action") and event
        if not known or (resource != "action" and event not in _EVENTS):
            words = "Webhook topic must be valid."
            raise RefusedCall(400, "woocommerce_rest_webhook_invalid_topic", words)
        address = str(body.get("delivery_url", ""))
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
            words = "Webhook delivery URL must be a valid URL starting with http:// or https://."
            raise RefusedCall(400, "woocommerce_rest_webhook_invalid_delivery_url", words)
        hook = Registration(
            id=next(self._hook_numbers),
            name=body.get("name") or body["topic"],
            topic=body["topic"],
            delivery_url=address,
            secret=body.get("secret") or "0123456789abcdef",
            created=self.shop.now(),
            status=body.get("status", "active"),
        )
        self.queue.hooks[hook.id] = hook
        await self.queue.ping(hook)
        return 201, hook_json(hook, self.base_url), {}

    def _listed(self, call: Call, rows: Sequence[Any], show: Callable[..., Json]) -> Answer:
        keys: dict[str, Callable[[Any], Any]] = {
            "id": lambda row: row.id,
            "modified": lambda row: (row.modified, row.id),
        }
        key = keys.get(call.query.get("orderby", "date"), lambda row: (row.created, row.id))
        ordered = sorted(rows, key=key, reverse=call.query.get("order", "desc") == "desc")
        variations = "variations" in call.route
        return self._paged(call, ordered, lambda row: show(row, variations=variations))

    def _paged(
        self, call: Call, rows: Sequence[Any], show: Callable[[Any], Json] = lambda row: row
    ) -> Answer:
        size = min(int(call.query.get("per_page", 10)), self.page_max)
        start = (int(call.query.get("page", 1)) - 1) * size
        start = int(call.query.get("offset", start))
        pages = -(-len(rows) // size)
        totals = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages)}
        shown = [show(row) for row in rows[start : start + size]]
        return 200, shown, totals if self.say_totals else {}

    def _state(self, resource: str, number: int) -> Any:
        """What a webhook holds: the object as it is when the delivery leaves."""
        if resource == "order":
            order = self.shop.orders.get(number)
            return order_json(self.shop, order, self.base_url) if order else _NO_ORDER.body
        product = self.shop.products.get(number)
        if product is None:
            return RefusedCall(404, "woocommerce_rest_product_invalid_id", "Invalid ID.").body
        return self._show(product)


_EVENTS = ("created", "updated", "deleted", "restored")
_NO_ORDER = RefusedCall(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")


def _no_order(refunds: bool) -> Order:
    if refunds:
        raise RefusedCall(404, "woocommerce_rest_invalid_order_id", "Invalid order ID.")
    raise RefusedCall(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")


def _asked(row: Product | Order, query: Mapping[str, str]) -> bool:
    """The filters: "any" leaves the trash out, `modified_after` is exclusive."""
    statuses = query.get("status", "any").split(",")
    if "any" in statuses:
        if row.status == "trash":
            return False
    elif row.status not in statuses:
        return False
    if "include" in query and str(row.id) not in query["include"].split(","):
        return False
    if query.get("sku") and getattr(row, "sku", "") not in query["sku"].split(","):
        return False
    after = query.get("modified_after")
    return after is None or row.modified > datetime.fromisoformat(after).replace(tzinfo=UTC)


def _only(body: Any, fields: str) -> Any:
    """`_fields`: top-level names, or one level down with a dot."""
    if not fields:
        return body
    if isinstance(body, list):
        return [_only(row, fields) for row in body]
    if not isinstance(body, dict) or "code" in body:
        return body
    wanted: dict[str, list[str]] = {}
    for name in fields.split(","):
        top, _, below = name.partition(".")
        wanted.setdefault(top, []).extend([below] if below else [])
    return {
        name: _only(body[name], ",".join(below)) for name, below in wanted.items() if name in body
    }


def _writes_stock(request: web.Request) -> bool:
    return request.method != "GET" and "/products" in request.path


def _expired() -> web.Response:
    error = RefusedCall(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
    return web.json_response(error.body, status=401)
