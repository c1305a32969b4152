"""A channel that calls us: a WMS, an ERP or a till posts its movements, and nobody is called.

It lists nothing and shows nothing. Its locations lead to warehouses, so that it may name its own places.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from syncd.connectors.base import (
    Capabilities,
    Clock,
    Delivered,
    Event,
    Http,
    Location,
    Options,
    Page,
    Platform,
    Ref,
    RowResult,
    Subscription,
    Whoami,
    Write,
    WriteKind,
)
from syncd.errors import Unsigned
from syncd.stock.model import Edits, Fact, OrderNews, OrderUnreadable, Reading, Truth

CAPABILITIES = Capabilities(
    truth=Truth.MOVEMENTS,
    edits=frozenset({Edits.OVERWRITE}),
    write=WriteKind.ABSOLUTE,
    batch_max=1,
    read_max=1,
    topics=frozenset(),
    sells_down=False,
)


class ApiOptions(Options):
    """It has none: who may post is said under `[ops.tokens]`."""


class ApiConnector:
    """Nothing is asked of it, so nothing can fail."""

    capabilities = CAPABILITIES

    def __init__(self, options: ApiOptions, http: Http, clock: Clock) -> None:
        pass

    async def open(self) -> Whoami:
        return Whoami("posts its movements; nobody is called")

    async def close(self) -> None:
        return None

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivered:  # noqa: ARG002 - the contract
        raise Unsigned("this channel sends no webhooks: it posts to the API")

    def parse(self, event: Event) -> Sequence[Fact]:  # noqa: ARG002 - the contract
        return []

    async def listings(self) -> AsyncIterator[Page]:
        return
        yield

    async def read(self, refs: Sequence[Ref]) -> Sequence[Reading]:
        return [Reading(ref.remote, ref.location, None, missing=True) for ref in refs]

    async def write(self, write: Write) -> Sequence[RowResult]:  # noqa: ARG002 - the contract
        return []

    async def orders_since(self, since: object) -> AsyncIterator[Sequence[OrderNews]]:  # noqa: ARG002
        return
        yield

    async def orders(self, ids: Sequence[str]) -> Sequence[OrderNews]:
        return [OrderUnreadable(one, "this channel has no orders") for one in ids]

    async def subscriptions(self) -> Sequence[Subscription]:
        return []

    async def subscribe(self, topic: str, address: str) -> None:  # noqa: ARG002 - the contract
        return None

    async def locations(self) -> Sequence[Location]:
        return []


PLATFORM = Platform("api", ApiOptions, ApiConnector, CAPABILITIES)
