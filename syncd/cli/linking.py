"""Commands about links: this listing is that item, is none, or an item is called otherwise."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.common import actor_option, clean_errors, config_option, main, with_desk
from syncd.errors import Declined

if TYPE_CHECKING:
    from syncd.fanout.linking import HandLink

FILE_LIMIT_BYTES = 64 * 1024 * 1024
COLUMNS = ("channel", "remote", "sku", "location")

location_option = click.option("--location", help="Only at this location; else wherever it is.")


@main.command()
@config_option
@click.argument("channel", required=False)
@click.argument("remote", required=False)
@click.argument("sku", required=False)
@location_option
@click.option("--by-rules", is_flag=True, help="Forget what was said by hand: its names decide.")
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="CSV with the columns channel, remote, sku and, if you like, location; no sku unlinks.",
)
@actor_option
@clean_errors
def link(
    config: Path,
    channel: str | None,
    remote: str | None,
    sku: str | None,
    location: str | None,
    by_rules: bool,
    file: Path | None,
    actor: str,
) -> None:
    """Say by hand that what CHANNEL lists as REMOTE is the item SKU.

    REMOTE is the platform's id, as `syncd items` shows it. No rule says otherwise afterwards.
    """
    one = channel is not None and remote is not None
    if (file is not None and one) or not (one or file) or (one and (sku is None) != by_rules):
        raise click.UsageError("give CHANNEL REMOTE SKU, or CHANNEL REMOTE --by-rules, or --file")

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it
        from syncd.fanout.linking import HandLink  # noqa: PLC0415 - the same

        if by_rules:
            done = await desk.link_again(core, channel or "", remote or "", actor)
        elif file is not None:
            done = await desk.link(core, links_in(file), actor)
        else:
            said = HandLink(channel or "", remote or "", sku, location)
            done = await desk.link(core, [said], actor)
        click.echo(f"{done} listing{'' if done == 1 else 's'} linked")

    asyncio.run(with_desk(config, work))


@main.command()
@config_option
@click.argument("channel")
@click.argument("remote")
@location_option
@actor_option
@clean_errors
def unlink(config: Path, channel: str, remote: str, location: str | None, actor: str) -> None:
    """Say by hand that what CHANNEL lists as REMOTE is no item: no rule links it again."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it
        from syncd.fanout.linking import HandLink  # noqa: PLC0415 - the same

        await desk.link(core, [HandLink(channel, remote, None, location)], actor)
        click.echo("unlinked")

    asyncio.run(with_desk(config, work))


@main.command()
@config_option
@click.argument("old")
@click.argument("new")
@actor_option
@clean_errors
def rename(config: Path, old: str, new: str, actor: str) -> None:
    """Call the item OLD by the sku NEW; its links, counts and movements stay."""

    async def work(core: Any, settings: Any) -> None:
        from syncd.app import desk  # noqa: PLC0415 - other commands start faster without it

        linked = await desk.rename(core, old, new, actor)
        click.echo(f"{old} is {new} now" + (f"; {linked} listings waited for it" if linked else ""))
        for name, channel in settings.channels.items():
            if old in channel.items:
                words = f"channels.{name}.items still speaks of {old}: it rules nothing any more"
                click.echo(words, err=True)

    asyncio.run(with_desk(config, work))


def links_in(file: Path) -> list[HandLink]:
    """The links of a CSV; raises Declined with every row that cannot be read."""
    from syncd.fanout.linking import HandLink  # noqa: PLC0415 - other commands start faster

    text = _text(file)
    try:
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    rows = csv.reader(io.StringIO(text, newline=""), dialect)
    heads = [head.strip().lower() for head in next(rows, [])]
    missing = [column for column in COLUMNS[:3] if column not in heads]
    if missing:
        raise Declined([f"{file.name}: lacks the column {column}" for column in missing])
    places = {column: heads.index(column) for column in COLUMNS if column in heads}
    problems: list[str] = []
    found: list[HandLink] = []
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        where = f"row {number}"
        cells = {c: row[p].strip() if p < len(row) else "" for c, p in places.items()}
        problems += [f"{where}: no {c}" for c in ("channel", "remote") if not cells[c]]
        place = cells.get("location") or None
        found.append(
            HandLink(cells["channel"], cells["remote"], cells["sku"] or None, place, where)
        )
    if not found:
        problems.append(f"{file.name}: holds no rows")
    if problems:
        raise Declined(problems)
    return found


def _text(file: Path) -> str:
    raw = file.read_bytes()
    if len(raw) > FILE_LIMIT_BYTES:
        raise Declined([f"{file.name}: larger than {FILE_LIMIT_BYTES} bytes"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
