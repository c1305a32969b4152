"""The WooCommerce connector against recordings of a running shop and against the stand-in."""

from __future__ import annotations

import base64
import hmac
import json
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncd.connectors import woocommerce_oauth as oauth
from syncd.connectors.base import (
    Event,
    Outcome,
    Ref,
    RowResult,
    Subscription,
    Write,
    WriteOp,
    WriteRow,
)
from syncd.connectors.budget import Budget
from syncd.connectors.http import Http
from syncd.connectors.woocommerce import PLATFORM, TOPICS, WooCommerceOptions
from syncd.connectors.woocommerce_shapes import order_seen
from syncd.demo.standins import woocommerce as standin_module
from syncd.demo.standins.woocommerce import HOOK_SECRET, WooCommerceStandin
from syncd.demo.standins.woocommerce_rules import RefusedCall
from syncd.errors import BadFact, ChannelClosed, Refused, RetryLater, Unsigned
from syncd.stock.model import (
    ItemGone,
    ItemSeen,
    Kind,
    LevelSeen,
    OrderHint,
    OrderSeen,
    OrderUnreadable,
    SubscriptionChanged,
)

SPECS = Path(os.environ.get("SYNCD_SPECS") or Path(__file__).parents[3] / "shared" / "specs")
RECORDED_SECRET = "not-a-secret-test-vector"
NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def recorded(*names: str):
    file = SPECS.joinpath("woocommerce", *names)
    if not file.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail("the recorded WooCommerce answers are missing: set SYNCD_SPECS")
        pytest.skip("no recorded WooCommerce answers here (SYNCD_SPECS)")
    return json.loads(file.read_text())


def options(**more):
    given = {
        "base_url": "https://shop.example",
        "consumer_key": "ck_1",
        "consumer_secret": "cs_secret_1",
        "webhook_secret": RECORDED_SECRET,
    }
    return WooCommerceOptions(**{**given, **more})


def made(settings, clock=lambda: datetime.now(UTC), observer=None):
    http = Http(
        "", Budget(1000, 1000, workers=4), total_timeout_s=2.0, observer=observer
    )  # fmt: skip
    return PLATFORM.connector(settings, http, clock)


@pytest.fixture
def quiet():
    """A connector that never calls."""
    return made(options())


@asynccontextmanager
async def opened(observer=None, **settings):
    shop = WooCommerceStandin(**{"delay_s": 0.01, **settings})
    await shop.start()
    connector = made(PLATFORM.options(**shop.options()), observer=observer)
    try:
        yield shop, connector
    finally:
        await connector.close()
        await shop.stop()


@pytest.fixture
async def bench():
    async with opened() as (shop, connector):
        yield shop, connector
        assert shop.counters.invalid == []


async def catalogue(connector):
    return {row.sku: row async for page in connector.listings() for row in page.rows}


async def changed(connector, since=None):
    since = since or datetime.now(UTC) - HOUR
    return [one async for page in connector.orders_since(since) for one in page]


def ref(listing):
    return Ref(listing.remote, listing.location, listing.sku, listing.group)


def write(*rows):
    return Write("key", WriteOp.SET, tuple(WriteRow(to, None, n) for to, n in rows))


def delivery(body, topic="order.updated", secret=HOOK_SECRET, **more):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    mac = base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()
    headers = {"X-WC-Webhook-Signature": mac, "X-WC-Webhook-Topic": topic, **more}
    return headers, raw


def event(body, topic):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Event(topic, raw, NOW)


# ---- options


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "shop.example"},
        {"base_url": ""},
        {"base_url": "ftp://shop.example"},
        {"base_url": "https://shop.example/?p=1"},
        {"webhook_secret": "a&b<c>d\"e'"},
        {"webhook_secret": ["long-enough-1", ""]},
        {"webhook_secret": []},
        {"auth": "bearer"},
        {"calls_per_s": 0},
        {"consumer_kye": "x"},
    ],
)
def test_options_refuse(wrong):
    with pytest.raises(ValidationError) as error:
        options(**wrong)
    assert "cs_secret_1" not in str(error.value)
    assert "a&b" not in str(error.value)


def test_options_keep_secrets_and_take_the_address_as_people_write_it():
    given = options(base_url="https://shop.example/store/wp-json/wc/v3/")
    assert given.base_url == "https://shop.example/store"
    assert "cs_secret_1" not in repr(given)
    assert RECORDED_SECRET not in repr(given)


def test_a_host_limit_becomes_the_budget():
    connector = made(options(calls_per_s=2.5))
    assert connector.capabilities.budget_rate == 2.5
    assert PLATFORM.capabilities.budget_rate > 2.5


# ---- signatures


def test_oauth_signs_as_rfc_5849_says():
    text = oauth.base_string("get", "http://shop.example/p", {"b": "ä /", "a": "1,2", "a+": "~"})
    assert text == (
        "GET&http%3A%2F%2Fshop.example%2Fp&a%3D1%252C2%26a%252B%3D~%26b%3D%25C3%25A4%2520%252F"
    )
    assert oauth.signature("cs", text) == "sQUngxu3h1lmf6wJTEVi+k+zFlbWXI+aLvQvdjnHzuQ="


def test_recorded_webhooks_verify_and_parse():
    connector = made(options())
    pings, facts, dedupes = 0, [], set()
    requests = recorded("samples-real", "webhooks.json")["requests"]
    for one in requests:
        headers = dict(one["headers"])
        body = one["body"].encode()
        seen = connector.verify(headers, body)
        if seen.answer is not None:
            pings += 1
            continue
        dedupes.add(seen.dedupe)
        facts.append(connector.parse(Event(seen.topic, body, NOW)))
        with pytest.raises(Unsigned):
            connector.verify(headers, body + b" ")
    assert pings == 7
    assert len(dedupes) == len(facts) == len(requests) - pings
    taken = {
        fact.order: [line.taken for line in fact.lines]
        for group in facts
        for fact in group
        if isinstance(fact, OrderSeen)
    }
    assert taken["37"] == [0]
    assert taken["38"] == [0]
    assert taken["41"] == [5]
    assert facts.count(()) == 2
    assert (OrderHint("41"),) in facts
    level = next(fact for group in facts for fact in group if isinstance(fact, LevelSeen))
    assert (level.remote, level.quantity) == ("34", 0)
    item = next(fact for group in facts for fact in group if isinstance(fact, ItemSeen))
    assert (item.listings[0].sku, item.listings[0].group) == ("TEE-B525-S", "33")


@pytest.mark.parametrize("name", ["product.created", "product.updated"])
def test_older_deliveries_parse(quiet, name):
    sample = recorded("samples", f"webhook_{name}_captured.json")
    facts = quiet.parse(event(sample["body"], name))
    assert LevelSeen in {type(fact) for fact in facts}


def test_recorded_lifecycles_give_what_each_line_holds():
    calls = recorded("samples-real", "calls.json")["calls"]
    taken = {}
    for one in calls:
        body = one["response"]["body"]
        if isinstance(body, dict) and "line_items" in body and "status" in body:
            order = order_seen(body, {})
            taken[one["name"]] = [line.taken for line in order.lines]
            assert order.lines[0].remote == "34"
            assert order.version == int(order.at.timestamp()) * 1_000_000
            assert not order.terminal
    assert taken == {
        "place order, unpaid": [0],
        "order to processing": [1],
        "cancel order": [0],
        "place order, paid": [3],
        "raise quantity of a line from 2 to 5": [5],
        "delete order (trash)": [5],
        "delete order for good": [1],
        "order more than there is": [99],
    }


def test_verify_takes_every_active_secret():
    connector = made(options(webhook_secret=["new-secret-1", "old-secret-1"]))
    for secret in ("new-secret-1", "old-secret-1"):
        headers, body = delivery({"id": 1}, secret=secret)
        assert connector.verify(headers, body).topic == "order.updated"


def test_verify_refuses(quiet):
    headers, body = delivery({"id": 1}, secret=RECORDED_SECRET)
    given = headers["X-WC-Webhook-Signature"]
    for wrong in ("", given[:-1], given + "=", given.lower(), "é", "\udc80"):
        with pytest.raises(Unsigned):
            quiet.verify({**headers, "X-WC-Webhook-Signature": wrong}, body)
    with pytest.raises(Unsigned):
        quiet.verify(headers, b"")
    with pytest.raises(Unsigned):
        quiet.verify(*delivery({"id": 1}, secret="another-one"))


def test_only_the_bare_ping_goes_unsigned(quiet):
    assert quiet.verify({}, b"webhook_id=8").answer == ""
    for body in (b"webhook_id=", b"webhook_id=8&x=1", b"webhook_id=8\n", b'{"webhook_id":8}'):
        with pytest.raises(Unsigned):
            quiet.verify({}, body)


def test_one_delivery_id_names_several_deliveries(quiet):
    shared = {"secret": RECORDED_SECRET, "X-WC-Webhook-Delivery-ID": "7487"}
    first, second, again = (quiet.verify(*delivery({"id": n}, **shared)) for n in (1, 2, 1))
    assert first.dedupe != second.dedupe
    assert first.dedupe == again.dedupe


# ---- parse


ORDER = {
    "id": 7,
    "status": "processing",
    "date_modified_gmt": "2026-11-22T03:27:19",
    "line_items": [
        {
            "id": 1,
            "product_id": 33,
            "variation_id": 34,
            "quantity": 3,
            "sku": "TEE-S",
            "meta_data": [{"key": "_reduced_stock", "value": "3"}],
        }
    ],
    "refunds": [],
}
PRODUCT = {"id": 9, "type": "simple", "manage_stock": True, "stock_quantity": 4, "sku": "MUG"}


def order_with(**line):
    return {**ORDER, "line_items": [{**ORDER["line_items"][0], **line}]}


def holding(value):
    return order_with(meta_data=[{"key": "_reduced_stock", "value": value}])


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        (b"", "order.updated"),
        (b"not json", "order.updated"),
        (b"\xff\xfe", "order.updated"),
        (b"[]", "order.updated"),
        (b"7", "product.updated"),
        (b"[" * 100_000, "order.updated"),
        (b'{"a":' * 100_000, "product.updated"),
        ({}, "order.updated"),
        ({"id": None}, "order.deleted"),
        ({"id": -4}, "order.deleted"),
        ({"id": 1.5}, "product.deleted"),
        ({"id": True}, "product.deleted"),
        (b'{"id":' + b"9" * 5000 + b"}", "order.deleted"),
        ({**ORDER, "date_modified_gmt": None}, "order.updated"),
        ({**ORDER, "date_modified_gmt": "yesterday"}, "order.updated"),
        ({**ORDER, "line_items": "none"}, "order.updated"),
        ({**ORDER, "line_items": [3]}, "order.updated"),
        (holding("2.5"), "order.updated"),
        (holding(2.5), "order.updated"),
        (holding(""), "order.updated"),
        (holding(-1), "order.updated"),
        (holding(10**30), "order.updated"),
        (holding(2_000_000_000), "order.updated"),
        (holding({"a": 1}), "order.updated"),
        (order_with(quantity=2.5), "order.updated"),
        ({**PRODUCT, "stock_quantity": 2.5}, "product.updated"),
        ({**PRODUCT, "stock_quantity": "4"}, "product.updated"),
        ({**PRODUCT, "stock_quantity": None}, "product.updated"),
        ({**PRODUCT, "stock_quantity": 10**10}, "product.updated"),
        (order_with(product_id=0, variation_id=0, sku=None), "order.updated"),
        ({**ORDER, "line_items": ORDER["line_items"] * 2}, "order.updated"),
        (ORDER, ""),
    ],
)
def test_what_cannot_be_true_is_a_bad_fact(quiet, body, topic):
    with pytest.raises(BadFact):
        quiet.parse(event(body, topic))


def test_error_objects_are_no_facts(quiet):
    gone = {"code": "woocommerce_rest_shop_order_invalid_id", "message": "", "data": {}}
    assert quiet.parse(event(gone, "order.updated")) == ()
    shut = {"code": "woocommerce_rest_cannot_view", "message": "", "data": {"status": 401}}
    assert quiet.parse(event(shut, "product.updated")) == (SubscriptionChanged(),)
    assert quiet.parse(event({"id": 16}, "coupon.deleted")) == ()


def test_an_order_line_names_its_variation_and_what_it_holds(quiet):
    (seen,) = quiet.parse(event(ORDER, "order.created"))
    assert (seen.order, seen.version, seen.paid) == ("7", 1_795_318_039_000_000, False)
    (line,) = seen.lines
    assert (line.remote, line.alias, line.sku, line.taken, line.kept) == ("34", "33", "TEE-S", 3, 3)
    (seen,) = quiet.parse(event(order_with(meta_data=[]), "order.updated"))
    assert (seen.lines[0].taken, seen.lines[0].kept) == (0, 3)
    (seen,) = quiet.parse(event({**ORDER, "status": "trash"}, "order.updated"))
    assert (seen.lines[0].taken, seen.lines[0].kept) == (3, 0)


def test_a_fraction_of_something_uncounted_holds_nothing(quiet):
    (seen,) = quiet.parse(event(order_with(quantity=0.5, meta_data=[]), "order.updated"))
    assert (seen.lines[0].taken, seen.lines[0].kept) == (0, 0)


def test_a_free_line_of_no_product_is_left_out(quiet):
    free = order_with(product_id=0, variation_id=0, sku=None, meta_data=[])
    (seen,) = quiet.parse(event(free, "order.updated"))
    assert seen.lines == ()


def test_kinds_follow_the_status(quiet):
    kinds = {}
    for status in ("processing", "cancelled", "refunded"):
        (seen,) = quiet.parse(event({**ORDER, "status": status}, "order.updated"))
        kinds[status] = seen.kind
    assert kinds == {
        "processing": Kind.SALE,
        "cancelled": Kind.CANCELLATION,
        "refunded": Kind.REFUND,
    }


def test_what_says_too_little_is_fetched(quiet):
    assert quiet.parse(event({"id": 41}, "order.deleted")) == (OrderHint("41"),)
    part = {**ORDER, "refunds": [{"id": 39, "reason": "", "total": "-10.00"}]}
    assert quiet.parse(event(part, "order.updated")) == (OrderHint("7"),)


def test_products(quiet):
    facts = quiet.parse(event({**PRODUCT, "sku": ""}, "product.updated"))
    assert facts == (LevelSeen("9", quantity=4),)
    gone = (ItemGone(remotes=("9",)), ItemGone(group="9"))
    assert quiet.parse(event({"id": 9}, "product.deleted")) == gone
    assert quiet.parse(event({**PRODUCT, "status": "trash"}, "product.updated")) == gone
    unmanaged = {**PRODUCT, "manage_stock": False, "stock_quantity": None}
    item, level = quiet.parse(event(unmanaged, "product.updated"))
    assert (item.listings[0].managed, item.listings[0].quantity) == (False, None)
    assert level.quantity is None
    child = {**PRODUCT, "type": "variation", "manage_stock": "parent", "parent_id": 5}
    assert quiet.parse(event(child, "product.updated")) == (LevelSeen("5"),)


async def test_deliveries_of_the_shop_agree_with_its_book(bench):
    shop, connector = bench
    shop.add("MUG", 9)
    order = await shop.sell({"MUG": 4})
    await shop.refund(order, "MUG", 1, restock=True)
    number = int(order)
    headers, body = delivery(shop._state("order", number), "order.updated")
    seen = connector.verify(headers, body)
    (hint,) = connector.parse(Event(seen.topic, body, NOW))
    assert hint == OrderHint(order)
    (fetched,) = await connector.orders([order])
    assert fetched.lines[0].taken == -shop.book.total("MUG") == 3
    assert fetched.lines[0].kept == 3


# ---- reading


@pytest.mark.parametrize("https", [True, False])
async def test_open_says_who_it_is(https):
    async with opened(https=https) as (shop, connector):
        who = await connector.open()
        assert shop.base_url in who.account
        assert "10.7" in who.account
        assert "443" in who.notes[0]
        shop.shop.stock_management = False
        assert "stock management is off" in (await connector.open()).notes[0]


async def test_open_closes_the_channel_on_wrong_credentials_or_address():
    async with opened() as (shop, _):
        for wrong in (
            {"consumer_secret": "cs_wrong_secret"},
            {"base_url": shop.base_url + "/blog"},
            {"auth": "basic"},
        ):
            connector = made(PLATFORM.options(**{**shop.options(), **wrong}))
            with pytest.raises((ChannelClosed, RetryLater)) as error:
                await connector.open()
            assert "cs_wrong_secret" not in str(error.value)
            await connector.close()


@pytest.mark.parametrize("version", [(10, 7), (10, 2)])
async def test_the_whole_catalogue_with_and_without_the_variations_route(version):
    async with opened(version=version) as (shop, connector):
        for n in range(230):
            shop.add(f"P{n}", n)
        shop.add_variable("TEE", {f"TEE-{n}": n for n in range(130)})
        shop.add_variable("CAP", {"CAP-1": 1})
        found = await catalogue(connector)
        assert {s: r.quantity for s, r in found.items() if r.managed} == shop.shelves()
        assert found["TEE"].managed is False
        parent = shop.shop.by_sku("TEE").id
        assert (found["TEE-3"].group, found["P3"].group) == (str(parent), "")
        refs = [ref(found[sku]) for sku in ("TEE-7", "P9", "CAP-1", "TEE-2", "TEE")]
        read = await connector.read([*refs, Ref("99999", "", "GONE", str(parent))])
        assert [r.quantity for r in read] == [7, 9, 1, 2, None, None]
        assert [r.missing for r in read] == [False] * 5 + [True]
        assert [r.remote for r in read] == [one.remote for one in refs] + ["99999"]
        assert shop.counters.invalid == []


async def test_what_is_deleted_while_we_page_hides_nobody():
    calls = []

    def observer(op, _outcome, _seconds):
        calls.append(op)
        if op == "list" and len(calls) == 1:
            for n in range(30):
                shop.shop.trash_product(shop.shop.by_sku(f"P{n}"))

    async with opened(observer) as (shop, connector):
        for n in range(250):
            shop.add(f"P{n}", n)
        found = await catalogue(connector)
        assert {f"P{n}" for n in range(30, 250)} <= set(found)


@pytest.mark.parametrize("page_max", [7, 100])
@pytest.mark.parametrize("say_totals", [True, False])
async def test_hosts_that_cap_pages_or_strip_totals(page_max, say_totals):
    async with opened() as (shop, connector):
        shop.page_max, shop.say_totals = page_max, say_totals
        for n in range(15):
            shop.add(f"P{n}", 20)
        assert set(await catalogue(connector)) == {f"P{n}" for n in range(15)}
        for n in range(15):
            await shop.sell({f"P{n}": 1})
        assert len(await changed(connector)) == 15
        for topic in sorted(TOPICS):
            await connector.subscribe(topic, "http://127.0.0.1:9/")
        assert len(await connector.subscriptions()) == 8


async def test_a_short_catalogue_is_an_error(monkeypatch):
    async with opened() as (shop, connector):
        shop.add("MUG", 1)
        real = shop._paged

        def short(call, rows, *show):
            status, body, totals = real(call, rows, *show)
            return status, body, {**totals, "X-WP-Total": "2"}

        monkeypatch.setattr(shop, "_paged", short)
        with pytest.raises(RetryLater, match="ended at 1 of 2"):
            await catalogue(connector)
        monkeypatch.setattr(shop, "_paged", lambda *_: (200, [], {}))
        with pytest.raises(RetryLater):
            await catalogue(connector)
        monkeypatch.setattr(shop, "_paged", lambda *_: (200, {"rows": []}, {}))
        with pytest.raises(RetryLater):
            await catalogue(connector)


async def test_fractions_in_stock_are_unmanaged_never_rounded(bench):
    shop, connector = bench
    shop.add("CHEESE", 1)
    shop.shop.by_sku("CHEESE").stock = 2.5
    listing = (await catalogue(connector))["CHEESE"]
    assert (listing.managed, listing.quantity) == (False, None)
    assert (await connector.read([ref(listing)]))[0].quantity is None


async def test_stock_left_to_the_parent_is_the_parents_listing(bench):
    shop, connector = bench
    shop.add_variable("TEE", {"TEE-S": 0, "TEE-M": 4})
    parent, small = shop.shop.by_sku("TEE"), shop.shop.by_sku("TEE-S")
    parent.managed, parent.stock, small.managed = True, 9, "parent"
    found = await catalogue(connector)
    assert set(found) == {"TEE", "TEE-M"}
    assert (found["TEE"].quantity, found["TEE"].alias) == (9, found["TEE"].remote)
    await shop.sell({"TEE-S": 2})
    ((line,),) = [order.lines for order in await changed(connector)]
    assert (line.remote, line.alias, line.taken) == (str(small.id), found["TEE"].remote, 2)
    assert await connector.write(write((ref(found["TEE"]), 5)))
    assert parent.stock == 5


async def test_orders_since_finds_every_state(bench):
    shop, connector = bench
    shop.add("MUG", 50)
    orders = {
        name: await shop.sell({"MUG": 3}) for name in ("sold", "cut", "part", "kept", "trash")
    }
    await shop.cancel(orders["cut"])
    await shop.refund(orders["part"], "MUG", 1, restock=True)
    await shop.refund(orders["part"], "MUG", 1, restock=False)
    await shop.refund(orders["kept"], "MUG", 3, restock=False)
    shop.shop.trash_order(shop.shop.orders[int(orders["trash"])])
    seen = {one.order: one for one in await changed(connector)}
    state = {name: (seen[o].lines[0].taken, seen[o].lines[0].kept) for name, o in orders.items()}
    assert state == {
        "sold": (3, 3),
        "cut": (0, 0),
        "part": (2, 1),
        "kept": (3, 0),
        "trash": (3, 0),
    }
    assert sum(one.lines[0].taken for one in seen.values()) == 50 - shop.shelf("MUG")
    assert await changed(connector, datetime.now(UTC) + HOUR) == []
    again = {one.order: one for one in await connector.orders([*orders.values()])}
    assert again == seen


async def test_since_is_inclusive_to_the_second(bench):
    shop, connector = bench
    shop.add("MUG", 5)
    order = await shop.sell({"MUG": 1})
    at = shop.shop.orders[int(order)].modified
    assert [one.order for one in await changed(connector, at)] == [order]
    assert await changed(connector, at + timedelta(seconds=1)) == []


@pytest.mark.parametrize("spread_s", [0, 1])
async def test_orders_that_change_while_we_page_are_not_lost(spread_s):
    start = datetime.now(UTC).replace(microsecond=0) - HOUR
    calls = []

    def observer(op, _outcome, _seconds):
        calls.append(op)
        if len(calls) == 1:
            for order in list(shop.shop.orders.values())[:20]:
                order.modified = start + timedelta(seconds=999)

    async with opened(observer) as (shop, connector):
        shop.add("MUG", 1000)
        for n in range(250):
            order = await shop.sell({"MUG": 1})
            shop.shop.orders[int(order)].modified = start + timedelta(seconds=n * spread_s)
        found = {one.order for one in await changed(connector, start)}
        if spread_s:
            assert found == {str(number) for number in shop.shop.orders}
        else:
            assert len(found) >= 230  # one second holds them all: only numbers can page those


async def test_an_order_in_fractions_hides_no_other():
    async with opened() as (shop, connector):
        shop.add("MUG", 5)
        bad, good = await shop.sell({"MUG": 1}), await shop.sell({"MUG": 1})
        shop.shop.orders[int(bad)].lines[0].reduced = 0.5
        since = datetime.now(UTC) - HOUR
        found = [one async for page in connector.orders_since(since) for one in page]
        kinds = {one.order: type(one) for one in found}
        assert kinds == {bad: OrderUnreadable, good: OrderSeen}
        (alone,) = await connector.orders([bad])
        assert isinstance(alone, OrderUnreadable)
        assert f"order {bad}" in alone.reason


async def test_orders_by_id_in_order_with_the_deleted_ones_terminal(bench):
    shop, connector = bench
    shop.add("MUG", 300)
    ids = [await shop.sell({"MUG": 1}) for _ in range(120)]
    shop.shop.trash_order(shop.shop.orders[int(ids[3])])
    shop.shop.trash_order(shop.shop.orders[int(ids[5])], for_good=True)
    seen = await connector.orders([*ids, "none-such"])
    assert [one.order for one in seen] == [*ids, "none-such"]
    assert (seen[3].terminal, seen[3].lines[0].taken) == (False, 1)
    for gone in (seen[5], seen[-1]):
        assert (gone.terminal, gone.lines) == (True, ())
    assert seen[5].version > seen[4].version


async def test_an_order_is_not_deleted_because_the_shop_stumbles(monkeypatch):
    async with opened() as (shop, connector):
        for fault in ({"status": 404}, {"html": True}, {"status": 500}):
            for name, value in fault.items():
                setattr(shop.faults, name, value)
            with pytest.raises(RetryLater):
                await connector.orders(["77"])
            shop.faults.status, shop.faults.html = None, False

        def switched_off(*_):
            raise RefusedCall(404, "rest_no_route", "No route was found.")

        monkeypatch.setattr(shop, "_orders", switched_off)
        with pytest.raises(RetryLater):
            await connector.orders(["77"])

        async def off_in_between(method, call):
            return switched_off() if "id" in call.path else (200, [], {})

        monkeypatch.setattr(shop, "_answer", off_in_between)
        with pytest.raises(RetryLater):
            await connector.orders(["77"])


# ---- writing


async def test_write_sets_each_row_and_reports_each(bench):
    shop, connector = bench
    for n in range(100):
        shop.add(f"P{n}", 1)
    found = await catalogue(connector)
    rows = [(ref(found[f"P{n}"]), n) for n in range(100)]
    results = await connector.write(write(*rows))
    assert {r.outcome for r in results} == {Outcome.APPLIED}
    assert all(r.at is not None for r in results)
    assert shop.shelves() == {f"P{n}": n for n in range(100)}
    assert (await connector.write(write((rows[0][0], -3))))[0].outcome is Outcome.APPLIED
    assert shop.shelf("P0") == -3


async def test_write_names_the_rows_that_were_not_taken(bench):
    shop, connector = bench
    for sku in ("GOOD", "OFF", "NO"):
        shop.add(sku, 1)
    found = await catalogue(connector)
    shop.shop.by_sku("OFF").managed = False
    shop.faults.refuse_skus = {"NO"}
    rows = [*((ref(found[sku]), 7) for sku in ("GOOD", "OFF", "NO")), (Ref("9999", "", "X"), 7)]
    results = await connector.write(write(*rows))
    assert [r.outcome for r in results] == [Outcome.APPLIED] + [Outcome.REFUSED] * 3
    assert [r.reason for r in results[1:]] == [
        "stock not managed",
        "Sorry, you are not allowed to edit this resource.",
        "Invalid ID.",
    ]
    assert shop.shelf("GOOD") == 7
    rows = [(Ref("not a number", "", "X"), 7), (ref(found["GOOD"]), 8)]
    results = await connector.write(write(*rows))
    assert [r.outcome for r in results] == [Outcome.REFUSED, Outcome.NOT_APPLIED]
    assert shop.shelf("GOOD") == 7


async def test_variations_are_written_under_their_parent(bench):
    shop, connector = bench
    shop.add_variable("TEE", {"TEE-S": 1, "TEE-M": 2})
    found = await catalogue(connector)
    rows = [(ref(found["TEE-S"]), 11), (ref(found["TEE-M"]), 12)]
    results = await connector.write(write(*rows))
    assert {r.outcome for r in results} == {Outcome.APPLIED}
    assert shop.shelves() == {"TEE-S": 11, "TEE-M": 12}


async def test_a_number_that_is_not_ours_is_no_success(bench, monkeypatch):
    shop, connector = bench
    shop.add("MUG", 1)
    found = await catalogue(connector)
    real = shop.shop.set_stock
    monkeypatch.setattr(shop.shop, "set_stock", lambda product, n: real(product, min(n, 5)))
    (result,) = await connector.write(write((ref(found["MUG"]), 9)))
    assert result == RowResult(Outcome.REFUSED, "the shop shows 5 instead of 9")


async def test_a_batch_too_large_for_the_shop_is_refused_in_its_words(bench, monkeypatch):
    shop, connector = bench
    shop.add("MUG", 1)
    shop.add("CUP", 1)
    found = await catalogue(connector)
    monkeypatch.setattr(standin_module, "BATCH_MAX", 1)
    results = await connector.write(write((ref(found["MUG"]), 9), (ref(found["CUP"]), 9)))
    assert {r.outcome for r in results} == {Outcome.REFUSED}
    assert "more than 1 items" in results[0].reason


@pytest.mark.parametrize(
    ("fault", "maybe", "throttled"),
    [
        ({"status": 500}, True, False),
        ({"status": 508}, True, False),
        ({"status": 429}, False, True),
        ({"status": 404}, False, False),
        ({"html": True}, True, False),
        ({"lose_answer": 1.0}, True, False),
        ({"down": True}, True, False),
    ],
)
async def test_a_write_without_a_clear_answer_may_have_been_applied(fault, maybe, throttled):
    async with opened() as (shop, connector):
        shop.add("MUG", 1)
        found = await catalogue(connector)
        for name, value in fault.items():
            setattr(shop.faults, name, value)
        with pytest.raises(RetryLater) as error:
            await connector.write(write((ref(found["MUG"]), 9)))
        assert error.value.maybe_applied is maybe
        assert error.value.throttled is throttled


async def test_an_answer_that_leaves_rows_out_is_unknown(monkeypatch):
    async with opened() as (shop, connector):
        shop.add("MUG", 1)
        found = await catalogue(connector)
        for odd in ({}, {"update": []}, {"update": 3}, {"update": [{"sku": "x"}]}, []):
            monkeypatch.setattr(shop, "_batch", lambda *_, odd=odd: (200, odd, {}))
            with pytest.raises(RetryLater) as error:
                await connector.write(write((ref(found["MUG"]), 9)))
            assert error.value.maybe_applied is True


async def test_subscriptions_are_made_seen_and_revived(bench):
    shop, connector = bench
    address = "http://127.0.0.1:9/webhooks/woo"
    await connector.subscribe("order.updated", address)
    (one,) = await connector.subscriptions()
    assert one == Subscription("8", "order.updated", address, healthy=True)
    shop.queue.hooks[8].status = "disabled"
    assert (await connector.subscriptions())[0].healthy is False
    shop.queue.hooks[8].secret = "somebody-elses"
    await connector.subscribe("order.updated", address)
    assert [s.healthy for s in await connector.subscriptions()] == [True]
    assert shop.queue.hooks[8].secret == HOOK_SECRET
    await connector.subscribe("order.updated", address + "/2")
    assert len(await connector.subscriptions()) == 2
    with pytest.raises(Refused, match="topic must be valid"):
        await connector.subscribe("order.forgotten", address)
    shop.counters.invalid.clear()


async def test_every_request_is_signed_anew(bench):
    shop, connector = bench
    for _ in range(3):
        await connector.subscriptions()
    assert len(shop._door.nonces) == 3
