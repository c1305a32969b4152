"""Commands for counts: export and import of files, and a number set by hand."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
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
from syncd.cli.plans import finish, wait_option
from syncd.cli.progress import Progress

SHOWN = 100
"""So many complaints are printed."""

warehouse_option = click.option("--warehouse", help="Where the file names no warehouse.")


class Moment(click.ParamType[datetime]):
    """A time with its zone."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-01-31T12:00:00Z", param, ctx)
        if at.tzinfo is None:
            self.fail(f"{value!r} has no time zone; write 2026-01-31T12:00:00Z", param, ctx)
        if at > datetime.now(UTC):
            self.fail(f"{value!r} is still to come", param, ctx)
        return at.astimezone(UTC)


counted_option = click.option(
    "--counted-at", type=Moment(), help="When it was counted; what was sold since stays sold."
)


@main.command()
@config_option
@click.option("--warehouse", help="Only this one.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path))
@clean_errors
def export(config: Path, warehouse: str | None, output: Path | None) -> None:
    """Write every count as CSV: sku, warehouse, quantity, and when it was so."""

    async def work(database: Any) -> None:
        from syncd.bulk.files import export as write  # noqa: PLC0415 - others start faster
        from syncd.db import levels  # noqa: PLC0415 - the same

        async with database.transaction("warehouses") as conn:
            names = await levels.warehouses(conn)
        if warehouse is not None and warehouse not in names:
            raise click.UsageError(f"no warehouse is named {warehouse}")
        if output is None:
            await write(database, sys.stdout, warehouse, datetime.now(UTC))
            return
        with output.open("w", encoding="utf-8", newline="") as out:
            rows = await write(database, out, warehouse, datetime.now(UTC))
        click.echo(f"{rows} counts written to {output}", err=True)

    asyncio.run(with_database(config, work))


@main.command("import")
@config_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@warehouse_option
@click.option(
    "--call", "calls", multiple=True, metavar="NAME=WAREHOUSE", help="What the file calls one."
)
@counted_option
@click.option("--new-items", is_flag=True, help="Skus that are no item become one.")
@click.option("--skip-unknown", is_flag=True, help="Leave out skus that are no item.")
@click.option("--set", "sets", is_flag=True, help="Central edits, not counts: see syncd set.")
@click.option(
    "--on-hand",
    is_flag=True,
    help="It counts what lies there: what is sold and neither picked nor shipped is subtracted.",
)
@click.option("--apply", "applies", is_flag=True, help="Make it at once.")
@wait_option
@json_option
@clean_errors
def import_file(
    config: Path, file: Path, applies: bool, wait_s: float, as_json: bool, **options: Any
) -> None:
    """Read counts from FILE (CSV) into a plan, which shows what they would change.

    Nothing is changed before the plan is applied, and nothing at all where a row is wrong.
    """
    calls = options.pop("calls")
    if any("=" not in one for one in calls):
        raise click.UsageError("--call NAME=WAREHOUSE")
    if options["sets"] and options["on_hand"]:
        raise click.UsageError("--set or --on-hand")
    if options["new_items"] and options["skip_unknown"]:
        raise click.UsageError("--new-items or --skip-unknown")
    names = dict(one.rsplit("=", 1) for one in calls)
    asked = options | {"title": file.name[:200], "names": names}

    async def work(database: Any) -> None:
        from syncd.bulk.files import opened  # noqa: PLC0415 - other commands start faster

        with opened(file) as lines:
            await take(database, config, lines, asked, applies, wait_s, as_json)

    asyncio.run(with_database(config, work))


@main.command("set")
@config_option
@click.argument("sku")
@click.argument("quantity", type=int)
@click.option("--warehouse", help="Where; may be left out while there is one.")
@click.option("--seen", type=int, help="The level you saw; left out: the level as it is now.")
@counted_option
@click.option("--on-hand", is_flag=True, help="With --counted-at: what lies there was counted.")
@wait_option
@json_option
@clean_errors
def set_count(
    config: Path,
    sku: str,
    quantity: int,
    warehouse: str | None,
    seen: int | None,
    counted_at: datetime | None,
    on_hand: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Make the level of SKU this QUANTITY: an edit, over the level you see.

    What is sold meanwhile stays sold. With --counted-at it is a count instead.
    """
    if seen is not None and counted_at is not None:
        raise click.UsageError("--seen or --counted-at")
    if on_hand and counted_at is None:
        raise click.UsageError("--on-hand is a count: say when, with --counted-at")
    asked = {
        "title": f"{sku} to {quantity}"[:200],
        "counted_at": counted_at,
        "sets": counted_at is None,
        "on_hand": on_hand,
    }

    async def work(database: Any) -> None:
        from syncd.db import levels  # noqa: PLC0415 - other commands start faster without it
        from syncd.stock.sheet import line_of  # noqa: PLC0415 - the same

        async with database.transaction("level_now") as conn:
            names = sorted(await levels.warehouses(conn))
            place = warehouse or (names[0] if len(names) == 1 else None)
            if place is None:
                raise click.UsageError(f"--warehouse, one of: {', '.join(names) or 'none yet'}")
            now = await levels.level_of(conn, sku, place)
        before = seen if seen is not None else now
        lines = line_of(sku, place, quantity, before if counted_at is None else None)
        await take(database, config, lines, asked, True, wait_s, as_json)

    asyncio.run(with_database(config, work))


async def take(
    database: Any,
    config: Path,
    lines: Iterable[str],
    asked: dict[str, Any],
    applies: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Make a plan of these lines, show it, and apply it where that was asked for."""
    import os  # noqa: PLC0415 - only here

    from syncd.app.build import named_rulebook, radius_of  # noqa: PLC0415 - others start faster
    from syncd.bulk.loading import Wanted, load  # noqa: PLC0415 - the same
    from syncd.config import load as settings_of  # noqa: PLC0415 - the same

    settings = settings_of(config, os.environ)
    wanted = Wanted(
        actor=getpass.getuser(),
        expires_in=settings.sync.plan_expiry,
        radius=radius_of(settings),
        **asked,
    )
    progress = Progress()
    rulebook = await named_rulebook(database, settings)
    done = await load(database, rulebook, lines, wanted, datetime.now(UTC), progress)
    progress.end()
    if done.wrong:
        _complain(done, as_json)
        sys.exit(FAILED)
    await finish(database, rulebook, done, applies=applies, wait_s=wait_s, as_json=as_json)


def _complain(done: Any, as_json: bool) -> None:
    if as_json:
        told = [{"row": one.row, "says": one.says} for one in done.complaints]
        click.echo(
            json.dumps({"plan": None, "state": "refused", "wrong": done.wrong, "complaints": told})
        )
        return
    for one in done.complaints[:SHOWN]:
        click.echo(f"row {one.row}: {one.says}" if one.row else one.says, err=True)
    if done.wrong > SHOWN:
        click.echo(f"… and {done.wrong - min(SHOWN, len(done.complaints))} more", err=True)
    click.echo("nothing was changed", err=True)
