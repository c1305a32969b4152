"""The command that shows the stock: every item with how each channel lists it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import clean_errors, config_option, json_option, main, with_desk
from syncd.cli.output import table

PAGE = 50


@main.command()
@config_option
@click.argument("skus", nargs=-1)
@click.option("--status", "states", multiple=True, help="In this state: synced, unlinked, parked …")
@click.option("--channel", help="As this channel lists them.")
@click.option("--after", default="", help="Go on behind this; an earlier page says what.")
@click.option("--limit", type=click.IntRange(min=0), default=PAGE, help="Rows; 0: all.")
@json_option
@clean_errors
def items(
    config: Path,
    skus: tuple[str, ...],
    states: tuple[str, ...],
    channel: str | None,
    after: str,
    limit: int,
    as_json: bool,
) -> None:
    """Every item (or SKUS) with the state of its listings, then every listing that is no item."""

    async def work(core: Any, _: Any) -> None:
        from syncd.app.stocklist import Wanted, stock_rows  # noqa: PLC0415 - others start faster
        from syncd.stock.states import State  # noqa: PLC0415 - the same

        unknown = [x for x in states if x not in list(State)]
        if unknown:
            known = ", ".join(State)
            raise click.UsageError(f"no state is called {unknown[0]}; there are {known}")
        asked = Wanted(channel, frozenset(map(State, states)), skus or None, after)
        found: list[Any] = []
        more = ""
        async for row in stock_rows(core, asked):
            if limit and len(found) == limit:
                more = found[-1].after
                break
            found.append(row)
        if as_json:
            said = [{k: v for k, v in asdict(x).items() if k != "after"} for x in found]
            click.echo(json.dumps({"items": said, "next": more or None}, indent=2))
            return
        if found:
            table([HEADS, *(line for row in found for line in _lines(row))])
        else:
            click.echo("no such item or listing")
        if more:
            click.echo(f"more: --after {more}")

    asyncio.run(with_desk(config, work))


HEADS = ("item", "level", "channel", "location", "remote", "listed as", "state", "shows", "should")


def _lines(row: Any) -> Iterator[Sequence[str]]:
    from syncd.stock.states import WORDS  # noqa: PLC0415 - other commands start faster

    level = ", ".join(f"{name} {units}" for name, units in row.levels.items()) or "-"
    for place, one in enumerate(row.listings):
        first = place == 0
        said = WORDS[one.state] + (f": {one.why}" if one.why else "")
        said += f" (in escrow: {one.account})" if one.account is not None else ""
        yield (
            _name(row) if first else "",
            level if first else "",
            one.channel,
            one.location or "-",
            one.remote or "-",
            one.sku or "-",
            said,
            "-" if one.shown is None else str(one.shown),
            "-" if one.target is None else str(one.target),
        )
    if not row.listings:
        yield (_name(row), level, *["-"] * (len(HEADS) - 2))


def _name(row: Any) -> str:
    return f"{row.sku} (bundle)" if row.bundle else row.sku or "(none)"
