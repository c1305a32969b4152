"""A caller of the API: a town's API on loopback, and a client that speaks to it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from syncd.console import Access, Api, Role, Token
from syncd.corridor import Core
from syncd.server import Address, Ops

TOKENS = (
    Token("admin", Role.ADMIN, "admin-secret"),
    Token("wms", Role.OPERATE, "wms-secret"),
    Token("board", Role.READ, "board-secret"),
)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    body: Any = field(init=False)

    def __post_init__(self) -> None:
        self.body = json.loads(self.raw) if self.raw else None


class Client:
    """Speaks for one token; every POST has a key of its own unless one is given."""

    def __init__(self, session: aiohttp.ClientSession, secret: str = "wms-secret") -> None:
        self._session = session
        self.secret = secret

    def by(self, secret: str) -> Client:
        return Client(self._session, secret)

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.send("GET", path, params={k: str(v) for k, v in query.items()})

    async def post(self, path: str, body: Any = None, key: str | None = None) -> Answer:
        headers = {"Idempotency-Key": key or str(uuid4()), "Content-Type": "application/json"}
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body or {}).encode())
        return await self.send("POST", path, headers=headers, data=data)

    async def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        asked = {"Authorization": f"Bearer {self.secret}", **(headers or {})}
        where = path if path.startswith("/api") else f"/api/v1{path}"
        async with self._session.request(method, where, headers=asked, **more) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())


@asynccontextmanager
async def serving(core: Core, tokens: tuple[Token, ...] = TOKENS) -> AsyncIterator[Client]:
    """The API of this core on a port of its own."""

    async def well() -> tuple[bool, Mapping[str, Any]]:
        return True, {}

    ops = Ops(core.metrics.render, well, well)
    Api(core, Access(tokens)).hang(ops.app)
    [at] = await ops.start(Address("127.0.0.1", 0))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{at.port}") as session:
            yield Client(session)
    finally:
        await ops.stop()
