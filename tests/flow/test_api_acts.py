"""What people do over the API: the command line's own acts, once for each key, with who did them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from syncd.corridor import take_switches
from syncd.stock.plans import Radius
from tests.flow.asking import Answer, Client, serving
from tests.flow.test_api import problem
from tests.flow.town import FOLLOWED, LEVELS, ORDERS, Town


@pytest.fixture
async def api(town: Town) -> AsyncIterator[Client]:
    async with serving(town.core) as client:
        yield client


@pytest.fixture
def admin(api: Client) -> Client:
    return api.by("admin-secret")


async def result(town: Town, api: Client, asked: Answer) -> dict[str, Any]:
    """What became of a wish, once the daemon has carried it out."""
    assert asked.status == 202, asked.raw
    assert await town.bulk.step()
    await town.settle()
    found = (await api.get(asked.headers["Location"])).body
    assert found["done_at"] is not None
    return dict(found["result"])


# ---- items and listings


async def test_an_item_is_taken_out_of_a_channel_and_let_in_again(api: Client, town: Town) -> None:
    body = {"skus": ["MUG"], "channel": "woo"}
    assert (await api.post("/items/exclude", body)).body == body
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 50}
    assert (await api.post("/items/include", body)).status == 200
    await town.settle()
    assert town.shelves("MUG")["woo"] == 45
    said = await town.rows(
        "select outcome, detail->>'actor' from journal where outcome in ('excluded', 'included')"
    )
    assert sorted(said) == [("excluded", "wms"), ("included", "wms")]


async def test_an_item_belongs_to_its_channels_alone(api: Client, town: Town) -> None:
    await api.post("/items/offer", {"skus": ["MUG"], "channels": ["uk", "sw"]})
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.shelves("MUG")["woo"] == 50
    await api.post("/items/offer", {"skus": ["MUG"], "channels": None})
    await town.settle()
    assert town.shelves("MUG")["woo"] == 45


async def test_an_item_is_called_otherwise_and_linked_by_hand(api: Client, town: Town) -> None:
    renamed = {"old": "MUG", "new": "CUP"}
    assert (await api.post("/items/rename", renamed)).body == renamed
    assert (await api.get("/items/CUP")).status == 200
    [remote] = await town.rows(
        "select l.remote from listing l join channel c on c.id = l.channel_id"
        " where c.name = 'woo' and l.sku = 'MUG'"
    )
    link = {"channel": "woo", "remote": remote[0], "sku": None}
    assert (await api.post("/links", {"links": [link]})).body == {"linked": 0}
    assert len((await api.get("/items/CUP")).body["listings"]) == 2
    assert (await api.post("/links", {"links": [{**link, "sku": "CUP"}]})).body == {"linked": 1}
    assert len((await api.get("/items/CUP")).body["listings"]) == 3
    await api.post("/links", {"links": [link]})
    by_rules = {"channel": "woo", "remote": remote[0]}
    assert (await api.post("/links/by-rules", by_rules)).status == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/items/exclude", {"skus": ["NOPE"]}, "no item is called NOPE"),
        ("/items/exclude", {"skus": ["MUG"], "channel": "us"}, "no channel is named us"),
        ("/items/include", {"skus": []}, "/skus"),
        ("/items/offer", {"skus": ["MUG"], "channels": []}, "one channel at least"),
        ("/items/offer", {"skus": ["MUG"]}, "/channels"),
        ("/items/rename", {"old": "MUG", "new": "TEE"}, "another item already"),
        ("/links", {"links": [{"channel": "woo", "remote": "9", "sku": "MUG"}]}, "lists no 9"),
        ("/links/by-rules", {"channel": "us", "remote": "9"}, "no channel is named us"),
    ],
)
async def test_what_cannot_be_done_is_told_and_nothing_is(
    api: Client, town: Town, path: str, body: dict[str, Any], words: str
) -> None:
    said = problem(await api.post(path, body), 422, "invalid")
    assert words in said["detail"]
    assert await town.rows("select 1 from exclusion") == []


# ---- counts


async def test_a_number_is_set_over_the_level_that_was_seen(api: Client, town: Town) -> None:
    body = {"sku": "MUG", "quantity": 60, "seen": 50}
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    done = await result(town, api, await api.post("/counts", body))
    assert (done["state"], done["units"]) == ("applied", 10)
    assert town.shelves("MUG") == {"uk": 58, "sw": 58, "woo": 58}
    assert ("adjustment", "wms") in await town.rows("select kind, actor from movement")


async def test_a_count_says_when_and_is_one(api: Client, town: Town) -> None:
    at = town.clock()
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    body = {"sku": "MUG", "quantity": 40, "counted_at": at.isoformat(), "on_hand": True}
    await result(town, api, await api.post("/counts", body))
    assert await town.level("MUG") == 38
    assert await town.rows("select quantity, counted from stock_count") == [(40, "on_hand")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"sku": "MUG", "quantity": -1}, "/quantity"),
        ({"sku": "MUG", "quantity": 10**12}, "/quantity"),
        ({"sku": "MUG", "quantity": "7"}, "/quantity"),
        ({"sku": "MUG", "quantity": 1.5}, "/quantity"),
        ({"sku": "MUG", "quantity": 7, "warehouse": "moon"}, "/warehouse"),
        ({"sku": "MUG", "quantity": 7, "on_hand": True}, "/counted_at"),
        ({"sku": "MUG", "quantity": 7, "counted_at": "2100-01-01T00:00:00Z"}, "/counted_at"),
        ({"sku": "MUG", "quantity": 7, "counted_at": "2026-01-01T00:00:00"}, "/counted_at"),
    ],
)
async def test_a_count_that_cannot_be_meant_is_refused(
    api: Client, town: Town, body: dict[str, Any], pointer: str
) -> None:
    said = problem(await api.post("/counts", body), 422, "invalid")
    assert [e["pointer"] for e in said["errors"]] == [pointer]
    assert await town.rows("select 1 from wish") == []


async def test_a_count_of_what_is_no_item_says_so(api: Client, town: Town) -> None:
    done = await result(town, api, await api.post("/counts", {"sku": "NOPE", "quantity": 7}))
    assert done["state"] == "refused"
    assert done["complaints"] == [{"row": 2, "says": "NOPE: no item has this sku"}]


async def test_a_file_becomes_a_plan_that_is_looked_at_and_applied(
    api: Client, admin: Client, town: Town
) -> None:
    body = {"csv": "sku,quantity\nMUG,40\nTEE,10\nCAP,0\n", "warehouse": "main", "title": "shelf 7"}
    problem(await api.post("/import", body), 403, "role")
    asked = await admin.post("/import", body, key="one")
    again = await admin.post("/import", body, key="one")
    assert again.body == asked.body
    done = await result(town, admin, asked)
    assert (done["state"], done["changed"]) == ("open", 2)
    assert not await town.bulk.step(), "asked twice under one key, it is done once"
    [listed] = (await api.get("/plans")).body["plans"]
    assert (listed["kind"], listed["title"], listed["actor"]) == ("import", "shelf 7", "admin")
    page = (await api.get(f"/plans/{listed['id']}", limit=2)).body
    assert [(x["sku"], x["level"], x["delta"]) for x in page["changes"]] == [
        ("MUG", 50, -10), ("TEE", 10, 0),
    ]  # fmt: skip
    rest = (await api.get(f"/plans/{listed['id']}", limit=2, after=page["next"])).body
    assert ([x["sku"] for x in rest["changes"]], rest["next"]) == (["CAP"], None)
    assert await town.level("MUG") == 50
    done = await result(town, api, await api.post(f"/plans/{listed['id']}/apply"))
    assert (done["state"], done["units"]) == ("applied", -13)
    assert town.shelves("MUG") == {"uk": 40, "sw": 40, "woo": 40}
    assert (await api.get("/plans")).body["plans"] == []
    [kept] = (await api.get("/plans", state="all")).body["plans"]
    assert (kept["state"], kept["decided_by"]) == ("applied", "wms")
    problem(await api.post(f"/plans/{listed['id']}/apply"), 409, "decided")
    problem(await api.post(f"/plans/{listed['id']}/reject"), 409, "decided")


async def test_a_file_that_says_too_much_waits_though_it_is_to_be_applied(
    admin: Client, town: Town
) -> None:
    town.core.radius = Radius(count=0)
    body = {"csv": "sku,quantity\nMUG,0\n", "warehouse": "main", "apply": True}
    done = await result(town, admin, await admin.post("/import", body))
    assert (done["state"], done["above_blast_radius"]) == ("open", ["sw", "uk", "woo"])
    assert await town.level("MUG") == 50
    number = done["plan"]
    assert (await admin.post(f"/plans/{number}/reject")).body["state"] == "rejected"
    problem(await admin.post(f"/plans/{number}/apply"), 409, "decided")


async def test_a_wish_that_a_crash_broke_off_is_made_once(
    api: Client, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def falls_over(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    asked = await api.post("/counts", {"sku": "MUG", "quantity": 60, "seen": 50})
    with monkeypatch.context() as patch:
        patch.setattr("syncd.bulk.asking.apply", falls_over)
        with pytest.raises(KeyboardInterrupt):
            await town.bulk.step()
    async with town.db.transaction("restart") as conn:
        await conn.execute("update wish set started_at = null where done_at is null")
    done = await result(town, api, asked)
    assert (done["plan"], done["state"], done["units"]) == (1, "applied", 10)
    assert await town.level("MUG") == 60
    assert await town.rows("select count(*) from plan") == [(1,)]


async def test_what_was_made_is_taken_back(api: Client, admin: Client, town: Town) -> None:
    body = {"csv": "sku,quantity\nMUG,40\nTEE,8\n", "warehouse": "main", "apply": True}
    plan = (await result(town, admin, await admin.post("/import", body)))["plan"]
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    problem(await api.post(f"/plans/{plan}/undo"), 403, "role")
    problem(
        await admin.post(f"/plans/{plan}/undo", {"force": True, "skip_moved": True}), 422, "invalid"
    )
    done = await result(town, admin, await admin.post(f"/plans/{plan}/undo"))
    assert (done["state"], done["moved_since"]) == ("open", 1)
    assert done["moved"] == [{"sku": "MUG", "warehouse": "main", "units": -2, "kinds": ["sale"]}]
    await admin.post(f"/plans/{done['plan']}/reject")
    done = await result(town, admin, await admin.post(f"/plans/{plan}/undo", {"force": True}))
    assert done["state"] == "applied"
    assert (await town.level("MUG"), await town.level("TEE")) == (48, 10)


@pytest.mark.parametrize("act", ["apply", "reject", "undo"])
async def test_no_plan_no_act(admin: Client, act: str) -> None:
    problem(await admin.post(f"/plans/77/{act}"), 404, "not-found")
    problem(await admin.post(f"/plans/99999999999999999999/{act}"), 404, "not-found")


# ---- suspense


@pytest.fixture
async def asking(plan: Town) -> AsyncIterator[tuple[Town, Client]]:
    """A shop about whose edits a person is asked."""
    for name, character, more in (
        ("uk", LEVELS, {}), ("shop", FOLLOWED, {"edits": "alert"}), ("woo", ORDERS, {}),
    ):  # fmt: skip
        plan.store(name, character, **more).add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await plan.stores["shop"].edit("MUG", 57)
    await plan.settle()
    plan.clock.forward(301)
    await plan.settle()
    async with serving(plan.core) as client:
        yield plan, client


async def test_what_is_proposed_is_accepted(asking: tuple[Town, Client]) -> None:
    town, api = asking
    [row] = (await api.get("/suspense")).body["suspense"]
    assert (row["proposal"], row["candidates"]) == (7, [7])
    problem(await api.by("board-secret").post(f"/suspense/{row['id']}/accept"), 403, "role")
    wrong = {"candidates": [7, 8]}
    problem(await api.post(f"/suspense/{row['id']}/accept", wrong), 409, "asked-anew")
    seen = {"candidates": [7]}
    said = await api.post(f"/suspense/{row['id']}/accept", seen)
    assert said.body == {"id": row["id"], "amount": 7}
    await town.settle()
    assert await town.level("MUG") == 57
    assert set(town.shelves("MUG").values()) == {57}
    problem(await api.post(f"/suspense/{row['id']}/accept"), 404, "not-found")


async def test_another_amount_is_booked(asking: tuple[Town, Client]) -> None:
    town, api = asking
    [row] = (await api.get("/suspense")).body["suspense"]
    problem(await api.post(f"/suspense/{row['id']}/set"), 422, "invalid")
    problem(await api.post(f"/suspense/{row['id']}/set", {"amount": 10**10}), 409, "asked-anew")
    assert (await api.post(f"/suspense/{row['id']}/set", {"amount": -2})).status == 200
    await town.settle()
    assert await town.level("MUG") == 48
    assert ("edit", "wms") not in await town.rows("select kind, actor from movement")


# ---- channels


async def test_a_channel_is_switched_off_and_on_by_a_plan(
    api: Client, admin: Client, town: Town
) -> None:
    problem(await api.post("/channels/woo/disable"), 403, "role")
    problem(await admin.post("/channels/us/disable"), 404, "not-found")
    problem(await admin.post("/channels/_api/disable"), 404, "not-found")
    assert (await admin.post("/channels/woo/disable")).body == {"channel": "woo", "enabled": False}
    await take_switches(town.core)
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    done = await result(town, admin, await admin.post("/channels/woo/enable"))
    assert (done["state"], done["gaps"], done["gap_units"]) == ("open", 1, -3)
    page = (await api.get(f"/plans/{done['plan']}")).body
    assert page["changes"] == [
        {
            "sku": "MUG", "warehouse": "main", "showed": 50, "shows": 47, "level_if_booked": 47,
            "level_if_discarded": 50,
        }
    ]  # fmt: skip
    town.clock.forward(60)
    applied = await admin.post(f"/plans/{done['plan']}/apply", {"discard": True})
    assert (await result(town, admin, applied))["gaps_are"] == "discarded"
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_channel_is_switched_on_unread(admin: Client, town: Town) -> None:
    await admin.post("/channels/woo/disable")
    await take_switches(town.core)
    done = await result(town, admin, await admin.post("/channels/woo/enable", {"look": False}))
    assert "woo" in done["sweeping"]
    assert town.channel("woo").rules.enabled


async def test_only_a_channel_that_was_off_has_anything_to_discard(
    admin: Client, town: Town
) -> None:
    body = {"csv": "sku,quantity\nMUG,40\n", "warehouse": "main"}
    number = (await result(town, admin, await admin.post("/import", body)))["plan"]
    problem(await admin.post(f"/plans/{number}/apply", {"discard": True}), 422, "invalid")
    assert (await admin.post("/channels/woo/enable")).status == 202


async def test_a_push_over_the_api_says_who_and_can_be_undone(
    api: Client, admin: Client, town: Town
) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 57)
    town.lose_webhooks()
    done = await result(town, api, await api.post("/push", {"skus": ["MUG"]}))
    assert done == {"listings": 3, "plan": 1}
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}
    shown = (await api.get("/plans/1")).body
    assert (shown["plan"]["kind"], shown["plan"]["actor"]) == ("push", "wms")
    await result(town, admin, await admin.post("/plans/1/undo"))
    assert town.shelves("MUG") == {"uk": 57, "sw": 57, "woo": 57}


async def test_the_journal_is_searched_by_words_and_numbers(api: Client, town: Town) -> None:
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    found = (await api.get("/journal", outcome="delivered", before=50, after_number=48)).body
    assert {x["channel"] for x in found["lines"]} == {"uk", "sw"}
    assert (await api.get("/journal", reason="no such words")).body["lines"] == []
    until = (town.clock() - timedelta(days=1)).isoformat()
    assert (await api.get("/journal", until=until)).body["lines"] == []
