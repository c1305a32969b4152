"""Every error of the API as problem details (RFC 9457), with the fields that caused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web

MEDIA_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, omit_defaults=True):
    """What is wrong with one field: a JSON pointer into the body, or the name of a parameter."""

    detail: str
    pointer: str = ""
    parameter: str = ""


class ProblemShown(msgspec.Struct, omit_defaults=True):
    """A problem as it is sent; `type` names its kind for programs, `detail` says it to people."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []


class Problem(Exception):
    """Raised by anything that answers a call; nothing is stored then."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def missing(what: str) -> Problem:
    """Something named in the path does not exist."""
    return Problem(404, "not-found", f"there is no {what}")


def invalid(*errors: FieldError) -> Problem:
    """What was sent can be read and cannot be meant."""
    said = "; ".join(f"{e.pointer or e.parameter}: {e.detail}".lstrip(": ") for e in errors[:5])
    return Problem(422, "invalid", said, errors=errors)


def answer(problem: Problem) -> web.Response:
    """A problem as an answer."""
    shown = ProblemShown(
        f"urn:syncd:problem:{problem.kind}" if problem.kind else "about:blank",
        HTTPStatus(problem.status).phrase,
        problem.status,
        problem.detail,
        problem.errors,
    )
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(shown),
        headers={**problem.headers, hdrs.CONTENT_TYPE: MEDIA_TYPE},
    )
