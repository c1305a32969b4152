"""A shop in this process: shelves, shoppers, orders, webhooks, and everything that goes wrong.

Its options choose which kind of platform it plays, its faults what is wrong with it just now, and
its book says what really happened.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator

from syncd.config.values import LastingDuration
from syncd.connectors.base import (
    Clock,
    Options,
    Outcome,
    Ref,
    RowResult,
    Subscription,
    Write,
    WriteKind,
    WriteOp,
    WriteRow,
)
from syncd.connectors.memory_shapes import (
    GoneBody,
    ItemBody,
    LevelBody,
    LineBody,
    ListingBody,
    OrderBody,
)
from syncd.stock.model import (
    QUANTITY_LIMIT,
    Edits,
    Kind,
    ListingSeen,
    OrderSeen,
    Reading,
    Truth,
)

T = TypeVar("T")

TOPICS = frozenset({"levels/update", "orders/update", "items/update", "items/delete"})
PING = "ping"


# --- options ------------------------------------------------------------------------------------


class MemoryOptions(Options):
    """Names the store and chooses its character; the store takes it over when a channel opens."""

    store: str = "memory"
    token: SecretStr = SecretStr("memory-token")
    webhook_secret: tuple[SecretStr, ...] = (SecretStr("memory-secret"),)
    """One or several; the store signs with its own, every one listed here is accepted."""
    truth: Truth = Truth.LEVELS
    write: WriteKind = WriteKind.CAS
    edits: frozenset[Edits] = frozenset()
    """Empty: adopt where levels are the truth, all three where orders are."""
    batch_max: int = Field(default=50, ge=1)
    read_max: int = Field(default=50, ge=1)
    orders_max: int = Field(default=50, ge=1)
    batch_atomic: bool = False
    locations: tuple[str, ...] = ()
    group_size: int = Field(default=0, ge=0)
    """Above 0: so many listings share a group, and a write may not mix groups."""
    sells_down: bool = True
    sells_below_zero: bool = False
    retires: bool = False
    """Products can be taken out of sale and back."""
    takes_when_paid: bool = False
    """An unpaid order takes nothing off the shelf yet."""
    unpaid_expires: LastingDuration | None = None
    """So long after it was placed the store still takes payment of an order; None: always."""
    dates_moves: bool = True
    """False: orders say when they were placed, and not when they moved a shelf."""
    echoes: bool = True
    """Our own writes come back as webhooks about levels."""
    bulk_read: bool = True
    page_max: int = Field(default=100, ge=1)
    late_apply_s: float = 2.0
    key_lifetime_s: float = 0.0
    """0: the store knows no keys."""
    clock_margin_s: float = 2.5
    workers: int = Field(default=2, ge=1)
    budget_capacity: float = Field(default=1000.0, gt=0)
    budget_rate: float = Field(default=1000.0, gt=0)

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, (str, SecretStr)) else given

    @model_validator(mode="after")
    def _possible(self) -> MemoryOptions:
        if self.truth is Truth.LEVELS and self.write is WriteKind.ABSOLUTE:
            raise ValueError("levels cannot be the truth where writes are absolute")
        return self


# --- the store ----------------------------------------------------------------------------------


class Unreachable(Exception):
    """The store cannot be connected to: nothing was sent."""


class Silence(Exception):
    """The connection closed without an answer."""


class Answered(Exception):
    """The store answered, and not with what was asked for."""

    def __init__(self, status: int, words: str = "", after_s: float | None = None) -> None:
        super().__init__(status)
        self.status, self.words, self.after_s = status, words, after_s


@dataclass(frozen=True, slots=True)
class Move:
    """One movement of a shelf that did not come through the API; cause as in the stand-ins."""

    at: datetime
    sku: str
    delta: int
    cause: str
    order: str = ""


@dataclass(slots=True)
class Book:
    """What really happened in the store: the judge of a run."""

    moves: list[Move] = field(default_factory=list)

    def total(self, sku: str, *causes: str) -> int:
        """Sum of the moves of one sku, of these causes only (all when none is named)."""
        return sum(
            m.delta for m in self.moves if m.sku == sku and (not causes or m.cause in causes)
        )


@dataclass(slots=True)
class Faults:
    """What is wrong with the store just now; change the fields while it runs. Shares are 0..1."""

    latency_s: float = 0.0
    down: bool = False
    status: int | None = None
    retry_after_s: float | None = None
    html: bool = False
    """Answers are pages of prose: nothing is applied, and nobody can tell."""
    hang: bool = False
    drip: bool = False
    """Calls are applied and their answer never completes."""
    expired: bool = False
    lose_answer: float = 0.0
    late: float = 0.0
    """Share of writes without an answer that are applied after `late_s`, or by `land()`."""
    late_s: float = 1.0
    refuse_skus: set[str] = field(default_factory=set)
    unnamed_skus: set[str] = field(default_factory=set)
    """A write holding one of these fails without naming it."""
    unnamed: float = 0.0
    """Share of writes of several rows that fail without naming one."""
    stale: float = 0.0
    """Share of compares that are called stale although they match."""
    break_attempt: float = 0.0
    """Share of keyed writes that break inside: 500, not applied, and their key is spent so."""
    clamp: int | None = None
    """Writes above this are accepted and stored as this: the platform's silent lie."""
    buckets: bool = True
    seed: int = 0
    rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)


@dataclass(slots=True)
class Counters:
    calls: int = 0
    writes: int = 0
    throttled: int = 0
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as the store sends it."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Sender:
    """Keeps what was sent; replace `send` to carry it somewhere."""

    def __init__(self) -> None:
        self.sent: list[Hook] = []

    def send(self, hook: Hook) -> None:
        self.sent.append(hook)

    async def idle(self) -> None:
        """Nothing is ever on its way."""

    async def close(self) -> None:
        """Nothing is held open."""


@dataclass(slots=True)
class Item:
    remote: str
    sku: str
    title: str
    group: str
    managed: bool = True
    counts: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    barcode: str = ""
    handle: str = ""
    tags: tuple[str, ...] = ()
    on_sale: bool = True


class MemoryStore:
    """A shop with shelves, shoppers, orders and webhooks; `store(name)` gives it by name."""

    platform, base_url = "memory", ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.character = MemoryOptions(store=name)
        self.clock: Clock = lambda: datetime.now(UTC)
        self.faults = Faults()
        self.book = Book()
        self.counters = Counters()
        self.sender = Sender()
        self.token = SecretStr("memory-token")
        self.secret = SecretStr("memory-secret")
        self.items: dict[str, Item] = {}
        self._skus: dict[str, str] = {}
        """Skus by remote id."""
        self.subscriptions: dict[str, Subscription] = {}
        self._orders: dict[str, OrderBody] = {}
        self._keys: dict[str, tuple[datetime, Write, list[RowResult] | None]] = {}
        self._late: list[Callable[[], object]] = []
        self._added = 0
        self._next = 0
        self._version = 0

    def options(self) -> dict[str, object]:
        """The `[channels.NAME.options]` of a channel on this store."""
        return self.character.model_dump(exclude_defaults=True) | {
            "store": self.name,
            "token": self.token.get_secret_value(),
            "webhook_secret": self.secret.get_secret_value(),
        }

    async def start(self, port: int = 0) -> None:
        """Nothing listens: the store is in this process."""

    async def stop(self) -> None:
        """Forget what was still to land, and the store's name."""
        self._late.clear()
        _stores.pop(self.name, None)

    # what people do

    def add(self, sku: str, quantity: int, title: str = "", location: str | None = None) -> None:
        """Put a product on the shelf; with locations, on the first or the named one."""
        places = self.character.locations or ("",)
        size, number = self.character.group_size, self._added
        # Ids start beyond 2**53: whoever treats them as floats gets them wrong.
        item = Item(
            str(2**53 + 1 + number), sku, title or sku, f"g{number // size}" if size else ""
        )
        now = self.clock()
        item.counts = dict.fromkeys(places, (0, now))
        item.counts[places[0] if location is None else location] = (quantity, now)
        self._added += 1
        if sku in self.items:
            self.remove(sku)
        self.items[sku] = item
        self._skus[item.remote] = sku
        self._emit("items/update", ItemBody(tuple(self._rows(item))))

    def remove(self, sku: str) -> None:
        """Delete a product for good."""
        item = self.items.pop(sku)
        del self._skus[item.remote]
        self._emit("items/delete", GoneBody(item.remote))

    async def sell(
        self, lines: Mapping[str, int], *, location: str | None = None, paid: bool = True
    ) -> str:
        """A shopper buys; ValueError where the shelf holds fewer and the store does not oversell."""
        place = (self.character.locations or ("",))[0] if location is None else location
        for sku, units in lines.items():
            if not self.items[sku].on_sale:
                raise ValueError(f"{sku} is not on sale")
            if units < 1 or (
                self.items[sku].counts[place][0] < units and not self.character.sells_below_zero
            ):
                raise ValueError(f"cannot sell {units} of {sku}")
        order = str(self._number())
        waits = self.character.takes_when_paid and not paid
        rows = tuple(
            LineBody(
                f"{order}.{n}",
                self.items[sku].remote,
                sku,
                place,
                0 if waits else units,
                units,
                0 if waits else units,
                units if waits else 0,
            )
            for n, (sku, units) in enumerate(lines.items(), 1)
        )
        now, ends = self.clock(), self.character.unpaid_expires
        placed = None if self.character.dates_moves else now
        until = now + ends if ends and not paid else None
        said = OrderBody(
            order, f"#{order}", 0, now, paid, False, Kind.SALE, rows, placed, until, now
        )
        self._save(said)
        for row in rows:
            self._move(row.sku, place, -row.taken, "sale", order)
        return order

    async def cancel(self, order: str) -> None:
        """Cancel; everything still held goes back on the shelf."""
        old = self._orders[order]
        lines = tuple(msgspec.structs.replace(line, taken=0, kept=0, waits=0) for line in old.lines)
        self._save(
            msgspec.structs.replace(old, lines=lines, terminal=True, kind=Kind.CANCELLATION),
            moved=True,
        )
        for line in old.lines:
            self._move(line.sku, line.location, line.taken, "cancel", order)

    async def refund(self, order: str, sku: str, units: int, *, restock: bool) -> None:
        """Refund units of a line; with `restock` they go back on the shelf."""
        old = self._orders[order]
        line = next(line for line in old.lines if line.sku == sku)
        if not 1 <= units <= min(line.kept, line.taken):
            raise ValueError(f"cannot refund {units} of {sku}")
        back = units if restock else 0
        new = msgspec.structs.replace(line, taken=line.taken - back, kept=line.kept - units)
        lines = tuple(new if one is line else one for one in old.lines)
        self._save(msgspec.structs.replace(old, lines=lines, kind=Kind.REFUND), moved=restock)
        self._move(sku, line.location, back, "refund", order)

    async def pay(self, order: str) -> None:
        """The payment of an unpaid order arrives."""
        old = self._orders[order]
        lines = tuple(
            msgspec.structs.replace(
                x, taken=x.taken + x.waits, sold=(x.sold or 0) + x.waits, waits=0
            )
            for x in old.lines
        )
        waited = any(line.waits for line in old.lines)
        self._save(msgspec.structs.replace(old, paid=True, lines=lines), moved=waited)
        for line in old.lines:
            self._move(line.sku, line.location, -line.waits, "sale", order)

    async def edit(self, sku: str, quantity: int, location: str | None = None) -> None:
        """A person types a new count."""
        place = (self.character.locations or ("",))[0] if location is None else location
        delta = quantity - self.items[sku].counts[place][0]
        self._move(sku, place, delta, "edit", sells_down=True)

    def unmanage(self, sku: str) -> None:
        """The store stops tracking this product."""
        self.items[sku].managed = False
        self._emit("items/update", ItemBody(tuple(self._rows(self.items[sku]))))

    def shelf(self, sku: str, location: str | None = None) -> int:
        """What the store shows, over all locations or at one."""
        counts = self.items[sku].counts
        places = counts if location is None else (location,)
        return sum(counts[place][0] for place in places)

    def on_sale(self, sku: str) -> bool:
        """Whether shoppers find it."""
        return self.items[sku].on_sale

    def hide(self, sku: str) -> None:
        """Somebody who works there takes it out of sale."""
        self.items[sku].on_sale = False

    def shelves(self) -> dict[str, int]:
        return {sku: self.shelf(sku) for sku in self.items}

    def land(self) -> None:
        """Apply every late write now, oldest first."""
        while self._late:
            self._late.pop(0)()

    # what its API does

    async def serve(self, token: str, work: Callable[[], T], *, writes: bool) -> T:
        """Answer one call, suffering from the faults. Raises Unreachable, Silence, Answered."""
        self.counters.calls += 1
        self.counters.writes += writes
        faults = self.faults
        await asyncio.sleep(faults.latency_s)
        if faults.down:
            raise Unreachable
        if faults.hang:
            await asyncio.get_running_loop().create_future()
        if faults.expired or not hmac.compare_digest(token, self.token.get_secret_value()):
            raise Answered(401)
        if faults.html:
            raise Answered(200)
        if faults.status is not None:
            self.counters.throttled += faults.status == 429
            raise Answered(faults.status, "fault", faults.retry_after_s)
        if writes and faults.rng.random() < faults.late:
            self._late.append(work)
            asyncio.get_running_loop().call_later(faults.late_s, self._land_one, work)
            raise Silence
        answer = work()
        if writes and faults.rng.random() < faults.lose_answer:
            raise Silence
        if faults.drip:
            await asyncio.get_running_loop().create_future()
        return answer

    def page(self, start: int) -> tuple[list[ListingSeen], int]:
        rows = [row.seen() for item in self.items.values() for row in self._rows(item)]
        return rows[start : start + self.character.page_max], len(rows)

    def read(self, refs: Sequence[Ref]) -> list[Reading]:
        if len(refs) > self.character.read_max:
            raise self._invalid(f"{len(refs)} listings in one reading")
        return [self._reading(ref) for ref in refs]

    def write(self, write: Write) -> list[RowResult]:
        """Apply one attempt; a key seen before gets its first answer again."""
        self._check(write)
        keyed, now = self.character.key_lifetime_s > 0, self.clock()
        first = self._keys.get(write.key) if keyed else None
        if first and (now - first[0]).total_seconds() < self.character.key_lifetime_s:
            if first[1] != write:
                raise Answered(422, "this key was used with other rows")
            failed = RowResult(Outcome.NOT_APPLIED, "the previous attempt failed")
            return [failed] * len(write.rows) if first[2] is None else first[2]
        if keyed and self.faults.rng.random() < self.faults.break_attempt:
            self._keys[write.key] = (now, write, None)
            raise Answered(500, "broken attempt")
        answer = self._apply(write)
        if keyed:
            self._keys[write.key] = (now, write, answer)
        return answer

    def retire(self, refs: Sequence[Ref], *, out: bool, again: bool) -> list[RowResult]:
        """Take products out of sale or back; what is not listed or is refused answers for itself."""
        if not self.character.retires:
            raise self._invalid("listings cannot be taken out of sale here")
        if not 0 < len(refs) <= self.character.batch_max or len({ref.group for ref in refs}) > 1:
            raise self._invalid(f"{len(refs)} listings taken out of sale in one call")
        return [self._retired(ref, out=out, again=again) for ref in refs]

    def _retired(self, ref: Ref, *, out: bool, again: bool) -> RowResult:
        item = self.items.get(self._sku(ref))
        if item is None:
            return RowResult(Outcome.REFUSED, "no such listing")
        if item.sku in self.faults.refuse_skus:
            return RowResult(Outcome.REFUSED, "the store refuses this product")
        if out and any(count > 0 for count, _ in item.counts.values()):
            return RowResult(Outcome.REFUSED, "there are units of it")
        if out and not again and not item.on_sale:
            return RowResult(Outcome.NOT_APPLIED, "it is not on sale already")
        item.on_sale = not out
        return RowResult(Outcome.APPLIED)

    def changed_since(self, since: datetime) -> list[OrderSeen]:
        oldest = since.timestamp() * 1_000_000
        found = [one.told(self.clock()) for one in self._orders.values() if one.version >= oldest]
        return [order.seen() for order in sorted(found, key=lambda order: order.version)]

    def order(self, order: str) -> OrderSeen:
        if order in self._orders:
            return self._orders[order].told(self.clock()).seen()
        now = self.clock()
        version = int(now.timestamp() * 1_000_000)
        return OrderSeen(order, version, now, (), terminal=True, gone=True)

    def subscribe(self, topic: str, address: str) -> None:
        if topic not in TOPICS:
            raise Answered(422, "no such topic")
        self.subscriptions[topic] = Subscription(f"s-{topic}", topic, address)
        self._send(PING, address, b"{}")

    def disable(self, topic: str) -> None:
        """What platforms do to a webhook whose deliveries keep failing."""
        self.subscriptions[topic] = replace(self.subscriptions[topic], healthy=False)

    # how it does it

    def _check(self, write: Write) -> None:
        seen = {(row.ref.remote, row.ref.location) for row in write.rows}
        if not 0 < len(write.rows) <= self.character.batch_max:
            raise self._invalid(f"{len(write.rows)} rows in one write")
        if len(seen) < len(write.rows) or len({row.ref.group for row in write.rows}) > 1:
            raise self._invalid("a write names a listing twice, or mixes groups")
        if write.op is WriteOp.DELTA and self.character.write is not WriteKind.CAS:
            raise self._invalid("deltas are not known here")

    def _invalid(self, why: str) -> Answered:
        self.counters.invalid.append(why)
        return Answered(400, why)

    def _apply(self, write: Write) -> list[RowResult]:
        faults, several = self.faults, len(write.rows) > 1
        if any(self._sku(row.ref) in faults.unnamed_skus for row in write.rows) or (
            several and faults.rng.random() < faults.unnamed
        ):
            return [RowResult(Outcome.UNNAMED, "something in the write is wrong")] * len(write.rows)
        problems = [self._problem(row, write.op) for row in write.rows]
        if self.character.batch_atomic and any(problems):
            dropped = RowResult(Outcome.NOT_APPLIED, "another row stopped the write")
            return [problem or dropped for problem in problems]
        return [
            problem or self._put(row, write.op)
            for row, problem in zip(write.rows, problems, strict=True)
        ]

    def _problem(self, row: WriteRow, op: WriteOp) -> RowResult | None:
        item = self.items.get(self._sku(row.ref))
        if item is None or row.ref.location not in item.counts:
            return RowResult(Outcome.REFUSED, "no such listing")
        if not item.managed:
            return RowResult(Outcome.REFUSED, "stock is not tracked")
        if item.sku in self.faults.refuse_skus:
            return RowResult(Outcome.REFUSED, "the store refuses this product")
        if abs(row.to_quantity) > QUANTITY_LIMIT:
            return RowResult(Outcome.REFUSED, "quantity out of range")
        compared = op is WriteOp.SET and self.character.write is WriteKind.CAS
        if compared and row.from_quantity is not None:
            matches = item.counts[row.ref.location][0] == row.from_quantity
            if not matches or self.faults.rng.random() < self.faults.stale:
                return RowResult(Outcome.STALE, "the count is another")
        return None

    def _put(self, row: WriteRow, op: WriteOp) -> RowResult:
        item, place = self.items[self._sku(row.ref)], row.ref.location
        count = row.to_quantity
        if op is WriteOp.DELTA:
            count += item.counts[place][0] - (row.from_quantity or 0)
        if self.faults.clamp is not None:
            count = min(count, self.faults.clamp)
        now = self.clock()
        item.counts[place] = (count, now)
        if self.character.echoes:
            self._emit("levels/update", LevelBody(item.remote, place, count, now))
        return RowResult(Outcome.APPLIED, at=now, answered_at=now)

    def _move(
        self,
        sku: str,
        place: str,
        delta: int,
        cause: str,
        order: str = "",
        *,
        sells_down: bool | None = None,
    ) -> None:
        if delta == 0:
            return
        now = self.clock()
        self.book.moves.append(Move(now, sku, delta, cause, order))
        item = self.items.get(sku)
        down = self.character.sells_down if sells_down is None else sells_down
        if item is None or not down:
            return
        count = item.counts[place][0] + delta
        item.counts[place] = (count, now)
        self._emit("levels/update", LevelBody(item.remote, place, count, now))

    def _save(self, order: OrderBody, *, moved: bool = False) -> None:
        now = self.clock()
        self._version = max(self._version + 1, int(now.timestamp() * 1_000_000))
        new = msgspec.structs.replace(order, version=self._version, at=now if moved else order.at)
        self._orders[order.id] = new
        self._emit("orders/update", new.told(now))

    def _sku(self, ref: Ref) -> str:
        return self._skus.get(ref.remote, "")

    def _reading(self, ref: Ref) -> Reading:
        item = self.items.get(self._sku(ref))
        if item is None or ref.location not in item.counts:
            return Reading(ref.remote, ref.location, None, missing=True)
        count, at = item.counts[ref.location]
        shown = count if item.managed else None
        return Reading(ref.remote, ref.location, shown, at, answered_at=self.clock())

    def _rows(self, item: Item) -> list[ListingBody]:
        return [
            ListingBody(
                item.remote,
                item.sku,
                count if item.managed else None,
                place,
                item.managed,
                at,
                f"v{item.remote}",
                item.group,
                item.title,
                item.barcode,
                item.handle,
                item.tags,
            )
            for place, (count, at) in item.counts.items()
        ]

    def _land_one(self, work: Callable[[], object]) -> None:
        if work in self._late:
            self._late.remove(work)
            work()

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _emit(self, topic: str, body: Any) -> None:
        subscription = self.subscriptions.get(topic)
        if subscription is not None and subscription.healthy:
            self._send(topic, subscription.address, msgspec.json.encode(body))

    def _send(self, topic: str, address: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/json",
            "X-Memory-Topic": topic,
            "X-Memory-Delivery": f"{self.name}-{self._number()}",
            "X-Memory-Signature": signature(self.secret, body),
        }
        self.sender.send(Hook(address, headers, body))


_stores: dict[str, MemoryStore] = {}


def store(name: str, **character: Any) -> MemoryStore:
    """The store of this name, made when first asked for; `stop()` forgets it.

    `character` are fields of MemoryOptions, for filling the shelves before a channel opens.
    """
    found = _stores.setdefault(name, MemoryStore(name))
    if character:
        found.character = MemoryOptions(store=name, **character)
    return found


def signature(secret: SecretStr, body: bytes) -> str:
    """Hex HMAC-SHA256 of the raw body."""
    return hmac.new(secret.get_secret_value().encode(), body, sha256).hexdigest()
