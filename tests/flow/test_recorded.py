"""What the platforms really sent, signed and posted through the door of the daemon, read and booked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from syncd.app.build import make_channel, rulebook_of
from syncd.config import Settings
from syncd.corridor import Core
from syncd.corridor.core import utc_now
from syncd.db import bookmark, catalog
from syncd.db.pool import Database
from syncd.fanout import CataloguePage, enter_page
from syncd.intake import Intake
from syncd.server import Address, Door, DoorChannel, GroupedStore
from syncd.stock.model import ListingSeen
from syncd.stock.rulebook import Rulebook
from syncd.telemetry.metrics import Metrics

SECRET = "not-a-secret-test-vector"
"""The recorded WooCommerce deliveries are signed with it; the others are signed here."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "shopify": {"shop": "recorded", "access_token": "shpat_x", "webhook_secret": SECRET},
    "shopwired": {"api_key": "k", "api_secret": "s", "webhook_secret": SECRET},
    "woocommerce": {
        "base_url": "https://shop.example",
        "consumer_key": "ck_x",
        "consumer_secret": "cs_x",
        "webhook_secret": SECRET,
    },
}


@dataclass
class House:
    """The door, the intake and the tables of a daemon with three channels, and what was posted."""

    core: Core
    intake: Intake
    url: str
    session: aiohttp.ClientSession
    sent: list[str] = field(default_factory=list)

    async def post(self, channel: str, headers: Mapping[str, str], body: bytes) -> int:
        async with self.session.post(
            f"{self.url}/webhooks/{channel}", data=body, headers=headers
        ) as answer:
            await answer.read()
            return answer.status

    async def list_item(self, platform: str, remote: str, sku: str, quantity: int) -> None:
        """Enter a listing and count its item."""
        rules = next(c.rules for c in self.core.channels.values() if c.name == platform)
        seen = ListingSeen(remote=remote, location="", sku=sku, quantity=quantity)
        page = CataloguePage(
            rules, [seen], datetime(2020, 1, 1, tzinfo=UTC), seeds=True, orders_known=True
        )
        async with self.core.booking("seed") as (conn, booking):
            await enter_page(conn, booking, page)

    async def book(self) -> None:
        while await self.intake.step():
            pass

    async def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        async with self.core.db.transaction("rows") as conn:
            return [tuple(row) for row in await conn.fetch(sql, *args)]

    async def parked(self) -> list[tuple[Any, ...]]:
        return await self.rows("select channel_id, reason from inbox_parked order by event_id")

    async def looks(self, platform: str) -> int:
        sql = "select count(*) from look k join channel c on c.id = k.channel_id where c.name = $1"
        return int((await self.rows(sql, platform))[0][0])

    async def orders(self, platform: str) -> int:
        sql = """
            select count(distinct o.order_id) from order_line o
            join channel c on c.id = o.channel_id where c.name = $1
        """
        return int((await self.rows(sql, platform))[0][0])


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    settings = Settings.model_validate(
        {
            "warehouses": {"main": {"source": "woocommerce"}},
            "channels": {
                name: {"platform": name, "locations": {"*": "main"}, "options": options}
                for name, options in OPTIONS.items()
            },
        }
    )
    async with database.transaction("enter") as conn:
        await bookmark.ensure_partitions(conn, utc_now().date())
        ids = {name: await catalog.enter_channel(conn, name, name) for name in OPTIONS}
        main = await catalog.enter_warehouse(conn, "main")
        await catalog.mark_seeded(conn, [main], utc_now())
    book = rulebook_of(settings, ids, {"main": main})
    core = Core(database, Metrics(), Rulebook(book.channels, book.sources))
    for rules in book.channels.values():
        core.channels[rules.id] = make_channel(
            rules, settings.channels[rules.name], core.metrics, utc_now
        )
        core.metrics.channel_added(rules.name, rules.platform)
    door = Door(
        GroupedStore(database, utc_now, lambda: None),
        {c.name: DoorChannel(c.id, c.connector) for c in core.channels.values()},
        core.metrics,
        utc_now,
    )
    (where,) = await door.start(Address("127.0.0.1", 0))
    async with aiohttp.ClientSession() as session:
        yield House(core, Intake(core), f"http://{where.host}:{where.port}", session)
    await door.stop()
    for channel in core.channels.values():
        await channel.connector.close()
        channel.http.budget.close()
        await channel.http.close()


def shopify_headers(topic: str, body: bytes) -> dict[str, str]:
    mac = hmac.digest(SECRET.encode(), body, "sha256")
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": base64.b64encode(mac).decode(),
        "X-Shopify-Shop-Domain": "recorded.myshopify.com",
        "X-Shopify-Webhook-Id": hashlib.sha256(body).hexdigest()[:36],
    }


async def test_every_recorded_shopify_webhook_is_taken(house: House, specs: Path) -> None:
    samples = sorted((specs / "shopify/samples/webhooks").glob("*.json"))
    assert len(samples) >= 25
    for path in samples:
        said = json.loads(path.read_text())
        body = json.dumps(said["payload"]).encode()
        topic = said["topic"]
        assert await house.post("shopify", shopify_headers(topic, body), body) == 200, path.name
        assert await house.post("shopify", shopify_headers(topic, body), body) == 200
        forged = shopify_headers(topic, body) | {"X-Shopify-Hmac-Sha256": "Zm9yZ2Vk"}
        assert await house.post("shopify", forged, body) == 401
    assert await house.rows("select count(*) from inbox") == [(len(samples),)]
    await house.book()
    assert await house.parked() == []
    assert await house.rows("select count(*) from inbox_queue") == [(0,)]


async def test_a_recorded_level_webhook_sets_a_look(house: House, specs: Path) -> None:
    path = specs / "shopify/samples/webhooks/inventory_levels.update.json"
    payload = json.loads(path.read_text())["payload"]
    rules = next(c.rules for c in house.core.channels.values() if c.name == "shopify")
    seen = ListingSeen(
        remote=str(payload["inventory_item_id"]),
        location=str(payload["location_id"]),
        sku="LEVELS",
        quantity=99_999,
    )
    page = CataloguePage(rules, [seen], utc_now(), seeds=True, orders_known=True)
    async with house.core.booking("seed") as (conn, booking):
        await enter_page(conn, booking, page)
    body = json.dumps(payload).encode()
    headers = shopify_headers("inventory_levels/update", body)
    before = await house.looks("shopify")
    assert await house.post("shopify", headers, body) == 200
    await house.book()
    assert await house.looks("shopify") == before + 1


def woo_requests(specs: Path) -> list[dict[str, Any]]:
    found = json.loads((specs / "woocommerce/samples-real/webhooks.json").read_text())["requests"]
    assert len(found) >= 10
    return list(found)


async def test_every_recorded_woocommerce_webhook_is_taken_as_it_came(
    house: House, specs: Path
) -> None:
    """Byte for byte, with the signature the shop itself made."""
    stored = set()
    for request in woo_requests(specs):
        headers = {
            name: value
            for name, value in request["headers"]
            if name not in ("Host", "Content-Length", "Connection", "Accept-Encoding")
        }
        body = request["body"].encode()
        assert await house.post("woocommerce", headers, body) == 200
        if not body.startswith(b"webhook_id="):
            stored.add((headers["X-WC-Webhook-Delivery-ID"], body))
            assert await house.post("woocommerce", headers, body + b" ") == 401
    assert await house.rows("select count(*) from inbox") == [(len(stored),)]
    await house.book()
    assert await house.parked() == []
    assert await house.rows("select count(*) from inbox_queue") == [(0,)]
    assert await house.orders("woocommerce") >= 1


async def test_a_recorded_woocommerce_order_takes_its_units_once(house: House, specs: Path) -> None:
    orders: dict[int, list[tuple[dict[str, str], bytes]]] = {}
    for request in woo_requests(specs):
        headers = dict(request["headers"])
        if headers.get("X-WC-Webhook-Topic", "") in ("order.created", "order.updated"):
            body = request["body"].encode()
            said = json.loads(body)
            if "line_items" not in said:
                continue  # what the shop sends of an order that is gone
            for line in said["line_items"]:
                remote = str(line["variation_id"] or line["product_id"])
                await house.list_item("woocommerce", remote, line["sku"] or f"R{remote}", 1000)
            kept = {n: v for n, v in headers.items() if n.startswith(("X-WC", "Content-Type"))}
            orders.setdefault(said["id"], []).append((kept, body))
    for hooks in orders.values():
        for headers, body in [*hooks, *reversed(hooks)]:
            assert await house.post("woocommerce", headers, body) == 200
    await house.book()
    assert await house.parked() == []
    taken: dict[str, int] = {}
    for hooks in orders.values():
        newest = max(
            (json.loads(body) for _, body in hooks), key=lambda said: said["date_modified_gmt"]
        )
        for line in newest["line_items"]:
            held = sum(
                int(meta["value"]) for meta in line["meta_data"] if meta["key"] == "_reduced_stock"
            )
            sku = line["sku"] or f"R{line['variation_id'] or line['product_id']}"
            taken[sku] = taken.get(sku, 0) + held
    levels = await house.rows(
        "select i.sku, v.quantity from level v join item i on i.id = v.item_id"
    )
    assert {sku: 1000 - quantity for sku, quantity in levels} == taken
    assert sum(taken.values()) > 0


async def test_the_shopwired_samples_are_taken(house: House, specs: Path) -> None:
    samples = sorted((specs / "shopwired/samples").glob("*.constructed.json"))
    assert len(samples) >= 4
    events = 0
    for path in samples:
        body = path.read_bytes()
        mac = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "X-ShopWired-Signature": mac}
        assert await house.post("shopwired", headers, body) == 200, path.name
        if b'"event"' in body:
            events += 1
            headers["X-ShopWired-Signature"] = "0" * 64
            assert await house.post("shopwired", headers, body) == 401
    assert await house.rows("select count(*) from inbox") == [(events,)]
    await house.book()
    assert await house.parked() == []


async def test_the_shopwired_order_takes_its_units(house: House, specs: Path) -> None:
    path = specs / "shopwired/samples/order.finalized.constructed.json"
    body = path.read_bytes()
    product = json.loads(body)["event"]["data"]["object"]["products"][0]
    await house.list_item("woocommerce", "1", product["sku"], 50)
    await house.list_item("shopwired", product["sku"], product["sku"], 50)
    mac = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-ShopWired-Signature": mac}
    for _ in range(2):
        assert await house.post("shopwired", headers, body) == 200
    await house.book()
    assert await house.parked() == []
    levels = await house.rows("select quantity from level")
    assert levels == [(50 - product["quantity"],)]
