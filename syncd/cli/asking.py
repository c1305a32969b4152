"""Commands that ask the running daemon for work: sweep, push, seed, retry."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from syncd.cli.common import NEEDS_PERSON, ask_daemon, clean_errors, config_option, main

wait_option = click.option(
    "--wait", "wait_s", default=600.0, show_default=True, help="Seconds to wait for the daemon."
)


@main.command()
@config_option
@click.argument("channel", required=False)
@wait_option
@clean_errors
def sweep(config: Path, channel: str | None, wait_s: float) -> None:
    """Have the running daemon sweep CHANNEL now (all of them where none is named)."""
    ask_daemon(config, "sweep", channel, None, wait_s)


@main.command()
@config_option
@click.argument("skus", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every listing.")
@click.option("--channel", help="Only on this channel.")
@wait_option
@clean_errors
def push(
    config: Path, skus: tuple[str, ...], everything: bool, channel: str | None, wait_s: float
) -> None:
    """Deliver the counts of SKUS now, whatever is believed to be shown."""
    if everything == bool(skus):
        raise click.UsageError("name SKUs, or --all")
    ask_daemon(config, "push", channel, None if everything else list(skus), wait_s)


@main.command()
@config_option
@click.argument("warehouses", nargs=-1)
@click.option("--apply", "applies", is_flag=True, help="Say yes to the first syncs that follow.")
@wait_option
@clean_errors
def seed(config: Path, warehouses: tuple[str, ...], applies: bool, wait_s: float) -> None:
    """Take the first counts of WAREHOUSES (all where none is named) from their sources.

    Items that have a count keep it: a seed can be repeated. What it would change on each channel
    waits for a yes, as a plan: see syncd plan list.
    """
    kind = "seed_apply" if applies else "seed"
    done = ask_daemon(config, kind, None, list(warehouses), wait_s)
    if done.get("first_syncs"):
        click.echo("what this changes on each channel waits: syncd plan list", err=True)
        sys.exit(NEEDS_PERSON)


@main.command()
@config_option
@click.argument("skus", nargs=-1)
@wait_option
@clean_errors
def rebalance(config: Path, skus: tuple[str, ...], wait_s: float) -> None:
    """Share SKUS (all that are in escrow where none is named) among their channels anew.

    Who gives units shows less first; only then are they the taker's.
    """
    ask_daemon(config, "rebalance", None, list(skus) or None, wait_s)


@main.command()
@config_option
@click.option("--channel", help="Only on this channel.")
@wait_option
@clean_errors
def retry(config: Path, channel: str | None, wait_s: float) -> None:
    """Try parked deliveries and events again."""
    ask_daemon(config, "retry", channel, None, wait_s)
