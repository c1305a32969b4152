"""The WooCommerce stand-in refuses what the shop refuses and behaves as the recordings say."""

from __future__ import annotations

import base64
import hmac
import json
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from syncd.connectors import woocommerce_oauth as oauth
from syncd.demo.standins.base import Book
from syncd.demo.standins.woocommerce import API, HOOK_SECRET, KEY, SECRET, WooCommerceStandin
from syncd.demo.standins.woocommerce_hooks import FAILURES_BEFORE_OFF
from syncd.demo.standins.woocommerce_shop import Shop

SPECS = Path(os.environ.get("SYNCD_SPECS") or Path(__file__).parents[3] / "shared" / "specs")


def recorded(name: str):
    file = SPECS / "woocommerce" / "samples-real" / name
    if not file.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail("the recorded WooCommerce answers are missing: set SYNCD_SPECS")
        pytest.skip("no recorded WooCommerce answers here (SYNCD_SPECS)")
    return json.loads(file.read_text())


class Caller:
    """Speaks to the stand-in as an https shop, without the connector."""

    def __init__(self, shop: WooCommerceStandin, session: aiohttp.ClientSession) -> None:
        self.shop = shop
        self.session = session

    async def __call__(self, method, path, body=None, *, raw=None, auth=(KEY, SECRET)):
        data = raw if raw is not None else None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        if auth:
            headers["Authorization"] = aiohttp.encode_basic_auth(*auth)
        url = f"{self.shop.base_url}{API}{path}"
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            self.headers = answer.headers
            return answer.status, await answer.json()


@asynccontextmanager
async def opened(**settings):
    shop = WooCommerceStandin(**{"delay_s": 0.01, "https": True, **settings})
    await shop.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield shop, Caller(shop, session)
    finally:
        await shop.stop()


@pytest.fixture
async def bench():
    async with opened() as (shop, call):
        shop.add("MUG", 5)
        shop.add_variable("TEE", {"TEE-S": 20, "TEE-M": 7})
        yield shop, call


def batch_of(count):
    return {"update": [{"id": 11, "stock_quantity": 1}] * count}


REFUSED = {
    "unknown route": ("GET", "/stock", None, 404, "rest_no_route"),
    "wrong method": ("DELETE", "/products", None, 404, "rest_no_route"),
    "a page of 101": ("GET", "/products?per_page=101", None, 400, "rest_invalid_param"),
    "a page of text": ("GET", "/products?per_page=all", None, 400, "rest_invalid_param"),
    "page 0": ("GET", "/orders?page=0", None, 400, "rest_invalid_param"),
    "unknown argument": ("GET", "/products?skus=A", None, 400, "rest_invalid_param"),
    "unknown order": ("GET", "/orders?orderby=size", None, 400, "rest_invalid_param"),
    "unknown direction": ("GET", "/orders?order=up", None, 400, "rest_invalid_param"),
    "unknown status": ("GET", "/orders?status=any,sold", None, 400, "rest_invalid_param"),
    "ids that are none": ("GET", "/products?include=1,b", None, 400, "rest_invalid_param"),
    "a date that is none": ("GET", "/orders?modified_after=now", None, 400, "rest_invalid_param"),
    "no product": ("GET", "/products/999", None, 404, "woocommerce_rest_product_invalid_id"),
    "no order": ("GET", "/orders/999", None, 404, "woocommerce_rest_shop_order_invalid_id"),
    "no refunds": ("GET", "/orders/999/refunds", None, 404, "woocommerce_rest_invalid_order_id"),
    "no webhook": ("GET", "/webhooks/99", None, 404, "woocommerce_rest_shop_webhook_invalid_id"),
    "half a mug": ("PUT", "/products/11", {"stock_quantity": 2.5}, 400, "rest_invalid_param"),
    "stock in words": ("PUT", "/products/11", {"stock_quantity": "x"}, 400, "rest_invalid_param"),
    "unknown field": ("PUT", "/products/11", {"stock": 3}, 400, "rest_invalid_param"),
    "variation as product": (
        "PUT", "/products/13", {"stock_quantity": 3}, 404, "woocommerce_rest_invalid_product_id",
    ),
    "variation of another": (
        "PUT", "/products/11/variations/13", {"stock_quantity": 3}, 404,
        "woocommerce_rest_product_variation_invalid_id",
    ),
    "a batch of 101": (
        "POST", "/products/batch", batch_of(101), 413, "woocommerce_rest_request_entity_too_large",
    ),
    "a batch of no list": ("POST", "/products/batch", {"update": 3}, 400, "rest_invalid_param"),
    "a webhook without address": (
        "POST", "/webhooks", {"topic": "order.updated"}, 400, "rest_missing_callback_param",
    ),
    "a webhook of no topic": (
        "POST", "/webhooks", {"topic": "stock.set", "delivery_url": "http://x.test/"}, 400,
        "woocommerce_rest_webhook_invalid_topic",
    ),
    "a webhook to nowhere": (
        "POST", "/webhooks", {"topic": "order.updated", "delivery_url": "ftp://x.test/"}, 400,
        "woocommerce_rest_webhook_invalid_delivery_url",
    ),
    "a webhook status": ("PUT", "/webhooks/8", {"status": "on"}, 400, "rest_invalid_param"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_refuses(bench, case):
    shop, call = bench
    method, path, body, status, code = REFUSED[case]
    before = shop.shelves()
    answered, said = await call(method, path, body)
    assert (answered, said["code"]) == (status, code)
    assert said["data"]["status"] == status
    assert shop.shelves() == before
    if status == 400:
        assert shop.counters.invalid


async def test_refuses_a_body_that_is_no_json(bench):
    _, call = bench
    status, said = await call("PUT", "/products/11", raw="{stock")
    assert (status, said["code"]) == (400, "rest_invalid_json")


@pytest.mark.parametrize("auth", [None, (KEY, "wrong"), ("wrong", SECRET)])
async def test_refuses_strangers(bench, auth):
    _, call = bench
    status, said = await call("GET", "/products", auth=auth)
    assert status == 401
    assert said["code"] in ("woocommerce_rest_cannot_view", "woocommerce_rest_authentication_error")


async def test_over_plain_http_only_a_fresh_signature_counts():
    async with opened(https=False) as (shop, call):
        assert (await call("GET", "/products"))[0] == 401
        now = int(datetime.now(UTC).timestamp())

        async def signed(nonce, *, stamp=now, secret=SECRET, method="GET", **spoil):
            url = f"{shop.base_url}{API}/products"
            params = oauth.signed(
                method, url, {"per_page": "5"}, key=KEY, secret=secret, timestamp_s=stamp,
                nonce=nonce,
            )  # fmt: skip
            async with call.session.get(url, params={**params, **spoil}) as answer:
                return answer.status, (await answer.json())

        assert (await signed("one"))[0] == 200
        status, said = await signed("one")
        assert (status, said["code"]) == (401, "woocommerce_rest_authentication_error")
        assert "nonce" in said["message"]
        assert (await signed("two", secret="wrong"))[0] == 401
        assert (await signed("three", stamp=now - 3600))[0] == 401
        assert (await signed("four", method="PUT"))[0] == 401
        assert (await signed("five", per_page="6"))[0] == 401
        assert (await signed("six", oauth_signature_method="PLAINTEXT"))[0] == 401
        assert (await signed("seven", oauth_signature=""))[0] == 401


async def test_a_batch_answers_row_by_row(bench):
    shop, call = bench
    update = [
        {"id": 11, "stock_quantity": 6},
        {"id": 13, "stock_quantity": 1},
        {"id": 999, "stock_quantity": 1},
        {"id": 11, "stock_quantity": 2.5},
    ]
    status, said = await call("POST", "/products/batch", {"update": update})
    assert status == 200
    codes = [row.get("error", {}).get("code") for row in said["update"]]
    assert codes == [
        None,
        "woocommerce_rest_invalid_product_id",
        "woocommerce_rest_product_invalid_id",
        "rest_invalid_param",
    ]
    assert shop.shelf("MUG") == 6


async def test_stock_is_set_as_recorded(bench):
    _, call = bench
    for fact in recorded("behaviour.json")["observed"]:
        if fact["what"] == "set stock_quantity":
            status, said = await call("PUT", "/products/11", {"stock_quantity": fact["sent"]})
            assert status == fact["status"]
            assert said.get("stock_quantity") == fact["now"]
            assert said.get("stock_status") == fact["stock_status"]
            assert said.get("code") == fact["code"]


async def test_unmanaged_stock_is_thrown_away_in_silence(bench):
    shop, call = bench
    shop.shop.by_sku("MUG").managed = False
    status, said = await call("PUT", "/products/11", {"stock_quantity": 9})
    assert (status, said["manage_stock"], said["stock_quantity"]) == (200, False, None)
    assert shop.shop.by_sku("MUG").stock == 5


ANSWERS = {
    "create simple product": "/products/11",
    "read one variation": "/products/12/variations/13",
    "place order, paid": "/orders/{order}",
    "register webhook": "/webhooks/8",
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_have_the_recorded_fields(bench, name):
    shop, call = bench
    order = await shop.sell({"MUG": 1})
    hook = {"topic": "order.created", "delivery_url": "http://127.0.0.1:9/"}
    await call("POST", "/webhooks", hook)
    calls = {one["name"]: one for one in recorded("calls.json")["calls"]}
    theirs = calls[name]["response"]["body"]
    _, ours = await call("GET", ANSWERS[name].format(order=order))
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        if value is not None and ours[key] is not None:
            assert type(ours[key]) is type(value), key
    if "line_items" in theirs:
        assert set(ours["line_items"][0]) == set(theirs["line_items"][0])
        wanted = {m["key"]: type(m["value"]) for m in theirs["line_items"][0]["meta_data"]}
        assert type(ours["line_items"][0]["meta_data"][0]["value"]) is wanted["_reduced_stock"]


async def test_refunds_have_the_recorded_fields(bench):
    shop, call = bench
    order = await shop.sell({"MUG": 3})
    line = shop.shop.orders[int(order)].lines[0].id
    body = {"amount": "10.00", "api_restock": True, "line_items": [{"id": line, "quantity": 1}]}
    status, ours = await call("POST", f"/orders/{order}/refunds", body)
    calls = {one["name"]: one for one in recorded("calls.json")["calls"]}
    theirs = calls["refund 1, restock"]["response"]["body"]
    assert status == 201
    assert set(ours) == set(theirs)
    assert ours["line_items"][0]["quantity"] == theirs["line_items"][0]["quantity"] == -1
    assert shop.counters.invalid == []


async def test_errors_have_the_recorded_bodies(bench):
    _, call = bench
    calls = {one["name"]: one["response"] for one in recorded("calls.json")["calls"]}
    _, said = await call("POST", "/products/batch", batch_of(101))
    assert said == calls["batch of 101"]["body"]
    _, said = await call("POST", "/products/batch", {"update": [{"id": 13, "stock_quantity": 1}]})
    theirs = calls["products batch refuses a variation"]["body"]["update"][1]
    assert said["update"][0]["error"] == theirs["error"]
    rows = {"update": [{"id": 999, "stock_quantity": 1}]}
    _, said = await call("POST", "/products/12/variations/batch", rows)
    theirs = calls["batch: one good, one unknown"]["body"]["update"][1]
    assert said["update"][0]["error"] == theirs["error"]


def shop_with(stock):
    book = Book()
    shop = Shop(lambda: datetime.now(UTC), book, lambda _topic, _number: None)
    return shop, shop.new_product("TEE-S", "Tee", stock=stock), book


def test_orders_move_stock_as_recorded():
    """Each row of the recorded table, in its order and with its numbers."""
    shop, tee, book = shop_with(16)
    order = shop.new_order({tee.id: 1}, "pending")
    assert tee.stock == 16
    shop.set_status(order, "processing")
    assert (tee.stock, order.lines[0].reduced) == (15, 1)
    shop.set_status(order, "completed")
    assert tee.stock == 15
    shop.set_status(order, "cancelled")
    assert (tee.stock, order.lines[0].reduced) == (16, 0)

    order = shop.new_order({tee.id: 3}, "processing")
    line = order.lines[0]
    shop.refund(order, {line.id: 1}, 10.0, restock=True)
    assert (tee.stock, line.reduced) == (14, 2)
    shop.refund(order, {line.id: 1}, 10.0, restock=False)
    assert tee.stock == 14
    shop.set_status(order, "cancelled")
    assert tee.stock == 16

    order = shop.new_order({tee.id: 2}, "on-hold")
    assert tee.stock == 14
    shop.set_quantity(order, order.lines[0], 5)
    assert (tee.stock, order.lines[0].reduced) == (11, 5)
    for status in ("failed", "processing"):
        shop.set_status(order, status)
        assert tee.stock == 11
    shop.trash_order(order)
    assert (tee.stock, order.lines[0].reduced) == (11, 5)

    order = shop.new_order({tee.id: 1}, "processing")
    shop.trash_order(order, for_good=True)
    assert tee.stock == 10
    order = shop.new_order({tee.id: 2}, "processing")
    shop.set_status(order, "refunded")
    assert (tee.stock, len(order.refunds)) == (8, 1)
    order = shop.new_order({tee.id: 99}, "processing")
    assert tee.stock == -91
    shop.set_status(order, "cancelled")
    assert tee.stock == 8
    assert book.total("TEE-S") == -8


async def test_a_checkout_never_sells_what_is_not_there(bench):
    shop, _ = bench
    await shop.sell({"MUG": 3})
    await shop.sell({"MUG": 3})
    assert shop.shelf("MUG") == 0
    with pytest.raises(ValueError, match="sold out"):
        await shop.sell({"MUG": 1})


async def test_a_variation_that_leaves_its_stock_to_the_parent(bench):
    shop, call = bench
    shop.shop.by_sku("TEE").managed = True
    shop.shop.by_sku("TEE").stock = 9
    shop.shop.by_sku("TEE-S").managed = "parent"
    await shop.sell({"TEE-S": 2})
    assert shop.shop.by_sku("TEE").stock == 7
    _, said = await call("GET", "/products/12/variations/13")
    assert (said["manage_stock"], said["stock_quantity"]) == ("parent", 7)


async def test_a_host_may_limit():
    async with opened(host_limit=(2.0, 0.001), limit_status=503) as (shop, call):
        assert [(await call("GET", "/products"))[0] for _ in range(3)] == [200, 200, 503]
        assert call.headers["Retry-After"] == "1"
        assert shop.counters.throttled == 1


# ---- webhooks


class Listener:
    """Keeps every request and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    @property
    def signed(self):
        return [(h, b) for h, b in self.seen if "X-WC-Webhook-Signature" in h]

    def bodies(self, topic):
        return [json.loads(b) for h, b in self.signed if h["X-WC-Webhook-Topic"] == topic]

    async def handle(self, request):
        self.seen.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def listener():
    found = Listener()
    app = web.Application()
    app.router.add_post("/", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield found
    await runner.cleanup()


async def hooked(call, listener, *topics):
    for topic in topics:
        hook = {"topic": topic, "delivery_url": listener.url, "secret": HOOK_SECRET}
        status, _ = await call("POST", "/webhooks", hook)
        assert status == 201


async def test_registration_pings_at_once(bench, listener):
    _, call = bench
    await hooked(call, listener, "order.created")
    headers, body = listener.seen[0]
    assert body == b"webhook_id=8"
    assert "X-WC-Webhook-Topic" not in headers
    assert "X-WC-Webhook-Signature" not in headers


async def test_bodies_are_built_at_delivery_and_collapsed(bench, listener):
    shop, call = bench
    await hooked(call, listener, "order.created", "order.updated", "product.updated")
    order = await shop.sell({"TEE-S": 1})
    await shop.cancel(order)
    await shop.sender.idle()
    assert [b["status"] for b in listener.bodies("order.created")] == ["cancelled"]
    assert [b["status"] for b in listener.bodies("order.updated")] == ["cancelled"]
    moved = listener.bodies("product.updated")
    assert [(b["id"], b["parent_id"], b["type"]) for b in moved] == [(13, 12, "variation")]
    for headers, body in listener.signed:
        mac = base64.b64encode(hmac.digest(HOOK_SECRET.encode(), body, "sha256")).decode()
        assert headers["X-WC-Webhook-Signature"] == mac


async def test_delivery_ids_repeat_within_a_second(listener):
    now = datetime(2026, 11, 22, 3, 27, 18, tzinfo=UTC)
    async with opened(clock=lambda: now) as (shop, call):
        shop.add("MUG", 5)
        await hooked(call, listener, "order.created")
        for _ in range(3):
            await shop.sell({"MUG": 1})
        await shop.sender.idle()
        assert len({h["X-WC-Webhook-Delivery-ID"] for h, _ in listener.signed}) == 1
        assert len({b for _, b in listener.signed}) == 3


async def test_deleted_orders_leave_what_was_recorded(bench, listener):
    shop, call = bench
    await hooked(call, listener, "order.created", "order.deleted")
    trashed, gone = await shop.sell({"MUG": 1}), await shop.sell({"MUG": 1})
    await call("DELETE", f"/orders/{trashed}")
    await call("DELETE", f"/orders/{gone}?force=true")
    await shop.sender.idle()
    assert listener.bodies("order.deleted") == [{"id": int(trashed)}]
    bodies = listener.bodies("order.created")
    assert bodies[0]["status"] == "trash"
    assert bodies[1]["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert shop.shelf("MUG") == 3


async def test_nothing_is_retried_and_the_sixth_failure_switches_off(bench, listener):
    shop, call = bench
    await hooked(call, listener, "product.updated")
    listener.status = 503
    hook = shop.queue.hooks[8]
    for quantity in range(FAILURES_BEFORE_OFF):
        await shop.edit("MUG", quantity)
        await shop.sender.idle()
    assert (hook.status, len(listener.signed)) == ("active", 5)
    await shop.edit("MUG", 50)
    await shop.sender.idle()
    assert (hook.status, len(listener.signed)) == ("disabled", 6)
    await shop.edit("MUG", 51)
    await shop.sender.idle()
    assert len(listener.signed) == 6
    assert (await call("GET", "/webhooks/8"))[1]["status"] == "disabled"
    listener.status = 200
    await call("PUT", "/webhooks/8", {"status": "active"})
    await shop.edit("MUG", 52)
    await shop.sender.idle()
    assert len(listener.signed) == 7
    assert (hook.status, hook.failures) == ("active", 0)
