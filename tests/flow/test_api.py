"""The API over real HTTP: who may, what is answered to whatever is sent, and once for each key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.console.listed import ROUTES
from syncd.db import answers
from tests.flow.asking import Client, serving
from tests.flow.town import Town


@pytest.fixture
async def api(town: Town) -> AsyncIterator[Client]:
    async with serving(town.core) as client:
        yield client


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem details of an answer, which must be some."""
    assert answer.status == status, answer.raw
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["type"] == f"urn:syncd:problem:{kind}"
    assert answer.body["title"]
    return dict(answer.body)


# ---- who may


async def test_without_any_token_the_api_is_closed_and_says_why(town: Town) -> None:
    async with serving(town.core, ()) as api:
        for path in ("/items", "/nothing", "/openapi.json"):
            said = problem(await api.get(path), 401, "token")
            assert "no token is configured" in said["detail"]


@pytest.mark.parametrize("given", ["", "wrong", "wms-secret\u00e9", "board-secre"])
async def test_who_is_not_known_learns_nothing(api: Client, given: str) -> None:
    for path in ("/items", "/nothing"):
        answer = await api.by(given).get(path)
        problem(answer, 401, "token")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await api.send("GET", "/items", {"Authorization": "Basic wms-secret"})).status == 401


async def test_a_role_may_what_the_lesser_may_and_no_more(api: Client) -> None:
    board = api.by("board-secret")
    assert (await board.get("/items")).status == 200
    said = problem(await board.post("/sweep"), 403, "role")
    assert "board may read; this wants operate" in said["detail"]
    assert (await api.post("/sweep")).status == 202
    assert (await api.by("admin-secret").post("/sweep")).status == 202


# ---- whatever is sent has an answer


async def test_the_router_speaks_in_problems(api: Client) -> None:
    problem(await api.get("/nothing"), 404, "not-found")
    answer = await api.send("DELETE", "/items")
    problem(answer, 405, "method")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "json"),
        (b"\xff\xfe", 400, "json"),
        (b"[" * 100_000, 400, "json"),
        (b"[]", 422, "invalid"),
        (b'"text"', 422, "invalid"),
        (b'{"chanel": "uk"}', 422, "invalid"),
        (b'{"channel": 1}', 422, "invalid"),
        (b'{"channel": "nowhere"}', 422, "invalid"),
        (b'{"channel": "u\\u0000k"}', 422, "invalid"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "too-large"),
    ],
)
async def test_a_bad_body_is_refused_with_its_reason(
    api: Client, body: bytes, status: int, kind: str
) -> None:
    assert problem(await api.post("/sweep", body), status, kind)["detail"]


async def test_every_wrong_field_is_named(api: Client) -> None:
    answer = await api.post("/push", {"skus": ["MUG", ""], "all": "yes", "whom": 1})
    said = {e["pointer"]: e["detail"] for e in problem(answer, 422, "invalid")["errors"]}
    assert set(said) == {"/skus/1", "/all", "/whom"} or set(said) == {"/skus/...", "/all", "/whom"}
    assert "not known" in said["/whom"]


async def test_only_json_is_read(api: Client) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "text/csv"}
    problem(await api.send("POST", "/sweep", headers, data="a,b"), 415, "media-type")


async def test_a_body_that_says_its_size_is_refused_before_it_is_read(api: Client) -> None:
    headers = {
        "Idempotency-Key": "k",
        "Content-Type": "application/json",
        "Content-Length": str(1 << 40),
    }
    problem(await api.send("POST", "/sweep", headers, data=b"{}"), 413, "too-large")


async def test_a_slow_body_is_not_waited_for(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.console.bodies.BODY_TIMEOUT_S", 0.05)
    ended = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await ended.wait()

    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await api.send("POST", "/sweep", headers, data=slowly())
    ended.set()
    problem(answer, 408, "slow")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "made up"}, "after"),
        ({"after": "Zm9v"}, "after"),
        ({"skew": "x"}, "skew"),
    ],
)
async def test_a_bad_parameter_is_named(api: Client, query: dict[str, Any], named: str) -> None:
    said = problem(await api.get("/items", **query), 422, "invalid")
    assert said["errors"][0]["parameter"] == named


@pytest.mark.parametrize("path", ["/items/NONE", "/items/NONE/history", "/wishes/9", "/wishes/x"])
async def test_what_does_not_exist_is_not_found(api: Client, path: str) -> None:
    problem(await api.get(path), 404, "not-found")


async def test_text_that_cannot_be_stored_is_no_defect(api: Client) -> None:
    problem(await api.get("/items/a%00b"), 422, "invalid")
    problem(await api.get("/items", sku="a\x00b"), 422, "invalid")
    problem(await api.get("/wishes/99999999999999999999"), 404, "not-found")


async def test_a_defect_tells_nothing_of_itself(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("canary-77aa")

    monkeypatch.setattr("syncd.db.reads.items", broken)
    answer = await api.get("/items")
    problem(answer, 500, "defect")
    assert b"canary" not in answer.raw


async def test_without_a_database_it_is_put_off(api: Client, town: Town) -> None:
    await town.db.close()
    answer = await api.get("/items")
    problem(answer, 503, "away")
    assert answer.headers["Retry-After"] == "1"
    await town.db.open()
    assert (await api.get("/items")).status == 200


# ---- once for each key


async def test_a_post_carries_a_key(api: Client) -> None:
    headers = {"Content-Type": "application/json"}
    problem(await api.send("POST", "/sweep", headers, data=b"{}"), 400, "key-missing")
    headers["Idempotency-Key"] = "x" * 256
    problem(await api.send("POST", "/sweep", headers, data=b"{}"), 400, "key-invalid")


async def test_a_repeated_call_gets_the_first_answer(api: Client, town: Town) -> None:
    first = await api.post("/push", {"skus": ["MUG"]}, key="one")
    again = await api.post("/push", {"skus": ["MUG"]}, key="one")
    assert (first.status, first.raw) == (again.status, again.raw)
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await town.rows("select count(*) from wish") == [(1,)]
    problem(await api.post("/push", {"skus": ["TEE"]}, key="one"), 422, "key-reused")
    problem(await api.post("/sweep", key="one"), 422, "key-reused")
    # somebody else's key is another one
    assert (await api.by("admin-secret").post("/sweep", key="one")).status == 202


async def test_two_calls_at_once_with_one_key_are_done_once(api: Client, town: Town) -> None:
    asked = [api.post("/push", {"skus": ["MUG"]}, key="one") for _ in range(8)]
    statuses = {answer.status for answer in await asyncio.gather(*asked)}
    assert 202 in statuses
    assert statuses <= {202, 409}
    assert await town.rows("select count(*) from wish") == [(1,)]


async def test_what_was_refused_may_be_mended_under_its_key(api: Client) -> None:
    assert (await api.post("/push", {"channel": "nowhere", "all": True}, key="one")).status == 422
    assert (await api.post("/push", {"channel": "uk", "all": True}, key="one")).status == 202


async def test_answers_are_forgotten_after_their_time(api: Client, town: Town) -> None:
    await api.post("/sweep", key="one")
    async with town.db.transaction("prune") as conn:
        assert await answers.prune(conn, town.clock() - timedelta(days=7)) == 0
        assert await answers.prune(conn, town.clock() + timedelta(days=7)) == 1
    assert "Idempotency-Replayed" not in (await api.post("/sweep", key="one")).headers


# ---- what is asked for


async def test_a_wish_can_be_looked_at_until_it_is_done(api: Client, town: Town) -> None:
    asked = await api.post("/push", {"skus": ["MUG"], "channel": "woo"})
    assert asked.status == 202
    link = asked.headers["Location"]
    assert link == f"/api/v1/wishes/{asked.body['id']}"
    before = await api.get(link)
    assert (before.status, before.body["done_at"]) == (200, None)
    assert await town.bulk.step()
    after = (await api.get(link)).body
    assert after["result"] == {"listings": 1}
    assert after["skus"] == ["MUG"]
    assert after["done_at"] >= after["started_at"] >= after["asked_at"]


@pytest.mark.parametrize("body", [{}, {"skus": []}, {"skus": ["MUG"], "all": True}])
async def test_a_push_names_skus_or_all(api: Client, body: dict[str, Any]) -> None:
    problem(await api.post("/push", body), 422, "invalid")


async def test_a_retry_tries_parked_things_again(api: Client, town: Town) -> None:
    asked = await api.post("/retry", {"channel": "woo"})
    assert await town.bulk.step()
    assert (await api.get(asked.headers["Location"])).body["result"] == {
        "deliveries": 0,
        "events": 0,
    }


# ---- what there is


async def test_items_are_paged_by_key(api: Client) -> None:
    first = (await api.get("/items", limit=2)).body
    assert [item["sku"] for item in first["items"]] == ["CAP", "MUG"]
    assert first["items"][1]["levels"] == {"main": 50}
    assert first["items"][1]["listings"] == 3
    second = (await api.get("/items", limit=2, after=first["next"])).body
    assert [item["sku"] for item in second["items"]] == ["TEE"]
    assert second["next"] is None
    assert [x["sku"] for x in (await api.get("/items", sku="MU")).body["items"]] == ["MUG"]
    assert (await api.get("/items", warehouse="other")).body["items"] == []


async def test_an_item_shows_its_levels_and_listings(api: Client) -> None:
    found = (await api.get("/items/MUG")).body
    assert [(x["warehouse"], x["quantity"]) for x in found["levels"]] == [("main", 50)]
    assert [(x["channel"], x["shown"]) for x in found["listings"]] == [
        ("sw", 50),
        ("uk", 50),
        ("woo", 50),
    ]


async def test_a_sku_may_hold_what_addresses_may_not(api: Client, town: Town) -> None:
    async with town.db.transaction("odd") as conn:
        await conn.execute("insert into item (sku, created_at) values ('A/B c', now())")
    assert (await api.get("/items/A%2FB%20c")).body["sku"] == "A/B c"


async def test_the_history_of_an_item_is_paged(api: Client, town: Town) -> None:
    for _ in range(3):
        await town.stores["woo"].sell({"MUG": 1})
        await town.settle()
    first = (await api.get("/items/MUG/history", limit=2)).body
    assert [m["delta"] for m in first["movements"]] == [-1, -1]
    rest = (await api.get("/items/MUG/history", limit=2, after=first["next"])).body
    assert [(m["kind"], m["delta"]) for m in rest["movements"]] == [("sale", -1), ("seed", 50)]
    assert rest["next"] is None
    only = (await api.get("/items/MUG/history", kind="seed", warehouse="main")).body
    assert [m["cause"] for m in only["movements"]] == ["seed"]
    later = town.clock() + timedelta(days=1)
    assert (await api.get("/items/MUG/history", since=later.isoformat())).body["movements"] == []


async def test_the_journal_pages_through_lines_of_one_moment(api: Client, town: Town) -> None:
    whole = (await api.get("/journal", limit=1000)).body["lines"]
    assert len(whole) > 9
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = (await api.get("/journal", limit=4, **after)).body
        found += page["lines"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == whole
    some = (await api.get("/journal", outcome="delivered", channel="woo", sku="MUG")).body
    assert {(x["outcome"], x["channel"], x["sku"]) for x in some["lines"]} == {
        ("delivered", "woo", "MUG")
    }
    until = town.clock() - timedelta(days=1)
    assert (await api.get("/journal", until=until.isoformat())).body["lines"] == []


async def test_channels_show_what_waits(api: Client) -> None:
    found = {x["name"]: x for x in (await api.get("/channels")).body["channels"]}
    assert found["woo"]["truth"] == "orders"
    assert found["woo"]["listings"] == 3
    assert found["woo"]["closed"] == ""


async def test_parked_things_are_listed_until_tried_again(api: Client, town: Town) -> None:
    async with town.db.transaction("park") as conn:
        await conn.execute(
            "insert into outbox (listing_id, channel_id, rank, risk, owed_at, not_before, parked_at,"
            " reason) select id, channel_id, 1, 0, now(), now(), now(), 'no such item' from listing"
        )
        await conn.execute(
            "insert into inbox_parked select 1, id, now(), now(), 'poison' from channel"
            " where name = 'uk'"
        )
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = (await api.get("/parked", limit=4, **after)).body
        found += page["parked"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(found) == 10
    assert found[-1]["reason"] == "poison"
    assert len((await api.get("/parked", channel="uk", kind="delivery")).body["parked"]) == 3


# ---- what is described is what is served


async def test_the_document_describes_what_is_served(api: Client) -> None:
    found = (await api.get("/openapi.json")).body
    assert found["openapi"] == "3.1.0"
    described = {
        (method.upper(), path): shown
        for path, methods in found["paths"].items()
        for method, shown in methods.items()
    }
    served = {(r.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", r.path)) for r in ROUTES}
    assert set(described) == served
    assert len({x["operationId"] for x in described.values()}) == len(ROUTES)
    for (method, path), shown in described.items():
        named = {p["name"] for p in shown["parameters"] if p["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        assert ("requestBody" in shown) == (method == "POST")
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for ref in re.findall(r'"\$ref": ?"(#[^"]+)"', (await api.get("/openapi.json")).raw.decode()):
        node = found
        for part in ref[2:].split("/"):
            node = node[part]


async def test_answers_are_what_the_document_says(api: Client) -> None:
    whole = (await api.get("/openapi.json")).body
    for route in ROUTES:
        if route.method != "GET" or "{" in route.path:
            continue
        answer = await api.get(route.path)
        shown = whole["paths"][route.path]["get"]["responses"]["200"]
        schema = {
            **shown["content"]["application/json"]["schema"],
            "components": whole["components"],
        }
        Draft202012Validator(schema).validate(answer.body)
    answer = await api.get("/nothing")
    schema = {"$ref": "#/components/schemas/ProblemShown", "components": whole["components"]}
    Draft202012Validator(schema).validate(answer.body)
