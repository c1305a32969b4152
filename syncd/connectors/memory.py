"""The reference connector: the shortest full answer to the contract, to be read as its commentary.

It speaks to a store in this process (`store(name)`), so flow tests can meet every kind of platform.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from syncd.connectors.base import (
    Capabilities,
    Clock,
    Delivered,
    Event,
    Http,
    Location,
    Page,
    Platform,
    Ref,
    RowResult,
    Subscription,
    Whoami,
    Write,
)
from syncd.connectors.memory_shapes import GoneBody, ItemBody, LevelBody, OrderBody
from syncd.connectors.memory_store import (
    PING,
    TOPICS,
    Answered,
    MemoryOptions,
    MemoryStore,
    Silence,
    Unreachable,
    signature,
    store,
)
from syncd.errors import BadFact, ChannelClosed, Refused, RetryLater, Unsigned
from syncd.stock.model import (
    Edits,
    Fact,
    ItemGone,
    ItemSeen,
    LevelSeen,
    OrderSeen,
    Reading,
    Truth,
)

T = TypeVar("T")

# --- capabilities -------------------------------------------------------------------------------


def capabilities(options: MemoryOptions) -> Capabilities:
    """What a store of this character can do."""
    levels = options.truth is Truth.LEVELS
    edits = frozenset({Edits.ADOPT}) if levels else frozenset(Edits)
    undated = "" if options.dates_moves else "its orders do not say when they moved a shelf"
    if undated and not levels:
        edits = frozenset({Edits.OVERWRITE})
    return Capabilities(
        truth=options.truth,
        edits=options.edits or edits,
        undated=undated,
        write=options.write,
        batch_max=options.batch_max,
        read_max=options.read_max,
        orders_max=options.orders_max,
        topics=TOPICS,
        locations=bool(options.locations),
        tags=True,
        retires=options.retires,
        batch_atomic=options.batch_atomic,
        sells_down=options.sells_down,
        late_apply_s=options.late_apply_s,
        key_lifetime_s=options.key_lifetime_s,
        clock_margin_s=options.clock_margin_s,
        bulk_read=options.bulk_read,
        workers=options.workers,
        budget_capacity=options.budget_capacity,
        budget_rate=options.budget_rate,
    )


# --- the connector ------------------------------------------------------------------------------


class MemoryConnector:
    """One channel on a store in this process. Paced by the budget like any other."""

    def __init__(self, options: MemoryOptions, http: Http, clock: Clock) -> None:
        self.capabilities = capabilities(options)
        self._options = options
        self._http = http
        self._store = store(options.store)
        self._store.character = options
        self._store.clock = clock

    async def open(self) -> Whoami:
        return await self._call(lambda: Whoami(self._store.name))

    async def close(self) -> None:
        """Nothing is held open here."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        given = headers.get("X-Memory-Signature", "").encode("utf-8", "surrogateescape")
        good = False
        for secret in self._options.webhook_secret:  # every one, whichever fits: constant time
            good |= hmac.compare_digest(given, signature(secret, body).encode())
        topic, delivery = headers.get("X-Memory-Topic", ""), headers.get("X-Memory-Delivery", "")
        if not good or not topic or not delivery:
            raise Unsigned("no valid signature of this store")
        return Delivered(topic, delivery, answer="pong" if topic == PING else None)

    def parse(self, event: Event) -> Sequence[Fact]:
        match event.topic:
            case "levels/update":
                level = _decoded(event.body, LevelBody)
                return [LevelSeen(level.listing, level.location, level.quantity, level.at)]
            case "orders/update":
                return [_decoded(event.body, OrderBody).seen()]
            case "items/update":
                found = _decoded(event.body, ItemBody)
                return [ItemSeen(tuple(listing.seen() for listing in found.listings))]
            case "items/delete":
                return [ItemGone((_decoded(event.body, GoneBody).listing,))]
            case _:
                return []

    async def listings(self) -> AsyncIterator[Page]:
        start, total = 0, 1
        while start < total:
            rows, total = await self._call(partial(self._store.page, start))
            yield Page(rows, answered_at=self._store.clock())
            start += len(rows)
            if not rows and start < total:
                raise RetryLater(f"the catalogue broke off at {start} of {total}")

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        return await self._call(lambda: self._store.read(refs))

    async def write(self, write: Write) -> Sequence[RowResult]:
        return await self._call(lambda: self._store.write(write), writes=True)

    async def retire(self, refs: Sequence[Ref], *, out: bool, again: bool) -> Sequence[RowResult]:
        call = partial(self._store.retire, refs, out=out, again=again)
        return await self._call(call, writes=True)

    async def orders_since(self, since: datetime) -> AsyncIterator[Sequence[OrderSeen]]:
        found = await self._call(lambda: self._store.changed_since(since))
        for start in range(0, len(found), self._options.page_max):
            yield found[start : start + self._options.page_max]

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderSeen]:
        found: list[OrderSeen] = []
        for first in range(0, len(ids), self._options.orders_max):
            part = ids[first : first + self._options.orders_max]
            found += await self._call(partial(list, map(self._store.order, part)))
        return found

    async def subscriptions(self) -> Sequence[Subscription]:
        return await self._call(lambda: list(self._store.subscriptions.values()))

    async def subscribe(self, topic: str, address: str) -> None:
        await self._call(lambda: self._store.subscribe(topic, address))

    async def locations(self) -> Sequence[Location]:
        return await self._call(
            lambda: [Location(place, place) for place in self._options.locations]
        )

    async def _call(self, work: Callable[[], T], *, writes: bool = False) -> T:
        """One call: paid for, bounded in time, its answer classified as `Http.call` would."""
        async with self._http.paid(1.0):
            try:
                async with asyncio.timeout(self._http.timeout_s):
                    token = self._options.token.get_secret_value()
                    return await self._store.serve(token, work, writes=writes)
            except Unreachable as error:
                raise RetryLater("no connection") from error
            except (Silence, TimeoutError) as error:
                self._http.budget.failed()
                raise RetryLater("no answer in time", maybe_applied=writes) from error
            except Answered as error:
                raise self._classified(error, writes) from error

    def _classified(self, answer: Answered, writes: bool) -> Exception:
        if answer.status == 429:
            self._http.budget.throttled(answer.after_s)
            return RetryLater("throttled (429)", after_s=answer.after_s, throttled=True)
        if answer.status in (401, 403):
            return ChannelClosed(f"credentials refused ({answer.status})")
        if 400 <= answer.status < 500:
            return Refused(f"refused ({answer.status}): {answer.words}")
        if answer.status >= 500:
            self._http.budget.failed()
        return RetryLater(f"answer {answer.status} is no answer", maybe_applied=writes)


# --- reading events ---


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise BadFact(f"not a {kind.__name__}: {error}") from error


PLATFORM = Platform(
    "memory", MemoryOptions, MemoryConnector, capabilities(MemoryOptions()), shaped=capabilities
)

__all__ = ["PLATFORM", "MemoryConnector", "MemoryOptions", "MemoryStore", "capabilities", "store"]
