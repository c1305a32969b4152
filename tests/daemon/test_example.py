"""The example configuration, and every command an operator has, against a running daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.app.build import channel_problems, problems_in
from syncd.config import load
from syncd.demo.standins.base import Standin
from syncd.demo.standins.shopify import ShopifyStandin
from tests.daemon.daemon import Process, found_in, until
from tests.daemon.secrets import canaries

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
CREDENTIALS = (
    "ops_token",
    "wms_token",
    "uk_token",
    "uk_secret",
    "outlet_key",
    "outlet_api_secret",
    "outlet_webhook_secret",
    "wholesale_key",
    "wholesale_secret",
    "wholesale_webhook_secret",
)


def test_the_example_loads_with_its_credentials(tmp_path: Path) -> None:
    for name in CREDENTIALS:
        (tmp_path / name).write_text(f"canary{name.replace('_', '')}")
    settings = load(EXAMPLE, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, channel_problems)
    assert problems_in(settings) == []
    assert settings.warnings == ()
    assert len(settings.secrets()) == len(CREDENTIALS)
    assert {c.platform for c in settings.channels.values()} == {
        "shopify",
        "shopwired",
        "woocommerce",
        "api",
    }


def findings(out: str) -> dict[str, list[str]]:
    """What `check --json` found, by verdict, each as "what: says"."""
    found: dict[str, list[str]] = {"ok": [], "warning": [], "problem": []}
    for row in json.loads(out):
        found[row["verdict"]].append(f"{row['what']}: {row['says']}")
    return found


async def test_check_finds_nothing_wrong_where_nothing_is(process: Process) -> None:
    status, out, err = await process.ask("check", "--json")
    found = findings(out)
    assert (status, found["problem"]) == (0, [])
    assert len([one for one in found["ok"] if "credentials accepted" in one]) == 3
    assert "database: answers, schema up to date" in found["ok"]
    status, text, _ = await process.ask("check")
    assert status == 0
    assert "ok       channels.shopify: credentials accepted" in text
    assert found_in(canaries(process), out, err, text) == []


async def test_check_names_every_problem_at_once(
    make_process: Callable[..., Process], stores: dict[str, Standin]
) -> None:
    shop = stores["shopify"]
    assert isinstance(shop, ShopifyStandin)
    shop.scopes = tuple(scope for scope in shop.scopes if scope != "write_inventory")
    process = make_process("postgresql://nobody:dsn-canary@127.0.0.1:1/none", stores)
    process.config["channels"]["shopwired"]["options"]["api_secret"] = "wrong-canary"
    process.write()
    status, out, err = await process.ask("check", "--json")
    problems = findings(out)["problem"]
    assert status == 1
    assert any(one.startswith("database: ") for one in problems)
    assert any("channels.shopwired: credentials refused" in one for one in problems)
    assert "channels.shopify: scope missing: write_inventory" in problems
    assert not any("woocommerce" in one for one in problems)
    assert found_in([*canaries(process), "dsn-canary"], out, err) == []


async def test_check_says_every_mistake_of_a_file(
    make_process: Callable[..., Process], stores: dict[str, Standin]
) -> None:
    process = make_process("postgresql://nobody@127.0.0.1:1/none", stores)
    process.config["sync"]["sweep_evry"] = "1m"
    process.config["channels"]["shopwired"]["options"]["api_kee"] = "key-canary"
    process.write()
    status, out, err = await process.ask("check")
    assert status == 1
    assert 'sync.sweep_evry: is not a known key; did you mean "sweep_every"?' in out
    assert "channels.shopwired.options.api_kee" in out
    assert "key-canary" not in out + err


@pytest.mark.parametrize("words", [("status",), ("check",), ("sweep",), ("db", "status")])
async def test_a_missing_file_is_said_without_a_traceback(
    make_process: Callable[..., Process], words: tuple[str, ...]
) -> None:
    process = make_process("postgresql://nobody@127.0.0.1:1/none", {})
    process.file.unlink()
    status, out, err = await process.ask(*words)
    assert status == 1
    assert "config.toml" in out + err
    assert "Traceback" not in out + err


async def test_every_command_works_against_a_running_daemon(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    secrets = canaries(process)
    said: list[str] = []

    async def done(*words: str) -> str:
        said.append(await process.done(*words))
        return said[-1]

    table = await done("status")
    assert "woocommerce" in table
    rows = {row["name"]: row for row in json.loads(await done("status", "--json"))}
    assert {name: row["listings"] for name, row in rows.items()} == dict.fromkeys(
        stores, len(units)
    )
    assert set(json.loads(await done("sweep"))["sweeping"]) == set(stores)
    assert json.loads(await done("sweep", "shopify")) == {"sweeping": ["shopify"]}
    pushed = json.loads(await done("push", "ITEM-00", "ITEM-01"))
    assert pushed["listings"] == 2 * len(stores)
    pushed = json.loads(await done("push", "--all", "--channel", "shopwired"))
    assert pushed["listings"] == len(units)
    assert json.loads(await done("seed")) == {"seeded": {"shopify": 0}}
    assert json.loads(await done("retry")) == {"deliveries": 0, "events": 0}
    assert "0001_spine" in await done("db", "status")
    assert await done("db", "migrate") == "up to date\n"
    other = process.folder / "other.toml"
    other.write_text(process.file.read_text().replace('"10m"', '"11m"'))
    assert "sync.sweep_every" in await done("config", "diff", str(other))
    assert found_in(secrets, *said) == []


async def test_commands_that_cannot_be_carried_out_say_why(process: Process) -> None:
    status, out, _ = await process.ask("sweep", "nobody")
    assert (status, json.loads(out)) == (1, {"error": "no channel is named nobody"})
    status, _, err = await process.ask("push")
    assert status == 2
    assert "name SKUs, or --all" in err
    await process.kill()
    status, _, err = await process.ask("sweep", "--wait", "0.3")
    assert status == 1
    assert "no daemon has done it" in err


async def test_parked_deliveries_need_a_person_and_a_retry(
    process: Process, stores: dict[str, Standin]
) -> None:
    shop = stores["woocommerce"]
    shop.faults.refuse_skus = {"ITEM-05"}
    await stores["shopwired"].sell({"ITEM-05": 1, "ITEM-06": 1})

    async def parked() -> bool:
        status, out, _ = await process.ask("status", "--json")
        rows = {row["name"]: row for row in json.loads(out)}
        assert status in (0, 3)
        return bool(status == 3 and rows["woocommerce"]["parked"] == 1)

    await until(parked, 20, process.words)
    assert shop.shelf("ITEM-06") == stores["shopwired"].shelf("ITEM-06")
    shop.faults.refuse_skus = set()
    assert json.loads(await process.done("retry", "--channel", "woocommerce"))["deliveries"] == 1
    await until(
        lambda: shop.shelf("ITEM-05") == stores["shopwired"].shelf("ITEM-05"), 20, process.words
    )


async def test_a_bad_configuration_ends_the_start_with_every_reason(
    make_process: Callable[..., Process], stores: dict[str, Standin]
) -> None:
    process = make_process("postgresql://nobody@127.0.0.1:1/none", stores)
    process.config["sync"]["sweep_evry"] = "1m"
    process.config["warehouses"]["main"]["source"] = "nobody"
    process.write()
    await process.start(ready=False)
    assert await process.wait() == 1
    assert "sync.sweep_evry" in process.words()
    assert "warehouses.main.source" in process.words()
    assert "Traceback" not in process.words()
