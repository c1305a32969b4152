"""The ops listener: metrics and health, on loopback by default and behind a token where one is set.

Console and API hang their routes on `app` before it starts.
"""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from syncd.server.listen import Address, listen

log = structlog.get_logger("syncd.server.ops")

Probe = Callable[[], Awaitable[tuple[bool, Mapping[str, Any]]]]
"""Whether all is well, and the named checks that say so."""

PROBLEM = "application/problem+json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
SHUTDOWN_S = 5.0
MAX_BODY_BYTES = 8 * 1024 * 1024


class Ops:
    """`GET /metrics`, `/health/live`, `/health/ready`; errors are problem details (RFC 9457)."""

    def __init__(
        self,
        render: Callable[[], bytes],
        live: Probe,
        ready: Probe,
        *,
        token: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """`token`: see `ask_for`."""
        self._render = render
        self._live = live
        self._ready = ready
        self.ask_for(token)
        self._runner: web.AppRunner | None = None
        self.app = web.Application(middlewares=[problems], client_max_size=max_body_bytes)
        self.app.router.add_get("/metrics", self._metrics)
        self.app.router.add_get("/health/live", self._health_live)
        self.app.router.add_get("/health/ready", self._health_ready)

    def ask_for(self, token: str | None, others: Sequence[str] = ()) -> None:
        """What `Authorization: Bearer …` must carry on these paths, this or one of the others; None: nothing."""
        self._tokens = () if token is None else (token.encode(), *(one.encode() for one in others))

    async def start(
        self, where: Address | None, sockets: Sequence[socket.socket] = ()
    ) -> list[Address]:
        """Listen on the inherited sockets, else on the address. Raises OSError when it is taken."""
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            keepalive_timeout=30.0,
            lingering_time=2.0,
            shutdown_timeout=SHUTDOWN_S,
        )
        return await listen(self._runner, where, sockets)

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        self._admit(request)
        return web.Response(body=self._render(), headers={hdrs.CONTENT_TYPE: METRICS})

    async def _health_live(self, request: web.Request) -> web.Response:
        self._admit(request)
        return _health(*await self._live())

    async def _health_ready(self, request: web.Request) -> web.Response:
        self._admit(request)
        return _health(*await self._ready())

    def _admit(self, request: web.Request) -> None:
        if not self._tokens:
            return
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        offered = given.strip().encode("utf-8", "surrogatepass")
        known = [hmac.compare_digest(offered, token) for token in self._tokens]
        if scheme.lower() != "bearer" or not any(known):
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _health(healthy: bool, checks: Mapping[str, Any]) -> web.Response:
    return web.Response(
        status=200 if healthy else 503,
        body=json.dumps(checks, default=str).encode(),
        headers={hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"},
    )


def problem(
    status: int, detail: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error answer in problem details."""
    said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail:
        said["detail"] = detail
    return web.Response(
        status=status,
        body=json.dumps(said).encode(),
        headers={**(headers or {}), hdrs.CONTENT_TYPE: PROBLEM},
    )


_KEPT = (hdrs.ALLOW, hdrs.WWW_AUTHENTICATE, hdrs.RETRY_AFTER)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Whatever goes wrong below is answered as problem details; a defect is logged."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        kept = {str(name): error.headers[name] for name in _KEPT if name in error.headers}
        return problem(error.status, headers=kept)
    except web.HTTPException:
        raise  # redirects and the like
    except Exception:
        log.exception("ops.failed", path=request.path)
        return problem(500)
