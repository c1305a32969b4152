"""Commands about what a platform has: its locations, its webhook registrations."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    FAILED,
    NEEDS_PERSON,
    actor_option,
    clean_errors,
    config_option,
    json_option,
    main,
    with_desk,
)
from syncd.cli.output import table


@main.command()
@config_option
@click.argument("channel")
@json_option
@clean_errors
def locations(config: Path, channel: str, as_json: bool) -> None:
    """The locations CHANNEL has on its platform, and the warehouse each feeds.

    Exits 3 where listings are skipped because their location feeds none.
    """

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import survey  # noqa: PLC0415 - other commands start faster without it

        found = await survey.locations(core, settings, channel)
        if as_json:
            click.echo(json.dumps([asdict(x) for x in found], indent=2))
        else:
            heads = (
                *("location", "name", "active", "warehouse", "mapping", "shows"),
                *("listings", "skipped"),
            )
            table([heads] + [_row(x) for x in found])
        if any(x.skipped for x in found):
            sys.exit(NEEDS_PERSON)

    asyncio.run(with_desk(config, work))


def _row(x: Any) -> tuple[str, ...]:
    return (
        x.location or "(all of it)",
        x.name or "-",
        "yes" if x.active else "no",
        (x.warehouse or "-") + (" (source)" if x.source else ""),
        x.state,
        x.shows,
        str(x.listings),
        str(x.skipped),
    )


@main.group()
def webhooks() -> None:
    """The webhook registrations of a channel."""


@webhooks.command("list")
@config_option
@click.argument("channel")
@json_option
@clean_errors
def webhooks_list(config: Path, channel: str, as_json: bool) -> None:
    """What CHANNEL has registered, and what is missing; exits 3 where something is."""

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import survey  # noqa: PLC0415 - other commands start faster without it

        found = await survey.webhooks(core, settings, channel)
        if as_json:
            click.echo(json.dumps([asdict(x) for x in found], indent=2))
        elif found:
            heads = ("topic", "state", "address", "id")
            table([heads] + [(x.topic, x.state, x.address or "-", x.id or "-") for x in found])
        else:
            click.echo("this platform sends no webhooks: it is swept")
        if any(x.state in ("missing", "unhealthy") for x in found):
            sys.exit(NEEDS_PERSON)

    asyncio.run(with_desk(config, work))


@webhooks.command("ensure")
@config_option
@click.argument("channel")
@actor_option
@clean_errors
def webhooks_ensure(config: Path, channel: str, actor: str) -> None:
    """Register what is missing on CHANNEL, and revive what is unhealthy."""

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import survey  # noqa: PLC0415 - other commands start faster without it

        done = await survey.ensure_webhooks(core, settings, channel, actor)
        for topic, became in done:
            click.echo(f"{topic}: {became}")
        if not done:
            click.echo("all are registered")
        if any(became.startswith("failed") for _, became in done):
            sys.exit(FAILED)

    asyncio.run(with_desk(config, work))
