"""The door over real HTTP and a real PostgreSQL: what is answered, what is stored, what is said."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from syncd.connectors.base import Delivered
from syncd.db import bookmark, inbox
from syncd.db.migrate import migrate
from syncd.db.pool import Database
from syncd.errors import Unsigned
from syncd.server import Address, Door, DoorChannel, GroupedStore, Ops, address
from syncd.telemetry.metrics import Metrics
from tests.postgres import Cluster

SECRET = b"canary-secret-5f1d"
CANARY = "canary-body-77aa"
LOOPBACK = Address("127.0.0.1", 0)


class _Capabilities:
    topics = frozenset({"orders/create"})


class Hooks:
    """A connector that only verifies: an HMAC over the body, topic and id from headers."""

    capabilities = _Capabilities()

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        if headers.get("x-break"):
            raise KeyError(f"{CANARY} {SECRET.decode()}")
        said = headers.get("x-sign", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(said, hmac.digest(SECRET, body, "sha256").hex().encode()):
            raise Unsigned("signature")
        topic = headers.get("x-topic", "orders/create").replace("{nul}", "\0")
        return Delivered(
            topic=topic,
            dedupe=headers.get("x-id") or hashlib.sha256(body).hexdigest(),
            answer="hello" if topic == "ping" else None,
            # no moment at all: the database refuses the row
            triggered_at="poison" if headers.get("x-poison") else None,  # type: ignore[arg-type]
        )


def now() -> datetime:
    return datetime.now(UTC)


def signed(body: bytes, **more: str) -> dict[str, str]:
    names = {f"x-{name}": value for name, value in more.items()}
    return {"x-sign": hmac.digest(SECRET, body, "sha256").hex(), **names}


class House:
    """A door on a free port with everything it needs, and what was rung and counted."""

    def __init__(self, db: Database, **settings: Any) -> None:
        keep = {n: settings.pop(n) for n in list(settings) if n in STORE_SETTINGS}
        clock = settings.pop("clock", now)
        self.rung = 0
        self.metrics = Metrics()
        self.store = GroupedStore(db, clock, self._ring, **keep)
        self.hooks = Hooks()
        channels = {"uk": DoorChannel(1, self.hooks), "off": DoorChannel(2, self.hooks, False)}
        self.door = Door(self.store, channels, self.metrics, clock, **settings)

    def _ring(self) -> None:
        self.rung += 1

    async def start(self) -> None:
        [self.at] = await self.door.start(LOOPBACK)
        self.session = aiohttp.ClientSession(f"http://{self.at.host}:{self.at.port}")

    async def stop(self) -> None:
        await self.session.close()
        await self.door.stop()

    async def post(
        self,
        body: bytes,
        channel: str = "uk",
        headers: Mapping[str, str] | None = None,
        **more: str,
    ) -> tuple[int, str]:
        sent = signed(body, **more) if headers is None else headers
        async with self.session.post(f"/webhooks/{channel}", data=body, headers=sent) as answer:
            return answer.status, await answer.text()

    def counted(self, outcome: str, channel: str = "uk", topic: str | None = None) -> float:
        labels = {"channel": channel, "outcome": outcome}
        found = 0.0
        for family in self.metrics.webhooks_received_total.collect():
            for sample in family.samples:
                if sample.name.endswith("_total") and labels.items() <= sample.labels.items():
                    found += sample.value if topic in (None, sample.labels["topic"]) else 0
        return found


STORE_SETTINGS = {
    "rows_max",
    "bytes_max",
    "flushes_max",
    "waiting_max",
    "waiting_bytes_max",
    "store_timeout_s",
}


@asynccontextmanager
async def opened(db: Database, **settings: Any) -> AsyncIterator[House]:
    made = House(db, **settings)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def partitioned(database: Database) -> Database:
    async with database.transaction("partitions") as conn:
        await bookmark.ensure_partitions(conn, now().date())
    return database


@pytest.fixture
async def house(partitioned: Database) -> AsyncIterator[House]:
    async with opened(partitioned) as made:
        yield made


async def stored(db: Database) -> list[inbox.QueuedEvent]:
    """What the inbox holds, queued."""
    async with db.transaction("look") as conn:
        return await inbox.claim(conn, now(), 10_000)


async def test_a_signed_webhook_is_stored_as_sent_then_answered(
    house: House, partitioned: Database
) -> None:
    body = b'{"id": 1, "bytes": "\xff\xfe\x00"}'
    assert await house.post(body, id="a") == (200, "ok\n")
    [event] = await stored(partitioned)
    assert (event.channel_id, event.topic, event.body) == (1, "orders/create", body)
    assert house.rung == 1
    assert house.counted("stored", topic="orders/create") == 1


async def test_the_same_event_100_times_at_once_is_stored_once(
    house: House, partitioned: Database
) -> None:
    answers = await asyncio.gather(*(house.post(b"{}", id="same") for _ in range(100)))
    assert set(answers) == {(200, "ok\n")}
    assert len(await stored(partitioned)) == 1
    assert (house.counted("stored"), house.counted("duplicate")) == (1, 99)
    # of another channel it is another event
    assert await house.post(b"{}", "off", id="same") == (200, "ok\n")
    assert sorted(e.channel_id for e in await stored(partitioned)) == [1, 2]


async def test_500_different_events_at_once_are_all_stored(
    house: House, partitioned: Database
) -> None:
    bodies = [json.dumps({"n": n}).encode() for n in range(500)]
    answers = await asyncio.gather(*(house.post(body) for body in bodies))
    assert set(answers) == {(200, "ok\n")}
    assert sorted(e.body for e in await stored(partitioned)) == sorted(bodies)
    assert house.counted("stored") == 500


async def test_unsigned_and_altered_requests_are_401_and_leave_nothing(
    house: House, partitioned: Database
) -> None:
    body = b'{"total": 1}'
    for headers in (
        {},
        {"x-sign": "0" * 64},
        {"x-sign": hmac.digest(SECRET, b'{"total": 2}', "sha256").hex()},
        {"x-sign": "\u00e9"},
    ):
        assert await house.post(body, headers=headers) == (401, "unsigned\n")
    assert await stored(partitioned) == []
    assert (house.counted("unsigned"), house.rung) == (4, 0)


async def test_a_replay_is_answered_and_not_stored_again(
    house: House, partitioned: Database
) -> None:
    for _ in range(3):
        assert await house.post(b"{}", id="one") == (200, "ok\n")
    assert len(await stored(partitioned)) == 1
    assert (house.counted("duplicate"), house.rung) == (2, 1)


async def test_paths_and_methods_that_are_no_webhook(house: House) -> None:
    assert await house.post(b"{}", "nobody") == (404, "not found\n")
    assert await house.post(b"{}", "uk/more") == (404, "not found\n")
    assert await house.post(b"{}", "uk?from=here") == (200, "ok\n")
    async with house.session.get("/webhooks/uk") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    async with house.session.post("/elsewhere", data=b"{}") as answer:
        assert answer.status == 404
        assert answer.headers["Server"] == "syncd"


async def test_a_swapped_mapping_holds_at_once(house: House, partitioned: Database) -> None:
    assert (await house.post(b"1"))[0] == 200
    house.door.channels = {"us": DoorChannel(3, house.hooks)}
    assert (await house.post(b"2"))[0] == 404
    assert (await house.post(b"3", "us"))[0] == 200
    assert [e.channel_id for e in await stored(partitioned)] == [1, 3]


async def test_a_ping_is_answered_and_stores_nothing(house: House, partitioned: Database) -> None:
    assert await house.post(b"{}", topic="ping") == (200, "hello")
    assert await stored(partitioned) == []
    assert house.counted("answered") == 1


async def test_topics_outside_the_declared_ones_share_a_label(house: House) -> None:
    assert (await house.post(b"1", topic="orders/create"))[0] == 200
    for n in range(20):
        assert (await house.post(b"{}", topic=f"made/up{n}", id=str(n)))[0] == 200
    assert (house.counted("stored", topic="orders/create"), house.counted("stored")) == (1, 21)
    assert house.counted("stored", topic="other") == 20


@pytest.mark.parametrize("topic", ["orders{nul}create", "x" * 300, "bad\x80byte"])
async def test_a_topic_no_database_keeps_is_400(
    house: House, partitioned: Database, topic: str
) -> None:
    reader, writer = await asyncio.open_connection(*house.at)
    head = "".join(f"{n}: {v}\r\n" for n, v in signed(b"{}", topic=topic).items())
    writer.write(
        f"POST /webhooks/uk HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n{head}".encode("latin-1")
    )
    writer.write(b"\r\n{}")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert await stored(partitioned) == []


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b"\x00" * 64, b"\xff\xfe\xfd", b'{"a":1,"a":2}', b""],
    ids=["nested", "nul", "not-utf8", "duplicate-keys", "empty"],
)
async def test_what_a_body_says_is_not_the_doors_business(
    house: House, partitioned: Database, body: bytes
) -> None:
    assert await house.post(body) == (200, "ok\n")
    assert [e.body for e in await stored(partitioned)] == [body]


async def test_oversized_bodies_are_413_declared_or_not(
    partitioned: Database,
) -> None:
    async with opened(partitioned, max_body_bytes=1000) as house:
        assert await house.post(b"x" * 1000) == (200, "ok\n")
        assert await house.post(b"x" * 1001) == (413, "too large\n")

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 100

        async with house.session.post("/webhooks/uk", data=pieces()) as answer:
            assert answer.status == 413
        assert house.counted("too_large") == 2
        own = DoorChannel(1, house.hooks, max_body_bytes=2000)
        house.door.channels = {"uk": own}
        assert await house.post(b"x" * 1001) == (200, "ok\n")


async def test_an_encoded_body_is_415_even_when_its_signature_is_right(house: House) -> None:
    packed = gzip.compress(b"{}" * 5000)
    headers = signed(packed) | {"Content-Encoding": "gzip"}
    assert await house.post(packed, headers=headers) == (415, "send it unencoded\n")
    assert await house.post(b"{}", headers=signed(b"{}") | {"Content-Encoding": "identity"}) == (
        200,
        "ok\n",
    )


async def talk(house: House, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*house.at)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    return reader, writer


async def test_a_slow_body_is_408_and_the_connection_closed(partitioned: Database) -> None:
    async with opened(partitioned, body_timeout_s=0.2) as house:
        reader, writer = await talk(
            house, b"POST /webhooks/uk HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"
        )
        async with asyncio.timeout(5):
            answer = await reader.read()  # to the end: it is closed
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too slow" in answer
        assert house.counted("timed_out") == 1


async def test_idle_and_half_open_connections_are_closed(partitioned: Database) -> None:
    async with opened(partitioned, keepalive_timeout_s=0.3) as house:
        for begun in (b"", b"POST /webhooks/uk HTTP/1.1\r\nhost:"):
            reader, writer = await talk(house, begun)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()


async def test_a_body_in_two_pieces_and_one_asked_for_first(
    house: House, partitioned: Database
) -> None:
    body = b'{"n": 1}'
    head = "".join(f"{n}: {v}\r\n" for n, v in signed(body).items())
    start = f"POST /webhooks/uk HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{head}"
    reader, writer = await talk(house, start.encode(), b"expect: 100-continue\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        await reader.readline()
        writer.write(body[:3])
        await writer.drain()
        writer.write(body[3:])
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert [e.body for e in await stored(partitioned)] == [body]


async def test_a_sender_who_leaves_in_the_middle_leaves_nothing(
    house: House, partitioned: Database
) -> None:
    _, writer = await talk(
        house, b"POST /webhooks/uk HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"
    )
    writer.transport.abort()
    await until(lambda: house.counted("broken_off") == 1)
    assert await stored(partitioned) == []


async def test_a_sender_who_leaves_after_sending_is_stored_all_the_same(
    house: House, partitioned: Database
) -> None:
    head = "".join(f"{n}: {v}\r\n" for n, v in signed(b"{}").items())
    start = f"POST /webhooks/uk HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n{head}\r\n{{}}"
    _, writer = await talk(house, start.encode())
    writer.close()
    await until(lambda: house.counted("stored") == 1)
    assert len(await stored(partitioned)) == 1


async def until(true: Callable[[], bool], bound_s: float = 5.0) -> None:
    """Wait for a condition, at most that long."""
    async with asyncio.timeout(bound_s):
        while not true():  # noqa: ASYNC110 - any condition, and the loop itself sets no event
            await asyncio.sleep(0)


async def test_a_row_the_database_refuses_does_not_hurt_its_neighbours(
    partitioned: Database,
) -> None:
    async with opened(partitioned, flushes_max=1) as house:
        with capture_logs() as said:
            answers = await asyncio.gather(
                *(
                    house.post(b"{}", id=str(n), **({"poison": "1"} if n in (7, 20) else {}))
                    for n in range(40)
                )
            )
        wrong = [n for n, (status, _) in enumerate(answers) if status != 200]
        assert wrong == [7, 20]
        assert answers[7] == (503, "not stored, send it again\n")
        assert len(await stored(partitioned)) == 38
        assert [line["event"] for line in said] == ["door.row_refused"]
        # and the door is as before
        assert (await house.post(b"{}", id="later"))[0] == 200


async def test_missing_partitions_are_made_and_nothing_is_lost(
    partitioned: Database,
) -> None:
    beyond = now() + timedelta(days=400)
    async with opened(partitioned, clock=lambda: beyond) as house:
        answers = await asyncio.gather(*(house.post(b"{}", id=str(n)) for n in range(10)))
        assert {status for status, _ in answers} == {200}
    async with partitioned.transaction("look") as conn:
        assert len(await inbox.claim(conn, beyond, 100)) == 10


async def test_when_partitions_cannot_be_made_it_is_503(
    partitioned: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> int:
        return 0

    monkeypatch.setattr(bookmark, "ensure_partitions", none)
    beyond = now() + timedelta(days=400)
    async with opened(partitioned, clock=lambda: beyond) as house:
        answers = await asyncio.gather(*(house.post(b"{}", id=str(n)) for n in range(10)))
        assert {status for status, _ in answers} == {503}


async def test_a_full_backlog_is_503_at_once(partitioned: Database) -> None:
    async with opened(partitioned, waiting_max=3, flushes_max=1) as house:
        async with partitioned.transaction("hold") as conn:
            await conn.execute("lock table inbox_queue in access exclusive mode")
            first = asyncio.create_task(house.post(b"{}", id="first"))
            await until(lambda: bool(house.store._flushers) and not house.store._waiting)
            waiting = [asyncio.create_task(house.post(b"{}", id=str(n))) for n in range(3)]
            await until(lambda: len(house.store._waiting) == 3)
            began_s = asyncio.get_running_loop().time()
            assert await house.post(b"{}", id="one too many") == (
                503,
                "not stored, send it again\n",
            )
            assert asyncio.get_running_loop().time() - began_s < 0.3
        answers = await asyncio.gather(first, *waiting)
        assert {status for status, _ in answers} == {200}
        assert house.counted("busy") == 1


async def timed(house: House, name: str) -> tuple[int, float]:
    began_s = asyncio.get_running_loop().time()
    status, _ = await house.post(b"{}", id=name)
    return status, asyncio.get_running_loop().time() - began_s


async def test_a_blocked_database_is_503_within_a_second_and_recovers(
    partitioned: Database,
) -> None:
    async with opened(partitioned) as house:
        async with partitioned.transaction("hold") as conn:
            await conn.execute("lock table inbox_queue in access exclusive mode")
            took = await asyncio.gather(*(timed(house, str(n)) for n in range(30)))
            assert {status for status, _ in took} == {503}
            assert max(seconds for _, seconds in took) < 1.1
            assert house.store.away
        await until_stored(house)
        assert not house.store.away


async def until_stored(house: House, bound_s: float = 10.0) -> None:
    async with asyncio.timeout(bound_s):
        while (await house.post(b"{}", id="again"))[0] != 200:
            pass


async def test_an_exhausted_pool_is_503_within_a_second_and_recovers(dsn: str) -> None:
    database = Database(dsn, min_size=1, max_size=1)
    await database.open()
    try:
        async with database.transaction("partitions") as conn:
            await bookmark.ensure_partitions(conn, now().date())
        async with opened(database) as house:
            async with database.transaction("hold"):
                status, seconds = await timed(house, "a")
                assert status == 503
                assert seconds < 1.1
            assert (await timed(house, "a"))[0] == 200
    finally:
        await database.close()


async def test_a_database_that_stops_is_503_and_back_without_a_restart(
    new_cluster: Callable[..., Cluster],
) -> None:
    cluster = new_cluster()
    database = Database(cluster.dsn(), min_size=1)
    await database.open()
    try:
        await migrate(database)
        async with database.transaction("partitions") as conn:
            await bookmark.ensure_partitions(conn, now().date())
        async with opened(database) as house:
            assert (await timed(house, "before"))[0] == 200
            for mode in ("fast", "immediate"):
                cluster.stop(mode)
                with capture_logs() as said:
                    took = [await timed(house, f"{mode}{n}") for n in range(5)]
                assert {status for status, _ in took} == {503}
                assert max(seconds for _, seconds in took) < 1.1
                assert [line["event"] for line in said] == ["door.database_away"]
                async with house.session.post(
                    "/webhooks/uk", data=b"{}", headers=signed(b"{}", id="asked")
                ) as answer:
                    assert int(answer.headers["Retry-After"]) > 0
                cluster.start()
                await until_stored(house)
                # what was refused is taken when it is sent again
                assert (await timed(house, f"{mode}0"))[0] == 200
            assert len(await stored(database)) == 4
    finally:
        await database.close()


async def test_a_frozen_backend_is_503_within_a_second_and_the_next_is_served(
    dsn: str,
) -> None:
    database = Database(dsn, min_size=1, max_size=3)
    await database.open()
    try:
        async with database.transaction("partitions") as conn:
            await bookmark.ensure_partitions(conn, now().date())
            frozen = conn.get_server_pid()
        async with opened(database) as house:
            os.kill(frozen, signal.SIGSTOP)
            try:
                status, seconds = await timed(house, "a")
                assert status == 503
                assert seconds < 1.1
                await until_stored(house)
            finally:
                os.kill(frozen, signal.SIGCONT)
    finally:
        await database.close()


async def test_two_doors_with_the_same_events_do_not_lock_each_other(
    partitioned: Database,
) -> None:
    """Groups with the same deliveries in different order, at once: every one stored once."""
    async with opened(partitioned) as one, opened(partitioned) as other:
        names = [str(n) for n in range(100)]
        answers = await asyncio.gather(
            *(one.post(b"{}", id=name) for name in names),
            *(other.post(b"{}", id=name) for name in reversed(names)),
        )
        assert {status for status, _ in answers} == {200}
        assert len(await stored(partitioned)) == 100
        assert one.counted("stored") + other.counted("stored") == 100


async def test_nothing_secret_is_said(
    partitioned: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither body nor secret in any log line, whatever goes wrong."""
    caplog.set_level("DEBUG")
    body = f'{{"email": "{CANARY}"}}'.encode()
    async with opened(partitioned) as house:
        with capture_logs() as said:
            assert (await house.post(body))[0] == 200
            assert (await house.post(body, headers={"x-sign": SECRET.decode()}))[0] == 401
            assert (await house.post(body, **{"break": "1"}))[0] == 500
            assert (await house.post(body, id="p", poison="1"))[0] == 503
            reader, writer = await talk(house, CANARY.encode() + b" / HTTP/9\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"HTTP/1.0 400")
            writer.close()
        assert house.counted("malformed", "") == 1
        assert house.counted("failed") == 1
        text = repr(said) + caplog.text
        assert CANARY not in text
        assert SECRET.decode() not in text
        assert {line["event"] for line in said} == {
            "door.unsigned",
            "door.failed",
            "door.row_refused",
        }


async def test_forgeries_do_not_fill_the_log(house: House) -> None:
    with capture_logs() as said:
        for _ in range(100):
            assert (await house.post(b"{}", headers={}))[0] == 401
    assert 1 <= len(said) <= 25
    assert house.counted("unsigned") == 100


async def test_stopping_answers_what_is_inside(partitioned: Database) -> None:
    async with opened(partitioned, store_timeout_s=5.0) as house:
        async with partitioned.transaction("hold") as conn:
            await conn.execute("lock table inbox_queue in access exclusive mode")
            inside = asyncio.create_task(house.post(b"{}"))
            await until(lambda: bool(house.store._flushers))
            stopping = asyncio.create_task(house.door.stop())
            await asyncio.sleep(0)
        assert (await inside)[0] == 200
        await stopping


async def test_an_inherited_socket_is_listened_on(partitioned: Database) -> None:
    inherited = socket.create_server(("127.0.0.1", 0))
    made = House(partitioned)
    [made.at] = await made.door.start(None, [inherited])
    assert made.at == Address(*inherited.getsockname())
    made.session = aiohttp.ClientSession(f"http://127.0.0.1:{made.at.port}")
    try:
        assert (await made.post(b"{}"))[0] == 200
    finally:
        await made.stop()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:80", ("::1", 80)),
        (":9", ("127.0.0.1", 9)),
    ],
)
def test_addresses_are_read(text: str, read: tuple[str, int]) -> None:
    assert address(text) == read


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:x", "host:70000", "::1:80", "h:\u0661"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|brackets"):
        address(text)


@asynccontextmanager
async def watched(token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    async def live() -> tuple[bool, dict[str, Any]]:
        return True, {"loop": "ok"}

    async def ready() -> tuple[bool, dict[str, Any]]:
        return False, {"database": "away"}

    ops = Ops(Metrics().render, live, ready, token=token)

    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError(CANARY)

    ops.app.router.add_get("/broken", broken)
    [at] = await ops.start(LOOPBACK)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{at.port}") as session:
            yield session
    finally:
        await ops.stop()


async def test_ops_shows_metrics_and_health() -> None:
    async with watched() as session:
        async with session.get("/metrics") as answer:
            assert answer.status == 200
            assert "syncd_webhook_ack_seconds_bucket" in await answer.text()
        async with session.get("/health/live") as answer:
            assert (answer.status, await answer.json()) == (200, {"loop": "ok"})
        async with session.get("/health/ready") as answer:
            assert (answer.status, await answer.json()) == (503, {"database": "away"})


async def test_ops_errors_are_problem_details() -> None:
    async with watched() as session:
        for path, method, status in (
            ("/nothing", "GET", 404),
            ("/metrics", "POST", 405),
            ("/webhooks/uk", "POST", 404),
            ("/broken", "GET", 500),
        ):
            async with session.request(method, path) as answer:
                assert answer.status == status
                assert answer.content_type == "application/problem+json"
                said = json.loads(await answer.text())
                assert said["status"] == status
                assert CANARY not in repr(said)


async def test_ops_wants_its_token_where_there_is_one() -> None:
    async with watched("t0ken") as session:
        for path in ("/metrics", "/health/live", "/health/ready"):
            for given in (None, "Bearer wrong", "Basic t0ken", "Bearer t0ken\u00e9"):
                headers = {} if given is None else {"Authorization": given}
                async with session.get(path, headers=headers) as answer:
                    assert answer.status == 401
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
            async with session.get(path, headers={"Authorization": "bearer t0ken"}) as answer:
                assert answer.status != 401
