"""A strict Shopify: a real server that keeps shelves, sells, throttles, signs and refuses as the real one.

Whatever it is asked must fit the vendor's schema and its recorded runtime rules; every malformed
request is written into `counters.invalid`.
"""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from graphql import GraphQLResolveInfo

from syncd.demo.standins.base import (
    Book,
    Counters,
    Faults,
    Handler,
    Hook,
    Sender,
    SendPolicy,
    faulty,
)
from syncd.demo.standins.shopify_api import Api
from syncd.demo.standins.shopify_bulk import Bulk
from syncd.demo.standins.shopify_fields import Node, Queries, connection, gid, iso
from syncd.demo.standins.shopify_quantities import Quantities
from syncd.demo.standins.shopify_shop import Item, Level, Order, Place, Refund, Shop

VERSIONS = ("2026-04", "2026-07", "2026-10")

RETRY_DELAYS_S = (60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3840.0, 6780.0)
"""Eight retries in four hours, growing (vendor documentation since 2024-09-10)."""

FAILURES_TO_DELETE = 8

SCOPES = (
    "read_products",
    "read_locations",
    "write_inventory",
    "read_orders",
    "read_merchant_managed_fulfillment_orders",
)

_WRITES = web.RequestKey("writes", bool)

_SHOP_ZONE = timezone(timedelta(hours=-5))


@dataclass(slots=True)
class _Webhook:
    id: int
    topic: str
    uri: str
    format: str
    fields: list[str]
    filter: str
    failures: int = 0


class _HookSender(Sender):
    """Counts what fails in a row, since the platform deletes a subscription over it."""

    def __init__(self, policy: SendPolicy, store: ShopifyStandin) -> None:
        super().__init__(policy)
        self._store = store

    async def _post(self, hook: Hook) -> bool:
        ok = await super()._post(hook)
        self._store.delivered(hook, ok=ok)
        return ok


class ShopifyStandin:
    """The store. Knobs for tests: `quantities`, `bulk`, `api.bucket`, `allow_http`, `scopes`."""

    platform = "shopify"

    def __init__(
        self, shop: str = "stand-in", *, seed: int = 0, bulk_above: int | None = None
    ) -> None:
        self.name = shop
        self.bulk_above = bulk_above
        """Goes into the options where it is not None."""
        self.token = "shpat_" + "5" * 32
        self.client = ("client-of-the-stand-in", "shpss_" + "6" * 32)
        self.secret = "hush-" + shop
        self.token_life_s = 86_399
        self.allow_http = True
        """Takes plain http webhook addresses on loopback, which the real one refuses."""
        self.scopes: tuple[str, ...] = SCOPES
        self.faults = Faults(seed=seed)
        self.book = Book()
        self.counters = Counters()
        policy = SendPolicy(RETRY_DELAYS_S, ok=lambda status: 200 <= status < 300, seed=seed)
        self.sender: Sender = _HookSender(policy, self)
        self.store = Shop()
        self.api = Api(self._roots, self.faults, self.counters)
        self.quantities = Quantities(self.store, self._written, self.api.complain, self.faults)
        self.bulk = Bulk(self.store, self._run_bulk, self.api.complain, address=self._bulk_url)
        self.webhooks: dict[int, _Webhook] = {}
        self._granted: dict[str, datetime] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    # -- the protocol of every stand-in ---------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def domain(self) -> str:
        return f"{self.name}.myshopify.com"

    def options(self) -> dict[str, object]:
        given: dict[str, object] = {
            "shop": self.name,
            "access_token": self.token,
            "webhook_secret": self.secret,
            "base_url": self.base_url,
        }
        return given if self.bulk_above is None else {**given, "bulk_above": self.bulk_above}

    async def start(self, port: int = 0) -> None:
        suffers = faulty(self.faults, lambda request: request.get(_WRITES, False), _expired)

        @web.middleware
        async def suffer(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await suffers(request, handler)

        app = web.Application(
            middlewares=[_marked, suffer],
            client_max_size=8 * 1024 * 1024,
        )
        app.router.add_post("/admin/api/{version}/graphql.json", self._graphql)
        app.router.add_post("/admin/oauth/access_token", self._token)
        app.router.add_get("/bulk/{number}.jsonl", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.sender.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def add(self, sku: str, quantity: int, title: str = "") -> None:
        self.add_at(self.store.add_item(sku, title), self.store.primary, quantity)

    def add_at(self, item: Item, place: Place, quantity: int) -> Level:
        """Stock an item at a location."""
        level = self.store.level(item, place)
        level.active = True
        level.quantities["available"] = quantity
        level.changed = self.store.now()
        return level

    async def sell(self, lines: Mapping[str, int]) -> str:
        order = self.store.place_order(dict(lines))
        event = str(uuid.uuid4())
        for line in order.lines:
            self.book.write(line.item.sku, -line.quantity, "sale", str(order.id))
            self._announce_level(line.item.levels[line.place.id], event)
        self._announce("orders/create", self._order_body(order), event)
        self._announce("orders/updated", self._order_body(order), event)
        return str(order.id)

    async def cancel(self, order: str) -> None:
        found = self.store.orders[int(order)]
        if found.cancelled is not None:
            raise ValueError("cancelled already")
        units = {line.id: line.current for line in found.lines}
        found.cancelled = self.store.now()
        self._give_back(found, units, "cancel", "cancel", ["orders/cancelled", "orders/updated"])

    async def refund(
        self, order: str, sku: str, units: int, *, restock: bool, place: Place | None = None
    ) -> None:
        found = self.store.orders[int(order)]
        line = next(line for line in found.lines if line.item.sku == sku)
        if units > line.current:
            raise ValueError("more than is left of the line")
        kind = "return" if restock else "no_restock"
        self._give_back(found, {line.id: units}, kind, "refund", ["orders/updated"], place)

    def amend(self, order: str, sku: str, units: int) -> None:
        """A person edits an order: so many units of a product, of which it may hold none yet."""
        found, item = self.store.orders[int(order)], self.store.by_sku(sku)
        more = self.store.amend(found, item, units)
        self.book.write(sku, -more, "sale" if more > 0 else "cancel", order)
        event = str(uuid.uuid4())
        line = next(line for line in found.lines if line.item is item)
        self._announce_level(item.levels[line.place.id], event)
        change = {"id": line.id, "delta": abs(more)}
        lines = {
            "additions": [change] if more > 0 else [],
            "removals": [change] if more < 0 else [],
        }
        edit = {"order_id": found.id, "line_items": lines}
        self._announce("orders/edited", {"order_edit": edit}, event)
        self._announce("orders/updated", self._order_body(found), event)

    def send(self, order: str) -> None:
        """A person sends all of an order."""
        found = self.store.orders[int(order)]
        self.store.send(found)
        self._announce("orders/updated", self._order_body(found), str(uuid.uuid4()))

    async def send_from(self, order: str, sku: str, place: Place) -> None:
        """A person has another location send a line of an order."""
        found = self.store.orders[int(order)]
        line = next(line for line in found.lines if line.item.sku == sku)
        old, event = line.place, str(uuid.uuid4())
        self.store.send_from(found, line, place)
        for where in (old, place):
            self._announce_level(line.item.levels[where.id], event)
        self._announce("orders/updated", self._order_body(found), event)
        named = {one.place.id: gid("FulfillmentOrder", one.id) for one in found.fulfilments}
        moved = {
            "original_fulfillment_order": {"id": named.get(old.id, named[place.id])},
            "moved_fulfillment_order": {"id": named[place.id]},
            "destination_location_id": gid("Location", place.id),
        }
        self._announce("fulfillment_orders/moved", moved, event)

    async def edit(self, sku: str, quantity: int) -> None:
        self.edit_at(self._level(sku), quantity)

    def edit_at(self, level: Level, quantity: int) -> None:
        """A person types a count at one location."""
        delta = quantity - level.available
        self.store.move(level, delta)
        self.book.write(level.item.sku, delta, "edit")
        self._announce_level(level, str(uuid.uuid4()))

    def shelf(self, sku: str) -> int:
        levels = self.store.by_sku(sku).levels.values()
        return sum(level.available for level in levels if level.active)

    def shelves(self) -> dict[str, int]:
        return {item.sku: self.shelf(item.sku) for item in self.store.items.values()}

    # -- more of a shop's life ------------------------------------------------------------------

    def remove(self, sku: str) -> None:
        """A person deletes the product."""
        item = self.store.by_sku(sku)
        del self.store.items[item.id]
        event = str(uuid.uuid4())
        body = {"id": item.id, "admin_graphql_api_id": gid("InventoryItem", item.id)}
        self._announce("inventory_items/delete", body, event)
        self._announce("products/delete", {"id": item.product}, event)

    def delete_order(self, order: str) -> None:
        """A person deletes an order for good."""
        del self.store.orders[int(order)]
        self._announce("orders/delete", {"id": int(order)}, str(uuid.uuid4()))

    def uninstall(self) -> None:
        self._announce("app/uninstalled", {"id": 1, "name": self.name}, str(uuid.uuid4()))

    def delivered(self, hook: Hook, *, ok: bool) -> None:
        """Hear of one delivery try: eight failures in a row delete the subscription."""
        topic = _enum(hook.headers["X-Shopify-Topic"])
        for webhook in list(self.webhooks.values()):
            if webhook.uri == hook.url and webhook.topic == topic:
                webhook.failures = 0 if ok else webhook.failures + 1
                if webhook.failures >= FAILURES_TO_DELETE:
                    del self.webhooks[webhook.id]

    # -- HTTP -----------------------------------------------------------------------------------

    async def _graphql(self, request: web.Request) -> web.Response:
        self.counters.calls += 1
        version = request.match_info["version"]
        if version not in VERSIONS:
            self.counters.invalid.append(f"unknown version {version}")
            return web.json_response({"errors": "Not Found"}, status=404)
        if not self._known(request.headers.get("X-Shopify-Access-Token", "")):
            return _expired()
        try:
            body = json.loads(await request.read())
            query, variables = body.get("query"), body.get("variables") or {}
        except (ValueError, AttributeError):
            self.counters.invalid.append("a body that is no JSON object")
            return web.json_response({"errors": {"query": "not JSON"}}, status=400)
        answer = self.api.answer(version, query, variables)
        return web.json_response(answer, headers={"X-Shopify-API-Version": version})

    async def _token(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if (body.get("client_id"), body.get("client_secret")) != self.client:
            return web.json_response({"error": "application_cannot_be_found"}, status=401)
        if body.get("grant_type") != "client_credentials":
            self.counters.invalid.append("an unknown grant")
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        token = f"shpca_{uuid.uuid4().hex}"
        self._granted[token] = datetime.now(UTC) + timedelta(seconds=self.token_life_s)
        answer = {"access_token": token, "scope": ",".join(self.scopes)}
        return web.json_response({**answer, "expires_in": self.token_life_s})

    async def _file(self, request: web.Request) -> web.Response:
        text = request.match_info["number"]
        body = self.bulk.file(int(text)) if text.isdigit() else None
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, content_type="application/jsonl")

    def _known(self, token: str) -> bool:
        until = self._granted.get(token)
        return token == self.token or (until is not None and datetime.now(UTC) < until)

    # -- GraphQL roots --------------------------------------------------------------------------

    def _roots(self) -> Node:
        return {
            **Queries(self.store, self.domain, self.scopes).resolvers(),
            **self.quantities.mutations(),
            "bulkOperationRunQuery": self.bulk.start,
            "bulkOperation": self.bulk.look,
            "webhookSubscriptions": self._webhook_list,
            "webhookSubscriptionCreate": self._webhook_create,
            "webhookSubscriptionUpdate": self._webhook_update,
            "webhookSubscriptionDelete": self._webhook_delete,
        }

    def _run_bulk(self, schema: Any, document: Any) -> Any:
        result = self.api.run(schema, document, {}, bulk=True)
        if result.errors:
            raise ValueError(result.errors[0].message)
        return result.data

    def _bulk_url(self, number: int) -> str:
        return f"{self.base_url}/bulk/{number}.jsonl"

    def _webhook_list(self, info: GraphQLResolveInfo, **given: Any) -> Node:
        rows = [([w.id], _webhook_node(w)) for w in self.webhooks.values()]
        return connection(rows)(info, **given)

    def _webhook_create(self, _: GraphQLResolveInfo, **given: Any) -> Node:
        topic, sub = given["topic"], given["webhookSubscription"]
        uri = sub.get("uri") or sub.get("callbackUrl") or ""
        if (words := self._address_problem(uri)) is not None:
            return _webhook_refused("callbackUrl", words)
        if any(w.topic == topic and w.uri == uri for w in self.webhooks.values()):
            return _webhook_refused("callbackUrl", "Address for this topic has already been taken")
        webhook = _Webhook(self.store.new_id(), topic, uri, "JSON", [], "")
        self.webhooks[webhook.id] = webhook
        return self._webhook_set(webhook, sub)

    def _webhook_update(self, _: GraphQLResolveInfo, **given: Any) -> Node:
        sub = given["webhookSubscription"]
        webhook = next(
            (w for w in self.webhooks.values() if gid("WebhookSubscription", w.id) == given["id"]),
            None,
        )
        if webhook is None:
            return _webhook_missing("webhookSubscription")
        uri = sub.get("uri", webhook.uri)
        if (words := self._address_problem(uri)) is not None:
            return _webhook_refused("callbackUrl", words)
        webhook.uri, webhook.failures = uri, 0
        return self._webhook_set(webhook, sub)

    def _webhook_delete(self, _: GraphQLResolveInfo, **given: Any) -> Node:
        for webhook in self.webhooks.values():
            if gid("WebhookSubscription", webhook.id) == given["id"]:
                del self.webhooks[webhook.id]
                return {"deletedWebhookSubscriptionId": given["id"], "userErrors": []}
        return _webhook_missing("deletedWebhookSubscriptionId")

    def _webhook_set(self, webhook: _Webhook, sub: Mapping[str, Any]) -> Node:
        webhook.format = sub.get("format") or webhook.format
        webhook.fields = sub.get("includeFields") or []
        webhook.filter = sub.get("filter") or ""
        return {"webhookSubscription": _webhook_node(webhook), "userErrors": []}

    def _address_problem(self, uri: str) -> str | None:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        inside = host in {"127.0.0.1", "localhost", "::1"}
        if not uri:
            return "Address can't be blank"
        if inside and self.allow_http:
            return None
        if parts.scheme != "https":
            return f"Address protocol {parts.scheme}:// is not supported"
        if inside or host.endswith((".myshopify.com", ".internal", ".local")):
            return "Address cannot be a Shopify or an internal domain"
        return None

    # -- what happens in the shop, and its webhooks ---------------------------------------------

    def _level(self, sku: str) -> Level:
        return next(iter(self.store.by_sku(sku).levels.values()))

    def _written(self, level: Level, delta: int) -> None:
        """Our own writes come back as webhooks, told from others by nothing."""
        if delta:
            self._announce_level(level, str(uuid.uuid4()))

    def _give_back(
        self,
        order: Order,
        units: dict[int, int],
        kind: str,
        cause: str,
        topics: list[str],
        place: Place | None = None,
    ) -> None:
        refund = self.store.give_back(order, units, kind, place)
        event = str(uuid.uuid4())
        for row in refund.lines:
            if kind != "no_restock":
                self.book.write(row.line.item.sku, row.quantity, cause, str(order.id))
                self._announce_level(row.line.item.levels[row.place.id], event)
        self._announce("refunds/create", _refund_body(refund, order), event)
        for topic in topics:
            self._announce(topic, self._order_body(order), event)

    def _announce_level(self, level: Level, event: str) -> None:
        body = {
            "inventory_item_id": level.item.id,
            "location_id": level.place.id,
            "available": level.available if level.item.tracked else None,
            "updated_at": _local(level.changed),
            "admin_graphql_api_id": f"{gid('InventoryLevel', level.id)}?inventory_item_id={level.item.id}",
        }
        self._announce("inventory_levels/update", body, event)

    def _announce(self, topic: str, body: dict[str, Any], event: str) -> None:
        raw = json.dumps(body).encode()
        for webhook in self.webhooks.values():
            if webhook.topic == _enum(topic):
                self.sender.send(Hook(webhook.uri, self.headers(topic, raw, event), raw))

    def headers(self, topic: str, body: bytes, event: str) -> dict[str, str]:
        """The full set of a delivery's headers, signed over the body alone."""
        signature = base64.b64encode(hmac.digest(self.secret.encode(), body, "sha256")).decode()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": signature,
            "X-Shopify-Shop-Domain": self.domain,
            "X-Shopify-API-Version": VERSIONS[0],
            "X-Shopify-Webhook-Id": str(uuid.uuid4()),
            "X-Shopify-Event-Id": event,
            "X-Shopify-Triggered-At": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        }

    def _order_body(self, order: Order) -> dict[str, Any]:
        return {
            "id": order.id,
            "admin_graphql_api_id": gid("Order", order.id),
            "name": f"#{order.number}",
            "created_at": _local(order.created),
            "updated_at": _local(order.changed),
            "cancelled_at": _local(order.cancelled) if order.cancelled else None,
            "financial_status": order.paid,
            "location_id": None,
            "line_items": [
                {
                    "id": line.id,
                    "variant_id": line.item.variant,
                    "product_id": line.item.product,
                    "sku": line.item.sku,
                    "quantity": line.quantity,
                    "current_quantity": line.current,
                }
                for line in order.lines
            ],
            "refunds": [_refund_body(refund, order) for refund in order.refunds],
        }


@web.middleware
async def _marked(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only quantity writes may lose their answer or come late."""
    body = await request.read()
    request[_WRITES] = b"inventorySetQuantities" in body or b"inventoryAdjustQuantities" in body
    return await handler(request)


def _expired() -> web.Response:
    words = "[API] Invalid API key or access token (unrecognized login or wrong password)"
    return web.json_response({"errors": words}, status=401)


def _enum(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _local(at: datetime) -> str:
    return at.astimezone(_SHOP_ZONE).isoformat()


def _refund_body(refund: Refund, order: Order) -> dict[str, Any]:
    return {
        "id": refund.id,
        "order_id": order.id,
        "created_at": _local(refund.created),
        "refund_line_items": [
            {
                "id": row.id,
                "line_item_id": row.line.id,
                "quantity": row.quantity,
                "location_id": None if row.restock_type == "no_restock" else row.place.id,
                "restock_type": row.restock_type,
            }
            for row in refund.lines
        ],
    }


def _webhook_node(webhook: _Webhook) -> Node:
    now = iso(datetime.now(UTC))
    return {
        "__typename": "WebhookSubscription",
        "id": gid("WebhookSubscription", webhook.id),
        "topic": webhook.topic,
        "uri": webhook.uri,
        "format": webhook.format,
        "includeFields": webhook.fields,
        "metafieldNamespaces": [],
        "filter": webhook.filter,
        "createdAt": now,
        "updatedAt": now,
    }


def _webhook_refused(field: str, words: str) -> Node:
    error = {"field": ["webhookSubscription", field], "message": words}
    return {"webhookSubscription": None, "userErrors": [error]}


def _webhook_missing(root: str) -> Node:
    error = {"field": ["id"], "message": "Webhook subscription does not exist"}
    return {root: None, "userErrors": [error]}
