"""WooCommerce, REST v3: one shop, truth from its orders, blind absolute writes in batches.

A webhook's body is from the time of delivery, about a minute after its event, and every order line
says itself how many units it holds (`_reduced_stock`): nothing here is ever added up from events.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets as randomness
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from syncd.config.values import LastingDuration
from syncd.connectors import woocommerce_oauth as oauth
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
)
from syncd.connectors.http import Answer, Http, error_words
from syncd.connectors.woocommerce_shapes import (
    NO_SUCH_ORDER,
    ON_SALE,
    OVER_STATUSES,
    RETIRED,
    as_object,
    as_rows,
    decoded,
    deleted_order,
    error_facts,
    id_of,
    listing_seen,
    meta_of,
    name_of,
    number_of,
    of_sale,
    order_facts,
    order_seen,
    product_facts,
    reading_of,
    stamp,
    status_result,
    text,
    variations_seen,
    whole,
)
from syncd.errors import BadFact, ChannelClosed, Refused, RetryLater, Unsigned
from syncd.stock.model import Edits, Fact, OrderNews, OrderUnreadable, Reading, Truth

API = "/wp-json/wc/v3"
PAGE = 100
"""Rows of one page and of one batch: the shop's own maximum (413 beyond; observed 10.7.0)."""

PRODUCT_FIELDS = (
    "id,type,parent_id,name,slug,sku,global_unique_id,status,manage_stock,stock_quantity,"
    "date_modified_gmt,variations"
)
ORDER_FIELDS = (
    "id,parent_id,number,status,created_via,date_created_gmt,date_modified_gmt,date_paid_gmt,line_items,"
    "refunds"
)
"""No name and no address of a shopper is asked for."""

NO_ROUTE = "rest_no_route"

DESTINATION_NOTE = (
    "webhooks arrive only at port 80, 443 or 8080 of an address that is not private or loopback, "
    "unless the shop's WordPress adds filters"
)

# ---- options


class WooCommerceOptions(Options):
    """`[channels.NAME.options]` of a WooCommerce shop."""

    base_url: str = Field(min_length=1)
    """The shop's address, with its path if it lives in one: https://shop.example/store."""
    consumer_key: SecretStr
    consumer_secret: SecretStr
    webhook_secret: tuple[SecretStr, ...]
    """One or several while rotating; the first signs new registrations."""
    auth: Literal["auto", "basic", "oauth1"] = "auto"
    """auto: Basic over https, OAuth 1.0a over http. A proxy that hides https needs oauth1."""
    unpaid_expires: LastingDuration | None = None
    """The shop's own "hold stock" time, after which it cancels unpaid orders of its checkout. What such
    an order waits for is held on the other channels until then; left out, until it is cancelled."""
    calls_per_s: float | None = Field(default=None, gt=0, le=1000)
    """What the host allows; WooCommerce itself has no limit."""

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s?#/]+[^\s?#]*", value):
            raise ValueError("the shop's address, like https://shop.example")
        return value.rstrip("/").removesuffix(API)

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str | SecretStr) else value

    @field_validator("webhook_secret")
    @classmethod
    def _plain(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        """WooCommerce stores the secret with HTML entities: anything else signs with another."""
        plain = [re.fullmatch(r"[A-Za-z0-9_.-]{8,}", one.get_secret_value()) for one in value]
        if not plain or not all(plain):
            raise ValueError("secrets of at least 8 letters and digits")
        return value


# ---- capabilities

TOPICS = frozenset(
    f"{resource}.{event}"
    for resource in ("order", "product")
    for event in ("created", "updated", "deleted", "restored")
)

CAPABILITIES = Capabilities(
    truth=Truth.ORDERS,
    edits=frozenset(Edits),
    write=WriteKind.ABSOLUTE,
    batch_max=PAGE,
    read_max=PAGE,
    topics=TOPICS,
    retires=True,
    late_apply_s=30.0,
    workers=4,
    budget_capacity=100.0,
    budget_rate=50.0,
)


class WooCommerce:
    """One WooCommerce shop. See `Connector` for what each method promises."""

    def __init__(self, options: WooCommerceOptions, http: Http, clock: Clock) -> None:
        self.capabilities = CAPABILITIES
        self._options = options
        self._http = http
        self._clock = clock
        self._key = options.consumer_key.get_secret_value()
        self._secret = options.consumer_secret.get_secret_value()
        self._hook_secrets = [one.get_secret_value() for one in options.webhook_secret]
        self._basic = options.auth == "basic" or (
            options.auth == "auto" and options.base_url.startswith("https:")
        )
        self._all_variations = True
        """`GET /variations` exists from 10.3 only; found out by the first 404."""
        http.base_url = options.base_url
        if options.calls_per_s is not None:
            capacity = max(options.calls_per_s, 1.0)
            self.capabilities = replace(
                CAPABILITIES, budget_capacity=capacity, budget_rate=options.calls_per_s
            )
            http.budget.observe(None, options.calls_per_s, capacity)

    async def open(self) -> Whoami:
        """Prove the credentials with two cheap reads; `_fields` spares the shop its self-tests."""
        wanted = "environment.version,environment.home_url"
        answer = await self._call("whoami", "GET", "/system_status", _fields=wanted)
        if answer.status == 404:
            raise ChannelClosed(
                f"no WooCommerce API at base_url ({error_words(answer)}); pretty permalinks needed"
            )
        environment = as_object(as_object(_body(answer)).get("environment"))
        notes = [DESTINATION_NOTE]
        option = await self._call("whoami", "GET", "/settings/products/woocommerce_manage_stock")
        if option.status == 200 and as_object(option.json()).get("value") == "no":
            notes.insert(0, "stock management is off in this shop: every write would be ignored")
        home = text(environment.get("home_url")) or self._options.base_url
        version = text(environment.get("version")) or "unknown version"
        return Whoami(f"{home} (WooCommerce {version})", notes=tuple(notes))

    async def close(self) -> None:
        await self._http.close()

    async def locations(self) -> Sequence[Location]:
        """None: a shop has one shelf."""
        return ()

    # ---- verify

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Base64 HMAC-SHA256 of the raw body; 30 of 30 recorded deliveries agree (10.7.0).

        The delivery id is a hash of webhook and clock second: alone it names up to 14 orders.
        The ping of a new registration is a form without a signature; it stores nothing.
        """
        given = headers.get("X-WC-Webhook-Signature", "")
        if not given:
            if re.fullmatch(rb"webhook_id=\d{1,20}", body):
                return Delivered(topic="", dedupe="", answer="")
            raise Unsigned("no signature")
        matches = [
            hmac.compare_digest(
                _hook_signature(secret, body), given.encode(errors="surrogateescape")
            )
            for secret in self._hook_secrets
        ]
        if not any(matches):
            raise Unsigned("the signature does not match")
        delivery = headers.get("X-WC-Webhook-Delivery-ID", "")
        # the signature has just been found to be the body's: it names the content
        return Delivered(topic=headers.get("X-WC-Webhook-Topic", ""), dedupe=f"{delivery}:{given}")

    # ---- parse

    def parse(self, event: Event) -> Sequence[Fact]:
        """Read what a delivery says; a signed error object says nothing we could book."""
        resource, _, happened = event.topic.partition(".")
        if not event.topic:
            raise BadFact("a delivery without a topic")
        if resource not in ("order", "product"):
            return ()
        body = decoded(event.body)
        if "id" not in body and "code" in body:
            return error_facts(body)
        try:
            if resource == "product":
                return product_facts(body, happened)
            return order_facts(body, happened, self._options.unpaid_expires)
        except RetryLater as error:
            raise BadFact(error.reason) from error

    # ---- reading

    async def listings(self) -> AsyncIterator[Page]:
        """Every product, then every variation, each in ascending order of ids.

        A variation that leaves its stock to the parent (`manage_stock` "parent") is no listing:
        the parent's row is, and order lines find it by its alias.
        """
        parents: list[str] = []
        async for rows, at in self._walk("/products"):
            parents += [id_of(row) for row in rows if row.get("variations")]
            yield Page([listing_seen(row) for row in rows], answered_at=at)
        if not parents:
            return
        if self._all_variations:
            try:
                async for rows, at in self._walk("/variations"):
                    yield Page(variations_seen(rows), answered_at=at)
            except _NoRouteError:
                self._all_variations = False
            else:
                return
        for parent in parents:
            async for rows, at in self._walk(f"/products/{parent}/variations"):
                yield Page(variations_seen(rows, parent), answered_at=at)

    async def _walk(self, path: str) -> AsyncIterator[tuple[list[dict[str, Any]], datetime | None]]:
        """All rows of a collection by rising ids, with the shop's time, whole or RetryLater.

        Each page begins with the last row of the one before: where that row moved, something was
        deleted meanwhile, and a page is stepped back instead of skipping what slid past.
        """
        offset, last, found = 0, 0, 0
        while True:
            answer = await self._call(
                "list", "GET", path, _fields=PRODUCT_FIELDS, orderby="id", order="asc",
                per_page=str(PAGE), offset=str(offset),
            )  # fmt: skip
            rows = as_rows(_body(answer))
            ids = [int(id_of(row)) for row in rows]
            if ids != sorted(set(ids)):
                raise RetryLater("the catalogue is not in order of ids")
            if offset and (not ids or ids[0] > last):
                offset = max(0, offset - PAGE)
                continue
            fresh = [row for row, number in zip(rows, ids, strict=True) if number > last]
            if fresh:
                yield fresh, answer.date
            last, found = max([last, *ids]), found + len(fresh)
            total = _total(answer)
            if not fresh or (total is not None and offset + len(rows) >= total):
                if found < (total or 0) or (total is None and not rows):
                    raise RetryLater(f"the catalogue ended at {found} of {total} rows")
                return
            offset += len(rows) - 1

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        """By id, products and variations apart: `products?include=` never gives a variation."""
        groups: dict[str, list[str]] = {}
        for ref in refs:
            groups.setdefault(ref.group, []).append(ref.remote)
        found: dict[str, dict[str, Any]] = {}
        if "" in groups:
            found |= await self._included("/products", groups.pop(""))
        if len(groups) > 1 and self._all_variations:
            remotes = [remote for part in groups.values() for remote in part]
            try:
                found |= await self._included("/variations", remotes)
                groups = {}
            except _NoRouteError:
                self._all_variations = False
        for parent, remotes in groups.items():
            found |= await self._included(f"/products/{parent}/variations", remotes)
        return [reading_of(ref, found.get(ref.remote)) for ref in refs]

    async def _included(self, path: str, remotes: list[str]) -> dict[str, dict[str, Any]]:
        numbers = sorted({remote for remote in remotes if number_of(remote)})
        if not numbers:
            return {}
        answer = await self._call(
            "read", "GET", path, _fields=PRODUCT_FIELDS, per_page=str(PAGE),
            include=",".join(numbers),
        )  # fmt: skip
        if answer.status == 404 and _code(answer) != NO_ROUTE:
            return {}  # the parent itself is gone
        return {id_of(row): {**row, "_answered_at": answer.date} for row in as_rows(_body(answer))}

    async def orders_since(self, since: datetime) -> AsyncIterator[Sequence[OrderNews]]:
        """By modification time; the trash needs its own pass, since "any" leaves it out."""
        for status in ("any", "trash"):
            async for rows in self._changed(since, status):
                yield await self._order_states(rows)

    async def _changed(self, since: datetime, status: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages by their newest stamp, not by number: an order changed meanwhile moves to the end.

        Stamps are whole seconds and `modified_after` is exclusive: each page repeats the last
        second, less what was given already.
        """
        second = timedelta(seconds=1)
        after, page = since.astimezone(UTC).replace(microsecond=0) - second, 1
        given: set[tuple[str, str]] = set()
        while True:
            answer = await self._call(
                "orders", "GET", "/orders", _fields=ORDER_FIELDS, status=status, orderby="modified",
                order="asc", dates_are_gmt="true", per_page=str(PAGE), page=str(page),
                modified_after=after.strftime("%Y-%m-%dT%H:%M:%S"),
            )  # fmt: skip
            rows = as_rows(_body(answer))
            fresh = [row for row in rows if name_of(row) not in given]
            if fresh:
                yield fresh
            if not rows or _last_page(answer, page):
                return
            given |= {name_of(row) for row in rows}
            newest = stamp(rows[-1].get("date_modified_gmt"))
            if newest is not None and newest - second > after:
                after, page = newest - second, 1
            else:
                page += 1

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderNews]:
        """By id; what is in no list is asked for alone before it counts as deleted for good."""
        found: dict[str, dict[str, Any]] = {}
        numbers = sorted({one for one in ids if number_of(one)})
        for start in range(0, len(numbers), PAGE):
            answer = await self._call(
                "orders", "GET", "/orders", _fields=ORDER_FIELDS, per_page=str(PAGE),
                include=",".join(numbers[start : start + PAGE]),
            )  # fmt: skip
            found |= {id_of(row): row for row in as_rows(_body(answer))}
        for number in numbers:
            if number not in found:
                answer = await self._call(
                    "orders", "GET", f"/orders/{number}", _fields=ORDER_FIELDS
                )
                if answer.status != 404 or _code(answer) != NO_SUCH_ORDER:
                    found[number] = as_object(_body(answer))
        states = await self._order_states([found[n] for n in numbers if n in found])
        known = {state.order: state for state in states}
        return [known.get(one) or deleted_order(one, self._clock()) for one in ids]

    async def _order_states(self, rows: Iterable[dict[str, Any]]) -> list[OrderNews]:
        states: list[OrderNews] = []
        for row in rows:
            refunded: Mapping[str, int] = {}
            try:
                if row.get("refunds") and text(row.get("status")) not in OVER_STATUSES:
                    refunded = await self._refunded(id_of(row))
                states.append(order_seen(row, refunded, self._options.unpaid_expires))
            except BadFact as error:
                states.append(OrderUnreadable(id_of(row), str(error)))
        return states

    async def _refunded(self, order: str) -> dict[str, int]:
        """Units refunded per line; the order itself names only the sums of money."""
        units: dict[str, int] = {}
        page = 1
        while True:
            answer = await self._call(
                "refunds", "GET", f"/orders/{order}/refunds", _fields="id,line_items",
                per_page=str(PAGE), page=str(page),
            )  # fmt: skip
            rows = as_rows(_body(answer))
            for line in (line for row in rows for line in as_rows(row.get("line_items") or [])):
                name = text(meta_of(line, "_refunded_item_id"))
                units[name] = units.get(name, 0) + abs(whole(line.get("quantity"), "refunded"))
            if not rows or _last_page(answer, page):
                return units
            page += 1

    # ---- writing

    async def write(self, write: Write) -> Sequence[RowResult]:
        """One batch: products, or the variations of one parent. `null` would store 0: never sent.

        2xx is not success: every object answers for itself, and a quantity for a product whose
        stock is not managed is thrown away without an error.
        """
        if not all(number_of(row.ref.remote) for row in write.rows):
            return [_unsent(row.ref) for row in write.rows]
        group = write.rows[0].ref.group
        path = f"/products/{group}/variations/batch" if group else "/products/batch"
        update = [{"id": int(r.ref.remote), "stock_quantity": r.to_quantity} for r in write.rows]
        answer = await self._call("write", "POST", path, json={"update": update})
        if answer.status == 404 and _code(answer) == NO_ROUTE:
            raise RetryLater(f"no WooCommerce API now: {error_words(answer)}")
        if answer.status >= 300:
            one = len(write.rows) == 1 or answer.status == 413
            outcome = Outcome.REFUSED if one else Outcome.UNNAMED
            return [RowResult(outcome, error_words(answer))] * len(write.rows)
        try:
            objects = as_rows(as_object(answer.json(maybe_applied=True)).get("update"))
            said = {id_of(one): one for one in objects}
            return [_row_result(said[r.ref.remote], r.to_quantity, answer.date) for r in write.rows]
        except (BadFact, RetryLater, KeyError) as error:
            raise RetryLater(
                "the answer to a batch does not name every row", maybe_applied=True
            ) from error

    async def retire(self, refs: Sequence[Ref], *, out: bool, again: bool) -> Sequence[RowResult]:
        """Private products and variations are shown to nobody, and keep their place and address."""
        group = refs[0].group
        path = f"/products/{group}/variations" if group else "/products"
        there = await self._included(path, [ref.remote for ref in refs])
        known = [of_sale(there.get(ref.remote), out=out, again=again) for ref in refs]
        turned = [ref.remote for ref, one in zip(refs, known, strict=True) if one is None]
        if not turned:
            return [one for one in known if one is not None]
        status = RETIRED if out else ON_SALE
        update = [{"id": int(remote), "status": status} for remote in turned]
        answer = await self._call("retire", "POST", f"{path}/batch", json={"update": update})
        if answer.status >= 300:
            raise Refused(f"answer {answer.status}: {error_words(answer)}")
        try:
            rows = as_rows(as_object(answer.json(maybe_applied=True)).get("update"))
            said = {id_of(row): status_result(row, status) for row in rows}
            return [one or said[ref.remote] for ref, one in zip(refs, known, strict=True)]
        except (BadFact, RetryLater, KeyError) as error:
            words = "the answer to a batch does not name every row"
            raise RetryLater(words, maybe_applied=True) from error

    async def subscriptions(self) -> Sequence[Subscription]:
        """Ours and others', of every status: a shop switches a webhook off without a word."""
        found: list[Subscription] = []
        page = 1
        while True:
            answer = await self._call(
                "webhooks", "GET", "/webhooks", status="all", per_page=str(PAGE), page=str(page),
                orderby="id", order="asc",
            )  # fmt: skip
            rows = as_rows(_body(answer))
            found += [
                Subscription(
                    id_of(row),
                    text(row.get("topic")),
                    text(row.get("delivery_url")),
                    healthy=row.get("status") == "active",
                )
                for row in rows
            ]
            if not rows or _last_page(answer, page):
                return found
            page += 1

    async def subscribe(self, topic: str, address: str) -> None:
        """Register, or set the one that is there to active, under our newest secret."""
        same = [s for s in await self.subscriptions() if (s.topic, s.address) == (topic, address)]
        wanted = {"status": "active", "secret": self._hook_secrets[0]}
        if same:
            answer = await self._call("subscribe", "PUT", f"/webhooks/{same[0].id}", json=wanted)
        else:
            wanted |= {"name": f"syncd {topic}", "topic": topic, "delivery_url": address}
            answer = await self._call("subscribe", "POST", "/webhooks", json=wanted)
        if answer.status >= 300:
            raise Refused(f"webhook {topic}: {error_words(answer)}")
        status = as_object(_body(answer)).get("status")
        if status != "active":
            raise Refused(f"webhook {topic} stays {status}")

    async def _call(
        self, op: str, method: str, path: str, *, json: Any = None, **params: str
    ) -> Answer:
        headers = {}
        if self._basic:
            pair = base64.b64encode(f"{self._key}:{self._secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            params = oauth.signed(
                method,
                self._http.base_url + API + path,
                params,
                key=self._key,
                secret=self._secret,
                timestamp_s=int(self._clock().timestamp()),
                nonce=randomness.token_hex(16),
            )
        return await self._http.call(
            op, method, API + path, json=json, params=params, headers=headers
        )


class _NoRouteError(RetryLater):
    """The shop has no such route: too old, or WooCommerce is switched off just now."""


def _hook_signature(secret: str, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))


def _body(answer: Answer) -> Any:
    """The decoded body of a read; raises RetryLater or Refused where the answer is an error."""
    if answer.status == 404:
        raise _NoRouteError(f"not found: {error_words(answer)}")
    if answer.status >= 300:
        raise Refused(f"answer {answer.status}: {error_words(answer)}")
    return answer.json()


def _code(answer: Answer) -> str:
    return text(as_object(answer.json()).get("code"))


def _total(answer: Answer) -> int | None:
    total = answer.headers.get("X-WP-Total", "")
    return int(total) if total.isdecimal() else None


def _last_page(answer: Answer, page: int) -> bool:
    """False while unsure: a host may cap a page below what was asked for, so length says nothing."""
    pages = answer.headers.get("X-WP-TotalPages", "")
    return pages.isdecimal() and page >= int(pages)


def _unsent(ref: Ref) -> RowResult:
    if number_of(ref.remote):
        return RowResult(Outcome.NOT_APPLIED)
    return RowResult(Outcome.REFUSED, "not an id of this platform")


def _row_result(row: Mapping[str, Any], wanted: int, answered_at: datetime | None) -> RowResult:
    error = row.get("error")
    if error is not None:
        words = error.get("message") or error.get("code") if isinstance(error, dict) else error
        return RowResult(Outcome.REFUSED, str(words)[:200])
    if row.get("manage_stock") is not True:
        return RowResult(Outcome.REFUSED, "stock not managed")
    shown = row.get("stock_quantity")
    if shown != wanted:
        return RowResult(Outcome.REFUSED, f"the shop shows {str(shown)[:40]} instead of {wanted}")
    at = stamp(row.get("date_modified_gmt"))
    return RowResult(Outcome.APPLIED, at=at, answered_at=answered_at)


PLATFORM = Platform(
    name="woocommerce",
    options=WooCommerceOptions,
    connector=WooCommerce,
    capabilities=CAPABILITIES,
)
