"""One table of order life cycles, lived in every store and heard in every order: the right sum, once.

What a store's own book says really moved is what the ledger must hold in the end, however the states
of the order were repeated, mixed up or lost on the way, as long as the last one is heard.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest

from syncd.connectors import memory
from syncd.demo.standins.shopify import ShopifyStandin
from syncd.demo.standins.shopwired import ShopWiredStandin
from syncd.demo.standins.woocommerce import WooCommerceStandin
from syncd.stock.model import LineSeen, OrderSeen
from syncd.stock.orders import (
    CommitOn,
    LineKnown,
    News,
    OrderKnown,
    Restock,
    digest,
    effect,
    judge,
)
from tests.contract.bench import Bench, opened

Step = tuple[Any, ...]
Verb = Callable[..., Awaitable[None]]

LIVES: dict[str, list[Step]] = {
    "created": [],
    "cancelled": [("cancel",)],
    "refunded in part, restocked": [("refund", "A", 1, True)],
    "refunded in part, not restocked": [("refund", "A", 1, False)],
    "refunded wholly, restocked": [("refund", "A", 4, True), ("refund", "B", 2, True)],
    "refunded wholly, not restocked": [("refund", "A", 4, False), ("refund", "B", 2, False)],
    "refunded twice": [("refund", "A", 1, True), ("refund", "A", 2, False)],
    "cancelled after a refund": [("refund", "A", 1, True), ("cancel",)],
    "cancelled after a refund without restock": [("refund", "A", 1, False), ("cancel",)],
    "refunded after its cancellation": [("cancel",), ("refund_money",)],
    "raised": [("amend", "A", 7)],
    "lowered": [("amend", "A", 1)],
    "raised, lowered, refunded": [("amend", "A", 7), ("amend", "A", 3), ("refund", "A", 1, True)],
    "a line removed": [("amend", "A", 0)],
    "a line added": [("amend", "C", 3)],
    "a line added and another removed": [("amend", "C", 3), ("amend", "B", 0)],
    "cancelled after an edit": [("amend", "A", 6), ("cancel",)],
    "reopened": [("cancel",), ("reopen",)],
    "reopened and cancelled again": [("cancel",), ("reopen",), ("cancel",)],
    "back to unpaid and paid": [("status", "pending"), ("status", "processing")],
    "on hold": [("status", "on-hold"), ("status", "completed")],
    "failed": [("status", "failed")],
    "trashed": [("trash",)],
    "trashed and restored": [("trash",), ("untrash",), ("cancel",)],
    "deleted": [("delete",)],
    "refunded and deleted": [("refund", "A", 1, True), ("delete",)],
    "sent": [("send",), ("refund", "A", 1, True)],
    "sent from another place": [("move", "A"), ("refund", "A", 1, True)],
}


class Hands:
    """What a person can do to an order in one store; a verb that is missing cannot be done there."""

    def __init__(self, bench: Bench, order: str) -> None:
        self.store: Any = bench.store
        self.order = order

    async def cancel(self) -> None:
        await self.store.cancel(self.order)

    async def refund(self, sku: str, units: int, restock: bool) -> None:
        await self.store.refund(self.order, sku, units, restock=restock)


class ShopifyHands(Hands):
    async def amend(self, sku: str, units: int) -> None:
        self.store.amend(self.order, sku, units)

    async def refund_money(self) -> None:
        self.store.store.orders[int(self.order)].changed = self.store.store.now()

    async def delete(self) -> None:
        self.store.delete_order(self.order)

    async def send(self) -> None:
        self.store.send(self.order)

    async def move(self, sku: str) -> None:
        place = self.store.store.add_place("Back room")
        await self.store.send_from(self.order, sku, place)


class WooCommerceHands(Hands):
    @property
    def _found(self) -> Any:
        return self.store.shop.orders[int(self.order)]

    async def status(self, status: str) -> None:
        self.store.shop.set_status(self._found, status)

    async def reopen(self) -> None:
        await self.status("processing")

    async def refund_money(self) -> None:
        self.store.shop.refund(self._found, {}, 1.0, restock=False)

    async def amend(self, sku: str, units: int) -> None:
        self.store.shop.amend(self._found, sku, units)

    async def trash(self) -> None:
        self.store.shop.trash_order(self._found)

    async def untrash(self) -> None:
        self.store.shop.restore_order(self._found, "processing")

    async def delete(self) -> None:
        self.store.shop.trash_order(self._found, for_good=True)


class ShopWiredHands(Hands):
    async def refund_money(self) -> None:
        await self.store.refund(self.order, "A", 1, restock=False)


STORES: dict[str, tuple[Callable[[], Any], type[Hands], dict[str, Any]]] = {
    "shopify": (ShopifyStandin, ShopifyHands, {}),
    "shopify by location": (ShopifyStandin, ShopifyHands, {"by_location": True}),
    "woocommerce": (WooCommerceStandin, WooCommerceHands, {}),
    "shopwired": (lambda: ShopWiredStandin(restocks="cancelled"), ShopWiredHands, {}),
    "shopwired, refunds": (lambda: ShopWiredStandin(restocks="refunded"), ShopWiredHands, {}),
}


class Ledger:
    """What is booked of one order, by the rules of stock/ alone."""

    def __init__(self, restock: Restock) -> None:
        self._restock = restock
        self._known: OrderKnown | None = None
        self._lines: dict[tuple[str, str], LineKnown] = {}
        self._skus: dict[tuple[str, str], str] = {}
        self.level: dict[str, int] = {}

    def hear(self, seen: OrderSeen, newest: OrderSeen) -> None:
        """Two states of one version are told apart by fetching, while the order is there: the newest."""
        said = digest(seen)
        news = judge(self._known, seen, said)
        if news is News.AMBIGUOUS:
            assert self._known is not None
            self._known = OrderKnown(self._known.version - 1, said, terminal=False)
            return self.hear(newest, newest)
        if news is News.OLD:
            return None
        self._known = OrderKnown(seen.version, said, seen.terminal)
        if seen.gone:
            return None
        there = {(line.line, line.location): line for line in seen.lines}
        for key in {*there, *self._lines}:
            self._book(key, there.get(key, LineSeen(key[0], 0, 0, location=key[1])), seen.paid)
        return None

    def _book(self, key: tuple[str, str], line: LineSeen, paid: bool) -> None:
        sku = self._skus.setdefault(key, line.sku or line.remote or line.alias)
        done = effect(
            line,
            self._lines.get(key),
            paid=paid,
            commit_on=CommitOn.CREATED,
            restock=self._restock,
            baseline=False,
        )
        self._lines[key] = done.state
        self.level[sku] = self.level.get(sku, 0) + done.delta


async def lived(bench: Bench, hands: type[Hands], steps: Sequence[Step]) -> list[OrderSeen]:
    """The states of an order as the platform told them after each step; skips what it cannot do."""
    if not all(hasattr(hands, verb) for verb, *_ in steps):
        pytest.skip("this store cannot do that")
    order = await bench.store.sell({"A": 4, "B": 2})
    told = list(await bench.connector.orders([order]))
    for verb, *given in steps:
        await getattr(hands(bench, order), verb)(*given)
        told += await bench.connector.orders([order])
    return told


def left(told: Sequence[OrderSeen]) -> OrderSeen:
    """The last state of an order's lines."""
    return [seen for seen in told if not seen.gone][-1]


def hearings(told: Sequence[OrderSeen]) -> list[list[OrderSeen]]:
    """Every order of a few states, each with losses and repeats; the last is always heard.

    That an order is gone is no state of its lines: the one before it is heard as well.
    """
    last = left(told)
    rng = Random(7)
    found: list[list[OrderSeen]] = []
    for mixed in itertools.permutations(told):
        kept = [seen for seen in mixed if seen in (last, told[-1]) or rng.random() < 0.7]
        found += [list(mixed), kept, kept + rng.choices(mixed, k=2)]
    return found


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("store", STORES)
async def test_every_hearing_of_a_life_books_the_right_sum_once(store: str, life: str) -> None:
    made, hands, more = STORES[store]
    async with opened(made(), more) as bench:
        for sku, units in (("A", 50), ("B", 40), ("C", 30)):
            bench.store.add(sku, units)
        names = {row.alias or row.remote: row.sku for row in await bench.listings()}
        told = await lived(bench, hands, LIVES[life])
        really = {sku: bench.store.book.total(sku) for sku in "ABC"}
    kept = dict.fromkeys("ABC", 0)
    for line in told[-1].lines:
        kept[line.sku or names[line.alias or line.remote]] += min(line.taken, max(line.kept, 0))
    for heard in hearings(told):
        as_platform, always, never = (Ledger(restock) for restock in Restock)
        for seen in heard:
            for ledger in (as_platform, always, never):
                ledger.hear(seen, left(told))
        booked = {names.get(sku, sku): units for sku, units in as_platform.level.items()}
        assert {sku: booked.get(sku, 0) for sku in "ABC"} == really
        if not told[-1].gone:
            owed = {names.get(sku, sku): -units for sku, units in always.level.items()}
            assert {sku: owed.get(sku, 0) for sku in "ABC"} == kept
        for sku, units in never.level.items():
            assert units <= min(as_platform.level[sku], 0)


def test_every_platform_is_lived() -> None:
    assert {made().platform for made, _, _ in STORES.values()} | {memory.PLATFORM.name} == {
        "shopify",
        "woocommerce",
        "shopwired",
        "memory",
    }
