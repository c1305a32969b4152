"""`/api/v1`: admits, reads, answers. What is asked to be done is done once for each Idempotency-Key."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import hdrs, web

from syncd.console import bodies
from syncd.console.access import Access, Role, Token
from syncd.console.listed import ROUTES
from syncd.console.openapi import document
from syncd.console.problems import FieldError, Problem, answer, invalid
from syncd.console.routes import Asked, Done, Nothing, Route, Told
from syncd.corridor import Core, follow_links
from syncd.db import answers
from syncd.db.answers import Stored
from syncd.db.pool import LostRace
from syncd.errors import DatabaseAway, Declined
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.api")

PREFIX = "/api/v1"
JSON = "application/json"
KEY = "Idempotency-Key"
KEY_LIMIT = 255
TRIES = 3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The routes as an application of their own, to be hung on the ops listener."""

    def __init__(self, core: Core, access: Access, routes: Sequence[Route] = ROUTES) -> None:
        self._core = core
        self._access = access
        self._document = msgspec.json.encode(document(routes, PREFIX))
        self.app = web.Application(middlewares=[self._guarded])
        for route in routes:
            self.app.router.add_route(route.method, route.path, self._handler(route))
        self.app.router.add_get("/openapi.json", self._openapi)

    def hang(self, app: web.Application) -> None:
        """Serve these routes under `/api/v1` of an application that has not started yet."""
        app.add_subapp(PREFIX, self.app)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error as problem details; nobody unknown learns so much as which paths exist."""
        try:
            self._access.admit(request.headers.get(hdrs.AUTHORIZATION, ""), Role.READ)
            return await handler(request)
        except Problem as problem:
            return answer(problem)
        except Declined as error:
            return answer(invalid(*(FieldError(problem) for problem in error.problems)))
        except web.HTTPException as error:
            return answer(_of_http(error, request))
        except DatabaseAway as error:
            log.warning("api.away", path=request.path, reason=str(error))
            away = "the database cannot be reached now; nothing was stored"
            return answer(Problem(503, "away", away, headers={hdrs.RETRY_AFTER: "1"}))
        except Exception:
            log.exception("api.failed", path=request.path)
            return answer(Problem(500, "defect", "a defect: the log says more"))

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type=JSON)

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            by = self._access.admit(request.headers.get(hdrs.AUTHORIZATION, ""), route.role)
            bodies.refuse_unstorable(dict(request.match_info))
            if route.body is None:
                return await self._tell(route, request, by)
            return await self._do(route, request, by, route.body)

        return handle

    async def _tell(self, route: Route, request: web.Request, by: Token) -> web.Response:
        query = bodies.asked(_once(request), route.query)
        async with self._core.db.transaction(f"api_{route.name}") as conn:
            told = Asked(self._core, by.name, request.match_info, query, conn)
            found = await route.handler(told)
        return web.Response(
            body=msgspec.json.encode(found),
            content_type=JSON,
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def _do(
        self, route: Route, request: web.Request, by: Token, wanted: type[msgspec.Struct]
    ) -> web.Response:
        bodies.asked(_once(request), Nothing)
        key = _key(request)
        raw = await bodies.read(request)
        body = bodies.decoded(raw or b"{}", wanted)
        digest = hashlib.sha256(f"{request.method} {request.path}\n".encode() + raw).digest()
        for left in range(TRIES - 1, -1, -1):
            try:
                return await self._once(route, request, by, body, key, digest)
            except LostRace:
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _once(
        self,
        route: Route,
        request: web.Request,
        by: Token,
        body: msgspec.Struct,
        key: str,
        digest: bytes,
    ) -> web.Response:
        """Do it and store the answer in one transaction; or give the answer that is stored."""
        async with self._core.booking(f"api_{route.name}") as (conn, booking):
            alone, stored = await answers.claim(conn, by.name, key)
            if stored is not None:
                return _replayed(stored, digest)
            if not alone:
                again = f"a call with this {KEY} is being answered"
                raise Problem(409, "in-progress", again, headers={hdrs.RETRY_AFTER: "1"})
            told = Told(self._core, by.name, request.match_info, body, conn, booking)
            done: Any = await route.handler(told)
            if not isinstance(done, Done):
                done = Done(done)
            made = Stored(
                digest,
                route.status,
                msgspec.json.encode(done.body),
                f"{PREFIX}{done.location}" if done.location else "",
            )
            await answers.keep(conn, by.name, key, made, booking.now)
        with suppress(DatabaseAway):  # it is done; what is left out here is found by the next sweep
            await follow_links(self._core, booking)
        return _response(made)


def _replayed(stored: Stored, digest: bytes) -> web.Response:
    if stored.digest != digest:
        raise Problem(422, "key-reused", f"this {KEY} was used for another call")
    response = _response(stored)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _response(stored: Stored) -> web.Response:
    headers = {hdrs.LOCATION: stored.location} if stored.location else {}
    return web.Response(status=stored.status, body=stored.body, content_type=JSON, headers=headers)


def _once(request: web.Request) -> dict[str, str]:
    """The parameters of the query; named twice, one of them would be dropped unseen."""
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise Problem(422, "invalid", f"the parameter {name} stands there twice")
    return dict(request.query)


def _key(request: web.Request) -> str:
    key = request.headers.get(KEY, "").strip()
    if not key:
        raise Problem(
            400, "key-missing", f"a POST carries an {KEY}: the same one whenever it is sent again"
        )
    if len(key) > KEY_LIMIT or not key.isprintable():
        raise Problem(400, "key-invalid", f"an {KEY} has up to {KEY_LIMIT} printable characters")
    return key


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    """What the router and the server refuse by themselves."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        said = f"{request.method} is not {allowed}"
        return Problem(405, "method", said, headers={hdrs.ALLOW: allowed})
    if error.status == 404:
        return Problem(404, "not-found", f"there is no {request.path}")
    return Problem(error.status, "http", HTTPStatus(error.status).description)
