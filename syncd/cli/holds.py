"""syncd holds: what unpaid and reserved orders promise, and until when."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import clean_errors, config_option, json_option, main, with_database
from syncd.cli.output import as_text, moment, table

COLUMNS = ("channel", "order", "sku", "warehouse", "units", "off its shelf", "placed", "until")


@main.command()
@config_option
@click.option("--channel", help="Only orders of this channel.")
@click.option("--sku", help="Only units of this item.")
@json_option
@clean_errors
def holds(config: Path, channel: str | None, sku: str | None, as_json: bool) -> None:
    """What orders hold that nobody has paid for yet: other channels show so much less."""

    async def work(database: Any) -> None:
        from syncd.db import order_holds  # noqa: PLC0415 - other commands start faster

        async with database.transaction("holds") as conn:
            rows = await order_holds.open_holds(conn, channel, sku)
        if as_json:
            click.echo(json.dumps([asdict(row) for row in rows], default=as_text, indent=2))
        elif rows:
            table([COLUMNS, *(_cells(row) for row in rows)])
        else:
            click.echo("no order holds anything")

    asyncio.run(with_database(config, work))


def _cells(row: Any) -> tuple[str, ...]:
    return (
        row.channel,
        row.number or row.order_id,
        row.sku,
        row.warehouse,
        str(row.units),
        str(row.taken),
        moment(row.placed_at),
        moment(row.until) if row.until else "cancelled",
    )
