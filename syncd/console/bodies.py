"""Reading what a caller sent: bounded in size and time, JSON alone, and every wrong field told at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from syncd.console.problems import FieldError, Problem, invalid
from syncd.stock.facts import storable

T = TypeVar("T", bound=msgspec.Struct)

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 10.0

_PATH = re.compile(r"(?P<says>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


async def read(request: web.Request) -> bytes:
    """The raw body. Raises Problem: 408 too slow, 413 too large, 415 no JSON."""
    if request.content_type != "application/json":
        raise Problem(415, "media-type", "the body is application/json")
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.content.iter_chunked(64 * 1024):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise Problem(408, "slow", f"the body took longer than {BODY_TIMEOUT_S:g} s") from None
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, "too-large", f"the body has more than {MAX_BODY_BYTES} bytes")


def decoded(body: bytes, wanted: type[T]) -> T:
    """The body as what it should be. Raises Problem: 400 no JSON, 422 with every field that is wrong."""
    try:
        found: T = _read_as(body, wanted)
    except msgspec.ValidationError:
        raise invalid(*errors_in(_read_as(body, Any), wanted)) from None
    refuse_unstorable(found)
    return found


def _read_as(body: bytes, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "json", f"the body is no JSON: {error}") from None


def refuse_unstorable(value: Any, pointer: str = "") -> None:
    """Raises Problem 422 for text that no database takes, wherever it stands in a value."""
    if isinstance(value, str):
        if not storable(value):
            raise invalid(FieldError("holds a character that cannot be stored", pointer=pointer))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            refuse_unstorable(name, pointer)
            refuse_unstorable(inner, f"{pointer}/{name}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            refuse_unstorable(inner, f"{pointer}/{number}")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            refuse_unstorable(getattr(value, name), f"{pointer}/{name}")


def asked(query: Mapping[str, str], wanted: type[T]) -> T:
    """The parameters of a query. Raises Problem 422 with every parameter that is wrong."""
    try:
        found = msgspec.convert(dict(query), wanted, strict=False)
    except msgspec.ValidationError:
        errors = errors_in(dict(query), wanted, strict=False)
        named = [FieldError(e.detail, parameter=e.pointer.strip("/")) for e in errors]
        raise invalid(*named) from None
    refuse_unstorable(found)
    return found


def errors_in(raw: Any, wanted: type[msgspec.Struct], *, strict: bool = True) -> list[FieldError]:
    """What is wrong with each field of a struct; at least one."""
    if not isinstance(raw, Mapping):
        return [FieldError("must be an object")]
    found = []
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for name, field in fields.items():
        if name not in raw:
            if field.required:
                found.append(FieldError("is missing", pointer=f"/{name}"))
            continue
        try:
            msgspec.convert(raw[name], field.type, strict=strict)
        except msgspec.ValidationError as error:
            found.append(_field_error(name, error))
    found += [
        FieldError("is not known here", pointer=f"/{name}") for name in raw if name not in fields
    ]
    if not found:
        try:
            msgspec.convert(raw, wanted, strict=strict)
        except msgspec.ValidationError as error:
            found.append(FieldError(str(error)))
    return found or [FieldError("cannot be read")]


def _field_error(name: str, error: msgspec.ValidationError) -> FieldError:
    match = _PATH.fullmatch(str(error))
    assert match is not None
    # "[...]" is some key of an object: nobody says which
    path = (match["path"] or "").replace("[...]", "")
    inner = re.sub(r"\[(\d+)\]", r"/\1", path).replace(".", "/")
    return FieldError(match["says"], pointer=f"/{name}{inner}")
