"""Bundles as people meet them: commands, files, the API, explain, plans and what is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd.app import bundles
from syncd.errors import ConfigError
from syncd.stock.policy import retold
from tests.flow.asking import serving
from tests.flow.commands import Operator
from tests.flow.test_bundles import opened, shown
from tests.flow.test_explain import told
from tests.flow.town import LEVELS, ORDERS, Town


@pytest.fixture
async def town(plan: Town) -> Town:
    """Two shops that list a SET and a DUO, both described in the configuration."""
    return await opened(plan, uk=LEVELS, woo=ORDERS)


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


async def test_commands_describe_show_and_end_bundles(town: Town, operator: Operator) -> None:
    said = await operator.done("bundles", "set", "GIFT", "TEE=4", "BOX=1")
    assert said == "GIFT is a bundle\n"
    assert "already" in await operator.done("bundles", "set", "GIFT", "BOX=1", "TEE=4")
    found = (await operator.json("bundles", "list", "GIFT"))["bundles"][0]
    assert (found["sku"], found["components"], found["source"]) == (
        "GIFT",
        {"BOX": 1, "TEE": 4},
        "hand",
    )
    assert found["warehouses"] == {
        "main": {"makes": 7, "short": "TEE", "left": {"BOX": 8, "TEE": 30}}
    }
    text = await operator.done("bundles", "list", "--component", "MUG")
    assert "DUO" in text
    assert "1 × BOX, 2 × MUG" in text
    assert "GIFT" not in text
    assert (await operator.done("bundles", "remove", "GIFT")).startswith(
        "GIFT is no bundle any more"
    )
    refused = await operator.ask("bundles", "remove", "SET")
    assert refused.exit_code == 1
    assert "described in the configuration" in refused.output
    for wrong in (["MUG"], ["MUG=x"], ["MUG=1", "MUG=2"]):
        assert (await operator.ask("bundles", "set", "GIFT", *wrong)).exit_code == 2
    refused = await operator.ask("bundles", "set", "GIFT", "MUG=0")
    assert refused.exit_code == 1
    assert "at least 1 is needed" in refused.output


async def test_a_file_is_taken_whole_or_not_at_all(
    town: Town, operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "bundles.csv"
    file.write_text("bundle sku,component sku,quantity\nGIFT,TEE,4\nGIFT,BOX,1\nPAIR,TEE,2\n")
    assert await operator.json("bundles", "import", str(file)) == {
        "bundles": 2,
        "changed": ["GIFT", "PAIR"],
    }
    assert (await operator.json("bundles", "import", str(file)))["changed"] == []
    written = await operator.done("bundles", "list", "GIFT", "PAIR", "--csv")
    assert written == "bundle sku,component sku,quantity\nGIFT,BOX,1\nGIFT,TEE,4\nPAIR,TEE,2\n"
    file.write_text(
        "bundle sku,component sku,quantity\nPAIR,BOX,1\nNEW,NONE,1\nBIG,GIFT,1\nSET,BOX,2\nBOX,TEE,1\n"
    )
    refused = json.loads((await operator.ask("bundles", "import", str(file), "--json")).stdout)
    assert refused["state"] == "refused"
    assert {(one["row"], one["says"]) for one in refused["complaints"]} == {
        (2, 'PAIR: contains the bundle "BOX": name what that one is made of instead'),
        (3, "NEW: NONE: no item has this sku"),
        (4, 'BIG: contains the bundle "GIFT": name what that one is made of instead'),
        (5, "SET: is described in the configuration: change it there"),
        (5, 'SET: contains the bundle "BOX": name what that one is made of instead'),
        (6, 'BOX: is a component of the bundle "GIFT", so it can be none itself'),
    }
    assert (await operator.json("bundles", "list", "PAIR"))["bundles"][0]["components"] == {
        "TEE": 2
    }
    plain = await operator.ask("bundles", "import", str(file))
    assert "nothing was changed" in plain.output


async def test_the_api_describes_bundles_and_says_what_they_make(town: Town) -> None:
    async with serving(town.core) as api:
        done = await api.post(
            "/bundles", {"bundles": [{"sku": "GIFT", "components": {"TEE": 4, "BOX": 1}}]}
        )
        assert (done.status, done.body) == (200, {"changed": ["GIFT"]})
        found = (await api.get("/bundles", component="TEE")).body["bundles"]
        assert [(one["sku"], one["source"], one["actor"]) for one in found] == [
            ("DUO", "config", "config"),
            ("GIFT", "api", "wms"),
        ]
        one = (await api.get("/bundles/GIFT")).body
        assert one["warehouses"][0]["makes"] == 7
        assert one["warehouses"][0]["short"] == "TEE"
        page = (await api.get("/bundles", limit=2)).body
        assert [x["sku"] for x in page["bundles"]] == ["DUO", "GIFT"]
        rest = (await api.get("/bundles", after=page["next"])).body
        assert [x["sku"] for x in rest["bundles"]] == ["SET"]
        item = (await api.get("/items/GIFT")).body
        assert item["made_of"] == {"BOX": 1, "TEE": 4}
        assert (await api.get("/items/MUG")).body["made_of"] is None
        items = {x["sku"]: x["bundle"] for x in (await api.get("/items")).body["items"]}
        assert items == {
            "BOX": False, "DUO": True, "GIFT": True, "MUG": False, "SET": True, "TEE": False,
        }  # fmt: skip
        assert (await api.post("/bundles/end", {"skus": ["GIFT"]})).status == 200
        assert (await api.post("/bundles/end", {"skus": ["GIFT"]})).status == 409
        assert (await api.get("/bundles/GIFT")).status == 404


@pytest.mark.parametrize(
    ("bundles_said", "pointer"),
    [
        ([{"sku": "X", "components": {"NONE": 1}}], "/bundles/0/components/NONE"),
        ([{"sku": "X", "components": {"X": 1}}], "/bundles/0/components/X"),
        (
            [{"sku": "OK", "components": {"TEE": 1}}, {"sku": "X", "components": {"SET": 1}}],
            "/bundles/1/components/SET",
        ),
        ([{"sku": "MUG", "components": {"TEE": 1}}], "/bundles/0/sku"),
        ([{"sku": "SET", "components": {"TEE": 1}}], "/bundles/0/sku"),
        ([{"sku": "X", "components": {}}], "/bundles/0/components"),
        ([{"sku": "X", "components": {"TEE": 0}}], "/bundles/0/components/TEE"),
        ([{"sku": "X", "components": {"TEE": 10**12}}], "/bundles/0/components/TEE"),
        ([{"sku": "X", "components": {"TEE": 1.5}}], "/bundles/0/components"),
        ([], "/bundles"),
    ],
)
async def test_what_the_api_refuses_names_its_place(
    town: Town, bundles_said: object, pointer: str
) -> None:
    async with serving(town.core) as api:
        told_so = await api.post("/bundles", {"bundles": bundles_said})
    assert told_so.status == 422
    assert pointer in [error["pointer"] for error in told_so.body["errors"]]
    assert await town.rows("select sku from item where sku in ('X', 'OK')") == []


async def test_explain_says_which_component_is_short(town: Town, operator: Operator) -> None:
    await town.stores["woo"].sell({"BOX": 5})
    await town.settle()
    found = await told(town, "SET")
    assert found.made_of == {"BOX": 1, "MUG": 2}
    [made] = found.bundle
    assert (made.warehouse, made.makes, made.short) == ("main", 3, "BOX")
    assert [(x.sku, x.left, x.makes) for x in made.components] == [("BOX", 3, 3), ("MUG", 10, 5)]
    assert found.warehouses == ()
    for listing in found.listings:
        assert (listing.target, listing.state) == (3, "shown")
        assert ("bundle", 3) in [(step.name, step.after) for step in listing.steps]
        assert listing.write is not None
        assert listing.write.recomputed == listing.write.line.after == 3
        assert retold(listing.write.level or 0, listing.write.inputs).target == 3
    assert (await told(town, "MUG")).component_of == ("DUO", "SET")
    text = await operator.done("explain", "SET")
    assert "a bundle of 1 × BOX, 2 × MUG" in text
    assert "its components make 3" in text
    assert "short" in text
    table = await operator.done("items", "SET")
    assert "SET (bundle)" in table
    assert "main 3" in table


async def test_explain_says_that_a_component_is_not_counted(town: Town) -> None:
    town.bundles = {"SET": {"MUG": 1, "GHOST": 1}}
    await town.adopt()
    found = await told(town, "SET")
    assert {x.state for x in found.listings} == {"component_not_counted"}
    assert [(x.makes, x.short) for x in found.bundle] == [(None, "GHOST")]


async def test_counts_of_a_bundle_are_refused_row_by_row(
    town: Town, operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "counts.csv"
    file.write_text("sku,warehouse,quantity\nMUG,main,5\nSET,main,9\n")
    refused = json.loads((await operator.ask("import", str(file), "--json")).stdout)
    says = "SET: is a bundle and has no stock of its own; count its components (BOX, MUG)"
    assert refused["complaints"] == [{"row": 3, "says": says}]
    assert (await operator.ask("set", "SET", "4", "--warehouse", "main")).exit_code == 1
    assert "SET" not in await operator.done("export")
    async with serving(town.core) as api:
        answer = await api.post(
            "/movements",
            {
                "movements": [
                    {
                        "cause": "a",
                        "sku": "SET",
                        "kind": "adjustment",
                        "delta": 1,
                        "warehouse": "main",
                    },
                    {
                        "cause": "b",
                        "sku": "BOX",
                        "kind": "adjustment",
                        "delta": 2,
                        "warehouse": "main",
                    },
                    {
                        "cause": "c",
                        "sku": "DUO",
                        "kind": "stocktake",
                        "available": 4,
                        "counted_at": "2026-11-23T12:00:30Z",
                        "warehouse": "main",
                    },
                ]
            },
        )
    assert [(x["outcome"], x["reason"]) for x in answer.body["results"]] == [
        ("refused", "is a bundle: post its components (BOX, MUG)"),
        ("booked", ""),
        ("refused", "is a bundle: post its components (MUG, TEE)"),
    ]
    await town.settle()
    await shown(town, BOX=10, SET=5)
    assert await town.level("SET") is None


async def test_orders_of_no_channel_take_components_too(town: Town) -> None:
    async with serving(town.core) as api:
        body = {"id": "tel-1", "lines": [{"line": "1", "sku": "SET", "quantity": 2}]}
        done = await api.post("/orders", body)
    assert done.status == 200, done.body
    assert [(x["sku"], x["taken"], x["booked"]) for x in done.body["lines"]] == [("SET", 2, 2)]
    await town.settle()
    await shown(town, MUG=6, BOX=6, SET=3, DUO=6)


async def test_a_plan_of_counts_weighs_the_bundles_they_make(
    town: Town, operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "counts.csv"
    file.write_text("sku,warehouse,quantity\nMUG,main,0\n")
    await operator.ask("import", str(file), "--json")
    [(summary,)] = await town.rows("select summary::text from plan where kind = 'import'")
    assert json.loads(summary)["channels"]["woo"]["zeroed"] == 3, "MUG, SET and DUO"


async def test_a_held_bundle_yields_to_what_its_components_sell(plan: Town) -> None:
    town = await opened(plan, uk=LEVELS, woo=ORDERS)
    await town.rows(
        "insert into plan (kind, state, title, actor, created_at) values ('x', 'open', '', '', now())"
    )
    await town.rows(
        "update shelf s set held_by = 1, keeps = s.shown from listing l"
        " where l.id = s.listing_id and l.sku = 'SET'"
    )
    await town.stores["uk"].sell({"MUG": 3})
    await town.settle()
    assert town.shelves("SET") == {"uk": 3, "woo": 3}, "five, less what three mugs no longer make"
    await town.stores["uk"].refund(next(iter(town.stores["uk"]._orders)), "MUG", 3, restock=True)
    await town.settle()
    assert town.shelves("SET") == {"uk": 3, "woo": 3}


async def test_what_is_configured_must_fit_what_was_said_elsewhere(
    town: Town, operator: Operator
) -> None:
    await operator.done("bundles", "set", "GIFT", "TEE=1")
    town.bundles["BIG"] = {"GIFT": 2}
    with pytest.raises(ConfigError) as told_so:
        await town.adopt()
    assert told_so.value.problems == [
        'bundles.BIG.components.GIFT: contains the bundle "GIFT": name what that one is made of instead'
    ]
    with pytest.raises(ConfigError):
        await bundles.take_up(town.core, town.parsed({}))
    town.bundles = {"GIFT": {"TEE": 2}}
    await town.adopt()
    assert await town.rows(
        "select i.sku, b.source from bundle b join item i on i.id = b.item_id"
    ) == [("GIFT", "config")]
    lines = await town.rows(
        "select sku, reason from journal where outcome = 'bundle' order by at desc, sku limit 3"
    )
    assert ("GIFT", "made of 2 × TEE") in lines
    assert ("SET", "no bundle any more") in lines
