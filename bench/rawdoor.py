"""The measure of the door: aiohttp, an HMAC and a grouped insert into one plain table, no more.

`python -m bench.rawdoor DSN` prints its port and serves until its input ends. It counts nothing,
bounds nothing, recognises no duplicate, and is never the thing to run.
"""

from __future__ import annotations

import asyncio
import hmac
import sys

import asyncpg
from aiohttp import web

from bench.serving import serve
from bench.signing import digest64

TABLE = "create table if not exists raw (at timestamptz, body bytea)"
INSERT = "insert into raw select now(), * from unnest($1::bytea[])"


class RawDoor:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self.flushing = 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not hmac.compare_digest(
            digest64(body), request.headers.get("X-WC-Webhook-Signature", "")
        ):
            return web.Response(status=401)
        stored = asyncio.get_running_loop().create_future()
        self.waiting.append((body, stored))
        if self.flushing < 2:
            self.flushing += 1
            asyncio.get_running_loop().create_task(self.flush())
        await stored
        return web.Response()

    async def flush(self) -> None:
        while self.waiting:
            group, self.waiting = self.waiting, []
            await self.pool.execute(INSERT, [body for body, _ in group])
            for _, stored in group:
                stored.set_result(None)
        self.flushing -= 1


async def main(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=2) as pool:
        await pool.execute(TABLE)
        door = RawDoor(pool)
        app = web.Application()
        app.router.add_post("/webhooks/{channel}", door.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await serve(runner.addresses[0][1])
        await runner.cleanup()


if __name__ == "__main__":
    from bench.serving import run

    run(main(sys.argv[1]))
