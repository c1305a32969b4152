"""The ShopWired connector: what it reads in orders, messages and answers, and what it refuses."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import ValidationError

from syncd.connectors.base import Event, Outcome, Ref, Write, WriteOp, WriteRow
from syncd.connectors.budget import Budget
from syncd.connectors.http import Answer, Http
from syncd.connectors.shopwired import PLATFORM, TOPICS, ShopWired, ShopWiredOptions
from syncd.connectors.shopwired_shapes import NO_SKU, alive, microseconds, stamp
from syncd.demo.standins.shopwired import ShopWiredStandin
from syncd.errors import BadFact, ChannelClosed, ChannelError, Refused, RetryLater, Unsigned
from syncd.stock.model import (
    ItemGone,
    ItemSeen,
    Kind,
    LevelSeen,
    LineSeen,
    ListingSeen,
    OrderHint,
    OrderSeen,
    OrderUnreadable,
    Reading,
)

SECRET = "a-webhook-secret"
NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
STAMP = "Sun, 22 Nov 2026 01:59:58 +0000"
STAMPED = datetime(2026, 11, 22, 1, 59, 58, tzinfo=UTC)


def options(**changes):
    made = {"api_key": "key", "api_secret": "sec ret", "webhook_secret": SECRET}
    return ShopWiredOptions(**(made | changes))


def budget():
    return Budget(10_000, 10_000, workers=4)


def offline(**changes):
    return ShopWired(options(**changes), Http("http://127.0.0.1:9", budget()), lambda: NOW)


@pytest.fixture
def connector():
    return offline()


@asynccontextmanager
async def opened(clock=lambda: datetime.now(UTC), total_timeout_s=5.0, **settings):
    shop = ShopWiredStandin(**settings)
    shop.faults.buckets = False
    await shop.start()
    http = Http(shop.base_url, budget(), total_timeout_s=total_timeout_s)
    connector = PLATFORM.connector(ShopWiredOptions(**shop.options()), http, clock)
    try:
        yield connector, shop
        assert not shop.counters.invalid
    finally:
        await connector.close()
        await shop.stop()


@pytest.fixture
async def bench():
    async with opened() as (connector, shop):
        shop.add("MUG", 5)
        shop.add_variations("Tee", {"TEE-S": 20, "TEE-M": 7})
        yield connector, shop


def signed(body, secret=SECRET):
    text = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return CIMultiDict({"X-ShopWired-Signature": text})


def message(topic, data, **changes):
    subject = topic.split(".", maxsplit=1)[0]
    event = {
        "id": 900001,
        "businessId": 1001,
        "createdAt": STAMP,
        "topic": topic,
        "subjectType": subject,
        "subjectId": 7770001,
        "data": data,
    }
    return json.dumps({"timestamp": STAMP, "event": event | changes}).encode()


def event(topic, data, **changes):
    return Event(topic, message(topic, data, **changes), NOW)


def order(**changes):
    return {
        "id": 7770001,
        "reference": 1001,
        "created": "Sun, 22 Nov 2026 01:59:50 +0000",
        "status": {"id": 2, "name": "Paid", "type": "paid"},
        "total": 30.0,
        "refunds": [],
        "products": [
            {"id": 5, "sku": "MUG", "quantity": 2},
            {"id": 6, "sku": "TEE", "quantity": 1},
        ],
    } | changes


def seen(connector, **changes):
    (fact,) = connector.parse(event("order.finalized", {"object": order(**changes)}))
    assert isinstance(fact, OrderSeen)
    return fact


def taken(connector, **changes):
    return {line.sku: line.taken for line in seen(connector, **changes).lines}


def ref(sku):
    return Ref(sku, "", sku)


def write(**rows):
    made = tuple(WriteRow(ref(sku), None, quantity) for sku, quantity in rows.items())
    return Write("key", WriteOp.SET, made)


# ---- options


def test_options_name_what_is_wrong_and_hide_secrets():
    assert options().base_url == "https://api.ecommerceapi.uk/v1"
    assert options(base_url="http://127.0.0.1:1/v1/").base_url == "http://127.0.0.1:1/v1"
    for wrong in (
        {"base_url": "ecommerceapi.uk"},
        {"webhook_secret": ()},
        {"webhook_secret": ""},
        {"restocks": "always"},
        {"order_history_days": 0},
        {"shop": "x"},
    ):
        with pytest.raises(ValidationError) as caught:
            options(**wrong)
        assert SECRET not in str(caught.value)
    assert SECRET not in repr(options())
    assert "sec ret" not in repr(options())


# ---- verify


def test_the_vendors_signature_vector(specs):
    vector = json.loads(
        specs.joinpath("shopwired/samples/signature_vector_selfmade.json").read_text()
    )
    body = vector["raw_body"].encode()
    headers = CIMultiDict({"x-shopwired-signature": vector["X-ShopWired-Signature"]})
    connector = offline(webhook_secret=vector["secret"])
    got = connector.verify(headers, body)
    assert (got.topic, got.dedupe, got.answer) == ("product.stock_changed", "900001", None)
    assert got.triggered_at == STAMPED
    request = json.dumps({"timestamp": STAMP, "verificationToken": vector["verificationToken"]})
    for given_headers in (CIMultiDict(), signed(request.encode(), vector["secret"])):
        answered = connector.verify(given_headers, request.encode())
        assert answered.answer == vector["verification_answer"]
        assert answered.dedupe == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-ShopWired-Signature": ""},
        {"X-ShopWired-Signature": "00"},
        {"X-ShopWired-Signature": "é\udcff"},
        {"X-ShopWired-Signature": signed(b"other")["X-ShopWired-Signature"]},
        {
            "X-ShopWired-Signature": signed(message("order.updated", {}))[
                "X-ShopWired-Signature"
            ].upper()
        },
    ],
)
def test_refuses_what_is_not_signed(connector, headers):
    with pytest.raises(Unsigned):
        connector.verify(CIMultiDict(headers), message("order.updated", {}))


def test_every_active_secret_counts():
    connector = offline(webhook_secret=("new", "old"))
    body = message("order.updated", {})
    for secret in ("new", "old"):
        assert connector.verify(signed(body, secret), body).topic == "order.updated"
    with pytest.raises(Unsigned):
        connector.verify(signed(body, "older"), body)
    proof = b'{"timestamp":"x","verificationToken":"abc"}'
    for headers, secret in ((signed(proof, "old"), b"old"), (CIMultiDict(), b"new")):
        wanted = hmac.new(secret, b"abc", hashlib.sha256).hexdigest()
        assert connector.verify(headers, proof).answer == wanted


def test_never_signs_what_could_be_a_webhook(connector):
    forged = message("order.finalized", {"object": order()}).decode()
    request = json.dumps({"timestamp": STAMP, "verificationToken": forged}).encode()
    for token in (forged, "", "{}", "a b", "x" * 513, "[1]", "\n", 5, None):
        request = json.dumps({"timestamp": STAMP, "verificationToken": token}).encode()
        with pytest.raises(Unsigned):
            connector.verify(CIMultiDict(), request)
    wrong = signed(b"else")
    with pytest.raises(Unsigned):
        connector.verify(wrong, b'{"timestamp":"x","verificationToken":"abc"}')


def test_a_signed_body_that_is_no_json_is_kept_by_its_hash(connector):
    got = connector.verify(signed(b"\xff{"), b"\xff{")
    assert (got.topic, got.dedupe) == ("", hashlib.sha256(b"\xff{").hexdigest())
    with pytest.raises(BadFact):
        connector.parse(Event("", b"\xff{", NOW))


# ---- parse: orders


def test_a_finalised_order_holds_its_quantities(connector):
    assert seen(connector) == OrderSeen(
        order="7770001",
        version=microseconds(STAMPED),
        at=datetime(2026, 11, 22, 1, 59, 50, tzinfo=UTC),
        lines=(
            LineSeen("5/MUG", 2, 2, remote="MUG", sku="MUG", sold=2),
            LineSeen("6/TEE", 1, 1, remote="TEE", sku="TEE", sold=1),
        ),
        number="1001",
        span=(datetime(2026, 11, 22, 1, 59, 50, tzinfo=UTC), STAMPED),
    )


CANCELLED = {"id": 3, "name": "Returned to sender", "type": "cancelled"}
UNPAID = {"id": 1, "name": "Awaiting transfer", "type": "unpaid"}
MONEY_BACK = [{"value": 12.5}, {"amount": 17.5}]


@pytest.mark.parametrize(
    ("settings", "changes", "held"),
    [
        ({}, {"status": {"id": 9, "name": "Dispatched", "type": "shipped"}}, True),
        ({}, {"status": {"id": 9, "name": "Waiting", "type": "custom"}}, True),
        ({}, {"status": CANCELLED}, False),
        ({}, {"status": {"id": 2, "name": "Cancelled"}}, False),
        ({"restocks": "refunded"}, {"status": CANCELLED}, False),
        ({"restocks": "never"}, {"status": CANCELLED}, True),
        ({}, {"refunds": MONEY_BACK}, True),
        ({"restocks": "refunded"}, {"refunds": MONEY_BACK}, False),
        ({"restocks": "refunded"}, {"refunds": MONEY_BACK[:1]}, True),
        ({"restocks": "refunded"}, {"refunds": [], "total": 0}, True),
        ({"restocks": "never"}, {"refunds": MONEY_BACK}, True),
        ({}, {"status": UNPAID}, False),
        ({"stock_moves_on": "created"}, {"status": UNPAID}, True),
    ],
)
def test_what_an_order_holds(settings, changes, held):
    got = taken(offline(**settings), **changes)
    assert got == ({"MUG": 2, "TEE": 1} if held else {"MUG": 0, "TEE": 0})


def test_kind_paid_kept_and_time(connector):
    gone = seen(connector, status=CANCELLED)
    assert (gone.kind, gone.paid, gone.terminal) == (Kind.CANCELLATION, True, False)
    assert gone.at == STAMPED
    assert [line.kept for line in gone.lines] == [0, 0]
    back = seen(connector, refunds=MONEY_BACK)
    assert back.kind is Kind.REFUND
    assert [(line.taken, line.kept) for line in back.lines] == [(2, 0), (1, 0)]
    assert not seen(connector, status=UNPAID).paid
    stamped = seen(connector, updatedAt="2026-11-22T03:00:00+01:00")
    assert stamped.version == microseconds(NOW)


def test_equal_lines_are_one_and_lines_without_a_sku_none(connector):
    lines = [
        {"id": 5, "sku": "MUG", "quantity": 2},
        {"id": 5, "sku": "MUG", "quantity": "1"},
        {"id": 5, "sku": "TEE", "quantity": 1},
        {"id": 8, "sku": "", "quantity": 4},
        {"id": 9, "quantity": "many"},
    ]
    assert taken(connector, products=lines) == {"MUG": 3, "TEE": 1}


@pytest.mark.parametrize("quantity", [1.5, -1, None, True, "two", 10**10, 10**30, [], "1.0"])
def test_a_quantity_that_cannot_be_true(connector, quantity):
    with pytest.raises(BadFact, match="7770001"):
        seen(connector, products=[{"id": 1, "sku": "MUG", "quantity": quantity}])


def test_absent_products_are_not_no_products(connector):
    for missing in ("products", "status"):
        bare = {name: value for name, value in order().items() if name != missing}
        facts = connector.parse(event("order.finalized", {"object": bare}))
        assert facts == (OrderHint("7770001"),)
    assert seen(connector, products=[]).lines == ()


def test_other_order_messages_are_hints(connector):
    hint = (OrderHint("7770001"),)
    for topic in ("order.created", "order.updated", "order.deleted"):
        assert connector.parse(event(topic, {"object": order()})) == hint
        assert connector.parse(event(topic, {"object": {"id": 7770001}}, subjectType="x")) == hint
    changed = {"oldStatus": UNPAID, "newStatus": CANCELLED}
    assert connector.parse(event("order.status_changed", changed)) == hint
    refund = {"object": {"id": 3, "orderId": 7770001, "amount": 5.0}}
    assert connector.parse(event("order.refund.created", refund, subjectId=3)) == hint
    with pytest.raises(BadFact):
        connector.parse(event("order.refund.created", {"object": {"id": 3}}, subjectType="refund"))


# ---- parse: stock and products


def test_stock_messages_are_hints_about_a_sku(connector):
    told = {"sku": "MUG", "isVariation": False, "newQuantity": 25}
    for data in ({"object": told}, told):
        (fact,) = connector.parse(event("product.stock_changed", data))
        assert fact == LevelSeen("MUG", quantity=25, at=STAMPED)
    (fact,) = connector.parse(event("product.stock_changed", {"sku": 12}, createdAt="soon"))
    assert fact == LevelSeen("12", quantity=None, at=NOW)
    for bad in ({}, {"sku": ""}, {"sku": "MUG", "newQuantity": 2.5}, {"sku": ["MUG"]}):
        with pytest.raises(BadFact):
            connector.parse(event("product.stock_changed", bad))


def test_products_are_read_with_whatever_they_bring(connector):
    one = {"id": 4, "sku": "MUG", "stock": 3, "title": "Mug", "slug": "mug", "gtin": "0123"}
    (fact,) = connector.parse(event("product.updated", {"object": one}))
    wanted = ListingSeen("MUG", "MUG", 3, barcode="0123", handle="mug", title="Mug")
    assert fact == ItemSeen((wanted,))
    parts = {"id": 4, "sku": None, "variations": [{"id": 7, "sku": "TEE", "stock": None}, "x"]}
    (fact,) = connector.parse(event("product.created", {"object": parts}))
    assert fact == ItemSeen((ListingSeen("TEE", "TEE", None, managed=False),))
    assert connector.parse(event("product.updated", {"object": {"id": 4, "sku": None}})) == ()
    assert connector.parse(event("product.updated", {"object": {"id": 4, "variations": 7}})) == ()
    (fact,) = connector.parse(event("product.deleted", {"object": one}))
    assert fact == ItemGone(("MUG",))


def test_other_topics_say_nothing(connector):
    assert connector.parse(event("batch.completed", {})) == ()
    assert connector.parse(event("customer.created", {"object": {"id": 1}})) == ()


def test_the_constructed_samples(specs, connector):
    folder = specs / "shopwired" / "samples"
    facts = {}
    for path in sorted(folder.glob("*.*_*.constructed.json")) + sorted(
        folder.glob("order.*.constructed.json")
    ):
        body = path.read_bytes()
        got = connector.verify(signed(body), body)
        assert got.topic in TOPICS
        (facts[path.name],) = connector.parse(Event(got.topic, body, NOW))
    sold = facts["order.finalized.constructed.json"]
    assert (sold.order, sold.number, sold.paid) == ("7770001", "SW7770001", True)
    assert [(line.sku, line.taken) for line in sold.lines] == [("TSHIRT-RED-M", 2)]
    level = facts["product.stock_changed.constructed.json"]
    assert (level.remote, level.quantity) == ("TSHIRT-RED-M", 7)
    assert facts["product.stock_changed.manual.constructed.json"].quantity == 25
    proof = (folder / "verification_request.constructed.json").read_bytes()
    assert len(connector.verify(CIMultiDict(), proof).answer) == 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "sku",
                    "products",
                    "status",
                    "quantity",
                    "object",
                    "variations",
                    "stock",
                    "type",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(topic=st.sampled_from(sorted(TOPICS)), data=JSON, changes=JSON)
def test_whatever_comes_is_read_or_refused(topic, data, changes):
    more = changes if isinstance(changes, dict) else {}
    connector = offline(restocks="refunded")
    try:
        connector.parse(event(topic, data))
        connector.parse(event(topic, {"object": order() | more}))
        connector.parse(Event(topic, json.dumps({"event": data}).encode(), NOW))
    except BadFact:
        pass


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{}", b'{"event":[]}', b"[" * 9000, b"\xff"])
def test_poison_is_bad(connector, body):
    with pytest.raises(BadFact):
        connector.parse(Event("order.finalized", body, NOW))


def test_times():
    assert stamp("Sun, 22 Nov 2026 02:59:58 +0100") == STAMPED
    assert stamp("Sun, 22 Nov 2026 02:59:58 +0100").tzinfo is UTC
    assert stamp("Sun, 22 Nov 2026 01:59:58 -0000") == STAMPED
    assert stamp("2026-11-22T01:59:58Z") == STAMPED
    assert stamp("2026-11-22 01:59:58") == STAMPED
    for wrong in (
        None,
        "",
        "soon",
        5,
        "Sun, 99 Nov 2026 01:00:00 +0000",
    ):
        assert stamp(wrong) is None


# ---- reading


async def test_who_we_are(bench):
    connector, shop = bench
    assert (await connector.open()).account == "Stand-in shop (ShopWired)"
    shop.faults.expired = True
    with pytest.raises(ChannelClosed) as caught:
        await connector.open()
    assert "standin-api-secret" not in str(caught.value)
    assert await connector.locations() == ()


async def walk(connector):
    return [row async for page in connector.listings() for row in page.rows]


async def test_the_whole_catalogue(bench):
    connector, shop = bench
    shop.add("", 0, "Voucher")
    rows = await walk(connector)
    assert [(one.remote, one.sku, one.quantity) for one in rows[:3]] == [
        ("MUG", "MUG", 5),
        ("TEE-S", "TEE-S", 20),
        ("TEE-M", "TEE-M", 7),
    ]
    assert rows[3].remote.startswith(NO_SKU)
    assert (rows[3].sku, rows[3].quantity, rows[3].managed) == ("", None, False)


@pytest.mark.parametrize("page_max", [1, 2, 50, 100])
async def test_pages_whatever_their_size(page_max):
    async with opened(page_max=page_max) as (connector, shop):
        for number in range(120 if page_max > 2 else 7):
            shop.add(f"X{number}", number)
        rows = await walk(connector)
        assert {one.sku: one.quantity for one in rows} == shop.shelves()
        assert len(rows) == len(shop.shelves())


@pytest.mark.parametrize("change", ["deleted before", "last deleted", "put in front"])
async def test_a_catalogue_that_moves_is_whole_or_refused(bench, change):
    connector, shop = bench
    for number in range(150):
        shop.add(f"X{number}", number)
    rows = []
    with pytest.raises(RetryLater) if change != "put in front" else nullcontext():
        async for page in connector.listings():
            rows += [row.remote for row in page.rows]
            if change == "put in front":
                front = ShopWiredStandin()
                front.add("NEW", 1)
                shop.products = {1: next(iter(front.products.values())), **shop.products}
                change = ""
                shop._shelves["NEW"] = shop.products[1].own
                shop.products[1].id = 1
            elif change == "deleted before":
                shop.remove("MUG")
                shop.remove("X0")
            elif change == "last deleted":
                shop.remove(rows[-1])
                change = "done"
    if not change:
        assert set(rows) == set(shop.shelves()) - {"NEW"}
        assert len(rows) == len(set(rows))


async def test_a_sku_met_twice_counts_once(bench):
    connector, shop = bench
    shop.add("MUG", 5)
    assert [one.sku for one in await walk(connector)] == ["MUG", "TEE-S", "TEE-M"]


async def test_reads_one_by_one_in_order(bench):
    connector, shop = bench
    shop.add("A&B ü/1", 3)
    asked = [ref("TEE-M"), ref("NONE"), ref("A&B ü/1"), ref(NO_SKU + "product:5")]
    calls = shop.counters.calls
    found = await connector.read(asked)
    assert [reading.answered_at is not None for reading in found] == [True, False, True, False]
    assert [replace(reading, answered_at=None) for reading in found] == [
        Reading("TEE-M", "", 7),
        Reading("NONE", "", None, missing=True),
        Reading("A&B ü/1", "", 3),
        Reading(NO_SKU + "product:5", "", None),
    ]
    assert shop.counters.calls == calls + 3


async def test_orders_follow_their_state(bench):
    connector, shop = bench
    sold, gone, lost = [await shop.sell({"MUG": 1, "TEE-S": 2}) for _ in range(3)]
    placed = shop.place({"MUG": 1})
    await shop.cancel(gone)
    await shop.delete(lost)
    found = await connector.orders([sold, gone, lost, placed, "no/such?"])
    sums = [sum(line.taken for line in one.lines) for one in found]
    assert sums == [3, 0, 0, 0, 0]
    assert [one.order for one in found] == [sold, gone, lost, placed, "no/such?"]
    assert [one.terminal for one in found] == [False, False, True, False, True]
    assert found[1].kind is Kind.CANCELLATION
    assert -sum(line.taken for line in found[0].lines if line.sku == "MUG") == shop.book.total(
        "MUG"
    )
    since = datetime.now(UTC) - timedelta(minutes=5)
    listed = [one async for page in connector.orders_since(since) for one in page]
    assert {one.order: sum(line.taken for line in one.lines) for one in listed} == {
        sold: 3,
        gone: 0,
        placed: 0,
    }


async def test_versions_are_of_the_platforms_clock():
    async with opened(clock=lambda: NOW - timedelta(days=30)) as (connector, shop):
        shop.add("MUG", 5)
        sold = await shop.sell({"MUG": 1})
        found = [one async for page in connector.orders_since(NOW) for one in page]
        for one in [*found, *await connector.orders([sold])]:
            assert abs(one.version / 1e6 - datetime.now(UTC).timestamp()) < 3
        assert len(found) == 1
        answer = Answer(200, CIMultiDict({"Date": "Sun, 22 Nov 2026 01:59:58 GMT"}), b"")
        assert connector._answered_at(answer) == STAMPED
        silent = Answer(200, CIMultiDict(), b"")
        assert connector._answered_at(silent) == NOW - timedelta(days=30)


async def test_old_orders_are_asked_for_every_six_hours():
    now = [datetime.now(UTC)]
    async with opened(clock=lambda: now[0]) as (connector, shop):
        shop.add("MUG", 5)
        sold = await shop.sell({"MUG": 1})
        shop.placed[int(sold)].created -= timedelta(days=5)

        async def found():
            since = now[0] - timedelta(minutes=5)
            return [one.order async for page in connector.orders_since(since) for one in page]

        assert await found() == [sold]
        assert await found() == []
        now[0] += timedelta(hours=3)
        assert await found() == []
        now[0] += timedelta(hours=3)
        assert await found() == [sold]


async def test_one_unreadable_order_hides_no_other(bench):
    connector, shop = bench
    bad, good = await shop.sell({"MUG": 1}), await shop.sell({"MUG": 1})
    shop.placed[int(bad)].lines[0].quantity = 1.5
    listed = [one async for page in connector.orders_since(datetime.now(UTC)) for one in page]
    kinds = {one.order: type(one) for one in listed}
    assert kinds == {bad: OrderUnreadable, good: OrderSeen}
    (alone,) = await connector.orders([bad])
    assert isinstance(alone, OrderUnreadable)
    assert f"order {bad}" in alone.reason


# ---- writing


async def test_writes_fifteen_at_once_and_counts_the_answer(bench):
    connector, shop = bench
    for number in range(14):
        shop.add(f"X{number}", 0)
    rows = {f"X{number}": number for number in range(14)} | {"MUG": 0}
    got = await connector.write(write(**rows))
    assert {one.outcome for one in got} == {Outcome.APPLIED}
    assert len(got) == 15
    assert shop.shelf("X13") == 13
    assert shop.shelf("MUG") == 0
    assert shop.counters.writes == 1


async def test_a_short_count_names_nobody(bench):
    connector, shop = bench
    got = await connector.write(write(MUG=1, NONE=2))
    assert [one.outcome for one in got] == [Outcome.UNNAMED] * 2
    assert shop.shelf("MUG") == 1
    (alone,) = await connector.write(write(NONE=2))
    assert (alone.outcome, alone.reason) == (Outcome.REFUSED, "unknown sku")


async def test_what_cannot_be_shown_is_never_sent(bench):
    connector, shop = bench
    rows = {"MUG": -1, "TEE-S": 3, NO_SKU + "product:5": 1}
    got = await connector.write(write(**rows))
    assert [one.outcome for one in got] == [
        Outcome.REFUSED,
        Outcome.NOT_APPLIED,
        Outcome.REFUSED,
    ]
    assert shop.counters.writes == 0


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"updated":true}', b'{"updated":"2"}', b"<html>"])
async def test_an_answer_that_counts_nothing_settles_nothing(connector, monkeypatch, body):
    async def answer(*_arguments, **_named):
        return Answer(200, CIMultiDict(), body)

    monkeypatch.setattr(connector._http, "call", answer)
    with pytest.raises(RetryLater) as caught:
        await connector.write(write(MUG=1))
    assert caught.value.maybe_applied


async def test_a_refused_batch_is_taken_apart(connector, monkeypatch):
    async def answer(*_arguments, **_named):
        return Answer(400, CIMultiDict(), b'{"message":"Too many"}')

    monkeypatch.setattr(connector._http, "call", answer)
    two = await connector.write(write(MUG=1, TEE=1))
    assert [(one.outcome, one.reason) for one in two] == [(Outcome.UNNAMED, "Too many")] * 2
    (one,) = await connector.write(write(MUG=1))
    assert one.outcome is Outcome.REFUSED


async def test_faults_become_the_contracts_errors(bench):
    connector, shop = bench
    faults = shop.faults
    for name, value, maybe, throttled in (
        ("down", True, True, False),
        ("status", 500, True, False),
        ("status", 429, False, True),
        ("html", True, True, False),
        ("lose_answer", 1.0, True, False),
    ):
        before = getattr(faults, name)
        setattr(faults, name, value)
        with pytest.raises(RetryLater) as caught:
            await connector.write(write(MUG=2))
        assert (caught.value.maybe_applied, caught.value.throttled) == (maybe, throttled), name
        setattr(faults, name, before)
        connector._http.budget = budget()
    assert shop.shelf("MUG") == 2
    faults.status = 500
    for call in (connector.read([ref("MUG")]), connector.orders(["1"]), walk(connector)):
        with pytest.raises(ChannelError):
            await call


async def test_subscriptions(bench):
    connector, shop = bench
    shop.verify_hooks = False
    address = "https://stock.example.com/webhooks/uk"
    assert await connector.subscriptions() == []
    await connector.subscribe("order.finalized", address)
    await connector.subscribe("order.finalized", address)
    (one,) = await connector.subscriptions()
    assert (one.topic, one.address, one.healthy) == ("order.finalized", address, True)
    shop.registrations[int(one.id)].active = False
    (dead,) = await connector.subscriptions()
    assert not dead.healthy
    await connector.subscribe("order.finalized", address)
    (alive,) = await connector.subscriptions()
    assert alive.healthy
    assert alive.id != one.id
    shop.verify_hooks = True
    with pytest.raises(Refused, match="could not be verified"):
        await connector.subscribe("order.created", "http://127.0.0.1:9/hook")


def test_a_dead_webhook_is_known_by_any_mark():
    assert alive({"id": 1}) is True
    assert alive({"active": True, "status": "Active", "disabled": False}) is True
    for dead in ({"active": False}, {"enabled": False}, {"verified": False}, {"disabled": True}):
        assert alive(dead) is False
    assert alive({"status": "disabled"}) is False
