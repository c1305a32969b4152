"""The command line: run the daemon, look at it, and ask it for work. Exit 0 done, 1 failed, 2 usage,
3 needs a person.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from syncd import __version__
from syncd.errors import ConfigError, DatabaseAway, SyncdError

P = ParamSpec("P")

CONFIG_DEFAULT = "/etc/syncd/config.toml"
FAILED, NEEDS_PERSON = 1, 3
WAIT_POLL_S = 0.2
STATUS_COLUMNS = (
    "channel",
    "platform",
    "listings",
    "in doubt",
    "owed",
    "oldest",
    "parked",
    "writing",
    "looks",
    "events",
    "poison",
    "swept",
)

config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CONFIG_DEFAULT,
    show_default=True,
    help="The TOML configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def clean_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Every problem of a configuration on a line of its own; no tracebacks for what users can mend."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            sys.exit(FAILED)
        except DatabaseAway as error:
            click.echo(f"the database cannot be reached: {error}", err=True)
            sys.exit(FAILED)
        except SyncdError as error:
            click.echo(str(error), err=True)
            sys.exit(FAILED)

    return guarded


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Keep the stock counts of many shops equal."""


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


async def with_database(config: Path, work: Callable[[Any], Awaitable[None]]) -> None:
    """Open the configured database, the daemon's own embedded one included, and do this."""
    from syncd.config import load  # noqa: PLC0415 - other commands start faster without it
    from syncd.db.embedded import Embedded  # noqa: PLC0415 - the same
    from syncd.db.pool import Database  # noqa: PLC0415 - the same

    settings = load(config, os.environ)
    embedded = None
    if settings.database.dsn is None:
        embedded = Embedded(settings.state_dir)
        address = await embedded.start()
    else:
        address = settings.database.dsn.get_secret_value()
    database = Database(address, min_size=1, max_size=2)
    try:
        await database.open()
        await work(database)
    finally:
        await database.close()
        if embedded is not None:
            await embedded.stop()


@main.command()
@config_option
@json_option
@clean_errors
def status(config: Path, as_json: bool) -> None:
    """What every channel has, owes and waits for."""

    async def work(database: Any) -> None:
        from syncd.db import status as tables  # noqa: PLC0415 - other commands start faster

        async with database.transaction("status") as conn:
            rows = await tables.channels(conn)
        if as_json:
            click.echo(json.dumps([asdict(row) for row in rows], default=str, indent=2))
        else:
            _print_status(rows)
        if any(row.parked or row.events_parked or row.in_doubt for row in rows):
            sys.exit(NEEDS_PERSON)

    asyncio.run(with_database(config, work))


def _print_status(rows: Sequence[Any]) -> None:
    now = datetime.now(UTC)
    table = [STATUS_COLUMNS] + [
        (
            row.name,
            row.platform,
            str(row.listings),
            str(row.in_doubt),
            str(row.owed),
            _ago(row.oldest_owed, now),
            str(row.parked),
            str(row.open_attempts),
            str(row.looks),
            str(row.events_waiting),
            str(row.events_parked),
            _ago(row.swept_at, now),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "-"
    seconds = max((now - at).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def ask_daemon(
    config: Path, kind: str, channel: str | None, names: Sequence[str] | None, wait_s: float
) -> None:
    """Put a wish in the database, ring, and wait for its result; exits 1 where it failed."""

    async def work(database: Any) -> None:
        from syncd.db import bookmark  # noqa: PLC0415 - other commands start faster without it

        async with database.transaction("ask") as conn:
            wish = await bookmark.ask(conn, kind, channel, names, datetime.now(UTC))
        deadline = asyncio.get_running_loop().time() + wait_s
        while asyncio.get_running_loop().time() < deadline:
            async with database.transaction("wish_result") as conn:
                result = await bookmark.wish_result(conn, wish)
            if result is not None:
                click.echo(json.dumps(result))
                if "error" in result:
                    sys.exit(FAILED)
                return
            await asyncio.sleep(WAIT_POLL_S)
        click.echo(f"asked (wish {wish}); no daemon has done it within {wait_s:.0f} s", err=True)
        sys.exit(FAILED)

    asyncio.run(with_database(config, work))


wait_option = click.option(
    "--wait", "wait_s", default=600.0, show_default=True, help="Seconds to wait for the daemon."
)


@main.command()
@config_option
@click.argument("channel", required=False)
@wait_option
@clean_errors
def sweep(config: Path, channel: str | None, wait_s: float) -> None:
    """Have the running daemon sweep CHANNEL now (all of them where none is named)."""
    ask_daemon(config, "sweep", channel, None, wait_s)


@main.command()
@config_option
@click.argument("skus", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every listing.")
@click.option("--channel", help="Only on this channel.")
@wait_option
@clean_errors
def push(
    config: Path, skus: tuple[str, ...], everything: bool, channel: str | None, wait_s: float
) -> None:
    """Deliver the counts of SKUS now, whatever is believed to be shown."""
    if everything == bool(skus):
        raise click.UsageError("name SKUs, or --all")
    ask_daemon(config, "push", channel, None if everything else list(skus), wait_s)


@main.command()
@config_option
@click.argument("warehouses", nargs=-1)
@wait_option
@clean_errors
def seed(config: Path, warehouses: tuple[str, ...], wait_s: float) -> None:
    """Take the first counts of WAREHOUSES (all where none is named) from their sources.

    Items that have a count keep it: a seed can be repeated.
    """
    ask_daemon(config, "seed", None, list(warehouses), wait_s)


@main.command()
@config_option
@click.option("--channel", help="Only on this channel.")
@wait_option
@clean_errors
def retry(config: Path, channel: str | None, wait_s: float) -> None:
    """Try parked deliveries and events again."""
    ask_daemon(config, "retry", channel, None, wait_s)


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


if __name__ == "__main__":
    main()
