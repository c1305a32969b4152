"""What a route is: a path with its role, the shapes of what is asked and answered, and who answers it.

`docs/architecture.md` says how to add one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from syncd.console.access import Role
from syncd.corridor import Core
from syncd.db.pool import Connection
from syncd.fanout import Booking

Q = TypeVar("Q", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct)


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters, or an empty body."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q]):
    """A question, answered inside one transaction that writes nothing."""

    core: Core
    actor: str
    path: Mapping[str, str]
    query: Q
    conn: Connection


@dataclass(frozen=True, slots=True)
class Told(Generic[B]):
    """Something to do, inside one booking: it commits together with the stored answer."""

    core: Core
    actor: str
    path: Mapping[str, str]
    body: B
    conn: Connection
    booking: Booking


@dataclass(frozen=True, slots=True)
class Done:
    """An answer that has its own address: a wish, for example."""

    body: msgspec.Struct
    location: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `says` is its line in the OpenAPI document."""

    method: str
    path: str
    role: Role
    says: str
    handler: Callable[[Any], Awaitable[Any]]
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    status: int = 200

    @property
    def name(self) -> str:
        """Its id in the document, and the name of its transaction."""
        return self.handler.__name__


def get(
    path: str,
    says: str,
    handler: Callable[[Asked[Q]], Awaitable[msgspec.Struct]],
    answer: type[msgspec.Struct],
    *,
    query: type[Q | Nothing] = Nothing,
    role: Role = Role.READ,
) -> Route:
    """A question."""
    return Route("GET", path, role, says, handler, answer, query=query)


def post(
    path: str,
    says: str,
    handler: Callable[[Told[B]], Awaitable[msgspec.Struct | Done]],
    answer: type[msgspec.Struct],
    *,
    body: type[B | Nothing] = Nothing,
    role: Role = Role.OPERATE,
    status: int = 200,
) -> Route:
    """Something to do: once for each `Idempotency-Key`, however often it is sent."""
    return Route("POST", path, role, says, handler, answer, body=body, status=status)
