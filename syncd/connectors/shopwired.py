"""ShopWired, REST v1: one account, truth from its orders, blind absolute writes of fifteen skus.

Nothing here was checked against a live account. What is said of the platform comes from its help
pages and from public client code; where the two are silent, the text below says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator

from syncd.config.values import LastingDuration
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
from syncd.connectors.shopwired_shapes import (
    NO_SKU,
    alive,
    as_object,
    as_rows,
    body_of,
    complete,
    decoded,
    id_of,
    level_seen,
    listings_of,
    microseconds,
    quantity_of,
    refunded_in_full,
    sku_of,
    stamp,
    status_type,
    text,
    units_of,
)
from syncd.errors import BadFact, Refused, RetryLater, Unsigned
from syncd.stock.model import (
    QUANTITY_LIMIT,
    Edits,
    Fact,
    ItemGone,
    ItemSeen,
    Kind,
    LineSeen,
    OrderHint,
    OrderNews,
    OrderSeen,
    OrderUnreadable,
    Reading,
    Truth,
)

BATCH = 15
"""Skus of one POST /stock; an integrator's page, the vendor's own reference gives no number."""

PAGE = 100
"""Rows of a page: the vendor's pages say 100, one public client 250, the default is 50."""

SURELY_LAST = 50
"""A page of orders with fewer rows is the last one, whatever limit the platform really has."""

RECENT = timedelta(hours=1)
DEEP_EVERY = timedelta(hours=6)

ORDER_EMBED = "status,products,refunds"
"""An order comes without its lines unless they are asked for (public client code)."""

# ---- options


class ShopWiredOptions(Options):
    """`[channels.NAME.options]` of a ShopWired account."""

    base_url: str = "https://api.ecommerceapi.uk/v1"
    api_key: SecretStr
    api_secret: SecretStr
    webhook_secret: tuple[SecretStr, ...]
    """The secret shown with the account's webhooks; several while it is being changed.

    Webhooks made with an API key are signed with that secret, not with one of our choice (vendor
    help page "Webhooks")."""

    stock_moves_on: Literal["finalized", "created"] = "finalized"
    """Which orders hold stock. "finalized": all but those whose status is of the type unpaid.
    "created": those too, for a shop that takes stock for bank transfers and invoices. The vendor
    says that stock falls when an order is finalised; an order does not say whether it was."""

    restocks: Literal["cancelled", "refunded", "never"] = "cancelled"
    """When the merchant returns stock. On ShopWired neither a status nor a refund does: a person
    presses "return stock" on an order's product, for its whole quantity (vendor help page
    "Cancelling orders, refunding orders, returning stock"), and no field of the order tells. So
    this names the shop's habit. "cancelled": an order with a status of the type cancelled holds
    nothing. "refunded": nor does one whose money was returned in full. "never": both go on
    holding what they took."""

    unpaid_expires: LastingDuration | None = None
    """How long after it was placed an unpaid order can be paid in this shop; the units it waits for
    are held on the other channels until then. Nothing in the API ends it: leave it out where people
    may pay whenever they like, and such an order holds until it is paid or cancelled."""

    order_history_days: int = Field(default=30, ge=1, le=365)
    """How far back the six-hourly pass over old orders goes. Orders can only be asked for by
    creation time, so a change of an older one is heard of by webhook alone."""

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s?#/]+[^\s?#]*", value):
            raise ValueError("an address like https://api.ecommerceapi.uk/v1")
        return value.rstrip("/")

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str | SecretStr) else value

    @field_validator("webhook_secret")
    @classmethod
    def _at_least_one(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value or not all(one.get_secret_value() for one in value):
            raise ValueError("at least one secret, none of them empty")
        return value


# ---- capabilities

HINT_TOPICS = frozenset(
    {
        "order.created",
        "order.updated",
        "order.status_changed",
        "order.deleted",
        "order.refund.created",
    }
)
PRODUCT_TOPICS = frozenset({"product.created", "product.updated", "product.deleted"})
TOPICS = HINT_TOPICS | PRODUCT_TOPICS | {"order.finalized", "product.stock_changed"}

UNDATED = (
    "an order says when it was placed, not when it moved a shelf; with options.stock_moves_on = "
    '"created" and options.restocks = "never" (what is put back is an edit then) that is enough'
)

CAPABILITIES = Capabilities(
    truth=Truth.ORDERS,
    edits=frozenset({Edits.OVERWRITE}),
    undated=UNDATED,
    write=WriteKind.ABSOLUTE,
    batch_max=BATCH,
    read_max=1,
    orders_max=1,
    topics=TOPICS,
    late_apply_s=30.0,
    workers=2,
    budget_capacity=40.0,
    budget_rate=2.0,
)


def capabilities(options: ShopWiredOptions) -> Capabilities:
    """What can be done under these options: edits can be told from orders that say when they moved."""
    if options.stock_moves_on == "created" and options.restocks == "never":
        return replace(CAPABILITIES, edits=frozenset(Edits), undated="")
    return CAPABILITIES


class ShopWired:
    """One ShopWired account. See `Connector` for what each method promises.

    A listing's `remote` is its sku: every stock call names it so.
    """

    def __init__(self, options: ShopWiredOptions, http: Http, clock: Clock) -> None:
        self.capabilities = capabilities(options)
        self._options = options
        self._http = http
        self._clock = clock
        self._hook_secrets = [one.get_secret_value().encode() for one in options.webhook_secret]
        self._deep_pass_at: datetime | None = None
        http.base_url = options.base_url

    async def open(self) -> Whoami:
        """Prove the credentials. What a key may do cannot be asked for: it shows when it is done."""
        answer = await self._call("whoami", "GET", "/business")
        business = as_object(body_of(answer))
        name = text(business.get("name")) or id_of(business.get("id")) or "unnamed account"
        return Whoami(
            f"{name} (ShopWired)",
            notes=("the API key needs access to products, stock, orders and webhooks",),
        )

    async def close(self) -> None:
        await self._http.close()

    async def locations(self) -> Sequence[Location]:
        """None: an account has one shelf."""
        return ()

    # ---- verify

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Lower-case hex HMAC-SHA256 of the raw body (vendor help page "Webhooks").

        A new registration is verified by {timestamp, verificationToken}, answered with the token's
        HMAC. It may come unsigned, and whoever asks gets an answer: so a token that could be the
        body of a webhook is refused, or we would sign forgeries.
        """
        given = headers.get("X-ShopWired-Signature", "")
        secret = self._signer(given, body) if given else None
        if given and secret is None:
            raise Unsigned("the signature does not match")
        try:
            found = decoded(body)
        except BadFact:
            found = {}
        token = found.get("verificationToken")
        if isinstance(token, str) and "event" not in found:
            if not re.fullmatch(r"[A-Za-z0-9_.:+/=-]{1,512}", token):
                raise Unsigned("not a verification token")
            answer = hmac.new(secret or self._hook_secrets[0], token.encode(), "sha256").hexdigest()
            return Delivered(topic="", dedupe="", answer=answer)
        if secret is None:
            raise Unsigned("no signature")
        event = found.get("event")
        said: Mapping[str, Any] = event if isinstance(event, dict) else {}
        return Delivered(
            topic=text(said.get("topic")),
            dedupe=id_of(said.get("id")) or hashlib.sha256(body).hexdigest(),
            triggered_at=stamp(said.get("createdAt")),
        )

    def _signer(self, given: str, body: bytes) -> bytes | None:
        """The secret that made this signature; all are tried, so that time tells nothing."""
        told = given.encode(errors="surrogateescape")
        matches = [
            secret
            for secret in self._hook_secrets
            if hmac.compare_digest(hmac.new(secret, body, "sha256").hexdigest().encode(), told)
        ]
        return matches[0] if matches else None

    # ---- parse

    def parse(self, event: Event) -> Sequence[Fact]:
        """Read what a delivery says. Only a finalised order speaks for itself; of the others the
        newest state is fetched, since a retry may bring a body that is a day old.
        """
        if event.topic and event.topic not in TOPICS:
            return ()
        said = decoded(event.body).get("event")
        if not isinstance(said, dict) or not event.topic:
            raise BadFact("a delivery without an event")
        data = said.get("data")
        data = data if isinstance(data, dict) else {}
        found = data.get("object")
        # constructed samples have data.object, a public client reads stock_changed from data itself
        found = found if isinstance(found, dict) else data
        at = stamp(said.get("createdAt")) or event.received_at
        if event.topic == "product.stock_changed":
            return (level_seen(found, at),)
        if event.topic in PRODUCT_TOPICS:
            return self._product_facts(event.topic, found)
        return self._order_facts(event.topic, said, found, at)

    def _order_facts(
        self, topic: str, said: Mapping[str, Any], found: Mapping[str, Any], at: datetime
    ) -> Sequence[Fact]:
        subject = id_of(said.get("subjectId")) if said.get("subjectType") == "order" else ""
        own = id_of(found.get("orderId" if topic == "order.refund.created" else "id"))
        order = own or subject
        if topic == "order.status_changed":
            order = subject or id_of(found.get("orderId"))  # its data is {newStatus}, no order
        if not order:
            raise BadFact(f"{topic} names no order")
        if topic == "order.finalized" and complete(found):
            return (self._order_seen(order, found, at),)
        return (OrderHint(order),)

    def _product_facts(self, topic: str, found: Mapping[str, Any]) -> Sequence[Fact]:
        """Webhooks carry a product without its variations: those are found by the sweep."""
        listings = [one for one in listings_of(found) if one.sku]
        if not listings:
            return ()
        if topic == "product.deleted":
            return (ItemGone(tuple(one.remote for one in listings)),)
        return (ItemSeen(tuple(listings)),)

    def _order_seen(self, order: str, found: Mapping[str, Any], seen_at: datetime) -> OrderSeen:
        """What an order holds now. `seen_at` is when the platform said this, by its own clock.

        An order has a time of creation and none of change (public client code), so its version is
        the time of the event or answer it came in. Held is each line's whole quantity or nothing:
        see the options `stock_moves_on` and `restocks`. A line without a sku has no stock.
        """
        status, options = status_type(found), self._options
        cancelled = status == "cancelled"
        refunded = refunded_in_full(found)
        back = (cancelled and options.restocks != "never") or (
            refunded and options.restocks == "refunded"
        )
        waiting = status == "unpaid" and options.stock_moves_on == "finalized"
        # a cancelled order does not say whether it was paid; one whose money was returned was
        went = refunded or bool(found.get("refunds"))
        units: dict[tuple[str, str], int] = {}
        for line in as_rows(found.get("products")):
            sku = sku_of(line.get("sku"))
            if sku:
                # nothing says whether a line's id is its own: with its sku it is unique enough
                name = (f"{id_of(line.get('id'))}/{sku}", sku)
                units[name] = units.get(name, 0) + units_of(line.get("quantity"), order)
        changed = stamp(found.get("updatedAt")) or stamp(found.get("updated"))
        created = stamp(found.get("created")) or seen_at
        told = max(changed or seen_at, created)
        return OrderSeen(
            order=order,
            version=microseconds(changed or seen_at),
            at=told if back else created,
            # neither an order nor its status says since when it is so
            span=(created, told),
            lines=tuple(
                LineSeen(
                    line=line,
                    taken=0 if back or waiting else quantity,
                    kept=0 if cancelled or refunded else quantity,
                    remote=sku,
                    sku=sku,
                    sold=quantity if went or not (back or waiting) else 0,
                    waits=quantity if waiting else 0,
                )
                for (line, sku), quantity in units.items()
            ),
            number=id_of(found.get("reference")),
            paid=status != "unpaid",
            kind=Kind.CANCELLATION if cancelled else Kind.REFUND if refunded else Kind.SALE,
            payable_until=created + ends if (ends := options.unpaid_expires) else None,
        )

    # ---- reading

    async def listings(self) -> AsyncIterator[Page]:
        """Products with their variations embedded. A sku that is met twice counts once: the stock
        calls cannot tell the two apart.
        """
        met: set[str] = set()
        async for products in self._walk("products", "/products", embed="variations"):
            rows = []
            for one in (one for product in products for one in listings_of(product)):
                if one.remote not in met:
                    met.add(one.remote)
                    rows.append(one)
            yield Page(rows, answered_at=products[0]["_answered_at"])

    async def _walk(
        self, op: str, path: str, *, surely_last: int = 0, **params: str
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """All rows of a collection that knows only count and offset, whole or RetryLater.

        Each page begins with the last row of the one before. Where that row is gone, something was
        deleted and rows slid past us; where it comes later, something was put in front. The end is
        where nothing new follows, or a page with fewer than `surely_last` rows.
        """
        offset, last, overlaps = 0, "", False
        while True:
            answer = await self._call(
                op, "GET", path, count=str(PAGE), offset=str(offset), **params
            )
            rows = as_rows(body_of(answer))
            ids = [id_of(row.get("id")) for row in rows]
            if not all(ids):
                raise RetryLater(f"{path} answered a row without an id")
            if overlaps and last not in ids:
                raise RetryLater(f"{path} changed while it was read")
            fresh = rows[ids.index(last) + 1 :] if last in ids else rows
            if fresh:
                for row in fresh:
                    row["_answered_at"] = self._answered_at(answer)
                yield fresh
            if not fresh or len(rows) < surely_last:
                return
            # a page of one row leaves nothing to overlap with
            overlaps = len(rows) > 1
            offset, last = offset + len(rows) - (1 if overlaps else 0), ids[-1]

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        """One call each: a stock question names one sku."""
        return [await self._reading(ref) for ref in refs]

    async def _reading(self, ref: Ref) -> Reading:
        if ref.remote.startswith(NO_SKU):
            return Reading(ref.remote, ref.location, None)
        answer = await self._call("read", "GET", "/stock", sku=ref.remote)
        if answer.status == 404:
            return Reading(ref.remote, ref.location, None, missing=True)
        said = as_object(body_of(answer))
        if sku_of(said.get("sku")).casefold() != ref.remote.casefold():
            raise RetryLater("the answer is about another sku")
        quantity = said.get("quantity")
        if quantity is None:
            return Reading(ref.remote, ref.location, None)
        at = self._answered_at(answer)
        try:
            return Reading(ref.remote, ref.location, quantity_of(quantity), answered_at=at)
        except BadFact as error:
            raise Refused(str(error)) from error

    async def orders_since(self, since: datetime) -> AsyncIterator[Sequence[OrderNews]]:
        """Orders *created* since then, less an hour; every six hours, less `order_history_days`.

        The platform cannot list by time of change.
        """
        now = self._clock()
        deep = self._deep_pass_at is None or now - self._deep_pass_at >= DEEP_EVERY
        back = timedelta(days=self._options.order_history_days) if deep else RECENT
        start = since - back
        # `from` means created after (vendor reference), in whole seconds
        first_s = str(max(0, int(start.timestamp()) - 1))
        wanted = {"embed": ORDER_EMBED, "from": first_s}
        async for rows in self._walk("orders", "/orders", surely_last=SURELY_LAST, **wanted):
            yield [self._readable(id_of(row.get("id")), row) for row in rows]
        if deep:
            self._deep_pass_at = now

    def _readable(self, order: str, row: dict[str, Any]) -> OrderNews:
        try:
            return self._fetched(row)
        except BadFact as error:
            return OrderUnreadable(order, str(error))

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderNews]:
        """One call each; a 404 means deleted for good."""
        found: list[OrderNews] = []
        for order in ids:
            path = f"/orders/{quote(order, safe='')}"
            answer = await self._call("orders", "GET", path, embed=ORDER_EMBED)
            at = self._answered_at(answer)
            if answer.status == 404:
                gone = OrderSeen(order, microseconds(at), at, (), terminal=True, gone=True)
                found.append(gone)
                continue
            row = as_object(body_of(answer))
            if id_of(row.get("id")) != order:
                raise RetryLater("the answer is about another order")
            row["_answered_at"] = at
            found.append(self._readable(order, row))
        return found

    def _fetched(self, row: dict[str, Any]) -> OrderSeen:
        if not complete(row):
            raise RetryLater("an order came without its status or its products")
        return self._order_seen(id_of(row.get("id")), row, row["_answered_at"])

    # ---- writing

    async def write(self, write: Write) -> Sequence[RowResult]:
        """2xx is not success: the answer counts the skus it knew and does not name the others.

        Fewer than sent: the batch is taken apart by the caller. Sending a row again is harmless,
        the numbers are absolute.
        """
        refused = [_unsendable(row.ref.remote, row.to_quantity) for row in write.rows]
        if any(refused):
            return [
                RowResult(Outcome.REFUSED, why) if why else RowResult(Outcome.NOT_APPLIED)
                for why in refused
            ]
        sent = [{"sku": row.ref.remote, "quantity": row.to_quantity} for row in write.rows]
        answer = await self._call("write", "POST", "/stock", json=sent)
        if answer.status >= 300:
            return _failed(len(sent), error_words(answer))
        said = answer.json(maybe_applied=True)
        updated = said.get("updated") if isinstance(said, dict) else None
        if isinstance(updated, bool) or not isinstance(updated, int):
            raise RetryLater("the answer does not say what was updated", maybe_applied=True)
        if updated == len(sent) or (updated > 0 and len(sent) == 1):
            done = RowResult(Outcome.APPLIED, answered_at=self._answered_at(answer))
            return [done] * len(sent)
        return _failed(len(sent), "unknown sku")

    async def subscriptions(self) -> Sequence[Subscription]:
        """A webhook is switched off after 24 failures; of equal ones a working one speaks for all."""
        rows = as_rows(body_of(await self._call("webhooks", "GET", "/webhooks")))
        found: dict[tuple[str, str], Subscription] = {}
        for row in rows:
            one = Subscription(
                id_of(row.get("id")), text(row.get("topic")), text(row.get("url")), alive(row)
            )
            known = found.get((one.topic, one.address))
            if known is None or not known.healthy:
                found[one.topic, one.address] = one
        return list(found.values())

    async def subscribe(self, topic: str, address: str) -> None:
        """Register; the platform asks our address for proof before it answers.

        No call is known that revives a webhook: a dead one stays in the list and counts towards
        the limit of ten a topic.
        """
        for one in await self.subscriptions():
            if (one.topic, one.address, one.healthy) == (topic, address, True):
                return
        wanted = {"topic": topic, "url": address}
        answer = await self._call("subscribe", "POST", "/webhooks", json=wanted)
        if answer.status >= 300:
            raise Refused(f"webhook {topic}: {error_words(answer)}")

    async def _call(
        self, op: str, method: str, path: str, *, json: Any = None, **params: str
    ) -> Answer:
        key = self._options.api_key.get_secret_value()
        secret = self._options.api_secret.get_secret_value()
        pair = base64.b64encode(f"{key}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        return await self._http.call(op, method, path, json=json, params=params, headers=headers)

    def _answered_at(self, answer: Answer) -> datetime:
        """The platform's clock when it answered: comparable with the times of its events."""
        return answer.date or self._clock()


def _unsendable(remote: str, quantity: int) -> str:
    if remote.startswith(NO_SKU) or not remote:
        return "no sku: this platform counts by sku"
    return "" if 0 <= quantity <= QUANTITY_LIMIT else f"{quantity} cannot be shown"


def _failed(count: int, words: str) -> list[RowResult]:
    outcome = Outcome.REFUSED if count == 1 else Outcome.UNNAMED
    return [RowResult(outcome, words)] * count


PLATFORM = Platform(
    name="shopwired",
    options=ShopWiredOptions,
    connector=ShopWired,
    capabilities=CAPABILITIES,
    shaped=capabilities,
)
