"""What every stand-in store shares: its order book, its faults, and how it sends webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Protocol

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Move:
    """One movement of a shelf that did not come through the API: what the ledger must find out.

    `cause` is sale, cancel, refund or edit; `delta` is signed units of `sku`.
    """

    at: datetime
    sku: str
    delta: int
    cause: str
    order: str = ""


@dataclass(slots=True)
class Book:
    """A store's own order book: the judge of a run, independent of syncd's tables."""

    moves: list[Move] = field(default_factory=list)

    def write(self, sku: str, delta: int, cause: str, order: str = "") -> Move:
        move = Move(datetime.now(UTC), sku, delta, cause, order)
        self.moves.append(move)
        return move

    def total(self, sku: str, *causes: str) -> int:
        """Sum of the moves of one sku, of these causes only (all when none is named)."""
        return sum(
            m.delta for m in self.moves if m.sku == sku and (not causes or m.cause in causes)
        )


@dataclass(slots=True)
class Faults:
    """What is wrong with a store just now; change the fields while it runs. Shares are 0..1."""

    latency_s: float = 0.0
    down: bool = False
    """Every connection is closed without an answer, before anything is applied."""
    status: int | None = None
    """Every call is answered with this status and nothing is applied."""
    retry_after_s: float | None = None
    """Goes with `status`: a Retry-After header."""
    html: bool = False
    """Every call is answered 200 with an HTML page and nothing is applied."""
    hang: bool = False
    """Every call waits for an answer that never comes; nothing is applied."""
    drip: bool = False
    """Every answer arrives one byte a second; the call is applied."""
    expired: bool = False
    """Credentials are refused (401)."""
    lose_answer: float = 0.0
    """Share of writes that are applied and whose connection then closes without an answer."""
    late: float = 0.0
    """Share of writes whose connection closes at once and that are applied `late_s` later."""
    late_s: float = 1.0
    refuse_skus: set[str] = field(default_factory=set)
    """Rows of these skus are refused by name, in the platform's own way."""
    buckets: bool = True
    """Enforce the platform's real rate limit."""
    seed: int = 0
    rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)


@dataclass(slots=True)
class Counters:
    """What the store saw, for tests: calls, throttled calls, refused (invalid) requests."""

    calls: int = 0
    writes: int = 0
    throttled: int = 0
    invalid: list[str] = field(default_factory=list)
    """Why requests were refused as malformed; stays empty while the connector is right."""


def faulty(
    faults: Faults,
    is_write: Callable[[web.Request], bool],
    expired_answer: Callable[[], web.Response] | None = None,
) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """A middleware that makes a store's API suffer from `faults`.

    `is_write` tells which requests may lose their answer or be applied late.
    """
    background: set[asyncio.Task[object]] = set()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(faults.latency_s)
        answer = await _instead(request, faults, expired_answer)
        if answer is not None:
            return answer
        if is_write(request) and faults.rng.random() < faults.late:
            task = asyncio.ensure_future(_apply_late(request, handler, faults.late_s))
            background.add(task)
            task.add_done_callback(background.discard)
            return _hang_up(request)
        response = await handler(request)
        if is_write(request) and faults.rng.random() < faults.lose_answer:
            return _hang_up(request)
        return await _drip(request, response) if faults.drip else response

    return middleware


async def _instead(
    request: web.Request, faults: Faults, expired_answer: Callable[[], web.Response] | None
) -> web.Response | None:
    """The answer of a store that does nothing at all just now; None: it works."""
    if faults.hang:
        await asyncio.sleep(3600)
    if faults.down:
        return _hang_up(request)
    if faults.html:
        page = "<html><body>maintenance</body></html>"
        return web.Response(text=page, content_type="text/html")
    if faults.expired:
        return expired_answer() if expired_answer else web.Response(status=401)
    if faults.status is None:
        return None
    extra = {} if faults.retry_after_s is None else {"Retry-After": str(faults.retry_after_s)}
    return web.Response(status=faults.status, text="fault", headers=extra)


async def _apply_late(request: web.Request, handler: Handler, late_s: float) -> None:
    await asyncio.sleep(late_s)
    await handler(request)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _drip(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    body = response.body
    slow = web.StreamResponse(status=response.status)
    slow.content_type = response.content_type
    slow.content_length = len(body)
    await slow.prepare(request)
    for index in range(len(body)):
        await slow.write(body[index : index + 1])
        await asyncio.sleep(1)
    return slow


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook to send: exact body and signed headers."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class SendPolicy:
    """How a platform delivers webhooks. `retry_delays_s` is its real schedule unless replaced."""

    retry_delays_s: tuple[float, ...]
    ok: Callable[[int], bool]
    timeout_s: float = 5.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    """Each delivery waits a random time in this range first."""
    drop: float = 0.0
    """Share of deliveries that are never sent."""
    duplicate: float = 0.0
    """Share of deliveries that are sent twice."""
    seed: int = 0


class Sender:
    """Sends webhooks in the background, each on its own, by a platform's policy."""

    def __init__(self, policy: SendPolicy) -> None:
        self.policy = policy
        self.acknowledged: list[Hook] = []
        self.given_up: list[Hook] = []
        self._rng = Random(policy.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def send(self, hook: Hook) -> None:
        """Queue one delivery; returns at once."""
        if self._rng.random() < self.policy.drop:
            return
        for _ in range(2 if self._rng.random() < self.policy.duplicate else 1):
            task = asyncio.ensure_future(self._deliver(hook))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Returns when nothing is waiting to be sent."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, hook: Hook) -> None:
        low, high = self.policy.delay_s
        if high:
            await asyncio.sleep(self._rng.uniform(low, high))
        for delay_s in (*self.policy.retry_delays_s, None):
            if await self._post(hook):
                self.acknowledged.append(hook)
                return
            if delay_s is not None:
                await asyncio.sleep(delay_s)
        self.given_up.append(hook)

    async def _post(self, hook: Hook) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.policy.timeout_s)
            )
        try:
            async with self._session.post(
                hook.url, data=hook.body, headers=hook.headers, allow_redirects=False
            ) as response:
                await response.read()
                return self.policy.ok(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


class Standin(Protocol):
    """What the driver and the tests ask of every stand-in store."""

    platform: str
    faults: Faults
    book: Book
    counters: Counters
    sender: Sender

    @property
    def base_url(self) -> str:
        """Goes into the channel's `options.base_url`."""
        ...

    def options(self) -> dict[str, object]:
        """The channel's complete `[channels.NAME.options]` for this store."""
        ...

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; 0 picks a free port."""
        ...

    async def stop(self) -> None: ...

    def add(self, sku: str, quantity: int, title: str = "") -> None:
        """Put a product with one tracked listing on the shelf."""
        ...

    async def sell(self, lines: Mapping[str, int]) -> str:
        """A shopper buys: lowers the shelves, writes the book, sends webhooks; gives the order id.

        Sells what is asked even below zero only where the platform would; else fewer or ValueError.
        """
        ...

    async def cancel(self, order: str) -> None:
        """Cancel and put back, the platform's way."""
        ...

    async def refund(self, order: str, sku: str, units: int, *, restock: bool) -> None: ...

    async def edit(self, sku: str, quantity: int) -> None:
        """A person types a new count in the store's admin."""
        ...

    def shelf(self, sku: str) -> int:
        """What the store shows for sale now."""
        ...

    def shelves(self) -> dict[str, int]: ...
