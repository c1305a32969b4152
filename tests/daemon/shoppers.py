"""Shoppers, the judge over the stores' own books, and senders that do not give up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from syncd.demo.judge import StoreEnd, levels
from syncd.demo.standins.base import Hook, Sender, Standin
from syncd.demo.standins.shopify import ShopifyStandin
from syncd.demo.standins.shopify_api import Bucket
from syncd.demo.standins.shopwired import ShopWiredStandin
from syncd.demo.standins.woocommerce import WooCommerceStandin

RETRY_S = (0.1, 0.4)


@dataclass(slots=True)
class Tally:
    """What senders saw: 2xx answers per delivery, refusals that had to be tried again."""

    acknowledged: list[tuple[str, Hook]] = field(default_factory=list)
    refused: int = 0


def make_stores(units: Mapping[str, int]) -> dict[str, Standin]:
    """The three stand-ins without rate limits; all but the first are as wrong as unlinked shops.

    Shopify tells what is left in its bucket, enforced or not, and is paced by that: so a big one.
    """
    shopify = ShopifyStandin("daemon")
    shopify.api.bucket = Bucket(20_000.0, 1000.0)
    stores: dict[str, Standin] = {
        "shopify": shopify,
        "shopwired": ShopWiredStandin(restocks="cancelled"),
        "woocommerce": WooCommerceStandin(delay_s=0.02),
    }
    for number, store in enumerate(stores.values()):
        store.faults.buckets = False
        for sku, quantity in units.items():
            store.add(sku, quantity if number == 0 else quantity // 2)
    return stores


def never_give_up(name: str, store: Standin, tally: Tally, *, duplicates: float = 0.0) -> None:
    """Every delivery is tried until it is answered 2xx, and the store never switches a webhook off.

    A platform tries for hours; a test has seconds. Each acknowledged delivery is tallied.
    """
    sender = store.sender
    rng = Random(name)
    sender.policy.duplicate = duplicates
    sender.policy.timeout_s = 5.0

    async def post(hook: Hook) -> bool:
        while not await Sender._post(sender, hook):
            tally.refused += 1
            await asyncio.sleep(rng.uniform(*RETRY_S))
        if not hook.body.startswith(b"webhook_id="):
            tally.acknowledged.append((name, hook))
        return True

    sender._post = post  # type: ignore[method-assign]


@dataclass(slots=True)
class Shoppers:
    """Buy, cancel and refund everywhere, `rate` orders a second, until cancelled."""

    stores: Mapping[str, Standin]
    skus: list[str]
    rate: float
    seed: int = 0
    sales: int = 0
    cancels: int = 0
    refunds: int = 0
    _later: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, orders: int | None = None) -> None:
        """Drive until cancelled, or for so many orders."""
        rng = Random(self.seed)
        names = list(self.stores)
        loop = asyncio.get_running_loop()
        at = loop.time()
        try:
            while orders is None or self.sales < orders:
                at += rng.expovariate(self.rate)
                await asyncio.sleep(max(0.0, at - loop.time()))
                await self._shop(rng, self.stores[rng.choice(names)])
        finally:
            for task in self._later:
                task.cancel()
            await asyncio.gather(*self._later, return_exceptions=True)

    async def _shop(self, rng: Random, store: Standin) -> None:
        skus = rng.sample(self.skus, rng.choice((1, 1, 2)))
        lines = {sku: rng.choice((1, 1, 2)) for sku in skus}
        try:
            order = await store.sell(lines)
        except ValueError:
            return  # sold out
        self.sales += 1
        fate = rng.random()
        if fate < 0.3:
            task = asyncio.create_task(
                self._regret(store, order, skus[0], fate, rng.uniform(0.05, 2))
            )
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _regret(
        self, store: Standin, order: str, sku: str, fate: float, after_s: float
    ) -> None:
        await asyncio.sleep(after_s)
        if fate < 0.15:
            await store.cancel(order)
            self.cancels += 1
        else:
            with suppress(StopIteration):
                await store.refund(order, sku, 1, restock=fate < 0.22)
                self.refunds += 1


def wrong(
    units: Mapping[str, int], stores: Mapping[str, Standin]
) -> dict[str, tuple[int, list[int]]]:
    """Items that some store does not show as all books together say: (should, shown)."""
    ends = {
        name: StoreEnd(store.book.moves, store.shelves(), adopts_edits=name == "shopify")
        for name, store in stores.items()
    }
    found = {}
    for sku, level in levels(units, ends).items():
        shown = [end.shelves.get(sku, 0) for end in ends.values()]
        if any(one != max(0, level) for one in shown):
            found[sku] = (level, shown)
    return found
