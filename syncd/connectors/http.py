"""The one gate through which connectors speak: paced by the channel's budget, limited, classified.

Every request passes here, so no connector can outrun its platform or hang for ever.
"""

from __future__ import annotations

import json as std_json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from syncd import __version__
from syncd.connectors.budget import Budget, Priority, Ticket
from syncd.errors import ChannelClosed, RetryLater

ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
"""An answer larger than this is refused: no catalogue page is."""

STREAM_LINE_LIMIT_BYTES = 4 * 1024 * 1024

_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)
"""aiohttp 3.14 lets a line that is too long through as it is, not as one of its client errors."""

_prepaid: ContextVar[Ticket | None] = ContextVar("prepaid", default=None)
_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.NORMAL)


class CallObserver(Protocol):
    """Hears of every answered or failed call, for metrics and logs."""

    def __call__(self, op: str, outcome: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; `json()` raises RetryLater where the body is no JSON (an HTML page)."""

    status: int
    headers: CIMultiDictProxy[str] | CIMultiDict[str]
    body: bytes

    @property
    def date(self) -> datetime | None:
        """The platform's clock when it answered, in whole seconds; None where it does not say."""
        try:
            found = parsedate_to_datetime(self.headers.get("Date", ""))
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

    def json(self, *, maybe_applied: bool = False) -> Any:
        """The decoded body. `maybe_applied`: what to say of a write if it cannot be read."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            kind = self.headers.get("Content-Type", "no content type")
            raise RetryLater(
                f"answer {self.status} is not JSON ({kind})", maybe_applied=maybe_applied
            ) from error


@contextmanager
def priority(level: Priority) -> Iterator[None]:
    """Requests inside wait for the budget at this priority."""
    token = _priority.set(level)
    try:
        yield
    finally:
        _priority.reset(token)


class Http:
    """One channel's HTTP client. Raises RetryLater and ChannelClosed; other answers are returned.

    Classified here, alike for every platform: no connection, time-out, 5xx, 429, 401/403,
    redirects. Everything else (2xx, 400, 404, 409, 413, 422 …) comes back as an Answer.
    """

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        *,
        headers: Mapping[str, str] | None = None,
        total_timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        observer: CallObserver | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self._headers = {"User-Agent": f"syncd/{__version__}", **(headers or {})}
        self._total_timeout_s = total_timeout_s
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout_s, connect=connect_timeout_s, sock_read=total_timeout_s
        )
        self._observer = observer
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=32, limit_per_host=16),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def timeout_s(self) -> float:
        """How long one call may take in all."""
        return self._total_timeout_s

    @asynccontextmanager
    async def reserved(self, cost: float, level: Priority) -> AsyncIterator[Ticket]:
        """Wait for the budget first, so that what is sent is decided as late as possible.

        The first request inside spends this ticket; an unspent one is given back.
        """
        ticket = await self.budget.acquire(cost, level)
        paid, urgency = _prepaid.set(ticket), _priority.set(level)
        try:
            yield ticket
        finally:
            _prepaid.reset(paid)
            _priority.reset(urgency)
            ticket.give_back()

    async def call(
        self,
        op: str,
        method: str,
        path: str,
        *,
        cost: float = 1.0,
        json: Any = None,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        price: Callable[[Answer], float | None] | None = None,
    ) -> Answer:
        """One request. `path` is relative to `base_url`; `op` names it in metrics.

        A GET is never `maybe_applied`; any other method may be after a time-out or a 5xx.
        `price` reads from the answer what the call cost in the end (None: what was reserved).
        """
        async with self.paid(cost) as ticket:
            started = ticket.now()
            outcome = "failed"
            try:
                answer = await self._send(method, path, json, data, params, headers)
                outcome = str(answer.status)
                self._classify(answer, method)
            finally:
                self._observe(op, outcome, started)
            ticket.settle(None if price is None else price(answer))
            return answer

    @asynccontextmanager
    async def paid(self, cost: float) -> AsyncIterator[Ticket]:
        """One call's place in the budget: the reserved ticket if unspent, else a new one.

        Settled when left, so that a connector's next call never waits for its own last one.
        """
        ticket = _prepaid.get()
        if ticket is None or not ticket.take():
            ticket = await self.budget.acquire(cost, _priority.get())
            ticket.take()
        try:
            yield ticket
        finally:
            ticket.settle()

    async def lines(self, op: str, url: str) -> AsyncIterator[bytes]:
        """Stream a result file line by line (a bulk export), without our credentials.

        Only https, or the very origin of `base_url`, is fetched: the address came from outside.
        A file server is not the platform's API: this costs no budget and holds no worker's place.
        """
        target, home = urlsplit(url), urlsplit(self.base_url)
        if target.scheme != "https" and target[:2] != home[:2]:
            raise RetryLater(f"result file at an unexpected address ({target.scheme} scheme)")
        started, outcome = self.budget.clock(), "failed"
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=None, connect=5.0, sock_read=30.0),
                    read_bufsize=STREAM_LINE_LIMIT_BYTES,
                ) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise RetryLater(f"result file answered {response.status}")
                async for line in response.content:
                    yield line
                outcome = "200"
        except (*_BROKEN, TimeoutError, ValueError) as error:
            raise RetryLater(f"result file broke off: {type(error).__name__}") from error
        finally:
            self._observe(op, outcome, started)

    def _observe(self, op: str, outcome: str, started: float) -> None:
        if self._observer is not None:
            self._observer(op, outcome, self.budget.clock() - started)

    async def _send(
        self,
        method: str,
        path: str,
        json: Any,
        data: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        all_headers = dict(headers or {})
        if json is not None:
            data = msgspec.json.encode(json)
            all_headers["Content-Type"] = "application/json"
        writes = method != "GET"
        try:
            async with self.session.request(
                method,
                self.base_url + path,
                data=data,
                params=params,
                headers=all_headers,
                allow_redirects=False,
            ) as response:
                body = await _read_limited(response)
                return Answer(response.status, response.headers, body)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ChannelClosed("base_url cannot be used as an address") from error
        except aiohttp.ClientConnectorError as error:
            raise RetryLater(f"no connection: {error.os_error}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise RetryLater("no connection: timed out") from error
        except TimeoutError as error:
            self.budget.failed()
            raise RetryLater("no answer in time", maybe_applied=writes) from error
        except _BROKEN as error:
            self.budget.failed()
            reason = f"connection lost: {type(error).__name__}"
        # Raised out here: aiohttp's error carries our request headers, so it must not be chained.
        raise RetryLater(reason, maybe_applied=writes)

    def _classify(self, answer: Answer, method: str) -> None:
        status = answer.status
        if status == 429 or (status == 503 and "Retry-After" in answer.headers):
            after_s = retry_after_s(answer.headers)
            self.budget.throttled(after_s)
            raise RetryLater(
                f"throttled ({status})",
                after_s=after_s,
                throttled=True,
                maybe_applied=status == 503 and method != "GET",
            )
        if status in (401, 403):
            raise ChannelClosed(f"credentials refused ({status}): {error_words(answer)}")
        if 300 <= status < 400:
            raise ChannelClosed(f"redirected ({status}): check base_url or the shop's name")
        if status >= 500:
            self.budget.failed()
            raise RetryLater(
                f"platform error {status}: {error_words(answer)}", maybe_applied=method != "GET"
            )


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise RetryLater("answer too large", maybe_applied=response.method != "GET")
    return bytes(body)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by Retry-After; None where absent or not a number (dates are ignored)."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(seconds, 0.0), 3600.0) if not isnan(seconds) else None


def error_words(answer: Answer) -> str:
    """A short, printable piece of an error answer: the platform's own words, no markup."""
    try:
        found = std_json.loads(answer.body)
    except (ValueError, RecursionError):
        return "no JSON body"
    if isinstance(found, dict):
        for name in ("message", "error", "errors", "code"):
            if found.get(name):
                return str(found[name])[:200]
    return str(found)[:200]
