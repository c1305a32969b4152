"""Commands for plans: what waits for a yes, what it would change, and the yes or no itself."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from syncd.cli.common import (
    FAILED,
    NEEDS_PERSON,
    WAIT_POLL_S,
    clean_errors,
    config_option,
    json_option,
    main,
    with_database,
)
from syncd.cli.progress import Progress
from syncd.errors import SyncdError

HELD_READ = 100_000
"""So many held listings are looked through for those that would change."""

wait_option = click.option(
    "--wait", "wait_s", default=3600.0, show_default=True, help="Seconds to wait for the daemon."
)


@main.group()
def plan() -> None:
    """Changes that wait for a person."""


@plan.command("list")
@config_option
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@clean_errors
def plan_list(config: Path, everything: bool, as_json: bool) -> None:
    """Plans that wait, newest first. Exits 3 while there are any."""

    async def work(database: Any) -> None:
        from syncd.db import plans  # noqa: PLC0415 - other commands start faster without it

        async with database.transaction("plan_list") as conn:
            found = await plans.newest(conn, waiting=not everything)
        if as_json:
            click.echo(json.dumps([as_dict(one) for one in found], default=str, indent=2))
        else:
            for one in found:
                click.echo(_line(one))
            if not found:
                click.echo("no plan waits")
        if any(one.state == "open" for one in found):
            sys.exit(NEEDS_PERSON)

    asyncio.run(with_database(config, work))


@plan.command("show")
@config_option
@click.argument("number", type=int)
@click.option("--rows", default=20, show_default=True, help="So many rows; 0: all.")
@json_option
@clean_errors
def plan_show(config: Path, number: int, rows: int, as_json: bool) -> None:
    """What plan NUMBER would change: in all, on each channel, and row by row."""

    async def work(database: Any) -> None:
        if not await print_plan(database, number, as_json, rows or 2**31):
            await _print_held(database, config, number, as_json, rows or 2**31)

    asyncio.run(with_database(config, work))


@plan.command("apply")
@config_option
@click.argument("number", type=int)
@wait_option
@json_option
@clean_errors
def plan_apply(config: Path, number: int, wait_s: float, as_json: bool) -> None:
    """Say yes to plan NUMBER and have it made. What moved meanwhile is computed again."""

    async def work(database: Any) -> None:
        await apply_plan(database, number, getpass.getuser(), wait_s, as_json)

    asyncio.run(with_database(config, work))


@plan.command("reject")
@config_option
@click.argument("number", type=int)
@json_option
@clean_errors
def plan_reject(config: Path, number: int, as_json: bool) -> None:
    """Say no to plan NUMBER."""

    async def work(database: Any) -> None:
        from syncd.db import plans  # noqa: PLC0415 - other commands start faster without it

        async with database.transaction("plan_reject") as conn:
            now = datetime.now(UTC)
            if not await plans.decide(conn, number, "rejected", now, getpass.getuser()):
                raise SyncdError(await _why_not(conn, number))
        said = {"plan": number, "state": "rejected"}
        click.echo(json.dumps(said) if as_json else f"plan {number} is rejected")

    asyncio.run(with_database(config, work))


async def _why_not(conn: Any, number: int) -> str:
    from syncd.db import plans  # noqa: PLC0415 - other commands start faster without it

    found = await plans.get(conn, number)
    return f"plan {number} is {found.state}" if found else f"there is no plan {number}"


async def apply_plan(database: Any, number: int, actor: str, wait_s: float, as_json: bool) -> None:
    """Say yes to a plan and wait until the daemon has made it; exits 1 where it did not."""
    from syncd.db import bookmark, holds, plans  # noqa: PLC0415 - other commands start faster

    async with database.transaction("plan_yes") as conn:
        now = datetime.now(UTC)
        states = ("open", "rejected") if await holds.holds(conn, number) else ("open",)
        if not await plans.decide(conn, number, "applying", now, actor, before=states):
            raise SyncdError(await _why_not(conn, number))
        wish = await bookmark.ask(conn, "apply", None, None, now, plan_id=number)
        found = await plans.get(conn, number)
    progress = Progress(found.rows if found else 0)
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        async with database.transaction("plan_progress") as conn:
            result = await bookmark.wish_result(conn, wish)
            found = await plans.get(conn, number)
        progress("made", found.done if found else 0)
        if result is not None:
            progress.end()
            click.echo(json.dumps(result) if as_json else _made(result))
            if "error" in result:
                sys.exit(FAILED)
            return
        await asyncio.sleep(WAIT_POLL_S)
    progress.end()
    click.echo(f"plan {number} is to be made; no daemon has done it in {wait_s:.0f} s", err=True)
    sys.exit(FAILED)


async def finish(database: Any, done: Any, *, applies: bool, wait_s: float, as_json: bool) -> None:
    """A plan was made: apply it where that was asked for and may be, else show it and exit 3."""
    if done.plan_id is None:
        said = {"plan": None, "state": "nothing_to_do", **done.summary()}
        click.echo(json.dumps(said) if as_json else "nothing to change")
        return
    if applies and not done.above:
        await apply_plan(database, done.plan_id, getpass.getuser(), wait_s, as_json)
        return
    await print_plan(database, done.plan_id, as_json)
    if applies:
        click.echo(
            f"more than the blast radius on {', '.join(done.above)}: look at it, then "
            f"syncd plan apply {done.plan_id}",
            err=True,
        )
    sys.exit(NEEDS_PERSON)


def _made(result: dict[str, Any]) -> str:
    if "error" in result:
        return str(result["error"])
    words = ", ".join(
        f"{key} {value}" for key, value in result.items() if key not in ("plan", "state")
    )
    return f"plan {result['plan']} is made: {words}"


def as_dict(one: Any) -> dict[str, Any]:
    """A plan as JSON shows it."""
    keys = ("id", "kind", "state", "title", "actor", "channel", "undoes", "created_at", "expires_at",
            "decided_at", "decided_by", "done_at", "rows", "done")  # fmt: skip
    return {key: getattr(one, key) for key in keys} | {"summary": one.said}


def _line(one: Any) -> str:
    said = one.said
    where = ", ".join(
        f"{name}: {reach['zeroed']} zeroed, {reach['raised']} raised, {reach['lowered']} lowered"
        for name, reach in said.get("channels", {}).items()
    )
    what = f"{said['changed']} of {one.rows} counts change" if "changed" in said else ""
    words = "; ".join(word for word in (what, where) if word)
    return f"{one.id:>5}  {one.kind:<12} {one.state:<9} {one.title}  {words}".rstrip()


async def print_plan(database: Any, number: int, as_json: bool, limit: int = 20) -> bool:
    """Show a plan of counts, and this many of its rows as they stand now; False: it is none."""
    from syncd.db import holds, plan_rows, plans  # noqa: PLC0415 - other commands start faster
    from syncd.stock.plans import booked_by  # noqa: PLC0415 - the same

    async with database.transaction("plan_show") as conn:
        found = await plans.get(conn, number)
        if found is None:
            raise SyncdError(f"there is no plan {number}")
        if await holds.holds(conn, number):
            return False
        rows = await plan_rows.rows(conn, number, 0, limit)
    table = [
        {
            "row": r.source_row,
            "sku": r.sku,
            "warehouse": r.warehouse,
            "level": r.quantity_now,
            "counted": r.quantity,
            "delta": r.delta
            if r.applied_at
            else booked_by(r.quantity, r.seen, r.units, r.quantity_now, r.later),
            "applied": r.applied_at is not None,
        }
        for r in rows
    ]
    if as_json:
        said = as_dict(found) | {"plan": number, "changes": table}
        click.echo(json.dumps(said, default=str, indent=2))
        return True
    click.echo(_line(found).strip())
    show_reaches(found.said)
    for row in table:
        level = "new" if row["level"] is None else row["level"]
        delta = row["delta"]
        click.echo(f"  {row['sku']}  {row['warehouse']}  level {level}  {delta:+}")
    if found.rows > len(table):
        click.echo(f"  … {found.rows - len(table)} more rows")
    if found.state == "open":
        click.echo(f"syncd plan apply {number}, or syncd plan reject {number}")
    return True


async def _print_held(database: Any, config: Path, number: int, as_json: bool, limit: int) -> None:
    """Show a plan that holds listings: what each shows, and would show."""
    from syncd.app.build import named_rulebook  # noqa: PLC0415 - other commands start faster
    from syncd.config import load  # noqa: PLC0415 - the same
    from syncd.corridor.plans import target_of  # noqa: PLC0415 - the same
    from syncd.db import holds, plans  # noqa: PLC0415 - the same

    rulebook = await named_rulebook(database, load(config, os.environ))
    async with database.transaction("plan_held") as conn:
        found = await plans.get(conn, number)
        page = await holds.held_page(conn, number, 0, max(limit, HELD_READ))
    rows: list[dict[str, Any]] = []
    for one in page:
        wants = target_of(rulebook, one)
        if wants is not None and wants != one.shown and len(rows) < limit:
            rows.append({"sku": one.sku, "shows": one.shown, "would_show": wants})
    if as_json:
        said = as_dict(found) | {"plan": number, "changes": rows}
        click.echo(json.dumps(said, default=str, indent=2))
        return
    assert found is not None
    click.echo(_line(found).strip())
    show_reaches(found.said)
    for row in rows:
        click.echo(f"  {row['sku']}  shows {row['shows']}, would show {row['would_show']}")
    click.echo(f"syncd plan apply {number}, or syncd plan reject {number}")


def show_reaches(said: dict[str, Any]) -> None:
    """What a plan would do to the listings of each channel."""
    for name, reach in said.get("channels", {}).items():
        click.echo(
            f"  {name}: of {reach['listings']} listings {reach['zeroed']} zeroed, {reach['raised']} "
            f"raised, {reach['lowered']} lowered (+{reach['units_up']} −{reach['units_down']} units)"
        )
