"""Shopify, Admin GraphQL 2026-04 and later: guarded and keyed writes in batches; truth from levels,
or from orders where edits are not adopted.

A write compares with what the listing showed and carries a key, so nothing it does can erase a sale
or happen twice; a webhook about a level is only a hint to read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from syncd.connectors import shopify_documents as docs
from syncd.connectors import shopify_shapes as shapes
from syncd.connectors.base import (
    Capabilities,
    Clock,
    Delivered,
    Event,
    Location,
    Options,
    Outcome,
    Page,
    Platform,
    Ref,
    RowResult,
    Subscription,
    Whoami,
    Write,
    WriteKind,
    WriteOp,
)
from syncd.connectors.http import Http
from syncd.connectors.shopify_answers import (
    BulkItem,
    bulk_line,
    bulk_refused,
    check_status,
    cost_told,
    count_of,
    delta_of,
    delta_row,
    gid,
    listings,
    next_page,
    number_in,
    observe,
    only_writes_apply,
    order_of,
    placed_of,
    price,
    put_back,
    raise_told,
    reading,
    results,
    sendable,
    set_row,
    shaped,
)
from syncd.connectors.shopify_facts import facts, order_gone, stamp
from syncd.connectors.shopify_grant import Credentials, Grant
from syncd.connectors.shopify_places import OF_FULFILMENT, PLACE_TOPICS, by_place
from syncd.errors import BadFact, Refused, RetryLater, Unsigned
from syncd.stock.model import Edits, Fact, ListingSeen, OrderHint, OrderSeen, Reading, Truth

TOPICS = frozenset(
    {
        "inventory_levels/update",
        "inventory_levels/connect",
        "inventory_levels/disconnect",
        "inventory_items/update",
        "inventory_items/delete",
        "orders/create",
        "orders/updated",
        "orders/cancelled",
        "orders/edited",
        "orders/delete",
        "refunds/create",
        "app/uninstalled",
    }
)
"""products/update is left out: it repeats every stock change and says nothing the levels do not."""

SCOPES = ("read_products", "read_locations", "read_inventory", "write_inventory", "read_orders")

PLACES_SCOPE = "read_merchant_managed_fulfillment_orders"
"""What asking for an order's fulfilment orders takes (vendor documentation)."""

WRITE_COST = 13.0
"""Points of a quantity write that selects its group (recorded on API 2026-04, 2026-06-25)."""

PAGE_COST_MAX = 300
"""Points one page may reserve; the platform refuses above 1000 (vendor documentation). A page has
to save for what it reserves, and a smaller one keeps others waiting for less; it costs no more."""

BULK_PATIENCE_S = 2 * 3600.0


class ShopifyOptions(Options):
    """`[channels.NAME.options]` of a Shopify shop."""

    shop: str
    """The shop's name, with or without `.myshopify.com`."""
    access_token: SecretStr | None = None
    """A custom app's token; or else client_id and client_secret of the organisation's own app."""
    client_id: str = ""
    client_secret: SecretStr | None = None
    webhook_secret: SecretStr | tuple[SecretStr, ...]
    """The app's client secret; several while it is rotated (old ones live on for an hour)."""
    api_version: str = Field(default="2026-04", pattern=r"^20\d\d-(01|04|07|10)$")
    bulk_above: int = Field(default=500, ge=0, le=9999)
    """Catalogues with more variants than this are read by a bulk operation,
    which spends no points; a page of a hundred spends about 500 of the 100 a second."""

    @field_validator("shop")
    @classmethod
    def _name_only(cls, shop: str) -> str:
        name = shop.removeprefix("https://").rstrip("/").removesuffix(".myshopify.com").lower()
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name):
            raise ValueError("must be the name before .myshopify.com")
        return name

    @model_validator(mode="before")
    @classmethod
    def _address(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("base_url") and given.get("shop"):
            shop = str(given["shop"]).removeprefix("https://").rstrip("/")
            return {
                **given,
                "base_url": f"https://{shop.removesuffix('.myshopify.com')}.myshopify.com",
            }
        return given

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if bool(self.credentials().access_token) == bool(self.credentials().client_secret):
            raise ValueError("needs either access_token, or client_id and client_secret")
        if self.client_secret and not self.client_id:
            raise ValueError("client_secret needs its client_id")
        if self.api_version < "2026-04":
            raise ValueError("api_version must be 2026-04 or later: older ones lack guarded writes")
        if not all(self.secrets()):
            raise ValueError("webhook_secret must not be empty")
        return self

    def secrets(self) -> list[bytes]:
        """Every active webhook key."""
        several = self.webhook_secret
        every = several if isinstance(several, tuple) else (several,)
        return [secret.get_secret_value().encode() for secret in every] or [b""]

    def credentials(self) -> Credentials:
        """What the access token is had by; exactly one way is set."""
        plain = [s.get_secret_value() if s else "" for s in (self.access_token, self.client_secret)]
        return Credentials(plain[0], self.client_id, plain[1])


CAPABILITIES = Capabilities(
    truth=Truth.LEVELS,
    edits=frozenset(Edits),
    write=WriteKind.CAS,
    batch_max=250,
    batch_atomic=True,
    read_max=250,
    topics=TOPICS,
    locations=True,
    tags=True,
    places_on_request=True,
    key_lifetime_s=20 * 3600.0,
    workers=4,
    write_cost=WRITE_COST,
    read_cost=100.0,
    budget_capacity=2000.0,
    budget_rate=100.0,
)

BY_LOCATION = replace(CAPABILITIES, topics=TOPICS | PLACE_TOPICS)
"""Where an order counts elsewhere, or nowhere, depending on the location it is sent from."""


class Shopify:
    """One shop. Ids are numeric text: an item's inventory item, a location's location.

    `by_location`: orders say which location each line is sent from. Their webhooks do not, so each
    order is fetched, with its fulfilment orders.
    """

    def __init__(
        self, options: ShopifyOptions, http: Http, clock: Clock, *, by_location: bool = False
    ) -> None:
        self.capabilities = BY_LOCATION if by_location else CAPABILITIES
        self._options = options
        self._http = http
        self._http.base_url = http.base_url or options.base_url
        self._clock = clock
        self._path = f"/admin/api/{options.api_version}/graphql.json"
        self._secrets = options.secrets()
        self._by_location = by_location
        self._grant = Grant(options.credentials(), http, clock)

    async def open(self) -> Whoami:
        data = await self._ask("whoami", docs.WHO_AM_I, {}, cost=4)
        try:
            domain = str(data["shop"]["myshopifyDomain"])
            granted = {s["handle"] for s in data["currentAppInstallation"]["accessScopes"]}
        except (KeyError, TypeError) as error:
            raise RetryLater("the shop did not say who we are") from error
        granted |= {"read_" + s.removeprefix("write_") for s in granted if s.startswith("write_")}
        notes = () if domain == self._domain else (f"the shop calls itself {domain}",)
        wanted = (*SCOPES, PLACES_SCOPE) if self._by_location else SCOPES
        return Whoami(domain, tuple(s for s in wanted if s not in granted), notes)

    async def close(self) -> None:
        await self._http.close()

    @property
    def _domain(self) -> str:
        return f"{self._options.shop}.myshopify.com"

    # -- verify ---------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Base64 HMAC-SHA256 over the raw body; the headers are not protected by it.

        One app's key signs for every shop it is installed in, so a delivery that names another shop
        is refused. Named by its webhook id, else its event id (test sends lack it), else its body.
        """
        given = headers.get("X-Shopify-Hmac-Sha256", "").encode("utf-8", "replace")
        matches = [
            hmac.compare_digest(base64.b64encode(hmac.digest(key, body, "sha256")), given)
            for key in self._secrets
        ]
        if not any(matches):
            raise Unsigned("the signature does not match")
        if headers.get("X-Shopify-Shop-Domain", self._domain).lower() != self._domain:
            raise Unsigned("signed for another shop")
        topic = headers.get("X-Shopify-Topic", "")[:100]
        name = headers.get("X-Shopify-Webhook-Id") or headers.get("X-Shopify-Event-Id") or ""
        if not name or len(name) > 200:
            name = hashlib.sha256(body).hexdigest()
        try:
            triggered_at = stamp(headers.get("X-Shopify-Triggered-At"))
        except BadFact:
            triggered_at = None
        return Delivered(topic, f"{topic}:{name}", triggered_at=triggered_at)

    # -- parse ----------------------------------------------------------------------------------

    def parse(self, event: Event) -> Sequence[Fact]:
        found = facts(event.topic, event.body)
        if self._by_location:
            return [OrderHint(x.order) if isinstance(x, OrderSeen) else x for x in found]
        return found

    # -- reading --------------------------------------------------------------------------------

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        """One call a location. A level that is inactive is not stocked there: missing."""
        wanted: dict[str, list[str]] = {}
        for ref in refs:
            if ref.remote.isdigit() and ref.location.isdigit():
                wanted.setdefault(ref.location, []).append(ref.remote)
        found: dict[tuple[str, str], Reading] = {}
        for location, items in wanted.items():
            ids = list(dict.fromkeys(items))
            data = await self._ask(
                "read",
                docs.READ_LEVELS,
                {
                    "ids": [gid("InventoryItem", i) for i in ids],
                    "location": gid("Location", location),
                },
                cost=2.0 * len(ids),
            )
            nodes = shaped(data, shapes.ItemsRead).nodes
            if len(nodes) != len(ids):
                raise RetryLater(f"asked for {len(ids)} items, got {len(nodes)}")
            for item, node in zip(ids, nodes, strict=True):
                found[item, location] = reading(item, location, node, data.get("_answered_at"))
        nowhere = [Reading(ref.remote, ref.location, None, missing=True) for ref in refs]
        return [found.get((r.remote, r.location), r) for r in nowhere]

    async def listings(self) -> AsyncIterator[Page]:
        """Paged for small catalogues, by a bulk operation for big ones; complete or RetryLater."""
        size = await self._ask("catalogue_size", docs.CATALOGUE_SIZE, {}, cost=20)
        variants, locations = (
            count_of(size, "productVariantsCount"),
            count_of(size, "locationsCount"),
        )
        pages = self._paged(locations) if variants <= self._options.bulk_above else self._bulk()
        seen = 0
        async for page, items in pages:
            seen += items
            yield page
        if seen < variants:
            size = await self._ask("catalogue_size", docs.CATALOGUE_SIZE, {}, cost=20)
            if seen < count_of(size, "productVariantsCount"):
                raise RetryLater(f"the catalogue ended early: {seen} of {variants} variants")

    async def _paged(self, locations: int) -> AsyncIterator[tuple[Page, int]]:
        levels = min(max(locations, 1), 50)
        cost_each = 7 + 2 * levels
        first = min(250, PAGE_COST_MAX // cost_each)
        after: str | None = None
        while True:
            variables = {"first": first, "levels": levels, "after": after}
            cost = float(first * cost_each)
            data = await self._ask("catalogue", docs.CATALOGUE_PAGE, variables, cost=cost)
            page = shaped(data.get("inventoryItems"), shapes.ItemNodes)
            rows: list[ListingSeen] = []
            for item in page.nodes:
                parts = await self._all_levels(item)
                variant = item.variants.nodes[0] if item.variants and item.variants.nodes else None
                rows += listings(item.id, item.sku, item.tracked, variant, parts)
            yield Page(rows), sum(1 for i in page.nodes if i.variants and i.variants.nodes)
            if (after := next_page(page.page_info)) is None:
                return

    async def _all_levels(self, item: shapes.ItemPart) -> list[shapes.LevelPart]:
        parts, info = list(item.inventory_levels.nodes), item.inventory_levels.page_info
        while (after := next_page(info)) is not None:
            variables = {"item": item.id, "after": after}
            data = await self._ask("levels", docs.MORE_LEVELS, variables, cost=403)
            more = shaped(
                (data.get("inventoryItem") or {}).get("inventoryLevels"), shapes.LevelNodes
            )
            parts, info = parts + more.nodes, more.page_info
        return parts

    async def _bulk(self) -> AsyncIterator[tuple[Page, int]]:
        data = await self._ask(
            "bulk_run", docs.BULK_RUN, {"query": docs.BULK_CATALOGUE}, cost=10, writes=True
        )
        started = shaped(data.get("bulkOperationRunQuery"), shapes.BulkStarted)
        if started.bulk_operation is None:
            raise bulk_refused(started.user_errors)
        state, patience = started.bulk_operation, self._clock() + timedelta(seconds=BULK_PATIENCE_S)
        wait_s = 1.0
        while state.status in {"CREATED", "RUNNING", "CANCELING"}:
            if self._clock() > patience:
                raise RetryLater("the bulk operation did not end")
            yield Page((), wait_s=wait_s, asked_before=True), 0
            wait_s = min(wait_s * 1.5, 20.0)
            data = await self._ask("bulk_status", docs.BULK_STATUS, {"id": state.id}, cost=2)
            state = shaped(data.get("bulkOperation"), shapes.BulkState)
        if state.status != "COMPLETED":
            raise RetryLater(
                f"the bulk operation ended {state.status} ({state.error_code})", after_s=60
            )
        async for rows, items in self._bulk_file(state):
            yield Page(rows, asked_before=True), items

    async def _bulk_file(
        self, state: shapes.BulkState
    ) -> AsyncIterator[tuple[list[ListingSeen], int]]:
        """Reads the file as it arrives: an item's variant and levels follow it (groupObjects)."""
        lines, items, rows = 0, 0, list[ListingSeen]()
        item: BulkItem | None = None
        if state.url is not None:
            async for line in self._http.lines("bulk_file", state.url):
                if not line.strip():
                    continue
                lines += 1
                part = bulk_line(line)
                if part.parent_id is not None:
                    if item is None or part.parent_id != item.head.id:
                        raise RetryLater("the bulk file is out of order")
                    item.add(part)
                    continue
                if item is not None:
                    rows, items = rows + item.listings(), items + item.counted
                item = BulkItem(part)
                if len(rows) >= 250:
                    yield rows, items
                    rows, items = [], 0
        if item is not None:
            rows, items = rows + item.listings(), items + item.counted
        if str(lines) != str(state.object_count):
            raise RetryLater(f"the bulk file has {lines} of {state.object_count} objects")
        yield rows, items

    async def orders_since(self, since: datetime) -> AsyncIterator[Sequence[OrderSeen]]:
        """By time of change, oldest first. Orders older than 60 days need an extra permission."""
        after: str | None = None
        query = f"updated_at:>='{since.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}'"
        while True:
            variables = {"query": query, "after": after}
            data = await self._ask("orders", docs.ORDERS_PAGE, variables, cost=262)
            page = shaped(data.get("orders"), shapes.OrderNodes)
            yield [
                await self._whole_order(order.id)
                if self._by_location or order.refunds or order.line_items.page_info.has_next_page
                else order_of(order, order.line_items.nodes, [])
                for order in page.nodes
            ]
            if (after := next_page(page.page_info)) is None:
                return

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderSeen]:
        named = [await self._gid_of(order) for order in ids]
        return [await self._whole_order(one) for one in dict.fromkeys(named) if one]

    async def _gid_of(self, order: str) -> str:
        """Of a fulfilment order, that of its order; empty: it is not there any more."""
        if not order.startswith(OF_FULFILMENT):
            return gid("Order", order)
        variables = {"id": gid("FulfillmentOrder", order.removeprefix(OF_FULFILMENT))}
        data = await self._ask("fulfilment_order", docs.ORDER_OF_FULFILMENT, variables, cost=2)
        return next((str(x["orderId"]) for x in data.get("nodes") or () if x), "")

    async def _whole_order(self, gid: str) -> OrderSeen:
        after: str | None = None
        lines: list[shapes.OrderLine] = []
        while True:
            variables = {"id": gid, "after": after}
            data = await self._ask("order", docs.ONE_ORDER, variables, cost=460)
            if data.get("order") is None:
                return order_gone(number_in(gid, "Order"), self._clock())
            order = shaped(data["order"], shapes.OrderPart)
            lines += order.line_items.nodes
            if (after := next_page(order.line_items.page_info)) is None:
                break
        refunded = [row for refund in order.refunds for row in await self._refund_lines(refund.id)]
        seen = order_of(order, lines, refunded)
        if not self._by_location:
            return seen
        return by_place(seen, placed_of(await self._fulfilments(gid)), put_back(refunded))

    async def _fulfilments(self, gid: str) -> list[shapes.FulfilmentPart]:
        after: str | None = None
        parts: list[shapes.FulfilmentPart] = []
        while True:
            variables = {"id": gid, "after": after}
            data = await self._ask("fulfilments", docs.FULFILMENTS, variables, cost=530)
            found = (data.get("order") or {}).get("fulfillmentOrders")
            page = shaped(found, shapes.FulfilmentNodes)
            for part in page.nodes:
                more = part.line_items.page_info
                while (line := next_page(more)) is not None:
                    variables = {"id": part.id, "after": line}
                    document = docs.MORE_FULFILMENT_LINES
                    data = await self._ask("fulfilment_lines", document, variables, cost=204)
                    rest = shaped(data, shapes.MorePlaced).nodes[0].line_items
                    part.line_items.nodes += rest.nodes
                    more = rest.page_info
            parts += page.nodes
            if (after := next_page(page.page_info)) is None:
                return parts

    async def _refund_lines(self, gid: str) -> list[shapes.RefundLine]:
        after: str | None = None
        rows: list[shapes.RefundLine] = []
        document = docs.REFUND_PLACES if self._by_location else docs.REFUND_LINES
        while True:
            variables = {"id": gid, "after": after}
            cost = 304 if self._by_location else 203
            data = await self._ask("refund", document, variables, cost=cost)
            found = (data.get("refund") or {}).get("refundLineItems")
            page = shaped(found, shapes.RefundLineNodes)
            rows += page.nodes
            if (after := next_page(page.page_info)) is None:
                return rows

    async def locations(self) -> Sequence[Location]:
        after: str | None = None
        found: list[Location] = []
        while True:
            data = await self._ask("locations", docs.LOCATIONS, {"after": after}, cost=52)
            page = shaped(data.get("locations"), shapes.LocationNodes)
            found += [
                Location(number_in(n.id, "Location"), n.name, n.is_active) for n in page.nodes
            ]
            if (after := next_page(page.page_info)) is None:
                return found

    async def subscriptions(self) -> Sequence[Subscription]:
        """Those of this app. Unhealthy: filtered, trimmed, no JSON, or not sent over https."""
        after: str | None = None
        found: list[Subscription] = []
        while True:
            data = await self._ask("webhooks", docs.WEBHOOK_LIST, {"after": after}, cost=102)
            page = shaped(data.get("webhookSubscriptions"), shapes.WebhookNodes)
            for node in page.nodes:
                plain = node.format == "JSON" and not node.filter and not node.include_fields
                topic = _ENUM_TOPICS.get(node.topic, node.topic.lower())
                found.append(Subscription(node.id, topic, node.uri, plain and sendable(node.uri)))
            if (after := next_page(page.page_info)) is None:
                return found

    async def subscribe(self, topic: str, address: str) -> None:
        """A subscription of ours with the same path is pointed here; else a new one is made."""
        sub = {"uri": address, "format": "JSON", "includeFields": [], "filter": ""}
        path = urlsplit(address).path
        mine = [s for s in await self.subscriptions() if s.topic == topic]
        old = next((s for s in mine if s.address == address), None) or next(
            (s for s in mine if urlsplit(s.address).path == path), None
        )
        if old is not None:
            if old.healthy and old.address == address:
                return
            document, variables = docs.WEBHOOK_UPDATE, {"id": old.id, "sub": sub}
        else:
            enum = topic.replace("/", "_").upper()
            document, variables = docs.WEBHOOK_CREATE, {"topic": enum, "sub": sub}
        data = await self._ask("subscribe", document, variables, cost=10, writes=True)
        answer = shaped(next(iter(data.values()), None), shapes.Subscribed)
        if answer.user_errors:
            raise Refused("; ".join(e.message for e in answer.user_errors)[:300])

    # -- writing --------------------------------------------------------------------------------

    async def write(self, write: Write) -> Sequence[RowResult]:
        """All rows or none, under the attempt's key; what failed is named by its place in the list.

        A delta of zero is left out: it is true already, and a batch of nothing else is never sent.
        """
        if write.op is WriteOp.SET:
            sent = list(range(len(write.rows)))
            document, root = docs.SET_QUANTITIES, "inventorySetQuantities"
            rows = {"quantities": [set_row(row) for row in write.rows]}
        else:
            sent = [i for i, row in enumerate(write.rows) if delta_of(row) != 0]
            document, root = docs.ADJUST_QUANTITIES, "inventoryAdjustQuantities"
            rows = {"changes": [delta_row(write.rows[i]) for i in sent]}
        outcomes = [RowResult(Outcome.APPLIED)] * len(write.rows)
        if not sent:
            return outcomes
        reference = f"syncd://attempt/{write.key}"
        body = {"name": "available", "reason": "correction", "referenceDocumentUri": reference}
        variables = {"input": {**body, **rows}, "key": write.key}
        op = write.op.value
        data = await self._ask(op, document, variables, cost=WRITE_COST, writes=True, root=root)
        answer = shaped(data.get(root), shapes.Written, writes=True)
        for place, result in zip(sent, results(answer, len(sent)), strict=True):
            outcomes[place] = result
        return outcomes

    # -- speaking -------------------------------------------------------------------------------

    async def _ask(
        self,
        op: str,
        document: str,
        variables: Mapping[str, Any],
        *,
        cost: float,
        writes: bool = False,
        root: str = "",
    ) -> dict[str, Any]:
        """One GraphQL request; gives `data`. Errors are read in all three places they come in."""
        request = {"query": document, "variables": variables}
        async with self._grant.use() as token:
            headers = {"X-Shopify-Access-Token": token}
            with only_writes_apply(writes):
                answer = await self._http.call(
                    op, "POST", self._path, cost=cost, json=request, headers=headers, price=price
                )
        check_status(answer)
        body = answer.json(maybe_applied=writes)
        if not isinstance(body, dict):
            raise RetryLater("an answer without data", maybe_applied=writes)
        told = cost_told(body)
        observe(self._http.budget, told)
        data, errors = body.get("data"), body.get("errors")
        if errors and not (root and isinstance(data, dict) and data.get(root) is not None):
            raise_told(self._http.budget, op, errors, told, writes=writes)
        if not isinstance(data, dict):
            raise RetryLater("an answer without data", maybe_applied=writes)
        return {**data, "_answered_at": answer.date}


_ENUM_TOPICS = {topic.replace("/", "_").upper(): topic for topic in TOPICS | PLACE_TOPICS}


PLATFORM = Platform(
    name="shopify",
    options=ShopifyOptions,
    connector=Shopify,
    capabilities=CAPABILITIES,
)
