"""The command that asks what if: which targets other rules would change, and by how much."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import clean_errors, config_option, json_option, main, with_database
from syncd.cli.output import table

PREFIX = "SYNCD_"


@main.command()
@config_option
@click.option(
    "--with",
    "other",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration to try; left out: the one in force, changed by --set.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key to try, like channels.uk.policy.buffer=5; may be given several times.",
)
@click.option("--channel", help="Only of this channel.")
@click.option("--rows", default=20, show_default=True, help="So many listings; 0: all.")
@json_option
@clean_errors
def replay(
    config: Path,
    other: Path | None,
    changes: tuple[str, ...],
    channel: str | None,
    rows: int,
    as_json: bool,
) -> None:
    """What would change if the rules were others: every target from the ledger as it is.

    Nothing is written: neither to a channel nor to the database.
    """
    if other is None and not changes:
        raise click.UsageError("--with FILE, or --set KEY=VALUE")
    environ = {**os.environ, **dict(_named(change) for change in changes)}

    async def work(database: Any) -> None:
        from syncd.app.build import problems_in  # noqa: PLC0415 - other commands start faster
        from syncd.app.desk import book_of  # noqa: PLC0415 - the same
        from syncd.config import load  # noqa: PLC0415 - the same
        from syncd.corridor import what_if  # noqa: PLC0415 - the same
        from syncd.errors import ConfigError  # noqa: PLC0415 - the same

        tried = load(other or config, environ)
        if problems := problems_in(tried):
            raise ConfigError(problems)
        now, then = (
            await book_of(database, load(config, os.environ)),
            await book_of(database, tried),
        )
        reaches: dict[str, Any] = {}
        found: list[Any] = []
        async for one in what_if.compare(database, now, then, reaches):
            if channel in (None, one.channel) and (not rows or len(found) < rows):
                found.append(one)
        shown = {k: v for k, v in sorted(reaches.items()) if channel in (None, k)}
        moved = what_if.differing_places(now, then)
        if as_json:
            said = {
                "channels": {k: asdict(v) for k, v in shown.items()},
                "listings": [asdict(one) for one in found],
                "not_compared": moved,
            }
            click.echo(json.dumps(said, indent=2))
            return
        _print(shown, found, moved)

    asyncio.run(with_database(config, work))


def _named(change: str) -> tuple[str, str]:
    """A key and its value as the environment would say it."""
    key, found, value = change.partition("=")
    if not found or not key:
        raise click.UsageError(f"--set {change}: write KEY=VALUE")
    return PREFIX + key.strip().replace(".", "__").upper(), value.strip()


def _print(reaches: dict[str, Any], found: list[Any], moved: list[str]) -> None:
    heads = (
        "channel",
        "listings",
        "changed",
        "zeroed",
        "raised",
        "lowered",
        "units up",
        "units down",
    )
    table(
        [heads]
        + [
            (
                name,
                *map(
                    str,
                    (
                        r.listings,
                        r.changed,
                        r.zeroed,
                        r.raised,
                        r.lowered,
                        r.units_up,
                        r.units_down,
                    ),
                ),
            )
            for name, r in reaches.items()
        ]
    )
    if found:
        click.echo()
        table(
            [("channel", "sku", "level", "shows", "target", "would be")]
            + [
                (x.channel, x.sku, *map(_number, (x.level, x.shown, x.before, x.after)))
                for x in found
            ]
        )
    for name in moved:
        click.echo(
            f"{name}: its mapping or its truth differs; that takes a cut-over and is not compared",
            err=True,
        )


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
