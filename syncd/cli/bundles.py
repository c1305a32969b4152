"""Commands about bundles: items that are made of others when they are sold."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.common import (
    actor_option,
    clean_errors,
    config_option,
    json_option,
    main,
    with_desk,
)
from syncd.cli.output import table
from syncd.errors import Declined

if TYPE_CHECKING:
    from syncd.stock.bundle_sheet import Described

SHOWN = 50


@main.group()
def bundles() -> None:
    """What bundles are made of: described in the configuration, by file, or here."""


@bundles.command("list")
@config_option
@click.argument("skus", nargs=-1)
@click.option("--component", help="Those that take this sku.")
@click.option("--csv", "as_csv", is_flag=True, help="As a file that `import` takes.")
@json_option
@clean_errors
def bundles_list(
    config: Path, skus: tuple[str, ...], component: str | None, as_csv: bool, as_json: bool
) -> None:
    """Every bundle (or SKUS) with its components and how many they make in each warehouse."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app.desk import bundles_now  # noqa: PLC0415 - other commands start faster
        from syncd.stock.bundle_sheet import HEADER, rows_out  # noqa: PLC0415 - the same
        from syncd.stock.bundles import Bundle  # noqa: PLC0415 - the same

        found = await bundles_now(core, skus or None, component)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(rows_out(Bundle(row.sku, row.made_of) for row, _ in found))
        elif as_json:
            click.echo(json.dumps({"bundles": [_plain(*one) for one in found]}, indent=2))
        elif found:
            heads = ("bundle", "made of", "makes", "short of", "described by")
            table([heads, *(_row(*one) for one in found)])
        else:
            click.echo("no such bundle" if skus or component else "no bundles")

    asyncio.run(with_desk(config, work))


def _plain(row: Any, stock: Any) -> dict[str, Any]:
    return {
        "sku": row.sku,
        "components": row.made_of,
        "source": row.source,
        "actor": row.actor,
        "changed_at": row.changed_at.isoformat(),
        "warehouses": {
            x.warehouse: {
                "makes": x.makes,
                "short": x.short,
                "left": {part.sku: part.left for part in x.parts},
            }
            for x in stock
        },
    }


def _row(row: Any, stock: Any) -> tuple[str, ...]:
    from syncd.fanout.bundling import words_of  # noqa: PLC0415 - other commands start faster

    makes = ", ".join(f"{x.warehouse} {'-' if x.makes is None else x.makes}" for x in stock)
    short = ", ".join(dict.fromkeys(x.short for x in stock if x.short))
    by = row.source if row.source == row.actor else f"{row.source} ({row.actor})"
    return row.sku, words_of(row.made_of), makes or "-", short or "-", by


@bundles.command("set")
@config_option
@click.argument("sku")
@click.argument("components", nargs=-1, required=True, metavar="SKU=UNITS…")
@actor_option
@clean_errors
def bundles_set(config: Path, sku: str, components: tuple[str, ...], actor: str) -> None:
    """Say that SKU is a bundle of these components, and of nothing else."""
    made_of: dict[str, int] = {}
    for one in components:
        part, _, units = one.rpartition("=")
        if not part or not units.lstrip("-").isdecimal() or part in made_of:
            raise click.UsageError(f"{one}: say each component once, like MUG=2")
        made_of[part] = int(units)

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it
        from syncd.stock.bundles import Bundle  # noqa: PLC0415 - the same

        changed = await desk.describe(core, [Bundle(sku, made_of)], "hand", actor)
        click.echo(f"{sku} is {'' if changed else 'already '}a bundle")
        await _tell_old_levels(core, changed)

    asyncio.run(with_desk(config, work))


@bundles.command("remove")
@config_option
@click.argument("skus", nargs=-1, required=True)
@actor_option
@clean_errors
def bundles_remove(config: Path, skus: tuple[str, ...], actor: str) -> None:
    """Say that SKUS are bundles no more. Each has the level it had of its own before, or none."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        await desk.end_bundles(core, list(dict.fromkeys(skus)), actor)
        for sku in dict.fromkeys(skus):
            click.echo(f"{sku} is no bundle any more: count it where it is to be shown")

    asyncio.run(with_desk(config, work))


@bundles.command("import")
@config_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@actor_option
@clean_errors
def bundles_import(config: Path, file: Path, as_json: bool, actor: str) -> None:
    """Read bundles from FILE (CSV: bundle sku, component sku, quantity), all of them or none.

    A bundle in the file is made of all its rows and nothing else; others stay as they are.
    """

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it
        from syncd.bulk.files import opened  # noqa: PLC0415 - the same
        from syncd.stock.bundle_sheet import described  # noqa: PLC0415 - the same

        with opened(file) as lines:
            said = described(lines)
        if not said.complaints:
            changed = await desk.describe_file(core, said, actor)
            if not said.complaints:
                _imported(said, changed, as_json)
                await _tell_old_levels(core, changed)
                return
        _complain(said, as_json)

    asyncio.run(with_desk(config, work))


def _imported(said: Described, changed: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"bundles": len(said.bundles), "changed": changed}))
    else:
        count = len(said.bundles)
        words = (
            f"{count} bundle{'' if count == 1 else 's'}, {len(changed)} of them made otherwise now"
        )
        click.echo(words)


def _complain(said: Described, as_json: bool) -> None:
    complaints = sorted(said.complaints, key=lambda one: one.row)
    if as_json:
        told = [{"row": one.row, "says": one.says} for one in complaints]
        click.echo(json.dumps({"state": "refused", "wrong": len(told), "complaints": told}))
        sys.exit(1)
    words = [f"row {one.row}: {one.says}" if one.row else one.says for one in complaints[:SHOWN]]
    if len(complaints) > SHOWN:
        words.append(f"… and {len(complaints) - SHOWN} more")
    raise Declined([*words, "nothing was changed"])


async def _tell_old_levels(core: Any, skus: list[str]) -> None:
    """Bundles that were counted themselves: people may wonder where that went."""
    from syncd.app.desk import old_levels  # noqa: PLC0415 - other commands start faster

    for sku, warehouse, quantity in await old_levels(core, skus):
        words = f"{sku} has a level of its own in {warehouse} ({quantity}): it counts no more"
        click.echo(words, err=True)
