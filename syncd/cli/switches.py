"""Commands that switch: channels on and off, items in and out of channels. Kept in the database, at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    NEEDS_PERSON,
    actor_option,
    clean_errors,
    config_option,
    json_option,
    main,
    with_desk,
)
from syncd.cli.output import signed, table
from syncd.cli.plans import apply_plan, print_plan, wait_option

SHOWN_GAPS = 20

skus_argument = click.argument("skus", nargs=-1, required=True)
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
@click.option("--no-look", is_flag=True, help="At once, unread: what moved meanwhile is booked.")
@click.option("--apply", "applies", is_flag=True, help="Say yes to the plan at once.")
@click.option("--discard", is_flag=True, help="With --apply: what moved meanwhile is not booked.")
@wait_option
@json_option
@actor_option
@clean_errors
def channel_enable(
    config: Path, name: str, wait_s: float, as_json: bool, actor: str, **how: bool
) -> None:
    """Switch NAME on. Where anything moved on it meanwhile, a plan shows it and waits: exit 3."""
    at_once = how["no_look"] or how["as_configured"]
    if how["look"] and (at_once or how["applies"]):
        raise click.UsageError("--look alone")
    if how["discard"] and (at_once or not how["applies"]):
        raise click.UsageError("--discard with --apply; or syncd plan apply NUMBER --discard")

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        desk.known_channel(core, name)
        if at_once:
            on = None if how["as_configured"] else True
            await desk.switch_channel(core, name, on, actor)
            words = "as configured" if how["as_configured"] else "on"
            click.echo(json.dumps({"state": words}) if as_json else f"{name} is {words}")
        elif core.rulebook.named(name).enabled and not how["look"]:
            click.echo(json.dumps({"state": "on"}) if as_json else f"{name} is on")
        else:
            await _by_plan(core, settings, name, actor, how, wait_s, as_json)

    asyncio.run(with_desk(config, work))


async def _by_plan(
    core: Any,
    settings: Any,
    name: str,
    actor: str,
    how: dict[str, bool],
    wait_s: float,
    as_json: bool,
) -> None:
    """Read the channel, tell what moved, and let a plan wait unless there is nothing to decide."""
    from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it
    from syncd.app.survey import spoken  # noqa: PLC0415 - the same
    from syncd.bulk import reenabling  # noqa: PLC0415 - the same

    async with spoken(core, settings, name) as there:
        found = await reenabling.look(core, there)
        plan_id = None
        if not (how["look"] or found.nothing):
            expires_in = settings.sync.plan_expiry
            plan_id = await reenabling.make_plan(core, there, found, actor, expires_in)
    if how["look"] or plan_id is None:
        said = {"state": "off" if how["look"] else "on", "gaps": [asdict(x) for x in found.gaps]}
        if not how["look"]:
            await desk.switch_channel(core, name, True, actor)
        if as_json:
            click.echo(json.dumps(said, indent=2))
            return
        _print_gaps(found.gaps)
        click.echo(f"{name} is {said['state']}")
        return
    if how["applies"]:
        await apply_plan(core.db, plan_id, actor, wait_s, as_json, discard=how["discard"])
        return
    if not as_json:
        _print_gaps(found.gaps)
    await print_plan(core.db, core.rulebook, plan_id, as_json, limit=0)
    sys.exit(NEEDS_PERSON)


def _print_gaps(found: Sequence[Any]) -> None:
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
@skus_argument
@channel_option
@actor_option
@clean_errors
def exclude(config: Path, skus: tuple[str, ...], channel: str | None, actor: str) -> None:
    """Deliver SKUS no more: their links stay, and what is sold still counts."""
    _switch_items(config, "exclude", skus, channel, actor)


@main.command()
@config_option
@skus_argument
@channel_option
@actor_option
@clean_errors
def include(config: Path, skus: tuple[str, ...], channel: str | None, actor: str) -> None:
    """Deliver SKUS again, also where the configuration leaves them out."""
    _switch_items(config, "include", skus, channel, actor)


def _switch_items(
    config: Path, act: str, skus: Sequence[str], where: str | None, actor: str
) -> None:
    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await getattr(desk, act)(core, skus, where, actor)
        click.echo(f"{len(set(skus))} {act}d on {where or 'every channel'}")

    asyncio.run(with_desk(config, work))


@main.command()
@config_option
@skus_argument
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
