"""Commands about suspense: what waits for a person, and the person's answers."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from syncd.cli.asking import wait_option
from syncd.cli.common import (
    FAILED,
    NEEDS_PERSON,
    ask_daemon,
    clean_errors,
    config_option,
    json_option,
    main,
    with_database,
)
from syncd.cli.output import as_text, moment, signed, table
from syncd.errors import SyncdError

COLUMNS = ("id", "since", "channel", "sku", "why", "candidates", "proposal")

by_option = click.option("--by", help="Who answers; else the name of this login.")


@main.group()
def suspense() -> None:
    """Amounts that could not be attributed with certainty: they wait for a person."""


@suspense.command("list")
@config_option
@click.option("--channel", help="Only of this channel.")
@json_option
@clean_errors
def list_open(config: Path, channel: str | None, as_json: bool) -> None:
    """What waits, oldest first, with its evidence (--json). Exits 3 where anything does."""

    async def work(database: Any) -> None:
        from syncd.db import suspense as doubts  # noqa: PLC0415 - other commands start faster

        async with database.transaction("suspense_list") as conn:
            rows = await doubts.open_doubts(conn, channel=channel)
        if as_json:
            click.echo(json.dumps([_plain(row) for row in rows], default=as_text, indent=2))
        elif rows:
            table([COLUMNS, *(_cells(row) for row in rows)])
        else:
            click.echo("nothing waits for a person")
        if rows:
            sys.exit(NEEDS_PERSON)

    asyncio.run(with_database(config, work))


def _plain(row: Any) -> dict[str, Any]:
    hidden = ("listing_id", "item_id", "warehouse_id", "stretch_t0", "answer_to")
    found = {key: value for key, value in asdict(row).items() if key not in hidden}
    return found | {"evidence": json.loads(row.evidence)}


def _cells(row: Any) -> Sequence[str]:
    return (
        str(row.id),
        moment(row.created_at),
        row.channel,
        row.sku,
        row.reason,
        " or ".join(map(signed, row.candidates)),
        signed(row.proposal),
    )


@suspense.command()
@config_option
@click.argument("ids", nargs=-1, type=int, required=True)
@by_option
@wait_option
@clean_errors
def accept(config: Path, ids: tuple[int, ...], by: str | None, wait_s: float) -> None:
    """Book what is proposed of each of IDS."""
    _answer(config, dict.fromkeys(ids), by, wait_s)


@suspense.command("set", context_settings={"ignore_unknown_options": True})
@config_option
@click.argument("doubt", metavar="ID", type=int)
@click.argument("amount", type=int)
@by_option
@wait_option
@clean_errors
def set_amount(config: Path, doubt: int, amount: int, by: str | None, wait_s: float) -> None:
    """Book AMOUNT units (0: nothing; −3: three fewer) as what is behind ID."""
    _answer(config, {doubt: amount}, by, wait_s)


def _answer(config: Path, amounts: dict[int, int | None], by: str | None, wait_s: float) -> None:
    who = by or _login()

    async def work(database: Any) -> None:
        from syncd.db import suspense as doubts  # noqa: PLC0415 - other commands start faster

        async with database.transaction("suspense_answer") as conn:
            rows = {row.id: row for row in await doubts.open_doubts(conn, list(amounts))}
            for doubt_id, amount in amounts.items():
                row = rows.get(doubt_id)
                if row is None:
                    raise SyncdError(f"nothing in suspense is numbered {doubt_id}")
                units = row.proposal if amount is None else amount
                if not await doubts.answer(conn, doubt_id, units, row.candidates, who):
                    raise SyncdError(f"suspense {doubt_id} has changed: look at it again")

    asyncio.run(with_database(config, work))
    result = ask_daemon(config, "answer", None, None, wait_s)
    refused = result.get("refused") or {}
    if any(str(doubt_id) in refused for doubt_id in amounts):
        sys.exit(FAILED)


def _login() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "a person"
