"""The gate to the platforms against a real server: every answer, and every way of not answering."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ClientResponse

from syncd.connectors import http as http_module
from syncd.connectors.budget import Budget, Priority
from syncd.connectors.http import Answer, Http, error_words, priority, retry_after_s
from syncd.errors import ChannelClosed, RetryLater

SECRET = "sk-very-secret"


@asynccontextmanager
async def serving(handler, **options):
    """An Http and a server whose every request `handler` answers."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = made(base, **options)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


@asynccontextmanager
async def raw(serve, **options):
    """An Http and a server that speaks bytes: `serve(reader, writer)`."""

    async def one(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        try:
            await serve(writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    client = made(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", **options)
    try:
        yield client
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


def made(base, *, workers=2, **options):
    headers = {"Authorization": SECRET}
    given = {"total_timeout_s": 2.0, "headers": headers, **options}
    return Http(base, Budget(100, 1000, workers=workers), **given)


def answering(status=200, text="{}", **headers):
    async def handler(request):
        return web.Response(
            status=status,
            text=text,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return handler


async def failed(client, method="POST", kind=RetryLater):
    async with asyncio.timeout(10):
        with pytest.raises(kind) as caught:
            await client.call("test", method, "/x", json={"a": 1} if method == "POST" else None)
    chain = (caught.value, caught.value.__cause__, caught.value.__context__)
    assert SECRET not in repr(chain)
    return caught.value


# --- answers


@pytest.mark.parametrize("status", [200, 201, 204, 207, 400, 404, 409, 413, 422])
async def test_what_the_platform_decides_comes_back(status):
    async with serving(answering(status, "" if status == 204 else '{"a": 1}')) as client:
        answer = await client.call("test", "POST", "/x", json={})
    assert answer.status == status


async def test_integers_stay_exact_and_bodies_are_sent_as_json():
    got = {}

    async def handler(request):
        got["body"] = await request.read()
        got["headers"] = request.headers
        return web.Response(text='{"id": 92233720368547758079007199254740993}')

    async with serving(handler) as client:
        answer = await client.call("test", "PUT", "/x", json={"id": 2**60 + 1})
    assert answer.json() == {"id": 92233720368547758079007199254740993}
    assert got["body"] == b'{"id":1152921504606846977}'
    assert got["headers"]["Content-Type"] == "application/json"
    assert got["headers"]["Authorization"] == SECRET
    assert got["headers"]["User-Agent"].startswith("syncd/")


@pytest.mark.parametrize(
    ("headers", "after_s"), [({}, None), ({"Retry_After": "7"}, 7), ({"Retry_After": "x"}, None)]
)
async def test_429_pauses_and_was_not_applied(headers, after_s):
    async with serving(answering(429, **headers)) as client:
        error = await failed(client)
        assert client.budget.available < 1
        assert client.budget.concurrency == 1
    assert (error.throttled, error.maybe_applied, error.after_s) == (True, False, after_s)


async def test_503_that_says_when_is_throttling_of_which_nobody_knows():
    async with serving(answering(503, Retry_After="3")) as client:
        error = await failed(client)
    assert (error.throttled, error.maybe_applied, error.after_s) == (True, True, 3)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("method", "maybe"), [("POST", True), ("PUT", True), ("GET", False)])
async def test_5xx_may_have_been_applied_unless_it_only_read(status, method, maybe):
    async with serving(answering(status, '{"message": "oh no"}')) as client:
        error = await failed(client, method)
        assert client.budget.concurrency == 1
    assert (error.throttled, error.maybe_applied) == (False, maybe)
    assert "oh no" in error.reason


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_close_the_channel(status):
    async with serving(answering(status, '{"errors": "bad token"}')) as client:
        error = await failed(client, kind=ChannelClosed)
    assert "bad token" in error.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status):
    seen = []

    async def handler(request):
        seen.append(request.path)
        raise web.HTTPFound("/elsewhere") if status == 302 else web.HTTPMovedPermanently("/other")

    async with serving(handler) as client:
        await failed(client, kind=ChannelClosed)
    assert seen == ["/x"]


@pytest.mark.parametrize("maybe", [True, False])
@pytest.mark.parametrize("body", ["<html></html>", "", "[" * 100_000, '{"a":', "\udcff"])
async def test_an_answer_that_is_no_json_is_retried(body, maybe):
    raw_body = body.encode(errors="surrogateescape")
    answer = Answer(200, aiohttp.web.Response().headers, raw_body)
    with pytest.raises(RetryLater) as caught:
        answer.json(maybe_applied=maybe)
    assert caught.value.maybe_applied is maybe


async def test_an_answer_too_large_is_left(monkeypatch):
    monkeypatch.setattr(http_module, "ANSWER_LIMIT_BYTES", 1000)
    async with serving(answering(text="x" * 1001)) as client:
        assert (await failed(client)).maybe_applied
    async with serving(answering(text="x" * 1000)) as client:
        assert len((await client.call("test", "POST", "/x")).body) == 1000


# --- no answers


async def test_a_refused_connection_was_not_sent():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = made(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = await failed(client)
        await client.close()
    assert not error.maybe_applied


async def test_a_connection_that_times_out_was_not_sent():
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # one connection fills the queue; the next gets no answer at all
        first.setblocking(False)
        first.connect_ex(full.getsockname())
        with socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            port = full.getsockname()[1]
            client = made(f"http://127.0.0.1:{port}", connect_timeout_s=0.2)
            error = await failed(client)
            await client.close()
    assert not error.maybe_applied
    assert "no connection" in error.reason


@pytest.mark.parametrize(("method", "maybe"), [("POST", True), ("GET", False)])
async def test_no_answer_in_time(method, maybe):
    async def serve(writer):
        await writer.wait_closed()

    async with raw(serve, total_timeout_s=0.2) as client:
        error = await failed(client, method)
        assert client.budget.concurrency == 1
    assert (error.maybe_applied, error.throttled) == (maybe, False)


async def test_one_byte_now_and_then_is_no_answer():
    async def serve(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw(serve, total_timeout_s=0.3) as client:
        assert (await failed(client)).maybe_applied


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"SSH-2.0-nothing for you\r\n\r\n",
    ],
)
async def test_a_broken_answer_may_have_been_applied(start):
    async def serve(writer):
        writer.write(start)
        await writer.drain()

    async with raw(serve) as client:
        assert (await failed(client)).maybe_applied


async def test_a_reset_in_the_middle_may_have_been_applied():
    async def serve(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
        await writer.drain()
        writer.transport.abort()

    async with raw(serve) as client:
        assert (await failed(client)).maybe_applied


@pytest.mark.parametrize("base", ["", "nonsense", "ftp://127.0.0.1", "http://"])
async def test_an_address_that_is_none_closes_the_channel(base):
    client = made(base)
    await failed(client, kind=ChannelClosed)
    await client.close()


# --- the budget


async def test_a_reserved_ticket_is_spent_once_and_a_second_call_does_not_deadlock():
    async with serving(answering(), workers=1) as client:
        async with asyncio.timeout(5):
            async with client.reserved(10, Priority.URGENT) as ticket:
                await client.call("test", "GET", "/x")
                assert not ticket.take()
                await client.call("test", "GET", "/x", cost=3)
            assert client.budget.spent == 13


async def test_an_unspent_reservation_costs_nothing():
    async with serving(answering(), workers=1) as client:
        async with client.reserved(10, Priority.URGENT):
            pass
        await client.call("test", "GET", "/x")
        assert client.budget.spent == 1


async def test_a_failed_call_frees_its_place():
    async with serving(answering(500), workers=1) as client:
        for _ in range(3):
            await failed(client)
        assert client.budget.spent == 3


async def test_an_answer_may_say_what_the_call_cost():
    async with serving(answering(text='{"cost": 4}')) as client:
        await client.call("t", "GET", "/x", cost=10, price=lambda answer: answer.json()["cost"])
        await client.call("t", "GET", "/x", cost=10, price=lambda _: None)
        assert client.budget.spent == 14


async def test_requests_wait_at_the_priority_around_them():
    seen = []

    async def handler(request):
        seen.append(request.path)
        return web.Response()

    async def one(client, level, path):
        with priority(level):
            await client.call("test", "GET", path)

    async with serving(handler, workers=1) as client:
        held = await client.budget.acquire(1, Priority.NORMAL)
        tasks = [
            asyncio.ensure_future(one(client, level, path))
            for level, path in ((Priority.BULK, "/bulk"), (Priority.URGENT, "/urgent"))
        ]
        await asyncio.sleep(0)
        held.give_back()
        await asyncio.gather(*tasks)
    assert seen == ["/urgent", "/bulk"]


async def test_every_call_is_observed():
    seen = []
    observer = lambda op, outcome, seconds: seen.append((op, outcome, seconds >= 0))  # noqa: E731 - one line tells it
    async with serving(answering(404), observer=observer) as client:
        await client.call("look", "GET", "/x")
        client.base_url = "http://127.0.0.1:1"
        await failed(client)
    assert seen == [("look", "404", True), ("test", "failed", True)]


# --- result files


async def collected(client, url):
    return [line async for line in client.lines("file", url)]


async def test_lines_come_without_our_credentials():
    got = []

    async def handler(request):
        got.append(dict(request.headers))
        return web.Response(text='{"a":1}\n{"b":2}\n')

    async with serving(handler, workers=1) as client:
        held = await client.budget.acquire(1, Priority.NORMAL)
        lines = await collected(client, client.base_url + "/file")
        held.settle()
    assert lines == [b'{"a":1}\n', b'{"b":2}\n']
    assert SECRET not in str(got)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://example.com/x",
        "file:///etc/passwd",
        "//127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "",
    ],
)
async def test_lines_only_from_https_or_home(url):
    asked = []

    async def handler(request):
        asked.append(request.path)
        return web.Response()

    async with serving(handler) as client:
        with pytest.raises(RetryLater, match="unexpected address"):
            await collected(client, url)
        with pytest.raises(RetryLater, match="unexpected address"):
            await collected(client, client.base_url.replace("http:", "ftp:") + "/x")
    assert asked == []


@pytest.mark.parametrize("status", [302, 403, 404, 500])
async def test_a_result_file_that_is_not_there(status):
    async with serving(answering(status, Location="/other")) as client:
        with pytest.raises(RetryLater, match=str(status)):
            await collected(client, client.base_url + "/file")


async def test_a_result_file_that_breaks_off():
    async def serve(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}\n{")
        await writer.drain()

    async with raw(serve) as client:
        with pytest.raises(RetryLater, match="broke off"):
            await collected(client, client.base_url + "/file")


async def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(http_module, "STREAM_LINE_LIMIT_BYTES", 1000)
    async with serving(answering(text="x" * 1_000_000)) as client:
        with pytest.raises(RetryLater, match="broke off"):
            await collected(client, client.base_url + "/file")


# --- small things


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2", 2), ("2.5", 2.5), ("-1", 0), ("1e9", 3600), ("nan", None), ("inf", 3600), ("", None)],
)
def test_retry_after(said, seconds):
    assert retry_after_s({"Retry-After": said}) == seconds
    assert retry_after_s({}) is None
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "no stock"}', "no stock"),
        (b'{"errors": ["a", "b"]}', "['a', 'b']"),
        (b'["plain"]', "['plain']"),
        (b"<html>", "no JSON body"),
        (b"\xff", "no JSON body"),
        (b"[" * 100_000, "no JSON body"),
    ],
)
def test_error_words(body, words):
    assert error_words(Answer(400, web.Response().headers, body)) == words
    long = Answer(400, web.Response().headers, b'{"message": "' + b"x" * 1000 + b'"}')
    assert len(error_words(long)) == 200


async def test_through_a_mocked_transport(monkeypatch):
    # aioresponses 0.7.9 does not know the argument that aiohttp 3.14 added to ClientResponse.
    class Response(ClientResponse):
        def __init__(self, *args, **kwargs):
            kwargs.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(aioresponses.core, "ClientResponse", Response)
    client = made("https://shop.example/api/")
    with aioresponses.aioresponses() as mocked:
        mocked.get("https://shop.example/api/x?page=2", payload={"rows": [1]})
        answer = await client.call("test", "GET", "/x", params={"page": "2"})
    await client.close()
    assert answer.json() == {"rows": [1]}
