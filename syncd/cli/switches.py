"""Commands that switch: channels on and off, items in and out of channels. Kept in the database, at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    actor_option,
    clean_errors,
    config_option,
    json_option,
    main,
    with_desk,
)
from syncd.cli.output import signed, table

SHOWN_GAPS = 20

channel_option = click.option("--channel", help="Only on this channel; else on every one.")


@main.group()
def channel() -> None:
    """Switch channels on and off; it beats the configuration, and outlives restarts."""


@channel.command("disable")
@config_option
@click.argument("name")
@actor_option
@clean_errors
def channel_disable(config: Path, name: str, actor: str) -> None:
    """Deliver nothing to NAME and book nothing of it; its links stay."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await desk.switch_channel(core, name, False, actor)
        click.echo(f"{name} is off")

    asyncio.run(with_desk(config, work))


@channel.command("enable")
@config_option
@click.argument("name")
@click.option("--as-configured", is_flag=True, help="Only as far as the configuration says so.")
@click.option("--look", is_flag=True, help="Tell what moved on it, and leave it as it is.")
@click.option("--no-look", is_flag=True, help="Do not read it first.")
@json_option
@actor_option
@clean_errors
def channel_enable(
    config: Path,
    name: str,
    as_configured: bool,
    look: bool,
    no_look: bool,
    as_json: bool,
    actor: str,
) -> None:
    """Switch NAME on: what moved on it meanwhile is told, then booked, and it is brought up to date."""
    if look and no_look:
        raise click.UsageError("--look or --no-look")

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import desk, gaps  # noqa: PLC0415 - other commands start faster
        from syncd.errors import ChannelError  # noqa: PLC0415 - the same

        desk.known_channel(core, name)
        found, unread = [], ""
        if not no_look:
            try:
                found = await gaps.gaps(core, settings, name)
            except ChannelError as error:
                if look:
                    raise
                unread = str(error)
        if not look:
            await desk.switch_channel(core, name, None if as_configured else True, actor)
        if as_json:
            said = {"enabled": not look, "gaps": [asdict(x) for x in found], "unread": unread}
            click.echo(json.dumps(said, indent=2))
            return
        _print_gaps(found, unread)
        if not look:
            click.echo(f"{name} is {'as configured' if as_configured else 'on'}")

    asyncio.run(with_desk(config, work))


def _print_gaps(found: Sequence[Any], unread: str) -> None:
    if unread:
        click.echo(f"what moved meanwhile could not be read: {unread}", err=True)
        return
    if not found:
        return
    moved = sum(x.observed - x.shown for x in found)
    click.echo(f"{len(found)} listings moved meanwhile, by {signed(moved)} units together")
    heads = ("sku", "location", "showed", "shows", "level if booked", "if discarded")
    table(
        [heads]
        + [
            (
                x.sku,
                x.location or "-",
                *map(str, (x.shown, x.observed, x.booked, x.discarded)),
            )
            for x in sorted(found, key=lambda x: -abs(x.observed - x.shown))[:SHOWN_GAPS]
        ]
    )
    if len(found) > SHOWN_GAPS:
        click.echo(f"… {len(found) - SHOWN_GAPS} more: syncd journal --outcome gap")


@main.command()
@config_option
@click.argument("skus", nargs=-1, required=True)
@channel_option
@actor_option
@clean_errors
def exclude(config: Path, skus: tuple[str, ...], channel: str | None, actor: str) -> None:
    """Deliver SKUS no more: their links stay, and what is sold still counts."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await desk.exclude(core, skus, channel, actor)
        click.echo(f"{len(set(skus))} excluded on {channel or 'every channel'}")

    asyncio.run(with_desk(config, work))


@main.command()
@config_option
@click.argument("skus", nargs=-1, required=True)
@channel_option
@actor_option
@clean_errors
def include(config: Path, skus: tuple[str, ...], channel: str | None, actor: str) -> None:
    """Deliver SKUS again, also where the configuration leaves them out."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await desk.include(core, skus, channel, actor)
        click.echo(f"{len(set(skus))} included on {channel or 'every channel'}")

    asyncio.run(with_desk(config, work))


@main.command()
@config_option
@click.argument("skus", nargs=-1, required=True)
@click.option("--on", "channels", multiple=True, help="A channel; may be given several times.")
@click.option("--everywhere", is_flag=True, help="On every channel.")
@actor_option
@clean_errors
def offer(
    config: Path, skus: tuple[str, ...], channels: tuple[str, ...], everywhere: bool, actor: str
) -> None:
    """Offer SKUS on some channels alone, whatever channels there will be."""
    if everywhere == bool(channels):
        raise click.UsageError("name channels with --on, or --everywhere")

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await desk.offer(core, skus, None if everywhere else channels, actor)
        said = "every channel" if everywhere else ", ".join(channels)
        click.echo(f"{len(set(skus))} offered on {said}")

    asyncio.run(with_desk(config, work))
