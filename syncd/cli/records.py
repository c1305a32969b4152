"""Commands that look back: the journal of what was done and why, the history of an item's movements."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import FAILED, clean_errors, config_option, json_option, main, with_database
from syncd.cli.output import WHEN, csv_rows, json_rows, moment, signed, table

PAGE = 2000
JOURNAL = ("at", "channel", "location", "remote", "sku", "outcome", "before", "after", "reason", "detail")  # fmt: skip
HISTORY = (
    "recorded_at",
    "occurred_at",
    "warehouse",
    "kind",
    "delta",
    "level",
    "channel",
    "order",
    "actor",
    "note",
    "cause",
    "event_id",
    "id",
)

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=0), help="So many at most; 0: all. [50; all with --csv]"
)


@main.command("journal")
@config_option
@click.option("--sku", help="Of this sku.")
@click.option("--channel", help="Of this channel.")
@click.option("--outcome", help="With this outcome: delivered, skipped, parked, drift …")
@click.option(
    "--reason", help="With these words in the reason, the platform's words or the details."
)
@click.option("--cause", help="Of this cause: missed_webhook, edited, foreign_writer …")
@click.option("--before", type=int, help="Where the number was this before.")
@click.option("--after", type=int, help="Where the number was this after.")
@click.option("--since", type=WHEN, help='Not older: a time, or "2h" for two hours ago.')
@click.option("--until", type=WHEN, help="Older than this.")
@limit_option
@json_option
@csv_option
@clean_errors
def journal_command(
    config: Path, limit: int | None, as_json: bool, as_csv: bool, reason: str | None, **words: Any
) -> None:
    """What was done, skipped and failed, and why, newest first."""

    async def work(database: Any) -> None:
        from syncd.db import journal, status  # noqa: PLC0415 - other commands start faster

        async with database.transaction("journal_channels") as conn:
            known = {row.name for row in await status.channels(conn)}
        if words["channel"] is not None and words["channel"] not in known:
            click.echo(f"no channel was ever named {words['channel']}", err=True)
            sys.exit(FAILED)
        rows = _journal(database, journal.Search(words=reason, **words), _limit(limit, as_csv))
        if as_json:
            await json_rows(rows)
        elif as_csv:
            await csv_rows(JOURNAL, rows)
        else:
            _print_journal([row async for row in rows])

    asyncio.run(with_database(config, work))


def _limit(limit: int | None, as_csv: bool) -> int:
    if limit is None:
        return sys.maxsize if as_csv else 50
    return limit or sys.maxsize


async def _journal(database: Any, wanted: Any, limit: int) -> AsyncIterator[dict[str, Any]]:
    """Lines page by page: an export of years holds one page in memory, and no snapshot open."""
    from syncd.db import journal  # noqa: PLC0415 - other commands start faster without it

    mark = None
    while limit > 0:
        size = min(limit, PAGE)
        async with database.transaction("journal_page") as conn:
            page = await journal.search(conn, wanted, size, mark)
        for entry in page:
            yield {name: getattr(entry, name) for name in JOURNAL} | {
                "detail": json.loads(entry.detail) if entry.detail else None
            }
        if len(page) < size:
            return
        limit -= size
        mark = page[-1].mark


def _print_journal(rows: list[dict[str, Any]]) -> None:
    if not rows:
        click.echo("no such line")
        return
    table(
        [("at", "channel", "sku", "outcome", "before", "after", "why")]
        + [
            (
                moment(row["at"]),
                _place(row["channel"], row["location"]),
                row["sku"] or "-",
                row["outcome"],
                _number(row["before"]),
                _number(row["after"]),
                _why(row),
            )
            for row in rows
        ]
    )


def _place(channel: str | None, location: str | None) -> str:
    return f"{channel}/{location}" if location else channel or "-"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _why(row: dict[str, Any]) -> str:
    """The reason, and of the details what a person can read at a glance."""
    said = [row["reason"]] if row["reason"] else []
    for name, value in (row["detail"] or {}).items():
        if isinstance(value, str | int) and name not in ("attempt", "inputs"):
            said.append(f"{name} {value}")
    return "; ".join(said)


@main.command("history")
@config_option
@click.argument("sku")
@click.option("--warehouse", help="Only in this warehouse.")
@limit_option
@json_option
@csv_option
@clean_errors
def history_command(
    config: Path, sku: str, warehouse: str | None, limit: int | None, as_json: bool, as_csv: bool
) -> None:
    """Every movement of SKU with the level it made, its cause and who made it, newest first."""

    async def work(database: Any) -> None:
        from syncd.db import history  # noqa: PLC0415 - other commands start faster without it

        async with database.transaction("history_levels") as conn:
            await history.snapshot(conn)
            begin = await history.newest(conn, sku, warehouse)
        if begin is None:
            where = f" in warehouse {warehouse}" if warehouse else ""
            click.echo(f"{sku} was never counted{where}", err=True)
            sys.exit(FAILED)
        rows = _history(database, begin, _limit(limit, as_csv))
        if as_json:
            await json_rows(rows)
        elif as_csv:
            await csv_rows(HISTORY, rows)
        else:
            _print_history([row async for row in rows])

    asyncio.run(with_database(config, work))


async def _history(database: Any, place: Any, limit: int) -> AsyncIterator[dict[str, Any]]:
    from syncd.db import history  # noqa: PLC0415 - other commands start faster without it
    from syncd.stock.orders import order_of  # noqa: PLC0415 - the same

    while limit > 0 and place is not None:
        async with database.transaction("history_page") as conn:
            rows, place = await history.page(conn, place, min(limit, PAGE))
        for row, level in rows:
            yield {
                **{name: getattr(row, name) for name in HISTORY if name not in ("level", "order")},
                "level": level,
                "order": order_of(row.cause) or None,
            }
        limit -= len(rows)


def _print_history(rows: list[dict[str, Any]]) -> None:
    table(
        [("recorded", "warehouse", "kind", "units", "level", "by", "note", "cause")]
        + [
            (
                moment(row["recorded_at"]),
                row["warehouse"],
                row["kind"],
                signed(row["delta"]),
                str(row["level"]),
                row["actor"],
                row["note"] or "-",
                row["cause"],
            )
            for row in rows
        ]
    )
