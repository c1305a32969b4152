"""The command that takes back what an import, a number set by hand or a push booked."""

from __future__ import annotations

import asyncio
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import clean_errors, config_option, json_option, main, with_database
from syncd.cli.plans import finish, wait_option
from syncd.cli.progress import Progress

TOLD = 20
"""So many rows that moved since are printed."""


@main.command()
@config_option
@click.argument("number", type=int)
@click.option("--force", is_flag=True, help="Also where something moved since; that stays booked.")
@click.option("--skip-moved", is_flag=True, help="Leave out what moved since.")
@wait_option
@json_option
@clean_errors
def undo(
    config: Path, number: int, force: bool, skip_moved: bool, wait_s: float, as_json: bool
) -> None:
    """Book back what plan NUMBER booked. What moved since is told, and waits for a yes.

    An undo is a plan itself, and can be undone.
    """
    if force and skip_moved:
        raise click.UsageError("--force or --skip-moved")

    async def work(database: Any) -> None:
        from syncd.app.build import named_rulebook, radius_of  # noqa: PLC0415 - others start faster
        from syncd.bulk import undoing  # noqa: PLC0415 - the same
        from syncd.bulk.loading import Wanted  # noqa: PLC0415 - the same
        from syncd.config import load  # noqa: PLC0415 - the same

        settings = load(config, os.environ)
        wanted = Wanted(
            title="",
            actor=getpass.getuser(),
            expires_in=settings.sync.plan_expiry,
            radius=radius_of(settings),
        )
        progress = Progress()
        rulebook = await named_rulebook(database, settings)
        found = await undoing.undo(
            database,
            rulebook,
            number,
            wanted,
            datetime.now(UTC),
            skip_moved=skip_moved,
            progress=progress,
        )
        progress.end()
        for row in found.moved[:TOLD]:
            kinds = ", ".join(row.kinds)
            click.echo(
                f"{row.sku} in {row.warehouse}: moved {row.units:+} since ({kinds})", err=True
            )
        if found.moved_rows > TOLD:
            click.echo(f"… and {found.moved_rows - TOLD} more rows moved since", err=True)
        applies = force or skip_moved or not found.moved_rows
        await finish(
            database, rulebook, found.loaded, applies=applies, wait_s=wait_s, as_json=as_json
        )

    asyncio.run(with_database(config, work))
