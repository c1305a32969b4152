"""`syncd check`: configuration, database, credentials, scopes and webhooks, every problem at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncd.app.build import cautions_in, channel_problems, make_channel, problems_in, rulebook_of
from syncd.config import Settings, load
from syncd.corridor import Channel
from syncd.corridor.core import utc_now
from syncd.db import migrate
from syncd.db.pool import Database
from syncd.errors import ChannelError, ConfigError, SyncdError
from syncd.telemetry.metrics import Metrics

CALL_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `verdict` is ok, warning or problem."""

    verdict: str
    what: str
    says: str


async def check_all(config: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Check everything that can be checked without changing anything anywhere."""
    try:
        settings = load(config, environ, channel_problems)
    except ConfigError as error:
        return [Finding("problem", "config", problem) for problem in error.problems]
    found = [Finding("warning", "config", warning) for warning in settings.warnings]
    problems = problems_in(settings)
    if problems:
        return found + [Finding("problem", "config", problem) for problem in problems]
    found += [Finding("warning", "config", caution) for caution in cautions_in(settings)]
    found.append(Finding("ok", "config", f"{len(settings.channels)} channels"))
    if settings.http.public_url is None:
        says = "not set: webhook registrations are not audited"
        found.append(Finding("warning", "http.public_url", says))
    found.append(await _check_database(settings))
    names = {name: number for number, name in enumerate(settings.channels)}
    warehouses = {name: number for number, name in enumerate(settings.warehouses)}
    book = rulebook_of(settings, names, warehouses)
    channels = [
        make_channel(rules, settings.channels[rules.name], Metrics(), utc_now)
        for rules in book.channels.values()
    ]
    for findings in await asyncio.gather(*(_check_channel(settings, c) for c in channels)):
        found += findings
    return found


async def _check_database(settings: Settings) -> Finding:
    if settings.database.dsn is None:
        return Finding("ok", "database", f"embedded, under {settings.state_dir}")
    database = Database(settings.database.dsn.get_secret_value(), min_size=1, max_size=1)
    try:
        await database.open()
        waiting = [row for row in await migrate.status(database) if row.applied_at is None]
    except SyncdError as error:
        return Finding("problem", "database", str(error))
    finally:
        await database.close()
    if waiting:
        return Finding("warning", "database", f"{len(waiting)} migrations wait: syncd db migrate")
    return Finding("ok", "database", "answers, schema up to date")


async def _check_channel(settings: Settings, channel: Channel) -> list[Finding]:
    what = f"channels.{channel.name}"
    try:
        async with asyncio.timeout(CALL_S):
            return await _ask_channel(settings, channel, what)
    except (ChannelError, TimeoutError) as error:
        return [Finding("problem", what, str(error) or "no answer in time")]
    finally:
        await channel.connector.close()
        await channel.http.close()


async def _ask_channel(settings: Settings, channel: Channel, what: str) -> list[Finding]:
    connector = channel.connector
    who = await connector.open()
    found = [Finding("ok", what, f"credentials accepted: {who.account}")]
    found += [Finding("problem", what, f"scope missing: {scope}") for scope in who.missing_scopes]
    found += [Finding("warning", what, note) for note in who.notes]
    places = await connector.locations()
    if connector.capabilities.locations:
        lost = set(channel.rules.locations) - {"*"} - {location.id for location in places}
        says = "is mapped, and the platform has no such location"
        found += [Finding("warning", what, f"location {one} {says}") for one in sorted(lost)]
    for location in places:
        if channel.rules.warehouse_of(location.id) is None:
            skipped = f"location {location.id} ({location.name}) is not mapped: it is skipped"
            found.append(Finding("warning", what, skipped))
    if settings.http.public_url is not None and connector.capabilities.topics:
        address = f"{settings.http.public_url}/webhooks/{channel.name}"
        there = {s.topic for s in await connector.subscriptions() if s.healthy}
        missing = sorted(connector.capabilities.topics - there)
        if missing:
            says = f"webhooks not registered yet, the daemon will: {', '.join(missing)} → {address}"
            found.append(Finding("warning", what, says))
    return found
