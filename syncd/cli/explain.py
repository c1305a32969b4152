"""syncd explain: how an item came to its numbers, as text or JSON, now or at a past instant."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import FAILED, clean_errors, config_option, json_option, main, with_database
from syncd.cli.output import WHEN, as_text, moment, printable, signed, table
from syncd.explain.shapes import (
    AccountPart,
    AttemptPart,
    DeliveryPart,
    Explanation,
    LinePart,
    ListingPart,
    WarehousePart,
    WritePart,
)
from syncd.stock.policy import Step


@main.command("explain")
@config_option
@click.argument("sku")
@click.option("--channel", help="Only its listings on this channel.")
@click.option("--at", type=WHEN, help='As it was: a time, or "2h" for two hours ago.')
@json_option
@clean_errors
def explain_command(
    config: Path, sku: str, channel: str | None, at: datetime | None, as_json: bool
) -> None:
    """Why every listing of SKU shows what it shows: movements, level, rules, target, writes, answers."""
    from syncd.app.build import channel_problems  # noqa: PLC0415 - other commands start faster
    from syncd.config import load  # noqa: PLC0415 - the same

    settings = load(config, os.environ, channel_problems)
    if channel is not None and channel not in settings.channels:
        click.echo(f"no channel is named {channel}", err=True)
        sys.exit(FAILED)

    async def work(database: Any) -> None:
        from syncd.app.rules import rulebook_now  # noqa: PLC0415 - other commands start faster
        from syncd.explain import explain  # noqa: PLC0415 - the same

        rules = await rulebook_now(database, settings)
        async with database.transaction("explain") as conn:
            found = await explain(conn, rules, sku, datetime.now(UTC), channel=channel, at=at)
        if found is None:
            click.echo(f"{sku}: no item and no listing has this sku", err=True)
            sys.exit(FAILED)
        if as_json:
            click.echo(json.dumps(found.plain(), default=as_text, indent=2))
        else:
            show(found)

    asyncio.run(with_database(config, work))


def show(found: Explanation) -> None:
    """Print an explanation for people."""
    title = next((x.title for x in found.listings if x.title), "")
    when = f"  as recorded until {moment(found.at)}" if found.at else ""
    click.echo(printable(f"{found.sku}  {title}".rstrip() + when))
    _show_bundle(found)
    for warehouse in found.warehouses:
        _show_warehouse(warehouse)
    if not found.warehouses and found.made_of is None:
        click.echo("never counted: no warehouse has a level of it")
    for listing in found.listings:
        _show_listing(listing)
    if not found.listings:
        click.echo("no channel lists it")


def _show_bundle(found: Explanation) -> None:
    if found.component_of:
        click.echo(printable(f"a component of {', '.join(found.component_of)}"))
    if found.made_of is None:
        return
    made_of = ", ".join(f"{units} × {sku}" for sku, units in found.made_of.items())
    own = "; its own level below counts no more" if found.warehouses else ""
    click.echo(printable(f"a bundle of {made_of}{own}"))
    for part in found.bundle:
        makes = f"{part.makes}" if part.makes is not None else "nothing yet"
        click.echo(printable(f"\nwarehouse {part.warehouse}: its components make {makes}"))
        rows = [
            (
                x.sku,
                f"{x.units} in each",
                "not counted" if x.left is None else f"{x.left} left",
                "-" if x.makes is None else f"makes {x.makes}",
                "short" if x.sku == part.short else "",
            )
            for x in part.components
        ]
        table(rows, "  ")


def _show_warehouse(part: WarehousePart) -> None:
    click.echo(printable(f"\nwarehouse {part.warehouse}: level {part.level}"))
    if part.sums:
        table([(x.kind, signed(x.units), _times(x.movements)) for x in part.sums], "  ")
    if part.accounts:
        click.echo("  in escrow:")
        table([(x.channel, str(x.units), _under_way(x)) for x in part.accounts], "    ")
    for held in part.holds:
        ends = f"until {moment(held.until)}" if held.until else "until it is paid or cancelled"
        said = f"order {held.order} on {held.channel} holds {held.units}, {held.taken} of them off its shelf"
        click.echo(printable(f"  {said}, {ends}"))
    if part.newest:
        click.echo("  newest:")
        rows = [
            (
                moment(x.recorded_at),
                x.kind,
                signed(x.delta),
                f"→ {x.level}",
                x.actor,
                f"order {x.note or x.order}" if x.order else x.note,
                x.cause,
            )
            for x in part.newest
        ]
        table(rows, "    ")


def _under_way(part: AccountPart) -> str:
    """Units that are on their way from and to an account."""
    said = [f"{part.going} going"] if part.going else []
    said += [f"{part.coming} coming"] if part.coming else []
    return ", ".join(said)


def _times(count: int) -> str:
    return f"{count} movement{'' if count == 1 else 's'}"


def _show_listing(part: ListingPart) -> None:
    place = f"{part.channel}/{part.location}" if part.location else part.channel
    own = f", there called {part.sku}" if part.sku else ", without a sku"
    warehouse = f", fed by {part.warehouse}" if part.warehouse else ""
    click.echo(printable(f"\n{place} ({part.platform} {part.remote}{own}{warehouse})"))
    if part.target is not None:
        click.echo(f"  target {part.target}")
        _show_steps(part.steps, "    ")
    shows = f"{part.shown}, by {moment(part.shown_at)}" if part.shown is not None else "not known"
    click.echo(f"  shows {shows}")
    if part.observed is not None:
        click.echo(f"  the last reading with news said {part.observed}, {moment(part.observed_at)}")
    click.echo(printable(f"  {part.state}: {part.why}"))
    for line in _owed(part.delivery):
        click.echo(printable(f"  {line}"))
    _show_attempt(part.attempt)
    for doubt in part.suspense:
        amounts = ", ".join(map(signed, doubt.candidates))
        click.echo(
            printable(
                f"  in suspense {doubt.id} since {moment(doubt.created_at)}: {doubt.reason},"
                f" {amounts} (proposed {signed(doubt.proposal)})"
            )
        )
    if part.write is not None:
        _show_write(part.write)
    if part.lines:
        click.echo("  journal:")
        table([_line(line) for line in part.lines], "    ")


def _show_steps(steps: Sequence[Step], indent: str) -> None:
    rows = [
        (x.name, str(x.after) if x.name == "level" else f"{x.before} → {x.after}", x.why)
        for x in steps
    ]
    if rows:
        table(rows, indent)


def _owed(part: DeliveryPart | None) -> Iterable[str]:
    if part is None:
        return
    said = [f"owed since {moment(part.owed_at)}", f"version {part.version}"]
    if part.risk:
        said.append(f"{part.risk} shown too many")
    if part.forced:
        said.append("whatever it shows")
    if part.tries:
        said.append(f"{part.tries} tries, next {moment(part.not_before)}")
    if part.parked_at:
        said.append(f"parked {moment(part.parked_at)}: {part.reason}; `syncd retry` tries again")
    yield ", ".join(said)


def _show_attempt(part: AttemptPart | None) -> None:
    if part is None:
        return
    begin = "?" if part.from_quantity is None else part.from_quantity
    others = f", with {part.rows - 1} others" if part.rows > 1 else ""
    click.echo(
        f"  open write {part.key}: {begin} → {part.to_quantity} ({part.op}{others}), of level"
        f" {part.level}, stored {moment(part.created_at)}, unanswered {part.times_sent} times,"
        f" last {moment(part.last_sent_at)}, due {moment(part.due_at)}"
    )


def _show_write(part: WritePart) -> None:
    line = part.line
    click.echo(
        printable(
            f"  last write {part.key}: {line.before} → {line.after} ({part.op}) of level {part.level},"
            f" {line.outcome} {moment(line.at)}{f': {line.reason}' if line.reason else ''}"
        )
    )
    if part.recomputed is None:
        click.echo("    rules that this version does not know made it")
    elif len(part.steps) > 1:
        _show_steps(part.steps, "    ")


def _line(line: LinePart) -> tuple[str, ...]:
    before = "-" if line.before is None else str(line.before)
    after = "-" if line.after is None else str(line.after)
    return moment(line.at), line.outcome, f"{before} → {after}", line.reason
