"""What goes on: channels, the journal, and what waits for a person."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

import msgspec

from syncd.console.catalogue import Moment
from syncd.console.paging import Paged, cut, key_of
from syncd.console.routes import Asked, Nothing, get
from syncd.db import journal, reads, status


class ChannelShown(msgspec.Struct):
    """A channel with what waits for it. `closed`: why it is stopped."""

    name: str
    platform: str
    configured: bool
    enabled: bool
    truth: str | None
    edits: str | None
    closed: str
    listings: int
    in_doubt: int
    owed: int
    oldest_owed_at: datetime | None
    parked: int
    writing: int
    looks: int
    events_waiting: int
    events_parked: int
    suspense: int
    plans: int
    orders_through: datetime | None
    swept_at: datetime | None


class Channels(msgspec.Struct):
    channels: list[ChannelShown]


async def list_channels(asked: Asked[Nothing]) -> Channels:
    running = {channel.name: channel for channel in asked.core.channels.values()}
    found = []
    for row in await status.channels(asked.conn):
        rules = asked.core.rulebook.named(row.name)
        channel = running.get(row.name)
        found.append(
            ChannelShown(
                name=row.name,
                platform=row.platform,
                configured=rules is not None,
                enabled=rules is not None and rules.enabled,
                truth=rules.truth if rules else None,
                edits=rules.edits if rules else None,
                closed=channel.closed if channel else "",
                listings=row.listings,
                in_doubt=row.in_doubt,
                owed=row.owed,
                oldest_owed_at=row.oldest_owed,
                parked=row.parked,
                writing=row.open_attempts,
                looks=row.looks,
                events_waiting=row.events_waiting,
                events_parked=row.events_parked,
                suspense=row.suspense,
                plans=row.plans,
                orders_through=row.orders_through,
                swept_at=row.swept_at,
            )
        )
    return Channels(found)


class JournalAsked(Paged, kw_only=True):
    """Journal lines, newest first. `reason`: words that stand in the reason, in the platform's own words or
    in the details; `cause`: of a drift; `before` and `after_number`: the numbers of the line.
    """

    sku: str | None = None
    channel: str | None = None
    outcome: str | None = None
    reason: str | None = None
    cause: str | None = None
    before: int | None = None
    after_number: int | None = None
    since: Moment | None = None
    until: Moment | None = None


class JournalLine(msgspec.Struct):
    at: datetime
    channel: str | None
    sku: str
    outcome: str
    before: int | None
    after: int | None
    reason: str
    detail: dict[str, Any] | None


class Journal(msgspec.Struct):
    lines: list[JournalLine]
    next: str | None


async def read_journal(asked: Asked[JournalAsked]) -> Journal:
    query = asked.query
    wanted = journal.Search(
        sku=query.sku,
        channel=query.channel,
        outcome=query.outcome,
        words=query.reason,
        before=query.before,
        after=query.after_number,
        since=query.since,
        until=query.until,
        cause=query.cause,
    )
    mark = key_of(query, tuple[datetime, str])
    rows = await journal.search(asked.conn, wanted, query.limit + 1, mark)
    page, after = cut(rows, query, lambda row: row.mark)
    return Journal(
        [
            JournalLine(
                row.at,
                row.channel,
                row.sku,
                row.outcome,
                row.before,
                row.after,
                row.reason,
                json.loads(row.detail) if row.detail else None,
            )
            for row in page
        ],
        after,
    )


class ParkedAsked(Paged, kw_only=True):
    """Deliveries and events that were given up until a person acts."""

    channel: str | None = None
    kind: Literal["delivery", "event"] | None = None


class ParkedShown(msgspec.Struct):
    """`reason`: the platform's own words, or why an event could not be booked."""

    kind: str
    id: str
    channel: str | None
    sku: str | None
    location: str | None
    parked_at: datetime
    reason: str


class Parked(msgspec.Struct):
    parked: list[ParkedShown]
    next: str | None


async def list_parked(asked: Asked[ParkedAsked]) -> Parked:
    query = asked.query
    rows = await reads.parked(
        asked.conn, key_of(query, tuple[str, int]), query.channel, query.kind, query.limit + 1
    )
    page, after = cut(rows, query, lambda row: (row.kind, row.id))
    return Parked(
        [
            ParkedShown(x.kind, str(x.id), x.channel, x.sku, x.location, x.parked_at, x.reason)
            for x in page
        ],
        after,
    )


class SuspenseAsked(Paged, kw_only=True):
    """Amounts that wait for a person, the oldest first."""

    channel: str | None = None
    sku: str | None = None
    reason: str | None = None


class SuspenseShown(msgspec.Struct):
    """An amount that could not be attributed: what it may be, what is proposed, and what was seen."""

    id: str
    channel: str | None
    sku: str | None
    warehouse: str | None
    location: str | None
    reason: str
    candidates: list[int]
    proposal: int
    evidence: dict[str, Any]
    created_at: datetime


class Suspense(msgspec.Struct):
    suspense: list[SuspenseShown]
    next: str | None


async def list_suspense(asked: Asked[SuspenseAsked]) -> Suspense:
    query = asked.query
    rows = await reads.in_suspense(
        asked.conn,
        key_of(query, int),
        channel=query.channel,
        sku=query.sku,
        reason=query.reason,
        limit=query.limit + 1,
    )
    page, after = cut(rows, query, lambda row: row.id)
    return Suspense(
        [
            SuspenseShown(
                str(row.id),
                row.channel,
                row.sku,
                row.warehouse,
                row.location,
                row.reason,
                list(row.candidates),
                row.proposal,
                json.loads(row.evidence),
                row.created_at,
            )
            for row in page
        ],
        after,
    )


ROUTES = (
    get("/suspense", "What waits for a person", list_suspense, Suspense, query=SuspenseAsked),
    get("/channels", "Channels with what waits for them", list_channels, Channels),
    get("/journal", "What was done, skipped and failed", read_journal, Journal, query=JournalAsked),
    get("/parked", "What waits for a retry", list_parked, Parked, query=ParkedAsked),
)
