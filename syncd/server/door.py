"""The door: a webhook is answered 200 only when it is stored, and everything else without a trace.

Order of the checks: channel, method, size, encoding, body, signature, topic, database.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol
from urllib.parse import unquote

import structlog
from aiohttp import hdrs, web
from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Gauge, Histogram

from syncd.connectors.base import Clock, Connector, Delivered
from syncd.db.inbox import NewEvent
from syncd.errors import Unsigned
from syncd.server.listen import Address, listen
from syncd.server.store import Ack, GroupedStore

log = structlog.get_logger("syncd.server.door")

PREFIX = "/webhooks/"
TOPIC_MAX = 255
OTHER = "other"
"""The topic label of everything the connector does not declare: labels stay few."""

LINGER_S = 2.0
ARRIVING_S = 0.2
SHUTDOWN_S = 10.0
RETRY_AFTER_S = 5
"""Asked of senders we could not serve; platforms keep to schedules of their own, proxies listen."""

LOG_LINES_PER_MINUTE = 20


class Metrics(Protocol):
    """The metrics the door keeps; `syncd.telemetry.metrics.Metrics` has them all."""

    webhooks_received_total: Counter
    webhook_ack_seconds: Histogram
    webhook_last_received_timestamp_seconds: Gauge


@dataclass(frozen=True, slots=True)
class DoorChannel:
    """A channel as the door knows it. One that is not enabled still verifies and stores."""

    id: int
    connector: Connector
    enabled: bool = True
    max_body_bytes: int | None = None
    """None: the door's own bound."""


class _Refusal(Exception):
    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome


_BODIES = {
    200: b"ok\n",
    400: b"bad request\n",
    401: b"unsigned\n",
    404: b"not found\n",
    405: b"method not allowed\n",
    408: b"too slow\n",
    413: b"too large\n",
    415: b"send it unencoded\n",
    500: b"failed\n",
    503: b"not stored, send it again\n",
}
_HEADERS = {hdrs.CONTENT_TYPE: "text/plain; charset=utf-8", hdrs.SERVER: "syncd"}
_EXTRA = {405: {hdrs.ALLOW: "POST"}, 503: {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)}}
_ALL_HEADERS = {status: _HEADERS | _EXTRA.get(status, {}) for status in _BODIES}
_CLOSING = frozenset({400, 404, 405, 408, 413, 415})
"""Statuses that may leave an unread body behind: the connection is of no more use."""

_STATUS = {Ack.NEW: 200, Ack.DUPLICATE: 200, Ack.AWAY: 503, Ack.BUSY: 503, Ack.REFUSED: 503}
_DUMMY_KEY = b"nobody's secret, as long as others"


class Door:
    """`POST /webhooks/{channel}`. Assign `channels` to swap the whole set in one step.

    A channel that is not in it any more is 404 at once; requests already inside end as they began.
    """

    def __init__(
        self,
        store: GroupedStore,
        channels: Mapping[str, DoorChannel],
        metrics: Metrics,
        clock: Clock,
        *,
        max_body_bytes: int = 1024 * 1024,
        body_timeout_s: float = 10.0,
        keepalive_timeout_s: float = 30.0,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._keepalive_timeout_s = keepalive_timeout_s
        self._runner: web.ServerRunner | None = None
        self._log_room = AsyncLimiter(LOG_LINES_PER_MINUTE, 60)
        self._unlogged = 0
        self._stopping = False
        self._counts: dict[tuple[str, str, str], Counter] = {}
        self._last: dict[str, Gauge] = {}
        self.channels = channels

    @property
    def channels(self) -> Mapping[str, DoorChannel]:
        return self._channels

    @channels.setter
    def channels(self, channels: Mapping[str, DoorChannel]) -> None:
        self._channels = channels
        # series of channels that went may have been removed from the registry
        self._counts.clear()
        self._last.clear()

    async def start(
        self, where: Address | None, sockets: Sequence[socket.socket] = ()
    ) -> list[Address]:
        """Listen on the inherited sockets, else on the address; gives what is bound.

        Raises OSError when the address cannot be had.
        """
        server = web.Server(
            self._serve,
            access_log=None,  # counted instead: a line per webhook says nothing more
            logger=_counting_logger(self._count_malformed),
            auto_decompress=False,  # signatures are over the bytes as sent
            keepalive_timeout=self._keepalive_timeout_s,
            lingering_time=LINGER_S,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
        return await listen(self._runner, where, sockets)

    async def stop(self) -> None:
        """Take no more, and end when every request inside has its answer.

        What was accepted already gets a moment to arrive: the next daemon on an inherited socket
        never sees it, and its sender would meet a closed connection.
        """
        runner, self._runner = self._runner, None
        self._stopping = True
        if runner is not None:
            for site in list(runner.sites):
                await site.stop()
            await asyncio.sleep(ARRIVING_S)
            await runner.cleanup()
        await self._store.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        began_s = time.perf_counter()
        name = _channel_name(request.raw_path)
        channel = self._channels.get(name) if name else None
        label = name if channel is not None else ""
        topic, text = OTHER, None
        try:
            if channel is None:
                _waste(request)
                status, outcome = 404, "unknown"
            else:
                body = await self._body(request, channel)
                delivered = channel.connector.verify(request.headers, body)
                topic = self._topic(channel, delivered)
                text = delivered.answer
                if text is None:
                    ack = await self._store.put(self._event(channel, delivered, body))
                    status, outcome = _STATUS[ack], ack.value
                else:
                    status, outcome = 200, "answered"
        except Unsigned:
            status, outcome = 401, "unsigned"
            await self._say_unsigned(label)
        except _Refusal as refusal:
            status, outcome = refusal.status, refusal.outcome
        except Exception as error:  # noqa: BLE001 - every request has its answer
            # a defect of ours: the sender keeps the event; its words could quote the body
            status, outcome = 500, "failed"
            log.error("door.failed", channel=label, error=type(error).__name__)  # noqa: TRY400
        self._count(label, topic, outcome)
        if status == 200:
            self._metrics.webhook_ack_seconds.observe(time.perf_counter() - began_s)
            if text is None:
                # an answered ping need not be signed: it proves nothing about this channel
                self._stamp(label)
        response = _response(status, text)
        if self._stopping:
            response.force_close()
        return response

    async def _body(self, request: web.BaseRequest, channel: DoorChannel) -> bytes:
        """The raw body, or the refusal of it."""
        if request.method != hdrs.METH_POST:
            raise _Refusal(405, "wrong_method")
        max_bytes = channel.max_body_bytes or self._max_body_bytes
        headers = request.headers
        length = headers.get(hdrs.CONTENT_LENGTH)
        if length is not None and int(length) > max_bytes:
            raise _Refusal(413, "too_large")
        if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _Refusal(415, "encoded")
        try:
            if request.content.is_eof():
                # arrived together with its head, as nearly all do: no task, no timer
                body = request.content.read_nowait()
            else:
                body = await self._slow_body(request, max_bytes)
        except TimeoutError:
            raise _Refusal(408, "timed_out") from None
        except (web.RequestPayloadError, OSError):
            raise _Refusal(400, "broken_off") from None
        if len(body) > max_bytes:
            raise _Refusal(413, "too_large")
        return body

    async def _slow_body(self, request: web.BaseRequest, max_bytes: int) -> bytes:
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        body = bytearray()
        async with asyncio.timeout(self._body_timeout_s):
            while len(body) <= max_bytes:
                piece = await request.content.readany()
                if not piece:
                    break
                body += piece
        return bytes(body)

    def _topic(self, channel: DoorChannel, delivered: Delivered) -> str:
        """The topic as a label. Raises a refusal where no database could keep it."""
        topic = delivered.topic
        # headers are decoded with surrogates for bytes that are not UTF-8
        if len(topic) > TOPIC_MAX or not topic.isprintable():
            raise _Refusal(400, "bad_topic")
        return topic if topic in channel.connector.capabilities.topics else OTHER

    def _event(self, channel: DoorChannel, delivered: Delivered, body: bytes) -> NewEvent:
        name = delivered.dedupe.encode("utf-8", "surrogatepass")
        return NewEvent(
            channel_id=channel.id,
            digest=blake2b(name, digest_size=16).digest(),
            topic=delivered.topic,
            body=body,
            triggered_at=delivered.triggered_at,
            received_at=self._clock(),
        )

    def _count(self, channel: str, topic: str, outcome: str) -> None:
        key = (channel, topic, outcome)
        child = self._counts.get(key)
        if child is None:
            child = self._metrics.webhooks_received_total.labels(*key)
            self._counts[key] = child
        child.inc()

    def _count_malformed(self) -> None:
        self._count("", OTHER, "malformed")

    def _stamp(self, channel: str) -> None:
        child = self._last.get(channel)
        if child is None:
            child = self._metrics.webhook_last_received_timestamp_seconds.labels(channel)
            self._last[channel] = child
        child.set(self._clock().timestamp())

    async def _say_unsigned(self, channel: str) -> None:
        """A line, unless there were many: whoever forges requests must not fill the disk."""
        if not self._log_room.has_capacity():
            self._unlogged += 1
            return
        await self._log_room.acquire()
        log.warning("door.unsigned", channel=channel, unlogged_before=self._unlogged)
        self._unlogged = 0


def _channel_name(raw_path: str) -> str:
    """The channel of a request target; empty where it is no webhook address."""
    if not raw_path.startswith(PREFIX):
        return ""
    return unquote(raw_path[len(PREFIX) :].partition("?")[0])


def _waste(request: web.BaseRequest) -> None:
    """Take about the time a known channel takes, so that timing does not tell which exist."""
    if request.content.is_eof() and request.content.exception() is None:
        hmac.digest(_DUMMY_KEY, request.content.read_nowait(), "sha256")


def _response(status: int, text: str | None) -> web.Response:
    body = _BODIES[status] if text is None else text.encode()
    response = web.Response(status=status, body=body, headers=_ALL_HEADERS[status])
    if status in _CLOSING:
        response.force_close()
    return response


def _counting_logger(count: Callable[[], None]) -> logging.Logger:
    """For aiohttp's own complaints about malformed HTTP: counted, not logged.

    They carry the peer's bytes and a traceback each, at whatever rate the peer likes.
    """

    def swallow(_: logging.LogRecord) -> bool:
        count()
        return False

    logger = logging.Logger("syncd.server.http", logging.DEBUG)  # noqa: LOG001 - of this door alone
    logger.addFilter(swallow)
    return logger
