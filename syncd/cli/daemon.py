"""Commands around the daemon itself: run it, check and compare configurations, its schema, the demo."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    FAILED,
    clean_errors,
    config_option,
    json_option,
    main,
    with_database,
)


def run_loop(main: Awaitable[None]) -> None:
    """Run on uvloop where it is installed."""

    async def awaited() -> None:
        await main

    try:
        import uvloop  # noqa: PLC0415 - optional: not every machine has it
    except ImportError:
        asyncio.run(awaited())
    else:
        uvloop.run(awaited())


@main.command()
@config_option
@clean_errors
def run(config: Path) -> None:
    """Run the daemon until SIGTERM; SIGHUP reloads the configuration."""
    from syncd.app.daemon import Daemon  # noqa: PLC0415 - other commands start faster without it

    async def serve() -> None:
        await Daemon(config, os.environ).run()

    run_loop(serve())


@main.command()
@config_option
@json_option
@clean_errors
def check(config: Path, as_json: bool) -> None:
    """Check configuration, database, credentials, scopes and webhooks; every problem at once."""
    from syncd.app.check import check_all  # noqa: PLC0415 - other commands start faster without it

    findings = asyncio.run(check_all(config, os.environ))
    if as_json:
        click.echo(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:<8} {finding.what}: {finding.says}")
    if any(f.verdict == "problem" for f in findings):
        sys.exit(FAILED)


@main.group("config")
def config_group() -> None:
    """Look at configurations."""


@config_group.command("diff")
@config_option
@click.argument("other", type=click.Path(dir_okay=False, path_type=Path))
@clean_errors
def config_diff(config: Path, other: Path) -> None:
    """What a reload from --config to OTHER would change."""
    from syncd.config import diff, load  # noqa: PLC0415 - other commands start faster without it

    found = diff(load(config, os.environ), load(other, os.environ))
    for change in found.changes:
        restart = "   (needs a restart)" if change.key in found.needs_restart else ""
        click.echo(f"{change}{restart}")


@main.group()
def db() -> None:
    """The database's schema."""


@db.command("migrate")
@config_option
@clean_errors
def db_migrate(config: Path) -> None:
    """Bring the schema up to date."""

    async def work(database: Any) -> None:
        from syncd.db import migrate  # noqa: PLC0415 - other commands start faster without it

        applied = await migrate.migrate(database)
        click.echo("\n".join(f"applied {one}" for one in applied) or "up to date")

    asyncio.run(with_database(config, work))


@db.command("status")
@config_option
@clean_errors
def db_status(config: Path) -> None:
    """Which migrations are applied and which are not."""

    async def work(database: Any) -> None:
        from syncd.db import migrate  # noqa: PLC0415 - other commands start faster without it

        for row in await migrate.status(database):
            click.echo(str(row))

    asyncio.run(with_database(config, work))


@main.command()
@click.option(
    "--duration", "duration_s", type=float, help="Seconds to run; until Ctrl-C if left out."
)
@click.option("--rate", default=2.0, show_default=True, help="Sales per second over all stores.")
@click.option("--items", default=300, show_default=True, help="Items in every store.")
@click.option("--seed", "random_seed", default=1, show_default=True, help="Of the shoppers' dice.")
@click.option(
    "--json", "as_json", is_flag=True, help="No terminal view; print the verdict as JSON."
)
@clean_errors
def demo(
    duration_s: float | None, rate: float, items: int, random_seed: int, as_json: bool
) -> None:
    """Three stand-in stores, shoppers, outages and a live view; exit 1 unless all agree at the end."""
    try:
        from syncd.demo.run import run_demo  # noqa: PLC0415 - the daemon never imports it
    except ModuleNotFoundError as error:
        click.echo(f"the demo needs {error.name}: pip install 'syncd[demo]'", err=True)
        sys.exit(FAILED)
    sys.exit(
        asyncio.run(
            run_demo(
                duration_s=duration_s,
                rate=rate,
                items=items,
                random_seed=random_seed,
                as_json=as_json,
            )
        )
    )
