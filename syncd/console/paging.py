"""Keyset paging: a page says where the next one begins, and no row is skipped or shown twice for it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from syncd.console.problems import FieldError, invalid

T = TypeVar("T")
K = TypeVar("K")

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="Rows of one page.")]
After = Annotated[str, msgspec.Meta(max_length=2000, description="`next` of the page before.")]


class Paged(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of every list; lists add their filters."""

    limit: Limit = 100
    after: After = ""


def key_of(query: Paged, kind: type[K]) -> K | None:
    """Where the page begins; None: at the start. Raises Problem 422 where `after` was made up."""
    if not query.after:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.after.encode())
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise invalid(FieldError("is no `next` of a page", parameter="after")) from None


def cut(rows: Sequence[T], query: Paged, key: Callable[[T], Any]) -> tuple[Sequence[T], str | None]:
    """A page of rows, of which one more than its limit was asked for; and where the next begins."""
    if len(rows) <= query.limit:
        return rows, None
    page = rows[: query.limit]
    return page, base64.urlsafe_b64encode(msgspec.json.encode(key(page[-1]))).decode()
