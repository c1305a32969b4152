"""Who calls the API, and what they may: bearer tokens, each with a name and a role."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from syncd.console.problems import Problem


class Role(IntEnum):
    """Each may what the one before it may, and more."""

    READ = 1
    OPERATE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Token:
    """Somebody's token; `name` stands as the actor in journal and ledger."""

    name: str
    role: Role
    secret: str = field(repr=False)


class Access:
    """The tokens as they are configured now; a reload replaces them."""

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self.tokens = tuple(tokens)

    def admit(self, authorization: str, wanted: Role) -> Token:
        """Who this header speaks for. Raises Problem: 401 who is not known, 403 who may not."""
        if not self.tokens:
            raise _unknown("the API is closed: no token is configured under [ops]")
        scheme, _, given = authorization.partition(" ")
        offered = given.strip().encode("utf-8", "surrogatepass")
        found = None
        for token in self.tokens:  # all of them: the time taken says nothing of any
            if hmac.compare_digest(offered, token.secret.encode()):
                found = token
        if scheme.lower() != "bearer" or found is None:
            raise _unknown("Authorization: Bearer TOKEN is missing, or names no token known here")
        if found.role < wanted:
            raise Problem(
                403,
                "role",
                f"{found.name} may {found.role.name.lower()}; this wants {wanted.name.lower()}",
            )
        return found


def _unknown(detail: str) -> Problem:
    return Problem(401, "token", detail, headers={"WWW-Authenticate": "Bearer"})
