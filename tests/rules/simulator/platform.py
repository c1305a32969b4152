"""A platform in virtual time: shelves, shoppers, people who type counts, an API, and all that fails.

What really happened, it alone knows: `moves` is the judge's book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from syncd.connectors.base import Outcome, Ref, RowResult, Write, WriteKind, WriteOp
from syncd.errors import RetryLater
from syncd.stock.model import (
    Edits,
    Kind,
    LevelSeen,
    LineSeen,
    ListingSeen,
    OrderHint,
    OrderSeen,
    Reading,
    Truth,
)
from syncd.stock.orders import CommitOn, Restock
from tests.rules.simulator.loop import VirtualLoop
from tests.rules.simulator.setting import Setting, Shop

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[str, str]
"""(remote, location) of one shelf."""


@dataclass(slots=True)
class Line:
    remote: str
    location: str
    ordered: int
    taken: int
    kept: int


@dataclass(slots=True)
class Order:
    id: str
    created: datetime
    at: datetime
    version: int
    lines: dict[str, Line]
    paid: bool = True
    terminal: bool = False
    kind: Kind = Kind.SALE
    changes: int = 0
    visible_s: float = 0.0
    """Before then nobody is told of it, and nobody can fetch it."""


@dataclass(slots=True, eq=False)
class Edit:
    """A count that a person changed; `seen`: a reading showed it to us."""

    units: int
    seen: bool = False


@dataclass(slots=True)
class Applied:
    """A write as it was applied to one shelf: for the judge."""

    at_s: float
    key: str
    place: Place
    value: int


@dataclass(slots=True)
class Platform:
    """One shop. `tell` carries a fact to the daemon's door."""

    shop: Shop
    setting: Setting
    loop: VirtualLoop
    rng: Random
    tell: Callable[[str, Any], None]
    shelf: dict[Place, int] = field(default_factory=dict)
    stamp: dict[Place, datetime] = field(default_factory=dict)
    before: dict[Place, list[tuple[float, int, datetime]]] = field(default_factory=dict)
    """What each shelf showed earlier: (true time at which it ended, value, stamp)."""
    orders: dict[str, Order] = field(default_factory=dict)
    keys: dict[str, tuple[float, list[RowResult]]] = field(default_factory=dict)
    moved: dict[Place, int] = field(default_factory=dict)
    """Units by which a shelf was moved by anything but our writes."""
    edits: dict[Place, list[Edit]] = field(default_factory=dict)
    """Where edits are inferred: all of them."""
    standing: dict[Place, list[Edit]] = field(default_factory=dict)
    """Those that no blind write has erased yet."""
    under_way: dict[Place, int] = field(default_factory=dict)
    swung: dict[Place, int] = field(default_factory=dict)
    """The same, whichever way they went."""
    applied: list[Applied] = field(default_factory=list)
    down: bool = False
    calm: bool = False
    calls: int = 0
    writes: int = 0
    moved_s: float = 0.0
    """When somebody who is not us last moved a shelf here."""
    _stamped: datetime = NOON

    # --- time ---

    def now(self) -> datetime:
        """The platform's clock: it never stands still between two happenings."""
        at = NOON + timedelta(seconds=self.loop.time() + self.shop.clock_s)
        self._stamped = max(at, self._stamped + timedelta(microseconds=1))
        return self._stamped

    def _version(self, at: datetime) -> int:
        return (at - EPOCH) // timedelta(microseconds=1)

    # --- shelves ---

    def put(self, place: Place, value: int) -> None:
        now = self.now()
        if place in self.shelf:
            past = self.before.setdefault(place, [])
            past.append((self.loop.time(), self.shelf[place], self.stamp[place]))
            del past[:-20]
        self.shelf[place], self.stamp[place] = value, now

    def move(self, place: Place, units: int) -> None:
        """Somebody who is not us moves a shelf."""
        self.put(place, self.shelf[place] + units)
        self.moved[place] = self.moved.get(place, 0) + units
        self.swung[place] = self.swung.get(place, 0) + abs(units)
        self.moved_s = self.loop.time()
        self._tell_level(place)

    def _tell_level(self, place: Place) -> None:
        said = self.shelf[place] if self.rng.random() < 0.8 else None
        self.tell("level", LevelSeen(place[0], place[1], said, self.stamp[place]))

    def _shown(self, place: Place) -> tuple[int, datetime]:
        """What a reading finds: where replicas lag, perhaps what was shown a moment ago."""
        lag = self.shop.lag_s * self.rng.random()
        if lag and not self.calm and self.rng.random() < 0.5:
            for ended, value, stamp in self.before.get(place, ()):
                if ended > self.loop.time() - lag:
                    return value, stamp
        return self.shelf[place], self.stamp[place]

    # --- orders ---

    def sell(self) -> None:
        """A shopper buys one or two things; nobody sells what is not on the shelf."""
        rng, lines = self.rng, {}
        places = [place for place in sorted(self.shelf) if self.shelf[place] > 0]
        for number, place in enumerate(rng.sample(places, min(len(places), rng.choice((1, 1, 2))))):
            units = min(rng.choice((1, 1, 1, 2, 3)), self.shelf[place])
            lines[str(number)] = Line(*place, units, units, units)
        if not lines:
            return
        now = self.now()
        order = Order(f"{self.shop.name}-{len(self.orders)}", now, now, 0, lines)
        if self.setting.slow and rng.random() < self.setting.slow:
            order.visible_s = self.loop.time() + rng.uniform(60, 480)
        restless = rng.random() < self.setting.lively
        order.paid = not restless or rng.random() < 0.8
        self.orders[order.id] = order
        self._changed(order, {name: -line.taken for name, line in lines.items()})
        if not restless:
            return
        if not order.paid and rng.random() < 0.8:
            self._soon(self._pay, order)
        what = rng.random()
        if what < 0.25:
            self._soon(self._cancel, order)
        elif what < 0.45:
            self._soon(self._refund, order)
        elif what < 0.55:
            self._soon(self._edit_order, order)

    def _soon(self, act: Callable[[Order], None], order: Order) -> None:
        """Something more happens to an order: at once, as a till corrects itself, or later."""
        rng = self.rng
        later_s = rng.uniform(0.05, 0.7) if rng.random() < 0.3 else rng.uniform(1, 40)
        self.loop.call_later(later_s, act, order)

    def _pay(self, order: Order) -> None:
        if not order.terminal:
            order.paid = True
            self._changed(order, {})

    def _cancel(self, order: Order) -> None:
        """Everything it holds goes back; now and then the order is opened again."""
        if order.terminal:
            return
        back = {name: line.taken for name, line in order.lines.items()}
        for line in order.lines.values():
            line.taken = line.kept = 0
        order.terminal, order.kind = True, Kind.CANCELLATION
        self._changed(order, back)

    def _refund(self, order: Order) -> None:
        """Part of an order or all of it, put back on the shelf or not."""
        if order.terminal:
            return
        name = self.rng.choice(sorted(order.lines))
        line = order.lines[name]
        if not line.kept:
            return
        units = self.rng.randint(1, line.kept)
        back = min(units, line.taken) if self.rng.random() < 0.6 else 0
        line.kept -= units
        line.taken -= back
        order.kind = Kind.REFUND
        self._changed(order, {name: back} if back else {})
        if not self.calm and self.rng.random() < 0.4:
            self._soon(self._refund, order)

    def _edit_order(self, order: Order) -> None:
        """More or fewer of a line, or a line more."""
        if order.terminal:
            return
        if self.rng.random() < 0.3:
            place = self.rng.choice(sorted(self.shelf))
            if self.shelf[place] > 0:
                name = str(len(order.lines))
                order.lines[name] = Line(*place, 1, 1, 1)
                self._changed(order, {name: -1})
            return
        name = self.rng.choice(sorted(order.lines))
        line = order.lines[name]
        more = self.rng.choice((-1, 1))
        if line.taken + more < 0 or line.kept + more < 0:
            return
        if more > 0 and self.shelf[line.remote, line.location] < 1:
            return
        line.taken += more
        line.kept += more
        line.ordered = max(line.ordered, line.taken)
        self._changed(order, {name: -more})

    def _changed(self, order: Order, moves: dict[str, int]) -> None:
        now = self.now()
        order.changes += 1
        order.version = max(self._version(now), order.version + 1)
        if moves:
            order.at = now
        for name, units in moves.items():
            line = order.lines[name]
            self.move((line.remote, line.location), units)
        if order.visible_s > self.loop.time():
            return
        said = self.seen(order)
        self.tell("order", OrderHint(order.id) if self.shop.hints else said)

    def visible(self) -> list[Order]:
        """The orders that can be fetched now."""
        return [one for one in self.orders.values() if one.visible_s <= self.loop.time()]

    def seen(self, order: Order) -> OrderSeen:
        version, at = order.version, order.at
        if self.shop.coarse:
            version = version // 1_000_000 * 1_000_000
            at = at.replace(microsecond=0)
        lines = tuple(
            LineSeen(
                name,
                line.taken,
                line.kept,
                line.remote,
                location=line.location,
                sold=line.ordered,
            )
            for name, line in order.lines.items()
        )
        return OrderSeen(
            order.id,
            version,
            at,
            lines,
            order.id,
            paid=order.paid,
            terminal=order.terminal,
            kind=order.kind,
            created=order.created,
        )

    # --- people ---

    def type_count(self) -> None:
        """A person, or an app of theirs, changes a count; often only to take it back."""
        rng = self.rng
        place = rng.choice(sorted(self.shelf))
        by = rng.randint(*self.setting.edit_units) * rng.choice((-1, 1))
        if self.shop.edits is Edits.ADOPT and self.shop.truth is Truth.ORDERS:
            if self.shelf[place] + by == self.under_way.get(place):
                by += 1  # a number that equals our unanswered write looks like it: no rule can know
            edit = Edit(by)
            self.edits.setdefault(place, []).append(edit)
            self.standing.setdefault(place, []).append(edit)
            self.move(place, by)
            return
        if self.shelf[place] + by < 0:
            return
        self.move(place, by)
        if rng.random() < 0.4:
            self.loop.call_later(rng.uniform(0.2, 10), self._take_back, place, by)

    def _take_back(self, place: Place, by: int) -> None:
        if self.shelf[place] - by >= 0:
            self.move(place, -by)

    # --- what the ledger must hold of it ---

    def effect(self, place: Place) -> int:
        """By how many units this shelf moves the level it feeds, once all is known."""
        if self.shop.truth is Truth.NONE:
            return 0
        if self.shop.truth is Truth.LEVELS:
            return self.moved.get(place, 0)
        return sum(edit.units for edit in self.edits.get(place, ()) if edit.seen) - sum(
            self._committed(order, line)
            for order in self.orders.values()
            for line in order.lines.values()
            if (line.remote, line.location) == place
        )

    def _committed(self, order: Order, line: Line) -> int:
        if self.shop.commit_on is CommitOn.PAID and not order.paid:
            return 0
        return min(line.taken, line.kept) if self.shop.restock is Restock.ALWAYS else line.taken

    # --- the API ---

    def read(self, refs: Sequence[Ref]) -> list[Reading]:
        found = []
        for ref in refs:
            value, stamp = self._shown((ref.remote, ref.location))
            at = stamp if self.shop.stamps else None
            found.append(Reading(ref.remote, ref.location, value, at, answered_at=self.now()))
        return found

    def page(self) -> list[ListingSeen]:
        found = []
        for (remote, location), value in self.shelf.items():
            at = self.stamp[remote, location] if self.shop.stamps else None
            found.append(ListingSeen(remote, remote.split("/")[0], value, location, at=at))
        return found

    def sent(self, write: Write) -> None:
        for row in write.rows:
            self.under_way[row.ref.remote, row.ref.location] = row.to_quantity

    def write(self, write: Write) -> list[RowResult]:
        if self.shop.keyed:
            first = self.keys.get(write.key)
            # what is declared of a key's life is so much shorter than it is, that a sending may be late
            life_s = self.shop.key_lifetime_s + self.setting.timeout_s + self.setting.late_s
            if first and self.loop.time() - first[0] < life_s:
                return first[1]
        answer = self._apply(write)
        if self.shop.keyed:
            self.keys[write.key] = self.loop.time(), answer
        return answer

    def _apply(self, write: Write) -> list[RowResult]:
        compares = self.shop.write is WriteKind.CAS and write.op is WriteOp.SET
        stale = [
            compares and self.shelf[row.ref.remote, row.ref.location] != row.from_quantity
            for row in write.rows
        ]
        if self.shop.atomic and any(stale):
            return [RowResult(Outcome.STALE if bad else Outcome.NOT_APPLIED) for bad in stale]
        return [
            RowResult(Outcome.STALE) if bad else self._put(write, row)
            for bad, row in zip(stale, write.rows, strict=True)
        ]

    def _put(self, write: Write, row: Any) -> RowResult:
        place = row.ref.remote, row.ref.location
        value = row.to_quantity
        if write.op is WriteOp.DELTA:
            value = self.shelf[place] + row.to_quantity - (row.from_quantity or 0)
        self.put(place, value)
        self.standing.pop(place, None)
        self.applied.append(Applied(self.loop.time(), write.key, place, row.to_quantity))
        self._tell_level(place)
        at = self.stamp[place] if self.shop.stamps else None
        return RowResult(Outcome.APPLIED, at=at, answered_at=self.now())

    # --- the way there and back ---

    async def look(self, work: Callable[[], Any]) -> Any:
        """A reading: once it is here, whatever people had changed by then is known."""
        answered: list[Edit] = []

        def looking() -> Any:
            answered.extend(one for standing in self.standing.values() for one in standing)
            return work()

        found = await self.call(looking)
        for edit in answered:
            edit.seen = True
        return found

    async def call(self, work: Callable[[], Any], *, writes: bool = False) -> Any:
        """One call: what is sent arrives, whether its sender lives on to hear of it or not."""
        self.calls += 1
        self.writes += writes
        rng, weather = self.rng, self.setting.weather
        answer: asyncio.Future[Any] = self.loop.create_future()
        if self.down or (not self.calm and rng.random() < weather.failed):
            self._fail(answer, rng.uniform(0.05, 0.5), "no connection", maybe_applied=False)
            return await answer
        there = rng.uniform(0.02, 0.6)
        if not (writes and not self.calm and rng.random() < weather.silent):
            self.loop.call_later(there, self._arrived, work, answer)
            return await answer
        fate = rng.randrange(3)
        if fate == 1:
            self.loop.call_later(there, work)
        elif fate == 2:
            late_s = self.setting.timeout_s + rng.uniform(0, self.setting.late_s - 1.0)
            self.loop.call_later(late_s, work)
        self._fail(answer, self.setting.timeout_s, "no answer in time", maybe_applied=True)
        return await answer

    def _fail(
        self, answer: asyncio.Future[Any], after_s: float, why: str, *, maybe_applied: bool
    ) -> None:
        error = RetryLater(why, maybe_applied=maybe_applied)
        self.loop.call_later(
            after_s, lambda: None if answer.done() else answer.set_exception(error)
        )

    def _arrived(self, work: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        if self.down:
            self._fail(answer, self.setting.timeout_s, "no answer in time", maybe_applied=True)
            return
        found = work()
        back = self.rng.uniform(0.02, 0.6)
        self.loop.call_later(back, lambda: None if answer.done() else answer.set_result(found))


def listed(platform: Platform, setting: Setting) -> None:
    """Put every item on every shelf of the shop, as it is before the run."""
    for sku in setting.skus:
        for location, _ in platform.shop.places:
            place = f"{sku}/{platform.shop.name}", location
            platform.shelf[place] = setting.stock
            platform.stamp[place] = NOON + timedelta(seconds=platform.shop.clock_s - 60)


__all__ = ["NOON", "Order", "Place", "Platform", "listed"]
