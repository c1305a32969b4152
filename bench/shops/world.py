"""All light shops of a run: they listen, and a sale is watched until the last other shelf shows it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from msgspec.json import encode

from bench.sender import body_length
from bench.shops.shelf import FIRST_COUNT, Bucket, Lines, Shelf, Shop
from bench.shops.shopify import Shopify
from bench.shops.shopwired import ShopWired
from bench.shops.woocommerce import WooCommerce

ANSWERS_AFTER_S = 0.005

PLATFORMS: dict[str, type[Shop]] = {
    "shopify": Shopify,
    "woocommerce": WooCommerce,
    "shopwired": ShopWired,
}


class Listener(asyncio.Protocol):
    """One connection of the daemon to a shop; a request is applied and answered 5 ms later."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.got = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        while True:
            top, found, rest = self.got.partition(b"\r\n\r\n")
            wanted = body_length(top) if found else 0
            if not found or len(rest) < wanted:
                return
            self.got = rest[wanted:]
            method, target = top.split(b"\r\n", 1)[0].decode().split(" ")[:2]
            self.loop.call_later(ANSWERS_AFTER_S, self.reply, method, target, rest[:wanted])

    def reply(self, method: str, target: str, body: bytes) -> None:
        self.shop.shelf.tally["calls"] += 1
        status, extra, said = self.shop.answer(method, target, body)
        if self.transport.is_closing():
            return  # the daemon was killed meanwhile
        top = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{extra}"
        self.transport.write(f"{top}Content-Length: {len(said)}\r\n\r\n".encode() + said)


class Sale:
    """A watched sale: the other shops that still show more, and when the last one did not."""

    __slots__ = ("at_s", "shown_s", "waits")

    def __init__(self, at_s: float, waits: int) -> None:
        self.at_s, self.waits, self.shown_s = at_s, waits, 0.0


class World:
    """All shops, and the watch on how long a sale takes to the last other shelf."""

    def __init__(self, items: int, shops: list[str], *, limited: bool) -> None:
        self.items = items
        self.shops: dict[str, Shop] = {}
        for one in shops:
            name, _, platform = one.partition(":")
            kind = PLATFORMS[platform]
            bucket = Bucket(*(kind.real_bucket if limited else (0.0, 0.0)))
            self.shops[name] = kind(Shelf(name, items, bucket, self.shows))
        self.sold = [0] * items
        self.sales: list[Sale] = []
        """The watched ones."""
        self._watched: dict[tuple[str, int], list[tuple[int, Sale]]] = {}

    async def open(self) -> dict[str, int]:
        """Listen; gives each shop's port."""
        loop = asyncio.get_running_loop()
        for shop in self.shops.values():
            server = await loop.create_server(lambda shop=shop: Listener(shop), "127.0.0.1", 0)  # type: ignore[misc]
            shop.shelf.port = server.sockets[0].getsockname()[1]
        return {name: shop.shelf.port for name, shop in self.shops.items()}

    def shows(self, shop: str, item: int, quantity: int) -> None:
        """A shelf was written: is it what a watched sale waits for?"""
        waiting = self._watched.get((shop, item))
        if not waiting:
            return
        now_s = time.perf_counter()
        left = []
        for wanted, sale in waiting:
            if quantity > wanted:
                left.append((wanted, sale))
                continue
            sale.waits -= 1
            if not sale.waits:
                sale.shown_s = now_s
        self._watched[shop, item] = left

    def sale(self, shop: Shop, lines: Lines, *, watch: bool) -> list[tuple[str, bytes]]:
        """Lower the shop's shelf; gives topic and body of the webhooks that tell of it."""
        shop.shelf.sell(lines)
        said = [(topic, encode(body)) for topic, body in shop.said(shop.shelf.orders, lines)]
        for item, units in lines:
            self.sold[item] += units
        if watch:
            self._watch(shop.shelf.name, lines)
        return said

    def unequal(self) -> int:
        """Shelves that do not show what is left."""
        return sum(
            shown != FIRST_COUNT - sold
            for shop in self.shops.values()
            for shown, sold in zip(shop.shelf.counts, self.sold, strict=True)
        )

    def _watch(self, seller: str, lines: Lines) -> None:
        sale = Sale(time.perf_counter(), (len(self.shops) - 1) * len(lines))
        self.sales.append(sale)
        for item, _ in lines:
            wanted = FIRST_COUNT - self.sold[item]
            for name in self.shops:
                if name != seller:
                    self._watched.setdefault((name, item), []).append((wanted, sale))
