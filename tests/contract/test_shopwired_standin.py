"""The ShopWired stand-in refuses what the platform refuses and behaves as its help pages say."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from syncd.demo.standins import shopwired_rules as rules
from syncd.demo.standins.shopwired import DISABLED_AFTER, RETRY_DELAYS_S, ShopWiredStandin


class Caller:
    """Speaks to the stand-in without the connector."""

    def __init__(self, shop: ShopWiredStandin, session: aiohttp.ClientSession) -> None:
        self.shop = shop
        self.session = session

    async def __call__(self, method, path, body=None, *, raw=None, auth=None, kind=None):
        options = self.shop.options()
        pair = auth or (options["api_key"], options["api_secret"])
        data = raw if raw is not None else None if body is None else json.dumps(body)
        headers = {"Authorization": aiohttp.encode_basic_auth(*pair)}
        if data is not None:
            headers["Content-Type"] = kind or "application/json"
        url = self.shop.base_url + path
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            self.headers = answer.headers
            return answer.status, await answer.json()


@asynccontextmanager
async def opened(**settings):
    shop = ShopWiredStandin(**settings)
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
        shop.add_variations("Tee", {"TEE-S": 20, "TEE-M": 7})
        yield shop, call


class Receiver:
    """An address that answers proofs with `secret` and everything else with `status`."""

    def __init__(self, shop: ShopWiredStandin) -> None:
        self.secret = str(shop.options()["webhook_secret"]).encode()
        self.signing = self.secret
        self.status = 200
        self.got: list[tuple[dict, dict]] = []
        self.proofs = 0

    def signature(self, data: bytes) -> str:
        return hmac.new(self.signing, data, hashlib.sha256).hexdigest()

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = json.loads(raw)
        signed = hmac.new(self.secret, raw, hashlib.sha256).hexdigest()
        assert request.headers["X-ShopWired-Signature"] == signed
        if "verificationToken" in body:
            self.proofs += 1
            return web.Response(text=self.signature(body["verificationToken"].encode()))
        self.got.append((dict(request.headers), body))
        return web.Response(status=self.status)

    def topics(self) -> list[str]:
        return sorted(body["event"]["topic"] for _, body in self.got)


@asynccontextmanager
async def receiving(shop):
    receiver = Receiver(shop)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await shop.sender.close()
        await runner.cleanup()


def row(**changes):
    return {"sku": "MUG", "quantity": 1} | changes


HOOK = {"topic": "order.finalized", "url": "https://shop.example/hook"}

REFUSED = {
    "unknown endpoint": ("GET", "/inventory", None, 404),
    "method of another endpoint": ("DELETE", "/products", None, 405),
    "unknown parameter": ("GET", "/products?limit=5", None, 400),
    "parameter of another endpoint": ("GET", "/products?from=5", None, 400),
    "parameter twice": ("GET", "/products?count=5&count=6", None, 400),
    "a page of 101": ("GET", "/products?count=101", None, 400),
    "a page of 0": ("GET", "/products?count=0", None, 400),
    "a negative offset": ("GET", "/orders?offset=-1", None, 400),
    "unknown embed": ("GET", "/products?embed=stock", None, 400),
    "a date instead of a timestamp": ("GET", "/orders?from=2026-11-22", None, 400),
    "stock of nothing": ("GET", "/stock", None, 400),
    "16 rows": ("POST", "/stock", [row(sku=str(n)) for n in range(16)], 400),
    "no rows": ("POST", "/stock", [], 400),
    "an object instead of a list": ("POST", "/stock", row(), 400),
    "a row with more": ("POST", "/stock", [row(location=1)], 400),
    "a row with less": ("POST", "/stock", [{"sku": "MUG"}], 400),
    "a sku that is a number": ("POST", "/stock", [row(sku=5)], 400),
    "an empty sku": ("POST", "/stock", [row(sku="")], 400),
    "a fraction": ("POST", "/stock", [row(quantity=1.5)], 400),
    "a quantity as text": ("POST", "/stock", [row(quantity="1")], 400),
    "no quantity": ("POST", "/stock", [row(quantity=None)], 400),
    "true": ("POST", "/stock", [row(quantity=True)], 400),
    "a negative quantity": ("POST", "/stock", [row(quantity=-1)], 400),
    "too much": ("POST", "/stock", [row(quantity=10**10)], 400),
    "a sku twice": ("POST", "/stock", [row(), row()], 400),
    "a list for the single write": ("PUT", "/stock", [row()], 400),
    "unknown topic": ("POST", "/webhooks", HOOK | {"topic": "stock.changed"}, 400),
    "plain http": ("POST", "/webhooks", HOOK | {"url": "http://shop.example/hook"}, 400),
    "no address": ("POST", "/webhooks", {"topic": "order.finalized"}, 400),
    "more than a webhook has": ("POST", "/webhooks", HOOK | {"name": "x"}, 400),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
async def test_refuses(bench, case):
    shop, call = bench
    method, path, body, status = case
    before = shop.shelves()
    answered, said = await call(method, path, body)
    assert answered == status
    assert said["message"]
    assert len(shop.counters.invalid) == 1
    assert shop.shelves() == before
    assert not shop.registrations


async def test_refuses_a_body_that_is_no_json(bench):
    shop, call = bench
    assert (await call("POST", "/stock", raw="[{"))[0] == 400
    assert (await call("POST", "/stock", raw="sku=MUG", kind="text/plain"))[0] == 415
    assert len(shop.counters.invalid) == 2


async def test_refuses_wrong_credentials(bench):
    shop, call = bench
    assert (await call("GET", "/business", auth=("standin-key", "wrong")))[0] == 401
    assert (await call("GET", "/business"))[0] == 200
    assert not shop.counters.invalid


async def test_every_route_is_described_where_the_description_is_at_hand(specs):
    assert specs.joinpath("shopwired", "endpoints.json").is_file()
    assert rules.described()
    for route in rules.ROUTES:
        path = route.pattern.pattern.replace(r"(\d+)", "7").replace("([^/]+)", "7")
        query = dict.fromkeys(route.query, "1")
        assert rules.find_route(route.method, f"/v1{path}", query)[0] is route


async def test_a_request_beside_the_description_is_refused(monkeypatch):
    monkeypatch.setattr(
        rules,
        "described",
        lambda: ({"method": "GET", "path": "/stock", "query": []},),
    )
    with pytest.raises(rules.RefusedCall, match="parameters"):
        rules.find_route("GET", "/v1/stock", {"sku": "MUG"})
    with pytest.raises(rules.RefusedCall, match="not described"):
        rules.find_route("GET", "/v1/business", {})


async def test_updated_counts_only_known_skus(bench):
    shop, call = bench
    rows = [row(quantity=9), row(sku="NONE"), row(sku="TEE-S", quantity=0)]
    assert await call("POST", "/stock", rows) == (200, {"updated": 2})
    assert shop.shelves() == {"MUG": 9, "TEE-S": 0, "TEE-M": 7}
    shop.faults.refuse_skus.add("MUG")
    assert await call("POST", "/stock", [row(quantity=3)]) == (200, {"updated": 0})
    assert shop.shelf("MUG") == 9
    assert shop.book.total("MUG") == 0
    assert not shop.counters.invalid


async def test_stock_is_read_and_written_one_by_one(bench):
    shop, call = bench
    assert await call("GET", "/stock?sku=TEE-M") == (200, {"sku": "TEE-M", "quantity": 7})
    assert (await call("GET", "/stock?sku=NONE"))[0] == 404
    assert await call("PUT", "/stock", row(quantity=4)) == (200, row(quantity=4))
    assert (await call("PUT", "/stock", row(sku="NONE")))[0] == 404
    assert shop.shelf("MUG") == 4


async def test_pages_and_embeds(bench):
    shop, call = bench
    for number in range(60):
        shop.add(f"X{number}", 1)
    _, first = await call("GET", "/products")
    assert len(first) == rules.PAGE_DEFAULT
    assert "variations" not in first[1]
    _, rest = await call("GET", "/products?count=100&offset=50&embed=variations")
    assert len(first) + len(rest) == 62
    _, two = await call("GET", "/products?count=2&embed=variations")
    assert [one["sku"] for one in two] == ["MUG", None]
    assert [(one["sku"], one["stock"]) for one in two[1]["variations"]] == [
        ("TEE-S", 20),
        ("TEE-M", 7),
    ]
    _, parts = await call("GET", f"/products/{two[1]['id']}/variations")
    assert parts == two[1]["variations"]


async def test_an_order_shows_its_lines_only_when_asked(bench):
    shop, call = bench
    order = await shop.sell({"MUG": 2, "TEE-S": 1})
    _, bare = await call("GET", f"/orders/{order}")
    assert "products" not in bare
    assert "status" not in bare
    _, full = await call("GET", f"/orders/{order}?embed=status,products,refunds")
    assert [(one["sku"], one["quantity"]) for one in full["products"]] == [("MUG", 2), ("TEE-S", 1)]
    assert full["status"]["type"] == "paid"
    assert (await call("GET", "/orders/1"))[0] == 404
    later = int(datetime.now(UTC).timestamp()) + 5
    assert await call("GET", f"/orders?from={later}") == (200, [])
    assert len((await call("GET", "/orders?from=5"))[1]) == 1


async def test_the_bucket_holds_forty_and_leaks(bench):
    shop, call = bench
    statuses = [(await call("GET", "/business"))[0] for _ in range(60)]
    assert statuses.count(429) == shop.counters.throttled > 5
    assert statuses[:40] == [200] * 40
    assert "Retry-After" not in call.headers
    shop.faults.buckets = False
    assert (await call("GET", "/business"))[0] == 200


async def test_sells_what_is_there(bench):
    shop, _ = bench
    with pytest.raises(ValueError, match="cannot be sold"):
        await shop.sell({"MUG": 6})
    assert shop.book.moves == []
    shop.backorder = True
    await shop.sell({"MUG": 6})
    assert shop.shelf("MUG") == -1
    assert shop.book.total("MUG", "sale") == -6


async def test_cancelling_and_refunding_follow_the_habit():
    for habit, cancelled, refunded in (("refunded", 5, 5), ("cancelled", 5, 3), ("never", 3, 3)):
        shop = ShopWiredStandin(restocks=habit)
        shop.add("MUG", 5)
        await shop.cancel(await shop.sell({"MUG": 2}))
        assert shop.shelf("MUG") == cancelled
        shop._shelves["MUG"].stock = 5
        order = await shop.sell({"MUG": 2})
        await shop.refund(order, "MUG", 1, restock=True)
        assert shop.shelf("MUG") == 3
        await shop.refund(order, "MUG", 1, restock=True)
        assert shop.shelf("MUG") == refunded
        kept = await shop.sell({"MUG": 1})
        await shop.refund(kept, "MUG", 1, restock=False)
        assert shop.shelf("MUG") == refunded - 1


async def test_a_line_comes_back_once():
    shop = ShopWiredStandin()
    shop.add("MUG", 5)
    order = await shop.sell({"MUG": 2})
    await shop.refund(order, "MUG", 2, restock=True)
    await shop.cancel(order)
    await shop.delete(order)
    assert shop.shelf("MUG") == 5
    assert shop.book.total("MUG") == 0


async def test_a_webhook_is_made_only_for_an_address_that_proves_itself(bench):
    shop, call = bench
    async with receiving(shop) as receiver:
        hook = {"topic": "order.finalized", "url": receiver.url}
        receiver.signing = b"another secret"
        assert (await call("POST", "/webhooks", hook))[0] == 400
        assert not shop.registrations
        receiver.signing = receiver.secret
        status, said = await call("POST", "/webhooks", hook)
        assert (status, said["active"]) == (201, True)
        assert receiver.proofs == 2
        assert await call("GET", "/webhooks") == (200, [said])
        for _ in range(9):
            assert (await call("POST", "/webhooks", hook))[0] == 201
        assert not shop.counters.invalid
        assert (await call("POST", "/webhooks", hook))[0] == 400
    dead = HOOK | {"url": "http://127.0.0.1:9/hook", "topic": "order.created"}
    assert (await call("POST", "/webhooks", dead))[0] == 400


async def test_tells_of_sales_edits_and_of_our_own_writes(bench):
    shop, call = bench
    async with receiving(shop) as receiver:
        for topic in ("order.created", "order.finalized", "product.stock_changed"):
            await call("POST", "/webhooks", {"topic": topic, "url": receiver.url})
        order = await shop.sell({"MUG": 2})
        await shop.sender.idle()
        assert receiver.topics() == ["order.created", "order.finalized", "product.stock_changed"]
        events = [body["event"] for _, body in receiver.got]
        changed = next(e for e in events if e["topic"].startswith("product"))["data"]["object"]
        assert changed == {
            "sku": "MUG",
            "isVariation": False,
            "newQuantity": 3,
            "orderId": int(order),
        }
        receiver.got.clear()
        await shop.edit("TEE-S", 1)
        await call("POST", "/stock", [row(quantity=8), row(sku="TEE-M", quantity=7)])
        await shop.sender.idle()
        told = [body["event"]["data"]["object"] for _, body in receiver.got]
        assert sorted((one["sku"], one["newQuantity"], "orderId" in one) for one in told) == [
            ("MUG", 8, False),
            ("TEE-S", 1, False),
        ]
        ids = [body["event"]["id"] for _, body in receiver.got]
        assert len(set(ids)) == len(ids)


async def test_only_200_counts_and_24_failures_switch_off():
    assert len(RETRY_DELAYS_S) == 23
    assert set(RETRY_DELAYS_S) == {3600.0}
    async with opened(retry_delays_s=(0.0,) * (DISABLED_AFTER - 1)) as (shop, call):
        shop.add("MUG", 5)
        async with receiving(shop) as receiver:
            topic = "product.stock_changed"
            await call("POST", "/webhooks", {"topic": topic, "url": receiver.url})
            receiver.status = 202
            await shop.edit("MUG", 4)
            await asyncio.wait_for(shop.sender.idle(), 10)
            assert len(receiver.got) == DISABLED_AFTER
            assert len({body["event"]["id"] for _, body in receiver.got}) == 1
            assert (await call("GET", "/webhooks"))[1][0]["active"] is False
            await shop.edit("MUG", 3)
            await shop.sender.idle()
            assert len(receiver.got) == DISABLED_AFTER
