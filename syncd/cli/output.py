"""How commands print: tables that keep their columns, JSON and CSV that begin before the last row is known."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from pydantic_core import PydanticCustomError

from syncd.config.values import duration

GAP = "  "


class When(click.ParamType[datetime]):
    """A moment: ISO 8601 (UTC where no zone is said), or a duration ago, like "90m" or "2d"."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - duration(value)
        except (PydanticCustomError, OverflowError):
            pass
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(
                f'{value!r} is no time: "2026-11-23T12:00:00", or "90m" for 90 minutes ago',
                param,
                ctx,
            )
        return found if found.tzinfo else found.replace(tzinfo=UTC)


WHEN = When()


def moment(at: datetime | None) -> str:
    """A time for people: UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z" if at else "-"


def signed(units: int) -> str:
    """Units that came or went, with a typographer's minus."""
    return f"+{units}" if units > 0 else str(units).replace("-", "−")


def table(rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """Print rows in columns; control characters of strangers never reach the terminal."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)]
    for cells in cleaned:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(indent + GAP.join(padded).rstrip())


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """The text without what would move the cursor or break the line."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


async def json_rows(rows: AsyncIterable[Mapping[str, Any]]) -> None:
    """Print a JSON array, an element a line, as they come."""
    before = "["
    async for row in rows:
        click.echo(f"{before}\n{json.dumps(row, default=as_text)}", nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


async def csv_rows(columns: Sequence[str], rows: AsyncIterable[Mapping[str, Any]]) -> None:
    """Print CSV with a header, as it comes. What a spreadsheet would take for a formula is quoted."""
    click.echo(_csv_line(columns), nl=False)
    async for row in rows:
        click.echo(_csv_line([_cell(row[column]) for column in columns]), nl=False)


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> object:
    if value is None or isinstance(value, int):
        return value
    text = value if isinstance(value, str) else as_text(value)
    return f"'{text}" if text and text[0] in "=+-@\t\r" else text


def as_text(value: Any) -> str:
    """What JSON has no word for: times as ISO 8601 in UTC, the rest as it prints."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
