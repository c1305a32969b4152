"""The world of a demo: shoppers, second thoughts, people who type counts, and stores that break.

The dice are seeded; every sale is watched on the shelves themselves until all other stores show it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from syncd.demo.standins.base import Standin

WATCH_S = 0.005
SKEW = 0.8
"""The n-th item sells n^-SKEW as often as the first."""
SCARCE_EVERY = 10
"""Every so many-th item has only a few units, and shoppers like it."""
SCARCE_LIKED = 4.0
SECOND_THOUGHTS = 0.2
"""Share of orders that are cancelled or refunded a little later."""
AFTER_S = (0.5, 4.0)
EDIT_EVERY_S = 3.0
PLENTY = 20
"""Counts are typed for items of which there is more, so that nobody sells what an edit made up."""
DUPLICATES = 0.1
FIRST_TROUBLE_S = 3.0
TROUBLE_EVERY_S = 10.0
CRASH_AFTER_S = 20.0
"""A run that is at least so long sees the daemon killed once, half-way or after this time."""
QUIET_END_S = 1.0
CALL_TIMEOUT_S = 30.0
"""A call that hangs holds its place in syncd's lane for so long, also when the store is well again."""


@dataclass(slots=True)
class Sale:
    """One order and its way to the other stores. Times are of the loop's clock, in seconds.

    `waiting` holds (store, sku) that still show more than there is. `shown_s` is set when it is
    empty. `measured` is False where there was nothing to wait for, or a person typed a count into
    a shelf that was waited for. `disturbed`: a fault was in force on its way, or calls still hung
    from one, or an earlier sale of the same item was still held up by one.
    """

    number: int
    store: str
    order: str
    lines: Mapping[str, int]
    at_s: float
    waiting: set[tuple[str, str]]
    measured: bool
    disturbed: bool
    shown_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong `at_s` seconds after the start; `store` is empty for the daemon."""

    at_s: float
    kind: str
    store: str
    lasts_s: float


@dataclass(slots=True)
class Counts:
    """What happened; `turned_away` are shoppers who found nothing left."""

    sales: int = 0
    units: int = 0
    turned_away: int = 0
    cancels: int = 0
    refunds: int = 0
    edits: int = 0
    troubles: list[str] = field(default_factory=list)


def stock(items: int, rng: Random) -> dict[str, int]:
    """Skus with their first counts: most have plenty, some a handful."""
    return {
        f"ITEM-{n:04d}": rng.randint(2, 6) if n % SCARCE_EVERY == 3 else rng.randint(25, 200)
        for n in range(items)
    }


def troubles(
    stores: list[str], rng: Random, duration_s: float | None, late_platform: str
) -> Iterator[Trouble]:
    """What goes wrong, in order of time: an outage and a lie take turns, and one crash.

    Stores take turns too, from `late_platform` on: the one whose lost answers are cleared up first.
    """
    outages = ("errors", "down", "hang")
    lies = ("answers lost", "webhooks lost")
    turn = stores.index(late_platform)
    crash_s = CRASH_AFTER_S if duration_s is None else max(duration_s / 2, CRASH_AFTER_S / 2)
    crashes = duration_s is None or duration_s >= CRASH_AFTER_S
    at_s, number = FIRST_TROUBLE_S, 0
    while duration_s is None or at_s < duration_s - QUIET_END_S:
        if crashes and at_s >= crash_s:
            crashes = False
            yield Trouble(crash_s, "daemon killed", "", 0.0)
        kinds = lies if number % 2 else outages
        kind = kinds[number // 2 % len(kinds)]
        # a lost answer of a store without keys is cleared up by a reading half a minute later
        store = late_platform if kind == "answers lost" else stores[turn % len(stores)]
        turn += kind != "answers lost"
        yield Trouble(at_s, kind, store, rng.uniform(2.0, 4.0))
        number += 1
        at_s += TROUBLE_EVERY_S * rng.uniform(0.8, 1.2)
    if crashes:
        yield Trouble(crash_s, "daemon killed", "", 0.0)


class Driver:
    """Drives `stores`, all of which show `seeds` when it is made. `adopting`: where edits count."""

    def __init__(
        self,
        stores: Mapping[str, Standin],
        seeds: Mapping[str, int],
        *,
        adopting: str,
        rate: float,
        seed: int,
        crash: Callable[[], Awaitable[None]],
    ) -> None:
        self.stores = stores
        self.adopting = adopting
        self.sales: list[Sale] = []
        self.counts = Counts()
        self.active: dict[str, str] = {}
        """Troubles in force now: store (empty: the daemon) to kind."""
        self.level = dict(seeds)
        """What there truly is, from the books read so far."""
        self._rate = rate
        self._seed = seed
        self._crash = crash
        self._skus = list(seeds)
        likes = (
            (n + 1) ** -SKEW * (SCARCE_LIKED if seeds[sku] < PLENTY else 1.0)
            for n, sku in enumerate(self._skus)
        )
        self._likes = list(accumulate(likes))
        self._read = {name: len(store.book.moves) for name, store in stores.items()}
        self._hung_until_s = 0.0
        self._open: deque[Sale] = deque()
        self._edited: set[tuple[str, str]] = set()
        self._later: set[asyncio.Task[None]] = set()
        self._failed: set[asyncio.Task[Any]] = set()

    async def run(self, duration_s: float | None, stop: asyncio.Event) -> None:
        """Drive for so long, or until `stop`; leaves every fault ended and nothing under way."""
        for store in self.stores.values():
            store.sender.policy.duplicate = DUPLICATES
        tasks = [
            asyncio.create_task(walk)
            for walk in (self._shop(), self._edit(), self._break(duration_s))
        ]
        ending: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        try:
            # none of them ends by itself but by a failure
            done, _ = await asyncio.wait(
                {ending, *tasks}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done | self._failed:
                task.result()
        finally:
            walks = [ending, *tasks, *self._later]
            for task in walks:
                task.cancel()
            await asyncio.gather(*walks, return_exceptions=True)
            for name in self.stores:
                self._mend(name)

    async def watch(self) -> None:
        """Look at the shelves until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(WATCH_S)

    def look(self) -> None:
        """Take up what the books say now, and which sales all other stores show by now.

        A store shows a sale as soon as it shows no more of the item than there truly is.
        """
        self._read_books()
        now = asyncio.get_running_loop().time()
        self._edited = {pair for pair in self._edited if self._excess(*pair) != 0}
        still: deque[Sale] = deque()
        for sale in self._open:
            sale.disturbed = sale.disturbed or self._troubled(now)
            sale.waiting = {pair for pair in sale.waiting if self._excess(*pair) > 0}
            if sale.waiting:
                still.append(sale)
            else:
                sale.shown_s = now - sale.at_s
        self._open = still

    @property
    def owed(self) -> int:
        """Sales that some other store does not show yet."""
        return len(self._open)

    def disagreeing(self) -> int:
        """(store, item) that do not show what there truly is now."""
        self._read_books()
        shelves = [store.shelves() for store in self.stores.values()]
        return sum(
            shelf.get(sku, 0) != max(0, level)
            for sku, level in self.level.items()
            for shelf in shelves
        )

    def shown_s(self) -> dict[tuple[str, str], float | None]:
        return {(sale.store, sale.order): sale.shown_s for sale in self.sales}

    def propagation_s(self, *, disturbed: bool | None = None) -> list[float]:
        """How long measured sales took; only (un)disturbed ones where asked for."""
        return [
            sale.shown_s
            for sale in self.sales
            if sale.measured and sale.shown_s is not None and disturbed in (None, sale.disturbed)
        ]

    def _excess(self, store: str, sku: str) -> int:
        return self.stores[store].shelf(sku) - max(0, self.level[sku])

    def _read_books(self) -> None:
        for name, store in self.stores.items():
            moves = store.book.moves
            for move in moves[self._read[name] :]:
                if move.cause != "edit" or name == self.adopting:
                    self.level[move.sku] += move.delta
            self._read[name] = len(moves)

    # ---- shoppers

    async def _shop(self) -> None:
        rng = Random(f"{self._seed} shoppers")
        names = list(self.stores)
        while True:
            await asyncio.sleep(rng.expovariate(self._rate))
            store = rng.choice(names)
            chosen = rng.choices(self._skus, cum_weights=self._likes, k=rng.randint(1, 3))
            units = {sku: rng.choice((1, 1, 1, 2)) for sku in chosen}
            fate = rng.random()
            after_s = rng.uniform(*AFTER_S)
            sale = await self._sell(store, units)
            if sale is not None and fate < SECOND_THOUGHTS:
                task = asyncio.create_task(self._regret(sale, fate / SECOND_THOUGHTS, after_s))
                self._later.add(task)
                task.add_done_callback(self._regretted)

    async def _sell(self, name: str, wanted: Mapping[str, int]) -> Sale | None:
        store = self.stores[name]
        there = {sku: units for sku, units in wanted.items() if store.shelf(sku) >= units}
        if not there:
            self.counts.turned_away += 1
            return None
        first = len(store.book.moves)
        order = await store.sell(there)
        now = asyncio.get_running_loop().time()
        lines = {m.sku: -m.delta for m in store.book.moves[first:] if m.order == order}
        self._read_books()
        pairs = {(other, sku) for other in self.stores if other != name for sku in lines}
        edited = pairs & self._edited
        waiting = {pair for pair in pairs - edited if self._excess(*pair) > 0}
        held = any(old.disturbed and old.lines.keys() & lines.keys() for old in self._open)
        sale = Sale(
            len(self.sales) + 1,
            name,
            order,
            lines,
            now,
            waiting,
            measured=bool(waiting) and not edited,
            disturbed=held or self._troubled(now),
        )
        self.sales.append(sale)
        self._open.append(sale)
        self.counts.sales += 1
        self.counts.units += sum(lines.values())
        return sale

    def _regretted(self, task: asyncio.Task[None]) -> None:
        self._later.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed.add(task)

    async def _regret(self, sale: Sale, kind: float, after_s: float) -> None:
        """Cancel or refund an order, once."""
        await asyncio.sleep(after_s)
        store = self.stores[sale.store]
        if kind < 0.4:
            await store.cancel(sale.order)
            self.counts.cancels += 1
        else:
            sku, units = next(iter(sale.lines.items()))
            await store.refund(sale.order, sku, units, restock=kind < 0.8)
            self.counts.refunds += 1

    # ---- people who type

    async def _edit(self) -> None:
        rng = Random(f"{self._seed} editors")
        names = list(self.stores)
        while True:
            await asyncio.sleep(rng.expovariate(1 / EDIT_EVERY_S))
            name, sku = rng.choice(names), rng.choice(self._skus)
            change = rng.choice((-3, -2, -1, 1, 2, 3))
            shelf = self.stores[name].shelf(sku)
            if min(shelf, self.level[sku]) <= PLENTY:
                continue
            await self.stores[name].edit(sku, shelf + change)
            self.counts.edits += 1
            if name != self.adopting:
                self._edited.add((name, sku))
                for sale in self._open:
                    if (name, sku) in sale.waiting:
                        sale.waiting.discard((name, sku))
                        sale.measured = False

    # ---- what goes wrong

    async def _break(self, duration_s: float | None) -> None:
        began = asyncio.get_running_loop().time()
        rng = Random(f"{self._seed} troubles")
        for trouble in troubles(list(self.stores), rng, duration_s, self.adopting):
            await asyncio.sleep(began + trouble.at_s - asyncio.get_running_loop().time())
            self.counts.troubles.append(f"{trouble.kind} {trouble.store}".strip())
            self.active[trouble.store] = trouble.kind
            try:
                if trouble.kind == "daemon killed":
                    await self._crash()
                else:
                    self._afflict(trouble)
                    await asyncio.sleep(trouble.lasts_s)
            finally:
                self._mend(trouble.store)
        await asyncio.Event().wait()

    def _afflict(self, trouble: Trouble) -> None:
        store = self.stores[trouble.store]
        if trouble.kind == "errors":
            store.faults.status = 500
        elif trouble.kind == "down":
            store.faults.down = True
        elif trouble.kind == "hang":
            store.faults.hang = True
        elif trouble.kind == "answers lost":
            store.faults.lose_answer = 0.5
        else:
            store.sender.policy.drop = 0.5

    def _troubled(self, now: float) -> bool:
        return bool(self.active) or now < self._hung_until_s

    def _mend(self, name: str) -> None:
        if self.active.pop(name, None) == "hang":
            self._hung_until_s = asyncio.get_running_loop().time() + CALL_TIMEOUT_S
        if name in self.stores:
            faults, policy = self.stores[name].faults, self.stores[name].sender.policy
            faults.status, faults.down, faults.hang = None, False, False
            faults.lose_answer, policy.drop = 0.0, 0.0
