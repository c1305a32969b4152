"""What every command shares: the group, its options, clean errors, the database, a word with the daemon."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
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

config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CONFIG_DEFAULT,
    show_default=True,
    help="The TOML configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def whoever() -> str:
    """Who gives this command, as far as the system knows."""
    with suppress(OSError, KeyError):
        return os.environ.get("SUDO_USER") or getpass.getuser()
    return "somebody"


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Keep the stock counts of many shops equal."""


actor_option = click.option(
    "--actor", default=whoever, show_default="you", help="Who does it, for the journal."
)


async def with_desk(config: Path, work: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Do this with the rules as configured over the database: `work(core, settings)`."""
    from syncd.app.desk import desk  # noqa: PLC0415 - other commands start faster without it
    from syncd.config import load  # noqa: PLC0415 - the same

    settings = load(config, os.environ)

    async def at_desk(database: Any) -> None:
        await work(await desk(database, settings), settings)

    await with_database(config, at_desk)


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


def ask_daemon(
    config: Path, kind: str, channel: str | None, names: Sequence[str] | None, wait_s: float
) -> dict[str, Any]:
    """Put a wish in the database, ring, and give its result once it is there; exits 1 where it failed."""
    done: dict[str, Any] = {}

    async def work(database: Any) -> None:
        from syncd.db import bookmark  # noqa: PLC0415 - other commands start faster without it

        async with database.transaction("ask") as conn:
            now = datetime.now(UTC)
            wish = await bookmark.ask(conn, kind, channel, names, now, actor=whoever())
        deadline = asyncio.get_running_loop().time() + wait_s
        while asyncio.get_running_loop().time() < deadline:
            async with database.transaction("wish_result") as conn:
                result = await bookmark.wish_result(conn, wish)
            if result is not None:
                click.echo(json.dumps(result))
                if "error" in result:
                    sys.exit(FAILED)
                done.update(result)
                return
            await asyncio.sleep(WAIT_POLL_S)
        click.echo(f"asked (wish {wish}); no daemon has done it within {wait_s:.0f} s", err=True)
        sys.exit(FAILED)

    asyncio.run(with_database(config, work))
    return done
