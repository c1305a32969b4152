"""An operator's files: out, edited, in again, and a number set by hand, against the real daemon."""

from __future__ import annotations

import json
from pathlib import Path

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, until


async def test_counts_go_out_and_come_back(
    process: Process, stores: dict[str, Standin], units: dict[str, int], tmp_path: Path
) -> None:
    sheet = tmp_path / "stock.csv"
    await process.done("export", "-o", str(sheet))
    text = sheet.read_text()
    assert len(text.splitlines()) == 1 + len(units)
    again = await process.done("export", "--warehouse", "main")
    assert [row.split(",")[:4] for row in again.splitlines()] == [
        row.split(",")[:4] for row in text.splitlines()
    ]
    status, out, _ = await process.ask("import", str(sheet), "--json")
    assert (status, json.loads(out)["state"]) == (0, "nothing_to_do")

    sheet.write_text(text.replace("ITEM-00,main,400,", "ITEM-00,main,390,"))
    status, out, _ = await process.ask("import", str(sheet), "--json")
    plan = json.loads(out)
    assert (status, plan["state"], plan["summary"]["changed"]) == (3, "open", 1)
    assert plan["changes"][0] | {"row": 0} == {
        "row": 0, "sku": "ITEM-00", "warehouse": "main", "level": 400, "counted": 390,
        "delta": -10, "applied": False,
    }  # fmt: skip
    status, out, _ = await process.ask("plan", "list")
    assert (status, "1 of 1 counts change" in out) == (3, True)
    assert "syncd plan apply" in await process.done("plan", "show", str(plan["plan"]))
    assert {store.shelf("ITEM-00") for store in stores.values()} == {400}

    await process.done("plan", "apply", str(plan["plan"]))
    await until(lambda: {s.shelf("ITEM-00") for s in stores.values()} == {390}, 20, "applied")
    assert "no plan waits" in await process.done("plan", "list")
    status, _, err = await process.ask("plan", "apply", str(plan["plan"]))
    assert (status, "is applied" in err) == (1, True)

    await process.done("undo", str(plan["plan"]))
    await until(lambda: {s.shelf("ITEM-00") for s in stores.values()} == {400}, 20, "undone")
    status, _, err = await process.ask("undo", str(plan["plan"]))
    assert (status, "is undone by plan" in err) == (1, True)

    made = await process.done("set", "ITEM-01", "405", "--json")
    assert json.loads(made)["units"] == 4
    await until(lambda: {s.shelf("ITEM-01") for s in stores.values()} == {405}, 20, "set")
    await process.done("set", "ITEM-01", "404")
    status, _, err = await process.ask("undo", str(json.loads(made)["plan"]))
    assert (status, "ITEM-01 in main: moved -1 since (adjustment)" in err) == (3, True)


async def test_a_wrong_file_is_told_and_nothing_of_it_is_kept(
    process: Process, tmp_path: Path
) -> None:
    sheet = tmp_path / "stock.csv"
    sheet.write_text("sku,quantity\nITEM-00,1E+03\nNOBODY,1\n")
    status, out, err = await process.ask("import", str(sheet), "--warehouse", "main", "--apply")
    assert (status, out) == (1, "")
    assert "row 2: ITEM-00: 1E+03 is a spreadsheet's short form" in err
    assert "row 3: NOBODY: no item has this sku" in err
    status, out, err = await process.ask("import", str(sheet), "--json")
    assert (status, json.loads(out)["wrong"]) == (1, 1)
    assert await process.asked("select count(*) from plan where kind = 'import'") == 0

    sheet.write_text("sku,quantity\n" + "".join(f"ITEM-{n:02d},0\n" for n in range(24)))
    status, _, err = await process.ask("import", str(sheet), "--warehouse", "main", "--apply")
    assert (status, "more than the blast radius" in err) == (3, True)
    number = err.rsplit(maxsplit=1)[-1]
    await process.done("plan", "reject", number)
    status, _, err = await process.ask("plan", "apply", number)
    assert (status, f"plan {number} is rejected" in err) == (1, True)
