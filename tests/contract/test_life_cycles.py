"""One table of order life cycles, lived in every store and heard in every order: the right sum, once.

What a store's own book says really moved is what the ledger must hold in the end, however the states
of the order were repeated, mixed up or lost on the way, as long as the last one is heard.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from syncd.connectors import PLATFORMS, memory
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
    held,
    judge,
    whole,
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
    "unpaid": [("unpaid",)],
    "unpaid and cancelled": [("unpaid",), ("cancel",)],
    "unpaid and deleted": [("unpaid",), ("delete",)],
    "paid later": [("unpaid",), ("pay",)],
    "paid later, refunded": [("unpaid",), ("pay",), ("refund", "A", 1, True)],
    "paid later, cancelled": [("unpaid",), ("pay",), ("cancel",)],
    "unpaid, raised, paid": [("unpaid",), ("amend", "A", 6), ("pay",)],
    "unpaid, lowered, paid": [("unpaid",), ("amend", "A", 1), ("pay",)],
    "unpaid, waiting for a transfer, paid": [
        ("unpaid",),
        ("status", "on-hold"),
        ("status", "processing"),
    ],
    "unpaid, failed, paid after all": [
        ("unpaid",),
        ("status", "failed"),
        ("status", "processing"),
    ],
    "raised after it was paid": [("amend", "A", 7), ("grow",)],
    "a draft": [("draft",)],
    "a draft completed": [("draft",), ("pay",)],
    "a draft thrown away": [("draft",), ("delete",)],
    "placed by an admin": [("admin",)],
    "placed by an admin, paid later, cancelled": [("admin",), ("pay",), ("cancel",)],
}

BEGINNINGS = ("unpaid", "draft", "admin")
"""What may stand first in a life: how it begins, where that is not a sale that is paid."""


class Hands:
    """What a person can do to an order in one store; a verb that is missing cannot be done there."""

    def __init__(self, bench: Bench, order: str = "") -> None:
        self.store: Any = bench.store
        self.order = order

    async def paid(self, lines: dict[str, int]) -> str:
        return str(await self.store.sell(lines))

    async def cancel(self) -> None:
        await self.store.cancel(self.order)

    async def refund(self, sku: str, units: int, restock: bool) -> None:
        await self.store.refund(self.order, sku, units, restock=restock)


class MemoryHands(Hands):
    async def unpaid(self, lines: dict[str, int]) -> str:
        return str(await self.store.sell(lines, paid=False))

    async def pay(self) -> None:
        await self.store.pay(self.order)

    async def delete(self) -> None:
        del self.store._orders[self.order]


class ShopifyHands(Hands):
    async def unpaid(self, lines: dict[str, int]) -> str:
        order = await self.paid(lines)
        self.store.store.orders[int(order)].paid = "pending"
        return order

    async def pay(self) -> None:
        found = self.store.store.orders[int(self.order)]
        found.paid, found.changed = "paid", self.store.store.now()

    async def grow(self) -> None:
        found = self.store.store.orders[int(self.order)]
        found.paid, found.changed = "partially_paid", self.store.store.now()

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

    def _new(self, lines: dict[str, int], status: str, via: str) -> str:
        units = {self.store.shop.by_sku(sku).id: count for sku, count in lines.items()}
        return str(self.store.shop.new_order(units, status, via=via).id)

    async def unpaid(self, lines: dict[str, int]) -> str:
        return self._new(lines, "pending", "checkout")

    async def draft(self, lines: dict[str, int]) -> str:
        return self._new(lines, "checkout-draft", "store-api")

    async def admin(self, lines: dict[str, int]) -> str:
        return self._new(lines, "pending", "admin")

    async def pay(self) -> None:
        await self.status("processing")

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
    async def unpaid(self, lines: dict[str, int]) -> str:
        return str(self.store.place(lines))

    async def pay(self) -> None:
        self.store.finalise(self.order)

    async def refund_money(self) -> None:
        await self.store.refund(self.order, "A", 1, restock=False)


def in_memory(**character: Any) -> Callable[[], Any]:
    """A store in this process, made anew each time."""
    return lambda: memory.store(
        f"lives-{next(_names)}", truth="orders", write="absolute", **character
    )


_names = itertools.count()

STORES: dict[str, tuple[Callable[[], Any], type[Hands], dict[str, Any]]] = {
    "memory": (in_memory(), MemoryHands, {}),
    "memory, taking when paid": (in_memory(takes_when_paid=True), MemoryHands, {}),
    "shopify": (ShopifyStandin, ShopifyHands, {}),
    "shopify by location": (ShopifyStandin, ShopifyHands, {"by_location": True}),
    "woocommerce": (WooCommerceStandin, WooCommerceHands, {}),
    "shopwired": (lambda: ShopWiredStandin(restocks="cancelled"), ShopWiredHands, {}),
    "shopwired, refunds": (lambda: ShopWiredStandin(restocks="refunded"), ShopWiredHands, {}),
}


class Ledger:
    """What is booked of one order, by the rules of stock/ alone."""

    def __init__(self, restock: Restock, commit_on: CommitOn = CommitOn.CREATED) -> None:
        self._restock, self._commit_on = restock, commit_on
        self._known: OrderKnown | None = None
        self._lines: dict[tuple[str, str], LineKnown] = {}
        self._skus: dict[tuple[str, str], str] = {}
        self.level: dict[str, int] = {}
        self.held: dict[str, int] = {}

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
        self.held = {}
        for key in {*there, *self._lines}:
            gone = LineSeen(key[0], 0, 0, location=key[1], sold=0)
            self._book(key, there.get(key, gone), seen)
        return None

    def _book(self, key: tuple[str, str], line: LineSeen, seen: OrderSeen) -> None:
        sku = self._skus.setdefault(key, line.sku or line.remote or line.alias)
        done = effect(
            line,
            self._lines.get(key),
            paid=seen.paid,
            commit_on=self._commit_on,
            restock=self._restock,
            baseline=False,
        )
        self._lines[key] = done.state
        self.level[sku] = self.level.get(sku, 0) + done.delta
        owes = whole(line, done.state, self._restock)
        units = held(seen, line, owes, done.state.booked, AFTER)
        self.held[sku] = self.held.get(sku, 0) + units


AFTER = datetime(2100, 1, 1, tzinfo=UTC)


async def lived(bench: Bench, hands: type[Hands], steps: Sequence[Step]) -> list[OrderSeen]:
    """The states of an order as the platform told them after each step; skips what it cannot do."""
    if not all(hasattr(hands, verb) for verb, *_ in steps):
        pytest.skip("this store cannot do that")
    how = steps[0][0] if steps and steps[0][0] in BEGINNINGS else "paid"
    steps = steps[1:] if how != "paid" else steps
    order = await getattr(hands(bench), how)({"A": 4, "B": 2})
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
    kept, sold, waits = (dict.fromkeys("ABC", 0) for _ in range(3))
    for line in left(told).lines:
        sku = line.sku or names[line.alias or line.remote]
        kept[sku] += min(line.taken, max(line.kept, 0))
        sold[sku] += max(line.taken, line.sold or 0)
        waits[sku] += line.waits
    paid = left(told).paid
    for heard in hearings(told):
        as_platform, always, never = (Ledger(restock) for restock in Restock)
        once_paid = [Ledger(restock, CommitOn.PAID) for restock in Restock]
        for seen in heard:
            for ledger in (as_platform, always, never, *once_paid):
                ledger.hear(seen, left(told))
        for created, later in zip((as_platform, always, never), once_paid, strict=True):
            units = created.level if paid else dict.fromkeys(created.level, 0)
            assert later.level == units, "what is not paid is not booked, whatever was heard"
            if not paid and not left(told).terminal:
                # and whatever is not booked of it is held
                assert {x: later.held[x] + later.level[x] for x in later.held} == {
                    x: created.held[x] - created.level[x] for x in created.held
                }
        assert {names.get(x, x): n for x, n in as_platform.held.items() if n} == {
            x: n for x, n in waits.items() if n and not paid
        }
        out = {sku: -units for sku, units in never.level.items()}
        out = {names.get(x, x): n for x, n in out.items()}
        assert {x: out.get(x, 0) for x in "ABC"} == sold, "the same whichever states were heard"
        booked = {names.get(sku, sku): units for sku, units in as_platform.level.items()}
        assert {sku: booked.get(sku, 0) for sku in "ABC"} == really
        if not told[-1].gone:
            owed = {names.get(sku, sku): -units for sku, units in always.level.items()}
            assert {sku: owed.get(sku, 0) for sku in "ABC"} == kept


def test_every_platform_is_lived() -> None:
    assert {made().platform for made, _, _ in STORES.values()} == {*PLATFORMS} - {"api"}


async def test_an_order_and_its_parts_count_once() -> None:
    """A plugin for several vendors makes parts of an order; the shop takes its units once."""
    async with opened(WooCommerceStandin()) as bench:
        store: Any = bench.store
        for sku in ("A", "B"):
            store.add(sku, 50)
        units = {store.shop.by_sku("A").id: 4, store.shop.by_sku("B").id: 2}
        parent = store.shop.new_order(units, "pending")
        parts = [
            store.shop.new_order({product: count}, "pending", part_of=parent.id)
            for product, count in units.items()
        ]
        names = [str(one.id) for one in (parent, *parts)]
        ledgers = {(name, restock): Ledger(restock) for name in names for restock in Restock}

        async def heard() -> None:
            for seen in await bench.connector.orders(names):
                for restock in Restock:
                    ledgers[seen.order, restock].hear(seen, seen)

        def total(what: str, restock: Restock) -> int:
            found = [getattr(x, what) for (_, rule), x in ledgers.items() if rule is restock]
            return sum(sum(one.values()) for one in found)

        await heard()
        assert [total("held", restock) for restock in Restock] == [6, 6, 6]
        store.shop.set_status(parent, "processing")
        for part in parts:
            part.status, part.paid, part.modified = "processing", parent.paid, parent.modified
        await heard()
        assert [total("level", restock) for restock in Restock] == [-6, -6, -6]
        assert [total("held", restock) for restock in Restock] == [0, 0, 0]
