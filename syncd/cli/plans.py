"""Commands for plans: what waits for a yes, what it would change, and the yes or no itself."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from dataclasses import asdict
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
        from syncd.app.build import named_rulebook  # noqa: PLC0415 - other commands start faster
        from syncd.config import load  # noqa: PLC0415 - the same

        rulebook = await named_rulebook(database, load(config, os.environ))
        await print_plan(database, rulebook, number, as_json, rows or 2**31)

    asyncio.run(with_database(config, work))


@plan.command("apply")
@config_option
@click.argument("number", type=int)
@click.option("--discard", is_flag=True, help="What moved while the channel was off is not booked.")
@wait_option
@json_option
@clean_errors
def plan_apply(config: Path, number: int, discard: bool, wait_s: float, as_json: bool) -> None:
    """Say yes to plan NUMBER and have it made. What moved meanwhile is computed again."""

    async def work(database: Any) -> None:
        await apply_plan(database, number, getpass.getuser(), wait_s, as_json, discard=discard)

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


async def apply_plan(
    database: Any,
    number: int,
    actor: str,
    wait_s: float,
    as_json: bool,
    *,
    discard: bool = False,
) -> None:
    """Say yes to a plan and wait until the daemon has made it; exits 1 where it did not."""
    from syncd.db import bookmark, holds, plans  # noqa: PLC0415 - other commands start faster

    async with database.transaction("plan_yes") as conn:
        now = datetime.now(UTC)
        before = await plans.get(conn, number)
        if discard and before is not None and before.kind != "re_enabled":
            raise SyncdError(f"plan {number} is a {before.kind}: it discards nothing")
        states = ("open", "rejected") if await holds.holds(conn, number) else ("open",)
        if not await plans.decide(conn, number, "applying", now, actor, before=states):
            raise SyncdError(await _why_not(conn, number))
        args = {"discard": discard}
        wish = await bookmark.ask(
            conn, "apply", None, None, now, plan_id=number, actor=actor, args=args
        )
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


async def finish(
    database: Any, rulebook: Any, done: Any, *, applies: bool, wait_s: float, as_json: bool
) -> None:
    """A plan was made: apply it where that was asked for and may be, else show it and exit 3."""
    if done.plan_id is None:
        said = {"plan": None, "state": "nothing_to_do", **done.summary()}
        click.echo(json.dumps(said) if as_json else "nothing to change")
        return
    if applies and not done.above:
        await apply_plan(database, done.plan_id, getpass.getuser(), wait_s, as_json)
        return
    await print_plan(database, rulebook, done.plan_id, as_json)
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


async def print_plan(
    database: Any, rulebook: Any, number: int, as_json: bool, limit: int = 20
) -> None:
    """Show a plan, and this many of its changes as they stand now."""
    from syncd.corridor import showing  # noqa: PLC0415 - other commands start faster without it
    from syncd.db import plans  # noqa: PLC0415 - the same

    async with database.transaction("plan_show") as conn:
        found = await plans.get(conn, number)
        if found is None:
            raise SyncdError(f"there is no plan {number}")
        changes = [asdict(one) for one in await showing.changes(conn, rulebook, found, 0, limit)]
    if as_json:
        shown = [{k: v for k, v in one.items() if k != "position"} for one in changes]
        said = as_dict(found) | {"plan": number, "changes": shown}
        click.echo(json.dumps(said, default=str, indent=2))
        return
    click.echo(_line(found).strip())
    show_reaches(found.said)
    for one in changes:
        click.echo(f"  {_change(one)}")
    if found.rows > len(changes):
        click.echo(f"  … {found.rows - len(changes)} more rows")
    if found.state == "open":
        click.echo(f"syncd plan apply {number}, or syncd plan reject {number}")
        if found.kind == "re_enabled":
            click.echo(
                "what moved is booked; --discard: it is not, and the channel is written back"
            )
    elif found.state == "rejected" and changes and "would_show" in changes[0]:
        click.echo(f"held as it is; syncd plan apply {number} lets it go after all")


def _change(one: dict[str, Any]) -> str:
    """A row of a plan: a listing that is held, one whose channel was off, or a count."""
    if "would_show" in one:
        return f"{one['sku']}  shows {one['shows']}, would show {one['would_show']}"
    if "level_if_booked" in one:
        levels = f"{one['level_if_booked']} if booked, {one['level_if_discarded']} if discarded"
        return (
            f"{one['sku']}  {one['warehouse']}  {one['showed']} -> {one['shows']}: level {levels}"
        )
    level = "new" if one["level"] is None else one["level"]
    return f"{one['sku']}  {one['warehouse']}  level {level}  {one['delta']:+}"


def show_reaches(said: dict[str, Any]) -> None:
    """What a plan would do to the listings of each channel."""
    for name, reach in said.get("channels", {}).items():
        click.echo(
            f"  {name}: of {reach['listings']} listings {reach['zeroed']} zeroed, {reach['raised']} "
            f"raised, {reach['lowered']} lowered (+{reach['units_up']} −{reach['units_down']} units)"
        )
