"""Commands that look: what every channel has, owes and waits for."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    NEEDS_PERSON,
    clean_errors,
    config_option,
    json_option,
    main,
    with_database,
)

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
    "silent",
    "gone at source",
    "suspense",
    "plans",
    "switched",
)


@main.command()
@config_option
@json_option
@clean_errors
def status(config: Path, as_json: bool) -> None:
    """What every channel has, owes and waits for."""

    async def work(database: Any) -> None:
        from syncd.db import plans  # noqa: PLC0415 - other commands start faster without it
        from syncd.db import status as tables  # noqa: PLC0415 - the same

        async with database.transaction("status") as conn:
            rows = await tables.channels(conn)
            waiting = await plans.waiting(conn)
        if as_json:
            click.echo(json.dumps([asdict(row) for row in rows], default=str, indent=2))
        else:
            _print_status(rows)
        if waiting:
            click.echo(f"{waiting} plans wait for a yes or no: syncd plan list", err=True)
        if waiting or any(map(_waits, rows)):
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
            _silent(row, now),
            str(row.orphaned),
            str(row.suspense),
            str(row.plans),
            _switched(row),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _waits(row: Any) -> bool:
    """True where something of a channel waits for a person."""
    return bool(row.parked or row.events_parked or row.in_doubt or row.suspense or row.plans)


def _switched(row: Any) -> str:
    """Who switched it on or off, if anybody did."""
    if row.switched is None:
        return "-"
    return f"{'on' if row.switched else 'off'} by {row.switched_by}"


def _silent(row: Any, now: datetime) -> str:
    """Since when nothing is heard of it, and what the others keep in reserve for it."""
    if row.silent_from is None:
        return "-"
    return f"{_ago(row.silent_from, now)}, {row.unseen} reserved"


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "-"
    seconds = max((now - at).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
